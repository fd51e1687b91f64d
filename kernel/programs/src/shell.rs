//! A LibOS that does what is typed on the serial line: the first domain, when there is somebody who types.

use feuerbird_abi::monitor::{COUNTERS, Counter};
use feuerbird_abi::{Access, Call, MachineCall, Status, free_map};
use feuerbird_capability::{ObjectKind, Rights, Trust};
use feuerbird_serialization::Layer;

use crate::child::Image;
use crate::demo::GRACE_NS;
use crate::gate::{self, Result, print, println};
use crate::memory::{self, Mapping};
use crate::pair::Pair;
use crate::{attempts, demo, policies, proof};

/// The longest line, in bytes.
const LINE: usize = 80;

/// How often the serial line is looked at: often enough for fingers.
const LOOK_NS: u64 = 4_000_000;

/// Pairs that talk at one time.
const PAIRS: usize = 4;

const HELP: &str = "\
help            these words
topology        cores, memory and NUMA nodes
caps            the capabilities of this domain
domains         the domains that talk, with their layers
stats           what the kernel counts
run NAME        talk [raw|lite|full], revocation, producer-consumer, attempts or policies
revoke [N]      takes from pair N, or the last one, what its domains talk by
quit            ends the machine
";

/// What a line asks for.
#[derive(Clone, Copy, Debug)]
enum Command<'a> {
    Nothing,
    Help,
    Topology,
    Capabilities,
    Domains,
    Statistics,
    Talk(Trust),
    Show(fn(&Image) -> bool),
    Revoke(Option<usize>),
    Quit,
    Unknown(&'a str),
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else { return Self::Nothing };
        let (first, second) = (words.next(), words.next());
        match (word, first, second) {
            ("help" | "?", None, None) => Self::Help,
            ("topology", None, None) => Self::Topology,
            ("caps", None, None) => Self::Capabilities,
            ("domains", None, None) => Self::Domains,
            ("stats", None, None) => Self::Statistics,
            ("run", Some("talk"), None | Some("full")) => Self::Talk(Trust::USER),
            ("run", Some("talk"), Some("lite")) => Self::Talk(Trust::LIBOS),
            ("run", Some("talk"), Some("raw")) => Self::Talk(Trust::BASE),
            ("run", Some("revocation"), None) => Self::Show(demo::run),
            ("run", Some("producer-consumer"), None) => Self::Show(proof::run),
            ("run", Some("attempts"), None) => Self::Show(attempts::run),
            ("run", Some("policies"), None) => Self::Show(policies::run),
            ("revoke", None, None) => Self::Revoke(None),
            ("revoke", Some(number), None) => {
                number.parse().map_or(Self::Unknown(line), |number| Self::Revoke(Some(number)))
            }
            ("quit" | "exit", None, None) => Self::Quit,
            _ => Self::Unknown(line),
        }
    }
}

/// Does what is typed, until `quit`.
pub(crate) fn run(image: &Image) {
    println!("\nThis is the first domain's shell; 'help' lists what it does.");
    let mut shell = Shell { image, pairs: [const { None }; PAIRS] };
    let mut line = [0; LINE];
    loop {
        let length = read_line(&mut line);
        // What is typed is ASCII: nothing else is taken.
        let text = core::str::from_utf8(&line[..length]).unwrap_or_default();
        let done = match Command::parse(text) {
            Command::Quit => return,
            command => shell.carry_out(command),
        };
        if let Err(status) = done {
            println!("refused: {status}");
        }
    }
}

/// Reads a line, which it shows as it is typed.
fn read_line(line: &mut [u8; LINE]) -> usize {
    print(format_args!("> "));
    let mut length = 0;
    loop {
        match read_byte() {
            b'\r' | b'\n' => {
                println!("");
                return length;
            }
            8 | 127 if length > 0 => {
                length -= 1;
                // Also where the line cannot go back, it says what is left.
                print(format_args!("\n> {}", core::str::from_utf8(&line[..length]).unwrap_or_default()));
            }
            // The end of a transmission.
            4 if length == 0 => {
                line[..4].copy_from_slice(b"quit");
                println!("quit");
                return 4;
            }
            byte @ b' '..=b'~' if length < LINE => {
                line[length] = byte;
                length += 1;
                print(format_args!("{}", char::from(byte)));
            }
            _ => {}
        }
    }
}

