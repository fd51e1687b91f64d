//! Bytes from somebody who means harm: never a panic, never accepted when out of bounds, never more work than the message
//! is worth, and never accepted where the `capnp` crate refuses.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::any_pointer;
use capnp::message::{Reader, ReaderOptions, SegmentArray};
use common::{
    Aligned, FORMATS, FULL, LITE, RAW, decode, decode_plain, encoded, full_of, lite_of, payload, sample,
    to_far, to_list, to_struct, with_second_pointer,
};
use feuerbird_serialization::sample::Sample;
use feuerbird_serialization::{DEPTH_LIMIT, DecodeError, Format, Framing, Layer};
use proptest::prelude::*;

/// The errors of a segment in Lite and, as the only segment, in Full, which must be the same.
fn refusal(segment: &[u64]) -> DecodeError {
    let lite = decode(lite_of(segment).bytes(), LITE).map(|_| ()).unwrap_err();
    let full = decode(full_of(&[segment]).bytes(), FULL).map(|_| ()).unwrap_err();
    assert_eq!(lite, full);
    assert!(lite.blames_peer());
    lite
}

/// Whether the `capnp` crate can visit all of a segment.
fn crate_accepts(segments: &[&[u8]]) -> bool {
    let reader = Reader::new(SegmentArray::new(segments), ReaderOptions::new());
    reader.get_root::<any_pointer::Reader<'_>>().and_then(|root| root.target_size()).is_ok()
}

/// In Raw, whose senders are trusted, a message that ends early reads as if what is missing had never been set.
#[test]
fn every_truncation_and_every_extension_is_refused() {
    let payload = payload(45);
    for format in FORMATS.into_iter().filter(|format| *format != RAW) {
        let whole = encoded(&sample(&payload), format);
        for length in 0..whole.bytes().len() {
            let cut = Aligned::new(&whole.bytes()[..length]);
            let result = decode(cut.bytes(), format);
            assert!(result.is_err_and(|e| e.blames_peer()), "{length} bytes, {format:?}: {result:?}");
        }
        for more in 1..=17 {
            let mut longer = whole.bytes().to_vec();
            longer.resize(longer.len() + more, 0);
            let longer = Aligned::new(&longer);
            let result = decode(longer.bytes(), format);
            assert_eq!(result, Err(DecodeError::TrailingBytes), "{more} more, {format:?}");
        }
    }
}

#[test]
fn bytes_that_are_not_aligned_are_refused() {
    let payload = payload(45);
    for format in FORMATS {
        let whole = encoded(&sample(&payload), format);
        let mut shifted = vec![0];
        shifted.extend_from_slice(whole.bytes());
        let shifted = Aligned::new(&shifted);
        let result = decode(&shifted.bytes()[1..], format);
        assert_eq!(result, Err(DecodeError::Misaligned));
        assert_eq!(decode_plain::<u64>(&shifted.bytes()[1..], format), Err(DecodeError::Misaligned));
    }
}

#[test]
fn a_checksum_finds_every_flipped_bit() {
    let payload = payload(45);
    let format = Format::from(Layer::Lite);
    let whole = encoded(&sample(&payload), format);
    for bit in 0..whole.bytes().len() * 8 {
        let mut broken = whole.clone();
        broken.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(broken.bytes(), format).is_err(), "bit {bit}");
    }
}

#[test]
fn every_format_but_the_bindings_is_refused() {
    let payload = payload(45);
    for sent in FORMATS {
        let message = encoded(&sample(&payload), sent);
        for bound in FORMATS.into_iter().filter(|bound| *bound != sent && *bound != RAW) {
            let result = decode(message.bytes(), bound);
            assert!(result.is_err(), "sent as {sent:?}, read as {bound:?}: {result:?}");
        }
    }
    for bit in 0..32 {
        let mut message = encoded(&sample(&payload), LITE);
        message.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(message.bytes(), LITE), Err(DecodeError::WrongFormat));
    }
}

