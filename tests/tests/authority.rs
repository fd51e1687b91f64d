//! No ambient authority, no more authority than a parent has, and every change of it in the audit log.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::Read,
    process::{Command, Stdio},
    time::Duration,
};

use feuerbird::{
    Domain, Program,
    capability::{Rights, Slot},
    hosted::{Child, SocketGate},
    libos::{AuditLog, Authority, DomainHandle, Error, Gate, GateError},
    prelude::{Layer, Plain, SECOND, Terms, Trust},
};
use feuerbird_abi::{AuditKind, AuditRecord, Call, PAYLOAD_BYTES, Request, Status};

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
    let granting = endpoint.derive(Authority::new(few.rights | Rights::GRANT, few.trust)).unwrap();
    for authority in more {
        let refused = granting.grant(&other, authority).err();
        assert_eq!(refused, Some(Error::Refused(Status::Escalation)), "{authority:?}");
    }
    assert!(granting.grant(&other, few).is_ok(), "as much as it has it may give");
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

/// Every set of rights against every other, and every trust against every other: what comes out is never more than what
/// went in.
#[test]
fn no_request_whatever_makes_more_authority_than_there_was() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (other, _gate) = domain.create_domain(Trust::USER).unwrap();
    let some = [Rights::SEND, Rights::RECEIVE, Rights::REVOKE, Rights::INSPECT];
    let sets = |bits: u32| {
        let chosen = some.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
        chosen.fold(Rights::DERIVE | Rights::GRANT, |rights, (_, right)| rights | *right)
    };
    let all = || (0..16).flat_map(|set| [0, 3, 8, 15].map(|trust| (sets(set), Trust::new(trust).unwrap())));
    let (mut allowed, mut refused) = (0, 0);
    for (rights, trust) in all() {
        let parent = endpoint.derive(Authority::new(rights, trust)).unwrap();
        for (wanted, wanted_trust) in all() {
            let asked = Authority::new(wanted, wanted_trust);
            let fits = rights.contains(wanted) && wanted_trust <= trust;
            let expected = if fits { None } else { Some(Error::Refused(Status::Escalation)) };
            let derived = parent.derive(asked);
            let (has, wants) = ((rights, trust), (wanted, wanted_trust));
            assert_eq!(derived.as_ref().err(), expected.as_ref(), "derive: {has:?} {wants:?}");
            assert_eq!(parent.grant(&other, asked).err(), expected, "grant: {has:?} {wants:?}");
            *(if fits { &mut allowed } else { &mut refused }) += 1;
            let Ok(child) = derived else { continue };
            match (child.inspect(), wanted.contains(Rights::INSPECT)) {
                (Ok(it), true) => assert_eq!((it.rights, it.trust), wants),
                (answer, false) => assert_eq!(answer.err(), Some(Error::Refused(Status::MissingRight))),
                (answer, true) => panic!("{answer:?}"),
            }
        }
        // What was granted goes with what was derived, so that the other one's space does not fill up.
        endpoint.revoke().unwrap();
    }
    // Of 16 sets 81 pairs are one within the other, of 4 trusts 10 pairs in order.
    assert_eq!((allowed, refused), (81 * 10, 64 * 64 - 81 * 10));
}

