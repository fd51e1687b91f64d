//! Numbers and records that cross the boundary between a domain and its kernel.
//!
//! Both towers import this crate and nothing else of each other: the exokernel decodes what the LibOS encodes. It is
//! data only. A [`Request`] goes down, one [`Reply`] comes back, and [`Upcall`]s arrive when the kernel has something
//! to say. Each is one 64-byte record, at most [`PAYLOAD_BYTES`] of payload, and (where the home can move memory
//! objects) up to two handles beside it. In the exokernel home the same six arguments travel in registers.
//!
//! The two types to meet first: [`Call`], the list of system calls with what each takes and returns, and [`Status`].
//!
//! ```
//! use feuerbird_abi::{Call, Reply, Request, Status};
//!
//! let request = Request::new(Call::Derive, 1, &[0x1_0000_0002, 0x1, 0x0]);
//! assert_eq!(Call::from_number(request.number), Some(Call::Derive));
//! let reply = Reply::new(Status::Escalation, request.sequence, &[]);
//! assert_eq!(Status::from_number(reply.status).map(|it| it.to_string()).as_deref(),
//!     Some("more authority was asked for than the parent has"));
//! ```
//!
//! Every field may hold anything: the records have no invalid bit pattern, and reading a number as a [`Call`],
//! [`Status`] or [`UpcallKind`] is a checked conversion.
#![no_std]
#![forbid(unsafe_code)]

mod audit;
mod call;
mod events;
mod machine;
mod memory;
pub mod monitor;
mod record;
mod status;
mod upcall;

pub use audit::{AuditKind, AuditRecord};
pub use call::{Call, Role};
pub use events::{EVENT_VECTOR, Events, GATE_EVENTS, event};
pub use machine::{
    Access, Fault, GATE_ADDRESS, GATE_FAULT, GATE_MESSAGE, GATE_UPCALL, MESSAGE_WORDS, MachineCall,
    REGISTER_WORDS,
};
pub use memory::{EDIT_PAGES, Edit, EditAction, free_map};
pub use record::{
    Along, CONTRACT_BYTES, Class, GRANTS_ALONG, PAYLOAD_BYTES, RECORD_BYTES, Reply, Request, Upcall,
};
pub use status::Status;
pub use upcall::{NO_BINDING, Reason, UNHEARD_OF, Undone, UpcallKind};
