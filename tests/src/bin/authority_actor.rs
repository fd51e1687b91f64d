//! The children of the scenarios about authority. The first argument is the role; each says on standard output what came
//! of it.
#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    os::fd::AsFd,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use feuerbird::{
    Domain,
    channel::{RecvError, SendError},
    hosted::{connect, os::socket::Socket},
    libos::{Gate, GateError},
    prelude::{Message, Plain, SECOND, Terms, Trust},
};
use feuerbird_abi::{Call, PAYLOAD_BYTES, Reply, Request, Status};
use feuerbird_tests::introduction::IntroductionMessage;
use zerocopy::{FromBytes, IntoBytes};

/// Calls that need a capability or a binding.
const GUARDED: [Call; 15] = [
    Call::Inspect,
    Call::Derive,
    Call::Copy,
    Call::Move,
    Call::Grant,
    Call::Delete,
    Call::Revoke,
    Call::MapRegion,
    Call::Bind,
    Call::Share,
    Call::GrantAlong,
    Call::Unbind,
    Call::Acknowledge,
    Call::ReadAudit,
    Call::DestroyDomain,
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["guess", calls, ref targets @ ..] => {
            let targets: Result<Vec<u64>, _> = targets.iter().map(|target| target.parse()).collect();
            guess(&started()?, calls.parse()?, &targets?)
        }
        ["slow", milliseconds] => slow(&started()?, Duration::from_millis(milliseconds.parse()?)),
        ["listen"] => listen(&started()?),
        ["guest"] => guest(&started()?),
        ["deaf"] => deaf(&started()?),
        ["idle"] => idle(&started()?),
        ["sensor", socket] => sensor(&connect(socket, "sensor")?),
        ["enter", socket] => enter(socket),
        ["full", socket] => full(&connect(socket, "sensor")?),
        ["hello-from-input"] => hello_from_input(),
        ["logger", socket] => logger(&connect(socket, "logger")?),
        _ => bail!("no such role: {arguments:?}"),
    }
}

/// Uses what comes beside each message: sends the length of its note to the first of those introduced, and whether the last one
/// can be used to whoever is that. Goes on until it is revoked.
fn guest(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(10 * SECOND)?;
    let mut receiver = domain.receiver::<IntroductionMessage>(&endpoint)?;
    let mut friends = Vec::new();
    loop {
        let met = receiver.recv_with(20 * SECOND, |message, handles| {
            let first = message.first().and_then(|first| handles.get(first.0 as usize).cloned());
            (first, message.note().text().len() as u64, handles.len())
        });
        let (first, length, count) = match met {
            Ok(met) => met,
            Err(error) => {
                println!("{error:?}");
                return Ok(());
            }
        };
        let first = first.with_context(|| format!("{count} came"))?;
        let mut friend = domain.sender::<Plain<u64>>(&first)?;
        friend.send(&length)?;
        friends.push(friend);
    }
}

/// Takes the messages and not what comes beside them.
fn deaf(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(10 * SECOND)?;
    let mut receiver = domain.receiver::<IntroductionMessage>(&endpoint)?;
    for _ in 0..20 {
        receiver.recv_timeout(10 * SECOND, |_| ())?;
    }
    println!("taken");
    let end = receiver.recv_timeout(20 * SECOND, |_| ());
    ensure!(end == Err(RecvError::Revoked), "{end:?}");
    Ok(())
}

/// Could receive, and does not.
fn idle(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(10 * SECOND)?;
    let _receiver = domain.receiver::<IntroductionMessage>(&endpoint)?;
    println!("bound");
    sleep(Duration::from_secs(60));
    bail!("nobody has killed it")
}

fn started() -> anyhow::Result<Domain> {
    feuerbird::inherited()?.context("started by a test")
}

/// A line that the test sees at once.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Makes calls with guessed arguments: what others really hold, what looks like it, and noise.
fn guess(domain: &Domain, calls: u64, targets: &[u64]) -> anyhow::Result<()> {
    let own = domain.own().handle().slot().to_bits();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for sequence in 0..calls {
        let call = GUARDED[random.below(GUARDED.len() as u64) as usize];
        let arguments: [u64; 6] = std::array::from_fn(|_| random.argument(targets));
        let mut request = Request::new(call, (1 << 40) + sequence, &arguments);
        if random.below(16) == 0 {
            request.number = 19 + random.below(1 << 20) as u32;
        }
        // What it may do with itself is its own affair.
        if request.arguments[0] == own {
            request.arguments[0] = 0;
        }
        let contract = Plain::<u64>::IDENTITY;
        let payload = if call == Call::Bind { contract.as_bytes() } else { &[] };
        match domain.gate().call(request, payload, None, &mut [0; PAYLOAD_BYTES]) {
            Err(GateError::Refused(status, _)) => {
                ensure!(is_plain_refusal(status), "{call:?} {arguments:x?}: {status}");
                refused += 1;
            }
            other => bail!("{call:?} {arguments:x?}: {:?}", other.map(|answer| answer.reply)),
        }
    }
    say(&format!("refused {refused}"))?;
    Ok(())
}

