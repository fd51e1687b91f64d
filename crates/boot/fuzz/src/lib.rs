//! What the fuzz targets share: memory made of a fuzzer's bytes, and machines in order to begin with.
//!
//! `cargo xtask ci fuzz` builds all of them and runs each for some seconds, from seeds that [`seeds`] makes; `cargo fuzz run acpi`
//! works too.

use feuerbird_boot::{Physical, PhysicalRange};

/// Where the memory begins.
pub const BASE: u64 = 0x10_0000;

/// Physical memory with a fuzzer's bytes from [`BASE`] on, and nothing else.
#[derive(Debug)]
pub struct Memory<'a>(pub &'a [u8]);

impl Physical for Memory<'_> {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let at = usize::try_from(address.checked_sub(BASE)?).ok()?;
        self.0.get(at..at.checked_add(length)?)
    }
}

/// Holds a range to what its type promises.
pub fn check(range: PhysicalRange) {
    assert!(range.start() < range.end() && range.bytes() == range.end() - range.start());
}

/// Makes the bytes add up to 0 by the one at `at`, if it is there: checksums keep a fuzzer away from all else.
pub fn seal(bytes: &mut [u8], at: usize) {
    if at < bytes.len() {
        bytes[at] = 0;
        bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    }
}

/// Seals the table at `at`, as far as its length is one.
pub fn seal_table(memory: &mut [u8], at: usize) {
    let Some(length) = memory.get(at..).and_then(|table| number(table, 4)) else { return };
    if let Some(table) = at.checked_add(length).and_then(|end| memory.get_mut(at..end)) {
        seal(table, 9);
    }
}

/// The index in the memory of the address that stands at `at`.
pub fn index(memory: &[u8], at: usize) -> Option<usize> {
    let address = u64::from_le_bytes(memory.get(at..at.checked_add(8)?)?.try_into().ok()?);
    usize::try_from(address.checked_sub(BASE)?).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// What the named target begins with.
///
/// # Panics
/// For a name that is no target's.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "pvh" => vec![start_info()],
        "acpi" => vec![tables()],
        "numa" => vec![[&[120][..], &srat(), &slit()].concat()],
        "sysfs" => vec![
            b"0-1\n\00-3\n\0Node 0 MemTotal: 1048576 kB\n\04-7\n\0Node 1 MemTotal: 1 kB\n\010 20\n\020 10\n"
                .to_vec(),
            b"\x01\00-7,9\n".to_vec(),
        ],
        "elf" => vec![program()],
        _ => panic!("no target has this name"),
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn start_info() -> Vec<u8> {
    let counts = 1 << 32;
    let info = [0x1_336e_c578, counts, BASE + 128, BASE + 160, 0xf_0000, BASE + 56, 3];
    let map = [0, 0x9_fc00, 1, 0xf_0000, 0x1_0000, 2, 0x10_0000, 0x800_0000, 1];
    [words(&info), words(&map), words(&[0x700_0000, 4096, 0, 0]), b"test fast\0".to_vec()].concat()
}

fn table(signature: &[u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut table =
        [&signature[..], &(36 + rest.len() as u32).to_le_bytes(), &[3, 0], &[0; 26], rest].concat();
    seal(&mut table, 9);
    table
}

fn madt() -> Vec<u8> {
    let local = [[0, 8, 0, 0, 1, 0, 0, 0], [0, 8, 1, 4, 1, 0, 0, 0]].concat();
    let wide = [9, 16, 0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let elsewhere = [5, 12, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0];
    table(b"APIC", &[&words(&[0xfee0_0000])[..], &local, &wide, &elsewhere].concat())
}

fn srat() -> Vec<u8> {
    let processor = |id, node| [0, 16, node, id, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let memory = [words(&[0x2801 + (1 << 16), 0x10_0000, 0x100_0000, 1 << 32]), vec![0; 8]].concat();
    let wide = [2, 24, 0, 0, 1, 0, 0, 0, 200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    table(b"SRAT", &[&[0; 12][..], &processor(0, 0), &processor(1, 1), &memory, &wide].concat())
}

fn slit() -> Vec<u8> {
    table(b"SLIT", &[&words(&[2])[..], &[10, 20, 20, 10]].concat())
}

/// An RSDP, an XSDT, an MADT and an SRAT, one behind the other.
fn tables() -> Vec<u8> {
    let (madt, srat) = (madt(), srat());
    let at = BASE + 40 + 52;
    let xsdt = table(b"XSDT", &words(&[at, at + madt.len() as u64]));
    let mut rsdp = [b"RSD PTR ".to_vec(), vec![0; 7], vec![2], words(&[36 << 32, BASE + 40, 0])].concat();
    seal(&mut rsdp[..20], 8);
    seal(&mut rsdp[..36], 32);
    [rsdp, xsdt, madt, srat].concat()
}

fn program() -> Vec<u8> {
    let mut file = vec![0; 512];
    let header = [0x1_0102_464c_457f, 0, 0x1_003e_0002, 0x40_1000, 64, 0, 0x38_0040_0000_0000, 2];
    file[..64].copy_from_slice(&words(&header));
    file[64..120].copy_from_slice(&words(&[5 << 32 | 1, 0x100, 0x40_1000, 0x40_1000, 0x80, 0x80, 4096]));
    file[120..176].copy_from_slice(&words(&[6 << 32 | 1, 0x180, 0x40_2000, 0x40_2000, 0x40, 4096, 4096]));
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use feuerbird_boot::{acpi, elf, pvh};

    #[test]
    fn what_targets_begin_with_is_in_order() {
        let start = start_info();
        let memory = Memory(&start);
        let info = pvh::StartInfo::read(&memory, BASE).unwrap();
        assert_eq!((info.memory().count(), info.modules().count(), info.command_line()), (2, 1, "test fast"));
        let tables = tables();
        let memory = Memory(&tables);
        let root = acpi::Root::read(&memory, BASE).unwrap();
        let madt = acpi::Madt::parse(root.table(*b"APIC").unwrap()).unwrap();
        assert_eq!(madt.processors().collect::<Vec<_>>(), [0, 4, 0x300]);
        let mut ranges = 0;
        acpi::memory_nodes(root.table(*b"SRAT").unwrap(), |_, _| ranges += 1).unwrap();
        assert_eq!(ranges, 1);
        assert_eq!(feuerbird_numa::acpi::topology(&srat(), Some(&slit())).unwrap().len(), 2);
        assert_eq!(elf::Program::parse(&program()).unwrap().segments().count(), 2);
    }
}
