//! Capabilities for what a home has: kept, derived and revoked as any other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use feuerbird_abi::{Call, Request, Status};
use feuerbird_capability::{Badge, Capability, Object, ObjectKind, Range, Rights, Slot, Trust};
use feuerbird_exokernel::fake::FakeMachine;
use feuerbird_exokernel::{Kernel, Limits, Outcome};

const RIGHTS: Rights = Rights::CONTROL.union(Rights::DERIVE).union(Rights::REVOKE);

fn ports(length: u64) -> Capability {
    let (object, range) = (Object { kind: ObjectKind::IoPort, id: 0 }, Range::new(0, length));
    Capability { object, rights: RIGHTS, trust: Trust::KERNEL, badge: Badge::NONE, range }
}

#[test]
fn what_is_claimed_ends_with_its_revocation() {
    let mut kernel = Kernel::new(FakeMachine::default(), Limits::SMALL);
    let root = kernel.boot_domain(Trust::KERNEL).unwrap();
    let all = kernel.mint_for(root, ports(100)).unwrap();
    let call = |kernel: &mut Kernel<_>, call, arguments: &[u64]| match kernel.dispatch(
        root,
        &Request::new(call, 0, arguments),
        &[],
        None,
    ) {
        Outcome::Reply(answer) => answer.reply,
        Outcome::Pending => unreachable!("nothing is bound"),
    };
    let rights = u64::from(Rights::CONTROL.bits());
    let some = call(&mut kernel, Call::Derive, &[all.to_bits(), rights, 0, 0, 10, 5]).values[0];
    let some = Slot::from_bits(some);
    let found = kernel.claim(root, some, ObjectKind::IoPort, Rights::CONTROL).unwrap();
    assert_eq!(found.range, Range::new(10, 5));
    let claim = |kernel: &Kernel<_>, kind, rights| kernel.claim(root, some, kind, rights).map(|_| ());
    assert_eq!(claim(&kernel, ObjectKind::Interrupt, Rights::CONTROL), Err(Status::WrongKind));
    assert_eq!(claim(&kernel, ObjectKind::IoPort, Rights::REVOKE), Err(Status::MissingRight));
    call(&mut kernel, Call::Revoke, &[all.to_bits(), 0]);
    assert_eq!(kernel.machine().taken_back, [some]);
    assert_eq!(claim(&kernel, ObjectKind::IoPort, Rights::CONTROL), Err(Status::NoCapability));
    kernel.domain_died(root);
    assert_eq!(kernel.mint_for(root, ports(1)), Err(Status::DomainGone));
}
