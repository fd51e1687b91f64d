//! A client of the emulator's debugging stub, no larger than stepping needs.
//!
//! The protocol is that of GDB's manual, "Remote Protocol". The stub talks over the emulator's standard streams, so that there is no
//! port that another run may have.

use std::io::{self, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};

/// Registers by their numbers in the protocol.
#[derive(Clone, Copy)]
pub(crate) enum Register {
    Rcx = 2,
    Rdx = 3,
    Rsi = 4,
    Rdi = 5,
    Rip = 16,
}

/// The other end; the machine stands still whenever nobody waits for it.
pub(crate) struct Stub {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// Whether the machine is still there after it has run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Stopped,
    Ended,
}

impl Stub {
    pub(crate) fn new(to: ChildStdin, from: ChildStdout) -> io::Result<Self> {
        let mut stub = Self { to, from: BufReader::new(from) };
        // QEMU tells single registers only to who has asked what there are.
        stub.ask("qXfer:features:read:target.xml:0,800")?;
        // A step takes no interrupt, and time goes on: without the second, timers that are due meanwhile would never come.
        stub.ask("Qqemu.sstep=3")?;
        Ok(stub)
    }

    /// Makes the machine stop before the instruction at an address, whatever address space is in use.
    pub(crate) fn stop_at(&mut self, address: u64) -> io::Result<()> {
        let answer = self.ask(&format!("Z0,{address:x},1"))?;
        if answer == "OK" { Ok(()) } else { Err(garbled(&answer)) }
    }

    /// Runs until it stops.
    pub(crate) fn go_on(&mut self) -> io::Result<Stop> {
        self.run("c")
    }

    /// Executes one instruction. The emulator holds interrupts back meanwhile, unless it is told otherwise.
    pub(crate) fn step(&mut self) -> io::Result<Stop> {
        self.run("s")
    }

    fn run(&mut self, how: &str) -> io::Result<Stop> {
        match self.ask(how) {
            Ok(answer) if answer.starts_with(['T', 'S']) => Ok(Stop::Stopped),
            Ok(answer) if answer.starts_with(['W', 'X']) => Ok(Stop::Ended),
            Ok(answer) => Err(garbled(&answer)),
            // The exit device ends the emulator without a word.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) =>
            {
                Ok(Stop::Ended)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn register(&mut self, register: Register) -> io::Result<u64> {
        let bytes = self.hex(&format!("p{:x}", register as u8))?;
        let bytes = bytes.try_into().map_err(|_| garbled("a register that is not of 8 bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads memory of the address space in use.
    pub(crate) fn memory(&mut self, address: u64, length: u64) -> io::Result<Vec<u8>> {
        self.hex(&format!("m{address:x},{length:x}"))
    }

    fn hex(&mut self, question: &str) -> io::Result<Vec<u8>> {
        let answer = self.ask(question)?;
        from_hex(&answer).ok_or_else(|| garbled(&answer))
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.to.write_all(packet(question).as_bytes())?;
        self.to.flush()?;
        while self.byte()? != b'$' {}
        let mut answer = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => answer.push(byte),
            }
        }
        // A pipe loses nothing: the sum, of two digits, says what is known.
        self.byte()?;
        self.byte()?;
        self.to.write_all(b"+")?;
        String::from_utf8(answer).map_err(|_| garbled("no text"))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.from.read_exact(&mut byte)?;
        Ok(byte[0])
    }
}

fn packet(text: &str) -> String {
    let sum = text.bytes().fold(0_u8, u8::wrapping_add);
    format!("${text}#{sum:02x}")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn garbled(answer: &str) -> io::Error {
    io::Error::other(format!("the emulator's stub answered '{answer}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_sum_and_bytes_come_in_pairs() {
        assert_eq!(packet("OK"), "$OK#9a");
        assert_eq!(from_hex("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(from_hex("E1x"), None);
    }
}
