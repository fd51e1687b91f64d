//! Both sides in one domain: the same endpoints over `crossbeam-queue`.
//!
//! Threads of one domain share everything anyway, so there is nothing to distrust: messages travel Raw; small ones in the queue
//! itself, larger ones in buffers that move through one queue and come back through another.

use alloc::sync::Arc;
use core::marker::PhantomData;

use crossbeam_queue::ArrayQueue;
use feuerbird_serialization::{Encode, Layer, Message};
use feuerbird_zero_copy::sync::{AtomicU64, Ordering};
use zerocopy::IntoBytes;

use crate::{
    Home, Overflow, Receiver, ReceiverStatistics, RecvError, SendError, Sender, SenderStatistics,
    buffer::Buffer,
    receiver::{Handler, open},
    sleepers::Sleepers,
};

/// The largest message that travels in the queue itself.
const SMALL: usize = 56;

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
    local_with(home, message_bytes, depth, Overflow::Wait)
}

/// The same with a policy for a full channel. Where the oldest message is dropped, its sender is never told that there is no
/// room, and counts it.
///
/// # Panics
/// When `depth` is zero.
///
/// # Cost
/// As for [`local`]; but where the oldest is dropped, there is one buffer more, and sending allocates another one while the channel is
/// full and handlers or other senders hold buffers. That one goes again when it finds no place.
pub fn local_with<T: Message, H: Home>(
    home: H,
    message_bytes: usize,
    depth: usize,
    overflow: Overflow,
) -> (Sender<T, H>, Receiver<T, H>) {
    let queue = Arc::new(Queue {
        store: Store::new(message_bytes, depth, overflow),
        overflow,
        message_bytes,
        awaiting_message: Sleepers::new(),
        awaiting_room: Sleepers::new(),
        senders: AtomicU64::new(1),
        receivers: AtomicU64::new(1),
    });
    let sender = LocalSender { home: home.clone(), queue: Arc::clone(&queue), types: PhantomData };
    let receiver = LocalReceiver { home: home.clone(), queue, types: PhantomData };
    (Sender::local(home.clone(), sender), Receiver::local(home, receiver))
}

/// What both ends share.
#[derive(Debug)]
struct Queue {
    store: Store,
    overflow: Overflow,
    message_bytes: usize,
    awaiting_message: Sleepers,
    awaiting_room: Sleepers,
    /// How many there are. Each counts itself in and out; the last one's step out publishes what it did.
    senders: AtomicU64,
    receivers: AtomicU64,
}

/// Where messages wait.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each channel")]
enum Store {
    /// Small ones, in the queue itself.
    Inline(ArrayQueue<Small>),
    /// Larger ones: how many bytes, and where. Each buffer is in one queue or in somebody's hand.
    Pooled { full: ArrayQueue<(usize, Buffer)>, spare: ArrayQueue<(usize, Buffer)> },
}

/// A message of up to [`SMALL`] bytes; with the queue's own word for each place it takes 72 bytes.
#[derive(Debug)]
struct Small {
    words: [u64; SMALL / 8],
    bytes: usize,
}

impl Store {
    fn new(message_bytes: usize, depth: usize, overflow: Overflow) -> Self {
        if message_bytes <= SMALL {
            return Self::Inline(ArrayQueue::new(depth));
        }
        // To drop the oldest message, the next one has to be made first.
        let buffers = depth + usize::from(overflow == Overflow::DropOldest);
        let spare = ArrayQueue::new(buffers);
        for _ in 0..buffers {
            let _ = spare.push((0, Buffer::with_capacity(message_bytes)));
        }
        Self::Pooled { full: ArrayQueue::new(depth), spare }
    }

    fn messages(&self) -> usize {
        match self {
            Self::Inline(queue) => queue.len(),
            Self::Pooled { full, .. } => full.len(),
        }
    }

    /// Messages that there is room for, and how many there would be for in an empty store.
    fn room(&self) -> (usize, usize) {
        match self {
            Self::Inline(queue) => (queue.capacity().saturating_sub(queue.len()), queue.capacity()),
            Self::Pooled { full, spare } => (spare.len().min(full.capacity()), full.capacity()),
        }
    }
}

