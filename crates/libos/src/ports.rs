//! Typed endpoints that unbind when they are dropped.

use core::ops::{Deref, DerefMut};

use crate::{Domain, Gate};

/// The sending side of a binding: [`feuerbird_channel::Sender`], which it dereferences to. Unbinds when dropped; what was
/// sent and not yet taken can still be taken.
pub struct Sender<T, G: Gate> {
    port: feuerbird_channel::Sender<T, G::Home>,
    _binding: Bound<G>,
}

/// The receiving side of a binding: [`feuerbird_channel::Receiver`], which it dereferences to. Unbinds when dropped.
pub struct Receiver<T, G: Gate> {
    port: feuerbird_channel::Receiver<T, G::Home>,
    _binding: Bound<G>,
}

/// Declared after the port in both, so that lanes are closed before the kernel hears of it.
struct Bound<G: Gate> {
    domain: Domain<G>,
    binding: u64,
}

impl<G: Gate> Drop for Bound<G> {
    fn drop(&mut self) {
        self.domain.unbind(self.binding);
    }
}

impl<T, G: Gate> Sender<T, G> {
    pub(crate) fn new(port: feuerbird_channel::Sender<T, G::Home>, domain: Domain<G>, binding: u64) -> Self {
        Self { port, _binding: Bound { domain, binding } }
    }
}

impl<T, G: Gate> Receiver<T, G> {
    pub(crate) fn new(
        port: feuerbird_channel::Receiver<T, G::Home>,
        domain: Domain<G>,
        binding: u64,
    ) -> Self {
        Self { port, _binding: Bound { domain, binding } }
    }
}

impl<T, G: Gate> Deref for Sender<T, G> {
    type Target = feuerbird_channel::Sender<T, G::Home>;

    fn deref(&self) -> &Self::Target {
        &self.port
    }
}

impl<T, G: Gate> DerefMut for Sender<T, G> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.port
    }
}

impl<T, G: Gate> Deref for Receiver<T, G> {
    type Target = feuerbird_channel::Receiver<T, G::Home>;

    fn deref(&self) -> &Self::Target {
        &self.port
    }
}

impl<T, G: Gate> DerefMut for Receiver<T, G> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.port
    }
}
