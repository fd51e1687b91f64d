//! The standard packing of Cap'n Proto, which leaves out the zero bytes.
//!
//! For messages that are stored or leave the machine: it saves about half of a message of small numbers, and costs more than
//! copying it. Layers do not pack. What was unpacked is as hostile as before, and is decoded as any other message.
//!
//! ```text
//!   tag   of 8 bytes, the bits say which bytes of the word are there: the least significant one is the first
//!   0x00  a zero word, then how many more of them follow (0 to 255), and nothing else
//!   0xFF  a word without zeros, then how many words follow that are not packed (0 to 255), then those
//!   other a word: its bytes that are not zero
//! ```

use crate::{DecodeError, EncodeError};

/// The most bytes that a tag and what belongs to it take, without the words that are not packed.
const UNIT: usize = 10;
/// The most words that follow a zero word, or one without zeros.
const RUN: usize = 255;

/// A word's bytes.
type Word = [u8; 8];

/// An upper bound, in bytes, of what [`pack`] writes for a message of so many bytes; saturates.
pub const fn packed_bound(bytes: usize) -> usize {
    // A word without zeros that stands alone takes 10 bytes, and the word that ends its run at most 7. Only a word at the
    // end has none behind it: that of the segment table, and that of the message.
    let words = bytes.div_ceil(8);
    words.saturating_mul(8).saturating_add(words.div_ceil(2) + 3)
}

