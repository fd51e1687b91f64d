//! Who a worker is.

/// Which side of the channel a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends.
    Producer,
    /// Receives.
    Consumer,
}

impl Role {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// How many bitmaps its report has.
    pub fn bitmaps(self, producers: usize) -> usize {
        if self == Self::Consumer { producers } else { 0 }
    }
}
