//! `qemu`: builds the kernel and its programs, and boots them in an emulator.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::bench;
use crate::context::{Context, Failure};
use crate::image;
use crate::jobs;
use crate::metadata::Workspace;
use crate::run;
use crate::tools;

/// The packages of the image, by the names of their programs.
pub(crate) const KERNEL: &str = "feuerbird-kernel";
pub(crate) const PROGRAMS: &str = "feuerbird-kernel-programs";

/// The programs as they are loaded: their symbols are for debuggers, and would take the machine's memory.
const LOADED: &str = "feuerbird-kernel-programs.loaded";

/// How they are built; see `Cargo.toml`.
const PROFILE: &str = "kernel";

/// What QEMU exits with where the kernel writes 0x10, 0x11, 0x12 to its exit device; see `kernel/src/console.rs`.
const SUCCESS: i32 = 0x10 << 1 | 1;
const FAILURE: i32 = 0x11 << 1 | 1;
const PANIC: i32 = 0x12 << 1 | 1;

/// What the kernel reads on its command line: run the tests, count instructions, or overflow your stack. See `kernel/src/boot.rs`.
const TEST: &str = "test";
const PATHS: &str = "paths";
const OVERFLOW: &str = "overflow-stack";
const SHELL: &str = "shell";
const LATE_CORES: &str = "late-cores";

/// What a domain says that panics. Its end alone looks like a good one.
const DOMAIN_PANIC: &str = "DOMAIN PANIC";

/// What the kernel says of an exception for which it has no stack any more.
const DOUBLE_FAULT: &str = "exception 8 in the kernel";

/// What `job` types, and what must be answered to it.
const TYPED: &str =
    "help\ntopology\nfly\nrun talk raw\nrun talk\ndomains\ncaps\nrevoke 0\nrevoke\nrevoke\nstats\n";
const ANSWERED: [&str; 9] = [
    "ends the machine",
    "node 0: ",
    "'fly' is no command",
    "pair 1 talks",
    "pair 0: Raw, trust 0xe, producer alive, consumer alive",
    "endpoint",
    "told of the revocation (visible), lets go",
    "no such pair talks",
    "1 domains",
];

/// Where what is typed comes from.
type Input = Box<dyn Read + Send>;

/// How a machine ended.
struct Ended {
    /// `None` where the time was up first.
    status: Option<ExitStatus>,
    /// What it said; nothing where that went elsewhere.
    said: String,
}

/// After how many seconds a machine is ended where nobody types and nothing else is said.
const LIMIT: u64 = 120;

/// How often a running emulator is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Boots the exokernel in QEMU: ring-3 domains that talk through capabilities, a revocation, a hostile domain; then a shell.
///
/// Builds what it needs; installs QEMU where it is missing, after saying so. The shell reads the serial line, which is this
/// terminal; `help` lists what it does. Where the input is no terminal there is none, and the machine ends by itself. Ctrl-C ends
/// the emulator.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 the machine ended well; 1 a test or a domain failed, the kernel panicked, or the time \
was up; 2 wrong usage; 3 QEMU is missing and could not be had.\n\nExamples:\n  cargo xtask qemu\n  cargo xtask qemu --smp 4 \
--numa 2\n  cargo xtask qemu --demo producer-consumer\n  cargo xtask qemu --demo policies\n  echo caps | cargo xtask qemu --shell\n  cargo xtask qemu --test"
)]
pub(crate) struct Args {
    /// How many processors the machine has.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    smp: u32,
    /// How many NUMA nodes; processors and memory are spread over them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    numa: u32,
    /// How much memory, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(96..=16384))]
    memory: u32,
    /// Which processor, as `qemu-system-x86_64 -cpu help` names them.
    #[arg(long, default_value = "max")]
    cpu: String,
    /// Which demonstration the domains give.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Demo::Tour, conflicts_with = "test")]
    demo: Demo,
    /// Goes on with the shell also where the input is no terminal, and quits at its end.
    #[arg(long, conflicts_with = "test")]
    shell: bool,
    /// Runs the tests of kernel and LibOS, one line each, and fails with the first that fails.
    #[arg(long)]
    test: bool,
    /// The emulator counts instructions, and the programs count with it.
    #[arg(skip)]
    paths: bool,
    /// Waits for a debugger at port 1234 (`target remote :1234`) and has no time limit.
    #[arg(long)]
    gdb: bool,
    /// Uses KVM instead of emulation; only where `/dev/kvm` works.
    #[arg(long)]
    kvm: bool,
    /// Ends the machine after so many seconds: 120 where nothing else is said, and never while somebody may type.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// The demonstrations.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Demo {
    /// A pair of domains in each layer, a revocation in its three phases, and what stops a hostile domain.
    Tour,
    /// A known number of messages in each layer, and the proof that each came once and unaltered.
    ProducerConsumer,
    /// A hostile domain, and for each of its attempts what stopped it.
    Attempts,
    /// Two LibOSes that page and schedule differently: the same work, and the page faults and instructions of each.
    Policies,
}

