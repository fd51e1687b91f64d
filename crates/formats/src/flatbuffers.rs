//! FlatBuffers, verified before a program sees them.
//!
//! A view borrows the received bytes; nothing is allocated. Messages are size-prefixed, as FlatBuffers defines it: only so can bytes
//! behind the end be told from the message. The verifier checks bounds, alignment, text, required fields and unions, within limits
//! in proportion to the message: nesting up to [`DEPTH_LIMIT`], at most one table per 4 bytes, and at most [`APPARENT_FACTOR`]
//! times the message if every shared object counts as often as it is pointed to. What the schema compiler's `Verifiable` says about
//! a type is what is checked: its code is trusted as its author's.

use std::{fmt, marker::PhantomData, ops::Deref};

use feuerbird_serialization::{
    DEPTH_LIMIT, DecodeError, Encode, EncodeError, Format, Identity, Message, Stable,
};
use flatbuffers::{
    Allocator, FlatBufferBuilder, Follow, InvalidFlatbuffer, Verifiable, VerifierOptions, WIPOffset,
};

use crate::{Named, identity};

/// How much of a message there may seem to be, as a multiple of its bytes. The verifier counts a table's description (its vtable)
/// once per table, though tables share them: a message of small tables seems to be about 5 times its size. Honest messages come to more
/// than 16 times when many tables share one long text, or when most of a message are tables of 40 fields or more that are nearly
/// empty; for such a type, say so in [`Table::APPARENT_FACTOR`].
pub const APPARENT_FACTOR: usize = 16;

/// The message whose bytes are a FlatBuffer with root `T::Root`. A name only, never a value.
///
/// ```
/// use feuerbird_formats::{Named, flatbuffers::{FlatBuffer, Table}};
/// use feuerbird_serialization::{Encode, Layer, Message, Stable};
/// use flatbuffers::FlatBufferBuilder;
/// use zerocopy::IntoBytes;
///
/// struct Note;
/// impl Named for Note {
///     const NAME: &str = "example.Note";
/// }
/// impl Table for Note {
///     type Root<'a> = &'a str; // for a schema: the table's type, `note_generated::Note<'a>`
/// }
///
/// let mut builder = FlatBufferBuilder::new();
/// let root = builder.create_string("hello");
/// let sent = FlatBuffer::<Note>::finish(&mut builder, root);
/// let mut buffer = [0_u64; 8];
/// let length = sent.encode(Layer::Full, buffer.as_mut_bytes())?;
///
/// let received = FlatBuffer::<Note>::decode(Stable::new(&buffer.as_bytes()[..length])?, Layer::Full)?;
/// assert_eq!(*received, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlatBuffer<T>(PhantomData<fn() -> T>);

/// A root type of a schema, for all lifetimes of the bytes that it is read from.
pub trait Table: Named + 'static {
    /// What the schema compiler generated: `Reading<'a>`.
    type Root<'a>: Follow<'a, Inner = Self::Root<'a>> + Verifiable + Copy + 'a;

    /// How much of a message there may seem to be, as a multiple of its bytes: what a hostile message costs to check and to read.
    const APPARENT_FACTOR: usize = APPARENT_FACTOR;
}

impl<T: Table> FlatBuffer<T> {
    /// Finishes a builder with this root; what comes out can be sent.
    ///
    /// # Panics
    /// With debug assertions, if the builder is finished already or a table in it is not.
    pub fn finish<'b, A: Allocator>(
        builder: &'b mut FlatBufferBuilder<'_, A>,
        root: WIPOffset<T::Root<'_>>,
    ) -> Finished<'b, T> {
        builder.finish_size_prefixed(root, None);
        Finished { bytes: builder.finished_data(), table: PhantomData }
    }
}

impl<T: Table> Message for FlatBuffer<T> {
    const IDENTITY: Identity = identity("flatbuffers", "", T::NAME);

    type View<'a> = Verified<'a, T>;

    fn decode(bytes: Stable<'_>, _: impl Into<Format>) -> Result<Verified<'_, T>, DecodeError> {
        let bytes = bytes.bytes();
        let (prefix, rest) = bytes.split_first_chunk().ok_or(DecodeError::Truncated)?;
        match (u32::from_le_bytes(*prefix) as usize).cmp(&rest.len()) {
            std::cmp::Ordering::Greater => return Err(DecodeError::Truncated),
            std::cmp::Ordering::Less => return Err(DecodeError::TrailingBytes),
            std::cmp::Ordering::Equal => {}
        }
        let limits = VerifierOptions {
            max_depth: DEPTH_LIMIT,
            max_tables: bytes.len() / 4,
            max_apparent_size: bytes.len().saturating_mul(T::APPARENT_FACTOR),
            ignore_missing_null_terminator: false,
        };
        match flatbuffers::size_prefixed_root_with_opts::<T::Root<'_>>(&limits, bytes) {
            Ok(root) => Ok(Verified { root, bytes }),
            Err(error) => Err(refusal(&error)),
        }
    }
}

/// A root whose bytes were verified. It reads as the root; sent on, it is copied as it came.
pub struct Verified<'a, T: Table> {
    root: T::Root<'a>,
    bytes: &'a [u8],
}

impl<'a, T: Table> Verified<'a, T> {
    /// The root; lives as long as the received bytes.
    pub fn root(&self) -> T::Root<'a> {
        self.root
    }
}

impl<T: Table> Clone for Verified<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Table> Copy for Verified<'_, T> {}

impl<'a, T: Table> Deref for Verified<'a, T> {
    type Target = T::Root<'a>;

    fn deref(&self) -> &T::Root<'a> {
        &self.root
    }
}

impl<T: Table> fmt::Debug for Verified<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", T::NAME, self.bytes.len())
    }
}

impl<T: Table> Encode<FlatBuffer<T>> for Verified<'_, T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        self.bytes.len()
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        copy(self.bytes, out)
    }
}

/// What a builder has built, ready to be sent. The builder can be reset and used again afterwards.
pub struct Finished<'b, T> {
    bytes: &'b [u8],
    table: PhantomData<fn() -> T>,
}

impl<T: Table> fmt::Debug for Finished<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", T::NAME, self.bytes.len())
    }
}

impl<T: Table> Encode<FlatBuffer<T>> for Finished<'_, T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        self.bytes.len()
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        copy(self.bytes, out)
    }
}

fn copy(bytes: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    let needed = bytes.len();
    out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?.copy_from_slice(bytes);
    Ok(needed)
}

fn refusal(error: &InvalidFlatbuffer) -> DecodeError {
    use InvalidFlatbuffer as E;
    match error {
        E::RangeOutOfBounds { .. } | E::SignedOffsetOutOfBounds { .. } => DecodeError::OutOfBounds,
        E::Unaligned { .. } => DecodeError::WrongPointer,
        E::Utf8Error { .. } | E::MissingNullTerminator { .. } => DecodeError::InvalidText,
        E::MissingRequiredField { .. } | E::InconsistentUnion { .. } => DecodeError::WrongType,
        E::TooManyTables | E::ApparentSizeTooLarge => DecodeError::Amplified,
        E::DepthLimitReached => DecodeError::TooDeep,
    }
}
