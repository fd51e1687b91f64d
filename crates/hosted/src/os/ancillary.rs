//! What the kernel tells beside the bytes of a message: descriptors and credentials.
//!
//! By `libc`, not `rustix`: a peer in another pid namespace has pid 0 here, which rustix's type for credentials cannot
//! hold, so that a message from there would be undefined behaviour.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::io::Errno;

use super::socket::{Credentials, MAX_FDS};

/// Room for the credentials and [`MAX_FDS`] descriptors. With more the kernel hands out what fits and says "truncated".
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

const CONTROL_BYTES: usize = {
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    let bytes = unsafe {
        libc::CMSG_SPACE(size_of::<libc::ucred>() as u32)
            + libc::CMSG_SPACE((MAX_FDS * size_of::<RawFd>()) as u32)
    };
    bytes as usize
};

/// What came. Dropping it closes the descriptors.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: usize,
    pub(super) fds: [Option<OwnedFd>; MAX_FDS],
    pub(super) sender: Option<Credentials>,
    pub(super) has_control: bool,
    pub(super) is_truncated: bool,
    pub(super) is_control_truncated: bool,
}

/// `recvmsg`, with every descriptor that came owned before anything is judged.
pub(super) fn receive(socket: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> Result<Received, Errno> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: a msghdr is integers and pointers; all zero is "nothing".
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES;
    // SAFETY: `header` describes one buffer and one control area, both alive, writable, and as long as it says.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags | libc::MSG_CMSG_CLOEXEC) };
    let bytes = usize::try_from(bytes).map_err(|_| last_errno())?;
    let mut received = Received {
        bytes,
        fds: [const { None }; MAX_FDS],
        sender: None,
        has_control: header.msg_controllen > 0,
        is_truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        is_control_truncated: header.msg_flags & libc::MSG_CTRUNC != 0,
    };
    // SAFETY: the kernel has just filled `header` and the control area it points to.
    unsafe { received.take_control(&header) };
    Ok(received)
}

impl Received {
    /// # Safety
    /// `recvmsg` has filled `header`, its control area is alive, and nobody took the descriptors in it yet.
    unsafe fn take_control(&mut self, header: &libc::msghdr) {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR walk the control area that the kernel filled (caller's duty), and yield
        // null or a whole header inside it. The data of a message has `cmsg_len - CMSG_LEN(0)` bytes, of the type that
        // level and type say, not aligned. Each descriptor in SCM_RIGHTS is new and ours, and is taken once.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while let Some(head) = message.as_ref() {
                let data = libc::CMSG_DATA(head);
                let bytes = head.cmsg_len - libc::CMSG_LEN(0) as usize;
                match (head.cmsg_level, head.cmsg_type) {
                    (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                        for index in 0..bytes / size_of::<RawFd>() {
                            let raw = data.cast::<RawFd>().add(index).read_unaligned();
                            self.keep(OwnedFd::from_raw_fd(raw));
                        }
                    }
                    (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                        self.sender = credentials(data.cast::<libc::ucred>().read_unaligned());
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, head);
            }
        }
    }

    /// Keeps a descriptor, or closes it and notes that one was too many.
    fn keep(&mut self, fd: OwnedFd) {
        match self.fds.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(fd),
            None => self.is_control_truncated = true,
        }
    }
}

/// `SO_PEERCRED`; `None` when the peer has no pid here.
pub(super) fn peer(socket: BorrowedFd<'_>) -> io::Result<Option<Credentials>> {
    let mut raw = libc::ucred { pid: 0, uid: 0, gid: 0 };
    // SAFETY: `ucred` is three integers, any bits are valid.
    unsafe { option(socket, libc::SO_PEERCRED, &mut raw) }?;
    Ok(credentials(raw))
}

/// `SO_PEERPIDFD`; `None` on kernels that do not have it.
pub(super) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    const SO_PEERPIDFD: libc::c_int = 77;
    let mut raw: RawFd = -1;
    // SAFETY: an integer, any bits are valid.
    match unsafe { option(socket, SO_PEERPIDFD, &mut raw) } {
        // SAFETY: the kernel made this descriptor for this call, and gave it to nobody else.
        Ok(()) => Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
        Err(Errno::NOPROTOOPT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// # Safety
/// Every pattern of bits is a valid `T`.
unsafe fn option<T>(socket: BorrowedFd<'_>, name: libc::c_int, value: &mut T) -> Result<(), Errno> {
    let mut bytes = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has the `bytes` writable bytes that we claim, and may hold any bits afterwards (caller's duty).
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            ptr::from_mut(value).cast(),
            &raw mut bytes,
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn credentials(raw: libc::ucred) -> Option<Credentials> {
    let pid = u32::try_from(raw.pid).ok().filter(|&pid| pid != 0)?;
    Some(Credentials { pid, uid: raw.uid, gid: raw.gid })
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
