//! What a gate says of calls that do not go through it.
#![allow(clippy::unwrap_used)] // a test may unwrap

use feuerbird_abi::{Call, Request};
use feuerbird_channel::Terms;
use feuerbird_hosted::{embedded, os::socket::PAYLOAD_BYTES};
use feuerbird_libos::{Gate, GateError};

#[test]
fn a_call_that_is_too_long_is_the_callers_mistake_and_nobodys_end() {
    let domain = embedded().unwrap();
    let payload = vec![0; PAYLOAD_BYTES + 1];
    let request = Request::new(Call::Bind, 1 << 40, &[]);
    let refused = domain.gate().call(request, &payload, None, &mut []);
    assert_eq!(refused.map(|_| ()), Err(GateError::TooLong));
    domain.endpoint(Terms::sized(64).unwrap()).unwrap();
}
