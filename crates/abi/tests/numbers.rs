//! The numbers of the boundary, written out a second time: who changes one has to change it here too, and should not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::mem::offset_of;

use feuerbird_abi::monitor::{self, Counter};
use feuerbird_abi::{
    Access, AuditKind, AuditRecord, CONTRACT_BYTES, Call, Class, EDIT_PAGES, EVENT_VECTOR, Edit, EditAction,
    Events, Fault, GATE_ADDRESS, GATE_EVENTS, GATE_FAULT, GATE_MESSAGE, GATE_UPCALL, MESSAGE_WORDS,
    MachineCall, PAYLOAD_BYTES, RECORD_BYTES, REGISTER_WORDS, Reason, Reply, Request, Role, Status, Undone,
    Upcall, UpcallKind, event, free_map,
};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn calls() {
    let fixed = [
        (0, Call::Null),
        (1, Call::Inspect),
        (2, Call::Derive),
        (3, Call::Copy),
        (4, Call::Move),
        (5, Call::Grant),
        (6, Call::Delete),
        (7, Call::Revoke),
        (8, Call::CreateEndpoint),
        (9, Call::RegisterRegion),
        (10, Call::MapRegion),
        (11, Call::Bind),
        (12, Call::Share),
        (13, Call::Unbind),
        (14, Call::Acknowledge),
        (15, Call::CreateDomain),
        (16, Call::ReadAudit),
        (17, Call::DestroyDomain),
        (18, Call::Hello),
        (19, Call::Part),
        (20, Call::GrantAlong),
    ];
    assert_eq!(fixed.len(), Call::ALL.len());
    for (number, call) in fixed {
        assert_eq!((call as u32, Call::from_number(number)), (number, Some(call)));
    }
    assert_eq!(Call::from_number(21), None);
    assert_eq!(Call::from_number(u32::MAX), None);
}

/// Numbers have gaps, and what is in a gap is nobody's.
#[test]
fn calls_of_the_machine() {
    let fixed = [
        (0x1000, MachineCall::Yield),
        (0x1001, MachineCall::Wait),
        (0x1002, MachineCall::Exit),
        (0x1003, MachineCall::Print),
        (0x1004, MachineCall::Clock),
        (0x1005, MachineCall::Allocate),
        (0x1006, MachineCall::Map),
        (0x1007, MachineCall::Unmap),
        (0x1008, MachineCall::Release),
        (0x1009, MachineCall::Place),
        (0x100a, MachineCall::Start),
        (0x100b, MachineCall::PowerOff),
        (0x100c, MachineCall::Statistics),
        (0x100d, MachineCall::HandleFaults),
        (0x1010, MachineCall::Call),
        (0x1011, MachineCall::ReplyAndReceive),
        (0x1012, MachineCall::Reply),
        (0x1013, MachineCall::Send),
        (0x1014, MachineCall::Notify),
        (0x1015, MachineCall::Watch),
        (0x1016, MachineCall::CreateNotification),
        (0x1030, MachineCall::AllocateNamed),
        (0x1031, MachineCall::FrameNames),
        (0x1032, MachineCall::FreeFrames),
        (0x1033, MachineCall::HandDown),
        (0x1034, MachineCall::Quota),
        (0x1035, MachineCall::EditSpace),
        (0x1036, MachineCall::CheckFrames),
        (0x1037, MachineCall::Find),
        (0x1038, MachineCall::RunIn),
        (0x1039, MachineCall::YieldTo),
        (0x103a, MachineCall::ReadPort),
        (0x103b, MachineCall::WritePort),
        (0x103c, MachineCall::TakeInterrupt),
        (0x103d, MachineCall::NextInterrupt),
        (0x103e, MachineCall::Monitor),
        (0x103f, MachineCall::ReadSerial),
        (0x1040, MachineCall::Listen),
    ];
    assert_eq!(fixed.len(), MachineCall::ALL.len());
    for (number, call) in fixed {
        assert_eq!((call as u64, MachineCall::from_number(number)), (number, Some(call)));
    }
    let known = (0..0x2000).filter_map(MachineCall::from_number).count();
    assert_eq!(known, fixed.len());
    for none in [0, 0xfff, u64::MAX, 1 << 32 | 0x1000] {
        assert_eq!(MachineCall::from_number(none), None);
    }
}

