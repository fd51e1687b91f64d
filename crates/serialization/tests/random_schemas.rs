//! Schemas that nobody chose and values of them: written by places that a schema gives, read by our reader that knows the schema only
//! now, by the `capnp` crate, and, where it is installed, by the reference tool; all see the same, or all refuse.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;
#[path = "common/random.rs"]
mod random;

use std::{fs, path::PathBuf, process::Command};

use common::{Aligned, FULL, LITE, RAW};
use feuerbird_serialization::{DecodeError, Format, Stable, frame, reflect::Schema};
use random::{Model, Random, Scope, Writer};

/// How many schemas; a few where Miri interprets them.
const SCHEMAS: u64 = if cfg!(miri) { 2 } else { 300 };
/// How many the reference tool compiles: it takes milliseconds each.
const COMPILED: u64 = 40;
/// How often each message is changed somewhere.
const MUTATIONS: usize = if cfg!(miri) { 4 } else { 60 };

/// The canonical message without fields: a pointer to a struct of no words, at itself.
const EMPTY: [u8; 8] = [0xFC, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];

/// Words that pointers lead to, at most.
const BELOW: usize = 1 << 15;

/// A value of the first struct of a schema, and what it prints as.
fn written(model: &Model, schema: &Schema<'_>, seed: u64, format: Format) -> (Aligned, String) {
    let structure = schema.structure("S0").unwrap();
    let mut writer = Writer { model, random: Random(seed) };
    let (data, pointers) = structure.sections();
    let mut out = vec![0; frame::size(format, data, pointers, BELOW)];
    let mut text = String::new();
    let length = frame::write(format, &mut out, (data, pointers, BELOW), |mut to| {
        text = writer.structure(&model.structs[0], structure, &mut to, 0)?;
        Ok(())
    });
    (Aligned::new(&out[..length.unwrap()]), text)
}

/// What our reader that knows the schema only now sees.
fn seen(schema: &Schema<'_>, message: &Aligned, format: Format) -> Result<(String, String), DecodeError> {
    let value = schema.structure("S0").unwrap().decode(Stable::new(message.bytes())?, format)?;
    Ok((value.text().to_string(), value.json().to_string()))
}

/// The canonical form by the crate's own reading of all that the message holds.
fn their_canonical(message: &Aligned) -> Vec<u8> {
    let mut bytes = message.bytes();
    let reader = capnp::serialize::read_message_from_flat_slice(&mut bytes, Default::default()).unwrap();
    capnp::Word::words_to_bytes(&reader.canonicalize().unwrap()).to_vec()
}

fn our_canonical(message: &Aligned, format: Format) -> (Vec<u8>, u128) {
    let root = frame::open(Stable::new(message.bytes()).unwrap(), format, 0, 0).unwrap();
    let mut out = vec![0; root.canonical_bound()];
    let length = root.canonical(&mut out).unwrap();
    out.truncate(length);
    (out, root.canonical_hash([1, 2]).unwrap())
}

#[test]
fn values_of_random_schemas_are_read_as_they_were_written_by_all_readers() {
    let mut longest = 0;
    for seed in 0..SCHEMAS {
        let model = Model::new(&mut Random(seed), true);
        let request = Aligned::new(&model.request());
        let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
        feuerbird_codegen::generate(request.bytes()).unwrap();
        let messages = [RAW, LITE, FULL].map(|format| {
            let (message, text) = written(&model, &schema, seed, format);
            let (printed, _) = seen(&schema, &message, format).unwrap();
            assert_eq!(printed, text, "seed {seed} in {format:?}: {}", model.source());
            (message, text)
        });
        let [(_, raw), (lite, _), (full, text)] = &messages;
        assert_eq!(raw, text);
        longest = longest.max(text.len());
        let (canonical, hash) = our_canonical(full, FULL);
        assert_eq!(canonical, their_canonical(full), "seed {seed}: {text}");
        assert_eq!(our_canonical(lite, LITE), (canonical, hash));
    }
    assert!(cfg!(miri) || longest > 1000, "the values are too small to say much: {longest}");
}

