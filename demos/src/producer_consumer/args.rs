//! What the demo is asked to do.

use clap::{Parser, builder::ArgPredicate, value_parser};
use feuerbird::{capability::Trust, channel::Terms};
use feuerbird_demos_worker::{Run, terms};

/// The most memory that bitmaps take together, in bytes: what limits how many messages a run can account for.
const BITMAP_BYTES: u64 = 256 << 20;

/// Messages in a second that one producer certainly does not exceed.
const FASTEST: f64 = 40e6;

/// Processes that do not trust each other exchange numbered messages, at each level of trust; every message is accounted
/// for, and killing or cheating changes nothing for the others.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "producer-consumer",
    version,
    after_help = "\
Results go to standard output, the rest to standard error.

Exit codes:
    0  everything was proven
    1  something was lost, altered or not stopped, or the demo failed
    2  wrong usage
  130  ended by Ctrl-C"
)]
pub(crate) struct Args {
    /// How many producers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=32))]
    pub(crate) producers: u32,
    /// How many consumers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=32))]
    pub(crate) consumers: u32,
    /// How many messages in each layer, from all producers together
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = value_parser!(u64).range(1..=1 << 31))]
    pub(crate) messages: Option<u64>,
    /// How long to send in each layer, in seconds
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Payload of each message, in bytes; with --kill 1000 unless said otherwise, so that messages travel in the pool's buffers
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 64,
        default_value_if("kill", ArgPredicate::IsPresent, "1000"),
        value_parser = value_parser!(u32).range(0..=8 << 20)
    )]
    pub(crate) size: u32,
    /// Run only the layer that this trust in the producers asks for: 0x0 to 0x7 Full, 0x8 to 0xD Lite, 0xE and 0xF Raw
    /// [default: 0xE, then 0x8, then 0x0]
    #[arg(long, value_name = "LEVEL", value_parser = trust)]
    pub(crate) trust: Option<Trust>,
    /// Threads of one domain instead of processes
    #[arg(long, conflicts_with_all = ["trust", "kill", "cheat"])]
    pub(crate) threads: bool,
    /// Kill one producer and one consumer (SIGKILL) at random moments of each run
    #[arg(long, conflicts_with = "cheat")]
    pub(crate) kill: bool,
    /// Where the random moments come from [default: the clock]
    #[arg(long, value_name = "N", requires = "kill")]
    pub(crate) seed: Option<u64>,
    /// Start a hostile program instead, and show what stops each of its attempts
    #[arg(long)]
    pub(crate) cheat: bool,
    /// Print one line of JSON, and nothing else, to standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep each producer and each consumer on one processor
    #[arg(long)]
    pub(crate) pin: bool,
}

impl Args {
    /// Checks what `clap` cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.kill && (self.producers < 2 || self.consumers < 2) {
            return Err("--kill needs at least 2 producers and 2 consumers: somebody has to survive".into());
        }
        if self.messages.is_some_and(|messages| messages.div_ceil(self.producers.into()) > self.most()) {
            let most = self.most() * u64::from(self.producers);
            return Err(format!(
                "a run can account for {most} messages with so many producers and consumers"
            ));
        }
        Ok(())
    }

    /// The trusts to run with.
    pub(crate) fn trusts(&self) -> Vec<Trust> {
        match self.trust {
            Some(trust) => vec![trust],
            None if self.threads => vec![Trust::BASE],
            None => vec![Trust::BASE, Trust::LIBOS, Trust::USER],
        }
    }

    /// The most messages that one producer sends.
    pub(crate) fn share(&self) -> u64 {
        match self.messages {
            Some(messages) => messages.div_ceil(self.producers.into()),
            None => ((self.seconds * FASTEST) as u64).clamp(64, self.most()),
        }
    }

    /// What the workers are told.
    pub(crate) fn run(&self) -> Run {
        Run {
            producers: self.producers,
            consumers: self.consumers,
            share: self.share(),
            payload_bytes: self.size,
            watches_peers: self.kill,
            pins: self.pin,
        }
    }

    /// The terms of the channel.
    pub(crate) fn terms(&self) -> anyhow::Result<Terms> {
        Ok(terms(self.size)?)
    }

    /// The most messages of one producer that the bitmaps can hold, one bitmap per producer in each consumer.
    fn most(&self) -> u64 {
        BITMAP_BYTES * 8 / (u64::from(self.producers) * u64::from(self.consumers))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.05 to 3600 is needed".into()),
    }
}

/// A level, as a number from 0 to 15 or from 0x0 to 0xF.
fn trust(text: &str) -> Result<Trust, String> {
    let level = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    level.and_then(Trust::new).ok_or_else(|| "a trust is a number from 0 to 15, or from 0x0 to 0xF".into())
}
