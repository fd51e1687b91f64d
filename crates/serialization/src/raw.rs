//! Raw: a `repr(C)` value of fixed size, then bytes to the end. The sender is trusted; lengths are looked at all the same.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{DecodeError, EncodeError};

/// Writes a value and so many bytes behind it, and says how long that is. `fill` writes the bytes where they lie, then
/// gives the value.
#[inline]
pub(crate) fn write<T>(
    bytes: usize,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> T,
) -> Result<usize, EncodeError>
where
    T: IntoBytes + Immutable,
{
    let needed = size_of::<T>().saturating_add(bytes);
    let too_small = EncodeError::BufferTooSmall { needed };
    let out = out.get_mut(..needed).ok_or(too_small)?;
    let (head, tail) = out.split_at_mut_checked(size_of::<T>()).ok_or(too_small)?;
    let value = fill(tail);
    head.copy_from_slice(value.as_bytes());
    Ok(needed)
}

/// Reads a value and gives the bytes behind it.
#[inline]
pub(crate) fn read<T: FromBytes>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_| DecodeError::Truncated)
}
