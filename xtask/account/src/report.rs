//! What is printed: the account by purpose and function, the longest run without interrupts, and the listing.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::groups;
use crate::step::Step;

/// How wide the names of functions may run.
const WIDTH: usize = 110;
const INDENT: &str = "            ";

/// Instructions of one purpose, with those of each function that has a part in it.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    purpose: &'static str,
    count: usize,
    functions: Vec<(String, usize)>,
}

/// The account of one path, in the order in which its parts begin.
pub(crate) fn account(path: &str, nothing: usize, steps: &[Step]) -> String {
    let counted = steps.len() - nothing;
    let mut text = format!("{path}: {counted} instructions, and {nothing} that read the counter\n");
    for Part { purpose, count, functions } in parts(steps) {
        let share = 100.0 * count as f64 / steps.len() as f64;
        // Writing into a string does not fail.
        let _ = writeln!(text, "{count:>6} {share:>3.0} % {purpose}");
        text += &wrapped(&functions);
    }
    if let Some(run) = longest_run(steps) {
        text += &run;
    }
    text
}

fn parts(steps: &[Step]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for step in steps {
        let (purpose, function) = (groups::purpose(&step.stack), step.function().name());
        let place = parts.iter().position(|part| part.purpose == purpose).unwrap_or_else(|| {
            parts.push(Part { purpose, count: 0, functions: Vec::new() });
            parts.len() - 1
        });
        let part = &mut parts[place];
        part.count += 1;
        match part.functions.iter_mut().find(|(name, _)| *name == function) {
            Some((_, count)) => *count += 1,
            None => part.functions.push((function, 1)),
        }
    }
    for part in &mut parts {
        part.functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    parts
}

/// The functions of a part, the largest first, in lines that are not too long.
fn wrapped(functions: &[(String, usize)]) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for (name, count) in functions {
        let word = format!("{name} {count}");
        if !line.is_empty() && INDENT.len() + line.len() + 2 + word.len() > WIDTH {
            text += &format!("{INDENT}{line},\n");
            line.clear();
        }
        line = if line.is_empty() { word } else { format!("{line}, {word}") };
    }
    text + &format!("{INDENT}{line}\n")
}

/// The most instructions of ring 0 between two points where the processor takes interrupts: where ring 3 runs, or ring 0 opens them.
fn longest_run(steps: &[Step]) -> Option<String> {
    let runs = steps.split(|step| step.lets_interrupts_in());
    let longest = runs.max_by_key(|run| run.len())?;
    let (first, last) = (longest.first()?, longest.last()?);
    let (length, from, to) = (longest.len(), first.function().name(), last.function().name());
    Some(format!(
        "longest run without a point where interrupts are taken: {length} instructions, from {from} to {to}\n"
    ))
}

/// Each instruction in the order of execution. Those of ring 0 are further right; a function is named where it begins or goes on.
pub(crate) fn listing(steps: &[Step]) -> String {
    let mut text = String::new();
    let mut lines: HashMap<u64, String> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        let line = lines.entry(step.address).or_insert_with(|| described(step));
        let _ = writeln!(text, "{number:>6} {line}");
    }
    text
}

fn described(step: &Step) -> String {
    let function = step.function();
    let place = match function.line {
        0 => function.file.clone(),
        line => format!("{}:{line}", function.file),
    };
    let instruction = step.instruction.to_string();
    format!("{:016x}  {instruction:<44} {} ({place})", step.address, function.function)
}

#[cfg(test)]
mod tests {
    use iced_x86::{Code, Instruction};

    use super::*;
    use crate::image::Frame;

    fn step(address: u64, code: Code, file: &str, function: &str) -> Step {
        let mut instruction = Instruction::default();
        instruction.set_code(code);
        let frame = Frame { function: function.to_owned(), file: file.to_owned(), line: 7 };
        Step { address, instruction, stack: vec![frame] }
    }

    const KERNEL: u64 = 1 << 63;
    const LOCK: &str = "kernel/src/domain/lock.rs";
    const RUN: &str = "kernel/src/domain/run.rs";

    fn steps() -> Vec<Step> {
        let kernel = |code, file, function| step(KERNEL, code, file, function);
        vec![
            step(0x40_0000, Code::Rdtsc, "kernel/programs/src/gate.rs", "counter"),
            kernel(Code::Nopd, LOCK, "lock"),
            kernel(Code::Sti, RUN, "reschedule"),
            kernel(Code::Nopd, RUN, "reschedule"),
            kernel(Code::Nopd, LOCK, "lock"),
            kernel(Code::Nopd, LOCK, "try_lock"),
            step(0x40_0002, Code::Nopd, "kernel/programs/src/gate.rs", "raw"),
        ]
    }

    #[test]
    fn parts_come_as_they_begin_and_add_up() {
        let parts = parts(&steps());
        let names: Vec<_> = parts.iter().map(|part| (&part.purpose[..15], part.count)).collect();
        assert_eq!(names, [("the program tha", 2), ("the kernel's lo", 3), ("who calls, whic", 2)]);
        assert_eq!(parts[1].functions, [("lock::lock".to_owned(), 2), ("lock::try_lock".to_owned(), 1)]);
        assert!(account("a", 1, &steps()).starts_with("a: 6 instructions, and 1 that"));
    }

    #[test]
    fn the_longest_run_ends_where_interrupts_are_taken() {
        let said = longest_run(&steps()).unwrap();
        assert!(said.ends_with(": 3 instructions, from run::reschedule to lock::try_lock\n"), "{said}");
        assert_eq!(longest_run(&steps()[..1]), None);
    }

    #[test]
    fn many_functions_go_into_several_lines() {
        let functions: Vec<_> = (0..20).map(|number| (format!("function_{number}"), number)).collect();
        let text = wrapped(&functions);
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH + 1));
    }
}