impl Demo {
    /// What the kernel is told; see `kernel/src/boot.rs`.
    fn word(self) -> &'static str {
        match self {
            Self::Tour => "",
            Self::ProducerConsumer => "producer-consumer",
            Self::Attempts => "attempts",
            Self::Policies => "policies",
        }
    }
}

/// Builds, boots, and judges how it ended.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.numa > args.smp {
        return Err(Failure::Usage("a node needs a processor: --numa is at most --smp".to_owned()));
    }
    tools::ensure(context, tools::QEMU)?;
    let folder = build(context)?;
    if args.test {
        return judge(&boot(context, args, TEST, &folder)?, args.limit());
    }
    let line = [args.demo.word(), if args.has_shell() { SHELL } else { "" }].join(" ");
    judge(&boot(context, args, line.trim(), &folder)?, args.limit())
}

impl Args {
    /// Whether the first domain goes on with the shell.
    fn has_shell(&self) -> bool {
        !self.test && (self.shell || std::io::stdin().is_terminal())
    }

    /// Whether what is typed goes to the emulator as it is.
    fn is_typed(&self) -> bool {
        self.has_shell() && std::io::stdin().is_terminal()
    }

    /// Whether the emulator counts instructions: for figures that are the same in every run.
    fn counts(&self) -> bool {
        self.paths || matches!(self.demo, Demo::Policies) && !self.kvm
    }

    /// After how long the machine is ended.
    fn limit(&self) -> Option<u64> {
        self.timeout.or_else(|| (!self.gdb && !self.is_typed()).then_some(LIMIT))
    }
}

/// What `cargo xtask test` runs: lints of what is built for the bare machine only, the tests on two machines that differ in
/// all that the kernel asks the processor for, the demonstrations that prove something, and a kernel that breaks on purpose.
pub(crate) fn job(context: &Context) -> Result<jobs::Outcome, Failure> {
    tools::ensure(context, tools::QEMU)?;
    let folder = build(context)?;
    let mut clippy = context.cargo();
    clippy.args(["clippy", "--package", KERNEL, "--package", PROGRAMS, "--target", jobs::BARE_TARGET]);
    run::run(clippy.args(["--profile", PROFILE, "--", "--deny", "warnings"]))?;
    for (smp, numa, cpu) in [(4, 2, "max"), (1, 1, "qemu64")] {
        judge(&boot(context, &job_args(smp, numa, cpu), TEST, &folder)?, Some(JOB_LIMIT))?;
    }
    for (demo, smp, numa) in
        [(Demo::Tour, 4, 2), (Demo::ProducerConsumer, 2, 1), (Demo::Attempts, 2, 1), (Demo::Policies, 2, 1)]
    {
        let args = Args { demo, test: false, ..job_args(smp, numa, "max") };
        judge(&boot(context, &args, demo.word(), &folder)?, Some(JOB_LIMIT))?;
    }
    check_shell(context, &folder)?;
    bench::kernel::check(context)?;
    check_late_cores(context, &folder)?;
    check_overflow(context, &folder).map(|()| jobs::Outcome::Passed)
}

/// The tests on every machine that the choices make; `job` runs two of them.
pub(crate) fn machines(context: &Context) -> Result<jobs::Outcome, Failure> {
    tools::ensure(context, tools::QEMU)?;
    let folder = build(context)?;
    for (smp, numa) in [(1, 1), (4, 1), (4, 2)] {
        for cpu in ["max", "qemu64"] {
            judge(&boot(context, &job_args(smp, numa, cpu), TEST, &folder)?, Some(JOB_LIMIT))?;
        }
    }
    Ok(jobs::Outcome::Passed)
}

/// The other cores come after nobody waits for them any more: the first one goes on alone, and well.
fn check_late_cores(context: &Context, folder: &Path) -> Result<(), Failure> {
    let line = [Demo::Attempts.word(), LATE_CORES].join(" ");
    let ended = boot(context, &job_args(2, 1, "max"), &line, folder)?;
    must_say(&ended.said, "boot: 1 cores")?;
    judge(&ended, Some(JOB_LIMIT))
}