#[test]
fn statuses() {
    let fixed = [
        (0, Status::Ok),
        (1, Status::NoSuchCall),
        (2, Status::NoCapability),
        (3, Status::WrongKind),
        (4, Status::MissingRight),
        (5, Status::BadArgument),
        (6, Status::Escalation),
        (7, Status::TooDeep),
        (8, Status::ContractMismatch),
        (9, Status::NotSealed),
        (10, Status::NoBinding),
        (11, Status::NoPeer),
        (12, Status::NoHandle),
        (13, Status::AlreadyShared),
        (14, Status::NoCaller),
        (32, Status::SlotsFull),
        (33, Status::ObjectsFull),
        (34, Status::QuotaExceeded),
        (35, Status::DomainGone),
        (36, Status::Busy),
        (37, Status::Interrupted),
        (38, Status::TimedOut),
        (64, Status::PeerMisbehaved),
    ];
    assert_eq!(fixed.len(), Status::ALL.len());
    for (number, status) in fixed {
        assert_eq!((status as u32, Status::from_number(number)), (number, Some(status)));
    }
    let known = (0..1000).filter_map(Status::from_number).count();
    assert_eq!(known, fixed.len());
}

#[test]
fn upcalls_reasons_roles_and_classes() {
    let upcalls = [
        (1, UpcallKind::Granted),
        (2, UpcallKind::PeerJoined),
        (3, UpcallKind::Shared),
        (4, UpcallKind::PeerLeft),
        (5, UpcallKind::RevocationRequested),
        (6, UpcallKind::Repossessed),
        (7, UpcallKind::GrantedAlong),
    ];
    for (number, kind) in upcalls {
        assert_eq!((kind as u32, UpcallKind::from_number(number)), (number, Some(kind)));
    }
    for (number, reason) in [(1, Reason::Unbound), (2, Reason::Died), (3, Reason::Revoked)] {
        assert_eq!((reason as u64, Reason::from_number(number)), (number, Some(reason)));
    }
    for (number, role) in [(0, Role::Sender), (1, Role::Receiver)] {
        assert_eq!((role as u64, Role::from_number(number)), (number, Some(role)));
    }
    assert_eq!([Class::Request as u32, Class::Reply as u32, Class::Upcall as u32], [1, 2, 3]);
    for none in [0, 8, u32::MAX] {
        assert_eq!(UpcallKind::from_number(none), None);
    }
    assert_eq!((Reason::from_number(0), Reason::from_number(4), Role::from_number(2)), (None, None, None));
}

#[test]
fn audit_kinds() {
    let fixed = [
        (1, AuditKind::Minted),
        (2, AuditKind::Derived),
        (3, AuditKind::Copied),
        (4, AuditKind::Moved),
        (5, AuditKind::Granted),
        (6, AuditKind::Deleted),
        (7, AuditKind::RevocationBegan),
        (8, AuditKind::Revoked),
        (9, AuditKind::Bound),
        (10, AuditKind::Unbound),
        (11, AuditKind::Mapped),
        (12, AuditKind::Shared),
        (13, AuditKind::DomainCreated),
        (14, AuditKind::DomainEnded),
        (15, AuditKind::Refused),
        (16, AuditKind::RefusedMore),
        (17, AuditKind::Controlled),
        (18, AuditKind::GivenUp),
    ];
    assert_eq!(fixed.len(), AuditKind::ALL.len());
    for (number, kind) in fixed {
        assert_eq!((kind as u16, AuditKind::from_number(number)), (number, Some(kind)));
    }
    assert_eq!((AuditKind::from_number(0), AuditKind::from_number(19)), (None, None));
}

