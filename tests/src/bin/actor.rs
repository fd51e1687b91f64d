//! The children of the scenarios: the demo's hostile program, and the workers of this package.
#![forbid(unsafe_code)]

use feuerbird_demos::cheat;
use feuerbird_tests::numbered;

fn main() -> anyhow::Result<()> {
    if let Ok(role) = std::env::var(cheat::ROLE_VARIABLE) {
        return cheat::child(&role);
    }
    numbered::child(&std::env::var(numbered::ROLE_VARIABLE)?)
}
