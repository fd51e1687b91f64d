//! What the hostile child tries. It prints one line: `stopped: ` and by what, as far as it can see that itself.

use std::{
    fs::OpenOptions,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::bail;
use feuerbird::{
    capability::{Rights, Trust},
    channel::layout::{CLOSED_WORD, LaneLayout, Stamp},
    hosted::os::memory::{WriterMemory, try_mapping_writable},
    serialization::{
        Encode, Message,
        sample::{Sample, SampleMessage},
    },
    zero_copy::{Region, WriteRegion},
};
use feuerbird_abi::{Call, Role, Status};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};

use super::{
    client::{Client, Lane},
    scribble::scribble,
    victim::{PAYLOAD_BYTES, digest},
};

/// Tries what `role` says.
pub(super) fn attempt(role: &str) -> anyhow::Result<()> {
    let mut client = Client::enter()?;
    let slot = client.granted()?;
    let said = match role {
        "cheat-slots" => forge_slots(&mut client)?,
        "cheat-escalate" => escalate(&mut client, slot)?,
        "cheat-type" => other_type(&mut client, slot)?,
        "cheat-gate" => break_gate(&client)?,
        "cheat-unsealed" => unsealed(&mut client, slot)?,
        "cheat-small" => small(&mut client, slot)?,
        "cheat-scribble" => scribble(&mut client, slot)?,
        _ => with_lane(role, &mut client, slot)?,
    };
    if !said.is_empty() {
        println!("{said}");
    }
    Ok(())
}

fn with_lane(role: &str, client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let pair = client.bind(slot)?;
    let lane = client.lane(&pair)?;
    Ok(match role {
        "cheat-map" => {
            told("mmap(PROT_WRITE)", try_mapping_writable(lane.theirs_fd.as_fd(), lane.theirs_bytes))
        }
        "cheat-write" => {
            told("pwrite", rustix::io::pwrite(&lane.theirs_fd, &[1], 0).map(drop).map_err(Into::into))
        }
        "cheat-reopen" => told("open for writing", reopen(&lane)),
        "cheat-shrink" => told("ftruncate", ftruncate(&lane.own_fd, 4096).map_err(Into::into)),
        "cheat-index" => announce(&lane, Stamp::new(7, 64, false)),
        "cheat-length" => announce(&lane, Stamp::new(0, lane.layout.message_bytes() + 1, true)),
        "cheat-buffer" => {
            store(&lane, lane.layout.stamp_word(0) + 1, 0xffff_ffff);
            announce(&lane, Stamp::new(0, 600, true))
        }
        "cheat-garbage" => garbage(&lane),
        "cheat-mutate" => mutate(&lane)?,
        "cheat-replay" => replay(client, slot, &pair, &lane)?,
        other => bail!("no such attempt: {other}"),
    })
}

/// What the kernel said to something that must not work.
fn told(what: &str, result: io::Result<()>) -> String {
    match result {
        Ok(()) => format!("NOT STOPPED: {what} worked"),
        Err(error) => format!("stopped: {what}: {error}"),
    }
}

fn reopen(lane: &Lane) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", lane.theirs_fd.as_raw_fd());
    OpenOptions::new().write(true).open(path).map(drop)
}

pub(super) fn store(lane: &Lane, word: usize, value: u64) {
    lane.own.writable()[word].store(value, Ordering::Release);
}

fn announce(lane: &Lane, stamp: Stamp) -> String {
    store(lane, lane.layout.stamp_word(0), stamp.0);
    wait_for_victim(Duration::from_millis(100));
    String::new()
}

/// The victim polls; a lie is seen within its next look.
fn wait_for_victim(time: Duration) {
    std::thread::sleep(time);
}

/// Well announced bytes that no layer takes for a message.
fn garbage(lane: &Lane) -> String {
    let mut random = 7;
    for index in 0..32 {
        let slot = lane.layout.slot_bytes(index) / 8;
        for word in 0..lane.layout.inline_bytes() / 8 {
            store(lane, slot + word, next(&mut random));
        }
        store(lane, lane.layout.stamp_word(index), Stamp::new(index, lane.layout.inline_bytes(), false).0);
    }
    wait_for_victim(Duration::from_millis(100));
    String::new()
}

