//! Bad values in every word that the victim ever looks at, while it looks; then random ones in each again.
//!
//! A lie ends the lane that it is told in, and nobody looks at the rest of that lane any more. So each lie has a lane of its own, and
//! what ends no lane (hints, and the bytes of messages) is written under messages that keep coming. A word counts as attacked when
//! the victim was seen to react to it: it took the message, ended the lane, or refused to attach. The words that it never looks at
//! count when messages were taken while they had been changed, and nothing else happened.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use feuerbird::{
    channel::layout::{CLOSED_WORD, LaneHeader, SLEEPING_WORD, Stamp},
    serialization::{Encode, sample::Sample},
    zero_copy::{BufferId, Region, WriteRegion, layout::HEADER_BYTES, sync::Ordering},
};
use feuerbird_abi::UpcallKind;

use super::{
    attempts::{next, store, taken},
    client::{Client, Lane, Pair},
    victim::{PAYLOAD_BYTES, digest},
};

/// Values that have broken rings elsewhere.
const BAD: [u64; 12] = [
    0,
    1,
    2,
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_0000_0001,
    0xffff_ffff_0000_0001,
    0x8000_0000_0000_0001,
    0x0000_0040_0000_0001,
];

/// How long the victim may take to react.
const PATIENCE: Duration = Duration::from_secs(5);

/// A bad value that is not what stands there; another one for each `turn`.
fn bad(turn: usize, stands: u64) -> u64 {
    let mut values = (0..BAD.len()).map(|step| BAD[(turn + step) % BAD.len()]);
    values.find(|value| *value != stands).unwrap_or(!stands)
}

/// Attacks every word with bad values, then every word with random ones, and then whichever.
pub(super) fn scribble(client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let mut scribbler = Scribbler::new(client, slot)?;
    scribbler.all_looked_at()?;
    let missed_by_bad = scribbler.missed(&scribbler.looked_at()?);
    scribbler.go_over_to_random();
    scribbler.all_looked_at()?;
    scribbler.padding()?;
    let missed_by_random = scribbler.missed(&(0..scribbler.attacked.len()).collect::<Vec<_>>());
    scribbler.at_random(Duration::from_millis(300))?;
    scribbler.report(missed_by_bad, missed_by_random)
}

/// What is written instead of what should stand there.
struct Lies {
    are_random: bool,
    random: u64,
}

impl Lies {
    /// A value that is not what stands there; another one for each `turn`.
    fn tell(&mut self, turn: usize, stands: u64) -> u64 {
        if !self.are_random {
            return bad(turn, stands);
        }
        let value = next(&mut self.random);
        if value == stands { !stands } else { value }
    }
}

struct Scribbler<'c> {
    client: &'c mut Client,
    slot: u64,
    pair: Pair,
    lane: Lane,
    /// Messages announced on this lane.
    announced: u64,
    /// A good message, encoded.
    good: Vec<u64>,
    good_bytes: usize,
    /// For each word of our memory, whether the victim has reacted to it.
    attacked: Vec<bool>,
    lanes: u64,
    lies: Lies,
}

impl<'c> Scribbler<'c> {
    fn new(client: &'c mut Client, slot: u64) -> anyhow::Result<Self> {
        let pair = client.bind(slot)?;
        let lane = client.lane(&pair)?;
        let payload = [0x5a; PAYLOAD_BYTES];
        // With a digest that is wrong, so that no word makes it one of the honest child's.
        let digest = !digest(&payload);
        let sample = Sample { sequence: 0, producer: 666, sent_at: 0, digest, payload: &payload };
        let mut good = vec![0; sample.encoded_bound(lane.layer).div_ceil(8)];
        let good_bytes = sample.encode(lane.layer, zerocopy::IntoBytes::as_mut_bytes(&mut good[..]))?;
        ensure!(good_bytes > lane.layout.inline_bytes(), "messages this large are pooled");
        let attacked = vec![false; lane.own.words().len()];
        let lies = Lies { are_random: false, random: std::process::id().into() };
        Ok(Self { client, slot, pair, lane, announced: 0, good, good_bytes, attacked, lanes: 1, lies })
    }

    /// From now on each lie is random, and no word has been attacked.
    fn go_over_to_random(&mut self) {
        self.lies.are_random = true;
        self.attacked.fill(false);
    }

    /// Attacks each word that the victim ever looks at.
    fn all_looked_at(&mut self) -> anyhow::Result<()> {
        self.headers()?;
        self.hints()?;
        self.slots()?;
        self.messages()
    }

    /// What to write to a word of this lane.
    fn lie(&mut self, turn: usize, word: usize) -> u64 {
        let stands = self.lane.own.words().load(word);
        self.lies.tell(turn, stands)
    }

    /// Goes on with a fresh lane.
    fn renew(&mut self) -> anyhow::Result<()> {
        self.renew_spoilt(None)
    }

