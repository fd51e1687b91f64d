//! The derive of plain values: messages of fixed size without a schema.
//!
//! What it is: [`macro@PlainValue`], which `feuerbird-serialization` hands on beside the trait of the same name. What it is not: a
//! judge of which bytes are a value; `zerocopy`'s derives, which the trait asks for, are that.
//!
//! # Example
//! ```
//! use feuerbird_serialization::{Message, Plain, PlainValue};
//! use zerocopy::{FromBytes, Immutable, IntoBytes};
//!
//! #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
//! #[repr(C)]
//! struct Position {
//!     x: f64,
//!     y: f64,
//! }
//!
//! #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
//! #[plain_value(name = "example.Track", version = 2)]
//! #[repr(C)]
//! struct Track {
//!     id: u64,
//!     points: [Position; 4],
//! }
//!
//! assert_eq!(Position::NAME, "Position");
//! assert_eq!((Track::NAME, Plain::<Track>::IDENTITY.size), ("example.Track", 72));
//! ```
//!
//! # Invariants
//! The same definition has the same identity wherever it is built for one machine; the offset, type or name of a field changes it.
#![forbid(unsafe_code)]

mod expand;

use proc_macro::TokenStream;

/// Implements `PlainValue` for a `repr(C)` or `repr(transparent)` struct whose fields are all plain values, with nothing between or
/// behind them.
///
/// The name that both ends compare is the struct's, without its path, unless `#[plain_value(name = "...")]` gives another. The
/// version is a hash of all fields' names, offsets and types, and of `#[plain_value(version = 1)]`.
///
/// The struct derives `Clone`, `Copy` and zerocopy's `FromBytes`, `IntoBytes` and `Immutable` beside it. Where the trait is not at
/// `::feuerbird_serialization`, `#[plain_value(crate = "path")]` says where.
///
/// # Errors
/// What has padding does not compile:
/// ```compile_fail,E0080
/// use feuerbird_serialization::PlainValue;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
/// #[repr(C)]
/// struct Padded {
///     small: u8,
///     large: u64, // 7 bytes in front of it that nobody has set
/// }
/// ```
/// Nor does what has fields of which not every bit pattern is one, or which lead elsewhere:
/// ```compile_fail,E0277
/// use feuerbird_serialization::PlainValue;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
/// #[repr(C)]
/// struct Switch {
///     is_on: bool,
/// }
/// ```
#[proc_macro_derive(PlainValue, attributes(plain_value))]
pub fn plain_value(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    expand::plain_value(&item).unwrap_or_else(|error| error.into_compile_error()).into()
}
