//! Unix sockets, stream and sequenced packets, blocking: the kernel copies in, copies out and wakes.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use zerocopy::IntoBytes;

use crate::link::{Link, LinkError, PATIENCE, fill, sum};

/// The two ends of a new connection of `kind`.
///
/// # Errors
/// What the system said.
pub fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    let (first, second) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    for end in [&first, &second] {
        set_socket_timeout(end, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(end, Timeout::Send, Some(PATIENCE))?;
    }
    Ok((first, second))
}

/// A stream socket and the buffer that it sends from and receives into.
pub struct Stream {
    socket: UnixStream,
    payload: Vec<u64>,
}

impl Stream {
    /// An end of a connection for messages of `bytes`.
    pub fn new(socket: OwnedFd, bytes: usize) -> Self {
        Self { socket: socket.into(), payload: vec![0; bytes / 8] }
    }
}

impl Link for Stream {
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        fill(&mut self.payload, stamp);
        Ok(self.socket.write_all(self.payload.as_bytes())?)
    }

    fn receive(&mut self) -> Result<u64, LinkError> {
        self.socket.read_exact(self.payload.as_mut_bytes())?;
        Ok(sum(&self.payload))
    }
}

/// A sequenced-packet socket and the buffer that it sends from and receives into.
pub struct Packets {
    socket: OwnedFd,
    payload: Vec<u64>,
}

impl Packets {
    /// An end of a connection for messages of `bytes`.
    pub fn new(socket: OwnedFd, bytes: usize) -> Self {
        Self { socket, payload: vec![0; bytes / 8] }
    }
}

impl Link for Packets {
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        fill(&mut self.payload, stamp);
        let sent =
            send(&self.socket, self.payload.as_bytes(), SendFlags::NOSIGNAL).map_err(io::Error::from)?;
        if sent == self.payload.len() * 8 { Ok(()) } else { Err(LinkError::Altered) }
    }

    fn receive(&mut self) -> Result<u64, LinkError> {
        let bytes = self.payload.as_mut_bytes();
        let expected = bytes.len();
        let (received, _) = recv(&self.socket, bytes, RecvFlags::empty()).map_err(io::Error::from)?;
        match received {
            0 => Err(LinkError::Disconnected),
            n if n == expected => Ok(sum(&self.payload)),
            _ => Err(LinkError::Altered),
        }
    }
}
