//! Made-up machines: trees of files and firmware tables.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; a test may unwrap

use std::collections::BTreeMap;

use feuerbird_numa::sysfs::Source;

/// The files of a tree by path; bytes, for a file need not be text.
#[derive(Clone, Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Vec<u8>>);

impl Tree {
    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        self.with_bytes(path, text.as_bytes())
    }

    pub(crate) fn with_bytes(mut self, path: &str, text: &[u8]) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }

    /// `nodes` nodes of four processors and 1 GiB each.
    pub(crate) fn of(nodes: u32) -> Self {
        let mut tree = Self::default().with("node/online", &format!("0-{}\n", nodes - 1));
        for node in 0..nodes {
            let distances: Vec<_> = (0..nodes)
                .map(|to| if to == node { "10".into() } else { format!("{}", 20 + node.abs_diff(to)) })
                .collect();
            tree = tree
                .with(&format!("node/node{node}/cpulist"), &format!("{}-{}\n", node * 4, node * 4 + 3))
                .with(
                    &format!("node/node{node}/meminfo"),
                    &format!("\nNode {node} MemTotal:        1048576 kB\nNode {node} MemFree: 1 kB\n"),
                )
                .with(&format!("node/node{node}/distance"), &format!("{}\n", distances.join(" ")));
        }
        tree
    }
}

impl Source for Tree {
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize> {
        let text = self.0.get(path)?;
        let fits = text.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&text[..fits]);
        Some(text.len())
    }
}

/// Puts signature, length and checksum around a table's body.
pub(crate) fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 36];
    bytes.extend_from_slice(body);
    bytes[..4].copy_from_slice(signature);
    bytes[8] = 3; // the revision of today's tables
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    seal(&mut bytes);
    bytes
}

pub(crate) fn seal(bytes: &mut [u8]) {
    bytes[9] = 0;
    bytes[9] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
}

/// Processors `(apic id, domain)` and memory `(domain, bytes)`, all enabled.
pub(crate) fn srat(cpus: &[(u8, u32)], x2apic: &[(u32, u32)], memory: &[(u32, u64)]) -> Vec<u8> {
    let mut body = vec![0; 12];
    for (apic, domain) in cpus {
        let [low, high @ ..] = domain.to_le_bytes();
        body.extend_from_slice(&[0, 16, low, *apic, 1, 0, 0, 0, 0]);
        body.extend_from_slice(&high);
        body.extend_from_slice(&[0; 4]);
    }
    for (id, domain) in x2apic {
        body.extend_from_slice(&[2, 24, 0, 0]);
        body.extend_from_slice(&domain.to_le_bytes());
        body.extend_from_slice(&id.to_le_bytes());
        body.extend_from_slice(&1u32.to_le_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    for (domain, bytes) in memory {
        body.extend_from_slice(&[1, 40]);
        body.extend_from_slice(&domain.to_le_bytes());
        body.extend_from_slice(&[0; 10]);
        body.extend_from_slice(&bytes.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&1u32.to_le_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    table(b"SRAT", &body)
}

pub(crate) fn slit(size: u64, cells: &[u8]) -> Vec<u8> {
    let mut body = size.to_le_bytes().to_vec();
    body.extend_from_slice(cells);
    table(b"SLIT", &body)
}
