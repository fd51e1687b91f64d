//! Views are sent on as they are: what leaves here is accepted by the next, and what would not be is refused here. And they are
//! printed, wherever a trusted sender's pointers lead.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use common::{Aligned, FULL, LITE, RAW, full_of, lite_of, to_list, to_struct};
use feuerbird_serialization::{
    Checks, DecodeError, Encode, EncodeError, Format, Message, Stable,
    wire::{Element, RawList},
};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;

/// Pointers of `Lists`: the first is to `voids`, the 16th to `structs`.
const POINTERS: u16 = 19;
const STRUCTS: usize = 15;

/// Bare framing that is checked, as no layer has it.
const CHECKED: Format = Format { checks: Checks::Pointers, ..RAW };

/// A segment with so many voids, and so many words that nothing leads to.
fn voids(count: usize, slack: usize) -> Vec<u64> {
    let mut segment = vec![0; 1 + usize::from(POINTERS) + slack];
    segment[0] = to_struct(0, 0, POINTERS);
    segment[1] = to_list(0, 0, count as u64);
    segment
}

/// The same with structs without fields.
fn structs(count: usize, slack: usize) -> Vec<u64> {
    let mut segment = voids(0, slack + 1);
    segment[1 + STRUCTS] = to_list(i32::from(POINTERS) - STRUCTS as i32 - 1, 7, 0);
    segment[1 + usize::from(POINTERS)] = to_struct(count as i32, 0, 0);
    segment
}

fn decoded(bytes: &Aligned, format: Format) -> Result<ListsReader<'_>, DecodeError> {
    ListsMessage::decode(Stable::new(bytes.bytes())?, format)
}

/// Sends a view on, and says whether it left; what left must be accepted.
fn leaves(view: ListsReader<'_>, format: Format) -> bool {
    let bound = view.encoded_bound(format);
    let mut out = Aligned::new(&[0; 1024]);
    match view.encode(format, out.bytes_mut()) {
        Ok(length) => {
            assert_eq!(bound, length);
            let again = Aligned::new(&out.bytes()[..length]);
            let counts = |view: ListsReader<'_>| (view.voids().len(), view.structs().len());
            assert_eq!(decoded(&again, format).map(counts), Ok(counts(view)), "{format:?}");
            true
        }
        Err(error) => {
            assert_eq!((error, bound), (EncodeError::TooLarge, usize::MAX));
            false
        }
    }
}

/// Words that nothing leads to buy elements without a size, and are not copied: the copy would be refused as an attack, by whoever
/// is next, and the program between would be blamed for it.
#[test]
fn a_copy_that_the_next_would_refuse_does_not_leave() {
    // The budget is four times the words of the copy, of which all but the root pointer are visited.
    let limit = |words: usize, pointers: usize| 4 * (words + pointers) - words;
    let root = usize::from(POINTERS);
    type Make = fn(usize, usize) -> Vec<u64>;
    for (make, words) in [(voids as Make, root), (structs as Make, root + 1)] {
        let limits = [0, limit(words, 0), limit(words, 0) + 1, limit(words, 1), limit(words, 1) + 1, 4 * 64];
        let counts = if cfg!(miri) { limits.to_vec() } else { (0..=4 * 64).collect() };
        for count in counts {
            let segment = make(count, 64);
            for (bytes, format) in [(lite_of(&segment), LITE), (full_of(&[&segment]), FULL)] {
                let view = decoded(&bytes, format).unwrap();
                for format in [LITE, FULL] {
                    assert_eq!(leaves(view, format), count <= limit(words, 1), "{count} in {format:?}");
                }
                assert_eq!(leaves(view, CHECKED), count <= limit(words, 0), "{count}");
                assert!(leaves(view, RAW), "whoever checks nothing, refuses nothing");
            }
        }
    }
}

/// The third pointer of a tree leads to the tree, or the second to a list in which the tree is; both are in Raw, where nothing is
/// checked, and from there to everywhere a stack would end.
#[test]
fn views_are_printed_wherever_their_pointers_lead() {
    let trees = [
        vec![0, 0, to_struct(-3, 0, 3)],
        vec![0, to_list(0, 7, 3), to_struct(4, 0, 3), 0, to_list(-3, 7, 3), 0],
        vec![0, to_list(-2, 6, 3), 0],
        // Each twice to the next: a million in 400 bytes.
        (0..24).flat_map(|_| [0, to_list(1, 6, 1), to_struct(0, 0, 3)]).chain([0; 3]).collect(),
    ];
    for tree in &trees {
        let bytes = Aligned::of_words(tree);
        let view = TreeMessage::decode(Stable::new(bytes.bytes()).unwrap(), RAW).unwrap();
        let text = format!("{view:?} {view:#?} {:?} {:?}", view.children(), view.next());
        assert!(text.contains("Tree"), "{text}");
        assert!(text.len() < 100_000, "{} bytes of text", text.len());
    }
    // Half a billion nothings.
    let mut lists = voids((1 << 29) - 1, 0);
    lists.remove(0);
    let bytes = Aligned::of_words(&lists);
    let view = decoded(&bytes, RAW).unwrap();
    assert_eq!(view.voids().len(), (1 << 29) - 1);
    assert_eq!(format!("{view:?}"), "Lists { .. }");
    assert_eq!(format!("{:?}", view.voids()), "RawList(536870911 of Void)");
}

/// What is checked is printed whole, down to the deepest level that is accepted.
#[test]
fn what_is_checked_is_printed_whole() {
    let mut segment = vec![to_struct(0, 0, 3)];
    (0..62).for_each(|_| segment.extend([0, 0, to_struct(0, 0, 3)]));
    segment.extend([to_list(2, 2, 4), 0, 0, u64::from_le_bytes(*b"end\0\0\0\0\0")]);
    let bytes = lite_of(&segment);
    let view = TreeMessage::decode(Stable::new(bytes.bytes()).unwrap(), LITE).unwrap();
    assert!(format!("{view:?}").contains("end"), "{view:?}");
}

/// A list in which a type that only this test has looks at the whole list.
enum Shown {}

impl Element for Shown {
    const SIZE: feuerbird_serialization::wire::ElementSize =
        feuerbird_serialization::wire::ElementSize::EightBytes;
    type Item<'a> = String;
    fn read<'a>(list: &RawList<'a>, _: u32) -> String {
        format!("{list:?}")
    }
}

#[test]
fn what_is_printed_is_the_value_and_not_the_memory_around_it() {
    let lists = Lists { uint64s: &[0x1234_5678; 9], ..Lists::default() };
    let mut out = Aligned::new(&[0xEE; 1024]);
    let length = lists.encode(LITE, out.bytes_mut()).unwrap();
    let root = feuerbird_serialization::frame::open(
        Stable::new(&out.bytes()[..length]).unwrap(),
        LITE,
        ListsMessage::SECTIONS.0,
        ListsMessage::SECTIONS.1,
    );
    let shown = root.unwrap().pointer(9).list::<Shown>();
    assert_eq!(shown.get(0).unwrap(), "RawList(9 of EightBytes)");
    let mut texts = vec![];
    TreeMessage::build(LITE, 100, Aligned::new(&[0xEE; 1024]).bytes_mut(), |mut tree| {
        texts.push(format!("{tree:?}"));
        texts.push(format!("{:?}", tree.init_children(2)?));
        Ok(())
    })
    .unwrap();
    assert!(texts.iter().all(|text| text.contains("Builder") && text.len() < 100), "{texts:?}");
}
