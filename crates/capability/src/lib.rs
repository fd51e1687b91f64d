//! Capabilities: rights, trust, badges, capability spaces, derivation and revocation.
//!
//! A domain can do only what a capability in its own space allows, and names it by a [`Slot`], a number that is worth
//! nothing elsewhere. This crate keeps all spaces of one kernel, the tree of what was derived from what, and ends
//! whole subtrees in a constant number of steps. It is data and rules only: no objects, no system calls, no locks, no
//! allocation. What a capability stands for is the kernel's business.
//!
//! The two types to meet first: [`Capability`], what one slot holds, and [`Capabilities`], where all of them are.
//!
//! ```
//! use feuerbird_capability::*;
//!
//! // The caller brings the tables: a hosted kernel vectors, a bare one slices of its own memory.
//! let mut system = Capabilities::new(vec![Node::EMPTY; 1024], vec![Space::EMPTY; 16]);
//! let server = system.create_space(100)?;
//! let client = system.create_space(100)?;
//!
//! // The kernel made an endpoint for the server, which lets the client send to it, and nothing else.
//! let object = Object { kind: ObjectKind::Endpoint, id: 1 };
//! let (rights, trust) = (Rights::all(), Trust::LIBOS);
//! let own = system.mint(server, Capability { object, rights, trust, badge: Badge::NONE, range: Range::EMPTY })?;
//! let derivation = Derivation::new(Rights::SEND, Trust::USER).with_badge(Badge(7));
//! let granted = system.grant(server, own, client, derivation)?;
//!
//! // Who binds keeps a ticket instead of looking up again and again.
//! let (capability, ticket) = system.ticket(client, granted, Rights::SEND)?;
//! assert_eq!((capability.trust, capability.badge), (Trust::USER, Badge(7)));
//! assert_eq!(system.lookup(client, granted, Rights::RECEIVE), Err(Error::MissingRight));
//!
//! // Once this returns nothing derived works; the sweep cleans up when there is time.
//! system.revoke(server, own)?;
//! assert!(!system.is_live(&ticket));
//! assert_eq!(system.lookup(client, granted, Rights::SEND), Err(Error::Revoked));
//! while !system.sweep(64, |finalised| println!("{:?} is gone", finalised.slot)).is_done {}
//! # Ok::<(), Error>(())
//! ```
//!
//! # How revocation is constant
//!
//! ```text
//!   root     epoch 1
//!    ├─ a    saw 1 of root's, epoch 0           revoke(root):
//!    │  └─ b saw 0 of a's                         root.epoch = 2, so a's "saw 1" is stale,
//!    └─ c    saw 1 of root's                      and b finds that out on its way up;
//!                                                 [a, c] joins the condemned in one splice
//! ```
//!
//! Each node is a revoker: it has an epoch, and remembers which epoch of its parent it was derived in. A lookup walks up
//! to the minted ancestor, at most [`DEPTH_LIMIT`] steps, and every step must agree. Revoking leaves the epoch. Nothing
//! points down from a freed node, and an epoch never recurs for one table entry, so the sweep may free in any order
//! and stop anywhere.
//!
//! # Invariants
//!
//! 1. A slot names something in one space only; no other word does. Authority is in the tables, which are private.
//! 2. Rights, trust and range of a child never exceed its parent's; a badge once given stays.
//! 3. Every node has one parent, and there is no cycle: nothing that exists is ever given another parent.
//! 4. After [`revoke`](Capabilities::revoke) no lookup and no [`Ticket`] of a descendant succeeds. A message that carries a
//!    capability keeps it in a space of its own, so that this holds for it too; what hangs on a ticket (queues, bindings,
//!    mappings, other processors) the kernel ends.
//! 5. Each capability is reported as [`Finalised`] exactly once.
//! 6. (index, generation) of a slot and of a space never recur; what saturates retires.
//! 7. Every operation is bounded by the depth limit, and the sweep by its budget.
//! 8. Revoking again changes nothing; the sweep goes on where it stopped, whatever happened between.
//! 9. Children lie inside their parent. Those of an exclusive kind ([`ObjectKind::is_exclusive`]) are disjoint as well:
//!    deriving splits, from below upwards. Readers of a [`Region`](ObjectKind::Region) may share a range.
//! 10. Who writes down what the calls return (and [`Finalised`]) knows what every space holds: enough for an audit log.
#![no_std]
#![forbid(unsafe_code)]

mod capabilities;
mod derivation;
mod error;
mod node;
mod object;
mod revocation;
mod rights;
mod slot;
mod verify;

pub use capabilities::{Capabilities, DEPTH_LIMIT, Inspection};
pub use error::Error;
pub use node::{Node, Space};
pub use object::{Capability, Derivation, Object, ObjectKind, Range};
pub use revocation::{Cause, Finalised, Progress};
pub use rights::{Badge, Band, Rights, Trust};
pub use slot::{Slot, SpaceId, Ticket};
pub use verify::Damage;
