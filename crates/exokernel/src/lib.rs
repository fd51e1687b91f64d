//! The mechanisms of the exokernel: domains, regions, endpoints, bindings, system calls and audit.
//!
//! A kernel decides who may do what, and keeps itself out of the rest: once two domains are bound and have mapped each
//! other's memory, no message passes through here. There are no formats, no channels and no policy in it, and nothing of
//! a machine either: what it needs of one is the small trait [`Machine`]. Each home implements that (Linux processes, page
//! tables); [`fake`] does it with vectors.
//!
//! The two types to meet first: [`Kernel`], whose [`dispatch`](Kernel::dispatch) carries out one system call, and
//! [`Machine`]. What the calls, replies and upcalls mean is fixed in `feuerbird-abi`.
//!
//! ```
//! use feuerbird_abi::{Call, Request, Role, Status, UpcallKind};
//! use feuerbird_capability::Trust;
//! use feuerbird_exokernel::{Kernel, Limits, Outcome, fake::FakeMachine};
//!
//! let mut kernel = Kernel::new(FakeMachine::default(), Limits::SMALL);
//! let root = kernel.boot_domain(Trust::KERNEL)?;
//! let mut call = |call, arguments: &[u64]| {
//!     match kernel.dispatch(root, &Request::new(call, 0, arguments), b"the message type", None) {
//!         Outcome::Reply(answer) => answer.reply,
//!         Outcome::Pending => unreachable!("only a revocation can be answered later"),
//!     }
//! };
//!
//! // One domain may well be both sides of an endpoint; two domains do the same, each with a capability of its own.
//! let endpoint = call(Call::CreateEndpoint, &[0]).values[0];
//! call(Call::Bind, &[endpoint, Role::Sender as u64, 0]);
//! let receiving = call(Call::Bind, &[endpoint, Role::Receiver as u64, 0]);
//! assert_eq!(receiving.status, Status::Ok as u32);
//!
//! // Both were told, and each can see for itself that the pair is valid.
//! for (domain, upcall, _) in &kernel.machine().upcalls {
//!     assert_eq!(upcall.kind, UpcallKind::PeerJoined as u32);
//!     let [_, _, _, _, word, value] = upcall.values;
//!     assert_eq!(u64::from(kernel.machine().word(*domain, word as u32)), value);
//! }
//! # assert_eq!(kernel.machine().upcalls.len(), 2);
//! # Ok::<(), Status>(())
//! ```
//!
//! # How a binding ends
//!
//! ```text
//!   revoke ──> unusable at once ──> its holder is told ──> it lets go, or the deadline comes
//!                                                            └──> words change ──> peers are told
//!                                                                   └──> the holder is told ──> the reply
//! ```
//!
//! Whatever ends it (unbinding, deletion, revocation, death), the validity words on both sides change before anyone is
//! told, so that who looks at its word is never behind who reads its upcalls.
//!
//! # Invariants
//!
//! 1. A domain reaches an object only by a capability in its own space, and a binding only if it made it.
//! 2. A revocation is answered when nothing that hung on a revoked capability is left: no binding, no pair.
//! 3. A validity word is odd as long as its pair or binding lasts, and never takes a value twice.
//! 4. Every change of authority is one audit record. Who replays the log knows who holds what. Every refusal is a record
//!    or, where a domain is refused often, counted in one: its refusals take up no more than
//!    [`Limits::refusals_per_turn`] and 65 records of each turn of the ring.
//! 5. Nothing grows after construction. What a domain can use up is its own share; the exceptions are the number of
//!    domains below those that create them, endpoints that outlive their creator, and the audit log, where what a domain
//!    does with its own authority (copy and delete, say) pushes out older records, at the price of a call each.
//! 6. Every call is bounded by the [`Limits`]. What takes longer is left to [`Kernel::tick`], in steps.
//! 7. No request, however made, makes it panic.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod audit;
mod binding;
mod calls;
mod domain;
pub mod fake;
mod frames;
mod home;
mod kernel;
mod limits;
mod machine;
mod notice;
mod object;
mod outcome;
mod revocation;
mod table;
mod transfer;
mod verify;
mod withdrawal;
mod words;
mod work;

pub use audit::AuditRing;
pub use domain::DomainId;
pub use frames::Holder;
pub use kernel::Kernel;
pub use limits::Limits;
pub use machine::Machine;
pub use outcome::{Answer, Outcome, Payload, Plain};
pub use transfer::{Message, Sent, Signalled, records};
pub use verify::Damage;
