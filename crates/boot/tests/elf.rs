//! Programs: a good one is read, every broken one refused.

use feuerbird_boot::elf::{Access, Error, Program};
use proptest::prelude::*;

fn header(kind: u32, flags: u32, [offset, address, in_file, length]: [u64; 4]) -> Vec<u8> {
    let words = [offset, address, address, in_file, length, 0x1000];
    [[kind, flags].map(u32::to_le_bytes).concat(), words.map(u64::to_le_bytes).concat()].concat()
}

fn program(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (file[16], file[18]) = (2, 62);
    file[24..32].copy_from_slice(&0x40_1000u64.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    (file[54], file[56]) = (56, headers.len() as u8);
    file.extend(headers.concat());
    file.resize(0x200, 7);
    file
}

const TEXT: [u64; 4] = [0x100, 0x40_1000, 0x80, 0x80];
const DATA: [u64; 4] = [0x180, 0x40_2000, 0x40, 0x1000];

fn good() -> Vec<u8> {
    program(&[header(1, 5, TEXT), header(0x6474_e551, 6, [0; 4]), header(1, 6, DATA), header(1, 4, [0; 4])])
}

#[test]
fn segments_have_their_bytes_and_their_access() {
    let file = good();
    let program = Program::parse(&file).unwrap();
    let found: Vec<_> =
        program.segments().map(|it| (it.address, it.bytes.len(), it.length, it.access)).collect();
    assert_eq!(found, [(0x40_1000, 0x80, 0x80, Access::Execute), (0x40_2000, 0x40, 0x1000, Access::Write)]);
    assert_eq!(program.entry(), 0x40_1000);
}

#[test]
fn what_could_be_written_and_executed_is_refused() {
    assert_eq!(Program::parse(&program(&[header(1, 7, TEXT)])).err(), Some(Error::BadSegment));
}

#[test]
fn what_needs_a_loader_of_its_own_is_refused() {
    for kind in [2, 3] {
        assert_eq!(Program::parse(&program(&[header(kind, 4, TEXT)])).err(), Some(Error::WrongKind));
    }
    for (at, byte) in [(4, 1), (5, 2), (16, 3), (18, 3), (54, 32), (56, 200)] {
        let mut file = good();
        file[at] = byte;
        assert_eq!(Program::parse(&file).err(), Some(Error::WrongKind), "byte {at}");
    }
}

#[test]
fn segments_outside_of_the_file_or_the_address_space_are_refused() {
    for (segment, error) in [
        ([0x1f0, 0x40_0000, 0x20, 0x20], Error::Truncated),
        ([u64::MAX, 0x40_0000, 0x20, 0x20], Error::Truncated),
        ([0, 0x40_0000, 0x20, 0x10], Error::BadSegment),
        ([0, u64::MAX, 0, 2], Error::BadSegment),
    ] {
        assert_eq!(Program::parse(&program(&[header(1, 4, segment)])).err(), Some(error), "{segment:x?}");
    }
    assert_eq!(Program::parse(&good()[..100]).err(), Some(Error::Truncated));
    assert_eq!(Program::parse(&good()[..63]).err(), Some(Error::NotElf));
}

proptest! {
    #[test]
    fn no_bytes_stop_the_parser(changes in prop::collection::vec((0usize..0x140, any::<u8>()), 0..12), length in 0usize..0x201) {
        let mut file = good();
        for (at, byte) in changes {
            file[at] = byte;
        }
        if let Ok(program) = Program::parse(&file[..length]) {
            for segment in program.segments() {
                prop_assert!(segment.address.checked_add(segment.length).is_some());
                prop_assert!(segment.bytes.len() as u64 <= segment.length);
            }
        }
    }
}
