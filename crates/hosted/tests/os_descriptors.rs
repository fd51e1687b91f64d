//! Hostile messages are refused and leak nothing. One test, because it counts the descriptors of its process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::{self, File},
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
};

use feuerbird_hosted::os::socket::{ReceiveError, Socket};
use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg, sockopt::set_socket_passcred},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Sends what no honest program sends.
fn send_raw(socket: &Socket, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn hostile_messages_are_refused_without_a_leak() {
    let (hostile, ours) = Socket::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let fds = [file.as_fd(); 253];
    let before = open_descriptors();
    let cases = [
        (0, 0, ReceiveError::TooShort),
        (1, 0, ReceiveError::TooShort),
        (63, 2, ReceiveError::TooShort),
        (0, 2, ReceiveError::TooShort),
        (1025, 0, ReceiveError::TooLong),
        (60_000, 2, ReceiveError::TooLong),
        (64, 3, ReceiveError::TooManyDescriptors),
        (1024, 253, ReceiveError::TooManyDescriptors),
        (63, 253, ReceiveError::TooManyDescriptors),
        (2000, 253, ReceiveError::TooLong),
    ];
    for (bytes, count, expected) in cases {
        send_raw(&hostile, &vec![0; bytes], &fds[..count]);
        assert_eq!(ours.try_receive().unwrap_err(), expected, "{bytes} bytes, {count} descriptors");
        assert_eq!(open_descriptors(), before, "{bytes} bytes, {count} descriptors");
    }
    // The socket is still good.
    send_raw(&hostile, &[1; 64], &fds[..2]);
    let message = ours.try_receive().unwrap();
    assert_eq!(open_descriptors(), before + 2);
    drop(message);
    assert_eq!(open_descriptors(), before);

    // Without credentials there is room for more descriptors than a message has: they are closed all the same.
    set_socket_passcred(&ours, false).unwrap();
    set_socket_passcred(&hostile, false).unwrap();
    send_raw(&hostile, &[1; 64], &fds[..3]);
    assert_eq!(ours.try_receive().unwrap_err(), ReceiveError::TooManyDescriptors);
    assert_eq!(open_descriptors(), before);
    set_socket_passcred(&ours, true).unwrap();

    full_table_loses_the_descriptors_only(&hostile, &ours);
    assert_eq!(open_descriptors(), before);

    // What was sent and never received goes with the socket.
    send_raw(&hostile, &[1; 64], &fds);
    drop((hostile, ours));
    assert_eq!(open_descriptors(), before - 2);
}

fn full_table_loses_the_descriptors_only(hostile: &Socket, ours: &Socket) {
    let file = File::open("/dev/null").unwrap();
    send_raw(hostile, &[1; 64], &[file.as_fd(), file.as_fd()]);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
    let received = ours.try_receive();
    setrlimit(Resource::Nofile, limit).unwrap();
    let message = received.unwrap();
    assert!(message.has_lost_descriptors && message.fds.iter().all(Option::is_none));
    assert_eq!(message.record(), &[1; 64], "the message itself arrives: its sender can be answered");
}
