//! The return ring: what a reader says, and what it may not say.
#![cfg(not(loom))]

use feuerbird_zero_copy::{
    BufferId, ReleaseError, ReturnReader, ReturnWriter, WriteRegion, heap_region, sync::Ordering,
};

#[test]
fn returns_arrive_in_order_over_many_laps() {
    // SAFETY: the ring's stamps order reads after writes.
    let (writer, view) = unsafe { heap_region(64) };
    let (mut give, mut take) = (ReturnWriter::new(0, 8), ReturnReader::new(0, 8));
    for round in 0..100u32 {
        assert_eq!(take.pop(&view), Ok(None));
        for k in 0..=round % 8 {
            give.push(&writer, BufferId(round * 8 + k));
        }
        for k in 0..=round % 8 {
            assert_eq!(take.pop(&view), Ok(Some(BufferId(round * 8 + k))));
        }
    }
}

/// Whatever one word holds, the owner sees a return, nothing, or a lie: it does not panic and does not move on by itself.
#[test]
fn no_word_confuses_the_owner() {
    // SAFETY: one thread.
    let (writer, view) = unsafe { heap_region(64) };
    let values =
        (0..64).map(|bit| 1u64 << bit).chain([0, 1, 2, u64::MAX, u64::MAX - 1, 0xffff_ffff, 1 << 32 | 1]);
    for value in values {
        writer.writable()[0].store(value, Ordering::Relaxed);
        let mut take = ReturnReader::new(0, 8);
        let expected = match value as u32 {
            0 => Ok(None),
            1 => Ok(Some(BufferId((value >> 32) as u32))),
            _ => Err(ReleaseError::BadStamp),
        };
        assert_eq!(take.pop(&view), expected, "{value:#x}");
    }
}
