//! Compiles the checked-in Cap'n Proto requests of `schemas/`, so that no build needs the `capnp` tool.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const SCHEMAS: [&str; 2] = ["sample", "plain"];

fn main() -> Result<(), Box<dyn Error>> {
    let schemas = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../schemas");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    for name in SCHEMAS {
        let request = schemas.join(format!("{name}.capnp.request"));
        println!("cargo::rerun-if-changed={}", request.display());
        let bytes = fs::read(&request)?;
        capnpc::codegen::CodeGenerationCommand::new().output_directory(&out).run(&bytes[..])?;
    }
    Ok(())
}
