//! Programs with an older and a newer schema understand each other, in Lite and in Full.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use common::{Aligned, FULL, LITE};
use feuerbird_serialization::{Encode, Format, Message, Stable};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod old {
    include!(concat!(env!("OUT_DIR"), "/evolution_old.rs"));
}
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod new {
    include!(concat!(env!("OUT_DIR"), "/evolution_new.rs"));
}

fn encoded<M: Message>(value: &impl Encode<M>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0xEE; value.encoded_bound(format)]);
    value.encode(format, out.bytes_mut()).unwrap();
    out
}

fn decoded<M: Message>(bytes: &Aligned, format: Format) -> M::View<'_> {
    M::decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap()
}

const OLD: old::Reading<'_> = old::Reading {
    id: 7,
    samples: &[10, 20, 30],
    names: &["a", "bc"],
    which: old::ReadingWhich::Number(-3),
    points: &[old::Spot { x: 1 }, old::Spot { x: 2 }],
};

fn with_new(check: impl FnOnce(new::Reading<'_>)) {
    let samples = [10, 20].map(|value| new::Measured { value, ..new::Measured::default() });
    let names = ["a", "bc"].map(|text| new::Named { text, weight: 2.0 });
    let points = [1, 2].map(|x| new::Spot { x, y: 9, label: "l" });
    check(new::Reading {
        id: 7,
        samples: &samples,
        names: &names,
        which: new::ReadingWhich::Text("new"),
        points: &points,
        added: 5,
        note: "note",
    });
}

#[test]
fn a_newer_program_reads_an_older_message() {
    for format in [LITE, FULL] {
        let bytes = encoded::<old::ReadingMessage>(&OLD, format);
        let view = decoded::<new::ReadingMessage>(&bytes, format);
        assert_eq!((view.id(), view.added(), view.note()), (7, 77, ""));
        // Numbers have become structs whose first field they are.
        let samples: Vec<_> = view.samples().iter().map(|sample| (sample.value(), sample.error())).collect();
        assert_eq!(samples, [(10, 9), (20, 9), (30, 9)]);
        let names: Vec<_> = view.names().iter().map(|name| (name.text(), name.weight())).collect();
        assert_eq!(names, [("a", 0.0), ("bc", 0.0)]);
        let points: Vec<_> = view.points().iter().map(|spot| (spot.x(), spot.y(), spot.label())).collect();
        assert_eq!(points, [(1, -5, ""), (2, -5, "")]);
        assert!(matches!(view.which(), new::ReadingWhichReader::Number(-3)));
    }
}

#[test]
fn an_older_program_reads_a_newer_message() {
    with_new(|sent| {
        for format in [LITE, FULL] {
            let bytes = encoded::<new::ReadingMessage>(&sent, format);
            let view = decoded::<old::ReadingMessage>(&bytes, format);
            assert_eq!(view.id(), 7);
            assert!(view.samples().iter().eq([10, 20]));
            assert!(view.names().iter().eq(["a", "bc"]));
            assert!(view.points().iter().map(|spot| spot.x()).eq([1, 2]));
            assert!(matches!(view.which(), old::ReadingWhichReader::Unknown(2)));
        }
    });
}

#[test]
fn what_an_older_program_sends_on_keeps_what_it_does_not_know() {
    with_new(|sent| {
        for format in [LITE, FULL] {
            let first = encoded::<new::ReadingMessage>(&sent, format);
            let through =
                encoded::<old::ReadingMessage>(&decoded::<old::ReadingMessage>(&first, format), format);
            let view = decoded::<new::ReadingMessage>(&through, format);
            assert_eq!((view.added(), view.note()), (5, "note"));
            assert_eq!(view.points().get(1).unwrap().label(), "l");
            assert!(matches!(view.which(), new::ReadingWhichReader::Text("new")));
        }
    });
}

/// So they bind, and only in Raw, which they then do not use, would it matter.
#[test]
fn versions_of_a_message_have_one_identity_and_two_layouts() {
    assert_eq!(old::ReadingMessage::IDENTITY, new::ReadingMessage::IDENTITY);
    assert_ne!(old::ReadingMessage::LAYOUT >> 8, new::ReadingMessage::LAYOUT >> 8);
    assert_ne!(new::SpotMessage::IDENTITY, new::ReadingMessage::IDENTITY);
}
