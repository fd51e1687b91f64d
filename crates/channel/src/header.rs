//! The constants at the start of each half of a lane: written once, compared once.

use feuerbird_zero_copy::{Region, WriteRegion};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    AttachError, Lie, PollError, Validity,
    layout::{Half, LaneHeader, LaneLayout},
};

/// Writes the constants at the start of our half of a lane. Once, before the peer maps it.
///
/// # Errors
/// [`AttachError::RegionTooSmall`].
pub fn prepare(region: &impl WriteRegion, layout: &LaneLayout, half: Half) -> Result<(), AttachError> {
    let needed = match half {
        Half::Producer => layout.producer_bytes(),
        Half::Consumer => layout.consumer_bytes(),
    };
    if region.len() < needed {
        return Err(AttachError::RegionTooSmall);
    }
    region.copy_in(0, layout.header(half).as_bytes());
    if let (Half::Producer, Some(pool)) = (half, layout.pool()) {
        pool.write_header(region);
    }
    Ok(())
}

/// Compares the constants of the peer's half with what the terms demand. Once; nothing is taken from them.
pub(crate) fn check_header<R: Region>(
    region: &R,
    layout: &LaneLayout,
    half: Half,
    validity: &Validity<R>,
) -> Result<(), AttachError> {
    if is_as_agreed(region, layout, half) {
        return Ok(());
    }
    match validity.judge(Lie::Header) {
        PollError::PeerMisbehaved(lie) => Err(AttachError::PeerMisbehaved(lie)),
        _ => Err(AttachError::Ended),
    }
}

fn is_as_agreed(region: &impl Region, layout: &LaneLayout, half: Half) -> bool {
    let needed = match half {
        Half::Producer => layout.producer_bytes(),
        Half::Consumer => layout.consumer_bytes(),
    };
    if region.len() < needed {
        return false;
    }
    let mut seen = [0; size_of::<LaneHeader>()];
    region.copy_out(0, &mut seen);
    if LaneHeader::read_from_bytes(&seen) != Ok(layout.header(half)) {
        return false;
    }
    match (half, layout.pool()) {
        (Half::Producer, Some(pool)) => pool.check(region).is_ok(),
        _ => true,
    }
}