fn read_byte() -> u8 {
    loop {
        match gate::machine(MachineCall::ReadSerial, &[]).map(|answer| answer.values) {
            Ok([1, byte, ..]) => return byte as u8,
            // It sleeps for as long as it is told; what is said to it meanwhile can be asked for.
            _ => _ = gate::sleep(LOOK_NS),
        }
    }
}

struct Shell<'a> {
    image: &'a Image,
    pairs: [Option<Pair>; PAIRS],
}

impl Shell<'_> {
    fn carry_out(&mut self, command: Command<'_>) -> Result<()> {
        match command {
            Command::Nothing | Command::Quit => Ok(()),
            Command::Help => {
                print(format_args!("{HELP}"));
                Ok(())
            }
            Command::Topology => topology(),
            Command::Capabilities => self.capabilities(),
            Command::Domains => {
                self.domains();
                Ok(())
            }
            Command::Statistics => statistics(),
            Command::Talk(trust) => self.talk(trust),
            Command::Show(demonstration) => {
                if !demonstration(self.image) {
                    println!("it did NOT go well");
                }
                Ok(())
            }
            Command::Revoke(number) => self.revoke(number),
            Command::Unknown(line) => {
                println!("'{line}' is no command; 'help' lists them");
                Ok(())
            }
        }
    }

    fn talk(&mut self, trust: Trust) -> Result<()> {
        let Some(number) = self.pairs.iter().position(Option::is_none) else {
            println!("{PAIRS} pairs talk already; 'revoke' ends one");
            return Ok(());
        };
        let pair = Pair::new(self.image, trust)?;
        gate::sleep(50_000_000)?;
        pair.grant()?;
        self.pairs[number] = Some(pair);
        println!("pair {number} talks; 'revoke {number}' takes it back");
        Ok(())
    }

    fn revoke(&mut self, number: Option<usize>) -> Result<()> {
        let number = number.or_else(|| self.pairs.iter().rposition(Option::is_some));
        match number.and_then(|number| self.pairs.get_mut(number)).and_then(Option::take) {
            Some(pair) => pair.revoke(GRACE_NS),
            None => {
                println!("no such pair talks; 'run talk' makes one");
                Ok(())
            }
        }
    }

    fn domains(&self) {
        println!("first domain: this shell");
        for (number, pair) in self.pairs.iter().enumerate() {
            let Some(pair) = pair else { continue };
            let state = |is_alive| if is_alive { "alive" } else { "ended" };
            println!(
                "pair {number}: {}, trust {:#x}, producer {}, consumer {}",
                Layer::for_trust(pair.trust),
                pair.trust.level(),
                state(pair.producer.is_alive()),
                state(pair.consumer.is_alive())
            );
        }
    }

    /// What this domain has of its own, what the kernel gave it of the machine, and what it made.
    fn capabilities(&self) -> Result<()> {
        println!("slot             object            trust badge  range                 rights");
        let hello = gate::call(Call::Hello, &[])?;
        memory::release(hello.handle)?;
        let cores = gate::machine(MachineCall::Clock, &[])?.values[2];
        let machine = (0..cores)
            .map(|core| (ObjectKind::TimeSlice, core))
            .chain([(ObjectKind::IoPort, 0), (ObjectKind::Interrupt, 0)]);
        let [own, _, _, audit, ..] = hello.values;
        let found = machine.filter_map(|(kind, id)| find(kind, id));
        let pairs = self.pairs.iter().flatten();
        let made = pairs.flat_map(|pair| {
            let [endpoint, shared] = pair.slots();
            [endpoint, shared, pair.producer.slot, pair.consumer.slot]
        });
        [own, audit].into_iter().chain(found).chain(made).try_for_each(show_slot)
    }
}

