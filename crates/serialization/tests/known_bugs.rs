//! One test for each class of bug that readers of Cap'n Proto have had, named for it; where the `capnp` crate used directly still has
//! it, the test shows that too, so that it says why this crate does otherwise.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{Builder, ReaderOptions, SingleSegmentAllocator};
use common::{Aligned, FULL, LITE, full_of, lite_of, to_far, to_list, to_struct};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Message, Stable};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}
use everything::*;
use everything_capnp as theirs;

/// Why a segment is refused, in Lite and alone in Full, which must be the same.
fn refusal<M: Message>(segment: &[u64]) -> DecodeError {
    let refused = |bytes: Aligned, format: Format| {
        M::decode(Stable::new(bytes.bytes()).unwrap(), format).map(|_| ()).unwrap_err()
    };
    let lite = refused(lite_of(segment), LITE);
    assert_eq!(lite, refused(full_of(&[segment]), FULL));
    lite
}

/// What a program of the `capnp` crate does with a message in standard framing, under limits of its own choice.
fn with_the_crate<T>(
    message: &Aligned,
    options: ReaderOptions,
    with: impl FnOnce(theirs::lists::Reader<'_>) -> capnp::Result<T>,
) -> capnp::Result<T> {
    let mut bytes = message.bytes();
    let reader = capnp::serialize::read_message_from_flat_slice(&mut bytes, options)?;
    with(reader.get_root()?)
}

/// A message of `Lists` whose field of this number is a pointer, with `rest` behind the root's 19 pointers.
fn lists_with(field: usize, pointer: u64, rest: &[u64]) -> Vec<u64> {
    let mut segment = vec![0; 20];
    segment[0] = to_struct(0, 0, 19);
    segment[1 + field] = pointer + ((18 - field as u64) << 2);
    segment.extend_from_slice(rest);
    segment
}

const VOIDS: usize = 0;
const TEXTS: usize = 13;
const DATAS: usize = 14;
const STRUCTS: usize = 15;

#[test]
fn out_of_bounds() {
    for pointer in [to_list(0, 6, 2), to_list(1 << 28, 6, 1), to_list(-100, 6, 1)] {
        assert_eq!(refusal::<ListsMessage>(&lists_with(TEXTS, pointer, &[0])), DecodeError::OutOfBounds);
    }
}

/// 68 KB gave 32 MB, because the crate's usual limit, 64 MiB, knows nothing of the message's size.
#[test]
fn amplification() {
    const POINTERS: i32 = if cfg!(miri) { 50 } else { 500 };
    const BYTES: usize = if cfg!(miri) { 1 << 10 } else { 1 << 16 };
    let mut rest: Vec<u64> =
        (0..POINTERS).map(|index| to_list(POINTERS - 1 - index, 2, BYTES as u64)).collect();
    rest.resize(rest.len() + BYTES / 8, 0);
    let segment = lists_with(DATAS, to_list(0, 6, POINTERS as u64), &rest);
    assert!(segment.len() * 8 < 70_000);

    let surfaced = with_the_crate(&full_of(&[&segment]), ReaderOptions::new(), |lists| {
        lists.get_datas()?.iter().map(|data| Ok(data?.len())).sum::<capnp::Result<usize>>()
    });
    assert_eq!(surfaced.unwrap(), POINTERS as usize * BYTES);
    assert_eq!(refusal::<ListsMessage>(&segment), DecodeError::Amplified);
}

/// The crate accepts what the reference implementation refuses: a double-far landing pad whose tag has an offset of its own.
#[test]
fn double_far_landing_pads() {
    let root = [to_far(1, 0, true)];
    let object = [to_struct(0, 0, 0), 7, 7];
    let pad = |tag| [to_far(2, 0, false), tag];
    let decoded = |tag| {
        let message = full_of(&[&root, &pad(tag), &object]);
        let theirs = with_the_crate(&message, ReaderOptions::new(), |_| Ok(())).is_ok();
        let ours = NumbersMessage::decode(Stable::new(message.bytes()).unwrap(), FULL).map(|_| ());
        (ours, theirs)
    };
    assert_eq!(decoded(to_struct(0, 2, 0)), (Ok(()), true), "an honest one");
    assert_eq!(decoded(to_struct(1, 2, 0)), (Err(DecodeError::WrongPointer), true), "one with an offset");
    assert_eq!(decoded(to_far(2, 0, false)).0, Err(DecodeError::WrongPointer), "one far pointer more");
}

/// The crate's allocators cannot fail, so that a message that is larger than its memory is a panic.
#[test]
fn a_full_scratch_segment() {
    let text = "x".repeat(100);
    let panicked = std::panic::catch_unwind(|| {
        let mut scratch = [0_u8; 64];
        let mut builder = Builder::new(SingleSegmentAllocator::new(&mut scratch));
        builder.init_root::<theirs::tree::Builder<'_>>().set_label(&text[..]);
    });
    assert!(panicked.is_err(), "the crate panics");
    let mut scratch = Aligned::new(&[0; 64]);
    let tree = Tree { label: &text, ..Tree::default() };
    let needed = tree.encoded_bound(FULL);
    assert_eq!(tree.encode(FULL, scratch.bytes_mut()), Err(EncodeError::BufferTooSmall { needed }));
    let built = TreeMessage::build(FULL, 3, scratch.bytes_mut(), |mut tree| tree.set_label(&text));
    assert!(matches!(built, Err(EncodeError::BufferTooSmall { .. })));
}

/// Half a billion elements in three words.
#[test]
fn lists_of_zero_sized_elements() {
    const MANY: u64 = (1 << 29) - 1;
    let voids = lists_with(VOIDS, to_list(0, 0, MANY), &[]);
    assert_eq!(refusal::<ListsMessage>(&voids), DecodeError::Amplified);
    let structs = lists_with(STRUCTS, to_list(0, 7, 0), &[to_struct(MANY as i32, 0, 0)]);
    assert_eq!(refusal::<ListsMessage>(&structs), DecodeError::Amplified);
}

/// The crate counts an object each time a getter is called, so that a program that looks twice is refused an honest message.
#[test]
fn getters_that_count_twice() {
    let reads = if cfg!(miri) { 10 } else { 1000 };
    let lists = Lists { uint64s: &[7; 100], ..Lists::default() };
    let mut message = Aligned::new(&vec![0; lists.encoded_bound(FULL)]);
    lists.encode(FULL, message.bytes_mut()).unwrap();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(message.bytes().len() / 8));
    let theirs =
        with_the_crate(&message, options, |lists| (0..reads).try_for_each(|_| lists.get_uint64s().map(drop)));
    assert!(theirs.is_err());
    let view = ListsMessage::decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap();
    assert!((0..reads).all(|_| view.uint64s().iter().eq([7; 100])));
}

