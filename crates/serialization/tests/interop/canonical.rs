//! The canonical form: that of the `capnp` crate and of the reference tool, wherever the message came from.

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::serialize::BufferSegments;
use feuerbird_serialization::wire::CapabilityIndex;
use feuerbird_serialization::{Encode, EncodeError, Format, Layer, Stable, frame};

use crate::common::{Aligned, FULL, LITE, RAW, full_of, to_list, to_struct};
use crate::everything::*;
use crate::values::{Check, Described, description, encoded, every_value, with_any};

pub(crate) fn canonical(bytes: &[u8], format: Format) -> Vec<u8> {
    let bytes = Aligned::new(bytes);
    let root = frame::open(Stable::new(bytes.bytes()).unwrap(), format, 0, 0).unwrap();
    let mut out = vec![0xEE; root.canonical_bound()];
    let length = root.canonical(&mut out).unwrap();
    out.truncate(length);
    assert_eq!(root.canonical_hash(KEY), Ok(siphash(KEY, &out)), "the hash is that of the bytes");
    for shorter in (0..length).step_by(8).take(20) {
        let error = root.canonical(&mut vec![0; shorter]);
        assert!(matches!(error, Err(EncodeError::BufferTooSmall { needed }) if needed > shorter));
    }
    out
}

const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// SipHash-2-4 with 128 bits as its paper and reference implementation have it, over any bytes.
fn siphash([k0, k1]: [u64; 2], bytes: &[u8]) -> u128 {
    let [mut v0, mut v1] = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee];
    let [mut v2, mut v3] = [k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573];
    let mut rounds = |count: u32, before: &dyn Fn(&mut u64, &mut u64, &mut u64), word: u64| {
        before(&mut v1, &mut v2, &mut v3);
        for _ in 0..count {
            (v0, v2) = (v0.wrapping_add(v1), v2.wrapping_add(v3));
            (v1, v3) = (v1.rotate_left(13) ^ v0, v3.rotate_left(16) ^ v2);
            v0 = v0.rotate_left(32);
            (v2, v0) = (v2.wrapping_add(v1), v0.wrapping_add(v3));
            (v1, v3) = (v1.rotate_left(17) ^ v2, v3.rotate_left(21) ^ v0);
            v2 = v2.rotate_left(32);
        }
        v0 ^= word;
        v0 ^ v1 ^ v2 ^ v3
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    for word in words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word)) {
        rounds(2, &|_, _, v3| *v3 ^= word, word);
    }
    let low = rounds(4, &|_, v2, _| *v2 ^= 0xee, 0);
    let high = rounds(4, &|v1, _, _| *v1 ^= 0xdd, 0);
    u128::from(low) | u128::from(high) << 64
}

fn reader(full: &[u8]) -> capnp::message::Reader<BufferSegments<&[u8]>> {
    let options = ReaderOptions::new();
    capnp::message::Reader::new(BufferSegments::new(full, options).unwrap(), options)
}

/// The crate's canonical form.
fn theirs(full: &[u8]) -> Vec<u8> {
    capnp::Word::words_to_bytes(&reader(full).canonicalize().unwrap()).to_vec()
}

/// The same message in as many segments as it has objects.
fn scattered(full: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(HeapAllocator::new().first_segment_words(1));
    let reader = reader(full);
    builder.set_root(reader.get_root::<capnp::any_pointer::Reader<'_>>().unwrap()).unwrap();
    capnp::serialize::write_message_to_words(&builder)
}

/// All segments in one, without a schema.
fn flattened(full: &[u8]) -> Vec<u8> {
    let bytes = Aligned::new(full);
    let root = frame::open(Stable::new(bytes.bytes()).unwrap(), FULL, 0, 0).unwrap();
    let mut out = vec![0xEE; root.copied_size(FULL, 0, 0)];
    assert_eq!(root.copied(FULL, 0, 0, &mut out), Ok(out.len()));
    out
}

struct Canonical;

impl Check for Canonical {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let full = encoded(value, FULL);
        let form = canonical(full.bytes(), FULL);
        assert_eq!(form, theirs(full.bytes()), "{}", M::NAME);
        for format in [LITE, Layer::Lite.format()] {
            assert_eq!(canonical(encoded(value, format).bytes(), format), form);
        }
        let scattered = scattered(full.bytes());
        assert_eq!(canonical(&scattered, FULL), form);
        let flat = flattened(&scattered);
        assert_eq!(flat[..4], [0; 4], "one segment");
        assert_eq!(description::<M>(&flat, FULL), description::<M>(full.bytes(), FULL));
        let words: Vec<u64> = form.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let again = full_of(&[&words]);
        assert!(reader(again.bytes()).is_canonical().unwrap());
        assert_eq!(canonical(again.bytes(), FULL), form);
    }
}

