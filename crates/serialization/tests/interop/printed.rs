//! What is printed of a message: the reference tool reads it back.

use capnp::dynamic_value::Reader;
use feuerbird_serialization::{CapnpMessage, Encode, Format, Stable, print, reflect::Schema};

use crate::common::{Aligned, FULL, LITE, RAW, has_capnp_tool};
use crate::everything::*;
use crate::schemas;
use crate::tool::convert;
use crate::values::{Check, Described, description, encoded, every_value, with_any};

/// Text and JSON.
fn printed<M: Described>(bytes: &Aligned, format: Format) -> [String; 2] {
    let stable = Stable::new(bytes.bytes()).unwrap();
    let message = M::decode_capnp::<M::Capnp>(stable, format).unwrap().unwrap();
    let value: Reader<'_> = message.get().unwrap().into();
    let both = [print::text(value).to_string(), print::json(value).to_string()];
    assert_eq!(reflected::<M>(bytes, format), both, "what knows the schema only now prints the same");
    both
}

/// The same by the compiled request, as a program does that was built without the schema.
fn reflected<M: Described>(bytes: &Aligned, format: Format) -> [String; 2] {
    let request = Aligned::new(&std::fs::read(schemas().join("everything.capnp.request")).unwrap());
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    let structure = schema.structure(M::NAME).unwrap();
    let value = structure.decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap();
    [value.text().to_string(), value.json().to_string()]
}

struct Printed;

impl Check for Printed {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let full = encoded(value, FULL);
        let both = printed::<M>(&full, FULL);
        assert_eq!(printed::<M>(&encoded(value, LITE), LITE), both);
        assert_eq!(reflected::<M>(&encoded(value, RAW), RAW), both);
        // The tool writes what it reads in ours as it writes the message itself.
        let [ours, theirs] = [("text:text", both[0].as_bytes()), ("binary:text", full.bytes())]
            .map(|(conversion, bytes)| String::from_utf8(convert::<M>(conversion, bytes)).unwrap());
        assert_eq!(ours, theirs);
        for (conversion, text) in ["text:binary", "json:binary"].into_iter().zip(both) {
            let back = convert::<M>(conversion, text.as_bytes());
            assert_eq!(description::<M>(&back, FULL), description::<M>(full.bytes(), FULL), "{text}");
        }
    }
}

#[test]
fn the_reference_tool_reads_back_what_is_printed_of_every_message() {
    if has_capnp_tool() {
        every_value(&Printed);
    }
}

#[test]
fn text_and_json_look_like_this() {
    let shape = Shape {
        name: "a\"\\\n\u{1}ä",
        which: ShapeWhich::Polygon(&[1.0, f64::NAN, f64::INFINITY, -0.0, 1e300]),
        fill: ShapeFill { which: ShapeFillWhich::Texture(&[0, 255]) },
        ..Shape::default()
    };
    let [text, json] = printed::<ShapeMessage>(&encoded(&shape, FULL), FULL);
    assert_eq!(
        text,
        r#"(name = "a\"\\\n\x01ä", fill = (texture = 0x"00ff"), position = (x = 0, y = 0), type = 0, polygon = [1.0, nan, inf, -0.0, 1e300])"#
    );
    assert_eq!(
        json,
        r#"{"name": "a\"\\\n\u0001ä", "fill": {"texture": [0, 255]}, "position": {"x": 0, "y": 0}, "type": 0, "polygon": [1.0, "NaN", "Infinity", -0.0, 1e300]}"#
    );
    let numbers = Numbers { uint64: u64::MAX, color: Color(9), ..Numbers::default() };
    let [text, json] = printed::<NumbersMessage>(&encoded(&numbers, FULL), FULL);
    assert!(text.starts_with("(void = void, bool = false, ") && text.contains("color = 9"), "{text}");
    assert!(
        json.starts_with("{\"void\": null, ") && json.contains(r#""uint64": "18446744073709551615""#),
        "{json}"
    );
    assert_eq!(printed::<TreeMessage>(&encoded(&Tree::default(), FULL), FULL), [r#"()"#, "{}"]);
}

#[test]
fn what_cannot_be_printed_is_named() {
    with_any(|sent| {
        let [text, json] = printed::<EverythingMessage>(&encoded(&sent, FULL), FULL);
        assert!(text.contains("any = <opaque pointer>") && json.contains(r#""any": "<opaque pointer>""#));
    });
}