    /// Goes on with a lane of which one word is bad before the victim sees it.
    fn renew_spoilt(&mut self, spoilt: Option<usize>) -> anyhow::Result<()> {
        self.client.leave(&self.pair, &self.lane)?;
        self.pair = self.client.bind(self.slot)?;
        self.lane = self.client.spoilt_lane(&self.pair, |own| {
            if let Some(word) = spoilt {
                let lie = self.lies.tell(word, own.words().load(word));
                own.writable()[word].store(lie, Ordering::Release);
            }
        })?;
        (self.announced, self.lanes) = (0, self.lanes + 1);
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.lane.theirs.words().load(CLOSED_WORD) != 0
    }

    /// Waits until the victim has taken so many messages or ended the lane.
    fn until_taken(&self, messages: u64) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while taken(&self.lane) < messages && !self.has_ended() {
            ensure!(Instant::now() < end, "the victim looks at nothing any more");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Where a buffer starts, in words.
    fn buffer(&self, id: u64) -> anyhow::Result<usize> {
        let start = self.lane.layout.pool().and_then(|pool| pool.offset(BufferId(id as u32)));
        Ok(start.context("there are as many buffers as places")? / 8)
    }

    /// Puts a good message into a buffer, for the next message, and returns where that starts.
    fn fill(&mut self, id: u64) -> anyhow::Result<usize> {
        let start = self.buffer(id)?;
        self.good.iter().enumerate().for_each(|(word, value)| store(&self.lane, start + word, *value));
        store(&self.lane, self.lane.layout.stamp_word(self.announced) + 1, id);
        Ok(start)
    }

    /// Announces the next message, which is in its buffer.
    fn announce(&mut self, bytes: usize) {
        let stamp = Stamp::new(self.announced, bytes, true);
        store(&self.lane, self.lane.layout.stamp_word(self.announced), stamp.0);
        self.announced += 1;
    }

    /// Sends so many good messages and waits until they are taken.
    fn send_good(&mut self, messages: u64) -> anyhow::Result<()> {
        for _ in 0..messages {
            self.fill(self.announced % self.lane.layout.depth())?;
            self.announce(self.good_bytes);
        }
        self.until_taken(self.announced)
    }

    /// What is compared when the victim attaches: each word is bad once.
    fn headers(&mut self) -> anyhow::Result<()> {
        let lane = 0..size_of::<LaneHeader>() / 8;
        let buffers = self.buffer(0)?;
        let pool = buffers - HEADER_BYTES / 8..buffers;
        for word in lane.chain(pool) {
            self.renew_spoilt(Some(word))?;
            // It does not attach, and says so.
            self.client.wait_for(UpcallKind::PeerLeft, PATIENCE)?;
            self.attacked[word] = true;
        }
        self.renew()
    }

    /// Whether we sleep, which ends nothing, and whether we are gone, which ends the lane.
    fn hints(&mut self) -> anyhow::Result<()> {
        for turn in 0..BAD.len() {
            let lie = self.lie(turn, SLEEPING_WORD);
            store(&self.lane, SLEEPING_WORD, lie);
            self.send_good(2)?;
            ensure!(!self.has_ended(), "a lane ended by a hint");
        }
        self.attacked[SLEEPING_WORD] = true;
        for turn in 0..BAD.len() {
            // 0 stands there, so it is never told.
            let lie = self.lie(turn, CLOSED_WORD);
            store(&self.lane, CLOSED_WORD, lie);
            self.until_taken(u64::MAX)?;
            self.renew()?;
        }
        self.attacked[CLOSED_WORD] = true;
        Ok(())
    }

    /// Stamps, the numbers of buffers, and bytes in slots: each slot's with some bad value, the first slot's with each.
    fn slots(&mut self) -> anyhow::Result<()> {
        let depth = self.lane.layout.depth();
        let turns = (1..BAD.len()).map(|turn| (0, turn)).chain((0..depth).map(|slot| (slot, slot as usize)));
        for (slot, turn) in turns.collect::<Vec<_>>() {
            for lie in [Self::stamp, Self::buffer_number, Self::bytes_in_slot] {
                self.renew()?;
                self.send_good(slot)?;
                lie(self, turn)?;
                self.until_taken(slot + 1)?;
            }
        }
        self.renew()
    }

    fn stamp(&mut self, turn: usize) -> anyhow::Result<()> {
        let word = self.lane.layout.stamp_word(self.announced);
        // One of turn 0 says that nothing is there, as fresh memory does: no lie.
        let mut lies = (turn..).map(|turn| self.lie(turn, word));
        let lie = lies.find(|value| *value as u32 != 0).context("some have a turn")?;
        store(&self.lane, word, lie);
        self.attacked[word] = true;
        Ok(())
    }

    fn buffer_number(&mut self, turn: usize) -> anyhow::Result<()> {
        self.fill(0)?;
        let word = self.lane.layout.stamp_word(self.announced) + 1;
        let lie = self.lie(turn, word);
        store(&self.lane, word, lie);
        self.announce(self.good_bytes);
        self.attacked[word] = true;
        Ok(())
    }

    fn bytes_in_slot(&mut self, turn: usize) -> anyhow::Result<()> {
        let (stamp, bytes) = (self.lane.layout.stamp_word(self.announced), self.lane.layout.inline_bytes());
        for word in stamp + 1..=stamp + bytes / 8 {
            let lie = self.lie(turn + word, word);
            store(&self.lane, word, lie);
            self.attacked[word] = true;
        }
        store(&self.lane, stamp, Stamp::new(self.announced, bytes, false).0);
        Ok(())
    }

    /// Each word of each buffer: good messages, of each of which one word is bad.
    fn messages(&mut self) -> anyhow::Result<()> {
        let (depth, largest) = (self.lane.layout.depth(), self.lane.layout.message_bytes());
        // Where the next word to attack is, and the words attacked on this lane, by message.
        let (mut at, mut under_way) = (0, Vec::new());
        let all = largest.div_ceil(8) as u64 * depth;
        while at < all || !under_way.is_empty() {
            let seen = (taken(&self.lane) as usize).min(under_way.len());
            if self.has_ended() || (at == all && seen == under_way.len()) {
                // Bytes are copied, and their message is taken, before they are looked at.
                let looked_at = (taken(&self.lane) as usize).min(under_way.len());
                ensure!(looked_at > 0, "a lane ended before its first message was taken");
                at -= (under_way.len() - looked_at) as u64;
                under_way.drain(..looked_at).for_each(|word: usize| self.attacked[word] = true);
                under_way.clear();
                self.renew()?;
                continue;
            }
            if at == all || self.announced - taken(&self.lane) >= depth {
                self.until_taken(seen as u64 + 1)?;
                continue;
            }
            let word = (at / depth) as usize;
            let start = self.fill(at % depth)?;
            let lie = self.lie(at as usize, start + word);
            store(&self.lane, start + word, lie);
            // Behind the good message, only a longer one is looked at so far.
            self.announce(if word * 8 < self.good_bytes { self.good_bytes } else { largest });
            under_way.push(start + word);
            at += 1;
        }
        Ok(())
    }

    /// The words between those that the victim looks at: messages go on whatever stands there.
    fn padding(&mut self) -> anyhow::Result<()> {
        let looked_at = self.looked_at()?;
        self.renew()?;
        let all = 0..self.attacked.len();
        let padding: Vec<_> = all.filter(|word| !looked_at.contains(word)).collect();
        for words in padding.chunks(16) {
            for word in words {
                let lie = self.lie(0, *word);
                store(&self.lane, *word, lie);
            }
            self.send_good(1)?;
            ensure!(!self.has_ended(), "a lane ended by a word that nobody should look at");
            words.iter().for_each(|word| self.attacked[*word] = true);
        }
        Ok(())
    }

    /// Random words, random values; bad ones among them.
    fn at_random(&mut self, time: Duration) -> anyhow::Result<()> {
        let words = self.lane.own.words().len();
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.has_ended() {
                self.renew()?;
                self.send_good(8)?;
            }
            for _ in 0..100 {
                let random = &mut self.lies.random;
                let (value, word) = (next(random), next(random) as usize % words);
                let value = if value.is_multiple_of(3) { BAD[value as usize % BAD.len()] } else { value };
                if word != CLOSED_WORD {
                    store(&self.lane, word, value);
                }
            }
        }
        Ok(())
    }

