//! Passes the linker script, for the bare target only: on a host this package is a program that says so.

fn main() {
    println!("cargo::rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    // No relocation at run time: the image lies where it was linked.
    for argument in ["-no-pie", "-static", "--no-dynamic-linker", "-znorelro", "-n"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-T{folder}/kernel.ld");
}
