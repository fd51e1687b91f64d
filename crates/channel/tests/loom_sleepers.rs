//! Every interleaving of going to sleep and being woken within one domain.
#![cfg(loom)]

use std::sync::Arc;

use feuerbird_channel::{HeapHome, Home, Sleepers, Watched};
use feuerbird_zero_copy::{
    HeapReader, HeapWriter,
    sync::{AtomicU64, Ordering},
};
use loom::sync::{Condvar, Mutex};

/// What sleepers wait for: each changer sets one of these.
struct Shared {
    sleepers: Sleepers,
    changed: [AtomicU64; 2],
    /// Counts wakes. Under the lock a sleeper compares and lies down in one step, as a futex does.
    wakes: Mutex<u64>,
    woken: Condvar,
}

/// A home whose waits end by a wake and by nothing else: the model ends with an error where one never comes.
#[derive(Clone)]
struct Futex(Arc<Shared>);

impl core::fmt::Debug for Futex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Futex")
    }
}

impl Home for Futex {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        0
    }
    fn wait(&self, words: &[Watched], _: u64) {
        let mut wakes = self.0.wakes.lock().unwrap();
        if self.0.sleepers.changes() != words[0].seen {
            return;
        }
        let before = *wakes;
        while *wakes == before {
            wakes = self.0.woken.wait(wakes).unwrap();
        }
    }
    fn wake(&self, _: *const u64) {
        *self.0.wakes.lock().unwrap() += 1;
        self.0.woken.notify_all();
    }
    fn has_heavy_barrier(&self) -> bool {
        HeapHome.has_heavy_barrier()
    }
    fn heavy_barrier(&self) {
        HeapHome.heavy_barrier();
    }
    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

impl Futex {
    fn new() -> Self {
        let changed = [AtomicU64::new(0), AtomicU64::new(0)];
        let (wakes, woken) = (Mutex::new(0), Condvar::new());
        Self(Arc::new(Shared { sleepers: Sleepers::new(), changed, wakes, woken }))
    }

    fn change(&self, which: usize) {
        self.0.changed[which].store(1, Ordering::Relaxed);
        self.0.sleepers.changed(self, || true);
    }

    /// Changes one of them, and wakes only where that was the last: as queues do, whose every change is one atomic step.
    fn change_towards_all(&self, which: usize) {
        self.0.changed[which].swap(1, Ordering::SeqCst);
        self.0.sleepers.changed(self, || self.0.changed.iter().all(|it| it.load(Ordering::SeqCst) == 1));
    }

    /// Sleeps until the first so many have changed.
    fn sleep_until(&self, count: usize) {
        let ready = || self.0.changed[..count].iter().all(|it| it.load(Ordering::Relaxed) == 1);
        while !ready() {
            self.0.sleepers.sleep(self, 0, ready);
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Either the sleeper sees the change, or whoever changes sees that it sleeps.
#[test]
fn no_wake_is_lost() {
    check(4, || {
        let home = Futex::new();
        let theirs = home.clone();
        let sleeping = loom::thread::spawn(move || theirs.sleep_until(1));
        home.change(0);
        sleeping.join().unwrap();
    });
}

/// Who finds that another one wakes already need not wake.
#[test]
fn no_wake_is_lost_between_two_who_change() {
    check(4, || {
        let home = Futex::new();
        let (one, other) = (home.clone(), home.clone());
        let sleeping = loom::thread::spawn(move || one.sleep_until(2));
        let changing = loom::thread::spawn(move || other.change(1));
        home.change(0);
        changing.join().unwrap();
        sleeping.join().unwrap();
    });
}

/// One wake is for all who sleep, and for who is about to.
#[test]
fn no_sleeper_is_forgotten() {
    check(4, || {
        let home = Futex::new();
        let (one, other) = (home.clone(), home.clone());
        let first = loom::thread::spawn(move || one.sleep_until(1));
        let second = loom::thread::spawn(move || other.sleep_until(1));
        home.change(0);
        first.join().unwrap();
        second.join().unwrap();
    });
}

/// Where one change alone is not worth a wake, whoever makes the last one wakes.
#[test]
fn no_wake_is_lost_where_several_changes_are_worth_one() {
    check(4, || {
        let home = Futex::new();
        let (one, other) = (home.clone(), home.clone());
        let sleeping = loom::thread::spawn(move || one.sleep_until(2));
        let changing = loom::thread::spawn(move || other.change_towards_all(1));
        home.change_towards_all(0);
        changing.join().unwrap();
        sleeping.join().unwrap();
    });
}
