//! Pools against a naive model: who holds what, and that nobody can take what is held.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::collections::{BTreeMap, BTreeSet};

use feuerbird_zero_copy::{
    BufferId, HeapWriter, LayoutError, LoanError, Pool, PoolLayout, ReaderId, Region, ReleaseError,
    SizeClass, heap_region,
};
use proptest::prelude::*;

fn pool(classes: &[SizeClass], quota: u32) -> (Pool<HeapWriter>, feuerbird_zero_copy::HeapReader) {
    let layout = PoolLayout::new(0, classes).unwrap();
    // SAFETY: each test reads on the thread that writes, and only what was published.
    let (writer, reader) = unsafe { heap_region(layout.end()) };
    (Pool::new(writer, layout, quota).unwrap(), reader)
}

#[derive(Clone, Debug)]
enum Step {
    Loan { bytes: usize, readers: u8 },
    Release { reader: u8, id: u32 },
    Leave { reader: u8 },
    DropLoan { bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..300, 0u8..8).prop_map(|(bytes, readers)| Step::Loan { bytes, readers }),
        4 => (0u8..3, 0u32..14).prop_map(|(reader, id)| Step::Release { reader, id }),
        1 => (0u8..3).prop_map(|reader| Step::Leave { reader }),
        1 => (1usize..300).prop_map(|bytes| Step::DropLoan { bytes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// A random program of honest and dishonest readers: the pool and a set of sets agree after every step.
    #[test]
    fn agrees_with_a_naive_model(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut pool, _) = pool(&[SizeClass::new(64, 8), SizeClass::new(256, 4)], 5);
        let mut readers: Vec<ReaderId> = (0..3).map(|_| pool.add_reader().unwrap()).collect();
        let mut held: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Loan { bytes, readers: wanted } => {
                    let Ok(loan) = pool.loan(bytes) else {
                        let free = if bytes > 64 { 4 - held.keys().filter(|id| **id >= 8).count() } else { 12 - held.len() };
                        prop_assert!(free == 0 || bytes > 256);
                        continue;
                    };
                    let kept = loan.keep();
                    let id = kept.id().0;
                    prop_assert!(!held.contains_key(&id), "a held buffer was handed out");
                    for (index, reader) in readers.iter().enumerate().filter(|(index, _)| wanted & (1 << index) != 0) {
                        let owns = held.values().filter(|set| set.contains(&index)).count();
                        match pool.publish_kept(&kept, *reader) {
                            Ok(_) => { held.entry(id).or_default().insert(index); }
                            Err(error) => { prop_assert_eq!(error, LoanError::QuotaReached); prop_assert_eq!(owns, 5); }
                        }
                    }
                    pool.discard(kept);
                }
                Step::Release { reader, id } => {
                    let honest = held.get(&id).is_some_and(|set| set.contains(&usize::from(reader)));
                    let result = pool.release(readers[usize::from(reader)], BufferId(id));
                    prop_assert_eq!(result.is_ok(), honest);
                    if honest {
                        let set = held.get_mut(&id).unwrap();
                        set.remove(&usize::from(reader));
                        if set.is_empty() { held.remove(&id); }
                    } else {
                        let expected = if id >= 12 { ReleaseError::NoSuchBuffer } else { ReleaseError::NotHeld };
                        prop_assert_eq!(result, Err(expected));
                    }
                }
                Step::Leave { reader } => {
                    let index = usize::from(reader);
                    let owned = held.values().filter(|set| set.contains(&index)).count();
                    prop_assert_eq!(pool.remove_reader(readers[index]) as usize, owned);
                    held.values_mut().for_each(|set| { set.remove(&index); });
                    held.retain(|_, set| !set.is_empty());
                    readers[index] = pool.add_reader().unwrap();
                }
                Step::DropLoan { bytes } => drop(pool.loan(bytes)),
            }
            prop_assert_eq!(pool.in_flight() as usize, held.len());
            for (index, reader) in readers.iter().enumerate() {
                let owned = held.values().filter(|set| set.contains(&index)).count();
                prop_assert_eq!(pool.held_by(*reader) as usize, owned);
            }
        }
    }
}

