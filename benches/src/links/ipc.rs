//! `ipc-channel`, Servo's channel of bytes over Unix sockets, blocking.

use std::io;

use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel};
use zerocopy::{FromBytes, IntoBytes};

use crate::link::{Link, LinkError, fill, sum};

type Ends = (IpcBytesSender, IpcBytesReceiver);

/// A connection in each direction, and the buffer that it sends from.
pub struct IpcChannel {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
    payload: Vec<u64>,
}

/// Waits for the other process.
pub struct Pending(IpcOneShotServer<Ends>);

/// Opens the meeting point and returns its name.
///
/// # Errors
/// What the system said.
pub fn host() -> io::Result<(Pending, String)> {
    let (server, name) = IpcOneShotServer::new()?;
    Ok((Pending(server), name))
}

impl Pending {
    /// The measuring side, once the other process has called [`join`].
    ///
    /// # Errors
    /// [`LinkError::Disconnected`] where it never came.
    pub fn accept(self, bytes: usize) -> Result<IpcChannel, LinkError> {
        let (_, ends) = self.0.accept().map_err(|_| LinkError::Disconnected)?;
        Ok(IpcChannel::new(ends, bytes))
    }
}

/// The answering side of the meeting point `name`.
///
/// # Errors
/// What the system said.
pub fn join(name: &str, bytes: usize) -> Result<IpcChannel, LinkError> {
    let (to_first, from_second) = bytes_channel()?;
    let (to_second, from_first) = bytes_channel()?;
    let server = IpcSender::<Ends>::connect(name.to_owned())?;
    server.send((to_second, from_second)).map_err(|_| LinkError::Disconnected)?;
    Ok(IpcChannel::new((to_first, from_first), bytes))
}

impl IpcChannel {
    fn new((sender, receiver): Ends, bytes: usize) -> Self {
        Self { sender, receiver, payload: vec![0; bytes / 8] }
    }
}

impl Link for IpcChannel {
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        fill(&mut self.payload, stamp);
        Ok(self.sender.send(self.payload.as_bytes())?)
    }

    fn receive(&mut self) -> Result<u64, LinkError> {
        let bytes = self.receiver.recv().map_err(|_| LinkError::Disconnected)?;
        if bytes.len() != self.payload.len() * 8 {
            return Err(LinkError::Altered);
        }
        // The allocator aligns a block of this size; a copy would be a cost that is not ipc-channel's.
        <[u64]>::ref_from_bytes(&bytes).map(sum).map_err(|_| LinkError::Altered)
    }
}
