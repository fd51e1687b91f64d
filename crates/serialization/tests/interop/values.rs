//! A value of every struct of the schema, each handed to a check that is the same for all, and what a view of it says.

use capnp::traits::{HasTypeId, Owned};
use feuerbird_serialization::wire::AnyReader;
use feuerbird_serialization::{Encode, Format, Message, Stable};

use crate::common::{Aligned, FULL};
use crate::everything::*;
use crate::everything_capnp;

/// A message whose views can be told apart by all of their fields.
pub(crate) trait Described: Message {
    /// The struct's name in the schema.
    const NAME: &'static str;

    /// The types of the `capnp` crate.
    type Capnp: for<'a> Owned<Reader<'a>: HasTypeId + Into<capnp::dynamic_value::Reader<'a>>>;

    /// Every field, those of structs and lists below included.
    fn description(view: Self::View<'_>) -> String;
}

macro_rules! described {
    ($($message:ident $name:literal $module:ident $(:: $inner:ident)?),* $(,)?) => {$(
        impl Described for $message {
            const NAME: &'static str = $name;
            type Capnp = everything_capnp::$module::$($inner::)?Owned;

            fn description(view: Self::View<'_>) -> String {
                format!("{view:?}")
            }
        }
    )*};
}

described! {
    NumbersMessage "Numbers" numbers, DefaultsMessage "Defaults" defaults, ListsMessage "Lists" lists,
    TreeMessage "Tree" tree, ShapeMessage "Shape" shape, EverythingInnerMessage "Everything.Inner" everything::inner,
}

impl Described for EverythingMessage {
    const NAME: &'static str = "Everything";
    type Capnp = everything_capnp::everything::Owned;

    fn description(view: EverythingReader<'_>) -> String {
        // An untyped pointer shows where it leads, which differs from framing to framing.
        let any = TreeReader::from(view.any().structure());
        let first = (view.numbers(), view.defaults(), view.lists(), view.tree(), view.shapes());
        format!("{first:?} {any:?} {:?} {:?} {:?}", view.text(), view.data(), view.inner())
    }
}

/// What is done with each value.
pub(crate) trait Check {
    fn check<M: Described>(&self, value: &impl Encode<M>);
}

/// The bytes of a message.
pub(crate) fn encoded<M: Message>(value: &impl Encode<M>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0xEE; value.encoded_bound(format)]);
    let length = value.encode(format, out.bytes_mut()).unwrap();
    Aligned::new(&out.bytes()[..length])
}

/// What a message says after its checks.
pub(crate) fn description<M: Described>(bytes: &[u8], format: Format) -> String {
    let bytes = Aligned::new(bytes);
    let stable = Stable::new(bytes.bytes()).unwrap();
    match M::decode(stable, format) {
        Ok(view) => M::description(view),
        Err(error) => panic!("{} in {format:?}: {error}", M::NAME),
    }
}

/// Checks values of every struct.
pub(crate) fn every_value(check: &impl Check) {
    numbers(check);
    defaults(check);
    for count in [0, 1, 2, 9, 65] {
        with_lists(count, |lists| check.check::<ListsMessage>(&lists));
    }
    check.check::<TreeMessage>(&TREE);
    shapes(check);
    check.check::<EverythingInnerMessage>(&EverythingInner { value: u64::MAX });
    with_everything(|sent| check.check::<EverythingMessage>(&sent));
    check.check::<EverythingMessage>(&Everything::default());
}

const NUMBERS: Numbers = Numbers {
    bool: true,
    int8: -1,
    int16: i16::MIN,
    int32: -3,
    int64: i64::MIN,
    uint8: 255,
    uint16: 65_535,
    uint32: u32::MAX,
    uint64: u64::MAX - 1,
    float32: 1.0e-7,
    float64: f64::MAX,
    color: Color::DARK_BLUE,
    second_bool: true,
};

fn numbers(check: &impl Check) {
    check.check::<NumbersMessage>(&NUMBERS);
    check.check::<NumbersMessage>(&Numbers::default());
    let other =
        Numbers { bool: false, float32: -1.5e-30, float64: f64::MIN_POSITIVE, int64: i64::MAX, ..NUMBERS };
    check.check::<NumbersMessage>(&other);
}

fn defaults(check: &impl Check) {
    check.check::<DefaultsMessage>(&Defaults::default());
    check.check::<DefaultsMessage>(&Defaults {
        bool: false,
        int8: 0,
        int64: i64::MIN,
        float64: 0.0,
        color: Color::RED,
        text: "",
        data: &[],
        list: Some(&[]),
        inner: Some(&Numbers { int32: 0, ..Numbers::default() }),
        texts: Some(&["z", "", "ä\"\\\n"]),
        ..Defaults::default()
    });
}

