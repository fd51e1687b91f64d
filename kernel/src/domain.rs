//! Domains as the machine knows them, and what runs where.

pub(crate) mod calls;
pub(crate) mod check;
pub(crate) mod current;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod load;
mod lock;
pub(crate) mod machine;
pub(crate) mod memory_calls;
pub(crate) mod monitor;
pub(crate) mod resident;
pub(crate) mod run;
pub(crate) mod slices;
pub(crate) mod time_calls;
pub(crate) mod transfers;
pub(crate) mod upcalls;
