//! No message costs an allocation, in any layer, sent or received, accepted or refused.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{
    Aligned, FORMATS, decode, decode_plain, encode, encoded, full_of, payload, sample, to_far, to_struct,
};
use feuerbird_serialization::{Encode, Layer, Message, Plain, Stable, frame, pack, unpack};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;

/// Counts what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn sending_and_receiving_allocate_nothing() {
    for size in [0, 64, 1 << 16] {
        let payload = payload(size);
        let sent = sample(&payload);
        for format in FORMATS {
            let mut out = encoded(&sent, format);
            let counted = allocations(|| {
                let length = encode(&sent, format, out.bytes_mut()).unwrap();
                assert_eq!(decode(&out.bytes()[..length], format), Ok(sent));
                let length = Encode::<Plain<u64>>::encode(&7, format, out.bytes_mut()).unwrap();
                assert_eq!(decode_plain::<u64>(&out.bytes()[..length], format), Ok(7));
            });
            assert_eq!(counted, 0, "{size} bytes, {format:?}");
        }
    }
}

/// A value with every kind of field, a builder, a view sent on, packing and hashing.
#[test]
fn nothing_else_allocates_either() {
    let leaf = Tree { label: "leaf", ..Tree::default() };
    let tree = Tree { label: "root", children: &[leaf, leaf], next: Some(&leaf) };
    let lists = Lists { texts: &["a", "b"], uint64s: &[1, 2], trees: &[tree], ..Lists::default() };
    let numbers = Numbers { int64: -1, ..Numbers::default() };
    let value = Everything {
        numbers: Some(&numbers),
        lists: Some(&lists),
        tree: Some(&tree),
        text: "text",
        data: b"data",
        ..Everything::default()
    };
    for format in FORMATS {
        let [mut out, mut on, mut packed, mut form] = [(); 4].map(|()| Aligned::new(&[0; 4096]));
        let counted = allocations(|| {
            let length = value.encode(format, out.bytes_mut()).unwrap();
            let view =
                EverythingMessage::decode(Stable::new(&out.bytes()[..length]).unwrap(), format).unwrap();
            assert_eq!(view.tree().children().len(), 2);
            assert_eq!(view.encode(format, on.bytes_mut()), Ok(view.encoded_bound(format)));
            let length = pack(&out.bytes()[..length], packed.bytes_mut()).unwrap();
            unpack(&packed.bytes()[..length], on.bytes_mut()).unwrap();
        });
        assert_eq!(counted, 0, "a value in {format:?}");
        let counted = allocations(|| {
            let built = EverythingMessage::build(format, 64, out.bytes_mut(), |mut root| {
                root.set_text("built")?;
                let mut tree = root.init_tree()?;
                tree.set_label("label")?;
                tree.init_next()?.set_label("next")
            });
            let stable = Stable::new(&out.bytes()[..built.unwrap()]).unwrap();
            let (data, pointers) = EverythingMessage::SECTIONS;
            let root = frame::open(stable, format, data, pointers).unwrap();
            assert!(root.canonical(form.bytes_mut()).is_ok() && root.canonical_hash([1, 2]).is_ok());
        });
        assert_eq!(counted, 0, "a builder in {format:?}");
    }
}

#[test]
fn refusing_allocates_nothing() {
    let payload = payload(20);
    for format in FORMATS {
        let whole = encoded(&sample(&payload), format);
        for word in 0..whole.bytes().len() / 8 {
            for value in [u64::MAX, 2, 0xFFFF_FFFF_0000_0000] {
                let mut changed = whole.clone();
                changed.bytes_mut()[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
                let counted = allocations(|| {
                    let _ = decode(changed.bytes(), format);
                });
                assert_eq!(counted, 0);
            }
        }
    }
}

#[test]
fn messages_of_many_segments_allocate_nothing() {
    let object = [to_struct(0, 4, 0), 1, 2, 3, 4];
    for count in [2, 8, 9, 511] {
        let far = [to_far(count - 1, 0, false)];
        let mut segments: Vec<&[u64]> = vec![&far];
        segments.resize(count as usize - 1, &[]);
        segments.push(&object);
        let message = full_of(&segments);
        let counted = allocations(|| {
            assert_eq!(decode(message.bytes(), Layer::Full).unwrap().digest, 4);
        });
        assert_eq!(counted, 0, "{count} segments");
    }
}
