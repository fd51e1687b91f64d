//! The start info: what lies in memory is read, whatever else it says is refused.

mod memory;

use feuerbird_boot::pvh::{Error, StartInfo};
use memory::{BASE, Memory};
use proptest::prelude::*;

fn info(modules: (u32, u64), map: (u32, u64), line: u64) -> Vec<u8> {
    let mut info = vec![0; 56];
    info[..4].copy_from_slice(&0x336e_c578u32.to_le_bytes());
    info[4..8].copy_from_slice(&1u32.to_le_bytes());
    info[12..16].copy_from_slice(&modules.0.to_le_bytes());
    info[16..24].copy_from_slice(&modules.1.to_le_bytes());
    info[24..32].copy_from_slice(&line.to_le_bytes());
    info[32..40].copy_from_slice(&0xf_0000u64.to_le_bytes());
    info[40..48].copy_from_slice(&map.1.to_le_bytes());
    info[48..52].copy_from_slice(&map.0.to_le_bytes());
    info
}

fn entry(start: u64, bytes: u64, kind: u64) -> Vec<u8> {
    [start, bytes, kind].map(u64::to_le_bytes).concat()
}

fn machine() -> Memory {
    let mut memory = Memory(Vec::new());
    memory.put(BASE, &info((1, BASE + 0x300), (3, BASE + 0x100), BASE + 0x200));
    let map = [entry(0, 0x9_fc00, 1), entry(0xf_0000, 0x1_0000, 2), entry(0x10_0000, 0x800_0000, 1)].concat();
    memory.put(BASE + 0x100, &map);
    memory.put(BASE + 0x200, b"test fast\0garbage");
    memory.put(BASE + 0x300, &[entry(0x700_0000, 0x1234, 0), vec![0; 8]].concat());
    memory
}

#[test]
fn a_start_info_in_order_is_read() {
    let memory = machine();
    let info = StartInfo::read(&memory, BASE).unwrap();
    assert_eq!(
        info.memory().map(|range| (range.start(), range.end())).collect::<Vec<_>>(),
        [(0, 0x9_fc00), (0x10_0000, 0x810_0000)]
    );
    assert_eq!(
        info.modules().map(|range| (range.start(), range.bytes())).collect::<Vec<_>>(),
        [(0x700_0000, 0x1234)]
    );
    assert_eq!((info.command_line(), info.rsdp()), ("test fast", Some(0xf_0000)));
}

#[test]
fn what_is_out_of_reach_or_too_long_is_refused() {
    let refused = |bytes: &[u8]| {
        let mut memory = machine();
        memory.put(BASE, bytes);
        StartInfo::read(&memory, BASE).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(&[0; 4]), Error::WrongMagic);
    assert_eq!(refused(&info((1, 8), (0, 0), 0)), Error::OutOfReach);
    assert_eq!(refused(&info((0, 0), (1, u64::MAX), 0)), Error::OutOfReach);
    assert_eq!(refused(&info((0, 0), (u32::MAX, BASE), 0)), Error::TooLong);
    assert_eq!(refused(&[&info((0, 0), (0, 0), 0)[..4], &[0; 4]].concat()), Error::TooOld);
    assert_eq!(StartInfo::read(&machine(), 0).map(|_| ()), Err(Error::OutOfReach));
}

#[test]
fn ranges_that_are_empty_or_wrap_around_are_left_out() {
    let mut memory = machine();
    memory.put(BASE + 0x100, &[entry(5, 0, 1), entry(u64::MAX, 2, 1), entry(0, u64::MAX, 1)].concat());
    let info = StartInfo::read(&memory, BASE).unwrap();
    assert_eq!(info.memory().map(|range| range.bytes()).collect::<Vec<_>>(), [u64::MAX]);
}

proptest! {
    #[test]
    fn no_bytes_stop_the_parser(changes in prop::collection::vec((0usize..0x320, any::<u8>()), 0..30)) {
        let mut memory = machine();
        for (at, byte) in changes {
            memory.0[at] = byte;
        }
        if let Ok(info) = StartInfo::read(&memory, BASE) {
            prop_assert!(info.memory().chain(info.modules()).all(|range| range.start() < range.end()));
            prop_assert!(info.command_line().len() <= 256);
        }
    }
}
