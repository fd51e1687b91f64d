//! A place in the file system where programs find their supervisor.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
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
    /// Something else, such as a folder that does not exist, or a path of more than 107 bytes (or of more than 92 for the folder).
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
    /// Listens on `path`, which is there from the moment on when somebody listens. A socket that a killed supervisor left behind is
    /// replaced.
    ///
    /// Two supervisors that start in the same moment over the same leftover may both succeed, and the later one is found.
    ///
    /// # Errors
    /// Any [`ListenError`].
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        SocketAddrUnix::new(path)?;
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        remove_stale(path)?;
        let hidden = Hidden::beside(path);
        bind(&fd, &SocketAddrUnix::new(&hidden.0)?)?;
        let metadata = fs::symlink_metadata(&hidden.0)?;
        fs::set_permissions(&hidden.0, fs::Permissions::from_mode(0o600))?;
        listen(&fd, BACKLOG)?;
        // The name that others look for comes last, and never in the place of somebody else's.
        fs::hard_link(&hidden.0, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ListenError::Busy,
            _ => error.into(),
        })?;
        Ok(Self { fd, path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
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

/// A name for a socket until it is ready, as short as one can be. Goes away with the value.
struct Hidden(PathBuf);

impl Hidden {
    /// In the same folder; no other process and no other call has it.
    fn beside(path: &Path) -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        Self(path.with_file_name(format!(".{:x}.{call:x}", std::process::id())))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = fs::remove_file(&self.0);
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
