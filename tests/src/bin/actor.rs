//! The children of the scenarios: the demo's hostile program, and the workers of this package.
#![forbid(unsafe_code)]

use std::path::Path;

use feuerbird::hosted::{Policy, Supervisor, os};
use feuerbird_demos::cheat;
use feuerbird_tests::numbered;

fn main() -> anyhow::Result<()> {
    if let Ok(role) = std::env::var(cheat::ROLE_VARIABLE) {
        return cheat::child(&role);
    }
    let role = std::env::var(numbered::ROLE_VARIABLE)?;
    match role.strip_prefix("supervise\n").and_then(|rest| rest.split_once('\n')) {
        Some((socket, policy)) => supervise(socket.as_ref(), policy.as_ref()),
        None => numbered::child(&role),
    }
}

/// What `feuerbird supervise` does.
fn supervise(socket: &Path, policy: &Path) -> anyhow::Result<()> {
    os::signal::watch()?;
    let listener = os::socket::Listener::bind(socket)?;
    Supervisor::alone(listener, Policy::read(policy)?)?.run(os::signal::interrupted)?;
    Ok(())
}
