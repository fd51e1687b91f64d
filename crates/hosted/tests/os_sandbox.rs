//! A sandboxed program can use what it was given, and can do nothing to the rest of the system.
//!
//! The program is this test binary itself: `program` is a test that does nothing unless it was started with a gate. It
//! tries one thing after the other and sends home what each came to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, OpenOptions},
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Command, Stdio},
    ptr, thread,
    time::Duration,
};

use feuerbird_hosted::os::{
    affinity, futex, membarrier,
    memory::{Options, ReaderMemory, WriterMemory},
    sandbox::{Layer, Sandbox, SandboxError},
    socket::Socket,
    spawn::{SpawnError, spawn, take_gate},
};
use feuerbird_zero_copy::{Region, WriteRegion};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

const ROLE: &str = "FEUERBIRD_TEST_ROLE";
/// Set where this machine, or a container on it, lays no memory on nodes.
const NO_NODES: &str = "FEUERBIRD_TEST_NO_NODES";
const LONG: Duration = Duration::from_secs(20);
const BYTES: usize = 8192;

type Probe = (&'static str, fn() -> io::Result<()>);

fn call(number: i64, arguments: [usize; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: tests only, and only calls that are to be refused before the kernel looks at any memory, or that take none.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn parent() -> usize {
    std::os::unix::process::parent_id() as usize
}

/// What a program must not be able to do; chosen so that they harm nothing where they succeed.
const REFUSED: &[Probe] = &[
    ("create a file", || File::create(env::temp_dir().join("feuerbird-escape")).map(drop)),
    ("open the program for writing", || OpenOptions::new().write(true).open(env::current_exe()?).map(drop)),
    ("open /dev/null for writing", || OpenOptions::new().write(true).open("/dev/null").map(drop)),
    ("append", || OpenOptions::new().append(true).open("/dev/null").map(drop)),
    ("read /etc/passwd", || fs::read("/etc/passwd").map(drop)),
    ("list /", || fs::read_dir("/").map(drop)),
    ("read /proc", || fs::read(format!("/proc/{}/environ", parent())).map(drop)),
    ("make a folder", || fs::create_dir(env::temp_dir().join("feuerbird-escape"))),
    ("remove a file", || fs::remove_file("/nonexistent")),
    ("rename", || fs::rename("/nonexistent", "/nowhere")),
    ("link", || fs::hard_link("/nonexistent", "/nowhere")),
    ("truncate", || call(libc::SYS_truncate, [c"/dev/null".as_ptr() as usize, 0, 0, 0, 0])),
    ("chmod", || call(libc::SYS_fchmodat, [0, c"/nonexistent".as_ptr() as usize, 0, 0, 0])),
    ("make a TCP socket", || {
        call(libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0, 0, 0])
    }),
    ("make a UNIX socket", || {
        call(libc::SYS_socket, [libc::AF_UNIX as usize, libc::SOCK_STREAM as usize, 0, 0, 0])
    }),
    ("make a packet socket", || {
        call(libc::SYS_socket, [libc::AF_PACKET as usize, libc::SOCK_RAW as usize, 0, 0, 0])
    }),
    ("connect over TCP", || TcpStream::connect("127.0.0.1:1").map(drop)),
    ("listen on TCP", || TcpListener::bind("127.0.0.1:0").map(drop)),
    ("bind UDP", || UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("connect to a path", || UnixStream::connect("/nonexistent").map(drop)),
    ("signal the parent", || call(libc::SYS_kill, [parent(), 0, 0, 0, 0])),
    ("signal everybody", || call(libc::SYS_kill, [usize::MAX, 0, 0, 0, 0])),
    ("signal the group", || call(libc::SYS_kill, [0, 0, 0, 0, 0])),
    ("signal a thread of the parent", || call(libc::SYS_tgkill, [parent(), parent(), 0, 0, 0])),
    ("signal a thread", || call(libc::SYS_tkill, [parent(), 0, 0, 0, 0])),
    ("queue a signal", || call(libc::SYS_rt_sigqueueinfo, [parent(), 0, 0, 0, 0])),
    ("open a pidfd", || call(libc::SYS_pidfd_open, [parent(), 0, 0, 0, 0])),
    ("trace the parent", || call(libc::SYS_ptrace, [libc::PTRACE_PEEKDATA as usize, parent(), 0, 0, 0])),
    ("write the parent's memory", || call(libc::SYS_process_vm_writev, [parent(), 0, 0, 0, 0])),
    ("read the parent's memory", || call(libc::SYS_process_vm_readv, [parent(), 0, 0, 0, 0])),
    ("limit the parent", || {
        let limit = [0_u64; 2];
        call(libc::SYS_prlimit64, [parent(), libc::RLIMIT_CORE as usize, limit.as_ptr() as usize, 0, 0])
    }),
    ("pin the parent", || call(libc::SYS_sched_setaffinity, [parent(), 0, 0, 0, 0])),
    ("outlive the parent", || call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0, 0])),
    ("have descriptors signal", || call(libc::SYS_fcntl, [0, libc::F_SETOWN as usize, parent(), 0, 0])),
    ("type into the terminal", || call(libc::SYS_ioctl, [0, libc::TIOCSTI as usize, 0, 0, 0])),
    ("start a program", || Command::new("/bin/true").status().map(drop)),
    ("fork", || call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0])),
    ("make a namespace", || call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0])),
    ("execute another program", || {
        let path = fs::canonicalize("/bin/true").unwrap_or_else(|_| "/bin/true".into());
        let path = std::ffi::CString::new(path.to_str().unwrap_or_default())?;
        let arguments = [path.as_ptr(), ptr::null()];
        call(libc::SYS_execve, [path.as_ptr() as usize, arguments.as_ptr() as usize, 0, 0, 0])
    }),
    ("open an io_uring", || call(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0])),
    ("make a pair of sockets", || Socket::pair().map(drop)),
    ("have more descriptors", || {
        let limits = getrlimit(Resource::Nofile);
        Ok(setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits })?)
    }),
    ("mount", || call(libc::SYS_mount, [0, 0, 0, 0, 0])),
    ("use bpf", || call(libc::SYS_bpf, [0, 0, 0, 0, 0])),
];

