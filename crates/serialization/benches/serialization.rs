//! What each layer costs, beside `memcpy`, for payloads of 64 B, 1 KiB and 64 KiB; and packing, beside that of the `capnp` crate.
//! `cargo xtask bench serialization` has the `capnp` crate used directly and the other peers.
//!
//! "encode" writes the message with its payload; "decode" checks all of it and reads all, payload included; "round trip" is
//! encode, the copy that a receiver makes of memory it does not trust, then decode. The limit is "memcpy": the payload
//! copied once. Run with `--features hardware-crc` to see Lite with the processor's crc32c.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use capnp::message::{Builder, ReaderOptions};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use feuerbird_serialization::sample::{Sample, SampleMessage};
use feuerbird_serialization::{Checksum, Encode, Format, Layer, Message, Stable, pack, packed_bound, unpack};
use zerocopy::IntoBytes;

const FORMATS: [(&str, Format); 4] = [
    ("Raw", Layer::Raw.format()),
    ("Lite", Layer::Lite.format().with_checksum(Checksum::Off)),
    ("Lite, crc32c", Layer::Lite.format()),
    ("Full", Layer::Full.format()),
];

/// A message's memory: it starts at a multiple of 8, as that of a channel does.
fn memory(bytes: usize) -> Vec<u64> {
    vec![0; bytes.div_ceil(8)]
}

/// Touches everything: the fields and each word of the payload.
fn read_all(sample: &Sample<'_>) -> u64 {
    let (words, rest) = sample.payload.as_chunks::<8>();
    let payload = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    [sample.sequence, sample.producer.into(), sample.sent_at, sample.digest, rest]
        .into_iter()
        .fold(payload, u64::wrapping_add)
}

fn serialization(criterion: &mut Criterion) {
    for size in [64, 1 << 10, 1 << 16] {
        let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let sent = Sample { sequence: 1, producer: 2, sent_at: 3, digest: 4, payload: &payload };
        let mut group = criterion.benchmark_group(format!("serialization {size} B"));
        group.throughput(Throughput::Bytes(size as u64));
        memcpy(&mut group, &payload);
        for (name, format) in FORMATS {
            layer(&mut group, name, format, &sent);
        }
        group.finish();
    }
}

fn memcpy(group: &mut BenchmarkGroup<'_, WallTime>, payload: &[u8]) {
    let mut out = payload.to_vec();
    group.bench_function("memcpy (limit)", |bencher| {
        bencher.iter(|| black_box(&mut out[..]).copy_from_slice(black_box(payload)));
    });
    assert_eq!(out, payload);
}

fn layer(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, format: Format, sent: &Sample<'_>) {
    let length = sent.encoded_bound(format);
    let mut shared = memory(length);
    let mut private = memory(length);
    let expected = read_all(sent);

    group.bench_function(format!("{name}/encode"), |bencher| {
        bencher.iter(|| black_box(sent).encode(format, black_box(shared.as_mut_bytes())));
    });
    let encoded = sent.encode(format, shared.as_mut_bytes());
    assert_eq!(encoded, Ok(length));

    group.bench_function(format!("{name}/decode"), |bencher| {
        bencher.iter(|| {
            let bytes = &black_box(&shared[..]).as_bytes()[..length];
            SampleMessage::decode(Stable::new(bytes)?, format).map(|view| read_all(&view.into()))
        });
    });

    let mut round_trip = || {
        let shared = &mut black_box(shared.as_mut_bytes())[..length];
        black_box(sent).encode(format, shared).ok()?;
        let private = &mut private.as_mut_bytes()[..length];
        private.copy_from_slice(black_box(shared));
        let stable = Stable::new(private).ok()?;
        SampleMessage::decode(stable, format).ok().map(|view| read_all(&view.into()))
    };
    assert_eq!(round_trip(), Some(expected));
    group.bench_function(format!("{name}/round trip"), |bencher| bencher.iter(&mut round_trip));
}

/// Packing, which no layer does: for messages that are stored. Numbers are half zeros, text has none.
fn packing(criterion: &mut Criterion) {
    let numbers: Vec<u8> =
        (0..1 << 16).map(|i| if i % 8 < 4 { (i / 8 % 255 + 1) as u8 } else { 0 }).collect();
    let text: Vec<u8> = (0..1 << 16).map(|i| (i % 251) as u8 + 1).collect();
    for (name, data) in [("numbers", &numbers[..]), ("text", &text), ("zeros", &[0; 1 << 16])] {
        let mut builder = Builder::new_default();
        builder.set_root::<capnp::data::Owned>(data).expect("it is data");
        let message = capnp::serialize::write_message_to_words(&builder);
        let mut packed = vec![0; packed_bound(message.len())];
        let length = pack(&message, &mut packed).expect("the bound holds");
        let mut unpacked = vec![0; message.len()];
        assert_eq!(unpack(&packed[..length], &mut unpacked), Ok(message.len()));
        assert_eq!(unpacked, message);

        let mut group = criterion.benchmark_group(format!("packing 64 KiB of {name}"));
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function("pack", |bencher| bencher.iter(|| pack(black_box(&message), &mut packed)));
        group.bench_function("unpack", |bencher| {
            bencher.iter(|| unpack(black_box(&packed[..length]), &mut unpacked));
        });
        let mut theirs = vec![0; packed.len()];
        group.bench_function("capnp directly/pack", |bencher| {
            bencher.iter(|| capnp::serialize_packed::write_message(&mut theirs[..], black_box(&builder)));
        });
        assert_eq!(theirs[..length], packed[..length]);
        group.bench_function("capnp directly/unpack", |bencher| {
            bencher.iter(|| {
                let options = ReaderOptions::new();
                let read = capnp::serialize_packed::read_message_no_alloc;
                read(black_box(&packed[..length]), &mut unpacked, options).is_ok()
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = serialization, packing
}
criterion_main!(benches);
