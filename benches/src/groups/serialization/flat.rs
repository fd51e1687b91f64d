//! FlatBuffers: built back to front, verified, then read in place.
//!
//! The tables are written by hand as `flatc` would write them, for this schema:
//!
//! ```text
//! table Tick { id:uint64; time:uint64; price:float64; size:float64; kind:uint32; flags:uint32; }
//! struct Point { x:float64; y:float64; z:float64; id:uint64; }
//! table Cloud { source:string; sequence:uint64; points:[Point]; colors:[ubyte]; }
//! ```

use feuerbird_formats::{
    Named,
    flatbuffers::{FlatBuffer, Verified},
};
use feuerbird_serialization::{Encode, Layer, Message, Stable};
use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Push, SimpleToVerifyInSlice, Table,
    VOffsetT, Vector, Verifiable, Verifier, WIPOffset,
};
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{self, sum_bytes, sum_point, sum_tick},
};

/// Where a table's field stands in its list of offsets.
const fn field(number: VOffsetT) -> VOffsetT {
    4 + 2 * number
}

macro_rules! table {
    ($name:ident { $($field:ident: $type:ty = $number:literal),* $(,)? }) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name<'a>(Table<'a>);

        impl<'a> Follow<'a> for $name<'a> {
            type Inner = Self;
            unsafe fn follow(buffer: &'a [u8], at: usize) -> Self {
                // SAFETY: the caller promises that a table of this type lies there.
                Self(unsafe { Table::new(buffer, at) })
            }
        }

        impl<'a> Verifiable for $name<'a> {
            fn run_verifier(verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
                verifier
                    .visit_table(at)?
                    $(.visit_field::<$type>(stringify!($field), field($number), false)?)*
                    .finish();
                Ok(())
            }
        }

        impl<'a> $name<'a> {
            $(fn $field(&self) -> Option<<$type as Follow<'a>>::Inner> {
                // SAFETY: a value of this type was made by `root`, which verified that its fields have these types.
                unsafe { self.0.get::<$type>(field($number), None) }
            })*
        }
    };
}

table!(Tick { id: u64 = 0, time: u64 = 1, price: f64 = 2, size: f64 = 3, kind: u32 = 4, flags: u32 = 5 });
table!(Cloud {
    source: ForwardsUOffset<&'a str> = 0,
    sequence: u64 = 1,
    points: ForwardsUOffset<Vector<'a, Point>> = 2,
    colors: ForwardsUOffset<Vector<'a, u8>> = 3,
});

/// Three doubles and an integer, little-endian, one behind the other.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Point([u8; 32]);

impl Point {
    fn word(&self, index: usize) -> u64 {
        self.0.as_chunks::<8>().0.get(index).map_or(0, |word| u64::from_le_bytes(*word))
    }

    fn sum(&self) -> u64 {
        let double = |index| f64::from_bits(self.word(index));
        sum_point(double(0), double(1), double(2), self.word(3))
    }
}

impl<'a> Follow<'a> for Point {
    type Inner = Self;
    unsafe fn follow(buffer: &'a [u8], at: usize) -> Self {
        Self(buffer.get(at..).and_then(|behind| behind.first_chunk()).copied().unwrap_or([0; 32]))
    }
}

impl Verifiable for Point {
    fn run_verifier(verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
        verifier.in_buffer::<Self>(at)
    }
}

impl SimpleToVerifyInSlice for Point {}

impl Push for Point {
    type Output = Self;
    unsafe fn push(&self, out: &mut [u8], _: usize) {
        if let Some(place) = out.first_chunk_mut() {
            *place = self.0;
        }
    }
    fn alignment() -> flatbuffers::PushAlignment {
        flatbuffers::PushAlignment::new(8)
    }
}

