//! Prints this machine's NUMA topology, and where memory would go.

use std::{fs, path::PathBuf, process::ExitCode};

use feuerbird_numa::{Placement, Topology, acpi, sysfs};

const HELP: &str = "\
Prints a machine's NUMA topology, and where memory would go.

Usage: topology                      this machine
       topology ROOT                 a folder like /sys/devices/system
       topology --acpi SRAT [SLIT]   firmware tables, for example from /sys/firmware/acpi/tables
       topology --help

Exit codes: 0 printed, 1 not readable, 2 wrong usage.";

struct Folder(PathBuf);

impl sysfs::Source for Folder {
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize> {
        let bytes = fs::read(self.0.join(path)).ok()?;
        buffer.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        Some(bytes.len())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let topology = match arguments[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [] => of_folder("/sys/devices/system"),
        ["--acpi", srat] => of_tables(srat, None),
        ["--acpi", srat, slit] => of_tables(srat, Some(slit)),
        [root] if !root.starts_with('-') => of_folder(root),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match topology {
        Ok(topology) => {
            print(&topology);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("topology: {error}");
            ExitCode::FAILURE
        }
    }
}

fn of_folder(root: &str) -> Result<Topology, String> {
    sysfs::topology(&Folder(root.into())).map_err(|error| format!("{root}: {error}"))
}

fn of_tables(srat: &str, slit: Option<&str>) -> Result<Topology, String> {
    let read = |path: &str| fs::read(path).map_err(|error| format!("{path}: {error}"));
    let slit = slit.map(read).transpose()?;
    acpi::topology(&read(srat)?, slit.as_deref()).map_err(|error| format!("{srat}: {error}"))
}

fn print(topology: &Topology) {
    let cpus: usize = topology.nodes().map(|(_, node)| node.cpus.len()).sum();
    let memory: u64 = topology.nodes().map(|(_, node)| node.memory_bytes).sum();
    let (nodes, plural) = (topology.len(), if topology.len() == 1 { "" } else { "s" });
    println!("{nodes} NUMA node{plural}, {cpus} processors, {}\n", size(memory));
    for (id, node) in topology.nodes() {
        println!(
            "node {:>2}   {:>10}   processors {}",
            id.index(),
            size(node.memory_bytes),
            list(node.cpus.iter())
        );
    }
    println!("\ndistance (10 is local)");
    print!("      ");
    topology.nodes().for_each(|(to, _)| print!("{:>5}", to.index()));
    println!();
    for (from, _) in topology.nodes() {
        print!("{:>6}", from.index());
        topology.nodes().for_each(|(to, _)| print!("{:>5}", topology.distance(from, to)));
        println!();
    }
    println!("\nwhere memory would go");
    for (id, _) in topology.nodes() {
        let order: Vec<_> = topology.by_distance(id).map(|id| id.index().to_string()).collect();
        println!("  nearest to node {:>2}: node {}", id.index(), order.join(", then "));
    }
    let mut turns = Placement::interleave();
    let order: Vec<_> =
        (0..4).filter_map(|_| turns.next(topology, 1)).map(|id| id.index().to_string()).collect();
    let order = if order.is_empty() {
        "unknown: no node says how much memory it has".into()
    } else {
        order.join(", ")
    };
    println!("  interleaved:        {order}{}", if topology.len() == 1 { "" } else { ", ..." });
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "unknown".into(),
        1..0x100000 => format!("{} KiB", bytes >> 10),
        0x100000..0x40000000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// `0-3,8`.
fn list(numbers: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text =
        |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let ranges: Vec<_> = ranges.into_iter().map(text).collect();
    if ranges.is_empty() { "none".into() } else { ranges.join(",") }
}
