//! Who a domain is.

use crate::child::Image;
use crate::{attempts, demo, gate, paths, policies, proof, shell, team, tests};

/// What a domain does, by the first byte of its argument; the others are the role's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// The first domain, of the demonstration.
    Demo = 0,
    /// The first domain, of the tests.
    Tests = 1,
    /// The first domain, to count instructions.
    Paths = 11,
    /// Sends as many messages as it can, and lets go when asked to.
    Producer = 2,
    /// Receives and checks them, and does not let go.
    Consumer = 3,
    /// Ends at once.
    Nothing = 4,
    /// Never ends by itself.
    Idle = 5,
    /// Tries what it must not; which attack is its own part.
    Attacker = 6,
    /// Makes random calls.
    Random = 7,
    /// Keeps patterns in its vector registers.
    Patterns = 8,
    /// Sends to the tests.
    Sender = 9,
    /// Has its exceptions go where they cannot be handled.
    BadHandler = 10,
    /// The first domain, of the producer-consumer demonstration.
    Proof = 13,
    /// A producer of that demonstration: sends numbered messages, each once.
    Numberer = 14,
    /// A consumer of it: receives them, and marks each.
    Prover = 15,
    /// The first domain, of the hostile demonstration.
    Attempts = 16,
    /// One side of a typed channel.
    Typed = 18,
    /// Makes every call that it must not.
    Forger = 17,
    /// Does nothing but give its slices away.
    Yielder = 12,
    /// Uses up the frames that it was handed.
    Hoarder = 40,
    /// Makes no call until an event comes.
    Listener = 41,
    /// Is told of the end of its slices.
    Sliced = 42,
    /// Looks which core it is on.
    OnCore = 43,
    /// Reads what it may not any more.
    Reader = 45,
    /// Reads until what it has mapped was taken back.
    Withdrawn = 47,
    /// Hands frames down that it was handed.
    Steward = 48,
    /// Makes calls that are refused.
    Refused = 49,
    /// Shares a core, honestly or not.
    Thief = 50,
    /// Binds and unbinds until nobody can listen to it.
    Flooder = 51,
    /// Fills and starts domains for others.
    Deputy = 52,
    /// Is told that what it uses was revoked.
    Noticed = 54,
    /// Makes the calls that it is told to.
    Puppet = 53,
    /// Calls without its gate page.
    Gateless = 46,
    /// Drives the clock.
    Driver = 44,
    /// Serves calls.
    Server = 20,
    /// Calls, and reports how it went.
    Caller = 21,
    /// Serves calls whose instructions are counted.
    Counted = 22,
    /// Waits for signals whose instructions are counted.
    Watcher = 23,
    /// Takes messages, and counts the instructions.
    Taker = 24,
    /// The first domain, of the demonstration of two LibOSes.
    Policies = 60,
    /// Loops over tables, in the LibOS that it is told.
    Scanner = 61,
    /// Tests the LibOS that it is.
    LibOs = 62,
}

impl Role {
    const ALL: [Self; 42] = [
        Self::Noticed,
        Self::Taker,
        Self::Demo,
        Self::Tests,
        Self::Producer,
        Self::Consumer,
        Self::Nothing,
        Self::Idle,
        Self::Attacker,
        Self::Random,
        Self::Patterns,
        Self::Sender,
        Self::BadHandler,
        Self::Paths,
        Self::Yielder,
        Self::Hoarder,
        Self::Listener,
        Self::Sliced,
        Self::OnCore,
        Self::Driver,
        Self::Server,
        Self::Caller,
        Self::Counted,
        Self::Watcher,
        Self::Gateless,
        Self::Reader,
        Self::Withdrawn,
        Self::Thief,
        Self::Flooder,
        Self::Refused,
        Self::Steward,
        Self::Deputy,
        Self::Puppet,
        Self::Proof,
        Self::Numberer,
        Self::Prover,
        Self::Attempts,
        Self::Forger,
        Self::Typed,
        Self::Policies,
        Self::Scanner,
        Self::LibOs,
    ];

    /// The argument that makes a domain that.
    pub(crate) fn argument(self, own: u64) -> u64 {
        own << 8 | self as u64
    }

    fn of(argument: u64) -> Self {
        let role = Self::ALL.into_iter().find(|role| u64::from(*role as u8) == argument & 0xff);
        role.expect("the argument names a role")
    }
}

/// Where each domain begins; the first one has the program file.
pub(crate) fn main(argument: u64, file: u64, bytes: u64) -> ! {
    let own = argument >> 8;
    match Role::of(argument) {
        Role::Demo => end(&image(file, bytes), own, demo::run),
        Role::Tests => tests::run(&image(file, bytes)),
        Role::Paths => paths::run(&image(file, bytes)),
        Role::Proof => end(&image(file, bytes), own, proof::run),
        Role::Attempts => end(&image(file, bytes), own, attempts::run),
        Role::Policies => end(&image(file, bytes), own, policies::run),
        Role::Scanner => policies::scan(own),
        Role::LibOs => tests::be_libos(own),
        Role::Forger => attempts::forge(),
        Role::Typed => tests::talk_typed(own),
        Role::Numberer => team::produce(),
        Role::Prover => team::consume(),
        Role::Yielder => loop {
            gate::give_way();
        },
        Role::Producer => demo::produce(own),
        Role::Consumer => demo::consume(own),
        Role::Nothing => (),
        Role::Idle => loop {
            core::hint::spin_loop();
        },
        Role::Attacker => tests::attack(own),
        Role::Random => tests::call_at_random(own),
        Role::Patterns => tests::keep_patterns(own),
        Role::Sender => tests::produce(own),
        Role::Listener => tests::listen_without_calls(),
        Role::Sliced => tests::be_sliced(own),
        Role::Driver => tests::drive(own),
        Role::Server => tests::serve(own),
        Role::Caller => tests::call_as(own),
        Role::Counted => paths::serve(),
        Role::Watcher => paths::watch(),
        Role::Taker => paths::take(),
        Role::Reader => tests::read_until_withdrawn(),
        Role::Withdrawn => tests::read_until_taken(own),
        Role::Steward => tests::hand_on(),
        Role::Deputy => tests::be_deputy(),
        Role::Puppet => tests::obey(),
        Role::Noticed => tests::be_noticed(own),
        Role::Refused => tests::be_refused(),
        Role::Thief => tests::share_core(own),
        Role::Flooder => tests::flood(),
        Role::Gateless => tests::call_without_gate(own),
        Role::OnCore => tests::be_on_core(own),
        Role::Hoarder => tests::hoard(own),
        Role::BadHandler => tests::handle_badly(own),
    }
    gate::exit()
}

/// Runs a demonstration, and then the shell, if there is somebody who types; the machine ends well if the demonstration went well.
fn end(image: &Image, is_interactive: u64, demonstration: fn(&Image) -> bool) -> ! {
    let went_well = demonstration(image);
    if is_interactive != 0 {
        shell::run(image);
    }
    gate::power_off(u64::from(!went_well))
}

fn image(file: u64, bytes: u64) -> Image {
    Image::new(file, bytes).expect("the kernel gives the first domain the file")
}