const LEAF: Tree<'_> = Tree { label: "leaf", children: &[], next: None };
const MIDDLE: Tree<'_> = Tree { label: "middle", children: &[LEAF, LEAF], next: Some(&LEAF) };
const TREE: Tree<'_> = Tree { label: "root", children: &[MIDDLE, LEAF, MIDDLE], next: Some(&MIDDLE) };

fn with_lists(count: usize, check: impl FnOnce(Lists<'_>)) {
    let bools: Vec<bool> = (0..count).map(|i| i % 3 == 0).collect();
    let bytes: Vec<u8> = (0..count).map(|i| (i * 7) as u8).collect();
    let words: Vec<u64> = (0..count).map(|i| u64::MAX / (i as u64 + 1)).collect();
    let (i8s, i16s): (Vec<i8>, Vec<i16>) = bytes.iter().map(|b| (*b as i8, -i16::from(*b))).unzip();
    let (i32s, i64s): (Vec<i32>, Vec<i64>) = words.iter().map(|w| (*w as i32, *w as i64)).unzip();
    let (u16s, u32s): (Vec<u16>, Vec<u32>) = words.iter().map(|w| (*w as u16, *w as u32)).unzip();
    let (f32s, f64s): (Vec<f32>, Vec<f64>) = words.iter().map(|w| (1.0 / *w as f32, *w as f64 / 3.0)).unzip();
    let colors: Vec<Color> = (0..count).map(|i| Color(i as u16 % 3)).collect();
    let strings: Vec<String> = (0..count).map(|i| "ä".repeat(i)).collect();
    let texts: Vec<&str> = strings.iter().map(String::as_str).collect();
    let datas: Vec<&[u8]> = (0..count).map(|i| &bytes[..i]).collect();
    let structs: Vec<Numbers> = words.iter().map(|word| Numbers { uint64: *word, ..NUMBERS }).collect();
    let nested: Vec<&[i32]> = (0..count).map(|i| &i32s[i..]).collect();
    let deep: Vec<&[&[&str]]> = vec![&[&["x", ""], &[]]; count];
    let trees: Vec<Tree<'_>> = texts.iter().map(|label| Tree { label, ..MIDDLE }).collect();
    check(Lists {
        voids: &vec![(); count],
        bools: &bools,
        int8s: &i8s,
        int16s: &i16s,
        int32s: &i32s,
        int64s: &i64s,
        uint8s: &bytes,
        uint16s: &u16s,
        uint32s: &u32s,
        uint64s: &words,
        float32s: &f32s,
        float64s: &f64s,
        colors: &colors,
        texts: &texts,
        datas: &datas,
        structs: &structs,
        nested: &nested,
        deep: &deep,
        trees: &trees,
    });
}

/// Every member of both unions, each with each.
fn every_shape() -> Vec<Shape<'static>> {
    let members = [
        ShapeWhich::Nothing,
        ShapeWhich::Circle(2.5),
        ShapeWhich::Polygon(&[1.0, -2.0, 3.5]),
        ShapeWhich::Label("round"),
        ShapeWhich::Box(ShapeBox { width: 3, height: 4, title: "boxed" }),
    ];
    let fills =
        [ShapeFillWhich::None, ShapeFillWhich::Color(Color::GREEN), ShapeFillWhich::Texture(&[9, 8, 0])];
    let shape = |(which, fill)| Shape {
        name: "shape",
        position: ShapePosition { x: -1, y: 1 },
        fill: ShapeFill { which: fill },
        which,
        r#type: 7,
    };
    members.iter().flat_map(|which| fills.map(|fill| (*which, fill))).map(shape).collect()
}

fn shapes(check: &impl Check) {
    check.check::<ShapeMessage>(&Shape::default());
    every_shape().iter().for_each(|shape| check.check::<ShapeMessage>(shape));
}

/// All pointers set but for the untyped one, which text cannot say.
pub(crate) fn with_everything(check: impl FnOnce(Everything<'_>)) {
    let shapes = every_shape();
    with_lists(5, |lists| {
        check(Everything {
            numbers: Some(&NUMBERS),
            defaults: Some(&Defaults::default()),
            lists: Some(&lists),
            tree: Some(&TREE),
            shapes: &shapes,
            text: "text",
            data: b"data",
            inner: Some(&EverythingInner { value: 5 }),
            ..Everything::default()
        });
    });
}

/// The same with a tree behind the untyped pointer.
pub(crate) fn with_any(check: impl FnOnce(Everything<'_>)) {
    let tree = encoded::<TreeMessage>(&TREE, FULL);
    let any = AnyReader::of_schema(tree.bytes()[8..].as_chunks().0.to_vec().leak());
    with_everything(|sent| check(Everything { any, ..sent }));
}
