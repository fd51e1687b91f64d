//! What the kernel runs in ring 3: one program, which is every domain's, in the role that its argument says.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod attempts;
#[cfg(target_os = "none")]
mod child;
#[cfg(target_os = "none")]
mod demo;
#[cfg(target_os = "none")]
mod events;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod gate;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod lane;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod os;
#[cfg(target_os = "none")]
mod pair;
#[cfg(target_os = "none")]
mod paths;
#[cfg(target_os = "none")]
mod policies;
#[cfg(target_os = "none")]
mod proof;
#[cfg(target_os = "none")]
mod ring;
#[cfg(target_os = "none")]
mod role;
#[cfg(target_os = "none")]
mod shell;
#[cfg(target_os = "none")]
mod team;
#[cfg(target_os = "none")]
mod tests;
#[cfg(target_os = "none")]
mod transfer;

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("these are programs for FeuerBird's kernel; `cargo xtask qemu` runs them");
    std::process::ExitCode::from(2)
}
