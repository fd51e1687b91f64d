//! Writes the types of the schemas that this crate and its tests use.

const SCHEMAS: [&str; 9] = [
    "sample",
    "plain",
    "bench",
    "everything",
    "evolution_old",
    "evolution_new",
    "corners",
    "names",
    "capability",
];

fn main() -> Result<(), feuerbird_codegen::Error> {
    println!("cargo::rerun-if-changed=build.rs");
    SCHEMAS.iter().try_for_each(|name| feuerbird_codegen::compile(format!("../../schemas/{name}.capnp")))
}
