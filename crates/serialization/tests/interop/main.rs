//! Other implementations of Cap'n Proto read our messages, and we theirs: the reference tool, and a Python program on the other
//! ends of two pipes.
//!
//! `cargo xtask ci interop` gets what is missing and demands it; elsewhere a test that lacks something says so, and proves nothing.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod canonical;
#[path = "../common/mod.rs"]
mod common;
mod peer;
#[path = "../common/values.rs"]
mod plain_values;
mod printed;
mod tool;
mod values;

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the schemas are.
fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Writes all of `input` to a program while it writes its output, and gives that.
fn fed(mut command: Command, input: &[u8]) -> Vec<u8> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that has seen enough may close its end; its exit code and output say whether that was right.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
