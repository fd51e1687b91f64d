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
/// behind them; and for an enum without fields whose `repr` is an integer.
///
/// The name that both ends compare is the struct's, without its path, unless `#[plain_value(name = "...")]` gives another. The
/// version is a hash of all fields' names, offsets and types (of an enum, of all variants' names and numbers), and of
/// `#[plain_value(version = 1)]`.
///
/// The type derives `Clone`, `Copy` and zerocopy's `FromBytes`, `IntoBytes` and `Immutable` beside it; `TryFromBytes` in the place of
/// `FromBytes` where some bit patterns are no value, so that they are refused when they arrive:
/// ```
/// use feuerbird_serialization::{DecodeError, Layer, Message, Plain, PlainValue, Stable};
/// use zerocopy::{Immutable, IntoBytes, TryFromBytes};
///
/// #[derive(Clone, Copy, Debug, PartialEq, TryFromBytes, IntoBytes, Immutable, PlainValue)]
/// #[repr(u8)]
/// enum Mode {
///     Off,
///     On,
/// }
///
/// #[derive(Clone, Copy, Debug, PartialEq, TryFromBytes, IntoBytes, Immutable, PlainValue)]
/// #[repr(C)]
/// struct Switch {
///     mode: Mode,
///     is_locked: bool,
/// }
///
/// #[repr(align(8))]
/// struct Aligned([u8; 2]);
/// let decode = |bytes| Plain::<Switch>::decode(Stable::new(&Aligned(bytes).0).unwrap(), Layer::Raw);
/// assert_eq!(decode([1, 0]), Ok(Switch { mode: Mode::On, is_locked: false }));
/// assert_eq!(decode([2, 0]), Err(DecodeError::WrongType));
/// assert_eq!(decode([1, 2]), Err(DecodeError::WrongType));
/// ```
///
/// Where the trait is not at
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
/// Nor does what leads elsewhere:
/// ```compile_fail,E0277
/// use feuerbird_serialization::PlainValue;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
/// #[repr(C)]
/// struct Borrowed {
///     text: &'static str,
/// }
/// ```
#[proc_macro_derive(PlainValue, attributes(plain_value))]
pub fn plain_value(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    expand::plain_value(&item).unwrap_or_else(|error| error.into_compile_error()).into()
}
