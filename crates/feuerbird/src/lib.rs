//! The facade an application adds: one use of feuerbird::prelude.
