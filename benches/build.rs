//! Writes the types of the messages that are measured.

fn main() -> Result<(), feuerbird_codegen::Error> {
    println!("cargo::rerun-if-changed=build.rs");
    feuerbird_codegen::compile("../schemas/bench.capnp")
}