/// A kernel whose stack overflows ends by a double fault, and not by what it finds below its stack.
fn check_overflow(context: &Context, folder: &Path) -> Result<(), Failure> {
    let ended = boot(context, &job_args(1, 1, "max"), OVERFLOW, folder)?;
    match ended.status.and_then(|status| status.code()) {
        Some(PANIC) => must_say(&ended.said, DOUBLE_FAULT),
        _ => Err(Failure::Failed("a kernel whose stack overflows must panic, and did not".to_owned())),
    }
}

fn must_say(said: &str, words: &str) -> Result<(), Failure> {
    if said.contains(words) {
        return Ok(());
    }
    Err(Failure::Failed(format!("the machine did not say '{words}', but:\n{said}")))
}

/// What the programs say about the paths through the kernel: one line `path NAME: INSTRUCTIONS` each. On one processor, so that a
/// switch between domains is one.
pub(crate) fn count_paths(context: &Context) -> Result<String, Failure> {
    tools::ensure(context, tools::QEMU)?;
    let folder = build(context)?;
    let args = Args { test: false, paths: true, ..job_args(1, 1, "max") };
    said(&folder, "paths.log", |output| {
        judge(&boot_to(context, &args, PATHS, &folder, None, output)?, args.limit())
    })
}

/// How long one machine of the job may take: many times what it takes, for a machine that does much else.
const JOB_LIMIT: u64 = 240;

fn job_args(smp: u32, numa: u32, cpu: &str) -> Args {
    Args {
        smp,
        numa,
        memory: 256,
        cpu: cpu.to_owned(),
        demo: Demo::Tour,
        shell: false,
        test: true,
        paths: false,
        gdb: false,
        kvm: false,
        timeout: Some(JOB_LIMIT),
    }
}

/// Builds kernel and programs; returns the folder that has them.
pub(crate) fn build(context: &Context) -> Result<std::path::PathBuf, Failure> {
    jobs::ensure_bare_target(context).map_err(Failure::ToolMissing)?;
    let target = ["--target", jobs::BARE_TARGET, "--profile", PROFILE];
    run::run(context.cargo().args(["build", "--package", KERNEL, "--package", PROGRAMS]).args(target))?;
    let folder = Workspace::load(context)?.target_directory.join(jobs::BARE_TARGET).join(PROFILE);
    let bytes = std::fs::read(folder.join(PROGRAMS))
        .map_err(|error| Failure::io("cannot read the programs", &error))?;
    let loaded = image::without_symbols(&bytes)
        .ok_or_else(|| Failure::Failed("the programs are no ELF file".to_owned()))?;
    std::fs::write(folder.join(LOADED), loaded)
        .map_err(|error| Failure::io("cannot keep the programs", &error))?;
    Ok(folder)
}

/// The machine of `count_paths` for who steps through it: the emulator and its arguments. Its stub is at the standard streams, and waits.
pub(crate) fn stepped_machine(folder: &Path) -> Vec<String> {
    let args = Args { test: false, paths: true, ..job_args(1, 1, "max") };
    let mut words = vec![tools::QEMU.program.to_owned()];
    let said = format!("file:{}", folder.join("stepped.log").display());
    words.extend(machine(&args).into_iter().map(|word| if word == "stdio" { said.clone() } else { word }));
    words.extend(["-gdb", "stdio", "-S"].map(str::to_owned));
    for (name, value) in [("-kernel", folder.join(KERNEL)), ("-initrd", folder.join(LOADED))] {
        words.extend([name.to_owned(), value.display().to_string()]);
    }
    words.extend(["-append", PATHS].map(str::to_owned));
    words
}

/// Types on the serial line, and looks what the shell says.
fn check_shell(context: &Context, folder: &Path) -> Result<(), Failure> {
    let args = Args { test: false, ..job_args(2, 1, "max") };
    let line = [Demo::Attempts.word(), SHELL].join(" ");
    let input: Input = Box::new(TYPED.as_bytes());
    let said = said(folder, "shell.log", |output| {
        judge(&boot_to(context, &args, &line, folder, Some(input), output)?, args.limit())
    })?;
    match ANSWERED.into_iter().find(|answer| !said.contains(answer)) {
        None => Ok(()),
        Some(missing) => Err(Failure::Failed(format!("the shell did not say '{missing}', but:\n{said}"))),
    }
}