/// One bit more or less in what is said is another hash; another key too.
#[test]
fn messages_that_say_something_else_have_other_hashes() {
    let mut hashes = std::collections::HashSet::new();
    for text in ["", "a", "b", "ab", "a\0"] {
        for child in [None, Some(&Tree::default())] {
            let tree = Tree { label: text, next: child, ..Tree::default() };
            let full = encoded::<TreeMessage>(&tree, FULL);
            let root = frame::open(Stable::new(full.bytes()).unwrap(), FULL, 0, 0).unwrap();
            for key in [KEY, [0, 0], [0, 1]] {
                assert!(hashes.insert(root.canonical_hash(key).unwrap()));
            }
        }
    }
}

#[test]
fn every_message_has_the_canonical_form_of_the_capnp_crate() {
    every_value(&Canonical);
    with_any(|sent| Canonical.check::<EverythingMessage>(&sent));
}

/// Padding, struct sizes of a newer schema, list elements that differ in what they need, and empty ones.
#[test]
fn messages_that_say_the_same_in_other_words_have_one_canonical_form() {
    let same: [(&[u64], &[u64]); 4] = [
        // A struct with fields at its end that were never set.
        (&[to_struct(0, 1, 0), 7], &[to_struct(0, 3, 2), 7, 0, 0, 0, 0]),
        // Three bits and their padding.
        (&[to_struct(0, 0, 1), to_list(0, 1, 3), 0b101], &[to_struct(0, 0, 1), to_list(0, 1, 3), !0b010]),
        // Two structs of which only the second needs its second word.
        (
            &[to_struct(0, 0, 1), to_list(0, 7, 4), 2 << 2 | 2 << 32, 1, 0, 0, 2],
            &[to_struct(0, 0, 1), to_list(0, 7, 6), 2 << 2 | 3 << 32, 1, 0, 0, 0, 2, 0],
        ),
        // A list of structs that say nothing, with a gap in front.
        (
            &[to_struct(0, 0, 1), to_list(0, 7, 0), 2 << 2],
            &[to_struct(0, 0, 1), to_list(1, 7, 2), 9, 2 << 2 | 1 << 32, 0, 0],
        ),
    ];
    for (canonical_words, others) in same {
        let forms = [canonical_words, others].map(|words| {
            let message = full_of(&[words]);
            let form = canonical(message.bytes(), FULL);
            assert_eq!(form, theirs(message.bytes()));
            form
        });
        assert_eq!(forms[0], full_of(&[canonical_words]).bytes()[8..]);
        assert_eq!(forms[0], forms[1]);
    }
}

#[test]
fn a_message_with_a_capability_has_no_canonical_form() {
    let mut out = Aligned::new(&[0; 256]);
    let length = EverythingMessage::build(FULL.with_capabilities(1), 0, out.bytes_mut(), |mut root| {
        root.any().capability(CapabilityIndex(0));
        Ok(())
    });
    let out = Aligned::new(&out.bytes()[..length.unwrap()]);
    let stable = Stable::new(out.bytes()).unwrap().with_capabilities(1);
    let root = frame::open(stable, FULL, 0, 0).unwrap();
    assert_eq!(root.canonical(&mut [0; 512]), Err(EncodeError::Refused));
    assert_eq!(root.canonical_hash(KEY), Err(EncodeError::Refused));
}

/// Raw is not checked: what no walk has bounded is bounded here.
#[test]
fn unchecked_messages_without_end_are_refused_and_huge_lists_of_nothing_cost_nothing() {
    let circle = [to_struct(-1, 0, 1)];
    let doubled: Vec<u64> = (0..40).flat_map(|_| [to_struct(1, 0, 2), to_struct(0, 0, 2)]).collect();
    for words in [&circle[..], &doubled] {
        let bytes = Aligned::of_words(words);
        let root = frame::open(Stable::new(bytes.bytes()).unwrap(), RAW, 0, 1).unwrap();
        assert_eq!(
            (root.canonical(&mut [0; 512]), root.canonical_bound()),
            (Err(EncodeError::TooLarge), usize::MAX)
        );
        assert_eq!(root.canonical_hash(KEY), Err(EncodeError::TooLarge));
    }
    let nothing = Aligned::of_words(&[to_list(0, 7, 0), ((1 << 29) - 1) << 2]);
    let root = frame::open(Stable::new(nothing.bytes()).unwrap(), RAW, 0, 1).unwrap();
    assert_eq!(root.canonical(&mut [0; 512]), Ok(24));
    assert!(root.canonical_hash(KEY).is_ok());
}
