//! `feuerbird print`, as people run it.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use feuerbird::serialization::sample::Sample;
use feuerbird::serialization::{Checksum, Encode, Format, Layer, pack, packed_bound};

const SAMPLE: Sample<'_> = Sample { sequence: 1, producer: 7, sent_at: 0, digest: 42, payload: &[10, 255] };
const TEXT: &str = "(sequence = 1, producer = 7, sentAt = 0, digest = 42, payload = 0x\"0aff\")\n";
const JSON: &str = r#"{"sequence": "1", "producer": 7, "sentAt": "0", "digest": "42", "payload": [10, 255]}"#;

fn print(arguments: &[&str], input: &[u8]) -> Output {
    print_by("sample.capnp.request", arguments, input)
}

fn print_by(schema: &str, arguments: &[&str], input: &[u8]) -> Output {
    let schema = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(schema);
    let mut command = Command::new(env!("CARGO_BIN_EXE_feuerbird"));
    command.arg("print").arg(schema).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that has refused its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn encoded(format: impl Into<Format>) -> Vec<u8> {
    let format = format.into();
    let mut out = vec![0; SAMPLE.encoded_bound(format)];
    SAMPLE.encode(format, &mut out).unwrap();
    out
}

fn printed(arguments: &[&str], input: &[u8]) -> String {
    let output = print(arguments, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_message_of_every_layer_is_printed_as_text_and_json() {
    assert_eq!(printed(&["Sample"], &encoded(Layer::Full)), TEXT);
    assert_eq!(printed(&["Sample", "--json"], &encoded(Layer::Full)), format!("{JSON}\n"));
    assert_eq!(printed(&["Sample", "--layer", "raw"], &encoded(Layer::Raw)), TEXT);
    let without = Layer::Lite.format().with_checksum(Checksum::Off);
    for format in [Layer::Lite.format(), without] {
        assert_eq!(printed(&["Sample", "--layer", "lite"], &encoded(format)), TEXT);
    }
    let full = encoded(Layer::Full);
    let mut packed = vec![0; packed_bound(full.len())];
    let length = pack(&full, &mut packed).unwrap();
    assert_eq!(printed(&["Sample", "--packed"], &packed[..length]), TEXT);
}

/// Where there is no `capnp` tool, it is told where to get it.
#[test]
fn a_schema_is_compiled_by_the_tool() {
    let output = print_by("sample.capnp", &["Sample"], &encoded(Layer::Full));
    if Command::new("capnp").arg("--version").output().is_ok() {
        assert_eq!(String::from_utf8(output.stdout).unwrap(), TEXT);
    } else {
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("apt-get install capnproto"));
    }
    let missing = print_by("none.capnp.request", &["Sample"], &[]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none.capnp.request: No such file"));
}

#[test]
fn a_schema_without_an_end_is_refused() {
    let endless = print_by("/dev/zero", &["Sample"], &[]);
    assert_eq!(endless.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&endless.stderr).contains("longer than 67108864 bytes"));
}

#[test]
fn what_is_wrong_is_said_with_a_reason() {
    let refused = |arguments: &[&str], input: &[u8]| {
        let output = print(arguments, input);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let other = refused(&["Smaple"], &[]);
    assert!(other.contains("no struct \"Smaple\"; it has Sample"), "{other}");
    let short = refused(&["Sample"], &encoded(Layer::Full)[..16]);
    assert!(short.contains("no such message: the message ends too early"), "{short}");
    let mut broken = encoded(Layer::Lite);
    *broken.last_mut().unwrap() ^= 1;
    assert!(refused(&["Sample", "--layer", "lite"], &broken).contains("checksum"));
}
