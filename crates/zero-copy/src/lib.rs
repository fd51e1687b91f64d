//! Shared regions with one writer, and pools of buffers that are loaned, published, borrowed and released.
#![no_std]
