//! A hostile producer beside an honest one, in processes of their own: nothing it does reaches the victim.
//!
//! The attempts and what each has to leave unharmed (every honest message whole and once, no wait over a second, no message
//! that changes while it is looked at) are the demo's; here they run again with other children and other moments.

use std::process::Command;

use feuerbird_demos::cheat::run_as;

#[test]
fn no_attempt_of_a_hostile_producer_gets_through() {
    let actor = || Command::new(env!("CARGO_BIN_EXE_actor"));
    let mut seen = 0;
    let attempts = run_as(&actor, &mut |attempt| {
        seen += 1;
        println!("{}: {:?}", attempt.attempt, attempt.stopped_by);
    })
    .expect("the attempts could be made");
    assert_eq!(seen, attempts.len());
    for attempt in attempts {
        assert!(attempt.stopped_by.is_some(), "not stopped: {}", attempt.attempt);
    }
}