fn build_tick<'b>(builder: &mut FlatBufferBuilder<'b>, value: &data::Tick) -> WIPOffset<Tick<'b>> {
    let start = builder.start_table();
    builder.push_slot(field(0), value.id, 0);
    builder.push_slot(field(1), value.time, 0);
    builder.push_slot(field(2), value.price, 0.0);
    builder.push_slot(field(3), value.size, 0.0);
    builder.push_slot(field(4), value.kind, 0);
    builder.push_slot(field(5), value.flags, 0);
    WIPOffset::new(builder.end_table(start).value())
}

fn build_cloud<'b>(builder: &mut FlatBufferBuilder<'b>, value: &data::Cloud) -> WIPOffset<Cloud<'b>> {
    let colors = builder.create_vector(&value.colors);
    let points: Vec<Point> = value
        .points
        .iter()
        .map(|point| {
            let words = [point.x.to_bits(), point.y.to_bits(), point.z.to_bits(), point.id];
            let mut bytes = [0; 32];
            bytes.copy_from_slice(words.map(u64::to_le_bytes).as_flattened());
            Point(bytes)
        })
        .collect();
    let points = builder.create_vector(&points);
    let source = builder.create_string(&value.source);
    let start = builder.start_table();
    builder.push_slot_always(field(0), source);
    builder.push_slot(field(1), value.sequence, 0);
    builder.push_slot_always(field(2), points);
    builder.push_slot_always(field(3), colors);
    WIPOffset::new(builder.end_table(start).value())
}

fn sum_of_tick(tick: &Tick<'_>) -> Option<u64> {
    Some(sum_tick(tick.id()?, tick.time()?, tick.price()?, tick.size()?, tick.kind()?, tick.flags()?))
}

fn sum_of_cloud(cloud: &Cloud<'_>) -> Option<u64> {
    let points = cloud.points()?.iter().map(|point| point.sum()).fold(0_u64, u64::wrapping_add);
    let rest = sum_bytes(cloud.source()?.as_bytes()).wrapping_add(sum_bytes(cloud.colors()?.bytes()));
    Some(cloud.sequence()?.wrapping_add(points).wrapping_add(rest))
}

/// The codec: its builder is reused.
#[derive(Default)]
pub(super) struct Flat(FlatBufferBuilder<'static>);

/// The same through our traits.
#[derive(Default)]
pub(super) struct Wrapped(FlatBufferBuilder<'static>);

macro_rules! codecs {
    ($value:ty, $table:ident, $build:ident, $sum:ident, $name:ident) => {
        /// The name of the message.
        pub(super) struct $name;

        impl Named for $name {
            const NAME: &str = stringify!($table);
        }

        impl feuerbird_formats::flatbuffers::Table for $name {
            type Root<'a> = $table<'a>;
        }

        impl Codec<$value> for Flat {
            type View<'a> = $table<'a>;

            fn write(&mut self, value: &$value, out: &mut [u64]) -> Option<usize> {
                self.0.reset();
                let root = $build(&mut self.0, value);
                self.0.finish_minimal(root);
                let built = self.0.finished_data();
                out.as_mut_bytes().get_mut(..built.len())?.copy_from_slice(built);
                Some(built.len())
            }

            fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<$table<'a>> {
                flatbuffers::root::<$table<'_>>(bytes).ok()
            }

            fn sum(view: &$table<'_>) -> Option<u64> {
                $sum(view)
            }
        }

        impl Codec<$value> for Wrapped {
            type View<'a> = Verified<'a, $name>;

            fn write(&mut self, value: &$value, out: &mut [u64]) -> Option<usize> {
                self.0.reset();
                let root = $build(&mut self.0, value);
                FlatBuffer::<$name>::finish(&mut self.0, root).encode(Layer::Full, out.as_mut_bytes()).ok()
            }

            fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Verified<'a, $name>> {
                FlatBuffer::<$name>::decode(Stable::new(bytes).ok()?, Layer::Full).ok()
            }

            fn sum(view: &Verified<'_, $name>) -> Option<u64> {
                $sum(view)
            }
        }
    };
}
codecs!(data::Tick, Tick, build_tick, sum_of_tick, FlatTick);
codecs!(data::Cloud, Cloud, build_cloud, sum_of_cloud, FlatCloud);
