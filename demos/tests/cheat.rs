//! Every attempt of the hostile program is stopped, and what stopped it is known.

use std::process::Command;

#[test]
fn every_attempt_is_stopped() {
    let output = Command::new(env!("CARGO_BIN_EXE_producer-consumer"))
        .args(["--cheat", "--json"])
        .output()
        .expect("the demo was built");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    let last = String::from_utf8_lossy(&output.stdout).lines().last().expect("one line of JSON").to_owned();
    let result: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    let attempts = result["attempts"].as_array().expect("a list of attempts");
    assert!(attempts.len() >= 19, "{last}");
    for attempt in attempts {
        assert!(attempt["stopped_by"].as_str().is_some_and(|reason| !reason.is_empty()), "{attempt}");
    }
}
