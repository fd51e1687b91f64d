//! Any bytes as the files of a tree, one behind the other with a zero between them, in the order in which they are asked for; a file
//! that is a one alone is missing.
#![no_main]

use std::cell::Cell;

use feuerbird_numa::sysfs::{self, Source};

struct Tree<'a>(Cell<&'a [u8]>);

impl Source for Tree<'_> {
    fn read(&self, _: &str, buffer: &mut [u8]) -> Option<usize> {
        let rest = self.0.get();
        let length = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let file = &rest[..length];
        self.0.set(rest.get(length + 1..).unwrap_or_default());
        if file == [1] {
            return None;
        }
        let fits = length.min(buffer.len());
        buffer[..fits].copy_from_slice(&file[..fits]);
        Some(length)
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(topology) = sysfs::topology(&Tree(Cell::new(data))) {
        assert!(!topology.is_empty());
        for (id, node) in topology.nodes() {
            assert!(node.cpus.iter().all(|cpu| topology.node_of(cpu) == Some(id)));
        }
    }
});
