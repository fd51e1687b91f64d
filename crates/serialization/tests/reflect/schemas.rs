//! Random schemas and values: what we read is what the `capnp` crate reads.

use std::cell::Cell;

use capnp::dynamic_value::Reader;
use feuerbird_serialization::reflect::{Schema as Reflected, StructSchema};
use feuerbird_serialization::{DecodeError, Format, SEGMENTS_LIMIT, Stable, frame, print};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::Random;
use crate::common::{Aligned, FULL, LITE, RAW};
use crate::model::{Model, Node, Schema, models};
use crate::request::{compiled, struct_name};
use crate::second::{self, Second};
use crate::values::fill;

/// Values of each struct of a schema.
const VALUES: usize = 4;
/// Changed messages of each value.
const CHANGES: usize = 4;

fn cases(count: u32) -> TestRunner {
    let is_long = std::env::var_os("FEUERBIRD_LONG").is_some_and(|long| long == "1");
    let cases = if cfg!(miri) {
        2
    } else if is_long {
        count * 100
    } else {
        count
    };
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// A message of a struct in one segment or in many.
fn written(
    schema: &Schema,
    second: &Second,
    index: usize,
    random: &mut Random,
    first_segment: u32,
) -> Aligned {
    let allocator = capnp::message::HeapAllocator::new()
        .first_segment_words(first_segment)
        .allocation_strategy(capnp::message::AllocationStrategy::FixedSize);
    let mut message = capnp::message::Builder::new(allocator);
    fill(&mut second::new_root(&mut message, &schema.nodes[index], second.structure(index)), random, 0);
    Aligned::new(&capnp::serialize::write_message_to_words(&message))
}

const ONE_SEGMENT: u32 = 1 << 16;

/// What both notations say of a message, if it is accepted.
fn ours(schema: StructSchema<'_>, bytes: &[u8], format: Format) -> Option<[String; 2]> {
    let bytes = Aligned::new(bytes);
    let value = schema.decode(Stable::new(bytes.bytes()).unwrap(), format).ok()?;
    Some([value.text().to_string(), value.json().to_string()])
}

/// Whether a message has no more elements without a size than the walk, which knows no schema, accepts: no other honest one is refused.
fn is_within_budget(node: &Node, bytes: &[u8], format: Format) -> bool {
    let bytes = Aligned::new(bytes);
    match frame::open(Stable::new(bytes.bytes()).unwrap(), format, node.data, node.pointers) {
        Err(error) => error != DecodeError::Amplified,
        Ok(root) => format != RAW || root.is_bounded(),
    }
}

/// The same by the crate, which must be able to read all of it.
fn theirs(schema: capnp::schema::StructSchema, framed: &[u8]) -> [String; 2] {
    let both = second::read(framed, schema, |root| {
        let value: Reader<'_> = root.into();
        [print::text(value).to_string(), print::json(value).to_string()]
    });
    both.unwrap()
}

/// A schema, and both readers of it.
struct Both {
    schema: Schema,
    second: Second,
    request: Aligned,
}

impl Both {
    fn new(model: &Model, slot: usize) -> Self {
        let schema = Schema::new(model);
        Self { second: Second::new(&schema, slot), request: compiled(&schema), schema }
    }

    fn reflected(&self) -> Reflected<'_> {
        Reflected::new(Stable::new(self.request.bytes()).unwrap()).unwrap()
    }
}

fn segments(full: &[u8]) -> usize {
    u32::from_le_bytes(*full.first_chunk().unwrap()) as usize + 1
}

/// The same message in every framing that can carry it: only one has room for more segments than one.
fn every_framing(full: &[u8]) -> Vec<(Vec<u8>, Format)> {
    let mut framings = vec![(full.to_vec(), FULL)];
    // The largest values of the largest schemas do not fit into what was to be the only segment.
    if segments(full) == 1 {
        let header = u64::from(b'L').to_le_bytes();
        framings.extend([([&header, full].concat(), LITE), (full[16..].to_vec(), RAW)]);
    }
    framings
}