/// What a machine says that is given a file for it.
fn said(
    folder: &Path,
    name: &str,
    run: impl FnOnce(Stdio) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let place = folder.join(name);
    let file =
        std::fs::File::create(&place).map_err(|error| Failure::io("cannot keep what is said", &error))?;
    let ended = run(file.into());
    let said =
        std::fs::read_to_string(&place).map_err(|error| Failure::io("cannot read what was said", &error))?;
    ended.and_then(|()| no_domain_panicked(&said)).map(|()| said)
}

/// Runs a machine with this command line to its end.
fn boot(context: &Context, args: &Args, line: &str, folder: &Path) -> Result<Ended, Failure> {
    let input = (args.has_shell() && !args.is_typed()).then(|| Box::new(std::io::stdin()) as Input);
    let output = if args.is_typed() { Stdio::inherit() } else { Stdio::piped() };
    boot_to(context, args, line, folder, input, output)
}

fn boot_to(
    context: &Context,
    args: &Args,
    line: &str,
    folder: &Path,
    input: Option<Input>,
    output: Stdio,
) -> Result<Ended, Failure> {
    let mut command = context.command(tools::QEMU.program);
    command.args(machine(args)).stdout(output);
    if !args.is_typed() {
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    }
    command.arg("-kernel").arg(folder.join(KERNEL)).arg("-initrd").arg(folder.join(LOADED));
    if !line.is_empty() {
        command.args(["-append", line]);
    }
    eprintln!("$ {}", run::line(&command));
    if args.gdb {
        eprintln!("waiting for a debugger: gdb -ex 'target remote :1234' {}", folder.join(KERNEL).display());
    }
    end_of(&mut command, input, args.limit().map(Duration::from_secs))
}

/// The machine, as QEMU's arguments.
fn machine(args: &Args) -> Vec<String> {
    let fixed = "-machine q35 -display none -monitor none -serial stdio -vga none -nic none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4";
    let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    let (accelerator, cpu) = if args.kvm { ("kvm", "host") } else { ("tcg", args.cpu.as_str()) };
    let sizes = [args.smp, args.memory].map(|number| number.to_string());
    let [smp, memory] = &sizes;
    words.extend(["-accel", accelerator, "-cpu", cpu, "-smp", smp, "-m", memory].map(str::to_owned));
    if args.numa > 1 {
        words.extend(nodes(args));
    }
    if args.counts() {
        // One instruction is one nanosecond, and the counter that the domains read counts them.
        words.extend(["-icount", "shift=0,sleep=off"].map(str::to_owned));
    }
    if args.gdb {
        words.extend(["-s", "-S"].map(str::to_owned));
    }
    words
}

/// Nodes with equal parts of memory, the first one with what is left over; processors in runs.
fn nodes(args: &Args) -> Vec<String> {
    let mut words = Vec::new();
    let part = args.memory / args.numa;
    for node in 0..args.numa {
        let size = if node == 0 { args.memory - part * (args.numa - 1) } else { part };
        let (first, end) = (args.smp * node / args.numa, args.smp * (node + 1) / args.numa);
        words.extend(["-object".to_owned(), format!("memory-backend-ram,id=m{node},size={size}M")]);
        words.extend([
            "-numa".to_owned(),
            format!("node,nodeid={node},cpus={first}-{},memdev=m{node}", end - 1),
        ]);
    }
    for (from, to) in (0..args.numa).flat_map(|from| (0..args.numa).map(move |to| (from, to))) {
        if from != to {
            words.extend(["-numa".to_owned(), format!("dist,src={from},dst={to},val=21")]);
        }
    }
    words
}

/// Runs the emulator to its end. What comes through a pipe is shown as it comes.
fn end_of(command: &mut Command, input: Option<Input>, limit: Option<Duration>) -> Result<Ended, Failure> {
    let mut emulator = command.spawn().map_err(|error| Failure::io("cannot start QEMU", &error))?;
    if let Some((input, line)) = input.zip(emulator.stdin.take()) {
        // It ends with this program, if not before.
        std::thread::spawn(|| type_all(input, line));
    }
    let listener = emulator.stdout.take().map(|output| std::thread::spawn(|| show_all(output)));
    let status = wait_for(&mut emulator, limit)?;
    let said = listener.and_then(|listener| listener.join().ok()).unwrap_or_default();
    Ok(Ended { status, said })
}

