//! The demo, as a user runs it.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer-consumer"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).output().expect("the demo starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the demo with `--json`, which must succeed and print one line and nothing else.
fn json(arguments: &[&str]) -> Value {
    let output = demo(arguments).arg("--json").output().expect("the demo starts");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{out}\n{err}");
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).expect("a line of JSON")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Asserts that a run of one layer accounts for `messages` messages.
fn assert_layer(layer: &Value, name: &str, messages: u64) {
    assert_eq!(layer["layer"], name);
    assert_eq!(layer["messages"], messages, "{layer}");
    for nothing in ["lost", "duplicated", "altered"] {
        assert_eq!(layer[nothing], 0, "{layer}");
    }
    for something in ["messages_per_s", "p50_ns", "p99_ns"] {
        assert!(layer[something].as_u64().expect("a number") > 0, "{layer}");
    }
}

#[test]
fn three_layers_do_the_same_work_and_all_of_it_is_accounted_for() {
    let result = json(&["--messages", "20000"]);
    assert_eq!(result["demo"], "producer-consumer");
    let mut keys = names(&result);
    keys.sort_unstable();
    assert_eq!(keys, ["attempts", "buffers_lost", "demo", "killed", "layers"]);
    assert_eq!(result["buffers_lost"], 0);
    let layers = result["layers"].as_array().expect("a list");
    assert_eq!(layers.len(), 3);
    for (layer, (name, trust, hit_rate)) in
        layers.iter().zip([("Raw", 14, 1.0), ("Lite", 8, 0.5), ("Full", 0, 0.5)])
    {
        assert_layer(layer, name, 20_000);
        assert_eq!(layer["trust"], trust);
        assert_eq!(
            layer["zero_copy_hit_rate"], hit_rate,
            "made in place, and read in place where trust allows"
        );
        let mut keys = names(layer);
        keys.sort_unstable();
        let expected = [
            "altered",
            "bytes_per_s",
            "duplicated",
            "layer",
            "lost",
            "messages",
            "messages_per_s",
            "p50_ns",
            "p99_ns",
            "trust",
            "zero_copy_hit_rate",
        ];
        assert_eq!(keys, expected);
    }
}

#[test]
fn trust_chooses_the_layer_and_any_number_of_workers_shares_the_work() {
    for (trust, name) in [("0x9", "Lite"), ("7", "Full"), ("0xF", "Raw")] {
        let arguments =
            ["--trust", trust, "--messages", "3000", "--producers", "3", "--consumers", "1", "--size", "5"];
        let result = json(&arguments);
        let layers = result["layers"].as_array().expect("a list");
        assert_eq!(layers.len(), 1);
        assert_layer(&layers[0], name, 3000);
    }
}

#[test]
fn messages_too_large_for_a_slot_travel_in_a_pool() {
    let result = json(&["--messages", "200", "--size", "100001", "--producers", "1"]);
    for (layer, name) in result["layers"].as_array().expect("a list").iter().zip(["Raw", "Lite", "Full"]) {
        assert_layer(layer, name, 200);
    }
}

#[test]
fn threads_of_one_domain_do_the_same() {
    let result = json(&["--threads", "--messages", "20000", "--consumers", "3"]);
    assert_layer(&result["layers"][0], "Raw", 20_000);
}

#[test]
fn survivors_of_a_kill_account_for_everything_and_notice_soon() {
    for seed in ["1", "2", "3", "4"] {
        let result = json(&["--kill", "--seed", seed, "--seconds", "0.3", "--consumers", "3"]);
        let killed = result["killed"].as_array().expect("a list");
        assert_eq!(killed.len(), 6, "one of each role in each layer: {result}");
        assert_eq!(result["buffers_lost"], 0);
        for layer in result["layers"].as_array().expect("a list") {
            assert!(layer["messages"].as_u64() > Some(0));
            assert_eq!(
                (&layer["lost"], &layer["duplicated"], &layer["altered"]),
                (&0.into(), &0.into(), &0.into())
            );
        }
        for one in killed {
            let ms = one["survivors_notified_ms"].as_f64().expect("somebody noticed");
            // 20 ms on a machine of its own; tests share theirs.
            assert!(ms < 1000.0, "{one}");
            assert!(!Path::new(&format!("/proc/{}", one["pid"])).exists(), "{one} was killed");
        }
    }
}

