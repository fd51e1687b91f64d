//! Channels inside one process: rtrb, crossbeam's `ArrayQueue` and channel, std's `sync_channel`. All polled, messages by value.

use std::sync::Arc;
use std::sync::mpsc;

use crossbeam_queue::ArrayQueue;

use crate::link::{Incoming, LinkError, Outgoing, sum};

/// Messages each of them holds before the sender waits; as many as the limit ring's.
const DEPTH: usize = 256;

/// A bounded queue ends at `DEPTH` everywhere; `N` is the number of words of a message.
pub struct Rtrb;
/// crossbeam's queue.
pub struct Queue;
/// crossbeam's channel.
pub struct Crossbeam;
/// The standard library's channel.
pub struct Std;

/// A kind of channel whose two halves may be moved to different threads.
pub trait Kind {
    /// The name used in rows.
    const NAME: &'static str;

    /// A new channel for messages of `N` words.
    fn channel<const N: usize>() -> (impl Outgoing + Send + 'static, impl Incoming + Send + 'static);
}

impl Kind for Rtrb {
    const NAME: &'static str = "rtrb";

    fn channel<const N: usize>() -> (impl Outgoing + Send + 'static, impl Incoming + Send + 'static) {
        rtrb::RingBuffer::<[u64; N]>::new(DEPTH)
    }
}

impl<const N: usize> Outgoing for rtrb::Producer<[u64; N]> {
    #[inline(always)]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        Ok(self.push([stamp; N]).is_ok())
    }

    fn try_send_many(&mut self, first: u64, count: u64) -> Result<u64, LinkError> {
        let room = self.slots().min(count as usize);
        match self.write_chunk_uninit(room) {
            Ok(chunk) => Ok(chunk.fill_from_iter((first..).map(|stamp| [stamp; N])) as u64),
            Err(_) => Ok(0),
        }
    }
}

impl<const N: usize> Incoming for rtrb::Consumer<[u64; N]> {
    #[inline(always)]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        Ok(self.pop().ok().map(|message| sum(&message)))
    }

    fn try_receive_many(&mut self, count: u64, each: &mut dyn FnMut(u64)) -> Result<u64, LinkError> {
        let there = self.slots().min(count as usize);
        let Ok(chunk) = self.read_chunk(there) else { return Ok(0) };
        let (front, back) = chunk.as_slices();
        front.iter().chain(back).for_each(|message| each(sum(message)));
        chunk.commit_all();
        Ok(there as u64)
    }
}

/// A half of a shared [`ArrayQueue`].
pub struct Shared<const N: usize>(Arc<ArrayQueue<[u64; N]>>);

impl Kind for Queue {
    const NAME: &'static str = "crossbeam ArrayQueue";

    fn channel<const N: usize>() -> (impl Outgoing + Send + 'static, impl Incoming + Send + 'static) {
        let queue = Arc::new(ArrayQueue::<[u64; N]>::new(DEPTH));
        (Shared(queue.clone()), Shared(queue))
    }
}

impl<const N: usize> Outgoing for Shared<N> {
    #[inline(always)]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        Ok(self.0.push([stamp; N]).is_ok())
    }
}

impl<const N: usize> Incoming for Shared<N> {
    #[inline(always)]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        Ok(self.0.pop().map(|message| sum(&message)))
    }
}

impl Kind for Crossbeam {
    const NAME: &'static str = "crossbeam-channel";

    fn channel<const N: usize>() -> (impl Outgoing + Send + 'static, impl Incoming + Send + 'static) {
        crossbeam_channel::bounded::<[u64; N]>(DEPTH)
    }
}

impl<const N: usize> Outgoing for crossbeam_channel::Sender<[u64; N]> {
    #[inline(always)]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        match crossbeam_channel::Sender::try_send(self, [stamp; N]) {
            Ok(()) => Ok(true),
            Err(crossbeam_channel::TrySendError::Full(_)) => Ok(false),
            Err(crossbeam_channel::TrySendError::Disconnected(_)) => Err(LinkError::Disconnected),
        }
    }
}

impl<const N: usize> Incoming for crossbeam_channel::Receiver<[u64; N]> {
    #[inline(always)]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.try_recv() {
            Ok(message) => Ok(Some(sum(&message))),
            Err(crossbeam_channel::TryRecvError::Empty) => Ok(None),
            Err(crossbeam_channel::TryRecvError::Disconnected) => Err(LinkError::Disconnected),
        }
    }
}

impl Kind for Std {
    const NAME: &'static str = "std sync_channel";

    fn channel<const N: usize>() -> (impl Outgoing + Send + 'static, impl Incoming + Send + 'static) {
        mpsc::sync_channel::<[u64; N]>(DEPTH)
    }
}

impl<const N: usize> Outgoing for mpsc::SyncSender<[u64; N]> {
    #[inline(always)]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        match mpsc::SyncSender::try_send(self, [stamp; N]) {
            Ok(()) => Ok(true),
            Err(mpsc::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::TrySendError::Disconnected(_)) => Err(LinkError::Disconnected),
        }
    }
}

impl<const N: usize> Incoming for mpsc::Receiver<[u64; N]> {
    #[inline(always)]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.try_recv() {
            Ok(message) => Ok(Some(sum(&message))),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(LinkError::Disconnected),
        }
    }
}
