//! Who a domain is.

use crate::child::Image;
use crate::{demo, gate};

/// What a domain does, by the first byte of its argument; the others are the role's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// The first domain, of the demonstration.
    Demo = 0,
    /// Sends as many messages as it can.
    Producer = 2,
    /// Receives and checks them.
    Consumer = 3,
}

impl Role {
    const ALL: [Self; 3] = [Self::Demo, Self::Producer, Self::Consumer];

    /// The argument that makes a domain that.
    pub(crate) fn argument(self, own: u64) -> u64 {
        own << 8 | self as u64
    }

    fn of(argument: u64) -> Self {
        let role = Self::ALL.into_iter().find(|role| u64::from(*role as u8) == argument & 0xff);
        role.expect("the argument names a role")
    }
}

/// Where each domain begins; the first one has the program file.
pub(crate) fn main(argument: u64, file: u64, bytes: u64) -> ! {
    match Role::of(argument) {
        Role::Demo => {
            let image = Image::new(file, bytes).expect("the kernel gives the first domain the file");
            demo::run(&image)
        }
        Role::Producer => demo::produce(argument >> 8),
        Role::Consumer => demo::consume(argument >> 8),
    }
    gate::exit()
}