impl Queue {
    /// Wakes senders when half of the queue is free, or nothing is left in it: woken for each place, they would fill one and
    /// sleep again. Receivers have work until then, and a sender looks for itself after each slice of its sleep.
    #[inline]
    fn made_room<H: Home>(&self, home: &H) {
        self.awaiting_room.changed(home, || {
            let (room, capacity) = self.store.room();
            room >= capacity / 2 || self.store.messages() == 0
        });
    }
}

/// A buffer on its way back: it goes to the spare ones even if a handler or an encoder panics over it.
struct Returning<'q, H: Home> {
    queue: &'q Queue,
    spare: &'q ArrayQueue<(usize, Buffer)>,
    home: &'q H,
    buffer: Buffer,
}

impl<H: Home> Drop for Returning<'_, H> {
    #[inline]
    fn drop(&mut self) {
        let buffer = core::mem::take(&mut self.buffer);
        let returned = self.spare.push((0, buffer));
        // One that was allocated when receivers held all others may find no place, and goes.
        let is_expected = returned.is_ok() || self.queue.overflow == Overflow::DropOldest;
        debug_assert!(is_expected, "there are as many places as buffers");
        self.queue.made_room(self.home);
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
    pub(crate) fn try_send(
        &mut self,
        message: &impl Encode<T>,
        statistics: &mut SenderStatistics,
    ) -> Result<usize, SendError> {
        if self.queue.receivers.load(Ordering::Relaxed) == 0 {
            return Err(SendError::Disconnected);
        }
        let bound = message.encoded_bound(Layer::Raw);
        if bound > self.queue.message_bytes {
            return Err(SendError::TooLarge);
        }
        let bytes = match &self.queue.store {
            Store::Inline(queue) => {
                let mut small = Small { words: [0; SMALL / 8], bytes: 0 };
                let encoded = message.encode(Layer::Raw, &mut small.words.as_mut_bytes()[..bound]);
                small.bytes = encoded.map_err(SendError::Unencodable)?;
                let bytes = small.bytes;
                match self.queue.overflow {
                    Overflow::Wait => queue.push(small).map_err(|_| SendError::Full)?,
                    Overflow::DropOldest => {
                        statistics.dropped += u64::from(queue.force_push(small).is_some())
                    }
                }
                statistics.count_copied(1);
                bytes
            }
            Store::Pooled { full, spare } => {
                let buffer = match (spare.pop(), self.queue.overflow) {
                    (Some((_, buffer)), _) => buffer,
                    (None, Overflow::Wait) => return Err(SendError::Full),
                    // Not the oldest message's: one that comes to nothing costs none.
                    (None, Overflow::DropOldest) => Buffer::with_capacity(self.queue.message_bytes),
                };
                let mut filling = Returning { queue: &self.queue, spare, home: &self.home, buffer };
                let encoded = message.encode(Layer::Raw, &mut filling.buffer.bytes_mut()[..bound]);
                let bytes = encoded.map_err(SendError::Unencodable)?;
                let filled = (bytes, core::mem::take(&mut filling.buffer));
                core::mem::forget(filling);
                // Only where the oldest is dropped can there be more buffers than places.
                if let Some((_, oldest)) = full.force_push(filled) {
                    statistics.dropped += 1;
                    let _ = spare.push((0, oldest));
                }
                statistics.count_in_place(1);
                bytes
            }
        };
        self.queue.awaiting_message.changed(&self.home, || true);
        Ok(bytes)
    }

    /// How many receivers are there.
    pub(crate) fn receivers(&self) -> usize {
        self.queue.receivers.load(Ordering::Acquire) as usize
    }

    /// Whether nobody is there any more who could take what was sent.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.receivers() == 0
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue.store.messages() == 0
    }

    pub(crate) fn depth(&self) -> u64 {
        self.queue.store.messages() as u64
    }

    pub(crate) fn sleep(&self, timeout_ns: u64) {
        let queue = &self.queue;
        let ready = || queue.store.room().0 > 0 || queue.receivers.load(Ordering::Relaxed) == 0;
        queue.awaiting_room.sleep(&self.home, timeout_ns, ready);
    }
}

