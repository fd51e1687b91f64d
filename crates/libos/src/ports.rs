//! Typed endpoints that unbind when they are dropped.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use feuerbird_channel::{Gift, RecvError, SendError};
use feuerbird_serialization::{Encode, Message};

use crate::{Authority, Domain, Gate, Handle};

/// The sending side of a binding: [`feuerbird_channel::Sender`], which it dereferences to. Unbinds when dropped; what was
/// sent and not yet taken can still be taken.
pub struct Sender<T, G: Gate> {
    port: feuerbird_channel::Sender<T, G::Home>,
    _binding: Bound<G>,
}

/// The receiving side of a binding: [`feuerbird_channel::Receiver`], which it dereferences to. Unbinds when dropped.
pub struct Receiver<T, G: Gate> {
    port: feuerbird_channel::Receiver<T, G::Home>,
    bound: Bound<G>,
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

impl<T: Message, G: Gate> Sender<T, G> {
    /// Sends one message and has capabilities granted beside it, each with that authority, to the receiver whose lane it takes. The
    /// message stands for them by their places in `gifts`. See [`feuerbird_channel::Sender::send_with`].
    ///
    /// # Errors
    /// [`SendError::Ungranted`], where nothing was granted to anybody; otherwise as for [`send`](feuerbird_channel::Sender::send).
    pub fn send_with(
        &mut self,
        message: &impl Encode<T>,
        gifts: &[(&Handle<G>, Authority)],
    ) -> Result<(), SendError> {
        let gift = |(handle, authority): &(&Handle<G>, Authority)| {
            let Authority { rights, trust, badge, .. } = *authority;
            Gift { slot: handle.slot, rights, trust, badge }
        };
        self.port.send_with(message, &gifts.iter().map(gift).collect::<Vec<_>>())
    }
}

impl<T: Message, G: Gate> Receiver<T, G> {
    /// Waits for a message, but not longer than `timeout_ns` nanoseconds, and hands it to `handler` with the capabilities that came
    /// beside it, by the places that the message knows them by. They are this domain's from then on. One that was revoked meanwhile
    /// is there as well, and is refused when it is used. See [`feuerbird_channel::Receiver::recv_with`].
    ///
    /// # Errors
    /// As for [`recv_timeout`](feuerbird_channel::Receiver::recv_timeout).
    pub fn recv_with<R>(
        &mut self,
        timeout_ns: u64,
        handler: impl FnOnce(T::View<'_>, &[Handle<G>]) -> R,
    ) -> Result<R, RecvError> {
        let domain = &self.bound.domain;
        self.port.recv_with(timeout_ns, |view, slots| {
            let handles: Vec<_> = slots.iter().map(|slot| domain.handle(*slot)).collect();
            handler(view, &handles)
        })
    }
}

impl<T, G: Gate> Receiver<T, G> {
    pub(crate) fn new(
        port: feuerbird_channel::Receiver<T, G::Home>,
        domain: Domain<G>,
        binding: u64,
    ) -> Self {
        Self { port, bound: Bound { domain, binding } }
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
