//! What a measurement sees of a transport: two directions, messages of one size, the payload touched by both sides.
//!
//! A message of `n` words carries one *stamp* in every word. The sender writes all of them, the receiver adds all of them up, so
//! that every byte is written and read and every message is checked: the sum must be `stamp * n`. Stamps count up from 1; 0 says
//! "stop".

use std::time::{Duration, Instant};

use thiserror::Error;

/// Nobody waits longer than this for the other side.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why a message did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Nothing moved within [`PATIENCE`].
    #[error("the other side did not move in time")]
    Stalled,
    /// The other side is gone.
    #[error("the other side is gone")]
    Disconnected,
    /// The content is not what was sent.
    #[error("a message was altered, lost or repeated")]
    Altered,
    /// The transport refused.
    #[error("the transport failed: {0:?}")]
    Transport(std::io::ErrorKind),
}

impl From<std::io::Error> for LinkError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => Self::Disconnected,
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Self::Stalled,
            kind => Self::Transport(kind),
        }
    }
}

/// One end of a two-way connection.
pub trait Link {
    /// Sends one message with `stamp` in every word; waits while there is no room.
    ///
    /// # Errors
    /// [`LinkError`], never after less than [`PATIENCE`] for want of room.
    fn send(&mut self, stamp: u64) -> Result<(), LinkError>;

    /// Waits for one message and returns the wrapping sum of its words.
    ///
    /// # Errors
    /// [`LinkError`].
    fn receive(&mut self) -> Result<u64, LinkError>;

    /// Sends `count` messages stamped from `first` upwards, at once where the transport can.
    ///
    /// # Errors
    /// [`LinkError`].
    fn send_many(&mut self, first: u64, count: u64) -> Result<(), LinkError> {
        (first..first + count).try_for_each(|stamp| self.send(stamp))
    }

    /// Receives `count` messages and passes each one's sum on.
    ///
    /// # Errors
    /// [`LinkError`].
    fn receive_many(&mut self, count: u64, each: &mut dyn FnMut(u64)) -> Result<(), LinkError> {
        (0..count).try_for_each(|_| self.receive().map(&mut *each))
    }
}

/// The sending half of a polled transport.
pub trait Outgoing {
    /// Sends one message with `stamp` in every word; `Ok(false)` where there is no room.
    ///
    /// # Errors
    /// [`LinkError`] for anything that waiting will not mend.
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError>;

    /// Sends up to `count` messages stamped from `first` upwards and returns how many.
    ///
    /// # Errors
    /// As [`Outgoing::try_send`].
    fn try_send_many(&mut self, first: u64, count: u64) -> Result<u64, LinkError> {
        (0..count)
            .find_map(|sent| self.try_send(first + sent).map(|ok| (!ok).then_some(sent)).transpose())
            .unwrap_or(Ok(count))
    }
}

/// The receiving half of a polled transport.
pub trait Incoming {
    /// Takes one message and returns the wrapping sum of its words; `None` where there is none.
    ///
    /// # Errors
    /// [`LinkError`] for anything that waiting will not mend.
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError>;

    /// Takes up to `count` messages, passes each one's sum on and returns how many.
    ///
    /// # Errors
    /// As [`Incoming::try_receive`].
    fn try_receive_many(&mut self, count: u64, each: &mut dyn FnMut(u64)) -> Result<u64, LinkError> {
        let mut taken = 0;
        while taken < count {
            let Some(sum) = self.try_receive()? else { break };
            each(sum);
            taken += 1;
        }
        Ok(taken)
    }
}

/// A link that polls both halves, without a pause and without sleep: what "spinning" means in every row.
pub struct Spinning<O, I> {
    /// Towards the other side.
    pub outgoing: O,
    /// From the other side.
    pub incoming: I,
}

impl<O: Outgoing, I: Incoming> Link for Spinning<O, I> {
    #[inline]
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        let mut spin = Spin::default();
        while !self.outgoing.try_send(stamp)? {
            spin.turn()?;
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self) -> Result<u64, LinkError> {
        let mut spin = Spin::default();
        loop {
            if let Some(sum) = self.incoming.try_receive()? {
                return Ok(sum);
            }
            spin.turn()?;
        }
    }

    fn send_many(&mut self, mut first: u64, count: u64) -> Result<(), LinkError> {
        let (end, mut spin) = (first + count, Spin::default());
        while first < end {
            match self.outgoing.try_send_many(first, end - first)? {
                0 => spin.turn()?,
                sent => first += sent,
            }
        }
        Ok(())
    }

    fn receive_many(&mut self, mut count: u64, each: &mut dyn FnMut(u64)) -> Result<(), LinkError> {
        let mut spin = Spin::default();
        while count > 0 {
            match self.incoming.try_receive_many(count, each)? {
                0 => spin.turn()?,
                taken => count -= taken,
            }
        }
        Ok(())
    }
}

/// A spin with an end.
#[derive(Default)]
struct Spin {
    turns: u32,
    since: Option<Instant>,
}

impl Spin {
    #[inline(always)]
    fn turn(&mut self) -> Result<(), LinkError> {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(1 << 20) { self.look_at_the_clock() } else { Ok(()) }
    }

    #[cold]
    fn look_at_the_clock(&mut self) -> Result<(), LinkError> {
        match self.since {
            None => self.since = Some(Instant::now()),
            Some(since) if since.elapsed() > PATIENCE => return Err(LinkError::Stalled),
            Some(_) => {}
        }
        Ok(())
    }
}

/// Writes every word of a payload. A line's worth is told apart, because a loop of unknown length costs more than the line.
#[inline(always)]
pub fn fill(words: &mut [u64], stamp: u64) {
    match words {
        [word] => *word = stamp,
        _ => match <&mut [u64; 8]>::try_from(&mut *words) {
            Ok(line) => *line = [stamp; 8],
            Err(_) => words.fill(stamp),
        },
    }
}

/// Reads every word of a payload.
#[inline(always)]
pub fn sum(words: &[u64]) -> u64 {
    let add = |sum: u64, word: &u64| sum.wrapping_add(*word);
    match words {
        [word] => *word,
        _ => match <&[u64; 8]>::try_from(words) {
            Ok(line) => line.iter().fold(0, add),
            Err(_) => words.iter().fold(0, add),
        },
    }
}
