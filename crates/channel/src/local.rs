//! Both sides in one domain: the same endpoints over `crossbeam-queue`.
//!
//! Threads of one domain share everything anyway, so there is nothing to distrust: messages travel Raw, in buffers that
//! move through one queue and come back through another.

use alloc::sync::Arc;
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence},
};

use crossbeam_queue::ArrayQueue;
use feuerbird_serialization::{Encode, Layer, Message};

use crate::{
    Home, Receiver, ReceiverStatistics, RecvError, SendError, Sender, Watched, buffer::Buffer, receiver::open,
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
        changes: AtomicU64::new(0),
        asleep: AtomicUsize::new(0),
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
    /// Counts what sleepers wait for. Written by whoever finds one asleep.
    changes: AtomicU64,
    asleep: AtomicUsize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

impl Queue {
    /// Wakes sleepers. Pairs with the fence in `sleep`: either the sleeper sees the change, or we see the sleeper.
    #[inline]
    fn changed<H: Home>(&self, home: &H) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.changes.fetch_add(1, Ordering::Release);
            home.wake(self.changes.as_ptr().cast_const());
        }
    }

    fn sleep<H: Home>(&self, home: &H, timeout_ns: u64, ready: impl Fn() -> bool) {
        let seen = self.changes.load(Ordering::Acquire) as u32;
        self.asleep.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            home.wait(&[Watched { address: self.changes.as_ptr().cast_const(), seen }], timeout_ns);
        }
        self.asleep.fetch_sub(1, Ordering::Relaxed);
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
        let (_, mut buffer) = self.queue.spare.pop().ok_or(SendError::Full)?;
        match message.encode(Layer::Raw, &mut buffer.bytes_mut()[..bound]) {
            Ok(bytes) => {
                self.queue.full.push((bytes, buffer)).expect("there are as many places as buffers");
                self.queue.changed(&self.home);
                Ok(bytes)
            }
            Err(error) => {
                self.queue.spare.push((0, buffer)).expect("there are as many places as buffers");
                Err(SendError::Unencodable(error))
            }
        }
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
        queue.sleep(&self.home, timeout_ns, ready);
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
        let borrowed = Borrowed { receiver: self, buffer };
        open::<T, R, F>(Layer::Raw.format(), &borrowed.buffer.bytes()[..bytes], handler, statistics)
    }

    pub(crate) fn sleep(&self, timeout_ns: u64) {
        let queue = &self.queue;
        let ready = || !queue.full.is_empty() || queue.senders.load(Ordering::Relaxed) == 0;
        queue.sleep(&self.home, timeout_ns, ready);
    }

    fn nothing(&self) -> RecvError {
        // Acquire: what the last sender pushed before it went is seen by the look at the queue that follows.
        let gone = self.queue.senders.load(Ordering::Acquire) == 0;
        if gone && self.queue.full.is_empty() { RecvError::Disconnected } else { RecvError::Empty }
    }
}

/// A message in a handler's hands; its buffer goes back also where the handler panics.
struct Borrowed<'r, T, H: Home> {
    receiver: &'r LocalReceiver<T, H>,
    buffer: Buffer,
}

impl<T, H: Home> Drop for Borrowed<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        let buffer = core::mem::take(&mut self.buffer);
        self.receiver.queue.spare.push((0, buffer)).expect("there are as many places as buffers");
        self.receiver.queue.changed(&self.receiver.home);
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
        self.queue.changed(&self.home);
    }
}

impl<T, H: Home> Drop for LocalReceiver<T, H> {
    fn drop(&mut self) {
        self.queue.receivers.fetch_sub(1, Ordering::Release);
        self.queue.changed(&self.home);
    }
}
