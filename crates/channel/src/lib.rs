//! Typed channels over one-writer lanes in shared regions.
#![no_std]
