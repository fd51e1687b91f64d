//! No message costs an allocation, in any layer, sent or received, accepted or refused.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{FORMATS, decode, decode_plain, encode, encoded, full_of, payload, sample, to_far, to_struct};
use feuerbird_serialization::{Encode, Layer, Plain};

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
