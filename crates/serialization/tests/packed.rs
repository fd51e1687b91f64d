//! Packing: byte for byte what the `capnp` crate writes, and safe against what it would not write.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use common::{Aligned, FULL, encoded, full_of, payload, sample};
use feuerbird_serialization::{DecodeError, EncodeError, pack, packed_bound, unpack, unpacked_size};
use proptest::prelude::*;
use zerocopy::IntoBytes;

fn packed(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0xEE; packed_bound(message.len())];
    let length = pack(message, &mut out).unwrap();
    out.truncate(length);
    out
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = vec![0xEE; unpacked_size(packed)?];
    let length = unpack(packed, &mut out)?;
    assert_eq!(length, out.len());
    Ok(out)
}

/// A message whose root is data, packed by the crate and not packed.
fn packed_by_capnp(data: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let mut builder = Builder::new(HeapAllocator::new().first_segment_words(data.len() as u32 + 1));
    builder.set_root::<capnp::data::Owned>(data.as_bytes()).unwrap();
    let mut packed = Vec::new();
    capnp::serialize_packed::write_message(&mut packed, &builder).unwrap();
    (packed, capnp::serialize::write_message_to_words(&builder))
}

/// The first message that the crate reads, and in how many bytes it was packed.
fn unpacked_by_capnp(packed: &[u8]) -> Result<(Vec<u8>, usize), capnp::Error> {
    let mut rest = packed;
    let reader = capnp::serialize_packed::read_message(&mut rest, ReaderOptions::new())?;
    let message = capnp::serialize::write_message_segments_to_words(&reader.into_segments());
    Ok((message, packed.len() - rest.len()))
}

fn goes_through(message: &[u8]) {
    let packed = packed(message);
    let mut whole = message.to_vec();
    whole.resize(message.len().next_multiple_of(8), 0);
    assert_eq!(unpacked(&packed), Ok(whole));
    for length in 0..packed.len().min(300) {
        let mut out = vec![0; length];
        assert!(
            matches!(pack(message, &mut out), Err(EncodeError::BufferTooSmall { needed }) if needed > length)
        );
    }
    let mut exact = vec![0; packed.len()];
    assert_eq!((pack(message, &mut exact), exact), (Ok(packed.len()), packed));
}

#[test]
fn the_examples_of_the_specification_are_packed_as_it_says() {
    let example = [8, 0, 0, 0, 3, 0, 2, 0, 0x19, 0, 0, 0, 0xaa, 1, 0, 0];
    // As words alone, the first would be taken for a table of nine segments.
    assert_eq!(packed(&example), [0x51, 8, 3, 2, 0x31, 0x19, 0xaa, 1]);
    assert_eq!(packed(&[0; 32]), [0, 0, 0, 2]);
    let full: Vec<u8> = (0..32 * 8).map(|_| 0x8a).collect();
    assert_eq!(packed(&full)[..10], [0xff, 0x8a, 0x8a, 0x8a, 0x8a, 0x8a, 0x8a, 0x8a, 0x8a, 31]);
    assert!(packed(&[]).is_empty());
}

/// Words of the kinds that packing treats differently.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(0),
        3 => any::<u64>().prop_map(|word| word | 0x0101_0101_0101_0101),
        1 => any::<u64>().prop_map(|word| (word | 0x0101_0101_0101_0101) & !0xFF00),
        1 => any::<u64>().prop_map(|word| (word | 0x0101_0101_0101_0101) & !0xFFFF_0000),
        1 => any::<u64>().prop_map(|word| word & 0x00FF_0000_0000_FF00),
    ]
}

/// Words in runs, some longer than a count can say.
fn segment() -> impl Strategy<Value = Vec<u64>> {
    let run = (word(), prop_oneof![4 => 1_usize..4, 1 => 250_usize..520]);
    prop::collection::vec(run, 0..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(word, count)| vec![word; count]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_is_packed_as_the_capnp_crate_packs_it(segment in segment()) {
        let (theirs, message) = packed_by_capnp(&segment);
        prop_assert_eq!(packed(&message), &theirs[..]);
        prop_assert_eq!(unpacked(&theirs).unwrap(), message);
    }

    #[test]
    fn segments_and_their_table_are_read_by_the_capnp_crate(segments in prop::collection::vec(segment(), 1..5)) {
        let segments: Vec<&[u64]> = segments.iter().map(Vec::as_slice).collect();
        let message = full_of(&segments);
        let ours = packed(message.bytes());
        prop_assert_eq!(unpacked_by_capnp(&ours).unwrap(), (message.bytes().to_vec(), ours.len()));
        prop_assert_eq!(unpacked(&ours).unwrap(), message.bytes());
    }

    #[test]
    fn any_bytes_go_through_buffers_of_any_size(bytes in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..200)) {
        goes_through(&bytes);
    }
}