/// What the kernel says to memory on the node of the calling thread.
fn lies_on_its_node() -> io::Result<Result<(), Errno>> {
    let options = Options { node: Some(affinity::here()?.1), ..Options::default() };
    let granted = WriterMemory::create_with("inside", BYTES, options)?.0.granted().node;
    granted.ok_or(io::Error::other("nothing was asked for"))
}

/// What it needs.
const ALLOWED: &[Probe] = &[
    ("read the program", || File::open(env::current_exe()?).map(drop)),
    ("make memory", || {
        let (writer, fd) = WriterMemory::create("inside", BYTES)?;
        writer.copy_in(0, b"12345678");
        let reader = ReaderMemory::map(fd.as_fd(), BYTES).map_err(io::Error::other)?;
        assert_eq!(reader.words().load(0), writer.words().load(0));
        Ok(())
    }),
    ("run threads and wait for a word", || {
        let (writer, fd) = WriterMemory::create("inside", BYTES)?;
        let reader = ReaderMemory::map(fd.as_fd(), BYTES).map_err(io::Error::other)?;
        thread::scope(|scope| {
            let one = scope.spawn(|| futex::wait(reader.words().address(0).cast(), 0, Some(LONG)));
            let many = scope.spawn(|| futex::wait_any(&[(reader.words().address(1).cast(), 0)], Some(LONG)));
            for index in [0, 1] {
                while futex::wake_all(writer.words().address(index).cast())? == 0 {
                    thread::yield_now();
                }
            }
            assert_eq!(one.join().unwrap()?, futex::Waited::Woken(0));
            assert_eq!(many.join().unwrap()?, futex::Waited::Woken(0));
            Ok(())
        })
    }),
    ("use a heavy barrier", || {
        membarrier::register()?;
        membarrier::heavy_barrier()
    }),
    ("pin a thread", || {
        thread::spawn(|| affinity::pin_current_thread(affinity::allowed_cpus()?[0])).join().unwrap()
    }),
    ("lay memory on its own node, where that can be done outside", || match lies_on_its_node()? {
        Err(error) if env::var(ROLE).is_ok() && env::var(NO_NODES).is_err() => Err(error.into()),
        _ => Ok(()),
    }),
    ("signal itself", || call(libc::SYS_kill, [std::process::id() as usize, 0, 0, 0, 0])),
    ("have descriptors, but not many", || {
        let limits = getrlimit(Resource::Nofile);
        assert!(limits.current.unwrap() >= 256, "{limits:?}");
        let is_bounded = limits.maximum.unwrap() <= 65_536 && limits.current == limits.maximum;
        assert!(is_bounded || env::var(ROLE).is_err(), "{limits:?}");
        Ok(())
    }),
    ("panic and catch it", || {
        assert!(std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1))).is_err());
        Ok(())
    }),
    ("sleep and tell the time", || {
        thread::sleep(Duration::from_millis(1));
        let _ = std::time::Instant::now().elapsed();
        Ok(())
    }),
    ("name a thread", || thread::Builder::new().name("named".into()).spawn(|| ()).map(drop)),
];

