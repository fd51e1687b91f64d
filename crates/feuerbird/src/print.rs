//! `feuerbird print`: a message as text or JSON, by a schema that is read when the command runs.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use feuerbird::serialization::{Checksum, Format, Layer, Stable, reflect::Schema, unpack, unpacked_size};

/// What to print, and how it came.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The schema: a file.capnp, which the `capnp` tool compiles, or what it made of one (`capnp compile -o-`).
    schema: PathBuf,
    /// The struct that the message is, such as `Sample` or `Outer.Inner`.
    name: String,
    /// JSON instead of the schema language's notation.
    #[arg(long)]
    json: bool,
    /// The layer whose framing the message has: Raw, Lite with or without its checksum, or Full, Cap'n Proto's own.
    #[arg(long, value_enum, default_value = "full")]
    layer: LayerName,
    /// The message is packed.
    #[arg(long)]
    packed: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum LayerName {
    Raw,
    Lite,
    Full,
}

/// The longest message that is read, packed or not, in bytes.
const LONGEST: u64 = 1 << 30;
/// The largest schema that is read, in bytes.
const LARGEST_SCHEMA: u64 = 64 << 20;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let request = Words::new(&request(&arguments.schema)?);
    let schema = Schema::new(Stable::new(request.bytes())?)
        .with_context(|| format!("{} is no compiled schema", arguments.schema.display()))?;
    let Some(structure) = schema.structure(&arguments.name) else {
        let names: Vec<&str> = schema.structures().map(|structure| structure.name()).collect();
        bail!("the schema has no struct {:?}; it has {}", arguments.name, names.join(", "));
    };
    let mut message = bounded(io::stdin().lock(), LONGEST).context("standard input")?;
    if arguments.packed {
        message = unpacked(&message).context("the message is not packed")?;
    }
    let message = Words::new(&message);
    let value = structure.decode(Stable::new(message.bytes())?, format(arguments.layer, message.bytes()));
    let value = value.context("standard input is no such message")?;
    let text = if arguments.json { value.json().to_string() } else { value.text().to_string() };
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// The compiled request: the file's own bytes, or what the tool makes of a schema.
fn request(schema: &Path) -> anyhow::Result<Vec<u8>> {
    if schema.extension() != Some(OsStr::new("capnp")) {
        let file = fs::File::open(schema).map_err(anyhow::Error::from);
        return file
            .and_then(|file| bounded(file, LARGEST_SCHEMA))
            .with_context(|| schema.display().to_string());
    }
    let mut tool = Command::new("capnp");
    let output = tool.args(["compile", "-o-"]).arg(schema).output();
    let output = output.context("the capnp tool compiles schemas; on Debian, apt-get install capnproto")?;
    if !output.status.success() {
        bail!("capnp compile: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// All that there is to read, if it is not longer than it may be.
fn bounded(input: impl Read, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![];
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("longer than {most} bytes, which is the most that is read");
    }
    Ok(bytes)
}

fn unpacked(packed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let size = unpacked_size(packed)?;
    if size as u64 > LONGEST {
        bail!("it would be {size} bytes");
    }
    let mut out = vec![0; size];
    unpack(packed, &mut out)?;
    Ok(out)
}

/// A Lite message says itself whether it has a checksum, which is then checked.
fn format(layer: LayerName, message: &[u8]) -> Format {
    let has_checksum = message.get(1).is_some_and(|flags| flags & 1 == 1);
    match layer {
        LayerName::Raw => Layer::Raw.format(),
        LayerName::Lite if has_checksum => Layer::Lite.format(),
        LayerName::Lite => Layer::Lite.format().with_checksum(Checksum::Off),
        LayerName::Full => Layer::Full.format(),
    }
}

/// Bytes that start at a multiple of 8.
struct Words {
    words: Vec<u64>,
    length: usize,
}

impl Words {
    fn new(bytes: &[u8]) -> Self {
        let (whole, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = whole.iter().chain([&last]).map(|word| u64::from_ne_bytes(*word));
        Self { words: words.collect(), length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        use feuerbird::serialization::zerocopy::IntoBytes;
        &self.words.as_bytes()[..self.length]
    }
}
