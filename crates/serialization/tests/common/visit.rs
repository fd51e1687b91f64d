//! Visits every field of a view of `Everything`, and says what that gave: for comparison with another reader, and with a budget.
//!
//! For tests and fuzz targets: whoever uses it has the generated types in `crate::everything`.

use feuerbird_serialization::wire::{Element, ElementSize, List};

use crate::everything::*;

/// Views nested deeper than a checked message can nest them are not visited: only an unchecked one has them, with a cycle.
const NESTED: usize = 80;

/// What a visitor saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Of all values, in the order of the visit.
    pub(crate) hash: u64,
    /// How many bytes the visit was given: those of text and data, of numbers in lists, of pointers in lists, an eighth for each
    /// bit; one for an element without a size, and for a struct, which may be the element of a list of bytes.
    pub(crate) given: u64,
    /// The visit ends when it was given so much.
    limit: u64,
}

impl Seen {
    /// Nothing yet.
    pub(crate) fn new(limit: u64) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, given: 0, limit }
    }

    /// A value that is no text or data: its bytes.
    pub(crate) fn value(&mut self, bytes: &[u8]) {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash = bytes.iter().fold(self.hash ^ bytes.len() as u64, hash);
    }

    /// Text or data.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.value(bytes);
        self.given(bytes.len());
    }

    /// So many bytes.
    pub(crate) fn given(&mut self, bytes: usize) {
        self.given += bytes as u64;
    }

    /// Whether the visit was given all that it may be.
    pub(crate) fn is_full(&self) -> bool {
        self.given > self.limit
    }
}

/// Visits numbers.
macro_rules! number {
    ($seen:expr, $($value:expr),* $(,)?) => {{ $($seen.value(&$value.to_le_bytes());)* }};
}
#[allow(unused_imports)] // who compares with another reader has a visitor for that one
pub(crate) use number;

/// Visits all of a message.
pub(crate) fn everything(seen: &mut Seen, view: EverythingReader<'_>) {
    numbers(seen, view.numbers());
    defaults(seen, view.defaults());
    lists(seen, view.lists());
    tree(seen, view.tree(), 0);
    each(seen, view.shapes(), shape);
    let any = view.any();
    seen.bytes(any.data());
    seen.value(any.text().as_bytes());
    seen.bytes(TreeReader::from(any.structure()).label().as_bytes());
    seen.bytes(view.text().as_bytes());
    seen.bytes(view.data());
    number!(seen, view.inner().value());
}

/// How many bytes an element of a list gives by itself.
fn bytes_of<T: Element>() -> usize {
    match T::SIZE {
        ElementSize::Void | ElementSize::Bit | ElementSize::Byte | ElementSize::Composite => 1,
        ElementSize::TwoBytes => 2,
        ElementSize::FourBytes => 4,
        ElementSize::EightBytes | ElementSize::Pointer => 8,
    }
}

/// Visits the elements of a list, as long as the visit may go on.
fn each<'a, T: Element>(seen: &mut Seen, list: List<'a, T>, mut visit: impl FnMut(&mut Seen, T::Item<'a>)) {
    number!(seen, list.len() as u32);
    for element in list {
        if seen.is_full() {
            return;
        }
        seen.given(bytes_of::<T>());
        visit(seen, element);
    }
}

fn numbers(seen: &mut Seen, view: NumbersReader<'_>) {
    number!(seen, u8::from(view.bool()), view.int8(), view.int16(), view.int32(), view.int64(), view.uint8());
    number!(seen, view.uint16(), view.uint32(), view.uint64(), view.float32().to_bits());
    number!(seen, view.float64().to_bits(), view.color().0, u8::from(view.second_bool()));
}

fn defaults(seen: &mut Seen, view: DefaultsReader<'_>) {
    number!(seen, u8::from(view.bool()), view.int8(), view.int16(), view.int32(), view.int64(), view.uint8());
    number!(seen, view.uint16(), view.uint32(), view.uint64(), view.float32().to_bits());
    number!(seen, view.float64().to_bits(), view.color().0);
    seen.bytes(view.text().as_bytes());
    seen.bytes(view.data());
    each(seen, view.list(), |seen, value| number!(seen, value));
    numbers(seen, view.inner());
    each(seen, view.texts(), |seen, value| seen.bytes(value.as_bytes()));
}

fn lists(seen: &mut Seen, view: ListsReader<'_>) {
    number!(seen, view.bools().len() as u32);
    seen.given(view.bools().len().div_ceil(8));
    view.bools().iter().for_each(|value| number!(seen, u8::from(value)));
    each(seen, view.voids(), |_, ()| {});
    each(seen, view.int8s(), |seen, value| number!(seen, value));
    each(seen, view.int16s(), |seen, value| number!(seen, value));
    each(seen, view.int32s(), |seen, value| number!(seen, value));
    each(seen, view.int64s(), |seen, value| number!(seen, value));
    each(seen, view.uint8s(), |seen, value| number!(seen, value));
    each(seen, view.uint16s(), |seen, value| number!(seen, value));
    each(seen, view.uint32s(), |seen, value| number!(seen, value));
    each(seen, view.uint64s(), |seen, value| number!(seen, value));
    each(seen, view.float32s(), |seen, value| number!(seen, value.to_bits()));
    each(seen, view.float64s(), |seen, value| number!(seen, value.to_bits()));
    each(seen, view.colors(), |seen, value| number!(seen, value.0));
    each(seen, view.texts(), |seen, value| seen.bytes(value.as_bytes()));
    each(seen, view.datas(), |seen, value| seen.bytes(value));
    each(seen, view.structs(), numbers);
    each(seen, view.nested(), |seen, inner| each(seen, inner, |seen, value| number!(seen, value)));
    each(seen, view.deep(), |seen, middle| {
        each(seen, middle, |seen, inner| each(seen, inner, |seen, text| seen.bytes(text.as_bytes())));
    });
    each(seen, view.trees(), |seen, view| tree(seen, view, 0));
}

fn tree(seen: &mut Seen, view: TreeReader<'_>, nested: usize) {
    if nested > NESTED || seen.is_full() {
        return;
    }
    seen.bytes(view.label().as_bytes());
    each(seen, view.children(), |seen, child| tree(seen, child, nested + 1));
    number!(seen, u8::from(view.has_next()));
    if view.has_next() {
        seen.given(1);
        tree(seen, view.next(), nested + 1);
    }
}

fn shape(seen: &mut Seen, view: ShapeReader<'_>) {
    seen.bytes(view.name().as_bytes());
    number!(seen, view.r#type(), view.position().x(), view.position().y());
    match view.which() {
        ShapeWhichReader::Nothing => number!(seen, 0_u16),
        ShapeWhichReader::Circle(radius) => number!(seen, radius.to_bits()),
        ShapeWhichReader::Polygon(sides) => each(seen, sides, |seen, side| number!(seen, side.to_bits())),
        ShapeWhichReader::Label(label) => seen.bytes(label.as_bytes()),
        ShapeWhichReader::Box(boxed) => {
            number!(seen, boxed.width(), boxed.height());
            seen.bytes(boxed.title().as_bytes());
        }
        ShapeWhichReader::Unknown(member) => number!(seen, member),
    }
    match view.fill().which() {
        ShapeFillWhichReader::None => number!(seen, 0_u16),
        ShapeFillWhichReader::Color(color) => number!(seen, color.0),
        ShapeFillWhichReader::Texture(texture) => seen.bytes(texture),
        ShapeFillWhichReader::Unknown(member) => number!(seen, member),
    }
}
