//! The transports that run between two processes, by name, and how the two sides of each meet.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use clap::ValueEnum;
use feuerbird_capability::Trust;
use rustix::net::SocketType;

use crate::link::{Link, LinkError};
use crate::links::lane::{Halves, Lanes, Sleeping, encoded};
use crate::links::limit::{Ends, Side};
use crate::links::socket::{Packets, Stream, pair};
use crate::links::{iceoryx, ipc};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Ours: a lane, as bytes, copied out before use.
    LaneCopied,
    /// Ours: a lane, as bytes, read in place from a peer that is vouched for.
    LaneInPlace,
    /// Ours: the typed endpoints, trust 0xE, layer Raw, in place.
    TypedRaw,
    /// Ours: the typed endpoints, trust 0x8, layer Lite, copied in and checked.
    TypedLite,
    /// Ours: the typed endpoints, trust 0x0, layer Full, copied in and checked.
    TypedFull,
    /// As `TypedRaw`, sleeping in the kernel.
    TypedRawSleeping,
    /// As `TypedLite`, sleeping in the kernel.
    TypedLiteSleeping,
    /// As `TypedFull`, sleeping in the kernel.
    TypedFullSleeping,
    /// The limit ring, both sides spinning, read in place.
    Limit,
    /// The limit ring, copied out before use.
    LimitCopied,
    /// The limit ring, sleeping in the kernel.
    LimitSleeping,
    /// iceoryx2 publish-subscribe, polled.
    Iceoryx2,
    /// ipc-channel, bytes.
    IpcChannel,
    /// A Unix stream socket.
    UnixStream,
    /// A Unix sequenced-packet socket.
    UnixSeqpacket,
}

/// What the answering process is started with.
pub struct Offer {
    /// Its standard input: the shared memory or the socket.
    pub stdin: Stdio,
    /// The name of the meeting point, where the transport has one.
    pub name: String,
    /// Completes the measuring side, after the answering process was started.
    pub open: Box<dyn FnOnce() -> Result<Box<dyn Link>, LinkError>>,
}

