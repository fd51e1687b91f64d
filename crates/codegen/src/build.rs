//! For build scripts.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, generate};

/// Writes `NAME.rs` for `NAME.capnp`, and `NAME_capnp.rs` with the types of the `capnp` crate, into the build script's output folder.
///
/// Reads the compiled request `NAME.capnp.request` beside the schema. Where there is none, it runs the `capnp` tool, so that a
/// schema can be tried before its request is kept.
///
/// # Errors
/// [`Error`]; a build script returns it from `main`.
pub fn compile(schema: impl AsRef<Path>) -> Result<(), Error> {
    let schema = schema.as_ref();
    let request_path = with_suffix(schema, ".request");
    println!("cargo::rerun-if-changed={}", schema.display());
    println!("cargo::rerun-if-changed={}", request_path.display());
    let request = match fs::read(&request_path) {
        Ok(request) => request,
        Err(error) if error.kind() == ErrorKind::NotFound => run_tool(schema, &request_path)?,
        Err(source) => return Err(Error::File { path: request_path, source }),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?);
    let stem = schema.file_stem().unwrap_or_default().to_string_lossy();
    let file = out.join(format!("{stem}.rs"));
    let code = generate(&request).map_err(|error| match error {
        refused @ Error::Refused { .. } => refused,
        other => Error::Request { path: request_path, source: Box::new(other) },
    })?;
    fs::write(&file, code).map_err(|source| Error::File { path: file, source })?;
    let mut types = capnpc::codegen::CodeGenerationCommand::new();
    types.output_directory(&out).run(&request[..]).map_err(|error| Error::Capnp(error.to_string()))
}

fn run_tool(schema: &Path, request: &Path) -> Result<Vec<u8>, Error> {
    let missing = |why| Error::NoRequest { path: request.to_owned(), why };
    let folder = schema.parent().unwrap_or(Path::new("."));
    let file = schema.file_name().unwrap_or_default();
    let tool = Command::new("capnp").args(["compile", "-o-"]).arg(file).current_dir(folder).output();
    let output = tool.map_err(|error| missing(error.to_string()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(missing(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
