//! Passes the linker's arguments, for the bare target only: on a host this package is a program that says so.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    // Loaded where it was linked, each kind of memory on pages of its own.
    for argument in [
        "-no-pie",
        "-static",
        "--no-dynamic-linker",
        "-znorelro",
        "-zseparate-code",
        "--image-base=0x400000",
        "-estart",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