#[test]
fn a_program_that_was_granted_nothing_can_do_nothing_to_others() {
    const CALLS: u64 = 10_000;
    let domain = feuerbird::embedded().unwrap();
    let audit = domain.audit().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let derived = endpoint.derive(Authority::new(Rights::all(), Trust::KERNEL)).unwrap();
    let region = domain.region(4096).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let mut sender = domain.sender::<Plain<u64>>(&derived).unwrap();
    let (other, _gate) = domain.create_domain(Trust::USER).unwrap();
    // It knows all that can be known: every slot that is in use, and every binding.
    let mut targets = vec![endpoint.slot(), derived.slot(), region.handle.slot(), other.handle().slot()];
    targets.extend([audit.handle().slot(), domain.own().handle().slot()]);
    let mut targets: Vec<String> = targets.iter().map(|slot| slot.to_bits().to_string()).collect();
    let log = audit.read_all(1).unwrap().records;
    let bindings = log.iter().filter(|record| record.kind == AuditKind::Bound as u16);
    targets.extend(bindings.map(|record| record.detail.to_string()));
    assert_eq!(targets.len(), 8);

    let mut role = vec!["guess".to_owned(), CALLS.to_string()];
    role.extend(targets);
    let child = start(&domain, &role, &[]);
    let mut count = 0;
    let mut exchange = || {
        sender.send(&count).unwrap();
        assert_eq!(receiver.recv_timeout(5 * SECOND, |value| value), Ok(count));
        count += 1;
    };
    (0..10_000).for_each(|_| exchange());
    assert_eq!(said(child).trim(), format!("refused {CALLS}"));
    wait_for(&audit, 1, AuditKind::DomainEnded, 1);
    (0..1_000).for_each(|_| exchange());
    let inspected = derived.inspect().unwrap();
    assert_eq!((inspected.rights, inspected.trust), (Rights::all(), Trust::KERNEL));

    // Of it there are refusals and its end, and nothing that it brought about. What was refused often is counted, and has
    // pushed out nothing.
    let log = audit.read_all(1).unwrap();
    assert_eq!(log.lost, 0);
    let is = |record: &AuditRecord, kind: AuditKind| record.kind == kind as u16;
    let is_refusal = |it: &AuditRecord| is(it, AuditKind::Refused) || is(it, AuditKind::RefusedMore);
    let actor = log.records.iter().find(|record| is_refusal(record)).unwrap().subject;
    let others = log.records.iter().filter(|record| record.subject == actor && !is_refusal(record));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&AuditRecord>::new(), "it changed an authority");
    let written = log.records.iter().filter(|record| is(record, AuditKind::Refused)).count() as u64;
    let counted = log.records.iter().rfind(|record| is(record, AuditKind::RefusedMore)).unwrap().detail;
    assert_eq!(written + counted, CALLS, "each refusal is written down or counted");
    assert!(region.handle.map().is_ok() && other.handle().inspect().is_ok());
}

#[test]
fn numbers_that_no_caller_means_are_refused() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (other, _gate) = domain.create_domain(Trust::USER).unwrap();
    let (slot, other) = (endpoint.slot().to_bits(), other.handle().slot().to_bits());
    let send = u64::from(Rights::SEND.bits());
    let raw = |call: Call, arguments: &[u64]| {
        let request = Request::new(call, 1 << 40, arguments);
        match domain.gate().call(request, &[], None, &mut [0; PAYLOAD_BYTES]) {
            Err(GateError::Refused(status, _)) => status,
            other => panic!("{call:?}: {:?}", other.map(|answer| answer.reply)),
        }
    };
    assert_eq!(raw(Call::Derive, &[slot, 1 << 31, 0, 0, 0, 0]), Status::BadArgument, "no such right");
    assert_eq!(raw(Call::Derive, &[slot, send | 1 << 40, 0, 0, 0, 0]), Status::BadArgument);
    assert_eq!(raw(Call::Derive, &[slot, send, 16, 0, 0, 0]), Status::BadArgument, "no such trust");
    assert_eq!(raw(Call::Derive, &[slot, send, 256, 0, 0, 0]), Status::BadArgument, "a byte does not wrap");
    assert_eq!(raw(Call::Grant, &[slot, other, send, 256, 0]), Status::BadArgument);
    assert_eq!(raw(Call::Grant, &[slot, slot, send, 0, 0]), Status::WrongKind, "no domain");
    assert_eq!(raw(Call::CreateDomain, &[16]), Status::BadArgument);
    assert_eq!(raw(Call::Bind, &[slot, 2, 0]), Status::BadArgument, "no such role");
    assert_eq!(raw(Call::RegisterRegion, &[4096]), Status::NoHandle);
}

