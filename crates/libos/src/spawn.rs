//! How a program comes to be a domain. Only a home knows what a program is, so a home says how one is started.

use crate::{Authority, Domain, Gate, Handle};

/// A program of this home, which can be started as a domain.
pub trait Spawn<G: Gate> {
    /// The started domain.
    type Child;
    /// Why it could not be started.
    type Error;

    /// What [`Domain::spawn`] does.
    ///
    /// # Errors
    /// The home's. Then nothing runs.
    fn spawn_in(
        self,
        domain: &Domain<G>,
        grants: &[(&Handle<G>, Authority)],
    ) -> Result<Self::Child, Self::Error>;
}

impl<G: Gate> Domain<G> {
    /// Starts a program as a domain with an initial capability space: one slot for each of `grants`, in their order; the program takes
    /// them with [`granted`](Self::granted).
    ///
    /// # Errors
    /// The home's. Then nothing runs.
    pub fn spawn<P: Spawn<G>>(
        &self,
        program: P,
        grants: &[(&Handle<G>, Authority)],
    ) -> Result<P::Child, P::Error> {
        program.spawn_in(self, grants)
    }
}
