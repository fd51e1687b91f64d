//! The instructions of a run, each with the functions that were being executed.

use std::collections::HashMap;

use iced_x86::{Instruction, Mnemonic};

use crate::image::{Frame, Images};

/// One instruction that was executed.
pub(crate) struct Step {
    pub(crate) address: u64,
    pub(crate) instruction: Instruction,
    /// Who called whom, the outermost first: calls that the compiler made part of the caller are among them.
    pub(crate) stack: Vec<Frame>,
}

impl Step {
    pub(crate) fn is_kernel(&self) -> bool {
        Images::is_kernel(self.address)
    }

    /// The function of this checkout that it belongs to: the library's, and closures, are part of who uses them.
    pub(crate) fn function(&self) -> &Frame {
        let is_own = |frame: &&Frame| !frame.file.is_empty() && !frame.function.starts_with('{');
        let innermost = || self.stack.last().expect("an instruction has a function, if one without a name");
        self.stack.iter().rev().find(is_own).unwrap_or_else(innermost)
    }

    /// Whether the processor takes interrupts that wait after this: ring 0 opens them, or ring 3 goes on.
    pub(crate) fn lets_interrupts_in(&self) -> bool {
        !self.is_kernel() || self.instruction.mnemonic() == Mnemonic::Sti
    }
}

/// Follows calls and returns. What a run begins within is only known by its innermost part.
pub(crate) fn steps(images: &Images, addresses: &[u64]) -> Vec<Step> {
    let mut known: HashMap<u64, (Instruction, Vec<Frame>)> = HashMap::new();
    let mut callers: [Vec<Vec<Frame>>; 2] = [Vec::new(), Vec::new()];
    let mut was_kernel = false;
    let mut steps = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let (instruction, frames) =
            known.entry(address).or_insert_with(|| (images.instruction(address), images.frames(address)));
        let is_kernel = Images::is_kernel(address);
        if is_kernel && !was_kernel {
            // Every way into ring 0 begins with an empty stack.
            callers[1].clear();
        }
        was_kernel = is_kernel;
        let callers = &mut callers[usize::from(is_kernel)];
        let stack = callers.iter().flatten().chain(frames.iter()).cloned().collect();
        match instruction.mnemonic() {
            Mnemonic::Call => callers.push(frames.clone()),
            Mnemonic::Ret => _ = callers.pop(),
            _ => {}
        }
        steps.push(Step { address, instruction: *instruction, stack });
    }
    steps
}