/// Where a message is changed, it is refused or read, but never differently by two readers, and never without end.
#[test]
fn changed_messages_of_random_schemas_have_one_verdict() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..SCHEMAS {
        let model = Model::new(&mut Random(seed), true);
        let request = Aligned::new(&model.request());
        let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
        let (lite, _) = written(&model, &schema, seed, LITE);
        let words = lite.bytes().len() / 8;
        let mut random = Random(seed);
        for _ in 0..MUTATIONS {
            let mut changed = lite.clone();
            let at = 16 + 8 * random.below(words - 2);
            let bit = random.below(64);
            changed.bytes_mut()[at + bit / 8] ^= 1 << (bit % 8);
            // Behind the header's first word it is a message in standard framing.
            let full = Aligned::new(&changed.bytes()[8..]);
            let [ours, both] = [seen(&schema, &changed, LITE), seen(&schema, &full, FULL)];
            match (&ours, &both) {
                (Ok(ours), Ok(both)) => assert_eq!(ours, both, "seed {seed}"),
                (Err(_), Err(_)) => {}
                // A pointer may have become a far one, which Lite does not have.
                (Err(DecodeError::WrongPointer), Ok(_)) => {}
                // Least of all what we accept and the crate refuses.
                other => panic!("seed {seed}: {other:?}"),
            }
            if both.is_ok() {
                accepted += 1;
                let (ours, theirs) = (our_canonical(&full, FULL).0, their_canonical(&full));
                // A root that is null says what one without fields says, of which there is one form; the crate keeps the null.
                assert!(ours == theirs || theirs == [0; 8] && ours == EMPTY, "seed {seed}");
            } else {
                refused += 1;
            }
        }
    }
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

/// A folder that is gone afterwards, also where the test fails.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("feuerbird-random-schemas-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The tool lays the same schemas out as it does, and reads the same.
#[test]
fn values_of_random_schemas_are_read_by_the_reference_tool() {
    if cfg!(miri) || !common::has_capnp_tool() {
        return;
    }
    let folder = Folder::new();
    let folder = &folder.0;
    let tool = |words: &[&str], input: &[u8]| {
        let mut command = Command::new("capnp");
        command.args(words).current_dir(folder).env_remove("PWD");
        fs::write(folder.join("input"), input).unwrap();
        command.stdin(fs::File::open(folder.join("input")).unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(output.stdout) } else { Err(said) }
    };
    let (mut compiled, mut from_json) = (0, 0);
    for seed in 0..COMPILED {
        // The tool does not read back what it has no name for.
        let model = Model::new(&mut Random(seed), false);
        fs::write(folder.join("random.capnp"), model.source()).unwrap();
        let request = match tool(&["compile", "-o-", "random.capnp"], &[]) {
            Ok(request) => Aligned::new(&request),
            // It refuses to lay some groups in unions out, because an old version of it did so wrongly.
            Err(said) if said.contains("capnproto/issues/344") => continue,
            Err(said) => panic!("seed {seed}: {said}{}", model.source()),
        };
        compiled += 1;
        let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
        let (full, text) = written(&model, &schema, seed, FULL);
        let (printed, json) = seen(&schema, &full, FULL).unwrap();
        assert_eq!(printed, text, "seed {seed}: {}", model.source());
        let convert = |conversion: &str, input: &[u8]| {
            tool(&["convert", "--quiet", "--short", conversion, "random.capnp", "S0"], input).unwrap()
        };
        let text_of = |notation: &str, input: &[u8]| {
            String::from_utf8(convert(&format!("{notation}:text"), input)).unwrap()
        };
        let theirs = text_of("binary", full.bytes());
        assert_eq!(text_of("text", printed.as_bytes()), theirs, "seed {seed}: {}", model.source());
        // Reading JSON, the tool sets the first member of a union where it is a pointer that was not set.
        if !model.structs.iter().any(Scope::has_a_pointer_first) {
            assert_eq!(text_of("json", json.as_bytes()), theirs, "seed {seed}: {json}\n{}", model.source());
            from_json += 1;
        }
    }
    assert!(
        compiled > COMPILED / 2 && from_json > COMPILED / 4,
        "only {compiled} schemas, {from_json} in JSON"
    );
}
