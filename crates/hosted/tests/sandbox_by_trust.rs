//! Who is trusted like a user is put into a sandbox without asking for one, and who is trusted more is not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use feuerbird_capability::Trust;
use feuerbird_hosted::{Child, Domain, Program, embedded, os::sandbox::Layer};

const CAT: &str = "/bin/cat";

/// A program that ends well only where it may read a file that is neither its own nor a library.
fn curious(trust: Trust) -> Program {
    reader("/etc/passwd", trust)
}

/// A program that ends well only where it may read this file.
fn reader(file: &str, trust: Trust) -> Program {
    let mut command = Command::new(CAT);
    command.arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    Program::new(command, trust)
}

fn start(domain: &Domain, program: Program) -> Child {
    domain.spawn(program, &[]).unwrap()
}

fn ends_well(mut child: Child) -> bool {
    child.wait_timeout(Duration::from_secs(20)).unwrap().expect("it ends").success()
}

#[test]
fn trust_decides_who_is_put_into_a_sandbox() {
    let domain = embedded().unwrap();
    for level in 0..=7 {
        // Or a program that cannot run at all there would be taken for one that is refused a file.
        let child = start(&domain, reader(CAT, Trust::new(level).unwrap()));
        assert!(child.sandbox().is_some() && ends_well(child), "0x{level:X}: it may read its own program");
        let child = start(&domain, curious(Trust::new(level).unwrap()));
        let report = child.sandbox().expect("user trust");
        assert_eq!(report.system_calls, Layer::Enforced);
        let said = report.to_string();
        assert!(said.contains("system calls on a list (seccomp): enforced"), "{said}");
        // Where the kernel lacks landlock the report says so, and the file can be read.
        assert_eq!(ends_well(child), report.files != Layer::Enforced, "0x{level:X}: {said}");
    }
    for trust in [Trust::LIBOS, Trust::BASE] {
        let child = start(&domain, curious(trust));
        assert!(child.sandbox().is_none());
        assert!(ends_well(child), "{trust:?}");
    }
    let child = start(&domain, curious(Trust::USER).without_sandbox());
    assert!(child.sandbox().is_none() && ends_well(child));
}
