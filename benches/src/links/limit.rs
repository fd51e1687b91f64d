//! The limit: the hand-written ring of [`raw`](crate::raw), spinning, copied out before use, and sleeping.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use crate::link::{Incoming, Link, LinkError, Outgoing, PATIENCE, Spinning, fill, sum};
use crate::raw::{Consumer, Mapping, Producer, Shape};

/// How many messages a ring or a lane holds: 2 MiB of them, but no fewer than 4 and no more than 256. Small messages stay in the
/// caches nearest to the core, big ones do not reuse the line that was freed last. Ours gets as many as the limit.
pub fn slots(bytes: usize) -> u32 {
    ((2 << 20) / bytes).clamp(4, 256).next_power_of_two() as u32
}

fn shape(bytes: usize) -> Shape {
    Shape { slots: slots(bytes), words: bytes / 8 }
}

/// Which of the two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The measuring one.
    First,
    /// The answering one.
    Second,
}

/// Both rings of a connection, from one side.
pub struct Ends {
    producer: Producer,
    consumer: Consumer,
}

impl Ends {
    /// Makes the memory of a connection for messages of `bytes` and takes the first side.
    ///
    /// # Errors
    /// What the system said.
    pub fn create(bytes: usize) -> io::Result<(OwnedFd, Self)> {
        let (fd, mapping) = Mapping::create(2 * shape(bytes).bytes())?;
        Ok((fd, Self::on(mapping, bytes, Side::First)))
    }

    /// Takes the second side of a connection that [`Ends::create`] made.
    ///
    /// # Errors
    /// What the system said.
    pub fn attach(fd: impl AsFd, bytes: usize) -> io::Result<Self> {
        let mapping = Mapping::attach(fd, 2 * shape(bytes).bytes())?;
        Ok(Self::on(mapping, bytes, Side::Second))
    }

    fn on(mapping: Arc<Mapping>, bytes: usize, side: Side) -> Self {
        let shape = shape(bytes);
        let (out, back) = if side == Side::First { (0, shape.bytes()) } else { (shape.bytes(), 0) };
        Self {
            producer: Producer::new(mapping.clone(), out, shape),
            consumer: Consumer::new(mapping, back, shape),
        }
    }

    /// Spinning, read in place.
    pub fn spinning(self) -> Spinning<InPlace<Producer>, InPlace<Consumer>> {
        Spinning { outgoing: InPlace(self.producer), incoming: InPlace(self.consumer) }
    }

    /// Spinning, copied out and released before the copy is read.
    pub fn copying(self, bytes: usize) -> Spinning<InPlace<Producer>, CopiedOut> {
        let incoming = CopiedOut { consumer: self.consumer, copy: vec![0; bytes / 8] };
        Spinning { outgoing: InPlace(self.producer), incoming }
    }

    /// Sleeping at once where there is nothing to do.
    pub fn sleeping(self) -> Sleeping {
        Sleeping(self)
    }
}

/// One ring whose two ends are in this thread or this process.
///
/// # Errors
/// What the system said.
pub fn one_ring(bytes: usize) -> io::Result<(InPlace<Producer>, InPlace<Consumer>)> {
    let shape = shape(bytes);
    let (_, mapping) = Mapping::create(shape.bytes())?;
    Ok((InPlace(Producer::new(mapping.clone(), 0, shape)), InPlace(Consumer::new(mapping, 0, shape))))
}

/// Works on the payload where it lies.
pub struct InPlace<T>(T);

impl Outgoing for InPlace<Producer> {
    #[inline(always)]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        let sent = self.0.try_push(|slot| fill(slot, stamp));
        if sent {
            self.0.publish();
        }
        Ok(sent)
    }

    fn try_send_many(&mut self, first: u64, count: u64) -> Result<u64, LinkError> {
        let full = (0..count).find(|sent| !self.0.try_push(|slot| fill(slot, first + sent)));
        self.0.publish();
        Ok(full.unwrap_or(count))
    }
}

impl Incoming for InPlace<Consumer> {
    #[inline(always)]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        let sum = self.0.try_pop(sum);
        if sum.is_some() {
            self.0.release();
        }
        Ok(sum)
    }

    fn try_receive_many(&mut self, count: u64, each: &mut dyn FnMut(u64)) -> Result<u64, LinkError> {
        let mut taken = 0;
        while taken < count {
            let Some(sum) = self.0.try_pop(sum) else { break };
            each(sum);
            taken += 1;
        }
        if taken > 0 {
            self.0.release();
        }
        Ok(taken)
    }
}

/// Copies the payload into private memory first: what is safe from a hostile writer.
pub struct CopiedOut {
    consumer: Consumer,
    copy: Vec<u64>,
}

impl Incoming for CopiedOut {
    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        let copy = &mut self.copy[..];
        if self.consumer.try_pop(|slot| copy.copy_from_slice(slot)).is_none() {
            return Ok(None);
        }
        self.consumer.release();
        Ok(Some(sum(&self.copy)))
    }
}

/// A link that sleeps in the kernel whenever there is nothing to do, and wakes only a side that sleeps.
pub struct Sleeping(Ends);

impl Link for Sleeping {
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        let mut since = None;
        while !self.0.producer.try_push(|slot| fill(slot, stamp)) {
            within_patience(&mut since)?;
            self.0.producer.wait_for_room();
        }
        self.0.producer.publish_and_wake();
        Ok(())
    }

    fn receive(&mut self) -> Result<u64, LinkError> {
        let mut since = None;
        loop {
            if let Some(sum) = self.0.consumer.try_pop(sum) {
                self.0.consumer.release_and_wake();
                return Ok(sum);
            }
            within_patience(&mut since)?;
            self.0.consumer.wait_for_message();
        }
    }
}

fn within_patience(since: &mut Option<Instant>) -> Result<(), LinkError> {
    match since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
        true => Err(LinkError::Stalled),
        false => Ok(()),
    }
}
