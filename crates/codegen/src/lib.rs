//! Writes Rust types for the messages of Cap'n Proto schemas, at build time.
//!
//! What it is: the part of a build script that turns what `capnp compile -o-` writes (a compiled request, kept beside its schema, so
//! that no build needs the tool) into types that `feuerbird-serialization` carries in every layer. What it is not: a Cap'n Proto
//! compiler, or code that a program needs when it runs.
//!
//! Start with [`compile`] in a build script; [`generate`] is the same without files.
//!
//! ```no_run
//! // build.rs, beside schemas/weather.capnp and schemas/weather.capnp.request
//! fn main() -> Result<(), feuerbird_codegen::Error> {
//!     feuerbird_codegen::compile("schemas/weather.capnp")
//! }
//! // src/lib.rs
//! // mod weather { include!(concat!(env!("OUT_DIR"), "/weather.rs")); }
//! ```
//!
//! # What comes out
//! For a struct `Foo`, with `Outer.Inner` named `OuterInner` and the group `bar` of `Foo` named `FooBar`:
//!
//! | type | what it is |
//! |---|---|
//! | `FooMessage` | the name of the message: `Sender<FooMessage>`, `List<FooMessage>` |
//! | `Foo<'a>` | a plain value to send: numbers, text, slices, other values |
//! | `FooReader<'a>` | what arrives: the fields, read where they lie; can be sent on |
//! | `FooBuilder<'w>` | writes fields in place, for what should not be copied once more |
//! | `FooRaw` | the data section as a `repr(C)` struct, where the schema has no pointer and no union; bits, and what has a default, by methods |
//!
//! Enums are open: a struct around `u16` with a constant for each enumerant, because a newer schema may have more.
//!
//! # What is refused
//! With the name of the file and the place, before anything is written:
//!
//! - generic types and type parameters;
//! - types of other files: only what the file itself has can be a field's type (imported annotations do no harm);
//! - constants that are structs, lists or enums;
//! - names that would be the same in Rust: two types, what is made for a type (`Foo` and `FooReader`), two fields or what is made
//!   for one (`text` and `hasText`), two values of an enum, a field `which` beside a union.
//!
//! Methods of interfaces and annotations have no code; a field of an interface's type holds the index of a capability. Keywords
//! are written `r#type`, and `self_`, `super_` and `crate_` where that cannot be; a type or union member `self` is `Itself`.
//!
//! # Where the generated code goes
//! Into a module of its own, whose attribute allows what nobody wrote by hand: `#[allow(dead_code, missing_docs, clippy::all)]`.
//! It names everything by its whole path, so that a struct may be called `Result` or `Option`. The package needs
//! `feuerbird-serialization`, and for the types in `NAME_capnp.rs`, which need not be included, `capnp`.
#![forbid(unsafe_code)]

mod build;
mod emit;
mod error;
mod layout;
mod model;
mod names;
mod read;

pub use build::compile;
pub use error::Error;

/// The Rust code for the schema in a compiled request: what `capnp compile -o-` writes.
///
/// # Errors
/// [`Error`] where the request is none, or the schema has what is refused.
pub fn generate(request: &[u8]) -> Result<String, Error> {
    let schema = read::request(request)?;
    emit::file(&schema).map_err(|error| error.in_file(&schema.file))
}
