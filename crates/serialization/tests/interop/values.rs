//! A value of every struct of the schema, each handed to a check that is the same for all, and what a view of it says.

use capnp::traits::{HasTypeId, Owned};
use feuerbird_serialization::wire::AnyReader;
use feuerbird_serialization::{Encode, Format, Message, Stable};

use crate::common::{Aligned, FULL};
use crate::everything::*;
use crate::everything_capnp;
use crate::plain_values::{NUMBERS, TREE, every_shape, with_lists};

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
