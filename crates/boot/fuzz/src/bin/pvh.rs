//! Any bytes as memory with a start info at its beginning.
#![no_main]

use feuerbird_boot::pvh::{COMMAND_LINE_BYTES, StartInfo};
use feuerbird_boot_fuzz::{BASE, Memory, check};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let memory = Memory(data);
    let Ok(info) = StartInfo::read(&memory, BASE) else { return };
    info.memory().chain(info.modules()).for_each(check);
    assert!(info.command_line().len() <= COMMAND_LINE_BYTES);
});
