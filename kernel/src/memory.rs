//! Physical frames, the kernel's and the domains' page tables, and a heap that is only used at boot.

pub(crate) mod direct;
pub(crate) mod frames;
pub(crate) mod heap;
pub(crate) mod layout;
pub(crate) mod map;
pub(crate) mod object;
pub(crate) mod paging;
pub(crate) mod quota;