/// Sends good messages in pool buffers and keeps changing them from the moment on that they are announced.
fn mutate(lane: &Lane) -> anyhow::Result<String> {
    let payload = [0x5a; PAYLOAD_BYTES];
    let sample =
        Sample { sequence: 0, producer: 666, sent_at: 0, digest: digest(&payload), payload: &payload };
    let mut good = vec![0u64; sample.encoded_bound(lane.layer).div_ceil(8)];
    let bytes = sample.encode(lane.layer, zerocopy::IntoBytes::as_mut_bytes(&mut good[..]))?;
    let pool = lane.layout.pool().copied();
    let end = Instant::now() + Duration::from_millis(500);
    let mut random = 99;
    let mut index = 0;
    while Instant::now() < end && lane.theirs.words().load(CLOSED_WORD) == 0 {
        if index - taken(lane) >= lane.layout.depth() {
            change(lane, &mut random, bytes);
            continue;
        }
        let buffer = feuerbird::zero_copy::BufferId((index % lane.layout.depth()) as u32);
        let Some(start) = pool.and_then(|pool| pool.offset(buffer)) else {
            bail!("messages this large are pooled")
        };
        for (word, value) in good.iter().enumerate() {
            store(lane, start / 8 + word, *value);
        }
        store(lane, lane.layout.stamp_word(index) + 1, u64::from(buffer.0));
        store(lane, lane.layout.stamp_word(index), Stamp::new(index, bytes, true).0);
        index += 1;
        change(lane, &mut random, bytes);
    }
    Ok(String::new())
}

/// Flips words of any message that may be under way: lengths and pointers at its start more than the rest.
fn change(lane: &Lane, random: &mut u64, bytes: usize) {
    let Some(pool) = lane.layout.pool() else { return };
    for _ in 0..64 {
        let buffer = feuerbird::zero_copy::BufferId(next(random) as u32 % lane.layout.depth() as u32);
        let Some(start) = pool.offset(buffer) else { return };
        let reach = if next(random).is_multiple_of(2) { 64 } else { bytes };
        let word = start / 8 + next(random) as usize % (reach / 8);
        let old = lane.own.words().load(word);
        store(lane, word, old ^ (1 << (next(random) % 64)));
        store(lane, word, old);
    }
}

pub(super) fn taken(lane: &Lane) -> u64 {
    lane.theirs.words().load(feuerbird::channel::layout::HEAD_WORD)
}

/// Goes on after its capability was revoked: by its lane, and by its slot.
fn replay(client: &mut Client, slot: u64, pair: &super::client::Pair, lane: &Lane) -> anyhow::Result<String> {
    let sample = Sample { sequence: 0, producer: 666, sent_at: 0, digest: digest(&[1]), payload: &[1] };
    let mut good = [0u64; 64];
    let bytes = sample.encode(lane.layer, zerocopy::IntoBytes::as_mut_bytes(&mut good[..]))?;
    let buffer = feuerbird::zero_copy::BufferId(0);
    let start = lane.layout.pool().and_then(|pool| pool.offset(buffer)).map_or(0, |start| start / 8);
    (0..bytes.div_ceil(8)).for_each(|word| store(lane, start + word, good[word]));
    // The victim revokes at the first message; the rest is sent whatever happens.
    for index in 0..64 {
        store(lane, lane.layout.stamp_word(index) + 1, 0);
        store(lane, lane.layout.stamp_word(index), Stamp::new(index, bytes, true).0);
        std::thread::sleep(Duration::from_millis(4));
    }
    let identity = SampleMessage::IDENTITY;
    let identity = zerocopy::IntoBytes::as_bytes(&identity);
    let bind = client.call(Call::Bind, &[slot, Role::Sender as u64, 0], identity, None)?.status;
    let derive = client.call(Call::Derive, &[slot, 1, 0, 0, 0, 0], &[], None)?.status;
    let unbind = client.call(Call::Unbind, &[pair.binding], &[], None)?.status;
    if [bind, derive].contains(&Status::Ok) {
        return Ok(format!("NOT STOPPED: bind: {bind}; derive: {derive}"));
    }
    Ok(format!(
        "stopped: bind: {bind}; derive: {derive}; its binding: {unbind}; nothing more of its lane was read"
    ))
}