/// Refusals that tell nothing about what others hold.
fn is_plain_refusal(status: Status) -> bool {
    matches!(status, Status::NoCapability | Status::NoBinding | Status::BadArgument | Status::NoSuchCall)
}

/// Xorshift: the same guesses in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn argument(&mut self, targets: &[u64]) -> u64 {
        match self.below(4) {
            0 if !targets.is_empty() => targets[self.below(targets.len() as u64) as usize],
            0 | 1 => self.below(3) << 32 | self.below(64),
            2 => self.below(8),
            _ => self.next(),
        }
    }
}

/// Sends without pause, and looks after what it holds for longer than it is given.
fn slow(domain: &Domain, pause: Duration) -> anyhow::Result<()> {
    domain.on_revocation(move |_| sleep(pause));
    let (endpoint, granted) = domain.granted(5 * SECOND)?;
    let mut sender = domain.sender::<Plain<u64>>(&endpoint)?;
    let error = (0..).find_map(|value| sender.send(&value).err()).context("sent for ever")?;
    ensure!(error == SendError::Revoked, "not revoked, but: {error}");
    let end = Instant::now() + Duration::from_secs(5);
    while domain.repossessed().is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
    let taken = domain.repossessed();
    let is_it = taken.iter().all(|taken| taken.slot == granted.slot);
    say(&format!("revoked, {} repossessed, the granted slot: {is_it}", taken.len()))?;
    Ok(())
}

/// Receives until that is revoked, and then tries again.
fn listen(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint)?;
    let mut last = 0;
    let error = loop {
        match receiver.recv(|value| value) {
            Ok(value) => last = value,
            Err(error) => break error,
        }
    };
    say(&format!("{error:?} after {last}"))?;
    for _ in 0..4 {
        let again = receiver.recv_timeout(SECOND / 20, |value| value);
        ensure!(again == Err(RecvError::Revoked), "{again:?}");
    }
    say("nothing more")?;
    Ok(())
}

/// Connects, and says as what.
fn enter(socket: &str) -> anyhow::Result<()> {
    match connect(socket, "sensor") {
        Ok(domain) => say(&format!("trust {}", domain.trust().level()))?,
        Err(error) => say(&error.to_string())?,
    }
    Ok(())
}

/// Asks for descriptors when it has no room for any, and again when it has.
fn full(domain: &Domain) -> anyhow::Result<()> {
    let files: Vec<_> = (0..1 << 20).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
    let refused = domain.create_domain(Trust::USER).err();
    let without = domain.endpoint(Terms::sized(64)?).err();
    drop(files);
    let later = domain.create_domain(Trust::USER).err();
    say(&format!("{refused:?}, {without:?}, {later:?}"))?;
    Ok(())
}

/// Says hello through a connection that another process made: its standard input.
fn hello_from_input() -> anyhow::Result<()> {
    let socket = Socket::from_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let request = Request::new(Call::Hello, 0, &[]);
    socket.send(zerocopy::transmute_ref!(&request), b"sensor", &[])?;
    let message = socket.receive_timeout(Duration::from_secs(5))?;
    let reply = Reply::read_from_bytes(message.record()).ok().context("no reply")?;
    say(&format!("{:?}", Status::from_number(reply.status)))?;
    Ok(())
}

/// Sends a thousand, and then more until that fails.
fn sensor(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let mut sender = domain.sender::<Plain<u64>>(&endpoint)?;
    for value in 0..1000 {
        sender.send(&value)?;
    }
    sender.finish(10 * SECOND)?;
    say("sent 1000")?;
    let error = (1000..).find_map(|value| {
        sleep(Duration::from_millis(1));
        sender.send(&value).err()
    });
    ended(domain, &format!("{error:?}"))
}

/// Receives a thousand, and then more until that fails.
fn logger(domain: &Domain) -> anyhow::Result<()> {
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint)?;
    let mut expected = 0;
    let error = loop {
        match receiver.recv(|value| value) {
            Ok(value) => ensure!(value == expected, "{value} came, not {expected}"),
            Err(error) => break error,
        }
        expected += 1;
        if expected == 1000 {
            say("received 1000")?;
        }
    };
    ended(domain, &format!("{error:?}"))
}

/// Says how it ended and what the kernel says to that; then stays long enough for nobody else to end by it.
fn ended(domain: &Domain, how: &str) -> anyhow::Result<()> {
    let control = domain.endpoint(Terms::sized(64)?).err();
    say(&format!("{how}, {control:?}"))?;
    sleep(Duration::from_millis(300));
    Ok(())
}
