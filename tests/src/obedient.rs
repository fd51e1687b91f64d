//! Children that do one thing until they are told to stop, and say on standard output how it ended.

use std::time::Duration;

use anyhow::Context;
use feuerbird::{
    channel::{RecvError, SendError},
    prelude::{Plain, SECOND},
};

/// What a child with one of these roles does: `flood N`, `stubborn N`, `listen N`.
///
/// # Errors
/// Where something happens that must not.
pub fn child(role: &str, number: u64) -> anyhow::Result<()> {
    let domain = feuerbird::inherited()?.context("started by a test")?;
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let stubborn = role == "stubborn";
    domain.on_revocation(move |_| {
        println!("told");
        if stubborn {
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    if role == "listen" {
        return listen(&domain, &endpoint);
    }
    let mut sender = domain.sender::<Plain<u64>>(&endpoint)?;
    for count in 0.. {
        match sender.send(&(number << 32 | count)) {
            Ok(()) => {}
            Err(SendError::Revoked) => break,
            Err(error) => anyhow::bail!("not revoked, but: {error}"),
        }
    }
    // The last word on what was taken by force comes after the fact.
    std::thread::sleep(Duration::from_millis(50));
    println!("revoked, {} repossessed", domain.repossessed().len());
    let again = domain.sender::<Plain<u64>>(&endpoint).err().map(|error| error.to_string());
    println!("again: {}", again.unwrap_or_else(|| "worked".into()));
    Ok(())
}

fn listen(
    domain: &feuerbird::Domain,
    endpoint: &feuerbird::libos::Handle<feuerbird::hosted::SocketGate>,
) -> anyhow::Result<()> {
    let mut receiver = domain.receiver::<Plain<u64>>(endpoint)?;
    let (mut count, mut last) = (0u64, 0);
    let end = loop {
        match receiver.recv(|value| value) {
            Ok(value) => (count, last) = (count + 1, value),
            Err(RecvError::Disconnected) => break "disconnected",
            Err(RecvError::Revoked) => break "revoked",
            Err(error) => anyhow::bail!("{error}"),
        }
    };
    println!("{end} {count} {last}");
    Ok(())
}
