//! The program with which the crate's documentation starts. That it runs is a documentation test's to show.

const PROGRAM: &str = include_str!("../examples/hello.rs");

#[test]
fn the_first_program_is_short() {
    assert!(PROGRAM.lines().count() < 40, "the documentation promises a program of under 40 lines");
}
