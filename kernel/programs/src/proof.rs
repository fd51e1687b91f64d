//! The producer-consumer demonstration: in each layer, every message of a known number arrives once, and as it was sent.
//!
//! What a message carries, and how it is checked, is the hosted demonstration's own source: [`payload`].

use feuerbird_abi::Call;
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::{Home, RecvError, Terms, WhenFull};
use feuerbird_libos::Error;
use feuerbird_serialization::Layer;
use feuerbird_serialization::sample::{Sample, SampleMessage, SampleReader};

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::ring::{self, Ring};
use crate::role::Role;

#[path = "../../../demos/worker/src/payload.rs"]
mod payload;

/// How many messages are sent in each layer, 64 to a word of the bitmap.
const MESSAGES: u64 = 64 * WORDS as u64;
const WORDS: usize = 512;

/// The payload of a message, in bytes.
const PAYLOAD: usize = 64;

/// Who sends.
const PRODUCER: u32 = 1;

/// How long one layer may take.
const PATIENCE_NS: u64 = 20_000_000_000;

/// How long the consumer looks for messages that nobody should have sent.
const AFTERMATH_NS: u64 = 20_000_000;

/// The first domain: one pair of domains in each layer. Whether every proof holds.
pub(crate) fn run(image: &Image) -> bool {
    println!("{:<18}  messages      lost     twice   altered", "layer");
    for trust in [Trust::BASE, Trust::LIBOS, Trust::USER] {
        match pair(image, trust) {
            Ok(true) => {}
            Ok(false) => {
                println!("proof: does NOT hold, or not in time, with trust {:#x}", trust.level());
                return false;
            }
            Err(status) => {
                println!("proof: a call was refused: {status}");
                return false;
            }
        }
    }
    println!("proof: none lost, none twice, none altered");
    true
}

/// Whether the consumer of this pair found nothing wrong: it ends only then.
pub(crate) fn pair(image: &Image, trust: Trust) -> Result<bool> {
    let terms = Terms::new(256, 64).expect("small terms are good ones");
    let endpoint = gate::call(Call::CreateEndpoint, &[terms.to_bits()])?.values[0];
    let producer = Child::new(image, trust)?;
    let consumer = Child::new(image, trust)?;
    producer.start(image, Role::Numberer.argument(0))?;
    consumer.start(image, Role::Prover.argument(0))?;
    consumer.grant(endpoint, Rights::RECEIVE, trust)?;
    producer.grant(endpoint, Rights::SEND, trust)?;
    let deadline = gate::now_ns() + PATIENCE_NS;
    while consumer.is_alive() && gate::now_ns() < deadline {
        gate::sleep(1_000_000)?;
    }
    let holds = !consumer.is_alive();
    producer.destroy()?;
    consumer.destroy()?;
    gate::call(Call::Delete, &[endpoint])?;
    Ok(holds)
}

/// Sends every message once, and stays until its consumer has left: what is in a lane ends with its producer.
pub(crate) fn number() {
    if let Err(error) = try_number() {
        println!("producer: {error}");
    }
}

fn try_number() -> core::result::Result<(), Error> {
    let domain = ring::enter()?;
    let mut sender = domain.sender::<SampleMessage>(&domain.granted(PATIENCE_NS)?.0)?;
    sender.set_when_full(WhenFull::Block { timeout_ns: PATIENCE_NS });
    for sequence in 0..MESSAGES {
        let mut bytes = [0; PAYLOAD];
        let digest = payload::fill(PRODUCER, sequence, &mut bytes);
        let message = Sample { sequence, producer: PRODUCER, sent_at: 0, digest, payload: &bytes };
        if let Err(error) = sender.send(&message) {
            println!("producer: {sequence} messages sent, then: {error}");
            return Ok(());
        }
    }
    while sender.receivers() > 0 {
        Home::wait(&Ring, &[], PATIENCE_NS);
    }
    Ok(())
}

/// What became of the messages.
struct Tally {
    seen: [u64; WORDS],
    twice: u64,
    altered: u64,
}

impl Tally {
    fn add(&mut self, sample: &SampleReader<'_>) {
        let sequence = sample.sequence();
        let is_intact = sample.producer() == PRODUCER
            && sample.payload().len() == PAYLOAD
            && payload::is_intact(PRODUCER, sequence, sample.payload(), sample.digest());
        if !is_intact || sequence >= MESSAGES {
            self.altered += 1;
            return;
        }
        let (word, bit) = (&mut self.seen[sequence as usize / 64], 1 << (sequence % 64));
        self.twice += u64::from(*word & bit != 0);
        *word |= bit;
    }

    fn handled(&self) -> u64 {
        self.seen.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Receives until all have come and none comes any more; prints what became of them, and ends only if all is well.
pub(crate) fn prove() {
    match try_prove() {
        Ok(true) => {}
        Ok(false) => stay(),
        Err(error) => {
            println!("consumer: {error}");
            stay()
        }
    }
}

fn try_prove() -> core::result::Result<bool, Error> {
    let domain = ring::enter()?;
    let mut receiver = domain.receiver::<SampleMessage>(&domain.granted(PATIENCE_NS)?.0)?;
    let mut tally = Tally { seen: [0; WORDS], twice: 0, altered: 0 };
    let (mut received, mut layer) = (0, None);
    let (mut patience, mut refused) = (PATIENCE_NS / 2, 0);
    loop {
        match receiver.recv_timeout(patience, |sample: SampleReader<'_>| tally.add(&sample)) {
            Ok(()) => received += 1,
            Err(RecvError::DeadlinePassed | RecvError::Disconnected) => break,
            Err(RecvError::Malformed(_) | RecvError::PeerMisbehaved(_)) => refused += 1,
            Err(error) => {
                println!("consumer: {error}");
                break;
            }
        }
        layer = layer.or_else(|| receiver.layer());
        if received == MESSAGES {
            patience = AFTERMATH_NS;
        }
    }
    let (lost, altered) = (MESSAGES - tally.handled(), tally.altered + refused);
    let (twice, layer) = (tally.twice, layer.unwrap_or(Layer::Full));
    println!("{layer:<18} {received:>9} {lost:>9} {twice:>9} {altered:>9}");
    Ok(lost + twice + altered == 0)
}

/// Who does not end has found something wrong.
fn stay() -> ! {
    loop {
        let _ = gate::wait(u64::MAX);
    }
}