/// Text is handed out as `&str`, which must be UTF-8 without exception; in Raw, where nothing was checked, it reads as empty.
#[test]
fn texts_that_are_no_utf8() {
    for bad in [[0xFF, 0, 0, 0], [0xC3, 0x28, 0, 0], [0xED, 0xA0, 0x80, 0], [b'a', b'b', b'c', b'd']] {
        let length = bad.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 2;
        let text = u64::from(u32::from_le_bytes(bad));
        let segment = lists_with(TEXTS, to_list(0, 6, 1), &[to_list(0, 2, length.min(4)), text]);
        assert_eq!(refusal::<ListsMessage>(&segment), DecodeError::InvalidText, "{bad:x?}");
        let bare = Aligned::of_words(&segment[1..]);
        let view = ListsMessage::decode(Stable::new(bare.bytes()).unwrap(), common::RAW).unwrap();
        assert_eq!(view.texts().iter().collect::<Vec<_>>(), [""]);
    }
}

/// Honest programs write messages that are not canonical: a reader that demands that loses them.
#[test]
fn messages_that_are_not_canonical() {
    // A hole between the root and its text, more data than the schema has, and a null at the end.
    let segment = [to_struct(2, 1, 4), 0, 0, 5, to_list(4, 2, 2), 0, 0, 0, 0, u64::from(b'x')];
    for (bytes, format) in [(lite_of(&segment), LITE), (full_of(&[&segment]), FULL)] {
        let view = TreeMessage::decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap();
        assert_eq!(view.label(), "x");
    }
}

/// A cycle is a message without an end for a program that walks it.
#[test]
fn cycles() {
    // The third pointer of a tree leads to the tree.
    let tree = [to_struct(0, 0, 3), 0, 0, to_struct(-3, 0, 3)];
    assert!(matches!(refusal::<TreeMessage>(&tree), DecodeError::TooDeep | DecodeError::Amplified));
}
