//! What `flatc --rust` writes for this schema, shortened to what the tests use:
//!
//! ```text
//! table Reading { sequence: ulong; label: string; payload: [ubyte]; samples: [uint]; next: Reading; }
//! root_type Reading;
//! ```

use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Table, VOffsetT, Vector, Verifiable,
    Verifier, WIPOffset,
};

const SEQUENCE: VOffsetT = 4;
const LABEL: VOffsetT = 6;
const PAYLOAD: VOffsetT = 8;
const SAMPLES: VOffsetT = 10;
const NEXT: VOffsetT = 12;

#[derive(Clone, Copy)]
pub(crate) struct ReadingTable<'a>(Table<'a>);

#[derive(Default)]
pub(crate) struct ReadingArgs<'a> {
    pub(crate) sequence: u64,
    pub(crate) label: Option<WIPOffset<&'a str>>,
    pub(crate) payload: Option<WIPOffset<Vector<'a, u8>>>,
    pub(crate) samples: Option<WIPOffset<Vector<'a, u32>>>,
    pub(crate) next: Option<WIPOffset<ReadingTable<'a>>>,
}

impl<'a> ReadingTable<'a> {
    pub(crate) fn create<'b: 'a>(
        builder: &mut FlatBufferBuilder<'b>,
        args: &ReadingArgs<'a>,
    ) -> WIPOffset<ReadingTable<'b>> {
        let start = builder.start_table();
        builder.push_slot::<u64>(SEQUENCE, args.sequence, 0);
        if let Some(label) = args.label {
            builder.push_slot_always(LABEL, label);
        }
        if let Some(payload) = args.payload {
            builder.push_slot_always(PAYLOAD, payload);
        }
        if let Some(samples) = args.samples {
            builder.push_slot_always(SAMPLES, samples);
        }
        if let Some(next) = args.next {
            builder.push_slot_always(NEXT, next);
        }
        let end = builder.end_table(start);
        WIPOffset::new(end.value())
    }

    pub(crate) fn sequence(self) -> u64 {
        // SAFETY: the verifier found this field to be of this type, or absent.
        unsafe { self.0.get::<u64>(SEQUENCE, Some(0)) }.unwrap_or(0)
    }

    pub(crate) fn label(self) -> Option<&'a str> {
        // SAFETY: as above.
        unsafe { self.0.get::<ForwardsUOffset<&str>>(LABEL, None) }
    }

    pub(crate) fn payload(self) -> Option<Vector<'a, u8>> {
        // SAFETY: as above.
        unsafe { self.0.get::<ForwardsUOffset<Vector<'a, u8>>>(PAYLOAD, None) }
    }

    pub(crate) fn samples(self) -> Option<Vector<'a, u32>> {
        // SAFETY: as above.
        unsafe { self.0.get::<ForwardsUOffset<Vector<'a, u32>>>(SAMPLES, None) }
    }

    pub(crate) fn next(self) -> Option<ReadingTable<'a>> {
        // SAFETY: as above.
        unsafe { self.0.get::<ForwardsUOffset<ReadingTable<'a>>>(NEXT, None) }
    }
}

impl<'a> Follow<'a> for ReadingTable<'a> {
    type Inner = Self;

    unsafe fn follow(bytes: &'a [u8], at: usize) -> Self {
        // SAFETY: the caller promises that there is a table at this place.
        Self(unsafe { Table::new(bytes, at) })
    }
}

impl Verifiable for ReadingTable<'_> {
    fn run_verifier(verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
        verifier
            .visit_table(at)?
            .visit_field::<u64>("sequence", SEQUENCE, false)?
            .visit_field::<ForwardsUOffset<&str>>("label", LABEL, false)?
            .visit_field::<ForwardsUOffset<Vector<'_, u8>>>("payload", PAYLOAD, false)?
            .visit_field::<ForwardsUOffset<Vector<'_, u32>>>("samples", SAMPLES, false)?
            .visit_field::<ForwardsUOffset<ReadingTable<'_>>>("next", NEXT, false)?
            .finish();
        Ok(())
    }
}
