//! Writes the types of the messages that name capabilities.

fn main() -> Result<(), feuerbird_codegen::Error> {
    println!("cargo::rerun-if-changed=build.rs");
    feuerbird_codegen::compile("../schemas/capability.capnp")
}