impl<T: Message, H: Home> LocalReceiver<T, H> {
    #[inline]
    pub(crate) fn attempt<R>(
        &mut self,
        handler: &mut impl Handler<T, R>,
        statistics: &mut ReceiverStatistics,
    ) -> Result<R, RecvError> {
        match &self.queue.store {
            Store::Inline(queue) => {
                let Some(small) = queue.pop() else { return Err(self.nothing()) };
                self.queue.made_room(&self.home);
                statistics.copies_made += 1;
                let bytes = &small.words.as_bytes()[..small.bytes];
                open(Layer::Raw.format(), bytes, &[], handler, statistics)
            }
            Store::Pooled { full, spare } => {
                let Some((bytes, buffer)) = full.pop() else { return Err(self.nothing()) };
                statistics.copies_avoided += 1;
                let taken = Returning { queue: &self.queue, spare, home: &self.home, buffer };
                open(Layer::Raw.format(), &taken.buffer.bytes()[..bytes], &[], handler, statistics)
            }
        }
    }

    pub(crate) fn sleep(&self, timeout_ns: u64) {
        let queue = &self.queue;
        let ready = || queue.store.messages() > 0 || queue.senders.load(Ordering::Relaxed) == 0;
        queue.awaiting_message.sleep(&self.home, timeout_ns, ready);
    }

    /// How many senders are there.
    pub(crate) fn senders(&self) -> usize {
        self.queue.senders.load(Ordering::Acquire) as usize
    }

    fn nothing(&self) -> RecvError {
        // Acquire: what the last sender pushed before it went is seen by the look at the queue that follows.
        let gone = self.queue.senders.load(Ordering::Acquire) == 0;
        if gone && self.queue.store.messages() == 0 { RecvError::Disconnected } else { RecvError::Empty }
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
        self.queue.awaiting_message.changed(&self.home, || true);
    }
}

impl<T, H: Home> Drop for LocalReceiver<T, H> {
    fn drop(&mut self) {
        self.queue.receivers.fetch_sub(1, Ordering::Release);
        self.queue.awaiting_room.changed(&self.home, || true);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use feuerbird_serialization::Plain;

    use super::*;
    use crate::{HeapHome, receiver::Unwanted};

    /// Buffers in the queue, and spare ones.
    fn buffers(store: &Store) -> (usize, usize) {
        let Store::Pooled { full, spare } = store else { panic!("messages this large have buffers") };
        (full.len(), spare.len())
    }

    #[test]
    fn where_the_oldest_is_dropped_sending_allocates_nothing_while_nobody_holds_a_buffer() {
        let home = HeapHome;
        let queue = Arc::new(Queue {
            store: Store::new(64, 4, Overflow::DropOldest),
            overflow: Overflow::DropOldest,
            message_bytes: 64,
            awaiting_message: Sleepers::new(),
            awaiting_room: Sleepers::new(),
            senders: AtomicU64::new(1),
            receivers: AtomicU64::new(1),
        });
        let mut sender = LocalSender::<Plain<u64>, _> { home, queue: Arc::clone(&queue), types: PhantomData };
        let mut receiver =
            LocalReceiver::<Plain<u64>, _> { home, queue: Arc::clone(&queue), types: PhantomData };
        assert_eq!(queue.store.room(), (4, 4), "the one more is not for one more message");
        for _ in 0..3 {
            (0..10_u64).for_each(|value| {
                sender.try_send(&value, &mut SenderStatistics::default()).unwrap();
            });
            assert_eq!(buffers(&queue.store), (4, 1), "one is left to make the next message in");
            while receiver.attempt(&mut Unwanted(Some(|_| ())), &mut ReceiverStatistics::default()).is_ok() {}
            assert_eq!(buffers(&queue.store), (0, 5), "all are kept");
        }
    }
}
