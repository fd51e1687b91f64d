//! Sending and receiving on one thread: what a lane costs without contention.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, Consumer, HeapHome, LaneIn, LaneOut, Producer, Receiver, Sender, Terms, Validity,
    layout::{Half, LaneLayout},
    local, prepare,
};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::heap_region;

fn lane(terms: Terms) -> (Producer<HeapHome>, Consumer<HeapHome>) {
    let layout = LaneLayout::new(terms);
    // SAFETY: the halves go to a lane, which orders their reads and writes.
    let (out, out_view) = unsafe { heap_region(layout.producer_bytes()) };
    // SAFETY: as above.
    let (back, back_view) = unsafe { heap_region(layout.consumer_bytes()) };
    prepare(&out, &layout, Half::Producer).expect("the region has the layout's size");
    prepare(&back, &layout, Half::Consumer).expect("the region has the layout's size");
    let valid = Validity::unconditional;
    let producer = Producer::attach(HeapHome, terms, out, back_view, valid(), None).expect("both halves fit");
    let consumer = Consumer::attach(HeapHome, terms, back, out_view, valid(), None).expect("both halves fit");
    (producer, consumer)
}

/// Copy in, publish, copy out, take: the way of a message between domains that distrust each other.
fn uncontended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("channel/lane send+receive, one thread");
    for bytes in [8usize, 64, 4096, 65536] {
        let (mut producer, mut consumer) = lane(Terms::new(bytes as u32, 64).expect("good terms"));
        let message = vec![7u8; bytes];
        let mut copy = vec![0u8; bytes];
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("copied out", bytes), |bencher| {
            bencher.iter(|| {
                let mut claim = producer.claim(bytes).expect("the lane is empty");
                claim.bytes_mut().copy_from_slice(&message);
                claim.publish(bytes).expect("the lane is valid");
                consumer.take_into(&mut copy).expect("no lies here").expect("just sent")
            });
        });
        assert_eq!(copy, message);
        // SAFETY: the producer is this program.
        unsafe { consumer.trust_producer() };
        group.bench_function(BenchmarkId::new("in place", bytes), |bencher| {
            bencher.iter(|| {
                let mut claim = producer.claim(bytes).expect("the lane is empty");
                claim.bytes_mut()[0] = 7;
                claim.publish(bytes).expect("the lane is valid");
                let borrowed = consumer.borrow().expect("no lies here").expect("just sent");
                borrowed.bytes()[0]
            });
        });
        assert_eq!(producer.published(), consumer.taken());
    }
    group.finish();
}

/// The typed endpoints over `crossbeam-queue`.
fn within_one_domain(criterion: &mut Criterion) {
    let (mut sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, 64, 64);
    criterion.bench_function("channel/local send+receive, 8 B, one thread", |bencher| {
        bencher.iter(|| {
            sender.send(&42).expect("the queue is empty");
            receiver.recv(|value| assert_eq!(value, 42)).expect("just sent");
        });
    });
    assert_eq!(sender.statistics().messages, receiver.statistics().messages);
}

/// Through the typed endpoints, in the layer that the receiver's trust calls for, copied out before it is read.
fn typed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("channel/typed send+receive, 8 B, one thread");
    for (name, trust) in [("Raw", Trust::KERNEL), ("Lite", Trust::LIBOS), ("Full", Trust::USER)] {
        let terms = Terms::new(64, 64).expect("good terms");
        let (producer, consumer) = lane(terms);
        let (outgoing, incoming) = (Arc::new(Arriving::new()), Arc::new(Arriving::new()));
        outgoing.push(LaneOut::new(producer, trust, terms));
        incoming.push(LaneIn::new(consumer, trust, terms));
        let valid = Validity::unconditional;
        let mut sender: Sender<Plain<u64>, _> = Sender::new(HeapHome, valid(), outgoing);
        let mut receiver: Receiver<Plain<u64>, _> = Receiver::new(HeapHome, valid(), incoming);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                sender.send(&42).expect("the lane is empty");
                receiver.recv(|value| assert_eq!(value, 42)).expect("just sent");
            });
        });
        assert_eq!(sender.statistics().messages, receiver.statistics().messages);
    }
    group.finish();
}

criterion_group!(benches, uncontended, typed, within_one_domain);
criterion_main!(benches);
