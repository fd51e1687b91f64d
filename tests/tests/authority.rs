//! No ambient authority, no more authority than a parent has, and every change of it in the audit log.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{process::Command, time::Duration};

use feuerbird::{
    Program,
    capability::{Rights, Slot},
    libos::{Authority, Error},
    prelude::{Layer, Plain, SECOND, Terms, Trust},
};
use feuerbird_abi::{AuditKind, Status};

#[test]
fn what_is_derived_never_has_more_than_its_parent() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let few = Authority::new(Rights::SEND | Rights::DERIVE | Rights::INSPECT, Trust::new(3).unwrap());
    let child = endpoint.derive(few).unwrap();
    let inspected = child.inspect().unwrap();
    assert_eq!((inspected.rights, inspected.trust.level()), (few.rights, 3));
    let more = [
        Authority::new(Rights::SEND | Rights::RECEIVE, Trust::new(3).unwrap()),
        Authority::new(Rights::SEND, Trust::new(4).unwrap()),
    ];
    for authority in more {
        assert_eq!(child.derive(authority).err(), Some(Error::Refused(Status::Escalation)), "{authority:?}");
    }
    let (other, _gate) = domain.create_domain(Trust::USER).unwrap();
    assert_eq!(
        child.grant(&other, few).err(),
        Some(Error::Refused(Status::MissingRight)),
        "it may not grant"
    );
    assert_eq!(domain.receiver::<Plain<u64>>(&child).err(), Some(Error::Refused(Status::MissingRight)));
    let forged = domain.handle(Slot { index: 77, generation: 1 });
    assert_eq!(forged.inspect().err(), Some(Error::Refused(Status::NoCapability)));
    let stale = child.slot();
    child.delete().unwrap();
    assert_eq!(domain.handle(stale).inspect().err(), Some(Error::Refused(Status::NoCapability)));
}

#[test]
fn two_sides_that_disagree_about_the_type_are_told_what_differs() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let _sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let error = domain.receiver::<Plain<u32>>(&endpoint).err().unwrap();
    assert!(matches!(error, Error::TypeMismatch(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("u32") && text.contains("u64"), "{text}");
}

#[test]
fn a_program_may_ask_for_a_stricter_layer_and_never_for_a_looser_one() {
    for (sender_wants, receiver_wants, gets) in [
        (Layer::Raw, Layer::Raw, Layer::Lite),
        (Layer::Full, Layer::Raw, Layer::Full),
        (Layer::Raw, Layer::Full, Layer::Full),
    ] {
        let domain = feuerbird::embedded().unwrap();
        let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
        let trusted = endpoint.derive(Authority::send(Trust::LIBOS)).unwrap();
        let mut receiver = domain.receiver_at_least::<Plain<u64>>(&endpoint, receiver_wants).unwrap();
        let mut sender = domain.sender_at_least::<Plain<u64>>(&trusted, sender_wants).unwrap();
        sender.send(&7).unwrap();
        assert_eq!(receiver.recv_timeout(SECOND, |value| value), Ok(7), "{sender_wants}, {receiver_wants}");
        assert_eq!((sender.layer(), receiver.layer()), (Some(gets), Some(gets)));
    }
}

#[test]
fn the_audit_log_has_every_change_of_authority() {
    let domain = feuerbird::embedded().unwrap();
    let audit = domain.audit().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let child = endpoint.derive(Authority::new(Rights::all(), Trust::KERNEL)).unwrap();
    let _receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let before = audit.read_all(1).unwrap().next;

    let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
    command.env(feuerbird_tests::numbered::ROLE_VARIABLE, "flood 1").stdout(std::process::Stdio::null());
    let mut actor = Program::new(command, Trust::USER)
        .spawn(&domain, &[(&child, Authority::send(Trust::USER).badge(42))])
        .unwrap();
    wait_for(&audit, before, AuditKind::Shared, 2);
    actor.process.kill().unwrap();
    actor.process.wait().unwrap();
    wait_for(&audit, before, AuditKind::DomainEnded, 1);
    child.revoke().unwrap();
    assert!(endpoint.derive(Authority::send(Trust::KERNEL)).is_ok());
    assert!(child.derive(Authority::send(Trust::KERNEL)).is_ok(), "the revoked one's parent stays");
    assert!(domain.handle(Slot { index: 9, generation: 9 }).inspect().is_err());

    let log = audit.read_all(before).unwrap();
    assert_eq!(log.lost, 0);
    let kinds: Vec<_> = log.records.iter().map(|record| record.kind).collect();
    let expected = [
        AuditKind::DomainCreated,
        AuditKind::Granted,
        AuditKind::Bound,
        AuditKind::Shared,
        AuditKind::DomainEnded,
        AuditKind::RevocationBegan,
        AuditKind::Derived,
        AuditKind::Refused,
    ];
    for kind in expected {
        assert!(kinds.contains(&(kind as u16)), "{kind:?} is missing in {kinds:?}");
    }
    let grant = log.records.iter().find(|record| record.kind == AuditKind::Granted as u16).unwrap();
    assert_eq!(
        (grant.detail, grant.rights),
        (42, Rights::SEND.bits()),
        "the badge and the right that were granted"
    );
    assert!(log.records.is_sorted_by_key(|record| record.sequence));
}

fn wait_for(
    audit: &feuerbird::libos::AuditLog<feuerbird::hosted::SocketGate>,
    first: u64,
    kind: AuditKind,
    count: usize,
) {
    for _ in 0..2_000 {
        let log = audit.read_all(first).unwrap();
        if log.records.iter().filter(|record| record.kind == kind as u16).count() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no {kind:?} in the log");
}
