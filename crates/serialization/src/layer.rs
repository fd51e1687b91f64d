//! The three layers, and which one a trust asks for.

use core::fmt;

use feuerbird_capability::{Band, Trust};

/// How a message is laid out and how much of it is checked on receipt, from the least strict to the strictest.
///
/// The layer of a binding follows from the trust that the *receiver* puts in the sender; nothing in a message changes it.
/// The numbers (0, 1, 2) are what crosses between programs and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Layer {
    /// The bytes are the value: only lengths are looked at.
    Raw = 0,
    /// One Cap'n Proto segment behind a 16-byte header, every pointer checked.
    Lite = 1,
    /// Any standard Cap'n Proto framing, every limit on, accepted only if two readers agree.
    Full = 2,
}

impl Layer {
    /// All layers, the least strict first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Lite, Self::Full];

    /// The layer for messages from a sender that the receiver trusts this far.
    #[inline]
    pub const fn for_trust(trust: Trust) -> Self {
        match trust.band() {
            Band::User => Self::Full,
            Band::LibOs => Self::Lite,
            Band::Kernel => Self::Raw,
        }
    }

    /// The stricter of two layers: how a program's own wish is joined with what trust demands.
    #[must_use]
    #[inline]
    pub const fn stricter(self, other: Self) -> Self {
        if self.to_number() >= other.to_number() { self } else { other }
    }

    /// The stable number of this layer.
    #[inline]
    pub const fn to_number(self) -> u8 {
        self as u8
    }

    /// The layer with this number, if there is one.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Raw),
            1 => Some(Self::Lite),
            2 => Some(Self::Full),
            _ => None,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "Raw",
            Self::Lite => "Cap'n Proto Lite",
            Self::Full => "Cap'n Proto Full",
        })
    }
}

/// Whether Lite messages carry a crc32c of their body.
///
/// It finds accidents (a broken copy, a program that writes where it should not). It does not find forgery: whoever
/// can write the message can write the checksum. The other layers carry none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// No checksum is written; a message that carries one is refused.
    Off,
    /// A crc32c is written; a message without one, or with a wrong one, is refused.
    #[default]
    Crc32c,
}

/// How a message's words are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Not at all: the root struct, then what its pointers lead to.
    Bare,
    /// A header of 16 bytes, then one segment. The header's second word is the standard table, so that what stands behind its
    /// first word is the same message in standard framing.
    Header,
    /// The standard framing: a table of up to [`SEGMENTS_LIMIT`](crate::SEGMENTS_LIMIT) segments, then the segments.
    Table,
}

/// How much of a message is checked before anything of it reaches a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checks {
    /// Lengths. What is wrong inside reads as a default; nothing outside of the message is ever read.
    Lengths,
    /// Every pointer (bounds, kind, depth, amount) and the type of every field.
    Pointers,
    /// The same, and the `capnp` crate must find nothing wrong either.
    TwoReaders,
}

/// What both ends of a binding agreed on. Every [`Layer`] is the name of one combination, with the default options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// How messages are framed.
    pub framing: Framing,
    /// What is checked on receipt.
    pub checks: Checks,
    /// Whether a message with a [header](Framing::Header) carries a checksum; the others have no place for one.
    pub checksum: Checksum,
    /// How many capabilities go beside a message that is written: its pointers may stand for those and no others. What came beside
    /// one that is read, its [bytes](crate::Stable::with_capabilities) say.
    pub capabilities: u32,
}

impl Format {
    /// The same, with or without a checksum.
    #[must_use]
    #[inline]
    pub const fn with_checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }

    /// The same, for a message beside which so many capabilities go.
    #[must_use]
    #[inline]
    pub const fn with_capabilities(self, capabilities: u32) -> Self {
        Self { capabilities, ..self }
    }

    /// Runs `work` with this format: one look at it, and code of its own for each of those that the layers name, in which nothing
    /// has to ask for the format any more. For what is done with every message of a binding, handler and all.
    #[inline(always)] // all that it is for is lost behind a call
    pub fn known<R>(self, work: impl FnOnce(Self) -> R) -> R {
        const RAW: Format = Layer::Raw.format();
        const LITE: Format = Layer::Lite.format();
        const UNCHECKED: Format = LITE.with_checksum(Checksum::Off);
        const FULL: Format = Layer::Full.format();
        match (self.framing, self.checks, self.checksum) {
            _ if self.capabilities > 0 => other(self, work),
            (Framing::Bare, Checks::Lengths, _) => work(RAW),
            (Framing::Header, Checks::Pointers, Checksum::Crc32c) => work(LITE),
            (Framing::Header, Checks::Pointers, Checksum::Off) => work(UNCHECKED),
            (Framing::Table, Checks::TwoReaders, _) => work(FULL),
            _ => other(self, work),
        }
    }
}

/// Out of the way of the code for the formats that are used.
#[cold]
fn other<R>(format: Format, work: impl FnOnce(Format) -> R) -> R {
    work(format)
}

impl Layer {
    /// The combination that this layer is the name of.
    #[inline]
    pub const fn format(self) -> Format {
        let (framing, checks) = match self {
            Self::Raw => (Framing::Bare, Checks::Lengths),
            Self::Lite => (Framing::Header, Checks::Pointers),
            Self::Full => (Framing::Table, Checks::TwoReaders),
        };
        Format { framing, checks, checksum: Checksum::Crc32c, capabilities: 0 }
    }
}

impl From<Layer> for Format {
    #[inline]
    fn from(layer: Layer) -> Self {
        layer.format()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trust_has_the_layer_of_its_band() {
        for level in 0..=0xF {
            let layer = Layer::for_trust(Trust::new(level).unwrap());
            let expected = match level {
                0x0..=0x7 => Layer::Full,
                0x8..=0xD => Layer::Lite,
                _ => Layer::Raw,
            };
            assert_eq!(layer, expected, "trust {level:#x}");
        }
    }

    #[test]
    fn a_wish_only_makes_a_layer_stricter() {
        for demanded in Layer::ALL {
            for wished in Layer::ALL {
                assert_eq!(demanded.stricter(wished), demanded.max(wished));
            }
        }
    }

    #[test]
    fn numbers_name_layers_and_nothing_else_does() {
        for layer in Layer::ALL {
            assert_eq!(Layer::from_number(layer.to_number()), Some(layer));
        }
        assert!((3..=u8::MAX).all(|number| Layer::from_number(number).is_none()));
    }
}