/// Where things lie in the gate page, as offsets in bytes: LibOSes and the entry code have them in assembly.
#[test]
fn the_gate_page() {
    assert_eq!([GATE_ADDRESS, REGISTER_WORDS, MESSAGE_WORDS], [0x7fff_fffe_0000, 4, 64]);
    assert_eq!([GATE_UPCALL, GATE_FAULT, GATE_EVENTS, GATE_MESSAGE], [1024, 2048, 2560, 3072]);
    assert_eq!([RECORD_BYTES, PAYLOAD_BYTES, CONTRACT_BYTES], [64, 960, 256]);
    let message_end = GATE_MESSAGE + 8 * (MESSAGE_WORDS - REGISTER_WORDS) as usize;
    let parts = [
        (0, PAYLOAD_BYTES),
        (GATE_UPCALL, GATE_UPCALL + size_of::<Upcall>()),
        (GATE_FAULT, GATE_FAULT + size_of::<Fault>()),
        (GATE_EVENTS, GATE_EVENTS + size_of::<Events>()),
        (GATE_MESSAGE, message_end),
    ];
    assert!(parts.windows(2).all(|pair| pair[0].1 <= pair[1].0) && message_end <= 4096, "{parts:?}");
    let fault = [
        offset_of!(Fault, is_handling),
        offset_of!(Fault, vector),
        offset_of!(Fault, error),
        offset_of!(Fault, address),
        offset_of!(Fault, rip),
        offset_of!(Fault, rflags),
        offset_of!(Fault, rsp),
    ];
    assert_eq!(fault, [0, 8, 16, 24, 32, 40, 48]);
    let events = [
        offset_of!(Events, enabled),
        offset_of!(Events, quiet_start),
        offset_of!(Events, quiet_end),
        offset_of!(Events, alarm_ns),
        offset_of!(Events, pending),
    ];
    assert_eq!(events, [0, 8, 16, 24, 32]);
}

#[test]
fn events_and_accesses() {
    assert_eq!(EVENT_VECTOR, 256);
    let events = [
        event::TIMER,
        event::UPCALL,
        event::NOTIFICATION,
        event::SLICE_BEGINS,
        event::SLICE_ENDS,
        event::INTERRUPT,
    ];
    assert_eq!(events, [1, 2, 4, 8, 16, 32]);
    assert_eq!([Access::Read, Access::Write, Access::Execute].map(|it| it as u64), [0, 1, 2]);
    assert_eq!(Access::from_number(3), None);
}

#[test]
fn edits_of_page_tables() {
    let fixed = [
        (0, EditAction::Unmap),
        (1, EditAction::MapRead),
        (2, EditAction::MapWrite),
        (3, EditAction::MapExecute),
        (4, EditAction::ProtectRead),
        (5, EditAction::ProtectWrite),
        (6, EditAction::ProtectExecute),
    ];
    assert_eq!(fixed.len(), EditAction::ALL.len());
    for (number, action) in fixed {
        assert_eq!((action as u16, EditAction::from_number(number)), (number, Some(action)));
    }
    assert_eq!((EditAction::from_number(7), EDIT_PAGES), (None, 1024));
    let edit = Edit { address: 1 << 40, memory: 2 | 7 << 32, first: 3, pages: 4, action: 5 };
    let expected = [0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 4, 0, 5, 0];
    assert_eq!(edit.as_bytes(), expected);
}

