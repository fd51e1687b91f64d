//! Smoke.
use feuerbird_capability::*;

#[test]
fn a_grant_dies_with_its_revocation() {
    let mut system = Capabilities::new(vec![Node::EMPTY; 8], vec![Space::EMPTY; 4]);
    let a = system.create_space(8).unwrap();
    let b = system.create_space(8).unwrap();
    let root = Capability {
        object: Object { kind: ObjectKind::Endpoint, id: 7 },
        rights: Rights::all(),
        trust: Trust::LIBOS,
        badge: Badge::NONE,
        range: Range::EMPTY,
    };
    let slot = system.mint(a, root).unwrap();
    let child = system.grant(a, slot, b, Derivation::new(Rights::SEND, Trust::USER)).unwrap();
    let (_, ticket) = system.ticket(b, child, Rights::SEND).unwrap();
    assert!(system.is_live(&ticket));
    assert_eq!(system.revoke(a, slot), Ok(true));
    assert_eq!(system.revoke(a, slot), Ok(false));
    assert_eq!(system.lookup(b, child, Rights::SEND), Err(Error::Revoked));
    assert!(!system.is_live(&ticket));
    let mut seen = vec![];
    assert!(system.sweep(10, |finalised| seen.push(finalised.slot)).is_done);
    assert_eq!(seen, [child]);
    assert_eq!(system.lookup(b, child, Rights::SEND), Err(Error::NoCapability));
}