#[test]
fn values_of_random_schemas_read_as_the_crate_reads_them() {
    let all = (models(), any::<u64>());
    let run = cases(60).run(&all, |(model, seed)| {
        let (both, mut random) = (Both::new(&model, 0), Random(seed));
        let reflected = both.reflected();
        for index in 0..model.structs.len() {
            let structure = reflected.structure(&struct_name(index)).unwrap();
            for _ in 0..VALUES {
                let start = random.next();
                let one = written(&both.schema, &both.second, index, &mut Random(start), ONE_SEGMENT);
                let expected = theirs(both.second.structure(index), one.bytes());
                for (bytes, format) in every_framing(one.bytes()) {
                    let is_within = is_within_budget(&both.schema.nodes[index], &bytes, format);
                    let expected = is_within.then(|| expected.clone());
                    prop_assert_eq!(ours(structure, &bytes, format), expected, "{:?}", format);
                }
                let many = written(&both.schema, &both.second, index, &mut Random(start), 9);
                if segments(many.bytes()) <= SEGMENTS_LIMIT {
                    prop_assert_eq!(theirs(both.second.structure(index), many.bytes()), expected.clone());
                    let is_within = is_within_budget(&both.schema.nodes[index], many.bytes(), FULL);
                    prop_assert_eq!(ours(structure, many.bytes(), FULL), is_within.then_some(expected));
                }
            }
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn what_we_accept_of_changed_messages_of_random_schemas_the_crate_reads_the_same() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let all = (models(), any::<u64>());
    let run = cases(60).run(&all, |(model, seed)| {
        let (both, mut random) = (Both::new(&model, 0), Random(seed));
        let reflected = both.reflected();
        for index in 0..model.structs.len() {
            let structure = reflected.structure(&struct_name(index)).unwrap();
            let size = if random.below(2) == 0 { ONE_SEGMENT } else { 9 };
            let whole = written(&both.schema, &both.second, index, &mut random, size);
            for _ in 0..CHANGES {
                let changed = changed(whole.bytes(), &mut random);
                match ours(structure, &changed, FULL) {
                    None => refused.set(refused.get() + 1),
                    Some(seen) => {
                        accepted.set(accepted.get() + 1);
                        prop_assert_eq!(theirs(both.second.structure(index), &changed), seen);
                    }
                }
            }
        }
        Ok(())
    });
    run.unwrap();
    // Otherwise the changes are too mild or too wild to say anything.
    let (accepted, refused) = (accepted.get(), refused.get());
    if !cfg!(miri) {
        assert!(accepted > 50 && refused > 50, "{accepted} accepted, {refused} refused");
    }
}

/// A few bits or words of a message changed.
fn changed(message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=random.below(3) {
        let word = random.below(bytes.len() / 8) * 8;
        if random.below(2) == 0 {
            bytes[word + random.below(8)] ^= 1 << random.below(8);
        } else {
            let other = random.below(bytes.len() / 8) * 8;
            bytes.copy_within(other..other + 8, word);
        }
    }
    bytes
}

#[test]
fn older_and_newer_versions_of_random_schemas_read_each_others_messages_as_the_crate_does() {
    let all = (models(), [0..4_usize, 0..4, 0..4, 0..4], any::<u64>());
    let run = cases(60).run(&all, |(model, cuts, seed)| {
        let versions = [Both::new(&model.older(cuts), 0), Both::new(&model, 1)];
        let mut random = Random(seed);
        for (writer, reader) in [(0, 1), (1, 0)].map(|(one, other)| (&versions[one], &versions[other])) {
            let reflected = reader.reflected();
            for index in 0..model.structs.len() {
                let structure = reflected.structure(&struct_name(index)).unwrap();
                let sent = written(&writer.schema, &writer.second, index, &mut random, ONE_SEGMENT);
                let expected = theirs(reader.second.structure(index), sent.bytes());
                for (bytes, format) in every_framing(sent.bytes()) {
                    // Its size is that of the writer's struct.
                    if format == RAW {
                        continue;
                    }
                    let is_within = is_within_budget(&reader.schema.nodes[index], &bytes, format);
                    prop_assert_eq!(ours(structure, &bytes, format), is_within.then(|| expected.clone()));
                }
            }
        }
        Ok(())
    });
    run.unwrap();
}
