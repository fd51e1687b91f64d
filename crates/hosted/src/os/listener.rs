//! A place in the file system where programs find their supervisor.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with},
};

use super::{death, socket::Socket};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why nobody listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ListenError {
    /// A supervisor lives there.
    #[error("another supervisor listens there; stop it or choose another path")]
    Busy,
    /// There is a file that is not a socket.
    #[error("a file that is not a socket is in the way; remove it or choose another path")]
    NotSocket,
    /// Something else, such as a folder that does not exist, or a path of more than 107 bytes.
    #[error("socket could not be made there ({0}); choose another path")]
    Os(Errno),
}

/// A socket with a path, for its owner alone (mode 0600) unless opened to all. The path goes away with it.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of the path that we made, so that drop does not remove a successor's.
    identity: (u64, u64),
}

impl Listener {
    /// Listens on `path`. A socket that a killed supervisor left behind is replaced.
    ///
    /// Two supervisors that start in the same moment over the same leftover may both succeed, and the later one is found.
    ///
    /// # Errors
    /// Any [`ListenError`].
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let address = SocketAddrUnix::new(path)?;
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        remove_stale(path)?;
        bind(&fd, &address).map_err(|error| match error {
            Errno::ADDRINUSE => ListenError::Busy,
            other => ListenError::Os(other),
        })?;
        let metadata = fs::symlink_metadata(path)?;
        let listener = Self { fd, path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
        // Nobody can connect before `listen`, so there is no moment at which others might.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listen(&listener.fd, BACKLOG)?;
        Ok(listener)
    }

    /// Lets every user connect (mode 0666). Who is let in is for whoever accepts to say, by [`Socket::peer`].
    ///
    /// # Errors
    /// When the path is gone, or somebody else's.
    pub fn open_to_all(&self) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o666))
    }

    /// Accepts a connection, and waits for one.
    ///
    /// # Errors
    /// When this process has too many open files, or the connection went away.
    pub fn accept(&self) -> io::Result<Socket> {
        let fd = rustix::io::retry_on_intr(|| accept_with(&self.fd, SocketFlags::CLOEXEC))?;
        Socket::with_credentials(fd)
    }

    /// Accepts a connection, and waits for one no longer than `timeout`; `None` when there is none.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<Option<Socket>> {
        if death::readable(&self.fd, Some(timeout))? { self.accept().map(Some) } else { Ok(None) }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // Failing leaves a stale socket, which the next supervisor replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl From<Errno> for ListenError {
    fn from(error: Errno) -> Self {
        Self::Os(error)
    }
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        Self::Os(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// Removes a socket on which nobody listens.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotSocket);
    }
    match Socket::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also `EPROTOTYPE`: a socket of another kind lives there.
        _ => Err(ListenError::Busy),
    }
}
