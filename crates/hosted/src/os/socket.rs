//! Messages between a program and its supervisor: one record, a little payload, at most two descriptors.
//!
//! `SOCK_SEQPACKET` keeps messages whole and in order, and the kernel adds who sent each one. The other side may be
//! hostile: a message of a wrong size, or with too many descriptors, is an error, and no descriptor of it stays open.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, connect, sendmsg, socket_with, socketpair, sockopt,
    },
};

pub use super::listener::{ListenError, Listener};
use super::{ancillary, death};

/// Size of the record each message starts with.
pub const RECORD_BYTES: usize = 64;
/// Most bytes that follow a record.
pub const PAYLOAD_BYTES: usize = 960;
/// Most descriptors in a message.
pub const MAX_FDS: usize = 2;

const MESSAGE_BYTES: usize = RECORD_BYTES + PAYLOAD_BYTES;

/// Who sent a message, or who is at the other end; the kernel's word, not the sender's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// Process, as seen from here.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A received message.
#[derive(Debug)]
pub struct Message {
    /// A record at least.
    bytes: Box<[u8]>,
    /// The descriptors that came with it, close-on-exec. Take them out, or they close with the message.
    pub fds: [Option<OwnedFd>; MAX_FDS],
    /// The sender; `None` when it has no pid here (another pid namespace) or when the receiver did not ask yet.
    pub sender: Option<Credentials>,
    /// Whether descriptors came along for which this process had no room (RLIMIT_NOFILE): not the sender's fault. None
    /// of them is in `fds`.
    pub has_lost_descriptors: bool,
}

impl Message {
    /// The record.
    pub fn record(&self) -> &[u8; RECORD_BYTES] {
        self.bytes.first_chunk().expect("a message has a record")
    }

    /// Closes what came along.
    pub(crate) fn lose_descriptors(&mut self) {
        self.has_lost_descriptors |= self.fds.iter_mut().filter_map(Option::take).count() > 0;
    }

    /// What follows the record.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[RECORD_BYTES..]
    }
}

/// Why a message was not sent. None of it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The caller gave more than [`PAYLOAD_BYTES`] bytes.
    #[error("payload is longer than a message takes")]
    PayloadTooLong,
    /// The caller gave more than [`MAX_FDS`] descriptors.
    #[error("more descriptors than a message takes")]
    TooManyDescriptors,
    /// The receiver does not keep up; try again later. Only from [`Socket::try_send`].
    #[error("socket is full")]
    Full,
    /// Too many sent descriptors are not yet received (the limit is RLIMIT_NOFILE).
    #[error("too many descriptors are under way")]
    TooManyInFlight,
    /// The system has no memory for the message.
    #[error("no memory is left for the message")]
    NoMemory,
    /// The other end is closed.
    #[error("peer has closed the socket")]
    Closed,
    /// Something else.
    #[error("message could not be sent ({0})")]
    Os(Errno),
}

