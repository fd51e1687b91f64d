//! These messages on channels: between threads of one domain, and over a lane at every trust.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::sync::Arc;

use common::{Case, Flat, Reading, reading};
use feuerbird_capability::Trust;
use feuerbird_channel::{
    Consumer, HeapHome, LaneIn, LaneOut, Producer, Receiver, RecvError, Sender, Terms, Validity,
    layout::{Half, LaneLayout},
    local, prepare,
};
use feuerbird_formats::{flatbuffers::FlatBuffer, messagepack::MessagePack, protobuf::Protobuf};
use feuerbird_serialization::{DecodeError, Encode, Message};
use feuerbird_zero_copy::heap_region;
use flatbuffers::FlatBufferBuilder;

type Ends<M> = (Sender<M, HeapHome>, Receiver<M, HeapHome>);

/// A lane in memory as between processes.
fn lane<M: Message>(trust: Trust) -> Ends<M> {
    let terms = Terms::new(1 << 16, 8).unwrap();
    let layout = LaneLayout::new(terms);
    // SAFETY: the halves go to a lane, which orders reads and writes.
    let (out, out_view) = unsafe { heap_region(layout.producer_bytes()) };
    // SAFETY: as above.
    let (back, back_view) = unsafe { heap_region(layout.consumer_bytes()) };
    prepare(&out, &layout, Half::Producer).unwrap();
    prepare(&back, &layout, Half::Consumer).unwrap();
    let valid = Validity::unconditional;
    let producer = Producer::attach(HeapHome, terms, out, back_view, valid(), None).unwrap();
    let consumer = Consumer::attach(HeapHome, terms, back, out_view, valid(), None).unwrap();
    let (outgoing, arriving) = (Arc::default(), Arc::default());
    let sender = Sender::new(HeapHome, valid(), Arc::clone(&outgoing));
    let receiver = Receiver::new(HeapHome, valid(), Arc::clone(&arriving));
    outgoing.push(LaneOut::new(producer, trust, terms));
    arriving.push(LaneIn::new(consumer, trust, terms));
    (sender, receiver)
}

fn channels<M: Message>() -> Vec<Ends<M>> {
    let lanes = [Trust::USER, Trust::LIBOS, Trust::KERNEL].map(lane);
    lanes.into_iter().chain([local(HeapHome, 1 << 16, 4)]).collect()
}

/// Small enough for a slot, too large for one, and with nothing in it, which in Protocol Buffers takes no byte at all.
fn messages() -> [Reading; 3] {
    [reading(1), reading(2000), Reading::default()]
}

fn arrives<C: Case>(sent: &Reading, message: &impl Encode<C::Message>) {
    // The handler of the first channel sends what it sees on through a second.
    for ((mut sender, mut receiver), (mut onward, mut last)) in
        channels::<C::Message>().into_iter().zip(channels::<C::Message>())
    {
        for _ in 0..20 {
            sender.send(message).unwrap();
            receiver.recv(|view| onward.send(&view).unwrap()).unwrap();
            assert_eq!(last.recv(|view| C::read(&view)).as_ref(), Ok(sent));
        }
    }
}

#[test]
fn messages_travel_and_are_sent_on() {
    for sent in messages() {
        arrives::<common::Prost>(&sent, &Protobuf(&sent));
        arrives::<common::Rmp>(&sent, &MessagePack(sent.clone()));
        let mut builder = FlatBufferBuilder::new();
        arrives::<Flat>(&sent, &common::built(&mut builder, &sent));
    }
}

/// Sends whatever it is told to: a peer that does not encode.
struct Bytes(Vec<u8>);

impl<M: Message> Encode<M> for Bytes {
    fn encoded_bound(&self, _: impl Into<feuerbird_serialization::Format>) -> usize {
        self.0.len()
    }

    fn encode(
        &self,
        _: impl Into<feuerbird_serialization::Format>,
        out: &mut [u8],
    ) -> Result<usize, feuerbird_serialization::EncodeError> {
        out[..self.0.len()].copy_from_slice(&self.0);
        Ok(self.0.len())
    }
}

fn refused<M: Message>(bytes: &[u8], expected: DecodeError) {
    for (mut sender, mut receiver) in channels::<M>() {
        sender.send(&Bytes(bytes.to_vec())).unwrap();
        assert_eq!(receiver.recv(|_| panic!("no handler sees this")), Err(RecvError::Malformed(expected)));
    }
}

/// Even where trust asks for no check at all, these formats check everything.
#[test]
fn no_handler_sees_a_malformed_message_at_any_trust() {
    refused::<Protobuf<Reading>>(&[0xFF; 40], DecodeError::Malformed);
    refused::<MessagePack<Reading>>(&[0xDD; 40], DecodeError::Truncated);
    refused::<FlatBuffer<common::FlatReading>>(&[0xFF; 40], DecodeError::Truncated);
}
