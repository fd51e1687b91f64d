//! Mutated messages: what we accept, the `capnp` crate accepts through the getters of every field, and both see the same.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use common::{Aligned, FULL, LITE, RAW};
use feuerbird_serialization::{Encode, Format, Message, Stable, TRAVERSAL_FACTOR};

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

/// How many messages are mutated; a few where Miri interprets them.
const MUTATIONS: u64 = if cfg!(miri) { 40 } else { 10_000 };

/// Everything that a visitor saw: a hash of it, and how many bytes that was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    hash: u64,
    bytes: u64,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash = bytes.iter().fold(self.hash ^ 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64, hash);
    }
}

/// Adds numbers.
macro_rules! number {
    ($seen:ident, $($value:expr),* $(,)?) => {{ $($seen.add(&$value.to_le_bytes());)* }};
}

fn our_numbers(seen: &mut Seen, view: NumbersReader<'_>) {
    number!(seen, u8::from(view.bool()), view.int8(), view.int16(), view.int32(), view.int64(), view.uint8());
    number!(
        seen,
        view.uint16(),
        view.uint32(),
        view.uint64(),
        view.float32().to_bits(),
        view.float64().to_bits()
    );
    number!(seen, view.color().0, u8::from(view.second_bool()));
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

fn our_tree(seen: &mut Seen, view: TreeReader<'_>) {
    seen.add(view.label().as_bytes());
    number!(seen, view.children().len() as u32);
    view.children().iter().for_each(|child| our_tree(seen, child));
    if view.has_next() {
        our_tree(seen, view.next());
    }
}

fn their_tree(seen: &mut Seen, view: theirs::tree::Reader<'_>) -> capnp::Result<()> {
    seen.add(view.get_label()?.to_str()?.as_bytes());
    number!(seen, view.get_children()?.len());
    view.get_children()?.iter().try_for_each(|child| their_tree(seen, child))?;
    if view.has_next() { their_tree(seen, view.get_next()?) } else { Ok(()) }
}

fn our_lists(seen: &mut Seen, view: ListsReader<'_>) {
    number!(seen, view.voids().len() as u32, view.bools().len() as u32);
    view.bools().iter().for_each(|value| number!(seen, u8::from(value)));
    view.int8s().iter().for_each(|value| number!(seen, value));
    view.int16s().iter().for_each(|value| number!(seen, value));
    view.uint32s().iter().for_each(|value| number!(seen, value));
    view.uint64s().iter().for_each(|value| number!(seen, value));
    view.float64s().iter().for_each(|value| number!(seen, value.to_bits()));
    view.colors().iter().for_each(|value| number!(seen, value.0));
    view.texts().iter().for_each(|value| seen.add(value.as_bytes()));
    view.datas().iter().for_each(|value| seen.add(value));
    view.structs().iter().for_each(|value| our_numbers(seen, value));
    for inner in view.nested() {
        number!(seen, inner.len() as u32);
        inner.iter().for_each(|value| number!(seen, value));
    }
    for text in view.deep().iter().flatten().flatten() {
        seen.add(text.as_bytes());
    }
    view.trees().iter().for_each(|tree| our_tree(seen, tree));
}

fn their_lists(seen: &mut Seen, view: theirs::lists::Reader<'_>) -> capnp::Result<()> {
    number!(seen, view.get_voids()?.len(), view.get_bools()?.len());
    view.get_bools()?.iter().for_each(|value| number!(seen, u8::from(value)));
    view.get_int8s()?.iter().for_each(|value| number!(seen, value));
    view.get_int16s()?.iter().for_each(|value| number!(seen, value));
    view.get_uint32s()?.iter().for_each(|value| number!(seen, value));
    view.get_uint64s()?.iter().for_each(|value| number!(seen, value));
    view.get_float64s()?.iter().for_each(|value| number!(seen, value.to_bits()));
    view.get_colors()?.iter().for_each(|value| number!(seen, color(value)));
    for value in view.get_texts()?.iter() {
        seen.add(value?.to_str()?.as_bytes());
    }
    for value in view.get_datas()?.iter() {
        seen.add(value?);
    }
    view.get_structs()?.iter().for_each(|value| their_numbers(seen, value));
    for inner in view.get_nested()?.iter() {
        let inner = inner?;
        number!(seen, inner.len());
        inner.iter().for_each(|value| number!(seen, value));
    }
    for middle in view.get_deep()?.iter() {
        for inner in middle?.iter() {
            for text in inner?.iter() {
                seen.add(text?.to_str()?.as_bytes());
            }
        }
    }
    view.get_trees()?.iter().try_for_each(|tree| their_tree(seen, tree))
}

fn our_shape(seen: &mut Seen, view: ShapeReader<'_>) {
    seen.add(view.name().as_bytes());
    number!(seen, view.r#type(), view.position().x(), view.position().y());
    match view.which() {
        ShapeWhichReader::Nothing => number!(seen, 0_u16),
        ShapeWhichReader::Circle(radius) => number!(seen, 1_u16, radius.to_bits()),
        ShapeWhichReader::Polygon(sides) => sides.iter().for_each(|side| number!(seen, side.to_bits())),
        ShapeWhichReader::Label(label) => seen.add(label.as_bytes()),
        ShapeWhichReader::Box(boxed) => {
            number!(seen, boxed.width(), boxed.height());
            seen.add(boxed.title().as_bytes());
        }
        ShapeWhichReader::Unknown(member) => number!(seen, member),
    }
    match view.fill().which() {
        ShapeFillWhichReader::None => number!(seen, 0_u16),
        ShapeFillWhichReader::Color(color) => number!(seen, color.0),
        ShapeFillWhichReader::Texture(texture) => seen.add(texture),
        ShapeFillWhichReader::Unknown(member) => number!(seen, member),
    }
}

fn their_shape(seen: &mut Seen, view: theirs::shape::Reader<'_>) -> capnp::Result<()> {
    seen.add(view.get_name()?.to_str()?.as_bytes());
    number!(seen, view.get_type(), view.get_position().get_x(), view.get_position().get_y());
    match view.which() {
        Ok(theirs::shape::Nothing(())) => number!(seen, 0_u16),
        Ok(theirs::shape::Circle(radius)) => number!(seen, 1_u16, radius.to_bits()),
        Ok(theirs::shape::Polygon(sides)) => sides?.iter().for_each(|side| number!(seen, side.to_bits())),
        Ok(theirs::shape::Label(label)) => seen.add(label?.to_str()?.as_bytes()),
        Ok(theirs::shape::Box(boxed)) => {
            number!(seen, boxed.get_width(), boxed.get_height());
            seen.add(boxed.get_title()?.to_str()?.as_bytes());
        }
        Err(capnp::NotInSchema(member)) => number!(seen, member),
    }
    match view.get_fill().which() {
        Ok(theirs::shape::fill::None(())) => number!(seen, 0_u16),
        Ok(theirs::shape::fill::Color(value)) => number!(seen, color(value)),
        Ok(theirs::shape::fill::Texture(texture)) => seen.add(texture?),
        Err(capnp::NotInSchema(member)) => number!(seen, member),
    }
    Ok(())
}

fn ours(view: EverythingReader<'_>) -> Seen {
    let mut seen = Seen::default();
    our_numbers(&mut seen, view.numbers());
    our_lists(&mut seen, view.lists());
    our_tree(&mut seen, view.tree());
    view.shapes().iter().for_each(|shape| our_shape(&mut seen, shape));
    seen.add(view.text().as_bytes());
    seen.add(view.data());
    number!(seen, view.inner().value());
    seen
}

fn theirs(framed: &[u8]) -> capnp::Result<Seen> {
    let mut options = ReaderOptions::new();
    // Each field is visited a few times here; what bounds the visit is our own limit, which is checked beside.
    options.nesting_limit(64).traversal_limit_in_words(None);
    let mut rest = framed;
    let message = capnp::serialize::read_message_from_flat_slice(&mut rest, options)?;
    let view: theirs::everything::Reader<'_> = message.get_root()?;
    let mut seen = Seen::default();
    their_numbers(&mut seen, view.get_numbers()?);
    their_lists(&mut seen, view.get_lists()?)?;
    their_tree(&mut seen, view.get_tree()?)?;
    view.get_shapes()?.iter().try_for_each(|shape| their_shape(&mut seen, shape))?;
    seen.add(view.get_text()?.to_str()?.as_bytes());
    seen.add(view.get_data()?);
    number!(seen, view.get_inner()?.get_value());
    Ok(seen)
}

/// Visits a message that may be anything, if we accept it, and holds us to what the crate sees. Whether it was accepted.
fn agree(bytes: &Aligned, format: Format) -> bool {
    let stable = Stable::new(bytes.bytes()).unwrap();
    let Ok(view) = EverythingMessage::decode(stable, format) else { return false };
    let ours = ours(view);
    // A field may be visited through a list of structs that has shrunk to nothing: then its default shows, and costs.
    let budget = bytes.bytes().len() as u64 * TRAVERSAL_FACTOR * 8 + 4096;
    assert!(ours.bytes <= budget, "{} bytes surfaced from {}", ours.bytes, bytes.bytes().len());
    if format != RAW {
        let framed = if format == LITE { &bytes.bytes()[8..] } else { bytes.bytes() };
        let theirs = theirs(framed).expect("the crate refuses a field that we accept");
        assert_eq!(ours, theirs, "{format:?}");
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
    let sent = Everything {
        numbers: Some(&numbers).filter(|_| random.below(4) > 0),
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

/// Changes up to four bits or words; sometimes cuts words off at the end.
fn mutated(random: &mut Random, message: &Aligned) -> Aligned {
    let mut bytes = message.bytes().to_vec();
    for _ in 0..=random.below(4) {
        let word = random.below(bytes.len() / 8) * 8;
        match random.below(4) {
            0 => bytes[word + random.below(8)] ^= 1 << random.below(8),
            1 => {
                let (offset, size) = (random.below(24) as i32 - 8, random.below(4) as u16);
                let pointer = common::to_struct(offset, size, random.below(4) as u16);
                bytes[word..][..8].copy_from_slice(&pointer.to_le_bytes());
            }
            2 => {
                let (element, count) = (random.below(8) as u64, random.below(40) as u64);
                let pointer = common::to_list(random.below(24) as i32 - 8, element, count);
                bytes[word..][..8].copy_from_slice(&pointer.to_le_bytes());
            }
            _ => {
                let other = random.below(bytes.len() / 8) * 8;
                bytes.copy_within(other..other + 8, word);
            }
        }
    }
    if random.below(16) == 0 {
        bytes.truncate(bytes.len() - 8 * random.below(bytes.len() / 8));
    }
    Aligned::new(&bytes)
}

#[test]
fn what_we_accept_the_crate_accepts_and_both_see_the_same() {
    let mut random = Random(20_261_123);
    let (mut accepted, mut refused) = (0, 0);
    for turn in 0..MUTATIONS {
        let whole = honest(&mut random);
        assert!(agree(&whole, FULL));
        let whole = match turn % 3 {
            0 => whole,
            1 => in_segments(&whole, 1),
            _ => in_segments(&whole, 1 + random.below(30) as u32),
        };
        assert!(agree(&whole, FULL));
        let changed = mutated(&mut random, &whole);
        if agree(&changed, FULL) {
            accepted += 1
        } else {
            refused += 1
        }

        // The same words behind a Lite header, and bare, where nothing is checked and nothing may go wrong.
        let mut lite = u64::from(b'L').to_le_bytes().to_vec();
        lite.extend_from_slice(changed.bytes());
        agree(&Aligned::new(&lite), LITE);
        if let Some(bare) = changed.bytes().get(16..) {
            agree_in_raw(&Aligned::new(bare));
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

/// Unchecked bytes: whatever a view gives lies inside of the message. Not all fields are visited, because cycles are not refused in
/// Raw; that is what its trust is for.
fn agree_in_raw(bytes: &Aligned) {
    let Ok(view) = EverythingMessage::decode(Stable::new(bytes.bytes()).unwrap(), RAW) else { return };
    let inside = |part: &[u8]| {
        part.is_empty()
            || part.as_ptr() >= bytes.bytes().as_ptr()
                && part.as_ptr_range().end <= bytes.bytes().as_ptr_range().end
    };
    assert!(inside(view.text().as_bytes()) && inside(view.data()));
    let mut seen = Seen::default();
    our_numbers(&mut seen, view.numbers());
    let mut out = vec![0; view.encoded_bound(FULL).min(1 << 20)];
    let _ = view.encode(FULL, &mut out);
}
