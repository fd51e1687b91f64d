//! Boots the machine, and steps through one run of each path that is asked for.
//!
//! The program in ring 3 says which path it is about to measure by calling a function that does nothing (`path_begins`, in
//! `kernel/programs/src/gate.rs`), and between which readings of the counter the path lies: the machine stops there. Everything
//! else runs at full speed, and what is outside of the readings is in no figure.

use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::image::{Images, Kind};
use crate::stub::{Register, Stop, Stub};

/// The path that is nothing but the readings around it.
pub(crate) const NOTHING: &str = "nothing";

/// What the program calls.
const MARK: &str = "path_begins";

/// The longest name of a path, and how much further than its figure a run is followed.
const LONGEST_NAME: u64 = 100;
const FURTHER: usize = 10;

/// A path, and the addresses of the instructions that one run of it executed, the first reading of the counter included.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) path: String,
    pub(crate) addresses: Vec<u64>,
}

/// What is looked for.
struct Wanted {
    path: String,
    count: usize,
    found: Option<Vec<u64>>,
    /// How long the runs were that are not it.
    others: Vec<usize>,
}

/// A run that is being followed.
struct Run {
    wanted: usize,
    /// How many readings come before it, and which one ends it.
    first: u64,
    last: u64,
    readings: u64,
    steps: Vec<u64>,
}

/// Traces one run of each path that takes as many instructions as was counted: of some, most runs take more, because they wait.
pub(crate) fn trace(
    images: &Images,
    paths: &[(String, usize)],
    machine: &[String],
) -> Result<(usize, Vec<Traced>), String> {
    let mut emulator = start(machine)?;
    let followed = match emulator.stdin.take().zip(emulator.stdout.take()) {
        Some((to, from)) => follow(to, from, images, paths),
        None => Err("the emulator has no streams".to_owned()),
    };
    // It has done what it was for, or will not.
    let _ = emulator.kill();
    let _ = emulator.wait();
    followed
}

fn start(machine: &[String]) -> Result<Child, String> {
    let (program, arguments) = machine.split_first().ok_or("no emulator was named")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot start {program}: {error}"))
}

fn follow(
    to: ChildStdin,
    from: ChildStdout,
    images: &Images,
    paths: &[(String, usize)],
) -> Result<(usize, Vec<Traced>), String> {
    let failed = |error: std::io::Error| format!("the emulator's stub: {error}");
    let mark = images.programs.symbol(MARK).ok_or(format!("the program has no '{MARK}'"))?;
    let stub = &mut Stub::new(to, from).map_err(failed)?;
    stub.stop_at(mark).map_err(failed)?;
    let mut follower = Follower::new(paths);
    let mut stop = stub.go_on().map_err(failed)?;
    while stop == Stop::Stopped && !follower.is_done() {
        let address = stub.register(Register::Rip).map_err(failed)?;
        if address == mark {
            let (path, first, last) = marked(stub).map_err(failed)?;
            follower.begin(&path, first, last);
        }
        follower.executes(address, images.kind(address));
        // From where it has stopped it would not get away but by a step.
        let is_running = follower.runs.is_empty() && address != mark;
        let result = if is_running { stub.go_on() } else { stub.step() };
        stop = result.map_err(failed)?;
    }
    follower.found()
}

/// The arguments of the function at which the machine has stopped.
fn marked(stub: &mut Stub) -> std::io::Result<(String, u64, u64)> {
    let (name, length) = (stub.register(Register::Rdi)?, stub.register(Register::Rsi)?);
    let name = stub.memory(name, length.min(LONGEST_NAME))?;
    let (first, last) = (stub.register(Register::Rdx)?, stub.register(Register::Rcx)?);
    Ok((String::from_utf8_lossy(&name).into_owned(), first, last))
}

/// What is still looked for, and what is being followed.
struct Follower {
    wanted: Vec<Wanted>,
    runs: Vec<Run>,
    /// How many instructions the readings alone take: known once another path begins.
    nothing: Option<usize>,
    is_past_nothing: bool,
    before: Kind,
}

impl Follower {
    fn new(paths: &[(String, usize)]) -> Self {
        let wanted = |(path, count): &(String, usize)| Wanted {
            path: path.clone(),
            count: *count,
            found: None,
            others: Vec::new(),
        };
        let wanted = paths.iter().map(wanted).collect();
        Self { wanted, runs: Vec::new(), nothing: None, is_past_nothing: false, before: Kind::Kernel }
    }

    fn is_done(&self) -> bool {
        self.wanted.iter().all(|wanted| wanted.found.is_some())
    }

    /// A path is measured again, or another one.
    fn begin(&mut self, path: &str, first: u64, last: u64) {
        let is_nothing = path == NOTHING;
        self.is_past_nothing |= !is_nothing;
        let place = self.wanted.iter().position(|it| it.path == path && it.found.is_none());
        let Some(wanted) = place.or((is_nothing && !self.is_past_nothing).then_some(usize::MAX)) else {
            return;
        };
        self.runs.retain(|run| run.wanted != wanted);
        self.runs.push(Run { wanted, first, last, readings: 0, steps: Vec::new() });
    }

