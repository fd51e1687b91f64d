//! The `capnp` crate's own types over what arrived.

use std::fmt::Write as _;

use feuerbird_serialization::{CapnpMessage, print};

use crate::{FORMATS, aligned, everything::EverythingMessage, everything_capnp::everything, stable};

/// A message through the crate's getters of every field, whatever its format checks: what visits it is bounded.
pub fn capnp_types(data: &[u8]) -> bool {
    let Some(mut words) = aligned(data) else { return false };
    let bytes = stable(&mut words, data);
    let mut accepted = false;
    for format in FORMATS.into_iter().flatten() {
        let Ok(Some(message)) = EverythingMessage::decode_capnp::<everything::Owned>(bytes, format) else {
            continue;
        };
        let root = message.get().expect("the crate refuses what we accept");
        let size = root.total_size().expect("the crate refuses what we accept");
        assert!(size.word_count <= 4 * data.len() as u64 / 8, "{size:?} of {} bytes", data.len());
        let mut text = String::new();
        let _ = write!(text, "{} {}", print::text(root), print::json(root));
        accepted = true;
    }
    accepted
}