impl Transport {
    /// The name used in rows.
    pub fn label(self) -> &'static str {
        match self {
            Self::LaneCopied => "lane, any trust, copied out",
            Self::LaneInPlace => "lane, trusted, in place",
            Self::TypedRaw | Self::TypedRawSleeping => "typed, trust 0xE (Raw)",
            Self::TypedLite | Self::TypedLiteSleeping => "typed, trust 0x8 (Lite)",
            Self::TypedFull | Self::TypedFullSleeping => "typed, trust 0x0 (Full)",
            Self::Limit => "limit ring, spinning",
            Self::LimitCopied => "limit ring + copy-out",
            Self::LimitSleeping => "limit ring, sleeping",
            Self::Iceoryx2 => "iceoryx2 publish-subscribe, polled",
            Self::IpcChannel => "ipc-channel bytes",
            Self::UnixStream => "unix stream socket",
            Self::UnixSeqpacket => "unix seqpacket socket",
        }
    }

    /// Whether messages of `bytes` fit: a packet must fit into the socket's buffer, which is 208 KiB by default.
    pub fn carries(self, bytes: usize) -> bool {
        self != Self::UnixSeqpacket || bytes <= 128 << 10
    }

    /// Prepares the measuring side of a connection for messages of `bytes`; `serial` makes its name unique in this process.
    ///
    /// # Errors
    /// What the system or the transport said.
    pub fn offer(self, bytes: usize, serial: u32) -> Result<Offer, LinkError> {
        let owner = std::process::id();
        match self {
            Self::Limit | Self::LimitCopied | Self::LimitSleeping => {
                let (fd, ends) = Ends::create(bytes)?;
                let link = self.on_ring(ends, bytes);
                Ok(Offer::with(Stdio::from(fd), String::new(), move || Ok(link)))
            }
            _ if self.is_ours() => {
                let (ours, theirs) = pair(SocketType::SEQPACKET)?;
                let halves = self.halves(ours, bytes)?;
                Ok(Offer::with(Stdio::from(theirs), String::new(), move || {
                    self.on_lanes(halves.attach()?, bytes)
                }))
            }
            Self::Iceoryx2 => {
                let name = format!("feuerbird/{owner}/{serial}");
                let link = iceoryx::open(&name, owner, bytes, Side::First)?;
                Ok(Offer::with(Stdio::null(), name, move || Ok(Box::new(link) as Box<dyn Link>)))
            }
            Self::IpcChannel => {
                let (pending, name) = ipc::host()?;
                Ok(Offer::with(Stdio::null(), name, move || {
                    Ok(Box::new(pending.accept(bytes)?) as Box<dyn Link>)
                }))
            }
            Self::UnixStream => {
                let (ours, theirs) = pair(SocketType::STREAM)?;
                let link = Box::new(Stream::new(ours, bytes));
                Ok(Offer::with(Stdio::from(theirs), String::new(), move || Ok(link as Box<dyn Link>)))
            }
            _ => {
                let (ours, theirs) = pair(SocketType::SEQPACKET)?;
                let link = Box::new(Packets::new(ours, bytes));
                Ok(Offer::with(Stdio::from(theirs), String::new(), move || Ok(link as Box<dyn Link>)))
            }
        }
    }

    /// The answering side, in the process that was started with an [`Offer`] by process `owner`.
    ///
    /// # Errors
    /// What the system or the transport said.
    pub fn join(self, name: &str, owner: u32, bytes: usize) -> Result<Box<dyn Link>, LinkError> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(match self {
            Self::Limit | Self::LimitCopied | Self::LimitSleeping => {
                self.on_ring(Ends::attach(stdin, bytes)?, bytes)
            }
            Self::Iceoryx2 => Box::new(iceoryx::open(name, owner, bytes, Side::Second)?),
            Self::IpcChannel => Box::new(ipc::join(name, bytes)?),
            Self::UnixStream => Box::new(Stream::new(stdin, bytes)),
            Self::UnixSeqpacket => Box::new(Packets::new(stdin, bytes)),
            _ => self.on_lanes(self.halves(stdin, bytes)?.attach()?, bytes)?,
        })
    }

    /// Whether it is ours.
    fn is_ours(self) -> bool {
        matches!(self, Self::LaneCopied | Self::LaneInPlace) || self.trust().is_some()
    }

    /// How far each side trusts the other, for the typed endpoints.
    fn trust(self) -> Option<Trust> {
        match self {
            Self::TypedRaw | Self::TypedRawSleeping => Some(Trust::BASE),
            Self::TypedLite | Self::TypedLiteSleeping => Some(Trust::LIBOS),
            Self::TypedFull | Self::TypedFullSleeping => Some(Trust::USER),
            _ => None,
        }
    }

    fn halves(self, socket: OwnedFd, bytes: usize) -> Result<Halves, LinkError> {
        Halves::send(socket, bytes, self.trust().map_or(bytes, |trust| encoded(bytes, trust)))
    }

    fn on_lanes(self, lanes: Lanes, bytes: usize) -> Result<Box<dyn Link>, LinkError> {
        let Some(trust) = self.trust() else {
            return Ok(if self == Self::LaneCopied {
                Box::new(lanes.copied())
            } else {
                Box::new(lanes.in_place())
            });
        };
        let typed = lanes.typed(Lanes::terms(bytes, trust)?, trust);
        Ok(match self {
            Self::TypedRaw | Self::TypedLite | Self::TypedFull => Box::new(typed),
            _ => Box::new(Sleeping::new(typed)),
        })
    }

    fn on_ring(self, ends: Ends, bytes: usize) -> Box<dyn Link> {
        match self {
            Self::LimitCopied => Box::new(ends.copying(bytes)),
            Self::LimitSleeping => Box::new(ends.sleeping()),
            _ => Box::new(ends.spinning()),
        }
    }
}

impl Offer {
    fn with(
        stdin: Stdio,
        name: String,
        open: impl FnOnce() -> Result<Box<dyn Link>, LinkError> + 'static,
    ) -> Self {
        Self { stdin, name, open: Box::new(open) }
    }
}
