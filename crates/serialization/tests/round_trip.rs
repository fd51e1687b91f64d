//! What is sent arrives, in every layer, and other readers and writers of Cap'n Proto understand it.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{AllocationStrategy, Builder, HeapAllocator, ReaderOptions};
use common::{Aligned, FORMATS, FULL, LITE, decode, decode_plain, encode, encoded, full_of, payload, sample};
use feuerbird_serialization::sample::{Sample, encode_in_place, encoded_size};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Layer, Message, Plain, PlainValue};
use proptest::prelude::*;
use zerocopy::IntoBytes;

#[allow(dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod sample_capnp {
    include!(concat!(env!("OUT_DIR"), "/sample_capnp.rs"));
}

#[test]
fn samples_of_every_size_arrive_in_every_layer() {
    let sizes = (0..=80).chain([1 << 10, (1 << 10) + 1, (1 << 16) - 1, 1 << 16, (1 << 20) - 1, 1 << 20]);
    for size in sizes {
        let payload = payload(size);
        let sent = sample(&payload);
        for layer in Layer::ALL {
            assert_eq!(encoded(&sent, layer.into()).bytes().len(), encoded_size(size, layer));
        }
        for format in FORMATS {
            let message = encoded(&sent, format);
            assert_eq!(decode(message.bytes(), format), Ok(sent), "{size} bytes, {format:?}");
        }
    }
}

#[test]
fn the_payload_is_borrowed_from_the_message() {
    let payload = payload(100);
    for format in FORMATS {
        let message = encoded(&sample(&payload), format);
        let received = decode(message.bytes(), format).unwrap();
        assert!(message.bytes().as_ptr_range().contains(&received.payload.as_ptr()), "{format:?}");
    }
}

#[test]
fn a_payload_made_in_place_is_the_same_message() {
    let payload = payload(333);
    let sent = sample(&payload);
    for format in FORMATS {
        let mut out = vec![0xEE; 512];
        let length = encode_in_place(payload.len(), format, &mut out, |place| {
            place.copy_from_slice(&payload);
            sent
        });
        assert_eq!(&out[..length.unwrap()], encoded(&sent, format).bytes(), "{format:?}");
    }
}

