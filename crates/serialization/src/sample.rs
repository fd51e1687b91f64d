//! The message of the producer-consumer demo, `schemas/sample.capnp`.

use crate::{
    Checks, DecodeError, Encode, EncodeError, Format, Identity, Layer, Message, Stable, frame,
    wire::{
        Element, ElementSize, PointerBuilder, Put, RawList, StructBuilder, StructReader, Structure,
        check_structs, put_structures, structures_words,
    },
};

// ---- what code generation is to write -----------------------------------------------------------------------------

/// A numbered, timed piece of data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample<'a> {
    /// The number of this message among those of its producer, from 0.
    pub sequence: u64,
    /// Which producer sent it.
    pub producer: u32,
    /// When it was sent, in ticks of the sender's clock.
    pub sent_at: u64,
    /// A digest of the payload, by the program's own function.
    pub digest: u64,
    /// What is carried.
    pub payload: &'a [u8],
}

/// Names the struct: messages of this type are sent as [`Sample`] and arrive as [`SampleReader`].
#[derive(Clone, Copy, Debug)]
pub enum SampleMessage {}

/// A `Sample` inside of a message.
#[derive(Clone, Copy, Debug)]
pub struct SampleReader<'a>(StructReader<'a>);

impl<'a> SampleReader<'a> {
    /// The number of this message among those of its producer, from 0.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.0.u64(0, 0)
    }
    /// Which producer sent it.
    #[inline]
    pub fn producer(&self) -> u32 {
        self.0.u32(2, 0)
    }
    /// When it was sent, in ticks of the sender's clock.
    #[inline]
    pub fn sent_at(&self) -> u64 {
        self.0.u64(2, 0)
    }
    /// A digest of the payload, by the program's own function.
    #[inline]
    pub fn digest(&self) -> u64 {
        self.0.u64(3, 0)
    }
    /// What is carried.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.0.pointer(0).data()
    }
}

impl<'a> From<StructReader<'a>> for SampleReader<'a> {
    #[inline]
    fn from(fields: StructReader<'a>) -> Self {
        Self(fields)
    }
}

impl SampleMessage {
    /// Refuses a struct with a field that is not of the type in the schema.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`] or [`DecodeError::InvalidText`].
    #[inline]
    pub fn check(fields: StructReader<'_>) -> Result<(), DecodeError> {
        fields.pointer(0).check_data()
    }
}

impl<'a> From<SampleReader<'a>> for Sample<'a> {
    #[inline]
    fn from(view: SampleReader<'a>) -> Self {
        Self {
            sequence: view.sequence(),
            producer: view.producer(),
            sent_at: view.sent_at(),
            digest: view.digest(),
            payload: view.payload(),
        }
    }
}

impl Message for SampleMessage {
    const IDENTITY: Identity = Identity::of_struct("Sample", 0xb1c9_6f0d_3a5e_8247, 2, 4, 1);
    type View<'a> = SampleReader<'a>;

    #[inline]
    fn decode(bytes: Stable<'_>, format: impl Into<Format>) -> Result<SampleReader<'_>, DecodeError> {
        let format = format.into();
        let fields = frame::open(bytes, format, Sample::DATA, Sample::POINTERS)?;
        if format.checks != Checks::Lengths {
            Self::check(fields)?;
        }
        Ok(SampleReader(fields))
    }
}

impl Element for SampleMessage {
    const SIZE: ElementSize = ElementSize::Composite;
    type Item<'a> = SampleReader<'a>;
    #[inline]
    fn read<'a>(list: &RawList<'a>, index: u32) -> SampleReader<'a> {
        SampleReader(list.structure(index))
    }
    fn check_all(list: RawList<'_>) -> Result<(), DecodeError> {
        check_structs(list, Self::check)
    }
}

impl Structure for Sample<'_> {
    const DATA: u16 = 4;
    const POINTERS: u16 = 1;

    #[inline]
    fn below(&self) -> usize {
        self.payload.len().div_ceil(8)
    }

    #[inline]
    fn write(&self, mut to: StructBuilder<'_>) -> Result<(), EncodeError> {
        to.set_data([self.sequence, u64::from(self.producer), self.sent_at, self.digest]);
        if !self.payload.is_empty() {
            to.pointer(0).data(self.payload)?;
        }
        Ok(())
    }
}

impl Put<SampleMessage> for Sample<'_> {
    fn words(values: &[Self]) -> usize {
        structures_words(values)
    }
    fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
        put_structures(values, to)
    }
}

impl Encode<SampleMessage> for Sample<'_> {
    #[inline]
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        frame::size(format.into(), Self::DATA, Self::POINTERS, self.below())
    }
    #[inline]
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        frame::write(format.into(), out, (Self::DATA, Self::POINTERS, self.below()), |to| self.write(to))
    }
}

impl Encode<SampleMessage> for SampleReader<'_> {
    #[inline]
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        self.0.copied_size(format.into(), Sample::DATA, Sample::POINTERS)
    }
    #[inline]
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        self.0.copied(format.into(), Sample::DATA, Sample::POINTERS, out)
    }
}

// ---- to here ------------------------------------------------------------------------------------------------------

/// How many bytes a sample with a payload of this length takes, exactly.
pub const fn encoded_size(payload: usize, layer: Layer) -> usize {
    frame::size(layer.format(), Sample::DATA, Sample::POINTERS, payload.div_ceil(8))
}

/// Writes a sample whose payload is made where it lies, so that it is copied nowhere: `out` may be a loaned buffer.
///
/// `fill` gets the place of the payload, which holds whatever was in `out` before, overwrites all of it, and returns the
/// other fields; the payload it returns is not looked at. The result is that of [`Encode::encode`].
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