#[test]
fn buffers_are_reused_first_in_first_out() {
    let (mut pool, _) = pool(&[SizeClass::new(64, 4)], 4);
    let reader = pool.add_reader().unwrap();
    let mut seen = Vec::new();
    for _ in 0..8 {
        let id = pool.loan(8).unwrap().publish(reader).unwrap();
        pool.release(reader, id).unwrap();
        seen.push(id.0);
    }
    assert_eq!(seen, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn a_reader_that_returns_nothing_exhausts_its_own_quota_only() {
    let (mut pool, _) = pool(&[SizeClass::new(64, 8)], 3);
    let (hoarder, fair) = (pool.add_reader().unwrap(), pool.add_reader().unwrap());
    for _ in 0..3 {
        pool.loan(8).unwrap().publish(hoarder).unwrap();
    }
    assert_eq!(pool.loan(8).unwrap().publish(hoarder), Err(LoanError::QuotaReached));
    for _ in 0..100 {
        let id = pool.loan(8).unwrap().publish(fair).unwrap();
        pool.release(fair, id).unwrap();
    }
    assert_eq!(pool.counters().quota_refusals, 1);
    assert_eq!(pool.remove_reader(hoarder), 3);
    assert_eq!(pool.in_flight(), 0);
}

#[test]
fn copy_on_write_copies_only_what_somebody_reads() {
    let (mut pool, view) = pool(&[SizeClass::new(64, 4)], 4);
    let reader = pool.add_reader().unwrap();
    let mut loan = pool.loan(5).unwrap();
    loan.bytes_mut().copy_from_slice(b"hello");
    let kept = loan.keep();
    let first = pool.publish_kept(&kept, reader).unwrap();

    let mut changed = pool.modify(kept, 5).unwrap();
    changed.bytes_mut()[0] = b'j';
    let kept = changed.keep();
    assert_ne!(kept.id(), first, "a buffer that is read must not change");
    let mut old = [0; 5];
    view.copy_out(pool.layout().offset(first).unwrap(), &mut old);
    assert_eq!(&old, b"hello");
    assert_eq!(pool.counters().copies_made, 1);

    let id = kept.id();
    let again = pool.modify(kept, 5).unwrap().keep();
    assert_eq!(again.id(), id, "nobody reads it: no copy");
    assert_eq!(pool.counters().copies_made, 1);
    let mut new = [0; 5];
    view.copy_out(pool.layout().offset(id).unwrap(), &mut new);
    assert_eq!(&new, b"jello");
    pool.discard(again);
    pool.release(reader, first).unwrap();
    assert_eq!(pool.in_flight(), 0);
}

#[test]
fn modifying_without_a_free_buffer_gives_the_kept_one_back() {
    let (mut pool, _) = pool(&[SizeClass::new(64, 1)], 4);
    let reader = pool.add_reader().unwrap();
    let kept = pool.loan(8).unwrap().keep();
    pool.publish_kept(&kept, reader).unwrap();
    let (kept, error) = pool.modify(kept, 8).map(|_| ()).unwrap_err();
    assert_eq!(error, LoanError::Exhausted);
    pool.discard(kept);
}

#[test]
fn layouts_that_make_no_sense_are_refused() {
    let bad = |classes: &[SizeClass]| PoolLayout::new(0, classes).unwrap_err();
    assert_eq!(bad(&[]), LayoutError::BadClasses);
    assert_eq!(bad(&[SizeClass::new(64, 0)]), LayoutError::BadClasses);
    assert_eq!(bad(&[SizeClass::new(128, 1), SizeClass::new(64, 1)]), LayoutError::BadClasses);
    assert_eq!(bad(&[SizeClass::new(64, 1); 5]), LayoutError::BadClasses);
    assert_eq!(bad(&[SizeClass { bytes: 65, count: 1, node: None }]), LayoutError::BadClasses);
    assert_eq!(bad(&[SizeClass::new(1 << 31, u32::MAX)]), LayoutError::TooLarge);
    let layout = PoolLayout::new(0, &[SizeClass::new(64, 8)]).unwrap();
    // SAFETY: nothing is read.
    let (small, _) = unsafe { heap_region(layout.end() - 64) };
    assert_eq!(Pool::new(small, layout, 1).map(|_| ()), Err(LayoutError::TooLarge));
}

#[test]
fn a_header_that_differs_is_the_peers_lie() {
    let layout = PoolLayout::new(0, &[SizeClass::new(64, 8)]).unwrap();
    let other = PoolLayout::new(0, &[SizeClass::new(64, 7)]).unwrap();
    let (_pool, view) = pool(&[SizeClass::new(64, 8)], 1);
    assert_eq!(layout.check(&view), Ok(()));
    assert_eq!(other.check(&view), Err(LayoutError::PeerMisbehaved));
    // SAFETY: nothing is written after this.
    let (_, tiny) = unsafe { heap_region(64) };
    assert_eq!(layout.check(&tiny), Err(LayoutError::TooLarge));
}

#[test]
fn placement_prefers_the_asked_node_and_falls_back() {
    let node = |index| feuerbird_numa::NodeId::new(index).unwrap();
    let classes = [SizeClass::new(64, 1).on(node(0)), SizeClass::new(64, 1).on(node(1))];
    let (mut pool, _) = pool(&classes, 4);
    let reader = pool.add_reader().unwrap();
    assert_eq!(pool.loan_near(8, node(1)).unwrap().publish(reader), Ok(BufferId(1)));
    assert_eq!(
        pool.loan_near(8, node(1)).unwrap().publish(reader),
        Ok(BufferId(0)),
        "the other node is better than none"
    );
    assert_eq!(pool.loan_near(8, node(1)).map(|_| ()), Err(LoanError::Exhausted));
}
