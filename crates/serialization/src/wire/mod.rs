//! The standard Cap'n Proto wire format: what generated code is made of.
//!
//! Programs use the types that are generated from their schemas; what stands here is for those, and for looking into
//! fields of type `AnyPointer`. All of it works on stable bytes, is free of allocation and recursion (but for the schema's
//! own nesting, which the walk has bounded), and checks every bound at every access.

pub(crate) mod arena;
mod canonical;
mod copy;
mod hash;
pub(crate) mod list;
pub(crate) mod pointer;
mod put;
mod reader;
pub(crate) mod segments;
pub(crate) mod walk;
mod writer;

pub use list::{Any, Capability, Data, Element, Iter, List, ListOf, RawList, Text, check_structs};
pub use pointer::ElementSize;
pub use put::{Put, Structure, put_structure, put_structures, structure_words, structures_words, text_words};
pub use reader::{AnyReader, StructReader};
pub(crate) use writer::Writer;
pub use writer::{ListBuilder, PointerBuilder, StructBuilder};

/// Stands in a message for a capability that was sent beside it: its place among those, from 0.
///
/// It is a number and grants nothing: what a domain was not given beside the message, it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityIndex(pub u32);