/// Every order of the words that cost most.
#[test]
fn the_bound_holds_and_is_reached() {
    let kinds = [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4, 5, 6, 7, 0],
        [1, 2, 3, 4, 5, 6, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ];
    for length in 0..7 {
        let messages = (0..kinds.len().pow(length)).map(|mut number| {
            let mut message = Vec::new();
            for _ in 0..length {
                message.extend(kinds[number % kinds.len()]);
                number /= kinds.len();
            }
            message
        });
        let most = messages.map(|message| packed(&message).len()).max().unwrap();
        // What the bound allows for a table is not used by words without one.
        assert!(most + 3 >= packed_bound(length as usize * 8), "{length}: {most}");
    }
}

/// The second word of the table is zero, and so are the words behind it.
#[test]
fn a_run_of_zeros_ends_with_the_table() {
    let message = full_of(&[&[0, 0], &[]]);
    assert_eq!(&message.bytes()[8..16], [0; 8]);
    assert_eq!(unpacked_by_capnp(&packed(message.bytes())).unwrap().0, message.bytes());
}

#[test]
fn what_is_cut_off_is_refused_and_the_limit_is_kept() {
    let bytes = payload(3000);
    let message = encoded(&sample(&bytes), FULL);
    let whole = packed(message.bytes());
    for length in 0..whole.len() {
        // Where a word ends, the rest may be missing: then the message itself is too short.
        let cut = unpacked(&whole[..length]);
        assert!(cut == Err(DecodeError::Truncated) || cut.unwrap().len() < message.bytes().len());
    }
    for length in (0..message.bytes().len()).step_by(7) {
        assert_eq!(unpack(&whole, &mut vec![0; length]), Err(DecodeError::Amplified));
    }
    // A bomb: 2 bytes for each 2 KiB.
    let bomb = [0, 255].repeat(1000);
    assert_eq!(unpacked_size(&bomb), Ok(1000 * 256 * 8));
    assert_eq!(unpack(&bomb, &mut [0; 4096]), Err(DecodeError::Amplified));
}

/// A fixed sequence of numbers: xorshift.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn mutated_messages_are_unpacked_as_the_capnp_crate_unpacks_them_or_refused() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let bytes = payload(90);
    let one = encoded(&sample(&bytes), FULL);
    let many = full_of(&[&[1 << 32, 7], &[u64::MAX; 5], &[0; 9], &[0x0102_0304_0506_0708; 3]]);
    let originals = [packed(one.bytes()), packed(many.bytes())];
    let (mut same, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut mutated = originals[random(&mut state) % 2].clone();
        for _ in 0..1 + random(&mut state) % 4 {
            let at = random(&mut state) % mutated.len();
            match random(&mut state) % 4 {
                0 => mutated[at] = random(&mut state) as u8,
                1 => mutated[at] ^= 1 << (random(&mut state) % 8),
                2 => mutated.truncate(at + 1),
                _ => mutated.insert(at, [0, 0xFF][random(&mut state) % 2]),
            }
        }
        let mut out = [0; 4096];
        let ours = unpack(&mutated, &mut out);
        assert_eq!(ours.ok(), unpacked_size(&mutated).ok().filter(|size| *size <= out.len()));
        match unpacked_by_capnp(&mutated) {
            Ok((theirs, packed)) => {
                assert_eq!(unpack(&mutated[..packed], &mut out), Ok(theirs.len()));
                let table = (usize::from(theirs[0]).div_ceil(2) + 1) * 8;
                // The crate does not look at the padding of a table.
                assert!(out[..8] == theirs[..8] && out[table..theirs.len()] == theirs[table..]);
                same += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(same > 1000 && refused > 1000, "{same} {refused}");
}

#[test]
fn the_crates_messages_in_many_segments_are_unpacked() {
    let mut builder = Builder::new(HeapAllocator::new().first_segment_words(1));
    let mut list =
        builder.init_root::<capnp::any_pointer::Builder<'_>>().initn_as::<capnp::data_list::Builder<'_>>(40);
    (0..40).for_each(|index| list.set(index, &payload(index as usize * 3)));
    let mut theirs = Vec::new();
    capnp::serialize_packed::write_message(&mut theirs, &builder).unwrap();
    let words = capnp::serialize::write_message_to_words(&builder);
    assert!(words[0] > 0);
    assert_eq!(Aligned::new(&unpacked(&theirs).unwrap()).bytes(), words);
}
