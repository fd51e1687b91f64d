//! Mutated messages, between pages that nobody may read: what we accept, the `capnp` crate accepts through the getters of every field,
//! both see the same, and no more bytes of it than the budget.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;
#[cfg(not(miri))]
#[path = "common/guarded.rs"]
mod guarded;
#[path = "common/visit.rs"]
mod visit;

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use common::{Aligned, FULL, LITE, RAW};
use feuerbird_serialization::{Checks, Encode, Format, Framing, Message, Stable, TRAVERSAL_FACTOR};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}

use everything::*;
use everything_capnp as theirs;
use visit::{Seen, number};

/// How many messages are mutated; a few where Miri interprets them.
const MUTATIONS: u64 = if cfg!(miri) { 40 } else { 10_000 };

/// What the visit of a message without a single field is given: the schema's defaults.
const DEFAULTS: u64 = 64;

/// The elements of a list.
macro_rules! each {
    ($seen:expr, $list:expr, |$value:pat_param| $visit:expr) => {{
        let list = $list;
        number!($seen, list.len());
        for $value in list.iter() {
            let () = $visit;
        }
    }};
}

fn their_numbers(seen: &mut Seen, view: theirs::numbers::Reader<'_>) {
    number!(seen, u8::from(view.get_bool()), view.get_int8(), view.get_int16(), view.get_int32());
    number!(
        seen,
        view.get_int64(),
        view.get_uint8(),
        view.get_uint16(),
        view.get_uint32(),
        view.get_uint64()
    );
    number!(seen, view.get_float32().to_bits(), view.get_float64().to_bits());
    number!(seen, color(view.get_color()), u8::from(view.get_second_bool()));
}

fn color(color: Result<theirs::Color, capnp::NotInSchema>) -> u16 {
    color.map_or_else(|unknown| unknown.0, |color| color as u16)
}

fn their_defaults(seen: &mut Seen, view: theirs::defaults::Reader<'_>) -> capnp::Result<()> {
    number!(seen, u8::from(view.get_bool()), view.get_int8(), view.get_int16(), view.get_int32());
    number!(seen, view.get_int64(), view.get_uint8(), view.get_uint16(), view.get_uint32());
    number!(seen, view.get_uint64(), view.get_float32().to_bits(), view.get_float64().to_bits());
    number!(seen, color(view.get_color()));
    seen.bytes(view.get_text()?.to_str()?.as_bytes());
    seen.bytes(view.get_data()?);
    each!(seen, view.get_list()?, |value| number!(seen, value));
    their_numbers(seen, view.get_inner()?);
    each!(seen, view.get_texts()?, |value| seen.bytes(value?.to_str()?.as_bytes()));
    Ok(())
}

fn their_tree(seen: &mut Seen, view: theirs::tree::Reader<'_>) -> capnp::Result<()> {
    seen.bytes(view.get_label()?.to_str()?.as_bytes());
    each!(seen, view.get_children()?, |child| their_tree(seen, child)?);
    number!(seen, u8::from(view.has_next()));
    if view.has_next() { their_tree(seen, view.get_next()?) } else { Ok(()) }
}

fn their_lists(seen: &mut Seen, view: theirs::lists::Reader<'_>) -> capnp::Result<()> {
    each!(seen, view.get_bools()?, |value| number!(seen, u8::from(value)));
    each!(seen, view.get_voids()?, |_| ());
    each!(seen, view.get_int8s()?, |value| number!(seen, value));
    each!(seen, view.get_int16s()?, |value| number!(seen, value));
    each!(seen, view.get_int32s()?, |value| number!(seen, value));
    each!(seen, view.get_int64s()?, |value| number!(seen, value));
    each!(seen, view.get_uint8s()?, |value| number!(seen, value));
    each!(seen, view.get_uint16s()?, |value| number!(seen, value));
    each!(seen, view.get_uint32s()?, |value| number!(seen, value));
    each!(seen, view.get_uint64s()?, |value| number!(seen, value));
    each!(seen, view.get_float32s()?, |value| number!(seen, value.to_bits()));
    each!(seen, view.get_float64s()?, |value| number!(seen, value.to_bits()));
    each!(seen, view.get_colors()?, |value| number!(seen, color(value)));
    each!(seen, view.get_texts()?, |value| seen.bytes(value?.to_str()?.as_bytes()));
    each!(seen, view.get_datas()?, |value| seen.bytes(value?));
    each!(seen, view.get_structs()?, |value| their_numbers(seen, value));
    each!(seen, view.get_nested()?, |inner| each!(seen, inner?, |value| number!(seen, value)));
    each!(seen, view.get_deep()?, |middle| {
        each!(seen, middle?, |inner| each!(seen, inner?, |text| seen.bytes(text?.to_str()?.as_bytes())));
    });
    each!(seen, view.get_trees()?, |tree| their_tree(seen, tree)?);
    Ok(())
}

