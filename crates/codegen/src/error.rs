//! What can go wrong, with the place.

use std::{io, path::PathBuf};

/// Why no code was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no compiled request beside the schema, and no `capnp` tool to make one.
    #[error(
        "{path} is missing, and the capnp tool could not make it: {why}; on Debian, apt-get install capnproto"
    )]
    NoRequest {
        /// The request.
        path: PathBuf,
        /// What happened to the tool.
        why: String,
    },
    /// There is a request, which is not one, or is refused.
    #[error("{path}: {source}")]
    Request {
        /// The request.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// Cargo did not say where code goes: this is no build script.
    #[error("OUT_DIR is not set: compile is for build scripts")]
    NoOutDir,
    /// The bytes are no compiled request.
    #[error("not a compiled request: {0}")]
    Malformed(#[from] capnp::Error),
    /// The request has a value of a kind that this version does not know.
    #[error("the request is of a newer version of Cap'n Proto")]
    TooNew(#[from] capnp::NotInSchema),
    /// The schema has something that cannot be carried.
    #[error("{file}: {place}: {what}")]
    Refused {
        /// The schema's file.
        file: String,
        /// The struct or field.
        place: String,
        /// What it is.
        what: &'static str,
    },
    /// The code generator of the `capnp` types failed.
    #[error("the capnp types could not be written: {0}")]
    Capnp(String),
}

impl Error {
    pub(crate) fn refused(place: impl Into<String>, what: &'static str) -> Self {
        Self::Refused { file: "the request".to_owned(), place: place.into(), what }
    }

    /// The same, of this schema file.
    pub(crate) fn in_file(self, name: &str) -> Self {
        match self {
            Self::Refused { place, what, .. } => Self::Refused { file: name.to_owned(), place, what },
            other => other,
        }
    }
}
