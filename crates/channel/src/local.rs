//! Both sides in one domain: the same endpoints over `crossbeam-queue`.
//!
//! Threads of one domain share everything anyway, so there is nothing to distrust: messages travel Raw, in buffers that
//! move through one queue and come back through another.

use alloc::sync::Arc;
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use crossbeam_queue::ArrayQueue;
use feuerbird_serialization::{Encode, Layer, Message};

use crate::{
    Home, Receiver, ReceiverStatistics, RecvError, SendError, Sender, buffer::Buffer, receiver::open,
    sleepers::Sleepers,
};

/// A channel within one domain for messages of at most `message_bytes` encoded bytes, `depth` of them. Both ends can be
/// cloned ([`Sender::clone_local`], [`Receiver::clone_local`]): N senders to M receivers, each message to one of them.
///
/// # Panics
/// When `depth` is zero.
///
/// # Cost
/// All buffers are allocated here. Sending and receiving allocate nothing.
pub fn local<T: Message, H: Home>(
    home: H,
    message_bytes: usize,
    depth: usize,
) -> (Sender<T, H>, Receiver<T, H>) {
    let queue = Arc::new(Queue {
        full: ArrayQueue::new(depth),
        spare: ArrayQueue::new(depth),
        message_bytes,
        sleepers: Sleepers::new(),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
    });
    for _ in 0..depth {
        let _ = queue.spare.push((0, Buffer::with_capacity(message_bytes)));
    }
    let sender = LocalSender { home: home.clone(), queue: Arc::clone(&queue), types: PhantomData };
    let receiver = LocalReceiver { home: home.clone(), queue, types: PhantomData };
    (Sender::local(home.clone(), sender), Receiver::local(home, receiver))
}

/// What both ends share.
#[derive(Debug)]
struct Queue {
    /// Messages: how many bytes, and where.
    full: ArrayQueue<(usize, Buffer)>,
    spare: ArrayQueue<(usize, Buffer)>,
    message_bytes: usize,
    sleepers: Sleepers,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// A buffer on its way back: it goes to the spare ones even if a handler or an encoder panics over it.
struct Returning<'q, H: Home> {
    queue: &'q Queue,
    home: &'q H,
    buffer: Buffer,
}

impl<H: Home> Drop for Returning<'_, H> {
    #[inline]
    fn drop(&mut self) {
        let buffer = core::mem::take(&mut self.buffer);
        self.queue.spare.push((0, buffer)).expect("there are as many places as buffers");
        self.queue.sleepers.changed(self.home);
    }
}

#[derive(Debug)]
pub(crate) struct LocalSender<T, H: Home> {
    home: H,
    queue: Arc<Queue>,
    types: PhantomData<fn(T)>,
}

#[derive(Debug)]
pub(crate) struct LocalReceiver<T, H: Home> {
    home: H,
    queue: Arc<Queue>,
    types: PhantomData<fn() -> T>,
}

impl<T: Message, H: Home> LocalSender<T, H> {
    #[inline]
    pub(crate) fn try_send(&mut self, message: &impl Encode<T>) -> Result<usize, SendError> {
        if self.queue.receivers.load(Ordering::Relaxed) == 0 {
            return Err(SendError::Disconnected);
        }
        let bound = message.encoded_bound(Layer::Raw);
        if bound > self.queue.message_bytes {
            return Err(SendError::TooLarge);
        }
        let (_, buffer) = self.queue.spare.pop().ok_or(SendError::Full)?;
        let mut filling = Returning { queue: &self.queue, home: &self.home, buffer };
        let encoded = message.encode(Layer::Raw, &mut filling.buffer.bytes_mut()[..bound]);
        let bytes = encoded.map_err(SendError::Unencodable)?;
        let full = (bytes, core::mem::take(&mut filling.buffer));
        core::mem::forget(filling);
        self.queue.full.push(full).expect("there are as many places as buffers");
        self.queue.sleepers.changed(&self.home);
        Ok(bytes)
    }

    /// How many receivers are there.
    pub(crate) fn receivers(&self) -> usize {
        self.queue.receivers.load(Ordering::Acquire)
    }

    /// Whether nobody is there any more who could take what was sent.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.receivers() == 0
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue.full.is_empty()
    }

    pub(crate) fn depth(&self) -> u64 {
        self.queue.full.len() as u64
    }

    pub(crate) fn sleep(&self, timeout_ns: u64) {
        let queue = &self.queue;
        let ready = || !queue.spare.is_empty() || queue.receivers.load(Ordering::Relaxed) == 0;
        queue.sleepers.sleep(&self.home, timeout_ns, ready);
    }
}

impl<T: Message, H: Home> LocalReceiver<T, H> {
    #[inline]
    pub(crate) fn attempt<R, F: FnOnce(T::View<'_>) -> R>(
        &mut self,
        handler: &mut Option<F>,
        statistics: &mut ReceiverStatistics,
    ) -> Result<R, RecvError> {
        let Some((bytes, buffer)) = self.queue.full.pop() else { return Err(self.nothing()) };
        statistics.copies_avoided += 1;
        let taken = Returning { queue: &self.queue, home: &self.home, buffer };
        open::<T, R, F>(Layer::Raw.format(), &taken.buffer.bytes()[..bytes], handler, statistics)
    }

    pub(crate) fn sleep(&self, timeout_ns: u64) {
        let queue = &self.queue;
        let ready = || !queue.full.is_empty() || queue.senders.load(Ordering::Relaxed) == 0;
        queue.sleepers.sleep(&self.home, timeout_ns, ready);
    }

    /// How many senders are there.
    pub(crate) fn senders(&self) -> usize {
        self.queue.senders.load(Ordering::Acquire)
    }

    fn nothing(&self) -> RecvError {
        // Acquire: what the last sender pushed before it went is seen by the look at the queue that follows.
        let gone = self.queue.senders.load(Ordering::Acquire) == 0;
        if gone && self.queue.full.is_empty() { RecvError::Disconnected } else { RecvError::Empty }
    }
}

impl<T, H: Home> Clone for LocalSender<T, H> {
    fn clone(&self) -> Self {
        self.queue.senders.fetch_add(1, Ordering::Relaxed);
        Self { home: self.home.clone(), queue: Arc::clone(&self.queue), types: PhantomData }
    }
}

impl<T, H: Home> Clone for LocalReceiver<T, H> {
    fn clone(&self) -> Self {
        self.queue.receivers.fetch_add(1, Ordering::Relaxed);
        Self { home: self.home.clone(), queue: Arc::clone(&self.queue), types: PhantomData }
    }
}

impl<T, H: Home> Drop for LocalSender<T, H> {
    fn drop(&mut self) {
        self.queue.senders.fetch_sub(1, Ordering::Release);
        self.queue.sleepers.changed(&self.home);
    }
}

impl<T, H: Home> Drop for LocalReceiver<T, H> {
    fn drop(&mut self) {
        self.queue.receivers.fetch_sub(1, Ordering::Release);
        self.queue.sleepers.changed(&self.home);
    }
}