fn their_shape(seen: &mut Seen, view: theirs::shape::Reader<'_>) -> capnp::Result<()> {
    seen.bytes(view.get_name()?.to_str()?.as_bytes());
    number!(seen, view.get_type(), view.get_position().get_x(), view.get_position().get_y());
    match view.which() {
        Ok(theirs::shape::Nothing(())) => number!(seen, 0_u16),
        Ok(theirs::shape::Circle(radius)) => number!(seen, radius.to_bits()),
        Ok(theirs::shape::Polygon(sides)) => each!(seen, sides?, |side| number!(seen, side.to_bits())),
        Ok(theirs::shape::Label(label)) => seen.bytes(label?.to_str()?.as_bytes()),
        Ok(theirs::shape::Box(boxed)) => {
            number!(seen, boxed.get_width(), boxed.get_height());
            seen.bytes(boxed.get_title()?.to_str()?.as_bytes());
        }
        Err(capnp::NotInSchema(member)) => number!(seen, member),
    }
    match view.get_fill().which() {
        Ok(theirs::shape::fill::None(())) => number!(seen, 0_u16),
        Ok(theirs::shape::fill::Color(value)) => number!(seen, color(value)),
        Ok(theirs::shape::fill::Texture(texture)) => seen.bytes(texture?),
        Err(capnp::NotInSchema(member)) => number!(seen, member),
    }
    Ok(())
}

/// What an untyped pointer reads as; nothing where it is something else, because no schema says what it must be.
fn their_any(seen: &mut Seen, any: capnp::any_pointer::Reader<'_>) {
    seen.bytes(any.get_as::<&[u8]>().unwrap_or_default());
    let text = any.get_as::<capnp::text::Reader<'_>>();
    seen.value(text.ok().and_then(|text| text.to_str().ok()).unwrap_or_default().as_bytes());
    let label = any.get_as::<theirs::tree::Reader<'_>>().and_then(|tree| tree.get_label());
    seen.bytes(label.ok().and_then(|label| label.to_str().ok()).unwrap_or_default().as_bytes());
}

/// What we see, of which there must not be more bytes than the message is worth: [`TRAVERSAL_FACTOR`] times its own.
fn ours(view: EverythingReader<'_>, bytes: usize) -> Seen {
    let mut seen = Seen::new(bytes as u64 * TRAVERSAL_FACTOR + DEFAULTS);
    visit::everything(&mut seen, view);
    assert!(!seen.is_full(), "{} given by {bytes} bytes", seen.given);
    seen
}

fn theirs(framed: &[u8]) -> capnp::Result<Seen> {
    let mut options = ReaderOptions::new();
    // Getters count an object each time; what bounds the visit is our own limit, which is checked beside.
    options.nesting_limit(64).traversal_limit_in_words(None);
    let mut rest = framed;
    let message = capnp::serialize::read_message_from_flat_slice(&mut rest, options)?;
    let view: theirs::everything::Reader<'_> = message.get_root()?;
    let seen = &mut Seen::new(u64::MAX);
    their_numbers(seen, view.get_numbers()?);
    their_defaults(seen, view.get_defaults()?)?;
    their_lists(seen, view.get_lists()?)?;
    their_tree(seen, view.get_tree()?)?;
    each!(seen, view.get_shapes()?, |shape| their_shape(seen, shape)?);
    their_any(seen, view.get_any());
    seen.bytes(view.get_text()?.to_str()?.as_bytes());
    seen.bytes(view.get_data()?);
    number!(seen, view.get_inner()?.get_value());
    Ok(*seen)
}

/// Where messages are decoded: in front of a page that nobody may read, but for Miri, which knows without.
#[cfg(not(miri))]
type Memory = guarded::Guarded;
#[cfg(miri)]
struct Memory(Aligned);

#[cfg(miri)]
impl Memory {
    fn new() -> Self {
        Self(Aligned::default())
    }