#[test]
fn program() {
    let Ok(role) = env::var(ROLE) else { return };
    let gate = take_gate().unwrap();
    if role == "abort" {
        std::process::abort();
    }
    for (name, probe) in REFUSED.iter().chain(ALLOWED) {
        let result = probe().map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0);
        let mut record = [0; 64];
        record[..4].copy_from_slice(&result.to_ne_bytes());
        gate.send(&record, name.as_bytes(), &[]).unwrap();
    }
    // Memory that came through the gate, and some that goes out.
    let mut message = gate.receive().unwrap();
    let theirs = ReaderMemory::map(message.fds[0].take().unwrap().as_fd(), BYTES).unwrap();
    let (ours, fd) = WriterMemory::create("answer", BYTES).unwrap();
    let mut bytes = [0; 4096];
    theirs.copy_out(0, &mut bytes);
    ours.copy_in(0, &bytes);
    gate.send(&[0xaa; 64], b"done", &[fd.as_fd()]).unwrap();
}

fn command(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "program", "--nocapture"]).env(ROLE, role);
    if lies_on_its_node().unwrap().is_err() {
        command.env(NO_NODES, "");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
fn sandboxed_program_reaches_what_it_was_given_and_nothing_else() {
    let (gate, theirs) = Socket::pair().unwrap();
    let mut child = spawn(command("probe"), theirs.into(), Some(&Sandbox::default())).unwrap();
    let report = child.report().unwrap();
    println!("{report}");
    let mut results = BTreeMap::new();
    for _ in REFUSED.iter().chain(ALLOWED) {
        let message = gate.receive_timeout(LONG).unwrap();
        let name = String::from_utf8(message.payload().to_vec()).unwrap();
        results.insert(name, i32::from_ne_bytes(message.record()[..4].try_into().unwrap()));
    }
    // Without landlock the program can read and execute whatever its user can.
    let by_landlock = ["read /etc/passwd", "list /", "read /proc", "execute another program"];
    for (name, _) in REFUSED {
        let expected: &[i32] = match by_landlock.contains(name) {
            true if report.files != Layer::Enforced => continue,
            true => &[libc::EACCES],
            false => &[libc::EPERM],
        };
        assert!(expected.contains(&results[*name]), "{name}: {}", results[*name]);
    }
    for (name, _) in ALLOWED {
        assert_eq!(results[*name], 0, "{name}");
    }
    let (ours, fd) = WriterMemory::create("question", BYTES).unwrap();
    ours.copy_in(0, &[0x5a; 4096]);
    gate.send(&[0; 64], &[], &[fd.as_fd()]).unwrap();
    let mut answer = gate.receive_timeout(LONG).unwrap();
    let theirs = ReaderMemory::map(answer.fds[0].take().unwrap().as_fd(), BYTES).unwrap();
    let mut bytes = [0; 4096];
    theirs.copy_out(0, &mut bytes);
    assert_eq!(bytes, [0x5a; 4096]);
    assert!(child.wait_timeout(LONG).unwrap().unwrap().success());
}

#[test]
fn sandboxed_program_can_abort() {
    use std::os::unix::process::ExitStatusExt;
    let (_gate, theirs) = Socket::pair().unwrap();
    let mut child = spawn(command("abort"), theirs.into(), Some(&Sandbox::default())).unwrap();
    assert_eq!(child.wait_timeout(LONG).unwrap().unwrap().signal(), Some(libc::SIGABRT));
}

#[test]
fn same_probes_succeed_outside() {
    // Otherwise the test above would prove nothing. Some only: the others would do harm, or need rights.
    let harmless =
        ["open /dev/null for writing", "append", "read /etc/passwd", "list /", "listen on TCP", "bind UDP"]
            .into_iter()
            .chain(["signal the parent", "open a pidfd", "start a program"]);
    for name in harmless {
        let (_, probe) = REFUSED.iter().find(|(probe, _)| *probe == name).unwrap();
        probe().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, probe) in ALLOWED {
        probe().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn report_says_what_is_missing() {
    let prepared = Sandbox::default().prepare(&env::current_exe().unwrap()).unwrap();
    let report = prepared.report();
    assert_eq!(report.system_calls, Layer::Enforced);
    assert_eq!(report.to_string().lines().count(), 4);
    let strict = Sandbox::default().strict().prepare(&env::current_exe().unwrap());
    match report.gap() {
        None => assert!(strict.is_ok()),
        Some(gap) => {
            assert_eq!(strict.unwrap_err(), SandboxError::Gap(gap));
            assert!(report.to_string().contains("NOT enforced"));
        }
    }
}

#[test]
fn unknown_program_is_not_started() {
    let (_ours, theirs) = Socket::pair().unwrap();
    let result = spawn(Command::new("true"), theirs.into(), Some(&Sandbox::default()));
    assert_eq!(result.unwrap_err(), SpawnError::Sandbox(SandboxError::NoProgram));
}
