//! What each layer costs (filled in below).
fn main() {}
