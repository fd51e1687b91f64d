//! The standard Cap'n Proto wire format: what generated code is made of.
//!
//! Programs use the types that are generated from their schemas; what stands here is for those, and for looking into
//! fields of type `AnyPointer`. All of it works on stable bytes, allocates nothing, and checks every bound at every access.
//!
//! The walk does not recurse. What comes behind it does, as deep as the message is nested: checking types, copying, hashing and
//! printing, all bounded by the walk or by a count of their own ([`DEPTH_LIMIT`](crate::DEPTH_LIMIT)). So does writing a plain value, whose nesting is the
//! program's own.

pub(crate) mod arena;
mod canonical;
mod copy;
mod hash;
pub(crate) mod list;
mod list_builder;
pub(crate) mod pointer;
mod put;
mod reader;
pub(crate) mod segments;
mod used;
pub(crate) mod walk;
mod writer;

pub use list::{Any, Capability, Data, Element, Iter, List, ListOf, RawList, Text, check_structs};
pub use list_builder::ListBuilder;
pub use pointer::ElementSize;
pub use put::{Put, Structure, put_structure, put_structures, structure_words, structures_words, text_words};
pub use reader::{AnyReader, StructReader};
pub(crate) use used::Used;
pub(crate) use writer::Writer;
pub use writer::{PointerBuilder, StructBuilder};

/// Stands in a message for a capability that was sent beside it: its place among those, from 0.
///
/// It is a number and grants nothing: what a domain was not given beside the message, it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityIndex(pub u32);
