//! Capability-secured inter-process communication at memory speed.
//!
//! A complete program: two processes that do not trust each other, an endpoint, and a capability that lets one of them
//! send to it and nothing else.
//!
// On its own, and run: it starts itself as its child.
#![doc = concat!("```standalone_crate\n", include_str!("../examples/hello.rs"), "\n```")]
//!
//! Deriving, granting and revoking are methods of the handles in [`libos`], and [`Domain::spawn`](libos::Domain::spawn) starts another
//! domain; what a program is only the home knows: [`Program`].
//!
//! What to know next: [`prelude`] for the names above; [`channel`] for what sending and receiving promise;
//! [`serialization`] for the three layers that trust chooses from; [`capability`] for rights, trust and revocation.
#![forbid(unsafe_code)]

pub use feuerbird_capability as capability;
pub use feuerbird_channel as channel;
pub use feuerbird_hosted as hosted;
pub use feuerbird_libos as libos;
pub use feuerbird_serialization as serialization;
pub use feuerbird_zero_copy as zero_copy;

pub use feuerbird_hosted::{Domain, Program, StartError, connect, embedded, inherited};

/// What most programs use.
pub mod prelude {
    pub use feuerbird_capability::{Rights, Trust};
    pub use feuerbird_channel::{Overflow, RecvError, SendError, Terms, WhenFull};
    pub use feuerbird_hosted::{Domain, Program};
    pub use feuerbird_libos::Authority;
    pub use feuerbird_serialization::{Layer, Message, Plain};

    /// A second, in the nanoseconds that time limits are given in.
    pub const SECOND: u64 = 1_000_000_000;
}
