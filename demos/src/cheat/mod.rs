//! A hostile program, and what stops it.
//!
//! A child of the demo is started as this same program with its role in the environment variable
//! [`ROLE_VARIABLE`]; roles that start with `cheat-` come to [`child`].

/// The environment variable that tells a child of the demo what it is.
pub const ROLE_VARIABLE: &str = "FEUERBIRD_DEMO_ROLE";

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was tried.
    pub attempt: &'static str,
    /// What stopped it; `None` where nothing did.
    pub stopped_by: Option<String>,
}

/// Tries everything; `progress` sees each attempt when it is over.
///
/// # Errors
/// Where an attempt could not be made at all.
pub fn run(progress: &mut dyn FnMut(&Attempt)) -> anyhow::Result<Vec<Attempt>> {
    let _ = progress;
    anyhow::bail!("not built yet")
}

/// What a child with a role of `cheat-` does.
///
/// # Errors
/// Where it cannot do it.
pub fn child(role: &str) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {role}")
}