fn forge_slots(client: &mut Client) -> anyhow::Result<String> {
    let mut random = 3;
    let calls = [
        Call::Inspect,
        Call::Derive,
        Call::Copy,
        Call::Move,
        Call::Delete,
        Call::Revoke,
        Call::Bind,
        Call::MapRegion,
    ];
    let mut tried = 0;
    for round in 0..4000u64 {
        let wild = next(&mut random);
        // Near ones too: every index, with generations that were or will be.
        let slot = if round % 2 == 0 { wild } else { ((wild % 64) << 32) | (wild % 5) };
        let call = calls[round as usize % calls.len()];
        let own = client_slots(wild);
        let answer = client.call(call, &[slot, own, wild % 8, 0, 0, 0], &[0; 8], None)?;
        let refused = matches!(
            answer.status,
            Status::NoCapability
                | Status::MissingRight
                | Status::WrongKind
                | Status::BadArgument
                | Status::Escalation
        );
        if !refused && answer.handle.is_some() {
            return Ok(format!("NOT STOPPED: {call:?} with slot {slot:#x} gave memory"));
        }
        tried += 1;
    }
    Ok(format!("stopped: the kernel refused {tried} calls: {}", Status::NoCapability))
}

fn client_slots(random: u64) -> u64 {
    random % 3
}

fn escalate(client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let all = u64::from(Rights::all().bits());
    let kernel = u64::from(Trust::KERNEL.level());
    let derived = client.call(Call::Derive, &[slot, all, kernel, 0, 0, 0], &[], None)?.status;
    let created = client.call(Call::CreateDomain, &[kernel], &[], None)?.status;
    let received = client.call(Call::Bind, &[slot, Role::Receiver as u64, 0], &[], None)?.status;
    let revoked = client.call(Call::Revoke, &[slot, 0], &[], None)?.status;
    if [derived, created, received, revoked].contains(&Status::Ok) {
        return Ok(format!(
            "NOT STOPPED: derive {derived}, create {created}, receive {received}, revoke {revoked}"
        ));
    }
    Ok(format!(
        "stopped: derive: {derived}; a domain trusted like the kernel: {created}; receive: {received}"
    ))
}

fn other_type(client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let identity = feuerbird::prelude::Plain::<u64>::IDENTITY;
    let identity = zerocopy::IntoBytes::as_bytes(&identity);
    let status = client.call(Call::Bind, &[slot, Role::Sender as u64, 0], identity, None)?.status;
    Ok(if status == Status::Ok { "NOT STOPPED: bound".into() } else { format!("stopped: bind: {status}") })
}

fn break_gate(client: &Client) -> anyhow::Result<String> {
    // A record of no class; then the gate must be shut.
    client.socket().send(&[0xff; 64], &[0xff; 960], &[])?;
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        if client.socket().send(&[0xff; 64], &[], &[]).is_err() {
            return Ok("stopped: its gate was shut".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok("NOT STOPPED: the gate is still open".into())
}

fn unsealed(client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let pair = client.bind(slot)?;
    let layout = LaneLayout::new(pair.terms);
    let bytes = layout.producer_bytes().next_multiple_of(4096);
    let make = |seals: SealFlags| -> anyhow::Result<OwnedFd> {
        let memory = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, bytes as u64)?;
        fallocate(&memory, FallocateFlags::empty(), 0, bytes as u64)?;
        fcntl_add_seals(&memory, seals)?;
        Ok(memory)
    };
    let none = client.share(&pair, &make(SealFlags::empty())?, bytes)?;
    let can_shrink = client.share(&pair, &make(SealFlags::FUTURE_WRITE | SealFlags::GROW)?, bytes)?;
    let can_write =
        client.share(&pair, &make(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?, bytes)?;
    if [none, can_shrink, can_write].contains(&Status::Ok) {
        return Ok(format!("NOT STOPPED: {none}, {can_shrink}, {can_write}"));
    }
    Ok(format!("stopped: no seals: {none}; can shrink: {can_shrink}; others can write: {can_write}"))
}

/// The supervisor cannot know what a lane needs; the victim does, and attaches nothing.
fn small(client: &mut Client, slot: u64) -> anyhow::Result<String> {
    let pair = client.bind(slot)?;
    let (_memory, descriptor) = WriterMemory::create("hostile", 4096)?;
    let shared = client.share(&pair, &descriptor, 4096)?;
    wait_for_victim(Duration::from_millis(100));
    let lied = client.share(&pair, &descriptor, 1 << 20)?;
    Ok(if lied == Status::Ok {
        "NOT STOPPED: a size that is not the memory's".into()
    } else {
        format!(
            "stopped: shared as it is: {shared}, and not attached by the victim; with a forged size: {lied}"
        )
    })
}

/// xorshift64* (Vigna, 2014).
pub(super) fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
