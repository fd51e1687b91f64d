//! What an honest sender is allowed to send, its receiver accepts; all else is refused where it is written, because whoever reads it
//! would take the sender for an attacker.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use common::{Aligned, FORMATS, FULL, LITE, RAW};
use feuerbird_serialization::wire::{CapabilityIndex, PointerBuilder};
use feuerbird_serialization::{
    Checks, DEPTH_LIMIT, DecodeError, Encode, EncodeError, Format, Layer, Message, Stable,
};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;

const ROOM: usize = 4096;

/// Bare framing that is checked, as no layer has it.
const CHECKED: Format = Format { checks: Checks::Pointers, ..RAW };

/// What became of a message: refused where it was written, or not; then its receiver accepts it.
fn sent<M: Message>(
    format: Format,
    write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), EncodeError> {
    let mut out = Aligned::new(&[0xEE; ROOM]);
    let length = write(out.bytes_mut())?;
    let bytes = Aligned::new(&out.bytes()[..length]);
    let stable = Stable::new(bytes.bytes()).unwrap().with_capabilities(format.capabilities);
    assert_eq!(M::decode(stable, format).map(|_| ()), Ok(()), "{format:?}");
    Ok(())
}

/// Trees, one below the other, so many with the last one.
fn chain(levels: usize, last: &Tree<'_>, send: &mut dyn FnMut(&Tree<'_>)) {
    match levels {
        1 => send(last),
        _ => chain(levels - 1, &Tree { next: Some(last), ..Tree::default() }, send),
    }
}

#[test]
fn a_value_that_is_nested_too_deep_is_refused_where_it_is_written() {
    let leaves = [
        (Tree::default(), 0),
        (Tree { label: "a leaf is a level, too", ..Tree::default() }, 1),
        (Tree { children: &[Tree::default(); 2], ..Tree::default() }, 1),
        (Tree { children: &[Tree { label: "leaf", ..Tree::default() }; 2], ..Tree::default() }, 2),
    ];
    for format in FORMATS {
        for levels in DEPTH_LIMIT - 4..DEPTH_LIMIT + 4 {
            for (leaf, below) in leaves {
                let fits = levels + below <= DEPTH_LIMIT;
                chain(levels, &leaf, &mut |tree| {
                    let result = sent::<TreeMessage>(format, |out| tree.encode(format, out));
                    let expected = if fits { Ok(()) } else { Err(EncodeError::TooLarge) };
                    assert_eq!(result, expected, "{levels} and {below} in {format:?}");
                });
            }
        }
    }
}

/// Begins trees, one below the other.
fn grow(mut tree: TreeBuilder<'_>, levels: usize) -> Result<(), EncodeError> {
    if levels == 1 { Ok(()) } else { grow(tree.init_next()?, levels - 1) }
}

/// Begins lists of one pointer, one below the other.
fn nest(pointer: PointerBuilder<'_>, levels: usize) -> Result<(), EncodeError> {
    if levels == 0 {
        return Ok(());
    }
    nest(pointer.list(feuerbird_serialization::wire::ElementSize::Pointer, 1)?.pointer(0), levels - 1)
}

#[test]
fn a_builder_that_nests_too_deep_is_refused_where_it_does() {
    for format in FORMATS {
        for levels in [1, DEPTH_LIMIT, DEPTH_LIMIT + 1] {
            let expected = if levels <= DEPTH_LIMIT { Ok(()) } else { Err(EncodeError::TooLarge) };
            let trees = sent::<TreeMessage>(format, |out| {
                TreeMessage::build(format, 400, out, |root| grow(root, levels))
            });
            assert_eq!(trees, expected, "{levels} in {format:?}");
            let lists = sent::<EverythingMessage>(format, |out| {
                EverythingMessage::build(format, 400, out, |mut root| nest(root.any(), levels - 1))
            });
            assert_eq!(lists, expected, "{levels} in {format:?}");
        }
    }
}

/// Elements without a size count against the receiver's budget: four times the words of the message, less those that it visits.
#[test]
fn more_elements_without_a_size_than_any_receiver_accepts_are_refused_where_they_are_written() {
    let root = usize::from(ListsMessage::SECTIONS.0) + usize::from(ListsMessage::SECTIONS.1);
    for (format, room) in
        [(LITE, 4 * (root + 1) - root), (FULL, 4 * (root + 1) - root), (CHECKED, 4 * root - root)]
    {
        for (count, fits) in [(room, true), (room + 1, false), (4 * room + 1, false)] {
            let expected = if fits { Ok(()) } else { Err(EncodeError::TooLarge) };
            let lists = Lists { voids: &vec![(); count], ..Lists::default() };
            let value = sent::<ListsMessage>(format, |out| lists.encode(format, out));
            assert_eq!(value, expected, "{count} in {format:?}");
            let built = sent::<ListsMessage>(format, |out| {
                ListsMessage::build(format, 0, out, |mut root| root.init_voids(count).map(drop))
            });
            assert_eq!(built, expected, "{count} in {format:?}");
        }
    }
    // Structs without a size; their list's tag is a word, too.
    let root = usize::from(EverythingMessage::SECTIONS.0) + usize::from(EverythingMessage::SECTIONS.1) + 1;
    for (count, expected) in [(3 * root + 4, Ok(())), (3 * root + 5, Err(EncodeError::TooLarge))] {
        let built = sent::<EverythingMessage>(LITE, |out| {
            EverythingMessage::build(LITE, 1, out, |mut root| root.any().structures(count, 0, 0).map(drop))
        });
        assert_eq!(built, expected);
    }
    // Who checks nothing refuses nothing.
    let lists = Lists { voids: &[(); 10_000], ..Lists::default() };
    assert_eq!(sent::<ListsMessage>(RAW, |out| lists.encode(RAW, out)), Ok(()));
}

#[test]
fn a_capability_that_does_not_go_beside_the_message_is_refused_where_it_is_written() {
    for format in [RAW, LITE, FULL] {
        for beside in 0..4 {
            let format = format.with_capabilities(beside);
            let result = sent::<EverythingMessage>(format, |out| {
                EverythingMessage::build(format, 0, out, |mut root| {
                    root.any().capability(CapabilityIndex(2));
                    Ok(())
                })
            });
            let expected = if beside > 2 { Ok(()) } else { Err(EncodeError::NoCapability) };
            assert_eq!(result, expected, "{format:?}");
        }
    }
}

/// A view that names what came beside it does not lose that on its way: it is sent with capabilities again, or not at all.
#[test]
fn a_view_with_capabilities_is_not_sent_on_without_them() {
    let beside = FULL.with_capabilities(1);
    let mut out = Aligned::new(&[0; 256]);
    let length = EverythingMessage::build(beside, 0, out.bytes_mut(), |mut root| {
        root.any().capability(CapabilityIndex(0));
        Ok(())
    });
    let bytes = Aligned::new(&out.bytes()[..length.unwrap()]);
    let stable = Stable::new(bytes.bytes()).unwrap().with_capabilities(1);
    let view = EverythingMessage::decode(stable, FULL).unwrap();
    for layer in Layer::ALL {
        let mut on = Aligned::new(&vec![0; view.encoded_bound(layer)]);
        assert_eq!(view.encode(layer, on.bytes_mut()), Err(EncodeError::NoCapability));
        assert!(view.encode(layer.format().with_capabilities(1), on.bytes_mut()).is_ok());
    }
    assert_eq!(
        EverythingMessage::decode(Stable::new(bytes.bytes()).unwrap(), FULL).map(|_| ()),
        Err(DecodeError::WrongPointer)
    );
}
