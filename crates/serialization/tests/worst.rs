//! What the worst messages cost: no more than their budget, however they are made.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::time::{Duration, Instant};

use common::{Aligned, FULL, LITE, full_of, lite_of, to_far, to_list, to_struct, with_second_pointer};
use feuerbird_serialization::sample::SampleMessage;
use feuerbird_serialization::{Checks, Encode, Format, Message, Stable};

/// How often each is read.
const TIMES: u32 = 10;
/// Far more than so many of the worst messages take anywhere, and far less than one without a budget would.
const LONG: Duration = Duration::from_secs(10);

fn worst(messages: &[(Aligned, Format)]) {
    for (message, format) in messages {
        let start = Instant::now();
        for _ in 0..if cfg!(miri) { 1 } else { TIMES } {
            let view = SampleMessage::decode(Stable::new(message.bytes()).unwrap(), *format);
            // Sent on, so that all is visited once more by who reads, which sums segments up for each far pointer.
            std::hint::black_box(view.map(|view| view.encoded_bound(FULL)).ok());
        }
        assert!(cfg!(miri) || start.elapsed() < LONG, "{:?} in {format:?}", start.elapsed());
    }
}

#[test]
fn the_worst_message_costs_no_more_than_its_budget() {
    // 64 KiB of pointers, all of them to one list of nothing or to a small struct.
    let mut segment = with_second_pointer(to_list(0, 6, 8000), &[]);
    segment.extend((0..8000).map(|i| to_struct(7999 - i, 1, 0)));
    segment.push(0);
    worst(&[(lite_of(&segment), LITE), (full_of(&[&segment]), FULL)]);
    // A list whose every struct is nothing but pointers, as many as there can be, to one word.
    let (wide, lists) = (8000, 8);
    let mut fan = with_second_pointer(to_list(0, 6, lists), &[]);
    fan.extend((0..lists).map(|i| to_struct((lists - 1 - i) as i32, 0, wide)));
    fan.extend((0..wide).map(|i| to_struct(i32::from(wide - 1 - i), 1, 0)));
    fan.push(0);
    worst(&[(lite_of(&fan), LITE), (full_of(&[&fan]), FULL)]);
}

/// What a far pointer costs a reader grows with the segments in front: over the most there may be, and to the last one.
#[test]
fn the_worst_far_pointers_cost_no_more_than_their_budget() {
    const SEGMENTS: u32 = 511;
    for is_double in [false, true] {
        let mut first = with_second_pointer(to_list(0, 6, 8000), &[]);
        first.extend((0..8000).map(|i| to_far(SEGMENTS - 1 - i % 2, 0, is_double)));
        // A pad to an object behind it, or to the segment after next with a tag.
        let single = [to_struct(0, 1, 0), 7];
        let double = [to_far(SEGMENTS - 1, 0, false), to_struct(0, 1, 0)];
        let mut segments: Vec<&[u64]> = vec![&first];
        segments.resize(SEGMENTS as usize, if is_double { &double } else { &single });
        worst(&[
            (full_of(&segments), FULL),
            (full_of(&segments), Format { checks: Checks::Lengths, ..FULL }),
        ]);
    }
}