#[test]
fn each_record_says_who_did_what_with_which_slot() {
    let domain = feuerbird::embedded().unwrap();
    let audit = domain.audit().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let minted = records(&audit, AuditKind::Minted);
    let root = minted.iter().find(|it| it.slot == endpoint.slot().to_bits()).unwrap().target;
    let child = endpoint.derive(Authority::new(Rights::all(), Trust::KERNEL).badge(7)).unwrap();
    let _receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let role = ["slow".to_owned(), "0".to_owned()];
    let send = Authority::send(Trust::USER);
    let mut actor = start(&domain, &role, &[(&child, send)]);
    wait_for(&audit, 1, AuditKind::Bound, 2);
    let granted = only(&audit, AuditKind::Granted);
    let actor_id = granted.target;
    assert_ne!(actor_id, root);
    assert_eq!((granted.subject, granted.detail, granted.rights), (root, 7, Rights::SEND.bits()));

    let derived = only(&audit, AuditKind::Derived);
    assert_eq!((derived.subject, derived.target, derived.detail), (root, root, 7));
    assert_eq!((derived.slot, derived.rights), (child.slot().to_bits(), Rights::all().bits()));
    let bound = records(&audit, AuditKind::Bound);
    let bound: Vec<_> = bound.iter().map(|it| (it.subject, it.slot)).collect();
    assert_eq!(bound, [(root, endpoint.slot().to_bits()), (actor_id, granted.slot)]);

    let forged = Slot { index: 9, generation: 9 };
    assert!(domain.handle(forged).derive(send).is_err());
    let refused = only(&audit, AuditKind::Refused);
    assert_eq!(
        (refused.subject, refused.object, refused.slot),
        (root, Call::Derive as u64, forged.to_bits())
    );
    assert_eq!(refused.detail, Status::NoCapability as u64);

    child.revoke().unwrap();
    let began = only(&audit, AuditKind::RevocationBegan);
    assert_eq!((began.subject, began.slot, began.detail), (root, child.slot().to_bits(), 0));
    let revoked = only(&audit, AuditKind::Revoked);
    assert_eq!((revoked.target, revoked.slot, revoked.detail), (actor_id, granted.slot, 7));
    let unbound = only(&audit, AuditKind::Unbound);
    assert_eq!(unbound.target, actor_id);

    // It dies without a word.
    actor.process.kill().unwrap();
    actor.process.wait().unwrap();
    wait_for(&audit, 1, AuditKind::DomainEnded, 1);
    let ended = only(&audit, AuditKind::DomainEnded);
    assert_eq!((ended.target, ended.object, ended.detail), (actor_id, actor_id, 0));
    // Another is ended by this program, and the log tells the two apart.
    let (other, _gate): (DomainHandle<SocketGate>, _) = domain.create_domain(Trust::USER).unwrap();
    other.destroy().unwrap();
    let ended = records(&audit, AuditKind::DomainEnded)[1];
    assert_eq!((ended.subject, ended.detail), (root, 1));

    let log = audit.read_all(1).unwrap();
    assert_eq!(log.lost, 0);
    let numbers = log.records.iter().map(|record| record.sequence);
    assert!(numbers.eq(1..log.next), "no gap");
    assert!(log.records.is_sorted_by_key(|record| record.time_ns));
}

fn start(
    domain: &Domain,
    role: &[String],
    grants: &[(&feuerbird::libos::Handle<SocketGate>, Authority)],
) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authority_actor"));
    command.args(role).stdout(Stdio::piped());
    Program::new(command, Trust::USER).spawn(domain, grants).unwrap()
}

fn said(mut child: Child) -> String {
    let mut output = child.process.process_mut().stdout.take().unwrap();
    let status = child.wait_timeout(Duration::from_secs(20)).unwrap().expect("it hangs");
    assert!(status.success(), "{status}");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

fn records(audit: &AuditLog<SocketGate>, kind: AuditKind) -> Vec<AuditRecord> {
    let log = audit.read_all(1).unwrap();
    log.records.into_iter().filter(|record| record.kind == kind as u16).collect()
}

/// The one record of its kind.
fn only(audit: &AuditLog<SocketGate>, kind: AuditKind) -> AuditRecord {
    let records = records(audit, kind);
    assert_eq!(records.len(), 1, "{kind:?}: {records:?}");
    records[0]
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
    command.env(feuerbird_tests::numbered::ROLE_VARIABLE, "flood 1").stdout(Stdio::null());
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

fn wait_for(audit: &AuditLog<SocketGate>, first: u64, kind: AuditKind, count: usize) {
    for _ in 0..2_000 {
        let log = audit.read_all(first).unwrap();
        if log.records.iter().filter(|record| record.kind == kind as u16).count() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no {kind:?} in the log");
}
