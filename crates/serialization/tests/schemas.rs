//! The checked-in compiler requests are those of the checked-in schemas.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// The names of all schemas.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(schemas())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".capnp").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.contains(&"sample".to_owned()));
    names
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Notices a schema that changed without its request, also where there is no `capnp` tool.
#[test]
fn hashes_of_schemas_and_requests_are_those_written_down() {
    let mut expected = String::new();
    for name in names() {
        let schema = fs::read(schemas().join(format!("{name}.capnp"))).unwrap();
        let request = fs::read(schemas().join(format!("{name}.capnp.request"))).unwrap();
        expected += &format!("{name} {:016x} {:016x}\n", hash(&schema), hash(&request));
    }
    let written = fs::read_to_string(schemas().join("hashes")).unwrap();
    assert!(
        written == expected,
        "a schema or its request changed; regenerate as schemas/README.md says, schemas/hashes must then read:\n{expected}"
    );
}

/// Compares the code that comes out, as requests of two versions of the tool differ in more than the schema.
#[test]
fn requests_are_what_the_tool_makes_of_the_schemas() {
    if !common::has_capnp_tool() {
        return;
    }
    for name in names() {
        let file = format!("{name}.capnp");
        let tool = Command::new("capnp").args(["compile", "-o-", &file]).current_dir(schemas()).output();
        let made = tool.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let kept = fs::read(schemas().join(format!("{file}.request"))).unwrap();
        assert_eq!(generated(&name, "made", &made.stdout), generated(&name, "kept", &kept), "{file}");
    }
}

/// The Rust code of a request, by file name.
fn generated(name: &str, which: &str, request: &[u8]) -> BTreeMap<String, String> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("schemas-{name}-{which}"));
    fs::create_dir_all(&out).unwrap();
    capnpc::codegen::CodeGenerationCommand::new().output_directory(&out).run(request).unwrap();
    fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect()
}