/// Why no message was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReceiveError {
    /// There is none (yet). From [`Socket::try_receive`] and [`Socket::receive_timeout`].
    #[error("no message is waiting")]
    Empty,
    /// The other end is closed, and everything it sent was received.
    #[error("peer has closed the socket")]
    Closed,
    /// Peer misbehaved: less than a record. The message is gone, its descriptors are closed.
    #[error("peer sent a message shorter than a record")]
    TooShort,
    /// Peer misbehaved: more than record and payload. The message is gone, its descriptors are closed.
    #[error("peer sent a message longer than record and payload")]
    TooLong,
    /// Peer misbehaved: more than [`MAX_FDS`] descriptors. The message is gone, its descriptors are closed.
    #[error("peer sent more descriptors than a message takes")]
    TooManyDescriptors,
    /// Something else.
    #[error("message could not be received ({0})")]
    Os(Errno),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Makes two connected ends.
    ///
    /// [`peer`](Self::peer) of both is this process, even when one end is sent elsewhere: there, go by
    /// [`Message::sender`].
    ///
    /// # Errors
    /// When this process or the system has too many open files.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::with_credentials(one)?, Self::with_credentials(other)?))
    }

    /// Connects to a [`Listener`].
    ///
    /// # Errors
    /// `NotFound` and `ConnectionRefused`: no supervisor listens there; start one. `PermissionDenied`: it is somebody
    /// else's.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let socket = Self::with_credentials(fd)?;
        connect(&socket.0, &address)?;
        Ok(socket)
    }

    /// Takes a descriptor that was inherited or received.
    ///
    /// # Errors
    /// `InvalidInput` when it is not a Unix socket of this kind.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Self::check(fd.as_fd())?;
        Self::with_credentials(fd)
    }

    /// Whether a descriptor is a Unix socket of this kind.
    pub(super) fn check(fd: BorrowedFd<'_>) -> io::Result<()> {
        let is_unix = sockopt::socket_domain(fd)? == AddressFamily::UNIX;
        let is_ours = is_unix && sockopt::socket_type(fd)? == SocketType::SEQPACKET;
        if is_ours { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    pub(super) fn with_credentials(fd: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_passcred(&fd, true)?;
        Ok(Self(fd))
    }

    /// Sends a message, and waits for room. A supervisor uses [`try_send`](Self::try_send) instead.
    ///
    /// # Errors
    /// Any [`SendError`] but `Full`.
    pub fn send(
        &self,
        record: &[u8; RECORD_BYTES],
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        self.send_with(record, payload, fds, SendFlags::NOSIGNAL)
    }

    /// Sends a message if there is room for it.
    ///
    /// # Errors
    /// Any [`SendError`].
    pub fn try_send(
        &self,
        record: &[u8; RECORD_BYTES],
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        self.send_with(record, payload, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    fn send_with(
        &self,
        record: &[u8; RECORD_BYTES],
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> Result<(), SendError> {
        if payload.len() > PAYLOAD_BYTES {
            return Err(SendError::PayloadTooLong);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if fds.len() > MAX_FDS || (!fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds))) {
            return Err(SendError::TooManyDescriptors);
        }
        let parts = [IoSlice::new(record), IoSlice::new(payload)];
        let sent = rustix::io::retry_on_intr(|| sendmsg(&self.0, &parts, &mut control, flags));
        sent.map(drop).map_err(SendError::from)
    }

    /// Receives a message, and waits for one.
    ///
    /// # Errors
    /// Any [`ReceiveError`] but `Empty`. After one that blames the peer the socket can be used further.
    pub fn receive(&self) -> Result<Message, ReceiveError> {
        self.receive_with(0)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// Any [`ReceiveError`].
    pub fn try_receive(&self) -> Result<Message, ReceiveError> {
        self.receive_with(libc::MSG_DONTWAIT)
    }

    /// Receives a message, and waits for one no longer than `timeout`.
    ///
    /// # Errors
    /// Any [`ReceiveError`].
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Message, ReceiveError> {
        death::readable(&self.0, Some(timeout)).map_err(ReceiveError::from)?;
        self.try_receive()
    }

    fn receive_with(&self, flags: i32) -> Result<Message, ReceiveError> {
        let mut bytes = [0; MESSAGE_BYTES];
        let received = loop {
            match ancillary::receive(self.0.as_fd(), &mut bytes, flags) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        // An empty message brings its sender's credentials, the end of the stream brings nothing.
        if received.bytes == 0 && !received.has_control {
            return Err(ReceiveError::Closed);
        }
        // From here on returning drops `received`, and with it closes what came along.
        if received.is_truncated {
            return Err(ReceiveError::TooLong);
        }
        // Linux hands out what there is room for, here and in our descriptor table, and says that it cut the rest off.
        if received.is_control_truncated && received.fds.iter().all(Option::is_some) {
            return Err(ReceiveError::TooManyDescriptors);
        }
        let has_lost_descriptors = received.is_control_truncated;
        let fds = if has_lost_descriptors { [const { None }; MAX_FDS] } else { received.fds };
        if received.bytes < RECORD_BYTES {
            return Err(ReceiveError::TooShort);
        }
        let bytes = bytes[..received.bytes].into();
        Ok(Message { bytes, fds, sender: received.sender, has_lost_descriptors })
    }

    /// Has the socket hold no more than about so many messages that this end sends and the other one does not take.
    ///
    /// # Errors
    /// What Linux says, which has no reason to.
    pub fn hold_at_most(&self, messages: usize) -> io::Result<()> {
        // What Linux charges for a message of a record, half of it: it doubles what is asked for.
        const CHARGED: usize = 768 / 2;
        Ok(sockopt::set_socket_send_buffer_size(&self.0, messages * CHARGED)?)
    }

    /// Who was at the other end when it was connected.
    ///
    /// # Errors
    /// When the peer has no pid here (another pid namespace).
    pub fn peer(&self) -> io::Result<Credentials> {
        ancillary::peer(self.0.as_fd())?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A pidfd of the process that was at the other end when it was connected; without a race on kernels from 6.5 on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peer_process(&self) -> io::Result<OwnedFd> {
        if let Some(raw) = ancillary::peer_pidfd(self.0.as_fd())? {
            return Ok(raw);
        }
        death::open(self.peer()?.pid)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

impl From<Errno> for SendError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AGAIN => Self::Full,
            Errno::TOOMANYREFS => Self::TooManyInFlight,
            Errno::NOBUFS | Errno::NOMEM => Self::NoMemory,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            other => Self::Os(other),
        }
    }
}

impl From<Errno> for ReceiveError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AGAIN => Self::Empty,
            Errno::CONNRESET => Self::Closed,
            other => Self::Os(other),
        }
    }
}

impl From<io::Error> for ReceiveError {
    fn from(error: io::Error) -> Self {
        Self::Os(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}