/// Each word in turn becomes each of the values that an attacker would choose. What is still accepted must be what the
/// crate reads too.
#[test]
fn no_single_changed_word_does_harm() {
    let mut values = chosen_words();
    if cfg!(miri) {
        // A few of each kind.
        values = values.into_iter().step_by(23).collect();
    }
    let sizes = if cfg!(miri) { &[3][..] } else { &[0, 3, 16, 64] };
    for size in sizes.iter().copied() {
        let payload = payload(size);
        for format in FORMATS {
            let whole = encoded(&sample(&payload), format);
            for word in 0..whole.bytes().len() / 8 {
                for value in &values {
                    let mut changed = whole.clone();
                    changed.bytes_mut()[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
                    agree(changed.bytes(), format);
                }
            }
        }
    }
}

fn chosen_words() -> Vec<u64> {
    let mut words = vec![0, 1, 2, 3, u64::MAX, 1 << 63, 0x7FFF_FFFF_FFFF_FFFF, 1 << 32, 0xFFFF_FFFF];
    for offset in [-(1 << 29), -9, -3, -2, -1, 0, 1, 2, 5, 6, 7, 8, (1 << 29) - 1] {
        for (data, pointers) in [(0, 0), (1, 0), (0, 1), (4, 1), (u16::MAX, u16::MAX), (0, u16::MAX)] {
            words.push(to_struct(offset, data, pointers));
        }
        for element in 0..8 {
            words.extend([0, 1, 2, 8, 64, 65, (1 << 29) - 1].map(|count| to_list(offset, element, count)));
        }
    }
    for at in [0, 1, 5, u32::MAX >> 3] {
        for segment in [0, 1, u32::MAX] {
            words.extend([to_far(segment, at, false), to_far(segment, at, true)]);
        }
    }
    words
}

/// Decodes; if we accept a Cap'n Proto message, the crate must, and must see the same fields.
fn agree(bytes: &[u8], format: Format) {
    let Ok(ours) = decode(bytes, format) else { return };
    let framed = match format.framing {
        Framing::Bare => return,
        Framing::Header => &bytes[8..],
        Framing::Table => bytes,
    };
    let mut rest = framed;
    let reader = capnp::serialize::read_message_from_flat_slice(&mut rest, ReaderOptions::new())
        .expect("the crate refuses a framing that we accept");
    let root: any_pointer::Reader<'_> = reader.get_root().unwrap();
    root.target_size().expect("the crate refuses a message that we accept");
    let message = Aligned::new(framed);
    let full = decode(message.bytes(), FULL).expect("Lite accepts what Full refuses");
    assert_eq!(ours, full);
}

#[test]
fn pointers_out_of_the_message_are_refused() {
    for segment in [
        vec![to_struct(1, 4, 1)],
        vec![to_struct(-2, 0, 0), 0],
        vec![to_struct(0, 2, 0), 0],
        vec![to_struct(0, u16::MAX, u16::MAX), 0],
        with_second_pointer(to_list(0, 2, 9), &[0]),
        with_second_pointer(to_list(0, 1, 65), &[0]),
        with_second_pointer(to_list(0, 5, 2), &[0]),
        with_second_pointer(to_list(0, 6, 2), &[0]),
        with_second_pointer(to_list(0, 6, (1 << 29) - 1), &[0]),
        with_second_pointer(to_list(-8, 2, 8), &[0]),
        // A list of structs: without its tag, with too many elements, with a negative number of them.
        with_second_pointer(to_list(0, 7, 1), &[0]),
        with_second_pointer(to_list(0, 7, 1), &[to_struct(2, 1, 0), 0]),
        with_second_pointer(to_list(0, 7, 1), &[to_struct(1, 1, 1), 0]),
        with_second_pointer(to_list(0, 7, 1), &[to_struct(-1, 0, 0), 0]),
        with_second_pointer(to_list(0, 7, 1), &[to_struct((1 << 29) - 1, u16::MAX, u16::MAX), 0]),
        // A pointer inside of a list of structs, in the first of them and, behind data that points nowhere, in the last.
        with_second_pointer(to_list(0, 7, 4), &[to_struct(2, 1, 1), 5, 0, 5, to_list(0, 2, 1)]),
        with_second_pointer(to_list(0, 7, 2), &[to_struct(1, 1, 1), 5, to_list(0, 2, 1)]),
    ] {
        assert_eq!(refusal(&segment), DecodeError::OutOfBounds, "{segment:x?}");
    }
}

#[test]
fn an_empty_segment_has_no_root() {
    assert!(decode(lite_of(&[]).bytes(), LITE).is_err());
    assert!(decode(full_of(&[&[]]).bytes(), FULL).is_err());
}

#[test]
fn capabilities_and_reserved_pointers_are_refused() {
    for pointer in [3, 3 | 1 << 32, 7, 0xFFFF_FFFF] {
        assert_eq!(refusal(&with_second_pointer(pointer, &[])), DecodeError::WrongPointer);
        assert_eq!(refusal(&[pointer]), DecodeError::WrongPointer);
    }
    // The tag of a list of structs that is not one.
    let tag = with_second_pointer(to_list(0, 7, 1), &[to_list(0, 2, 1), 0]);
    assert_eq!(refusal(&tag), DecodeError::WrongPointer);
}

#[test]
fn a_field_of_another_type_is_refused() {
    let segment = |payload| vec![to_struct(0, 4, 1), 1, 2, 3, 4, payload, 0];
    for payload in
        [to_struct(0, 1, 0), to_list(0, 3, 2), to_list(0, 6, 1), to_list(0, 7, 0), to_list(0, 0, 3)]
    {
        let lite = lite_of(&segment(payload));
        assert_eq!(decode(lite.bytes(), LITE), Err(DecodeError::WrongType));
        let full = full_of(&[&segment(payload)]);
        assert_eq!(decode(full.bytes(), FULL), Err(DecodeError::WrongType));
    }
    let root_list = [to_list(0, 2, 8), 0];
    assert_eq!(decode(lite_of(&root_list).bytes(), LITE), Err(DecodeError::WrongType));
    assert_eq!(decode(full_of(&[&root_list]).bytes(), FULL), Err(DecodeError::WrongType));
}

#[test]
fn lists_of_nothing_are_refused_when_they_are_huge() {
    let void = with_second_pointer(to_list(0, 0, (1 << 29) - 1), &[]);
    assert_eq!(refusal(&void), DecodeError::Amplified);
    let structs = with_second_pointer(to_list(0, 7, 0), &[to_struct((1 << 29) - 1, 0, 0)]);
    assert_eq!(refusal(&structs), DecodeError::Amplified);
    // A few are fine.
    let few = with_second_pointer(to_list(0, 7, 0), &[to_struct(5, 0, 0)]);
    assert!(decode(lite_of(&few).bytes(), LITE).is_ok());
}

#[test]
fn cycles_and_shared_objects_are_refused() {
    // A struct whose only pointer leads back to itself.
    let cycle = with_second_pointer(to_struct(0, 0, 1), &[to_struct(-1, 0, 1)]);
    assert!(matches!(refusal(&cycle), DecodeError::TooDeep | DecodeError::Amplified));
    // The root's pointer leads to the root.
    let root = [to_struct(0, 0, 2), to_struct(-1, 0, 2), to_struct(-2, 0, 2)];
    assert!(matches!(refusal(&root), DecodeError::TooDeep | DecodeError::Amplified));
    // A thousand pointers to one kilobyte: a megabyte to read in a message of 9 KB.
    let mut shared = with_second_pointer(to_list(0, 6, 1000), &[]);
    shared.extend((0..1000).map(|i| to_list(999 - i, 5, 128)));
    shared.extend([0; 128]);
    assert_eq!(refusal(&shared), DecodeError::Amplified);
    // Twenty levels, each pointing twice to the next: a million visits in a message of 400 bytes.
    let mut doubling = with_second_pointer(to_struct(0, 0, 2), &[]);
    for _ in 0..20 {
        doubling.extend([to_struct(1, 0, 2), to_struct(0, 0, 2)]);
    }
    doubling.extend([0, 0]);
    assert_eq!(refusal(&doubling), DecodeError::Amplified);
}

#[test]
fn nesting_ends_at_the_limit_exactly() {
    // A chain of structs; the root and the first pointer are two levels.
    let chain = |levels: usize| {
        let mut segment = with_second_pointer(to_struct(0, 0, 1), &[]);
        segment.extend(std::iter::repeat_n(to_struct(0, 0, 1), levels - 2));
        segment.push(0);
        segment
    };
    let deepest = chain(DEPTH_LIMIT);
    assert!(decode(lite_of(&deepest).bytes(), LITE).is_ok());
    assert!(crate_accepts(&[&lite_of(&deepest).bytes()[16..]]), "the crate allows as much");
    assert_eq!(refusal(&chain(DEPTH_LIMIT + 1)), DecodeError::TooDeep);
    // A leaf is a level, too: the crate counts it, and whoever sends it on.
    for (pointer, leaf) in
        [(to_struct(0, 1, 0), vec![7]), (to_list(0, 2, 3), vec![7]), (to_list(0, 7, 0), vec![0])]
    {
        let with_leaf = |levels| {
            let mut segment = chain(levels);
            *segment.last_mut().unwrap() = pointer;
            [segment, leaf.clone()].concat()
        };
        assert!(decode(lite_of(&with_leaf(DEPTH_LIMIT - 1)).bytes(), LITE).is_ok());
        assert!(!crate_accepts(&[&lite_of(&with_leaf(DEPTH_LIMIT)).bytes()[16..]]));
        assert_eq!(refusal(&with_leaf(DEPTH_LIMIT)), DecodeError::TooDeep);
    }
    assert_eq!(refusal(&chain(100_000)), DecodeError::TooDeep);
}

#[test]
fn far_pointers_are_for_full_only() {
    let first = [to_far(1, 0, false)];
    let second = [to_struct(0, 4, 0), 1, 2, 3, 4];
    let expected = Sample { sequence: 1, producer: 2, sent_at: 3, digest: 4, payload: &[] };
    assert_eq!(decode(full_of(&[&first, &second]).bytes(), FULL), Ok(expected));
    let within_one = [to_far(0, 1, false), to_struct(0, 4, 0), 1, 2, 3, 4];
    assert_eq!(decode(full_of(&[&within_one]).bytes(), FULL), Ok(expected));
    let lite = lite_of(&within_one);
    assert_eq!(decode(lite.bytes(), LITE), Err(DecodeError::WrongPointer));
    let double = [to_far(1, 0, true)];
    let pad = [to_far(2, 0, false), to_struct(0, 4, 0)];
    let message = full_of(&[&double, &pad, &[1, 2, 3, 4]]);
    assert_eq!(decode(message.bytes(), FULL), Ok(expected));
}

/// The crate takes some of these; other implementations refuse them.
#[test]
fn malformed_landing_pads_are_refused() {
    let object = [1, 2, 3, 4];
    let refused = |segments: &[&[u64]]| {
        decode(full_of(segments).bytes(), FULL).map(|_| ()).expect_err("a malformed pad")
    };
    let tag = to_struct(0, 4, 0);
    for pad in [
        [to_far(2, 0, true), tag],
        [tag, tag],
        [0, tag],
        [to_far(2, 0, false), 0],
        [to_far(2, 0, false), to_struct(1, 3, 0)],
        [to_far(2, 0, false), to_far(2, 0, false)],
        [to_far(2, 0, false), 3],
    ] {
        let error = refused(&[&[to_far(1, 0, true)], &pad, &object]);
        assert_eq!(error, DecodeError::WrongPointer, "{pad:x?}");
    }
    for pad in [to_far(2, 0, false), to_far(1, 0, false), 0, 3] {
        assert_eq!(refused(&[&[to_far(1, 0, false)], &[pad], &object]), DecodeError::WrongPointer);
    }
    // Pads out of bounds.
    for far in [to_far(9, 0, false), to_far(1, 1, false), to_far(1, u32::MAX >> 3, true), to_far(1, 0, true)]
    {
        assert_eq!(refused(&[&[far], &[tag]]), DecodeError::OutOfBounds, "{far:x}");
    }
}

#[test]
fn segment_tables_that_lie_are_refused() {
    let whole = encoded(&sample(b"x"), FULL);
    for (at, value) in [(0, 1_u32), (0, 5), (0, u32::MAX), (0, 511), (4, 0), (4, 6), (4, 8), (4, u32::MAX)] {
        let mut message = whole.clone();
        message.bytes_mut()[at..][..4].copy_from_slice(&value.to_le_bytes());
        assert!(decode(message.bytes(), FULL).is_err(), "{value} at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 2000 }))]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Aligned::new(&bytes);
        for format in FORMATS {
            agree(bytes.bytes(), format);
            let _ = decode_plain::<u64>(bytes.bytes(), format);
        }
    }

    /// Segments of words that are likely to be pointers, behind honest headers, so that the walk gets far.
    #[test]
    fn random_pointers_do_no_harm(segments in prop::collection::vec(prop::collection::vec(word(), 1..24), 1..4)) {
        let one = &segments[0];
        agree(lite_of(one).bytes(), LITE);
        agree(full_of(&[one]).bytes(), FULL);
        let all: Vec<&[u64]> = segments.iter().map(Vec::as_slice).collect();
        agree(full_of(&all).bytes(), FULL);
    }

    #[test]
    fn mutated_messages_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..4), size in 0_usize..100
    ) {
        let payload = payload(size);
        for format in FORMATS {
            let mut message = encoded(&sample(&payload), format);
            let words = message.bytes().len() / 8;
            for (at, value) in &changes {
                let at = at.index(words) * 8;
                message.bytes_mut()[at..][..8].copy_from_slice(&value.to_le_bytes());
            }
            agree(message.bytes(), format);
        }
    }
}

/// A word that is likely to mean something.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => any::<u64>(),
        1 => 0..16_u64,
        4 => (-4..12, 0..4_u16, 0..4_u16).prop_map(|(offset, data, pointers)| to_struct(offset, data, pointers)),
        4 => (-4..12, 0..8_u64, 0..20_u64).prop_map(|(offset, element, count)| to_list(offset, element, count)),
        2 => (0..4_u32, 0..8_u32, any::<bool>()).prop_map(|(segment, at, double)| to_far(segment, at, double)),
    ]
}
