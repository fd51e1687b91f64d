//! A live peer: a Python program with the package pycapnp, at the other ends of two pipes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use feuerbird_serialization::wire::AnyReader;
use feuerbird_serialization::{Encode, Message, Stable};

use crate::common::{Aligned, FULL, LITE, left_out};
use crate::everything::*;
use crate::schemas;
use crate::values::{Check, Described, description, encoded, every_value};

/// The variable that names a Python that has the package: `cargo xtask ci interop` sets it, and then nothing is left out.
const PYTHON: &str = "FEUERBIRD_PYCAPNP_PYTHON";

/// A Python with the package, if there is one.
fn python() -> Option<String> {
    let given = std::env::var(PYTHON).ok();
    let python = given.clone().unwrap_or_else(|| "python3".to_owned());
    match Command::new(&python).args(["-c", "import capnp"]).output() {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => assert!(given.is_none(), "{python}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => assert!(given.is_none(), "{python}: {error}"),
    }
    left_out("there is no Python with pycapnp here (`cargo xtask ci interop` gets one)");
    None
}

struct Peer(Child);

impl Peer {
    fn start(python: &str, what: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peer.py");
        let mut command = Command::new(python);
        command.arg(script).arg(schemas().join("everything.capnp")).arg(what);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn send(&mut self, message: &[u8]) {
        self.0.stdin.as_mut().unwrap().write_all(message).unwrap();
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }

    /// A message in standard framing, as long as its table says.
    fn receive(&mut self) -> Aligned {
        let mut message = self.read(4);
        let segments = u32::from_le_bytes(message[..].try_into().unwrap()) as usize + 1;
        message.extend(self.read((segments | 1) * 4));
        let lengths = message[4..].as_chunks::<4>().0[..segments].iter();
        let words: u32 = lengths.map(|words| u32::from_le_bytes(*words)).sum();
        message.extend(self.read(words as usize * 8));
        Aligned::new(&message)
    }

    /// Lets it end, which it does with 0 if nothing was wrong.
    fn finish(mut self) {
        drop(self.0.stdin.take());
        let mut rest = Vec::new();
        self.0.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() && self.0.wait().unwrap().success());
    }
}

/// Every value there and back, through one peer for each struct.
struct Answers {
    python: String,
    peers: RefCell<BTreeMap<&'static str, Peer>>,
    in_many_segments: RefCell<usize>,
}

impl Check for Answers {
    fn check<M: Described>(&self, value: &impl Encode<M>) {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.entry(M::NAME).or_insert_with(|| Peer::start(&self.python, M::NAME));
        let full = encoded(value, FULL);
        let expected = description::<M>(full.bytes(), FULL);
        // What stands behind the first word of a Lite message is the same to everybody.
        for sent in [full.bytes(), &encoded(value, LITE).bytes()[8..]] {
            peer.send(sent);
            let answer = peer.receive();
            *self.in_many_segments.borrow_mut() += usize::from(answer.bytes()[0] > 0);
            assert_eq!(description::<M>(answer.bytes(), FULL), expected);
        }
    }
}

#[test]
fn a_python_program_takes_every_message_apart_and_builds_it_anew() {
    let Some(python) = python() else { return };
    let answers = Answers { python, peers: RefCell::default(), in_many_segments: RefCell::new(0) };
    every_value(&answers);
    assert!(*answers.in_many_segments.borrow() > 0, "no answer came in many segments");
    answers.peers.into_inner().into_values().for_each(Peer::finish);
}

/// So no mistake of ours is made twice, once in writing and once in reading.
#[test]
fn a_python_program_and_we_mean_the_same_field_by_each_name() {
    let Some(python) = python() else { return };
    let mut peer = Peer::start(&python, "names");
    let message = peer.receive();
    from_python(EverythingMessage::decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap());
    to_python(|sent| peer.send(encoded::<EverythingMessage>(&sent, FULL).bytes()));
    peer.finish();
}

fn from_python(view: EverythingReader<'_>) {
    assert_eq!((view.text(), view.data(), view.inner().value()), ("from Python", &[0, 255][..], 77));
    let numbers =
        Numbers { int8: -128, uint64: u64::MAX, float64: 0.1, color: Color::GREEN, ..Numbers::default() };
    assert_eq!(Numbers::from(view.numbers()), Numbers { second_bool: true, ..numbers });
    let lists = view.lists();
    assert!(lists.bools().iter().eq((0..10).map(|i| i < 9)));
    assert!(lists.int16s().iter().eq([i16::MIN, i16::MAX]));
    assert!(lists.texts().iter().eq(["", "ü"]));
    assert_eq!(format!("{:?}", lists.deep()), r#"[[["x"], []], []]"#);
    assert!(lists.structs().iter().map(|numbers| numbers.uint8()).eq([1, 2]));
    let next = view.tree().next();
    assert_eq!((view.tree().label(), next.label()), ("a", "b"));
    assert!(next.children().iter().map(|tree| tree.label()).eq(["c"]));
    let [first, second] = [0, 1].map(|index| view.shapes().get(index).unwrap());
    let ShapeWhichReader::Polygon(corners) = first.which() else { panic!("{first:?}") };
    assert!(corners.iter().eq([1.0, 2.5]));
    assert!(matches!(first.fill().which(), ShapeFillWhichReader::Color(Color::DARK_BLUE)));
    let ShapeWhichReader::Box(boxed) = second.which() else { panic!("{second:?}") };
    assert_eq!((boxed.title(), second.position().x(), second.position().y()), ("boxed", 0, -7));
}

fn to_python(send: impl FnOnce(Everything<'_>)) {
    let named = |label| Tree { label, ..Tree::default() };
    let any = encoded::<TreeMessage>(&named("any"), FULL);
    let numbers = Numbers { int16: -2, color: Color::DARK_BLUE, second_bool: true, ..Numbers::default() };
    send(Everything {
        text: "from Rust",
        data: &[1, 2],
        numbers: Some(&numbers),
        defaults: Some(&Defaults { int8: 0, text: "set", ..Defaults::default() }),
        lists: Some(&Lists {
            uint32s: &[4, 5, 6],
            bools: &[false, true],
            trees: &[named("one"), named("two")],
            ..Lists::default()
        }),
        tree: Some(&Tree { children: &[named("child")], next: Some(&named("next")), ..Tree::default() }),
        shapes: &[Shape {
            which: ShapeWhich::Circle(2.5),
            fill: ShapeFill { which: ShapeFillWhich::Texture(b"t") },
            position: ShapePosition { x: 3, y: 0 },
            r#type: 9,
            ..Shape::default()
        }],
        any: AnyReader::of_schema(any.bytes()[8..].as_chunks().0.to_vec().leak()),
        inner: Some(&EverythingInner { value: u64::MAX }),
    });
}
