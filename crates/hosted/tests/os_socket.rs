//! Messages arrive whole, with their sender, or not at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs, io,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    process,
    time::{Duration, Instant},
};

use feuerbird_hosted::os::{
    death,
    socket::{ListenError, Listener, PAYLOAD_BYTES, ReceiveError, SendError, Socket},
};

/// A path that is gone when the test is over.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("feuerbird-{name}-{}", process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn record_payload_descriptors_and_sender_arrive() {
    let (one, other) = Socket::pair().unwrap();
    let (mut read_end, write_end) = io::pipe().unwrap();
    let spare = fs::File::open("/dev/null").unwrap();
    one.send(&[7; 64], &[9; PAYLOAD_BYTES], &[write_end.as_fd(), spare.as_fd()]).unwrap();
    drop(write_end);
    let mut message = other.receive().unwrap();
    assert_eq!((message.record(), message.payload()), (&[7; 64], &[9; PAYLOAD_BYTES][..]));
    assert_eq!(message.sender.unwrap().pid, process::id());
    for fd in message.fds.iter().flatten() {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    assert!(message.fds[1].is_some());
    let pipe: OwnedFd = message.fds[0].take().unwrap();
    fs::File::from(pipe).write_all(b"through").unwrap();
    let mut text = String::new();
    read_end.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn messages_keep_their_bounds_and_order() {
    let (one, other) = Socket::pair().unwrap();
    for index in 0..5_u8 {
        one.try_send(&[index; 64], &vec![index; usize::from(index)], &[]).unwrap();
    }
    for index in 0..5_u8 {
        let message = other.try_receive().unwrap();
        assert_eq!((message.record()[0], message.payload().len()), (index, usize::from(index)));
        assert!(message.fds.iter().all(Option::is_none));
    }
    assert_eq!(other.try_receive().unwrap_err(), ReceiveError::Empty);
}

#[test]
fn too_much_is_not_sent() {
    let (one, other) = Socket::pair().unwrap();
    let fd = one.as_fd();
    assert_eq!(one.send(&[0; 64], &[0; PAYLOAD_BYTES + 1], &[]), Err(SendError::PayloadTooLong));
    assert_eq!(one.send(&[0; 64], &[], &[fd, fd, fd]), Err(SendError::TooManyDescriptors));
    assert_eq!(other.try_receive().unwrap_err(), ReceiveError::Empty);
}

#[test]
fn full_socket_says_so_and_recovers() {
    let (one, other) = Socket::pair().unwrap();
    let mut sent = 0;
    let error = loop {
        match one.try_send(&[1; 64], &[2; 900], &[]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SendError::Full);
    for _ in 0..sent {
        other.try_receive().unwrap();
    }
    assert_eq!(one.try_send(&[1; 64], &[], &[]), Ok(()));
}

#[test]
fn closed_peer_is_noticed_after_its_last_message() {
    let (one, other) = Socket::pair().unwrap();
    one.send(&[5; 64], &[], &[]).unwrap();
    drop(one);
    assert_eq!(other.receive().unwrap().record()[0], 5);
    assert_eq!(other.receive().unwrap_err(), ReceiveError::Closed);
    assert_eq!(other.send(&[0; 64], &[], &[]), Err(SendError::Closed));
}

#[test]
fn receiving_with_a_time_limit_ends() {
    let (_one, other) = Socket::pair().unwrap();
    let start = Instant::now();
    assert_eq!(other.receive_timeout(Duration::from_millis(10)).unwrap_err(), ReceiveError::Empty);
    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[test]
fn listener_is_for_its_owner_and_cleans_up() {
    let place = Place::new("listener");
    let listener = Listener::bind(&place.0).unwrap();
    assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_none());
    let client = Socket::connect(&place.0).unwrap();
    let server = listener.accept().unwrap();
    client.send(&[3; 64], b"hello", &[]).unwrap();
    let message = server.receive().unwrap();
    assert_eq!(message.sender.unwrap().pid, process::id());
    assert_eq!(server.peer().unwrap().pid, process::id());
    assert!(!death::is_dead(server.peer_process().unwrap()).unwrap());
    drop(listener);
    assert!(!place.0.exists());
    assert_eq!(Socket::connect(&place.0).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn who_sees_the_path_of_a_listener_can_connect() {
    let place = Place::new("early");
    for round in 0..200 {
        let path = place.0.clone();
        let client = std::thread::spawn(move || {
            while fs::symlink_metadata(&path).is_err() {
                std::hint::spin_loop();
            }
            Socket::connect(&path).map(drop)
        });
        let listener = Listener::bind(&place.0).unwrap();
        assert!(client.join().unwrap().is_ok(), "round {round}");
        drop(listener);
    }
}

#[test]
fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let place = Place::new("stale");
    let other = Place::new("stale-moved");
    let first = Listener::bind(&place.0).unwrap();
    assert_eq!(Listener::bind(&place.0).unwrap_err(), ListenError::Busy);
    // What kill -9 leaves behind: a path on which nobody listens.
    fs::hard_link(&place.0, &other.0).unwrap();
    drop(first);
    fs::rename(&other.0, &place.0).unwrap();
    assert_eq!(Socket::connect(&place.0).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let second = Listener::bind(&place.0).unwrap();
    assert!(Socket::connect(&place.0).is_ok());
    drop(second);

    let _of_another_kind = UnixListener::bind(&place.0).unwrap();
    assert_eq!(Listener::bind(&place.0).unwrap_err(), ListenError::Busy);
}

#[test]
fn a_file_in_the_way_stays() {
    let place = Place::new("file");
    fs::write(&place.0, "precious").unwrap();
    assert_eq!(Listener::bind(&place.0).unwrap_err(), ListenError::NotSocket);
    assert_eq!(fs::read_to_string(&place.0).unwrap(), "precious");
    let long = std::env::temp_dir().join("x".repeat(120));
    assert!(matches!(Listener::bind(&long).unwrap_err(), ListenError::Os(_)));
}

#[test]
fn only_sockets_of_this_kind_are_taken() {
    let (pipe, _end) = io::pipe().unwrap();
    assert!(Socket::from_fd(pipe.into()).is_err());
    let (stream, _end) = UnixStream::pair().unwrap();
    assert!(Socket::from_fd(stream.into()).is_err());
    let (ours, _end) = Socket::pair().unwrap();
    assert!(Socket::from_fd(ours.into()).is_ok());
}
