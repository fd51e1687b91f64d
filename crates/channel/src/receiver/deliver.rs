//! A message on its way from its lane to the program: copied, or looked at in place, checked as its layer demands, handed over.

use alloc::{boxed::Box, vec::Vec};

use feuerbird_capability::Slot;
use feuerbird_serialization::{DecodeError, Format, Layer, Message, Stable};

use super::LaneIn;
use crate::{
    Consumer, Granter, Home, Lie, PollError, ReceiverStatistics, RecvError, along::split, buffer::Buffer,
};

pub(super) fn account<H: Home>(statistics: &mut ReceiverStatistics, consumer: &Consumer<H>) {
    statistics.missed += consumer.missed();
    statistics.wakes += consumer.wakes();
}

/// Hands the next message of a lane to the handler: in place where the sender is trusted, else from a private copy.
#[inline]
#[allow(clippy::type_complexity)] // the outer result is the lane's, the inner one the message's
pub(super) fn deliver<T: Message, H: Home, R>(
    lane: &mut LaneIn<H>,
    copy: &mut Buffer,
    handler: &mut impl Handler<T, R>,
    statistics: &mut ReceiverStatistics,
) -> Result<Option<Result<R, RecvError>>, PollError> {
    #[cfg(not(loom))]
    if lane.layer == Layer::Raw && lane.consumer.reads_in_place() {
        let Some(borrowed) = lane.consumer.borrow()? else { return Ok(None) };
        statistics.copies_avoided += 1;
        if borrowed.has_gifts() {
            return deliver_with(lane.format, &mut lane.granter, borrowed.bytes(), handler, statistics);
        }
        return refused(open(lane.format, borrowed.bytes(), &[], handler, statistics));
    }
    let Some(taken) = lane.consumer.take(copy.bytes_mut())? else { return Ok(None) };
    statistics.copies_made += 1;
    let bytes = &copy.bytes()[..taken.bytes()];
    if taken.has_gifts() {
        return deliver_with(lane.format, &mut lane.granter, bytes, handler, statistics);
    }
    refused(open(lane.format, bytes, &[], handler, statistics))
}

/// The same for a lane that is plain, where it is quickest: a message in its slot, beside which nothing comes. `None` where there is none.
#[inline(always)] // part of `attempt`
pub(super) fn deliver_plain<T: Message, H: Home, R>(
    lane: &mut LaneIn<H>,
    copy: &mut Buffer,
    handler: &mut impl Handler<T, R>,
    statistics: &mut ReceiverStatistics,
) -> Option<Result<R, RecvError>> {
    const RAW: Format = Layer::Raw.format();
    let copy = copy.bytes_mut();
    let bytes = lane.consumer.take_plain(copy)?;
    statistics.copies_made += 1;
    Some(read(RAW, &copy[..bytes], &[], handler, statistics))
}

/// As [`deliver`], for a message with capabilities beside it, which nobody keeps that does not get the message.
#[cold]
#[allow(clippy::type_complexity)] // as above
fn deliver_with<T: Message, R>(
    format: Format,
    granter: &mut Option<Box<dyn Granter>>,
    bytes: &[u8],
    handler: &mut impl Handler<T, R>,
    statistics: &mut ReceiverStatistics,
) -> Result<Option<Result<R, RecvError>>, PollError> {
    let granter = granter.as_mut().ok_or(PollError::PeerMisbehaved(Lie::Gifts))?;
    let (bytes, tail) = split(bytes).map_err(PollError::PeerMisbehaved)?;
    let slots = granter.take(tail.token(), tail.count(), handler.wants_capabilities());
    let mut beside = Beside { granter: &mut **granter, slots, is_handed_over: false };
    let result = open(format, bytes, &beside.slots, handler, statistics);
    beside.is_handed_over = result.is_ok();
    drop(beside);
    refused(result)
}

/// What came beside a message: deleted where the message was refused, or its handler panicked.
struct Beside<'g> {
    granter: &'g mut dyn Granter,
    slots: Vec<Slot>,
    is_handed_over: bool,
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.is_handed_over {
            self.granter.delete(&self.slots);
        }
    }
}

/// What becomes of a message. Spent by the first that it gets.
pub(crate) trait Handler<T: Message, R> {
    /// Whether it keeps what comes beside the message.
    fn wants_capabilities(&self) -> bool;

    fn handle(&mut self, view: T::View<'_>, slots: &[Slot]) -> R;
}

const SPENT: &str = "a handler is spent by the call that returns its result";

/// A program's handler that takes the message alone.
pub(crate) struct Unwanted<F>(pub(crate) Option<F>);

impl<T: Message, R, F: FnOnce(T::View<'_>) -> R> Handler<T, R> for Unwanted<F> {
    #[inline]
    fn wants_capabilities(&self) -> bool {
        false
    }

    #[inline]
    fn handle(&mut self, view: T::View<'_>, _: &[Slot]) -> R {
        self.0.take().expect(SPENT)(view)
    }
}

/// A program's handler that takes the message with what came beside it.
pub(super) struct Wanted<F>(pub(super) Option<F>);

impl<T: Message, R, F: FnOnce(T::View<'_>, &[Slot]) -> R> Handler<T, R> for Wanted<F> {
    #[inline]
    fn wants_capabilities(&self) -> bool {
        true
    }

    #[inline]
    fn handle(&mut self, view: T::View<'_>, slots: &[Slot]) -> R {
        self.0.take().expect(SPENT)(view, slots)
    }
}

/// A header of another format than the binding's is no malformed message but a breach of what was agreed: it ends the lane.
#[inline]
#[allow(clippy::type_complexity)] // as above
pub(super) fn refused<R>(result: Result<R, RecvError>) -> Result<Option<Result<R, RecvError>>, PollError> {
    match result {
        Err(RecvError::Malformed(DecodeError::WrongFormat)) => Err(PollError::PeerMisbehaved(Lie::Format)),
        result => Ok(Some(result)),
    }
}

/// Checks stable bytes as their layer demands and hands the message over.
#[inline(always)] // where nothing comes beside a message, nothing of that is left
pub(crate) fn open<T: Message, R>(
    format: Format,
    bytes: &[u8],
    slots: &[Slot],
    handler: &mut impl Handler<T, R>,
    statistics: &mut ReceiverStatistics,
) -> Result<R, RecvError> {
    format.known(|format| read(format, bytes, slots, handler, statistics))
}

/// The same in a format that the compiler may know.
#[inline(always)] // as above
fn read<T: Message, R>(
    format: Format,
    bytes: &[u8],
    slots: &[Slot],
    handler: &mut impl Handler<T, R>,
    statistics: &mut ReceiverStatistics,
) -> Result<R, RecvError> {
    let decoded =
        Stable::new(bytes).and_then(|stable| T::decode(stable.with_capabilities(slots.len() as u32), format));
    match decoded {
        Ok(view) => {
            statistics.messages += 1;
            statistics.bytes += bytes.len() as u64;
            Ok(handler.handle(view, slots))
        }
        Err(error) => {
            statistics.malformed += 1;
            Err(RecvError::Malformed(error))
        }
    }
}
