//! The reference tool: `capnp convert` between its formats, there and back.

use std::process::Command;

use feuerbird_serialization::{Encode, pack, packed_bound, unpack, unpacked_size};

use crate::canonical::canonical;
use crate::common::{FULL, LITE, RAW, has_capnp_tool};
use crate::everything::EverythingMessage;
use crate::values::{self, Check, Described, description, encoded, every_value};
use crate::{fed, schemas};

/// What the tool makes of standard framing that keeps a pointer without a type, and reads back.
const BINARY: [&str; 4] = ["packed", "flat", "flat-packed", "canonical"];

/// What it can say only of what the schema names.
const WRITTEN: [&str; 2] = ["text", "json"];

pub(crate) fn convert<M: Described>(formats: &str, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("capnp");
    // One segment, however large, because Lite has no more.
    command.args(["convert", "--quiet", "--short", "--segment-size=100000"]);
    command.args([formats, "everything.capnp", M::NAME]);
    command.current_dir(schemas()).env_remove("PWD");
    fed(command, input)
}

/// The message in many segments, but not more than are accepted: each holds no more than what has to be in one piece, or a 200th.
fn scattered<M: Described>(full: &[u8]) -> Vec<u8> {
    let mut command = Command::new("capnp");
    let words = full.len() / 8 / 200 + 1;
    command.args(["convert", "--quiet", &format!("--segment-size={words}"), "binary:binary"]);
    let bytes = fed(command, full);
    assert!(bytes[..4] != [0; 4], "{}: more than one segment", M::NAME);
    bytes
}

fn there_and_back<M: Described>(format: &str, full: &[u8]) -> Vec<u8> {
    let there = convert::<M>(&format!("binary:{format}"), full);
    convert::<M>(&format!("{format}:binary"), &there)
}

fn packed(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; packed_bound(message.len())];
    let length = pack(message, &mut out).unwrap();
    out.truncate(length);
    out
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut out = vec![0; unpacked_size(packed).unwrap()];
    assert_eq!(unpack(packed, &mut out), Ok(out.len()));
    out
}

/// Full: the tool's own framing, and its packing beside ours.
struct Full;

impl Check for Full {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let full = encoded(value, FULL);
        let expected = description::<M>(full.bytes(), FULL);
        for format in BINARY.into_iter().chain(WRITTEN) {
            let back = there_and_back::<M>(format, full.bytes());
            assert_eq!(description::<M>(&back, FULL), expected, "{format}");
        }
        let form = convert::<M>("binary:canonical", full.bytes());
        assert_eq!(canonical(full.bytes(), FULL), form, "{}", M::NAME);
        let scattered = scattered::<M>(full.bytes());
        assert_eq!(description::<M>(&scattered, FULL), expected);
        for message in [full.bytes(), &scattered] {
            let back = convert::<M>("packed:binary", &packed(message));
            assert_eq!(description::<M>(&back, FULL), expected);
            let theirs = convert::<M>("binary:packed", message);
            assert_eq!(description::<M>(&unpacked(&theirs), FULL), expected);
        }
    }
}

#[test]
fn full_messages_go_through_every_format_of_the_tool_and_back() {
    if has_capnp_tool() {
        every_value(&Full);
    }
}

#[test]
fn what_an_untyped_pointer_leads_to_goes_through_every_binary_format_and_back() {
    if !has_capnp_tool() {
        return;
    }
    values::with_any(|sent| {
        let full = encoded::<EverythingMessage>(&sent, FULL);
        let expected = description::<EverythingMessage>(full.bytes(), FULL);
        assert!(expected.contains("middle"));
        for format in BINARY {
            let back = there_and_back::<EverythingMessage>(format, full.bytes());
            assert_eq!(description::<EverythingMessage>(&back, FULL), expected, "{format}");
        }
    });
}

/// Lite: standard framing from byte 8 on.
struct Lite;

impl Check for Lite {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let lite = encoded(value, LITE);
        let full = encoded(value, FULL);
        let expected = description::<M>(full.bytes(), FULL);
        let text = convert::<M>("binary:text", &lite.bytes()[8..]);
        assert_eq!(text, convert::<M>("binary:text", full.bytes()));
        // Flat is a segment without its table.
        assert_eq!(convert::<M>("flat:text", &lite.bytes()[16..]), text);
        for format in BINARY.into_iter().chain(WRITTEN) {
            let back = there_and_back::<M>(format, &lite.bytes()[8..]);
            let back = [&lite.bytes()[..8], &back].concat();
            assert_eq!(description::<M>(&back, LITE), expected, "{format}");
        }
    }
}

#[test]
fn lite_messages_are_standard_ones_from_byte_8_on_in_both_directions() {
    if has_capnp_tool() {
        every_value(&Lite);
    }
}

/// Raw: a flat message without its root pointer.
struct Raw;

impl Check for Raw {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let raw = encoded(value, RAW);
        let full = encoded(value, FULL);
        let root = &full.bytes()[8..16];
        let flat = [root, raw.bytes()].concat();
        let text = convert::<M>("flat:text", &flat);
        assert_eq!(text, convert::<M>("binary:text", full.bytes()));
        // From text the tool gives every struct the size that its schema says, which Raw needs.
        let back = convert::<M>("text:flat", &text);
        assert_eq!(&back[..8], root, "{}", M::NAME);
        assert_eq!(description::<M>(&back[8..], RAW), description::<M>(full.bytes(), FULL));
    }
}

#[test]
fn raw_messages_are_flat_ones_without_a_root_pointer_in_both_directions() {
    if has_capnp_tool() {
        every_value(&Raw);
    }
}
