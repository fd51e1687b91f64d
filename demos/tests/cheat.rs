//! Every attempt of the hostile program is stopped, and what stopped it is known.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

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
    // 64 messages of over 1000 bytes, and what announces them.
    let scribbled = attempts.iter().filter_map(|attempt| attempt["stopped_by"].as_str());
    let words = scribbled
        .filter_map(|reason| reason.split_once(" words, each bad and each random under the victim's eyes"));
    let counts: Vec<u64> = words.map(|(count, _)| count.parse().expect("a number")).collect();
    assert!(counts.len() == 2 && counts.iter().all(|count| *count > 64 * 1000 / 8), "{counts:?}: {last}");
}

#[test]
fn ctrl_c_ends_it_soon_and_leaves_no_child() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_producer-consumer"))
        .arg("--cheat")
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo was built");
    let mut out = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("an attempt is told when it is over");
    assert!(first.contains("stopped by"), "{first}");
    // To the demo alone: its children end because it ends them.
    let interrupt = format!("kill -INT {}", demo.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("a shell").success());
    let began = Instant::now();
    // The children have the other copies of this pipe.
    let mut talk = String::new();
    demo.stderr.take().expect("a pipe").read_to_string(&mut talk).expect("text");
    assert_eq!(demo.wait().expect("it ends").code(), Some(130), "{talk}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert!(!rest.contains("NOT STOPPED"), "{rest}{talk}");
}
