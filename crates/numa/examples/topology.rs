//! Prints this machine's NUMA topology, and where memory would go.

use std::{
    fmt::{self, Write as _},
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use feuerbird_numa::{NodeId, Placement, Topology, UNREACHABLE, acpi, sysfs};

const HELP: &str = "\
Prints a machine's NUMA topology, and where memory would go.

Usage: topology                      this machine
       topology ROOT                 a folder like /sys/devices/system
       topology --acpi SRAT [SLIT]   firmware tables; Linux shows them in /sys/firmware/acpi/tables
                                      (as root: sudo cat .../SRAT > srat)
       topology --help

Exit codes: 0 printed, 1 not readable, 2 wrong usage.";

struct Folder(PathBuf);

impl sysfs::Source for Folder {
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize> {
        let bytes = fs::read(self.0.join(path)).ok()?;
        let fits = bytes.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&bytes[..fits]);
        Some(bytes.len())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let text = match arguments[..] {
        ["--help" | "-h"] => Ok(format!("{HELP}\n")),
        [] => of_folder("/sys/devices/system"),
        ["--acpi", srat] => of_tables(srat, None),
        ["--acpi", srat, slit] => of_tables(srat, Some(slit)),
        [root] if !root.starts_with('-') => of_folder(root),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match text {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("topology: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints all at once; whoever stops reading early (`| head`) has seen enough.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn of_folder(root: &str) -> Result<String, String> {
    let topology = sysfs::topology(&Folder(root.into())).map_err(|error| format!("{root}/{error}"))?;
    describe(&topology).map_err(|error| error.to_string())
}

fn of_tables(srat: &str, slit: Option<&str>) -> Result<String, String> {
    let read = |path: &str| fs::read(path).map_err(|error| format!("{path}: {error}"));
    let tables = (read(srat)?, slit.map(read).transpose()?);
    let topology = acpi::topology(&tables.0, tables.1.as_deref()).map_err(|malformed| {
        let path = if malformed.table == acpi::Table::Srat { srat } else { slit.unwrap_or_default() };
        format!("{path}: {malformed}")
    })?;
    describe(&topology).map_err(|error| error.to_string())
}

fn describe(topology: &Topology) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let cpus = topology.nodes().map(|(_, node)| node.cpus.len()).sum();
    // A table may claim any amount.
    let memory = topology.nodes().fold(0, |sum: u64, (_, node)| sum.saturating_add(node.memory_bytes));
    let (nodes, cpus) = (count(topology.len(), "NUMA node"), count(cpus, "processor"));
    writeln!(out, "{nodes}, {cpus}, memory {}\n", size(memory, memory))?;
    for (id, node) in topology.nodes() {
        let list = if node.cpus.is_empty() { "none".into() } else { node.cpus.to_string() };
        writeln!(
            out,
            "node {:>2}   {:>10}   processors {list}",
            id.index(),
            size(node.memory_bytes, memory)
        )?;
    }
    distances(&mut out, topology)?;
    placement(&mut out, topology)?;
    Ok(out)
}

fn distances(out: &mut String, topology: &Topology) -> fmt::Result {
    write!(out, "\ndistance (10 is local, 20 twice as far, - unreachable)\n from\\to")?;
    topology.nodes().try_for_each(|(to, _)| write!(out, "{:>5}", to.index()))?;
    for (from, _) in topology.nodes() {
        write!(out, "\n{:>8}", from.index())?;
        for (to, _) in topology.nodes() {
            match topology.distance(from, to) {
                UNREACHABLE => write!(out, "    -")?,
                distance => write!(out, "{distance:>5}")?,
            }
        }
    }
    writeln!(out)
}

fn placement(out: &mut String, topology: &Topology) -> fmt::Result {
    writeln!(out, "\nwhere the policies would put memory")?;
    for (id, _) in topology.nodes() {
        // The first is the policy's choice; the others follow when that one is full.
        let has_memory = |it: &NodeId| Placement::Nearest(*it).next(topology, 1) == Some(*it);
        let order = topology.by_distance(id).filter(has_memory);
        writeln!(out, "  nearest to node {:>2}   node {}", id.index(), join(order, ", then "))?;
    }
    let mut turns = Placement::interleave();
    let round = (0..topology.len()).filter_map(|_| turns.next(topology, 1));
    writeln!(out, "  interleaved          node {}, ...", join(round, ", "))
}

fn join(ids: impl Iterator<Item = NodeId>, between: &str) -> String {
    let ids: Vec<_> = ids.map(|id| id.index().to_string()).collect();
    if ids.is_empty() { "none".into() } else { ids.join(between) }
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as a person reads them. Where the whole machine states none, none is known.
fn size(bytes: u64, of_machine: u64) -> String {
    let units = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0 if of_machine == 0 => "unknown".into(),
        0 => "none".into(),
        1..0x10_0000 => format!("{:.1} KiB", units(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", units(1 << 20)),
        0x4000_0000..0x100_0000_0000 => format!("{:.1} GiB", units(1 << 30)),
        _ => format!("{:.1} TiB", units(1 << 40)),
    }
}
