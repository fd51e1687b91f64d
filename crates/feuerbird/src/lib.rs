//! Capability-secured inter-process communication at memory speed.
//!
//! A complete program: two processes that do not trust each other, an endpoint, and a capability that lets one of them
//! send to it and nothing else.
//!
//! ```no_run
//! use feuerbird::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The child arrives here too: it is this same program, started below.
//!     if let Some(domain) = feuerbird::inherited()? {
//!         let (endpoint, _) = domain.granted(SECOND)?;
//!         let mut sender = domain.sender::<Plain<u64>>(&endpoint)?;
//!         for value in 1..=10 {
//!             sender.send(&value)?;
//!         }
//!         sender.finish(SECOND)?;
//!         return Ok(());
//!     }
//!     let domain = feuerbird::embedded()?;
//!     let endpoint = domain.endpoint(Terms::sized(256)?)?;
//!     let mut receiver = domain.receiver::<Plain<u64>>(&endpoint)?;
//!     // A stranger: it may send, it is trusted with nothing, and so its messages are fully checked.
//!     let grants = [(&endpoint, Authority::send(Trust::USER))];
//!     let child = Program::this(Trust::USER)?.spawn(&domain, &grants)?;
//!     let mut sum = 0;
//!     loop {
//!         match receiver.recv(|value| value) {
//!             Ok(value) => sum += value,
//!             Err(RecvError::Disconnected) => break,
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//!     println!("received {sum}, in a sandbox of: {}", child.sandbox().expect("user trust"));
//!     Ok(())
//! }
//! ```
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
