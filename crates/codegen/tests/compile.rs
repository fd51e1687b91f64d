//! What a build script meets: where the code goes, and what is said when something is missing.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Names the schema to a test of this program that runs as if it were a build script.
const SCHEMA: &str = "SCHEMA_OF_A_BUILD_SCRIPT";

/// A build script: does nothing unless another test started it as one.
#[test]
fn build_script() {
    if let Some(schema) = env::var_os(SCHEMA) {
        match feuerbird_codegen::compile(PathBuf::from(schema)) {
            Ok(()) => println!("compiled"),
            Err(error) => println!("refused: {error}"),
        }
    }
}

/// What the build script says about a schema; `tools` is where it looks for the `capnp` tool.
fn said(schema: &Path, out: Option<&Path>, tools: Option<&Path>) -> String {
    let mut script = Command::new(env::current_exe().unwrap());
    script.args(["--exact", "build_script", "--nocapture"]).env(SCHEMA, schema).env_remove("OUT_DIR");
    if let Some(out) = out {
        script.env("OUT_DIR", out);
    }
    if let Some(tools) = tools {
        script.env("PATH", tools);
    }
    String::from_utf8(script.output().unwrap().stdout).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_kept_request_needs_no_tool() {
    let out = folder("kept");
    let schema = Path::new("../../schemas/sample.capnp");
    let said = said(schema, Some(&out), Some(&out));
    assert!(said.contains("compiled"), "{said}");
    assert!(said.contains("cargo::rerun-if-changed=../../schemas/sample.capnp\n"), "{said}");
    assert!(said.contains("cargo::rerun-if-changed=../../schemas/sample.capnp.request\n"), "{said}");
    let ours = fs::read_to_string(out.join("sample.rs")).unwrap();
    assert!(ours.contains("pub enum SampleMessage"));
    let theirs = fs::read_to_string(out.join("sample_capnp.rs")).unwrap();
    assert!(theirs.contains("pub mod sample"));
}

#[test]
fn a_schema_without_a_request_needs_the_tool_and_says_so() {
    let out = folder("no-request");
    let schema = out.join("weather.capnp");
    fs::write(&schema, "@0x9111222233334444; struct Weather @0x9111222233334445 { rain @0 :Float32; }")
        .unwrap();
    let missing = said(&schema, Some(&out), Some(&out));
    assert!(
        missing.contains("weather.capnp.request is missing, and the capnp tool could not make it"),
        "{missing}"
    );
    assert!(missing.contains("apt-get install capnproto"), "{missing}");
    if Command::new("capnp").arg("--version").output().is_err() {
        assert!(env::var_os("FEUERBIRD_DEMAND_PEERS").is_none(), "there is no `capnp` tool here");
        println!("not tested: there is no `capnp` tool here (on Debian: apt-get install capnproto)");
        return;
    }
    let made = said(&schema, Some(&out), None);
    assert!(made.contains("compiled"), "{made}");
    assert!(fs::read_to_string(out.join("weather.rs")).unwrap().contains("pub struct WeatherRaw"));
    fs::write(&schema, "@0x9111222233334444; struct Weather { rain @0 :Rain; }").unwrap();
    let wrong = said(&schema, Some(&out), None);
    assert!(wrong.contains("weather.capnp:1:") && wrong.contains("Rain"), "{wrong}");
}

#[test]
fn errors_name_the_file() {
    let out = folder("errors");
    let schema = out.join("broken.capnp");
    fs::write(out.join("broken.capnp.request"), b"no request").unwrap();
    let broken = said(&schema, Some(&out), None);
    assert!(
        broken.contains("refused: ") && broken.contains("broken.capnp.request: not a compiled request"),
        "{broken}"
    );

    // There is something in the request's place that cannot be read: that is no reason to run the tool.
    fs::remove_file(out.join("broken.capnp.request")).unwrap();
    fs::create_dir(out.join("broken.capnp.request")).unwrap();
    let folder = said(&schema, Some(&out), None);
    assert!(folder.contains("broken.capnp.request: ") && !folder.contains("capnp tool"), "{folder}");

    let sample = Path::new("../../schemas/sample.capnp");
    assert!(said(sample, None, None).contains("refused: OUT_DIR is not set"));
    let nowhere = said(sample, Some(&out.join("nowhere")), None);
    assert!(nowhere.contains("nowhere/sample.rs: "), "{nowhere}");
}
