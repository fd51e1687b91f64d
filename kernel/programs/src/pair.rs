//! Two domains that talk, from their making to the revocation.

use feuerbird_abi::Call;
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::Terms;

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::role::Role;

/// A producer and a consumer that were granted the two sides of an endpoint.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) trust: Trust,
    endpoint: u64,
    /// Derived from the endpoint's capability: what is revoked below it leaves the original alone.
    shared: u64,
    pub(crate) producer: Child,
    pub(crate) consumer: Child,
}

impl Pair {
    /// Makes two domains with so much trust, which run and own nothing yet.
    ///
    /// # Errors
    /// As the calls it takes.
    pub(crate) fn new(image: &Image, trust: Trust) -> Result<Self> {
        let terms = Terms::new(256, 64).expect("small terms are good ones");
        let endpoint = gate::call(Call::CreateEndpoint, &[terms.to_bits()])?.values[0];
        let rights = Rights::SEND
            | Rights::RECEIVE
            | Rights::GRANT
            | Rights::REVOKE
            | Rights::DERIVE
            | Rights::INSPECT;
        let derived = [endpoint, rights.bits().into(), trust.level().into(), 0, 0, 0];
        let shared = gate::call(Call::Derive, &derived)?.values[0];
        let producer = Child::new(image, trust)?;
        let consumer = Child::new(image, trust)?;
        producer.start(image, Role::Producer.argument(shared))?;
        consumer.start(image, Role::Consumer.argument(shared))?;
        Ok(Self { trust, endpoint, shared, producer, consumer })
    }

    /// The capabilities that they talk by.
    pub(crate) fn slots(&self) -> [u64; 2] {
        [self.endpoint, self.shared]
    }

    /// Gives each its side.
    ///
    /// # Errors
    /// As the calls it takes.
    pub(crate) fn grant(&self) -> Result<()> {
        println!("root: grants one domain SEND and another RECEIVE, with trust {:#x}", self.trust.level());
        self.consumer.grant(self.shared, Rights::RECEIVE, self.trust)?;
        self.producer.grant(self.shared, Rights::SEND, self.trust)?;
        Ok(())
    }

    /// Takes it back; their holders have so long to let go. Both end by themselves.
    ///
    /// # Errors
    /// As the calls it takes.
    pub(crate) fn revoke(self, grace_ns: u64) -> Result<()> {
        println!("root: revokes both; their holders have {} ms", grace_ns / 1_000_000);
        let deadline = if grace_ns > 0 { gate::now_ns() + grace_ns } else { 0 };
        let [capabilities, forced, ..] = gate::call(Call::Revoke, &[self.shared, deadline])?.values;
        println!("root: {capabilities} capabilities revoked, {forced} bindings torn down by force");
        while self.producer.is_alive() || self.consumer.is_alive() {
            gate::sleep(1_000_000)?;
        }
        self.producer.forget()?;
        self.consumer.forget()?;
        [self.shared, self.endpoint]
            .into_iter()
            .try_for_each(|slot| gate::call(Call::Delete, &[slot]).map(|_| ()))
    }
}