    /// The machine is about to execute what is at an address.
    fn executes(&mut self, address: u64, kind: Kind) {
        // Interrupts are held back: it was a page fault, and the instruction before is executed later.
        let was_fault = kind == Kind::Kernel && matches!(self.before, Kind::Reading | Kind::Other);
        self.before = kind;
        for run in &mut self.runs {
            if was_fault {
                run.steps.pop();
            }
            run.readings += u64::from(kind == Kind::Reading);
            if run.readings > run.first {
                run.steps.push(address);
            }
        }
        let ended: Vec<Run> = self.runs.extract_if(.., |run| run.readings > run.last).collect();
        ended.into_iter().for_each(|run| self.end(run));
        let (nothing, wanted) = (self.nothing.unwrap_or_default(), &self.wanted);
        self.runs.retain(|run| {
            wanted.get(run.wanted).is_none_or(|it| run.steps.len() <= it.count + nothing + FURTHER)
        });
    }

    fn end(&mut self, mut run: Run) {
        // The reading that ends it.
        run.steps.pop();
        let length = run.steps.len();
        let nothing = self.nothing.unwrap_or(length);
        match self.wanted.get_mut(run.wanted) {
            None => self.nothing = Some(length.min(nothing)),
            Some(wanted) if length == wanted.count + nothing => wanted.found = Some(run.steps),
            Some(wanted) => wanted.others.push(length),
        }
    }

    fn found(self) -> Result<(usize, Vec<Traced>), String> {
        let nothing = self.nothing.ok_or("the program did not say that it measures nothing")?;
        let traced = |Wanted { path, count, found, others }| match found {
            Some(addresses) => Ok(Traced { path, addresses }),
            None => Err(format!(
                "no run of '{path}' took {count} instructions and {nothing} for the readings; runs took {others:?}"
            )),
        };
        Ok((nothing, self.wanted.into_iter().map(traced).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: u64 = 7;
    const CALL: u64 = 8;
    const KERNEL: u64 = 1 << 63;

    fn executes(follower: &mut Follower, addresses: &[u64]) {
        addresses.iter().for_each(|address| {
            let kind = match *address {
                READING => Kind::Reading,
                CALL => Kind::Entry,
                KERNEL.. => Kind::Kernel,
                _ => Kind::Other,
            };
            follower.executes(*address, kind);
        });
    }

    fn follower(paths: &[(&str, usize)]) -> Follower {
        let paths: Vec<_> = paths.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        let mut follower = Follower::new(&paths);
        follower.begin(NOTHING, 0, 1);
        executes(&mut follower, &[1, READING, 2, READING]);
        follower
    }

    #[test]
    fn the_run_that_is_as_long_as_was_counted_is_found() {
        let mut follower = follower(&[("a", 3)]);
        for between in [&[3, 4, 5, 6, 6, 6][..], &[3, 4, 5, 6][..]] {
            follower.begin("a", 0, 1);
            executes(&mut follower, &[1, READING]);
            executes(&mut follower, between);
            executes(&mut follower, &[READING, 9]);
        }
        assert!(follower.is_done() && follower.runs.is_empty());
        let (nothing, traced) = follower.found().unwrap();
        assert_eq!((nothing, traced[0].addresses.as_slice()), (2, &[READING, 3, 4, 5, 6][..]));
    }

    #[test]
    fn paths_may_lie_between_later_readings_and_in_each_other() {
        let mut follower = follower(&[("whole", 3), ("end", 1)]);
        follower.begin("whole", 0, 2);
        follower.begin("end", 1, 2);
        executes(&mut follower, &[1, READING, 3, READING, 4, 5, READING]);
        let (_, traced) = follower.found().unwrap();
        assert_eq!(traced[0].addresses, [READING, 3, READING, 4, 5]);
        assert_eq!(traced[1].addresses, [READING, 4, 5]);
    }

    #[test]
    fn an_instruction_that_faults_is_executed_once_and_later() {
        let mut follower = follower(&[("a", 4)]);
        follower.begin("a", 0, 1);
        executes(&mut follower, &[READING, CALL, KERNEL, 3, 4, KERNEL, 4, READING]);
        let (_, traced) = follower.found().unwrap();
        assert_eq!(traced[0].addresses, [READING, CALL, KERNEL, 3, KERNEL, 4]);
    }

    #[test]
    fn what_no_run_was_is_said_with_what_they_were() {
        let mut follower = follower(&[("a", 30)]);
        follower.begin("a", 0, 1);
        executes(&mut follower, &[READING, 3, READING]);
        assert!(follower.found().unwrap_err().contains("runs took [2]"));
    }
}