#[test]
fn a_message_that_its_layer_cannot_say_is_an_error() {
    // The buffer is too small as well, so that nothing this large needs to exist.
    for layer in Layer::ALL {
        for bytes in [1 << 33, usize::MAX] {
            let result = encode_in_place(bytes, layer, &mut [0; 64], |_| unreachable!());
            assert_eq!(result, Err(EncodeError::TooLarge));
        }
    }
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_at_every_length() {
    let payload = payload(37);
    let sent = sample(&payload);
    for format in FORMATS {
        let needed = sent.encoded_bound(format);
        for length in 0..needed {
            let result = encode(&sent, format, &mut vec![0; length]);
            assert_eq!(result, Err(EncodeError::BufferTooSmall { needed }));
        }
    }
}

#[test]
fn nothing_behind_the_message_is_touched_and_nothing_old_shows_in_it() {
    let payload = payload(13);
    let sent = sample(&payload);
    for format in FORMATS {
        let mut out = vec![0xEE_u8; 256];
        let length = encode(&sent, format, &mut out).unwrap();
        assert!(out[length..].iter().all(|&byte| byte == 0xEE));
        let mut zeroed = vec![0_u8; 256];
        encode(&sent, format, &mut zeroed).unwrap();
        assert_eq!(out[..length], zeroed[..length], "old bytes of the buffer leak, {format:?}");
    }
}

#[test]
fn a_lite_message_is_a_full_message_from_byte_8_on() {
    let payload = payload(1000);
    let sent = sample(&payload);
    let lite = encoded(&sent, Layer::Lite.format());
    let full = encoded(&sent, FULL);
    assert_eq!(&lite.bytes()[8..], full.bytes());
    assert_eq!(decode(&lite.bytes()[8..], Layer::Full), Ok(sent));
}

#[test]
fn the_capnp_crate_writes_the_same_bytes() {
    for size in [0, 1, 7, 8, 9, 1000] {
        let payload = payload(size);
        let sent = sample(&payload);
        let mut builder = Builder::new_default();
        build(&mut builder, &sent);
        // The crate leaves an empty list out of the end, we point to it; both are legal.
        if size > 0 {
            let theirs = capnp::serialize::write_message_to_words(&builder);
            assert_eq!(theirs, encoded(&sent, FULL).bytes(), "{size} bytes");
        }
    }
}

#[test]
fn the_capnp_crate_reads_lite_messages() {
    let payload = payload(777);
    let sent = sample(&payload);
    let lite = encoded(&sent, Layer::Lite.format());
    let mut framed = &lite.bytes()[8..];
    let reader = capnp::serialize::read_message_from_flat_slice(&mut framed, ReaderOptions::new()).unwrap();
    assert!(framed.is_empty());
    let root: sample_capnp::sample::Reader<'_> = reader.get_root().unwrap();
    assert_eq!(root.get_sequence(), sent.sequence);
    assert_eq!(root.get_producer(), sent.producer);
    assert_eq!(root.get_sent_at(), sent.sent_at);
    assert_eq!(root.get_digest(), sent.digest);
    assert_eq!(root.get_payload().unwrap(), sent.payload);
}

#[test]
fn full_takes_messages_of_several_segments() {
    for (size, first) in [(0, 1), (100, 1), (100, 6), (5000, 2)] {
        let payload = payload(size);
        let sent = sample(&payload);
        let allocator = HeapAllocator::new()
            .first_segment_words(first)
            .allocation_strategy(AllocationStrategy::FixedSize);
        let mut builder = Builder::new(allocator);
        build(&mut builder, &sent);
        let segments = builder.get_segments_for_output().len();
        let message = Aligned::new(&capnp::serialize::write_message_to_words(&builder));
        assert_eq!(decode(message.bytes(), Layer::Full), Ok(sent), "{segments} segments");
        if segments > 1 {
            let mut lite = u64::from(b'L').to_le_bytes().to_vec();
            lite.extend_from_slice(message.bytes());
            let lite = Aligned::new(&lite);
            assert_eq!(decode(lite.bytes(), LITE), Err(DecodeError::TooManySegments));
        }
    }
}

#[test]
fn full_takes_as_many_segments_as_the_crate_and_no_more() {
    let root = [common::to_struct(0, 4, 1), 1, 2, 3, 4, 0];
    for count in [1, 2, 8, 9, 511, 512, 600] {
        let mut segments: Vec<&[u64]> = vec![&root];
        segments.resize(count, &[]);
        let message = full_of(&segments);
        let ours = decode(message.bytes(), Layer::Full);
        let theirs =
            capnp::serialize::read_message_from_flat_slice(&mut message.bytes(), ReaderOptions::new());
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{count} segments");
        assert_eq!(ours.is_ok(), count <= feuerbird_serialization::SEGMENTS_LIMIT);
    }
}

#[test]
fn messages_of_older_and_newer_schemas_are_read() {
    // An older one: two words of data, no payload yet.
    let older = [common::to_struct(0, 2, 0), 11, 22];
    let expected = Sample { sequence: 11, producer: 22, ..Sample::default() };
    assert_eq!(decode(common::lite_of(&older).bytes(), LITE), Ok(expected));
    assert_eq!(decode(full_of(&[&older]).bytes(), Layer::Full), Ok(expected));
    // A newer one: one more word, one more pointer, to a struct that is not known here.
    let newer = [
        common::to_struct(0, 5, 2),
        11,
        22,
        33,
        44,
        55,
        common::to_list(1, 2, 3),
        common::to_struct(1, 1, 0),
        0x0043_4241,
        99,
    ];
    let expected = Sample { sequence: 11, producer: 22, sent_at: 33, digest: 44, payload: b"ABC" };
    assert_eq!(decode(common::lite_of(&newer).bytes(), LITE), Ok(expected));
    assert_eq!(decode(full_of(&[&newer]).bytes(), Layer::Full), Ok(expected));
    // None at all.
    assert_eq!(decode(common::lite_of(&[0]).bytes(), LITE), Ok(Sample::default()));
    assert_eq!(decode(full_of(&[&[0]]).bytes(), Layer::Full), Ok(Sample::default()));
}

#[test]
fn plain_values_arrive_in_every_layer() {
    arrives(());
    arrives(0xA5_u8);
    arrives(u64::MAX);
    arrives(i128::MIN);
    arrives(1.5_f64);
    arrives([7_u16; 33]);
    arrives([[1_u8; 3]; 5]);
    arrives([0x55_u8; 4096]);
}

fn arrives<T: PlainValue + PartialEq + core::fmt::Debug>(value: T) {
    for format in FORMATS {
        let needed = Encode::<Plain<T>>::encoded_bound(&value, format);
        let mut out = Aligned::new(&vec![0xEE; needed]);
        assert_eq!(Encode::<Plain<T>>::encode(&value, format, out.bytes_mut()), Ok(needed));
        assert_eq!(decode_plain::<T>(out.bytes(), format), Ok(value));
        // Arrays of other lengths are other types: this must not be read as one of them.
        assert!(decode_plain::<[T; 2]>(out.bytes(), format).is_err() || size_of::<T>() == 0);
        assert!(decode_plain::<[T; 0]>(out.bytes(), format).is_err() || size_of::<T>() == 0);
    }
}

#[test]
fn identities_of_different_messages_differ() {
    let ours = Plain::<u64>::IDENTITY;
    let says = |theirs: &feuerbird_serialization::Identity| ours.difference(theirs).unwrap().to_string();
    assert_eq!(says(&Plain::<i64>::IDENTITY), "name: ours \"u64\", theirs \"i64\"");
    assert_eq!(says(&Plain::<[u64; 2]>::IDENTITY), "size: ours 8 bytes, theirs 16");
    assert_eq!(ours.as_bytes().len(), 128);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_sample_arrives(
        sequence: u64, producer: u32, sent_at: u64, digest: u64, payload in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let sent = Sample { sequence, producer, sent_at, digest, payload: &payload };
        for format in FORMATS {
            let message = encoded(&sent, format);
            prop_assert_eq!(decode(message.bytes(), format), Ok(sent));
        }
    }
}

fn build<A: capnp::message::Allocator>(builder: &mut Builder<A>, view: &Sample<'_>) {
    let mut root: sample_capnp::sample::Builder<'_> = builder.init_root();
    root.set_sequence(view.sequence);
    root.set_producer(view.producer);
    root.set_sent_at(view.sent_at);
    root.set_digest(view.digest);
    root.set_payload(view.payload);
}
