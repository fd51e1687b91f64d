//! Any bytes as a program.
#![no_main]

use feuerbird_boot::elf::Program;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(program) = Program::parse(data) else { return };
    for segment in program.segments() {
        assert!(segment.length > 0 && segment.bytes.len() as u64 <= segment.length);
        assert!(segment.address.checked_add(segment.length).is_some());
    }
});