    fn at_the_end(&mut self, bytes: &[u8]) -> &[u8] {
        self.0 = Aligned::new(bytes);
        self.0.bytes()
    }
}

/// Visits a message that may be anything, if we accept it, and holds us to what the crate sees. Whether it was accepted.
fn agree(memory: &mut Memory, bytes: &[u8], format: Format) -> bool {
    let bytes = memory.at_the_end(bytes);
    let Ok(view) = EverythingMessage::decode(Stable::new(bytes).unwrap(), format) else { return false };
    let ours = ours(view, bytes.len());
    if format.framing != Framing::Bare {
        let framed = if format == LITE { &bytes[8..] } else { bytes };
        let theirs = theirs(framed).expect("the crate refuses a field that we accept");
        assert_eq!(ours.hash, theirs.hash, "{format:?}");
    }
    true
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

const DEEP: &[&[&[&str]]] = &[&[&["deep"]]];

/// An honest message, small enough that a changed word often is a pointer.
fn honest(random: &mut Random) -> Aligned {
    let leaf = Tree { label: "leaf", ..Tree::default() };
    let inner = [leaf, Tree { label: "", next: Some(&leaf), ..Tree::default() }];
    let tree = Tree { label: "root", children: &inner[..random.below(3)], next: Some(&leaf) };
    let numbers =
        Numbers { int64: random.next() as i64, color: Color(random.below(5) as u16), ..Numbers::default() };
    let words = [random.next(), random.next(), 3];
    let structs = [numbers; 3];
    let trees = [tree, leaf];
    let lists = Lists {
        voids: &[(); 5][..random.below(6)],
        bools: &[true, false, true][..random.below(4)],
        int8s: &[-1, 2, -3][..random.below(4)],
        int16s: &[i16::MIN, 7][..random.below(3)],
        int32s: &[1, -2, 3][..random.below(4)],
        uint8s: &[1, 2, 255][..random.below(4)],
        float32s: &[0.5, -1.0][..random.below(3)],
        float64s: &[2.5][..random.below(2)],
        colors: &[Color::GREEN, Color(9)][..random.below(3)],
        uint64s: &words[..random.below(4)],
        texts: &["one", "", "zwölf"][..random.below(4)],
        datas: &[&b"x"[..], b"yz"][..random.below(3)],
        structs: &structs[..random.below(4)],
        nested: &[&[1, 2][..], &[]][..random.below(3)],
        deep: &DEEP[..random.below(2)],
        trees: &trees[..random.below(3)],
        ..Lists::default()
    };
    let which =
        [ShapeWhich::Nothing, ShapeWhich::Circle(1.0), ShapeWhich::Label("l"), ShapeWhich::Polygon(&[1.0])];
    let shape = Shape { name: "s", which: which[random.below(4)], ..Shape::default() };
    let shapes = [shape; 2];
    let defaults = Defaults { text: "other", list: Some(&[9]), ..Defaults::default() };
    let sent = Everything {
        numbers: Some(&numbers).filter(|_| random.below(4) > 0),
        defaults: Some(&defaults).filter(|_| random.below(4) == 0),
        lists: Some(&lists).filter(|_| random.below(4) > 0),
        tree: Some(&tree).filter(|_| random.below(4) > 0),
        shapes: &shapes[..random.below(3)],
        text: "text",
        data: b"data",
        ..Everything::default()
    };
    let mut out = Aligned::new(&vec![0; sent.encoded_bound(FULL)]);
    sent.encode(FULL, out.bytes_mut()).unwrap();
    out
}

/// The same message in as many segments as the crate makes of it.
fn in_segments(message: &Aligned, first: u32) -> Aligned {
    let mut rest = message.bytes();
    let reader = capnp::serialize::read_message_from_flat_slice(&mut rest, ReaderOptions::new()).unwrap();
    let root: theirs::everything::Reader<'_> = reader.get_root().unwrap();
    let mut builder = Builder::new(HeapAllocator::new().first_segment_words(first));
    builder.set_root(root).unwrap();
    Aligned::new(&capnp::serialize::write_message_to_words(&builder))
}

/// Changes up to four bits or words; sometimes cuts off the end, or lets two segments change places.
fn mutated(random: &mut Random, message: &Aligned) -> Aligned {
    let mut bytes = message.bytes().to_vec();
    if random.below(16) == 0 {
        swap_segments(random, &mut bytes);
    }
    for _ in 0..=random.below(4) {
        let word = random.below(bytes.len() / 8) * 8;
        let offset = random.below(24) as i32 - 8;
        let value = match random.below(6) {
            0 => {
                bytes[word + random.below(8)] ^= 1 << random.below(8);
                continue;
            }
            1 | 2 => common::to_struct(offset, random.below(4) as u16, random.below(4) as u16),
            3 | 4 => common::to_list(offset, random.below(8) as u64, random.below(40) as u64),
            _ if random.below(4) == 0 => {
                common::to_far(random.below(4) as u32, random.below(16) as u32, random.below(2) == 0)
            }
            _ => {
                let other = random.below(bytes.len() / 8) * 8;
                bytes.copy_within(other..other + 8, word);
                continue;
            }
        };
        bytes[word..][..8].copy_from_slice(&value.to_le_bytes());
    }
    if random.below(16) == 0 {
        let whole_words = random.below(2) == 0;
        let cut = random.below(bytes.len());
        bytes.truncate(if whole_words { cut / 8 * 8 } else { cut });
    }
    Aligned::new(&bytes)
}

/// The words of two segments change places, and their lengths in the table with them.
fn swap_segments(random: &mut Random, bytes: &mut Vec<u8>) {
    let number = |at: usize| u32::from_le_bytes(*bytes[at * 4..].first_chunk().unwrap()) as usize;
    let count = number(0) + 1;
    let lengths: Vec<usize> = (1..=count).map(number).collect();
    let mut rest = &bytes[(count / 2 + 1) * 8..];
    let mut segments: Vec<Vec<u64>> = Vec::new();
    for length in lengths {
        let words;
        (words, rest) = rest.split_at(length * 8);
        segments.push(words.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect());
    }
    segments.swap(random.below(count), random.below(count));
    let segments: Vec<&[u64]> = segments.iter().map(Vec::as_slice).collect();
    *bytes = common::full_of(&segments).bytes().to_vec();
}

#[test]
fn what_we_accept_the_crate_accepts_and_both_see_the_same() {
    let mut random = Random(20_261_123);
    let mut memory = Memory::new();
    let (mut accepted, mut refused) = (0, 0);
    for turn in 0..MUTATIONS {
        let whole = honest(&mut random);
        assert!(agree(&mut memory, whole.bytes(), FULL));
        let whole = match turn % 3 {
            0 => whole,
            1 => in_segments(&whole, 1),
            _ => in_segments(&whole, 1 + random.below(30) as u32),
        };
        assert!(agree(&mut memory, whole.bytes(), FULL));
        let changed = mutated(&mut random, &whole);
        if agree(&mut memory, changed.bytes(), FULL) {
            accepted += 1
        } else {
            refused += 1
        }

        // The same words behind a Lite header, and bare, where nothing is checked and nothing may go wrong.
        let mut lite = u64::from(b'L').to_le_bytes().to_vec();
        lite.extend_from_slice(changed.bytes());
        agree(&mut memory, &lite, LITE);
        if let Some(bare) = changed.bytes().get(16..) {
            agree_in_raw(memory.at_the_end(bare));
            agree(&mut memory, bare, Format { checks: Checks::Pointers, ..RAW });
        }
    }
    // Otherwise the mutations are too mild or too wild to say anything.
    if !cfg!(miri) {
        assert!(
            accepted > MUTATIONS / 20 && refused > MUTATIONS / 20,
            "{accepted} accepted, {refused} refused"
        );
    }
}

/// Unchecked bytes: whatever a view gives lies inside of the message. A visit ends when it was given too much, because cycles are not
/// refused in Raw; that is what its trust is for. Copies end by themselves.
fn agree_in_raw(bytes: &[u8]) {
    let Ok(view) = EverythingMessage::decode(Stable::new(bytes).unwrap(), RAW) else { return };
    let range = bytes.as_ptr_range();
    let inside = |part: &[u8]| {
        let part = part.as_ptr_range();
        part.is_empty() || range.start <= part.start && part.end <= range.end
    };
    assert!(inside(view.text().as_bytes()) && inside(view.data()));
    visit::everything(&mut Seen::new(10_000), view);
    let mut out = vec![0; view.encoded_bound(FULL).min(1 << 20)];
    let _ = view.encode(FULL, &mut out);
}
