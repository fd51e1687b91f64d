//! The bootable exokernel.
//!
//! `cargo xtask qemu` builds and boots it. README.md says what it is; ARCHITECTURE.md, "The bootable kernel", how it works.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod domain;
#[cfg(target_os = "none")]
mod memory;

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("this is a kernel for a bare machine; `cargo xtask qemu` boots it");
    std::process::ExitCode::from(2)
}
