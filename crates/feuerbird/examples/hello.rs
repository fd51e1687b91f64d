//! Two processes that do not trust each other, and one message type: the program of the crate's documentation.

use feuerbird::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The child arrives here too: it is this same program, started below.
    if let Some(domain) = feuerbird::inherited()? {
        let (endpoint, _) = domain.granted(SECOND)?;
        let mut sender = domain.sender::<Plain<u64>>(&endpoint)?;
        for value in 1..=10 {
            sender.send(&value)?;
        }
        sender.finish(SECOND)?;
        return Ok(());
    }
    let domain = feuerbird::embedded()?;
    let endpoint = domain.endpoint(Terms::sized(256)?)?;
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint)?;
    // A stranger: it may send, it is trusted with nothing, and so its messages are fully checked.
    let grants = [(&endpoint, Authority::send(Trust::USER))];
    let child = Program::this(Trust::USER)?.spawn(&domain, &grants)?;
    let mut sum = 0;
    loop {
        match receiver.recv(|value| value) {
            Ok(value) => sum += value,
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(sum, 55, "each of the ten came once");
    println!("received {sum}, in a sandbox of: {}", child.sandbox().expect("user trust"));
    Ok(())
}
