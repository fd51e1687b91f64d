//! A fourth format, in one file and with no change elsewhere: postcard, used on a channel.
//!
//! What it takes: a type that names the messages of the format and holds their values ([`Postcard`]), what both ends compare
//! ([`identity`]), how a value is read and checked ([`Message`]), and how one is written ([`Encode`]). Run it with
//! `cargo run -p feuerbird-formats --example fourth`.
//!
//! What a decoder owes is in the documentation of the traits: no panic on any bytes, no memory out of proportion, all of
//! the bytes used. Postcard by itself goes as deep as a recursive type does and makes room for up to 1 MiB because a list says so;
//! so this file is for types without recursion and lists. The module `messagepack` shows what to do about both: a look at all
//! counts before anything is made of them.

use feuerbird_channel::{HeapHome, local};
use feuerbird_formats::{Named, identity};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Identity, Message, Stable};
use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The message that is a `T` in postcard's format, and a value of it.
#[derive(Debug, PartialEq)]
struct Postcard<T>(T);

impl<T: Serialize + DeserializeOwned + Named + 'static> Message for Postcard<T> {
    const IDENTITY: Identity = identity("postcard", "", T::NAME);

    // It owns what it holds. A format whose values borrow from the message names a type with this lifetime.
    type View<'a> = Self;

    fn decode(bytes: Stable<'_>, _: impl Into<Format>) -> Result<Self, DecodeError> {
        match postcard::take_from_bytes(bytes.bytes()) {
            Ok((value, [])) => Ok(Self(value)),
            Ok(_) => Err(DecodeError::TrailingBytes),
            Err(postcard::Error::DeserializeUnexpectedEnd) => Err(DecodeError::Truncated),
            Err(postcard::Error::DeserializeBadUtf8) => Err(DecodeError::InvalidText),
            Err(_) => Err(DecodeError::Malformed),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Named + 'static> Encode<Self> for Postcard<T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        postcard::serialize_with_flavor(&self.0, Size::default()).unwrap_or(0)
    }

    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        match postcard::to_slice(&self.0, out) {
            Ok(written) => Ok(written.len()),
            Err(postcard::Error::SerializeBufferFull) => {
                Err(EncodeError::BufferTooSmall { needed: self.encoded_bound(format) })
            }
            Err(_) => Err(EncodeError::Refused),
        }
    }
}

// What a program has: a type, its name, and a channel.

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    sensor: u32,
    celsius: f32,
    place: String,
}

impl Named for Reading {
    const NAME: &str = "example.Reading";
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut sender, mut receiver) = local::<Postcard<Reading>, _>(HeapHome, 256, 4);
    sender.send(&Postcard(Reading { sensor: 7, celsius: 21.5, place: "roof".into() }))?;
    receiver.recv(|Postcard(reading)| {
        println!("sensor {} on the {}: {} °C", reading.sensor, reading.place, reading.celsius);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use feuerbird_serialization::Layer;

    /// Bytes whose start is a multiple of 8.
    #[repr(align(8))]
    struct Aligned([u8; 64]);

    fn decode(bytes: &[u8]) -> Result<Postcard<Reading>, DecodeError> {
        let mut aligned = Aligned([0; 64]);
        aligned.0[..bytes.len()].copy_from_slice(bytes);
        Postcard::decode(Stable::new(&aligned.0[..bytes.len()]).unwrap(), Layer::Full)
    }

    #[test]
    fn the_example_runs() {
        main().unwrap();
    }

    #[test]
    fn a_message_is_read_whole_or_refused() {
        let reading = Postcard(Reading { sensor: 300, celsius: -1.0, place: "cellar".into() });
        let mut buffer = [0; 64];
        let length = reading.encode(Layer::Full, &mut buffer).unwrap();
        assert_eq!(length, reading.encoded_bound(Layer::Full));
        assert_eq!(decode(&buffer[..length]), Ok(reading));
        for shorter in 0..length {
            assert_eq!(decode(&buffer[..shorter]), Err(DecodeError::Truncated));
        }
        assert_eq!(decode(&buffer[..=length]), Err(DecodeError::TrailingBytes));
    }
}
