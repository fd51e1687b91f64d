//! Waiting works between mappings, also read-only ones, and a wrong address is only an error.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    os::fd::AsFd,
    ptr,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use feuerbird_hosted::os::{
    futex::{MAX_WORDS, Waited, wait, wait_any, wake_all},
    membarrier,
    memory::{ReaderMemory, WriterMemory},
};
use feuerbird_zero_copy::{Region, WriteRegion};

const LONG: Option<Duration> = Some(Duration::from_secs(20));
const SHORT: Option<Duration> = Some(Duration::from_millis(5));

fn memory() -> (WriterMemory, ReaderMemory) {
    let (writer, fd) = WriterMemory::create("futex", 4096).unwrap();
    let reader = ReaderMemory::map(fd.as_fd(), 4096).unwrap();
    (writer, reader)
}

fn word(region: &impl Region, index: usize) -> *const u32 {
    region.words().address(index).cast()
}

/// Wakes until somebody was there to be woken.
fn wake_somebody(region: &impl Region, index: usize) {
    let start = Instant::now();
    while wake_all(word(region, index)).unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody waits");
        thread::yield_now();
    }
}

#[test]
fn reader_is_woken_through_a_read_only_mapping() {
    let (writer, reader) = memory();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(word(&reader, 3), 0, LONG).unwrap());
        wake_somebody(&writer, 3);
        assert_eq!(waiter.join().unwrap(), Waited::Woken(0));
    });
}

#[test]
fn a_read_only_mapping_can_wake() {
    let (writer, reader) = memory();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(word(&writer, 0), 0, LONG).unwrap());
        wake_somebody(&reader, 0);
        assert_eq!(waiter.join().unwrap(), Waited::Woken(0));
    });
}

#[test]
fn changed_word_is_not_waited_for() {
    let (writer, reader) = memory();
    writer.writable()[0].store(7, Ordering::Release);
    assert_eq!(wait(word(&reader, 0), 6, LONG).unwrap(), Waited::Differed);
    assert_eq!(wait_any(&[(word(&reader, 1), 0), (word(&reader, 0), 6)], LONG).unwrap(), Waited::Differed);
}

#[test]
fn waiting_ends_when_the_time_is_over() {
    let (_writer, reader) = memory();
    let start = Instant::now();
    assert_eq!(wait(word(&reader, 0), 0, SHORT).unwrap(), Waited::TimedOut);
    assert_eq!(wait_any(&[(word(&reader, 0), 0)], SHORT).unwrap(), Waited::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[test]
fn one_of_many_words_wakes() {
    let (writer, reader) = memory();
    let words: Vec<_> = (0..MAX_WORDS).map(|index| (word(&reader, index), 0)).collect();
    let woken = thread::scope(|scope| {
        // Addresses are not Send; the waiter makes its own.
        let waiter = scope.spawn(|| {
            let words: Vec<_> = (0..MAX_WORDS).map(|index| (word(&reader, index), 0)).collect();
            wait_any(&words, LONG).unwrap()
        });
        wake_somebody(&writer, MAX_WORDS - 1);
        waiter.join().unwrap()
    });
    // A kernel without futex_waitv would not see a wake without a change.
    assert_eq!(woken, Waited::Woken(MAX_WORDS - 1));
    let too_many = [&words[..], &words[..1]].concat();
    assert!(wait_any(&too_many, SHORT).is_err() && wait_any(&[], SHORT).is_err());
}

#[test]
fn wrong_address_is_an_error() {
    let odd = word(&memory().0, 0).wrapping_byte_add(1);
    for address in [ptr::null(), 64 as *const u32, odd] {
        assert!(wait(address, 0, SHORT).is_err());
        assert!(wait_any(&[(address, 0)], SHORT).is_err());
    }
}

#[test]
fn heavy_barrier_works_where_it_is_supported() {
    if !membarrier::supported() {
        println!("no membarrier on this kernel: nothing to see");
        return;
    }
    membarrier::register().unwrap();
    membarrier::heavy_barrier().unwrap();
}
