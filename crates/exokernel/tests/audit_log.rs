//! The audit log: what it says, who may read it, and what it loses when.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{AuditKind, AuditRecord, Call, Role, Status};
use feuerbird_capability::{Rights, Trust};
use feuerbird_exokernel::Limits;
use world::{World, values};
use zerocopy::FromBytes;

/// All that a domain reads, from `first` on: (records lost, records).
fn read(world: &mut World, first: u64) -> (u64, Vec<AuditRecord>) {
    let (mut next, mut lost, mut records) = (first, 0, Vec::new());
    loop {
        let answer = world.answer(world.root, Call::ReadAudit, &[world.audit_slot, next], &[], None);
        let [after, gap, count, ..] = values(&answer.reply).unwrap();
        let read = <[AuditRecord]>::ref_from_bytes(&answer.payload).unwrap();
        assert_eq!(read.len() as u64, count);
        records.extend_from_slice(read);
        (next, lost) = (after, lost + gap);
        if count == 0 {
            return (lost, records);
        }
    }
}

#[test]
fn every_change_of_authority_is_written_down_in_order() {
    let mut world = World::new();
    let root = world.root;
    let begun = world.kernel.audit().next_sequence();
    world.kernel.machine_mut().now_ns = 42;
    let child = world.child(Trust::USER);
    let endpoint = world.endpoint(0);
    let rights = Rights::SEND | Rights::DERIVE;
    let slot = world.grant(endpoint, child, rights, Trust::USER);
    let derived = world.ok(child.id, Call::Derive, &[slot, 1, 0, 9, 0, 0])[0];
    let copied = world.ok(child.id, Call::Copy, &[slot])[0];
    let moved = world.ok(child.id, Call::Move, &[copied])[0];
    world.ok(child.id, Call::Delete, &[moved]);
    let bound = world.bind(child.id, derived, Role::Sender, 0).unwrap();
    world.ok(root, Call::Revoke, &[endpoint, 0]);
    assert_eq!(world.call(child.id, Call::Unbind, &[bound.number]), Err(Status::NoBinding));
    world.kernel.domain_died(child.id);

    let (lost, records) = read(&mut world, begun);
    assert_eq!(lost, 0);
    let kinds: Vec<_> = records.iter().map(|it| AuditKind::from_number(it.kind).unwrap()).collect();
    use AuditKind::*;
    let mut expected = vec![DomainCreated, Minted, Minted, Minted, Granted, Derived, Copied, Moved, Deleted];
    expected.extend([Bound, RevocationBegan, Revoked, Revoked, Unbound, Refused, DomainEnded]);
    let mut sorted = kinds.clone();
    // In which order a sweep ends things is open.
    sorted[11..14].sort_by_key(|kind| *kind as u16);
    expected[11..14].sort_by_key(|kind| *kind as u16);
    assert_eq!(sorted, expected);
    let granted = records[4];
    assert_eq!((granted.subject, granted.target), (root.to_bits(), child.id.to_bits()));
    assert_eq!((granted.slot, granted.rights, granted.trust), (slot, rights.bits(), 0));
    assert_eq!((granted.object_kind, granted.time_ns), (2, 42));
    assert_eq!(records[5].detail, 9, "a badge");
    assert_eq!(records[7].detail, copied, "where it was");
    let refused = records[14];
    let said = (refused.object, refused.slot, refused.detail);
    assert_eq!(said, (Call::Unbind as u64, bound.number, Status::NoBinding as u64));
    assert!(records.windows(2).all(|two| two[1].sequence == two[0].sequence + 1));
}

#[test]
fn a_full_log_loses_the_oldest_and_says_how_many() {
    let mut world = World::with(Limits { audit_records: 16, ..Limits::SMALL });
    for _ in 0..50 {
        let copy = world.ok(world.root, Call::Copy, &[world.root_slot])[0];
        world.ok(world.root, Call::Delete, &[copy]);
    }
    let all = world.kernel.audit().next_sequence() - 1;
    let (lost, records) = read(&mut world, 0);
    assert_eq!((lost, records.len() as u64), (all - 16, 16));
    assert_eq!(read(&mut world, u64::MAX).1.len(), 0);
}