/// The slot of this domain's widest capability for something of the machine's.
fn find(kind: ObjectKind, id: u64) -> Option<u64> {
    gate::machine(MachineCall::Find, &[kind as u64, id, 0]).ok().map(|answer| answer.values[0])
}

fn show_slot(slot: u64) -> Result<()> {
    let [kind, rights, trust, badge, start, length] = match gate::call(Call::Inspect, &[slot]) {
        Ok(answer) => answer.values,
        Err(status) => {
            println!("{slot:<#16x} {status}");
            return Ok(());
        }
    };
    let kind = ObjectKind::from_number(kind).ok_or(Status::BadArgument)?;
    let end = start.wrapping_add(length);
    // Its names are those of the flags.
    let rights = Rights::from_bits_truncate(rights as u32);
    print(format_args!("{slot:<#16x} {:<17} {trust:<#5x} {badge:<6} {start:#x}..{end:<#14x} ", Name(kind)));
    for (number, (name, _)) in rights.iter_names().enumerate() {
        print(format_args!("{}{name}", if number == 0 { "" } else { "|" }));
    }
    println!("");
    Ok(())
}

/// A kind, as wide as it is asked to be.
struct Name(ObjectKind);

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self.0 {
            ObjectKind::Domain => "domain",
            ObjectKind::Endpoint => "endpoint",
            ObjectKind::Notification => "notification",
            ObjectKind::Region => "region",
            ObjectKind::Frame => "frames",
            ObjectKind::TimeSlice => "time slices",
            ObjectKind::IoPort => "ports",
            ObjectKind::Interrupt => "interrupt lines",
            ObjectKind::Audit => "audit log",
            ObjectKind::Processor => "processor",
        })
    }
}

/// Memory that the kernel publishes, while something looks at it.
fn looking<T>(answer: gate::Answer, look: impl FnOnce(&Mapping) -> T) -> Result<T> {
    let mapping = Mapping::new(answer.handle, answer.values[0], Access::Read);
    memory::release(answer.handle)?;
    Ok(look(&mapping?))
}

fn topology() -> Result<()> {
    let [_, core, cores, ..] = gate::machine(MachineCall::Clock, &[])?.values;
    println!("{cores} cores; this domain runs on core {core}");
    looking(gate::machine(MachineCall::FreeFrames, &[])?, |map| {
        for node in 0..free_map::NODES {
            let frames: u64 = (free_map::RUNS..free_map::WORDS_BEFORE_BITMAP)
                .step_by(2)
                .map(|run| (map.load(run), map.load(run + 1)))
                .take_while(|(frames, _)| *frames > 0)
                .filter_map(|(frames, of)| (of == node as u64).then_some(frames))
                .sum();
            let free = map.load(free_map::FREE + node);
            if frames > 0 && (free > 0 || node == 0) {
                println!("node {node}: {} MiB of addresses, {} MiB free", frames >> 8, free >> 8);
            }
        }
    })
}

fn statistics() -> Result<()> {
    let [frames, objects, domains, lost, switches, now] = gate::machine(MachineCall::Statistics, &[])?.values;
    println!("{} s, {domains} domains, {objects} memory objects, {frames} frames free", now / 1_000_000_000);
    let hello = gate::call(Call::Hello, &[])?;
    memory::release(hello.handle)?;
    looking(gate::machine(MachineCall::Monitor, &[hello.values[3]])?, |counted| {
        let of = |counter: Counter| counted.load(COUNTERS + counter as usize);
        println!(
            "{switches} switches of domains, {} slices, {} faults, {} interrupts of devices, {} shootdowns",
            of(Counter::Slices),
            of(Counter::Faults),
            of(Counter::Interrupts),
            of(Counter::Shootdowns)
        );
        println!("{lost} upcalls lost, {} domains ended for overstaying", of(Counter::Overstays));
    })
}
