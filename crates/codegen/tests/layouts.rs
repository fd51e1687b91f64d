//! The number that names a layout changes with everything that the Raw layer depends on, and with nothing else.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

use std::{collections::HashMap, fs, path::Path, process::Command};

use feuerbird_codegen::generate;

/// The layout of the struct `S`; `None` where there is no `capnp` tool.
fn layout(schema: &str, index: usize) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layouts-{index}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("s.capnp"), format!("@0xbbbb111122223333;\n{schema}")).unwrap();
    let tool = Command::new("capnp").args(["compile", "-o-", "s.capnp"]).current_dir(&folder).output();
    let Ok(output) = tool else {
        assert!(std::env::var_os("FEUERBIRD_DEMAND_PEERS").is_none(), "there is no `capnp` tool here");
        println!("not tested: there is no `capnp` tool here (on Debian: apt-get install capnproto)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let code = generate(&output.stdout).unwrap();
    let (_, message) = code.split_once("::Message for SMessage {").unwrap();
    let (_, layout) = message.split_once("const LAYOUT: u64 = ").unwrap();
    Some(layout.split_once(';').unwrap().0.to_owned())
}

#[test]
fn every_change_that_raw_could_notice_is_another_layout() {
    let mut seen = HashMap::new();
    for (index, schema) in [
        "struct S { a @0 :UInt32; b @1 :UInt32; }",
        "struct S { b @0 :UInt32; a @1 :UInt32; }",
        "struct S { a @0 :UInt32; b @1 :Int32; }",
        "struct S { a @0 :UInt32; b @1 :Float32; }",
        "struct S { a @0 :UInt32; b @1 :UInt32 = 1; }",
        "struct S { a @0 :UInt32; b @1 :UInt32; c @2 :UInt32; }",
        "struct S { a @0 :UInt32; union { b @1 :UInt32; c @2 :UInt32; } }",
        "struct S { a @0 :UInt32; g :group { b @1 :UInt32; } }",
        "struct S { a @0 :UInt32; g :group { b @1 :UInt32 = 1; } }",
        "struct S { a @0 :UInt32; b @1 :Text; }",
        "struct S { a @0 :UInt32; b @1 :Data; }",
        "struct S { a @0 :UInt32; b @1 :Text = \"t\"; }",
        "struct S { a @0 :UInt32; b @1 :List(UInt32); }",
        "struct S { a @0 :UInt32; b @1 :List(List(UInt32)); }",
        "struct S { a @0 :UInt32; b @1 :List(T); } struct T @0xcccc111122223333 { a @0 :UInt32; }",
        "struct S { a @0 :UInt32; b @1 :List(T); } struct T @0xcccc111122223333 { a @0 :UInt64; }",
        "struct S { a @0 :UInt32; b @1 :T; } struct T @0xcccc111122223333 { a @0 :UInt64; }",
        "struct S { a @0 :UInt32; b @1 :T; } struct T @0xcccc111122223333 { a @0 :U; }
         struct U @0xcccc111122224444 { s @0 :S; }",
        "struct S { a @0 :UInt32; b @1 :T; } struct T @0xcccc111122223333 { a @0 :U; }
         struct U @0xcccc111122224444 { s @0 :S; more @1 :Bool; }",
        "struct S { a @0 :UInt32; b @1 :T; } enum T @0xcccc111122223333 { x @0; }",
        "struct S { a @0 :UInt32; b @1 :T; } enum T @0xcccc111122223333 { x @0; y @1; }",
    ]
    .into_iter()
    .enumerate()
    {
        let Some(layout) = layout(schema, index) else { return };
        if let Some(other) = seen.insert(layout, schema) {
            panic!("{other} and {schema} have one layout");
        }
    }
    // The order in the text, documentation, and what the struct does not reach make no difference.
    let first = "struct S { a @0 :UInt32; b @1 :UInt32; }";
    for (index, schema) in [
        first,
        "struct S { b @1 :UInt32; # A comment.\n a @0 :UInt32; }",
        "struct T { a @0 :S; } struct S { a @0 :UInt32; b @1 :UInt32; }",
    ]
    .into_iter()
    .enumerate()
    {
        let Some(layout) = layout(schema, 100 + index) else { return };
        assert_eq!(seen.get(&layout), Some(&first), "{schema}");
    }
}
