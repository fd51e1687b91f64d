//! The children of the hostile scenarios: what the demo's hostile program does, in a program of its own.
#![forbid(unsafe_code)]

use feuerbird_demos::cheat::{ROLE_VARIABLE, child};

fn main() -> anyhow::Result<()> {
    let role = std::env::var(ROLE_VARIABLE)?;
    child(&role)
}
