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
    for shorter in (0..length).step_by(8).take(20) {
        let error = root.canonical(&mut vec![0; shorter]);
        assert!(matches!(error, Err(EncodeError::BufferTooSmall { needed }) if needed > shorter));
    }
    out
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
    let length = EverythingMessage::build(FULL, 0, out.bytes_mut(), |mut root| {
        root.any().capability(CapabilityIndex(0));
        Ok(())
    });
    let out = Aligned::new(&out.bytes()[..length.unwrap()]);
    let stable = Stable::new(out.bytes()).unwrap().with_capabilities(1);
    let root = frame::open(stable, FULL, 0, 0).unwrap();
    assert_eq!(root.canonical(&mut [0; 512]), Err(EncodeError::Refused));
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
    }
    let nothing = Aligned::of_words(&[to_list(0, 7, 0), ((1 << 29) - 1) << 2]);
    let root = frame::open(Stable::new(nothing.bytes()).unwrap(), RAW, 0, 1).unwrap();
    assert_eq!(root.canonical(&mut [0; 512]), Ok(24));
}
