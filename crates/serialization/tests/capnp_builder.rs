//! What the `capnp` crate has built is sent as it is, and arrives in every layer that has its framing.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{Builder, HeapAllocator, TypedBuilder};
use common::{Aligned, FORMATS, FULL, RAW};
use feuerbird_serialization::{Encode, EncodeError, Framing, Message, Stable};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}
use everything::{TreeMessage, TreeReader};
use everything_capnp::tree;

type TreeBuilder = TypedBuilder<tree::Owned, HeapAllocator>;

/// A builder whose first segment has so many words, and every further one at least what is asked for.
fn builder(first: u32) -> TreeBuilder {
    let allocator = HeapAllocator::new().first_segment_words(first);
    TypedBuilder::new(Builder::new(
        allocator.allocation_strategy(capnp::message::AllocationStrategy::FixedSize),
    ))
}

/// A tree of two levels.
fn filled(first: u32) -> TreeBuilder {
    let mut builder = builder(first);
    let mut root = builder.init_root();
    root.set_label("root");
    let mut children = root.init_children(3);
    (0..3).for_each(|index| children.reborrow().get(index).set_label(format!("child {index}")));
    builder
}

fn sent(value: &TreeBuilder, format: feuerbird_serialization::Format) -> Result<Aligned, EncodeError> {
    let bound = Encode::<TreeMessage>::encoded_bound(value, format);
    let mut out = Aligned::new(&vec![0xEE; bound]);
    assert_eq!(Encode::<TreeMessage>::encode(value, format, out.bytes_mut())?, bound, "the bound is exact");
    assert_eq!(
        Encode::<TreeMessage>::encode(value, format, &mut out.clone().bytes_mut()[1..]),
        Err(EncodeError::BufferTooSmall { needed: bound })
    );
    Ok(out)
}

fn labels(view: TreeReader<'_>) -> Vec<String> {
    let children = view.children().iter().map(|child| child.label().to_owned());
    [view.label().to_owned()].into_iter().chain(children).collect()
}

#[test]
fn what_the_crate_built_arrives_in_one_segment_or_many() {
    for first in [1, 2, 7, 1000] {
        let value = filled(first);
        let segments = value.borrow_inner().get_segments_for_output().len();
        assert_eq!(segments == 1, first == 1000, "{segments} segments");
        for format in FORMATS {
            let result = sent(&value, format);
            if format == RAW || format.framing == Framing::Header && segments > 1 {
                assert_eq!(result.map(|_| ()), Err(EncodeError::Refused), "{first} in {format:?}");
                continue;
            }
            let bytes = result.unwrap();
            let view = TreeMessage::decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap();
            assert_eq!(labels(view), ["root", "child 0", "child 1", "child 2"]);
        }
    }
}

/// As the crate frames it itself.
#[test]
fn standard_framing_is_what_the_crate_writes() {
    for first in [1, 2, 7, 1000] {
        let value = filled(first);
        let theirs = capnp::serialize::write_message_to_words(value.borrow_inner());
        assert_eq!(sent(&value, FULL).unwrap().bytes(), theirs);
    }
}

#[test]
fn what_receivers_would_refuse_does_not_leave() {
    let mut deep = builder(1000);
    let mut tree = deep.init_root();
    for _ in 0..64 {
        tree = tree.init_next();
    }
    assert_eq!(sent(&deep, FULL).map(|_| ()), Err(EncodeError::TooLarge));
}