/// Packs a message in standard framing, and says how many bytes that takes. Other bytes are packed too, as whole words with
/// zeros at the end.
///
/// Runs end with the segment table, because readers that read it first refuse others.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`]; never, if `out` has [`packed_bound`] bytes.
pub fn pack(message: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    let (words, rest) = message.as_chunks::<8>();
    let (table, segments) = words.split_at_checked(table_words(words)).unwrap_or((&[], words));
    let mut at = pack_words(table, out, 0)?;
    at = pack_words(segments, out, at)?;
    if rest.is_empty() {
        return Ok(at);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    pack_words(&[last], out, at)
}

/// Words in the segment table, if these are a message in standard framing.
fn table_words(words: &[Word]) -> usize {
    let less_one = words.first().map_or(0, |word| u64::from_le_bytes(*word) as u32);
    usize::try_from(less_one.div_ceil(2)).map_or(usize::MAX, |pairs| pairs.saturating_add(1))
}

fn pack_words(mut words: &[Word], out: &mut [u8], mut at: usize) -> Result<usize, EncodeError> {
    while let Some((word, behind)) = words.split_first() {
        let place = out.get_mut(at..).unwrap_or_default();
        let (tag, used) = match place.first_chunk_mut::<UNIT>() {
            Some(place) => put_word(word, place),
            None => {
                let mut unit = [0; UNIT];
                let (tag, used) = put_word(word, &mut unit);
                let needed = at + used + usize::from(tag == 0 || tag == 0xFF);
                let place = place.get_mut(..needed - at).ok_or(EncodeError::BufferTooSmall { needed })?;
                place.copy_from_slice(&unit[..needed - at]);
                (tag, used)
            }
        };
        at += used;
        words = match tag {
            0 => {
                let run = behind.iter().take(RUN).take_while(|word| **word == [0; 8]).count();
                put_count(out, &mut at, run);
                &behind[run..]
            }
            0xFF => {
                let run = behind.iter().take(RUN).take_while(|word| is_dense(word)).count();
                put_count(out, &mut at, run);
                let (run, behind) = behind.split_at(run);
                let needed = at + run.len() * 8;
                let place = out.get_mut(at..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
                place.copy_from_slice(run.as_flattened());
                at = needed;
                behind
            }
            _ => behind,
        };
    }
    Ok(at)
}

/// Writes how many words a run has; there is room for it, because a word was only written where there was.
fn put_count(out: &mut [u8], at: &mut usize, run: usize) {
    if let (Some(place), Ok(run)) = (out.get_mut(*at), u8::try_from(run)) {
        *place = run;
    }
    *at += 1;
}

/// Writes a tag and the bytes that are not zero; says the tag and how many bytes these are together. What is behind them is not used.
#[inline]
fn put_word(word: &Word, place: &mut [u8; UNIT]) -> (u8, usize) {
    let tag = tag(word);
    let moves = &MOVES[usize::from(tag)];
    let mut word = u64::from_le_bytes(*word);
    for (step, mask) in moves.steps.iter().enumerate() {
        let moved = word & mask;
        word = word ^ moved | moved >> (8 << step);
    }
    place[0] = tag;
    place[1..9].copy_from_slice(&word.to_le_bytes());
    (tag, 1 + moves.count)
}

/// A bit for each byte that is not zero.
#[inline]
fn tag(word: &Word) -> u8 {
    // From Hacker's Delight, 6-1: the lowest bit of each byte says whether it is not zero; the product moves them together.
    let bits = nonzero(word) >> 7;
    (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// The highest bit of each byte that is not zero.
#[inline]
fn nonzero(word: &Word) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let word = u64::from_le_bytes(*word);
    (((word & LOW) + LOW) | word) & !LOW
}

/// Whether at most one byte is zero: such words are not worth packing.
#[inline]
fn is_dense(word: &Word) -> bool {
    let zeros = nonzero(word) ^ 0x8080_8080_8080_8080;
    zeros & zeros.wrapping_sub(1) == 0
}

/// How many bytes [`unpack`] writes, without unpacking: up to 1024 times as many as there are.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn unpacked_size(packed: &[u8]) -> Result<usize, DecodeError> {
    let (mut packed, mut words) = (packed, 0_usize);
    while let Some((tag, behind)) = packed.split_first() {
        let unit = Unit::new(*tag, behind)?;
        words = words.saturating_add(1 + unit.zeros + unit.run.len() / 8);
        packed = unit.behind;
    }
    Ok(words.saturating_mul(8))
}

/// Unpacks a message and says how many bytes it has: always whole words. What stands behind them in `out` is unspecified.
///
/// # Errors
/// [`DecodeError::Truncated`] if `packed` ends in the middle of a word or run; [`DecodeError::Amplified`] if the message is
/// larger than `out`, the size of which is the receiver's limit.
pub fn unpack(packed: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let words = out.as_chunks_mut::<8>().0;
    let (mut packed, mut at) = (packed, 0);
    while let Some((tag, behind)) = packed.split_first() {
        let word = words.get_mut(at).ok_or(DecodeError::Amplified)?;
        at += 1;
        let plain = *tag != 0 && *tag != 0xFF;
        if let (true, Some(bytes)) = (plain, behind.first_chunk::<8>()) {
            *word = spread(*tag, bytes);
            packed = &behind[MOVES[usize::from(*tag)].count..];
            continue;
        }
        let unit = Unit::new(*tag, behind)?;
        *word = unit.word;
        let zeros = words.get_mut(at..at + unit.zeros).ok_or(DecodeError::Amplified)?;
        zeros.fill([0; 8]);
        at += unit.zeros;
        let run = unit.run.as_chunks::<8>().0;
        words.get_mut(at..at + run.len()).ok_or(DecodeError::Amplified)?.copy_from_slice(run);
        at += run.len();
        packed = unit.behind;
    }
    Ok(at * 8)
}

/// A tag and all that belongs to it.
struct Unit<'a> {
    word: Word,
    /// So many zero words follow.
    zeros: usize,
    /// Words that follow as they are.
    run: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Unit<'a> {
    #[inline]
    fn new(tag: u8, behind: &'a [u8]) -> Result<Self, DecodeError> {
        let count = MOVES[usize::from(tag)].count;
        let (present, behind) = behind.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(present);
        let word = spread(tag, &bytes);
        if tag != 0 && tag != 0xFF {
            return Ok(Self { word, zeros: 0, run: &[], behind });
        }
        let (count, behind) = behind.split_first().ok_or(DecodeError::Truncated)?;
        let count = usize::from(*count);
        if tag == 0 {
            return Ok(Self { word, zeros: count, run: &[], behind });
        }
        let (run, behind) = behind.split_at_checked(count * 8).ok_or(DecodeError::Truncated)?;
        Ok(Self { word, zeros: 0, run, behind })
    }
}

/// Puts bytes where the tag says that they belong; `bytes` has as many as it says first.
#[inline]
fn spread(tag: u8, bytes: &Word) -> Word {
    let moves = &MOVES[usize::from(tag)];
    let mut word = u64::from_le_bytes(*bytes);
    for (step, mask) in moves.steps.iter().enumerate().rev() {
        word = word & !mask | word << (8 << step) & mask;
    }
    (word & moves.present).to_le_bytes()
}

/// How the bytes of a word that a tag names are brought together, and apart again: all at once by 1, 2 and 4 places (Hacker's Delight,
/// 7-4 and 7-5, for bytes). A loop over the bytes takes several times as long.
struct Moves {
    /// For 1, 2 and 4 places, where the bytes lie that are moved.
    steps: [u64; 3],
    /// All bits of the bytes that are there.
    present: u64,
    /// How many these are.
    count: usize,
}

static MOVES: [Moves; 256] = {
    let mut table = [const { Moves { steps: [0; 3], present: 0, count: 0 } }; 256];
    let mut tag = 0;
    while tag < 256 {
        let mut index = 0;
        while index < 8 {
            if tag >> index & 1 == 1 {
                let places = index - table[tag].count;
                let mut step = 0;
                while step < 3 {
                    if places >> step & 1 == 1 {
                        // It was already moved by the smaller steps.
                        table[tag].steps[step] |= 0xFF << ((index - places % (1 << step)) * 8);
                    }
                    step += 1;
                }
                table[tag].present |= 0xFF << (index * 8);
                table[tag].count += 1;
            }
            index += 1;
        }
        tag += 1;
    }
    table
};