/// The words of the pages that the kernel publishes.
#[test]
fn published_words() {
    assert_eq!([free_map::FRAMES, free_map::FREE, free_map::NODES, free_map::RUNS], [0, 8, 8, 64]);
    assert_eq!(free_map::WORDS_BEFORE_BITMAP, 512);
    assert_eq!([monitor::PAGES, monitor::RING, monitor::NEXT, monitor::TIME], [17, 512, 0, 1]);
    assert_eq!([monitor::COUNTERS, monitor::SWITCHES], [8, 64]);
    assert_eq!(monitor::CAPACITY, 1024);
    let counters = [
        Counter::Slices,
        Counter::Faults,
        Counter::Interrupts,
        Counter::LostUpcalls,
        Counter::Domains,
        Counter::Objects,
        Counter::FreeFrames,
        Counter::Overstays,
        Counter::Shootdowns,
    ];
    assert_eq!(counters.map(|counter| counter as usize), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

/// What a later upcall leaves of an older one: homes and LibOSes keep queues by this.
#[test]
fn upcalls_that_undo_others() {
    use UpcallKind::{Granted, GrantedAlong, PeerJoined, PeerLeft, Repossessed, RevocationRequested, Shared};
    let undoes = |newer: (UpcallKind, [u64; 3]), older: (UpcallKind, [u64; 3])| {
        let [newer, older] = [newer, older].map(|(kind, values)| Upcall::new(kind, 0, &values));
        newer.undoes(&older)
    };
    let (unbound, revoked) = (Reason::Unbound as u64, Reason::Revoked as u64);
    assert_eq!(undoes((PeerLeft, [1, 2, unbound]), (PeerJoined, [1, 2, 0])), Undone::Wholly);
    assert_eq!(undoes((PeerLeft, [1, 2, unbound]), (PeerJoined, [1, 3, 0])), Undone::Not);
    assert_eq!(undoes((PeerLeft, [1, 2, unbound]), (Shared, [1, 2, 64])), Undone::Memory);
    assert_eq!(undoes((PeerLeft, [1, 2, revoked]), (Shared, [1, 2, 64])), Undone::InPart);
    assert_eq!(undoes((Repossessed, [u64::MAX, 7, 0]), (Granted, [7, 0, 0])), Undone::Wholly);
    assert_eq!(undoes((Repossessed, [1, 7, 0]), (Granted, [7, 0, 0])), Undone::InPart);
    let along = Upcall::new(GrantedAlong, 0, &[1, 2, 3, 0, 7, 4]);
    let taken = |binding, slot| Upcall::new(Repossessed, 0, &[binding, slot, 0]);
    assert_eq!(taken(u64::MAX, 7).undoes(&along), Undone::Wholly);
    assert_eq!(taken(5, 7).undoes(&along), Undone::InPart, "a binding was made with it");
    assert_eq!(taken(u64::MAX, 1).undoes(&along), Undone::Not);
    assert_eq!(undoes((Repossessed, [1, 7, 0]), (RevocationRequested, [1, 0, 0])), Undone::InPart);
    assert_eq!(undoes((RevocationRequested, [1, 0, 0]), (PeerJoined, [1, 2, 0])), Undone::Not);
}

#[test]
fn records_lie_in_memory_as_they_are_written() {
    let words = |bytes: &[u8]| -> Vec<u64> {
        bytes.chunks(8).map(|chunk| u64::from_ne_bytes(chunk.try_into().unwrap())).collect()
    };
    let halves = |low: u32, high: u32| u64::from_ne_bytes([low, high].as_bytes().try_into().unwrap());
    let request = Request::new(Call::Bind, 9, &[1, 2, 3]);
    assert_eq!(words(request.as_bytes()), [halves(1, 11), 9, 1, 2, 3, 0, 0, 0]);
    let reply = Reply::new(Status::QuotaExceeded, 9, &[]);
    assert_eq!(words(reply.as_bytes()), [halves(2, 34), 9, 0, 0, 0, 0, 0, 0]);
    let upcall = Upcall::new(UpcallKind::PeerLeft, 4, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(words(upcall.as_bytes()), [halves(3, 4), 4, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn any_bytes_are_a_record() {
    for bytes in [[0; 64], [0xFF; 64], [0xA5; 64]] {
        assert_eq!(Request::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
        assert_eq!(Reply::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
        assert_eq!(Upcall::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
        assert_eq!(AuditRecord::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
    }
}

#[test]
fn a_status_says_what_is_wrong_in_a_phrase() {
    for status in Status::ALL {
        let phrase = status.to_string();
        assert!(phrase.starts_with(char::is_lowercase) && !phrase.ends_with('.'), "{phrase}");
    }
}
