//! A machine made of vectors, for tests.

/// A machine made of vectors, for tests.
#[derive(Default)]
pub struct FakeMachine {}
