//! Every interleaving of a reader that returns and an owner that reuses.
#![cfg(loom)]

use feuerbird_zero_copy::{
    BufferId, Pool, PoolLayout, Region, ReturnReader, ReturnWriter, SizeClass, heap_region,
};

/// The owner fills a buffer again only after it was returned: the reader never sees the second content under the first id.
#[test]
fn a_returned_buffer_was_read_before_it_is_filled_again() {
    loom::model(|| {
        let layout = PoolLayout::new(0, &[SizeClass::new(64, 1)]).unwrap();
        // SAFETY: the return ring orders the owner's second write after the reader's read.
        let (writer, view) = unsafe { heap_region(layout.end()) };
        // SAFETY: only the ring touches it.
        let (returns, returns_view) = unsafe { heap_region(64) };
        let mut pool = Pool::new(writer, layout, 1).unwrap();
        let reader = pool.add_reader().unwrap();
        let mut loan = pool.loan(8).unwrap();
        loan.copy_in(&1u64.to_ne_bytes());
        let id = loan.publish(reader).unwrap();
        let place = layout.offset(id).unwrap();

        let thread = loom::thread::spawn(move || {
            let mut copy = [0; 8];
            view.copy_out(place, &mut copy);
            ReturnWriter::new(0, 1).push(&returns, id);
            u64::from_ne_bytes(copy)
        });

        let mut ring = ReturnReader::new(0, 1);
        if let Some(back) = ring.pop(&returns_view).unwrap() {
            assert_eq!(back, BufferId(0));
            pool.release(reader, back).unwrap();
            let mut loan = pool.loan(8).unwrap();
            loan.copy_in(&2u64.to_ne_bytes());
        } else {
            assert!(pool.loan(8).is_err(), "the only buffer is with the reader");
        }
        assert_eq!(thread.join().unwrap(), 1);
    });
}