#[test]
fn no_number_of_refused_calls_pushes_out_what_others_did() {
    let mut world = World::with(Limits { audit_records: 256, ..Limits::SMALL });
    let (loud, other) = (world.child(Trust::USER), world.child(Trust::USER));
    let endpoint = world.endpoint(0);
    let slot = world.grant(endpoint, other, Rights::SEND, Trust::USER);
    for _ in 0..100_000 {
        let request = feuerbird_abi::Request::new(Call::Inspect, 0, &[7]);
        world.kernel.dispatch(loud.id, &request, &[], None);
    }
    let (lost, records) = read(&mut world, 0);
    assert_eq!(lost, 0);
    assert!(records.iter().any(|it| it.kind == AuditKind::Granted as u16 && it.slot == slot));
    let of_kind = |kind: AuditKind| records.iter().filter(move |it| it.kind == kind as u16);
    assert_eq!(of_kind(AuditKind::Refused).count(), 16);
    // Those that are not written down are counted: within a factor of two while it goes on, and exactly at the end.
    let counted = of_kind(AuditKind::RefusedMore).next_back().unwrap();
    assert_eq!((counted.subject, counted.detail), (loud.id.to_bits(), 1 << 16));
    assert_eq!((counted.object, counted.slot), (Call::Inspect as u64, 7));
    world.kernel.domain_died(loud.id);
    let (_, records) = read(&mut world, records.last().unwrap().sequence + 1);
    assert_eq!((records[0].kind, records[0].detail), (AuditKind::RefusedMore as u16, 100_000 - 16));
    assert_eq!(records[1].kind, AuditKind::DomainEnded as u16);
    // Another one's are its own.
    assert!(world.call(other.id, Call::Inspect, &[7]).is_err());
    let last = world.kernel.audit().since(0).last().unwrap();
    assert_eq!((last.kind, last.subject), (AuditKind::Refused as u16, other.id.to_bits()));
}

#[test]
fn the_next_turn_of_the_log_says_refusals_one_by_one_again() {
    let mut world = World::with(Limits { audit_records: 64, ..Limits::SMALL });
    let refuse = |world: &mut World| assert!(world.call(world.root, Call::Inspect, &[0]).is_err());
    (0..23).for_each(|_| refuse(&mut world));
    for _ in 0..32 {
        let copy = world.ok(world.root, Call::Copy, &[world.root_slot])[0];
        world.ok(world.root, Call::Delete, &[copy]);
    }
    refuse(&mut world);
    let kinds: Vec<_> = world.kernel.audit().since(0).map(|it| (it.kind, it.detail)).collect();
    let [.., counted, refused] = kinds[..] else { panic!() };
    assert_eq!(counted, (AuditKind::RefusedMore as u16, 7), "what was left to say");
    assert_eq!(refused.0, AuditKind::Refused as u16);
}

#[test]
fn reading_needs_an_audit_capability_with_inspect() {
    let mut world = World::new();
    let child = world.child(Trust::USER);
    let blind = world.grant(world.audit_slot, child, Rights::SEND, Trust::USER);
    let seeing = world.grant(world.audit_slot, child, Rights::INSPECT, Trust::USER);
    let own = world.ok(child.id, Call::Hello, &[])[0];
    assert_eq!(world.call(child.id, Call::ReadAudit, &[world.audit_slot]), Err(Status::NoCapability));
    assert_eq!(world.call(child.id, Call::ReadAudit, &[blind]), Err(Status::MissingRight));
    assert_eq!(world.call(child.id, Call::ReadAudit, &[own]), Err(Status::WrongKind));
    assert_ne!(world.ok(child.id, Call::ReadAudit, &[seeing])[2], 0);
    world.ok(world.root, Call::Revoke, &[world.audit_slot, 0]);
    assert_eq!(world.call(child.id, Call::ReadAudit, &[seeing]), Err(Status::NoCapability));
}