    /// Every word that the victim ever looks at.
    fn looked_at(&self) -> anyhow::Result<BTreeSet<usize>> {
        let layout = &self.lane.layout;
        let buffers = self.buffer(0)?;
        let span = |start: usize, bytes: usize| start..start + bytes.div_ceil(8);
        let mut words: BTreeSet<usize> = span(0, size_of::<LaneHeader>()).collect();
        words.extend([SLEEPING_WORD, CLOSED_WORD]);
        words.extend(buffers - HEADER_BYTES / 8..buffers);
        for index in 0..layout.depth() {
            words.extend(span(layout.stamp_word(index), 8 + layout.inline_bytes()));
            words.extend(span(self.buffer(index)?, layout.message_bytes()));
        }
        Ok(words)
    }

    /// Those of `words` that have not been attacked with the lies that are told now.
    fn missed<'w>(&self, words: impl IntoIterator<Item = &'w usize>) -> Vec<usize> {
        words.into_iter().copied().filter(|word| !self.attacked[*word]).collect()
    }

    /// What was attacked, and whether that is every word.
    fn report(&self, missed_by_bad: Vec<usize>, missed_by_random: Vec<usize>) -> anyhow::Result<String> {
        for (missed, values) in [(missed_by_bad, "bad"), (missed_by_random, "random")] {
            if let Some(first) = missed.first() {
                let count = missed.len();
                return Ok(format!(
                    "NOT STOPPED: {count} words never had a {values} value, the first is {first}"
                ));
            }
        }
        let words = self.looked_at()?.len();
        Ok(format!(
            "stopped: {words} words, each bad and each random under the victim's eyes, and {} of padding, in {} lanes",
            self.attacked.len() - words,
            self.lanes
        ))
    }
}
