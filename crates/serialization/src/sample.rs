//! The message of the producer-consumer demo, made from `schemas/sample.capnp`.

use crate::{EncodeError, Format, Layer, frame, wire::Structure};

/// What the generator wrote.
#[allow(clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/sample.rs"));
}
pub use generated::*;

/// How many bytes a sample with a payload of this length takes, exactly.
pub const fn encoded_size(payload: usize, layer: Layer) -> usize {
    frame::size(layer.format(), Sample::DATA, Sample::POINTERS, payload.div_ceil(8))
}

/// Writes a sample whose payload is made where it lies, so that it is copied nowhere: `out` may be a loaned buffer.
///
/// `fill` gets the place of the payload, which holds whatever was in `out` before, overwrites all of it, and returns the
/// other fields; the payload it returns is not looked at. The result is that of [`Encode::encode`](crate::Encode::encode).
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`]; `fill` was not called then.
#[inline]
pub fn encode_in_place<'a>(
    payload: usize,
    format: impl Into<Format>,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Sample<'a>,
) -> Result<usize, EncodeError> {
    let sections = (Sample::DATA, Sample::POINTERS, payload.div_ceil(8));
    frame::write(format.into(), out, sections, |mut to| {
        let view = fill(to.pointer(0).init_data(payload)?);
        Sample { payload: &[], ..view }.write(to)
    })
}