/// Buffers are in use when somebody is killed, or that none is lost would say nothing.
#[test]
fn a_kill_is_survived_by_a_pool_that_is_in_use() {
    let output = run(&["--kill", "--seed", "5", "--seconds", "0.3", "--trust", "0"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("payload 1000 B"), "{err}");
    let whole = out.lines().filter_map(|line| line.trim().strip_prefix("buffers lost: 0 of "));
    let returned = whole.filter_map(|line| line.strip_suffix(": the pool is whole")?.parse().ok());
    assert!(returned.max() > Some(0_u64), "{out}");
    let small = run(&["--kill", "--seed", "5", "--seconds", "0.3", "--trust", "0", "--size", "8"]);
    let out = text(&small.stdout);
    assert!(out.contains("no buffer was in use"), "{out}");
}

#[test]
fn people_see_statistics_a_proof_and_a_table() {
    // A line each half second; on a busy machine, two of the four at least.
    let output = run(&["--seconds", "2.5", "--trust", "0x8"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(out.contains("none lost, none twice, none altered"), "{out}");
    assert!(out.contains("messages/s") && out.contains("p99.9"), "{out}");
    assert!(err.contains("clock: TSC"), "{err}");
    let live: Vec<&str> = err.lines().filter(|line| line.contains("depth")).collect();
    assert!(live.len() >= 2, "a line each half second: {err}");
    assert!(
        live.iter()
            .all(|line| line.contains("p99.9") && line.contains("cycles") && line.contains("zero-copy"))
    );
    assert!(!err.contains('\x1b') && !err.contains('\r'), "no terminal, no escapes: {err:?}");
}

#[test]
fn help_and_wrong_usage_say_what_to_do() {
    let help = run(&["--help"]);
    let out = text(&help.stdout);
    assert_eq!(help.status.code(), Some(0));
    for said in ["--producers", "--kill", "--cheat", "--json", "[default: 64]", "Exit codes", "130"] {
        assert!(out.contains(said), "{said} is missing in {out}");
    }
    let wrong: [&[&str]; 7] = [
        &["--trust", "16"],
        &["--producers", "0"],
        &["--seconds", "never"],
        &["--messages", "5", "--seconds", "1"],
        &["--kill", "--consumers", "1"],
        &["--threads", "--kill"],
        &["--seed", "1"],
    ];
    for arguments in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_run_too_short_to_kill_anybody_in_is_not_a_success() {
    let output = run(&["--kill", "--messages", "2", "--trust", "0"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("FAILED"), "{}", text(&output.stdout));
}

#[test]
fn ctrl_c_ends_everything_and_prints_what_there_is() {
    let child =
        demo(&["--seconds", "60"]).process_group(0).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.expect("the demo starts");
    let workers = workers(&child);
    thread::sleep(Duration::from_millis(300));
    // As a terminal does: to the whole group.
    signal("-INT", &format!("-{}", child.id()));
    let started = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(5));
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{out}");
    assert!(out.contains("none lost, none twice, none altered") && out.contains("messages/s"), "{out}");
    assert_gone(&workers);
}

#[test]
fn no_worker_outlives_the_demo() {
    let mut child = demo(&["--seconds", "60"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let workers = workers(&child);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_gone(&workers);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        demo(&["--messages", "100"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// The four workers, once they are there.
fn workers(child: &Child) -> Vec<String> {
    let list = format!("/proc/{0}/task/{0}/children", child.id());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let pids: Vec<String> =
            fs::read_to_string(&list).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if pids.len() == 4 {
            return pids;
        }
        assert!(Instant::now() < deadline, "no workers after 10 s: {pids:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn assert_gone(pids: &[String]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|pid| is_running(pid)) {
        assert!(Instant::now() < deadline, "still there: {pids:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether there is such a process, other than one that is dead and waits for its new parent to hear of it.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

fn signal(name: &str, to: &str) {
    assert!(Command::new("kill").args([name, "--", to]).status().expect("kill is there").success());
}
