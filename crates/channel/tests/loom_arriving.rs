//! Every interleaving of making a lane, sorting those that wait, and looking for one.
#![cfg(loom)]

use std::sync::Arc;

use feuerbird_channel::Arriving;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// Looks until nobody is coming any more, and says how many came.
fn take_all(arriving: &Arriving<u32>) -> u32 {
    let mut taken = 0;
    while !arriving.is_over() {
        taken += u32::from(arriving.pop().is_some());
        loom::thread::yield_now();
    }
    taken
}

#[test]
fn who_hears_that_nobody_is_coming_has_seen_whoever_came() {
    check(|| {
        let arriving = Arc::new(Arriving::new());
        let expected = arriving.expect();
        let coming = Arc::clone(&arriving);
        let making = loom::thread::spawn(move || {
            coming.push(1);
            drop(expected);
        });
        assert_eq!(take_all(&arriving), 1);
        making.join().unwrap();
    });
}

#[test]
fn what_is_sorted_is_not_gone_meanwhile() {
    check(|| {
        let arriving = Arc::new(Arriving::new());
        arriving.push(1);
        arriving.push(2);
        let sorted = Arc::clone(&arriving);
        let sorting =
            loom::thread::spawn(move || sorted.sort_out(|lane| *lane == 2, |_| true).0.len() as u32);
        let taken = take_all(&arriving);
        assert_eq!(taken + sorting.join().unwrap(), 2);
    });
}
