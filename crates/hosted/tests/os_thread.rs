//! Clock, affinity and signals.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{process, thread, time::Duration};

use feuerbird_hosted::os::{
    affinity::{allowed_cpus, pin_current_thread},
    clock::{Calibration, cycles, now_ns},
    signal,
};

#[test]
fn clocks_agree() {
    let calibration = Calibration::measure();
    assert!((0.1..10.0).contains(&calibration.cycles_per_ns()), "{calibration}");
    // The best of five: whoever is held up between two neighboring looks measures that, and so does a calibration.
    let difference = || {
        let calibration = Calibration::measure();
        let (ns, start) = (now_ns(), cycles());
        thread::sleep(Duration::from_millis(50));
        let (ns, passed) = ((now_ns() - ns) as f64, calibration.ns(cycles() - start));
        (passed / ns - 1.0).abs()
    };
    let differences: Vec<f64> = (0..5).map(|_| difference()).collect();
    assert!(differences.iter().any(|it| *it < 0.02), "the clocks differ by {differences:?}");
    assert!((calibration.cycles(calibration.ns(1000)) - 1000.0).abs() < 0.001);
    let text = calibration.to_string();
    assert!(text.starts_with("TSC ") && text.ends_with(" GHz"), "{text}");
}

#[test]
fn thread_stays_where_it_is_pinned() {
    thread::spawn(|| {
        let cpus = allowed_cpus().unwrap();
        let last = *cpus.last().unwrap();
        pin_current_thread(last).unwrap();
        assert_eq!(allowed_cpus().unwrap(), [last]);
        assert!(pin_current_thread(1023).is_err() || cpus.contains(&1023));
        assert!(pin_current_thread(usize::MAX).is_err());
    })
    .join()
    .unwrap();
}

#[test]
fn interrupt_sets_the_flag() {
    assert!(!signal::interrupted());
    signal::watch().unwrap();
    assert!(!signal::interrupted());
    let us = rustix::process::Pid::from_raw(process::id().cast_signed()).unwrap();
    rustix::process::kill_process(us, rustix::process::Signal::TERM).unwrap();
    // The signal may go to another thread, a moment later.
    for _ in 0..1000 {
        if signal::interrupted() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no signal within a second");
}
