//! Writes the types of the message that is fuzzed.

fn main() -> Result<(), feuerbird_codegen::Error> {
    feuerbird_codegen::compile("../../../schemas/everything.capnp")
}