fn wait_for(emulator: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>, Failure> {
    let start = Instant::now();
    loop {
        let ended = emulator.try_wait().map_err(|error| Failure::io("cannot wait for QEMU", &error))?;
        if ended.is_some() {
            return Ok(ended);
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            end(emulator);
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Shows what comes until its end, and keeps it. Nobody may look any more; it is kept all the same.
fn show_all(mut from: impl Read) -> String {
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while let Some(length) = from.read(&mut part).ok().filter(|length| *length > 0) {
        said.extend_from_slice(&part[..length]);
        let mut shown = std::io::stdout().lock();
        let _ = shown.write_all(&part[..length]).and_then(|()| shown.flush());
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Types what comes, and then that this was all. Nobody reads it where the machine has ended.
fn type_all(mut from: impl Read, mut to: impl Write) {
    let _ = std::io::copy(&mut from, &mut to).and_then(|_| to.write_all(b"\nquit\n"));
}

fn end(emulator: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ = emulator.kill();
    let _ = emulator.wait();
}

/// Fails where a domain says that it panicked, whatever came of it.
fn no_domain_panicked(said: &str) -> Result<(), Failure> {
    match said.lines().find(|line| line.contains(DOMAIN_PANIC)) {
        None => Ok(()),
        Some(line) => Err(Failure::Failed(format!("a domain panicked: {}", line.trim()))),
    }
}

fn judge(ended: &Ended, limit: Option<u64>) -> Result<(), Failure> {
    let Some(status) = ended.status else {
        let seconds = limit.unwrap_or_default();
        return Err(Failure::Failed(format!(
            "the machine did not end within {seconds} s; see --timeout and --gdb"
        )));
    };
    match status.code() {
        Some(SUCCESS) => no_domain_panicked(&ended.said),
        Some(FAILURE) => {
            Err(Failure::Failed("a domain or a test failed; the lines above say which".to_owned()))
        }
        Some(PANIC) => Err(Failure::Failed("the kernel panicked; the line above says where".to_owned())),
        _ => Err(Failure::Failed(format!("QEMU ended without a word of the kernel: {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Line::parse_from(["qemu"].into_iter().chain(words.iter().copied())).args
    }

    #[test]
    fn emulation_is_the_default_and_kvm_is_asked_for() {
        assert!(machine(&args(&[])).join(" ").contains("-accel tcg -cpu max -smp 2 -m 256"));
        assert!(machine(&args(&["--kvm"])).join(" ").contains("-accel kvm -cpu host"));
        assert!(!machine(&args(&[])).join(" ").contains("-numa"));
    }

    #[test]
    fn instructions_are_counted_where_figures_are_compared() {
        let counts = |words: &[&str]| machine(&args(words)).join(" ").contains("-icount");
        assert!(counts(&["--demo", "policies"]));
        assert!(
            !counts(&["--demo", "policies", "--kvm"])
                && !counts(&["--demo", "attempts"])
                && !counts(&["--test"])
        );
    }

    #[test]
    fn nodes_share_memory_and_processors_without_a_rest() {
        let line = machine(&args(&["--smp", "4", "--numa", "3", "--memory", "256"])).join(" ");
        for part in ["id=m0,size=86M", "id=m1,size=85M", "id=m2,size=85M", "cpus=0-0", "cpus=1-1", "cpus=2-3"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(line.matches("dist,").count(), 6);
    }

    #[test]
    fn more_nodes_than_processors_is_wrong_usage() {
        let result = run(&Context::new(true), &args(&["--smp", "1", "--numa", "2"]));
        assert!(matches!(result, Err(Failure::Usage(_))));
    }

    #[test]
    fn each_end_of_the_machine_has_its_words() {
        use std::os::unix::process::ExitStatusExt;
        let ended = |code: i32, said: &str| {
            let status = Some(ExitStatus::from_raw(code << 8));
            judge(&Ended { status, said: said.to_owned() }, None).map_err(|it| it.to_string())
        };
        assert_eq!(ended(SUCCESS, "all is well"), Ok(()));
        let panicked = ended(SUCCESS, "one\nDOMAIN PANIC at heap.rs:7: no memory\r\nthree").unwrap_err();
        assert!(panicked.ends_with("a domain panicked: DOMAIN PANIC at heap.rs:7: no memory"), "{panicked}");
        for (code, words) in
            [(FAILURE, "test failed"), (PANIC, "panicked"), (0, "without a word"), (1, "without a word")]
        {
            assert!(ended(code, "").unwrap_err().contains(words), "{code}");
        }
        let late = Ended { status: None, said: String::new() };
        assert!(judge(&late, Some(7)).unwrap_err().to_string().contains("7 s"));
    }

    #[test]
    fn an_emulator_that_does_not_end_is_ended() {
        let start = Instant::now();
        let end = end_of(Command::new("sleep").arg("60"), None, Some(Duration::from_millis(50))).unwrap();
        assert!(end.status.is_none() && start.elapsed() < Duration::from_secs(20));
    }
}
