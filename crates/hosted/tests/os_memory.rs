//! Memory has one writer and does not shrink, and a reader finds out when a peer's does not keep to that.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    ptr,
};

use feuerbird_hosted::os::memory::{
    Options, ReaderMemory, SealError, WriterMemory, check_backed, check_sealed,
};
use feuerbird_zero_copy::{Region, WriteRegion};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap},
};

const BYTES: usize = 64 * 1024;
const ALL: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

fn made_with(seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("peer", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, BYTES as u64).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

fn map(fd: &impl AsFd, protection: ProtFlags) -> Result<*mut libc::c_void, Errno> {
    // SAFETY: the kernel chooses a free place.
    unsafe { mmap(ptr::null_mut(), BYTES, protection, MapFlags::SHARED, fd, 0) }
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let (writer, fd) = WriterMemory::create("words", BYTES).unwrap();
    let reader = ReaderMemory::map(fd.as_fd(), BYTES).unwrap();
    drop(fd);
    assert_eq!((writer.len(), reader.len()), (BYTES, BYTES));
    assert_eq!(reader.base().as_ptr() as usize % 4096, 0);
    writer.copy_in(4096, b"feuerbird");
    let mut copy = [0; 9];
    reader.copy_out(4096, &mut copy);
    assert_eq!(&copy, b"feuerbird");
    assert_eq!(reader.words().load(512), u64::from_ne_bytes(*b"feuerbir"));
}

#[test]
fn copies_are_exact_at_every_length() {
    let (writer, fd) = WriterMemory::create("copies", BYTES).unwrap();
    let reader = ReaderMemory::map(fd.as_fd(), BYTES).unwrap();
    let bytes: Vec<u8> = (0..4200_u32).map(|index| (index * 7 + index / 256) as u8).collect();
    for length in (0..600).chain([1023, 1024, 4096, 4199]) {
        writer.copy_in(0, &[0xff; 8192]);
        writer.copy_in(16, &bytes[..length]);
        let mut copy = vec![0; length];
        reader.copy_out(16, &mut copy);
        assert_eq!(copy, bytes[..length], "{length} bytes");
        // The rest of the last word is zero, and what lies around is as it was.
        let end = 16 + length;
        let mut around = vec![0; 8192];
        reader.copy_out(0, &mut around);
        assert!(around[..16].iter().all(|&byte| byte == 0xff), "{length} bytes");
        assert!(around[end..end.next_multiple_of(8)].iter().all(|&byte| byte == 0), "{length} bytes");
        assert!(around[end.next_multiple_of(8)..].iter().all(|&byte| byte == 0xff), "{length} bytes");
    }
}

#[test]
fn copies_outside_panic() {
    let (writer, _fd) = WriterMemory::create("outside", BYTES).unwrap();
    for (offset, length) in [(BYTES, 1), (BYTES - 8, 9), (BYTES - 256, 512), (3, 8), (usize::MAX - 7, 16)] {
        let copy = std::panic::AssertUnwindSafe(|| writer.copy_out(offset, &mut vec![0; length]));
        assert!(std::panic::catch_unwind(copy).is_err(), "read {length} bytes at {offset}");
        let copy = std::panic::AssertUnwindSafe(|| writer.copy_in(offset, &vec![0; length]));
        assert!(std::panic::catch_unwind(copy).is_err(), "wrote {length} bytes at {offset}");
    }
    writer.copy_out(BYTES, &mut []);
}

#[test]
fn nobody_else_can_write() {
    let (writer, fd) = WriterMemory::create("sealed", BYTES).unwrap();
    let reopened =
        OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let descriptors = [Some(File::from(fd)), reopened.ok()];
    for mut file in descriptors.into_iter().flatten() {
        assert_eq!(map(&file, ProtFlags::READ | ProtFlags::WRITE).unwrap_err(), Errno::PERM);
        let base = map(&file, ProtFlags::READ).unwrap();
        // SAFETY: our own mapping, just made; nothing uses it.
        unsafe {
            let writable = mprotect(base, BYTES, MprotectFlags::READ | MprotectFlags::WRITE);
            assert_eq!(writable.unwrap_err(), Errno::ACCESS);
            munmap(base, BYTES).unwrap();
        }
        assert_eq!(file.write(&[1]).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(ftruncate(&file, 0).unwrap_err(), Errno::PERM);
        assert_eq!(ftruncate(&file, 2 * BYTES as u64).unwrap_err(), Errno::PERM);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(fallocate(&file, hole, 0, 4096).unwrap_err(), Errno::PERM);
        assert_eq!(fcntl_add_seals(&file, SealFlags::WRITE).unwrap_err(), Errno::PERM);
    }
    writer.copy_in(0, b"and we can");
}

#[test]
fn memory_is_unmapped_on_drop_and_not_inherited() {
    let name = "feuerbird-drop-test";
    let (writer, fd) = WriterMemory::create(name, BYTES).unwrap();
    let reader = ReaderMemory::map(fd.as_fd(), BYTES).unwrap();
    let count = || fs::read_to_string("/proc/self/maps").unwrap().matches(name).count();
    assert_eq!(count(), 2);
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let writers = smaps.split("VmFlags:").zip(smaps.split("VmFlags:").skip(1));
    let flags = writers.filter(|(map, _)| map.contains(name) && map.contains("rw-s")).map(|(_, flags)| flags);
    let flags: Vec<_> = flags.map(|flags| flags.lines().next().unwrap()).collect();
    assert_eq!(flags.len(), 1);
    assert!(flags[0].contains(" dc "), "the writer's mapping is inherited by forks: {}", flags[0]);
    drop(writer);
    assert_eq!(count(), 1);
    drop(reader);
    assert_eq!(count(), 0);
}

#[test]
fn memory_without_all_seals_is_refused() {
    assert_eq!(check_sealed(made_with(ALL).as_fd(), BYTES), Ok(()));
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL] {
        let fd = made_with(ALL - missing);
        assert_eq!(check_sealed(fd.as_fd(), BYTES), Err(SealError::Unsealed), "without {missing:?}");
        assert!(ReaderMemory::map(fd.as_fd(), BYTES).is_err());
    }
    // Nobody at all writes any more: at least as good.
    let frozen = made_with((ALL - SealFlags::FUTURE_WRITE) | SealFlags::WRITE);
    assert_eq!(check_sealed(frozen.as_fd(), BYTES), Ok(()));
}

#[test]
fn memory_of_another_size_is_refused() {
    let fd = made_with(ALL);
    let error = check_sealed(fd.as_fd(), BYTES + 8);
    assert_eq!(error, Err(SealError::Size { expected: BYTES as u64 + 8, actual: BYTES as u64 }));
    assert!(check_sealed(fd.as_fd(), BYTES - 8).is_err());
}

#[test]
fn what_is_not_memory_is_refused() {
    let (pipe, _end) = io::pipe().unwrap();
    let files: [OwnedFd; 3] =
        [pipe.into(), File::open("/dev/zero").unwrap().into(), File::open("/proc/self/exe").unwrap().into()];
    for fd in files {
        assert_eq!(check_sealed(fd.as_fd(), BYTES), Err(SealError::NotMemory));
    }
}

#[test]
fn holes_are_noticed() {
    let (_writer, fd) = WriterMemory::create("full", BYTES).unwrap();
    assert_eq!(check_backed(fd.as_fd()), Ok(()));
    let options = Options { sparse: true, ..Options::default() };
    let (writer, fd) = WriterMemory::create_with("sparse", BYTES, options).unwrap();
    assert_eq!(check_sealed(fd.as_fd(), BYTES), Ok(()));
    assert_eq!(check_backed(fd.as_fd()), Err(SealError::Sparse));
    writer.copy_in(0, &[1; BYTES]);
    assert_eq!(check_backed(fd.as_fd()), Ok(()));
}

#[test]
fn odd_sizes_are_refused() {
    for bytes in [0, 7, 4097, usize::MAX & !7] {
        assert!(WriterMemory::create("odd", bytes).is_err(), "{bytes}");
    }
}

#[test]
fn wishes_are_reported_and_harm_nothing() {
    let options = Options { node: Some(0), huge_pages: true, ..Options::default() };
    let (writer, fd) = WriterMemory::create_with("wishes", BYTES, options).unwrap();
    let granted = writer.granted();
    assert!(granted.node.is_some() && granted.huge_pages.is_some());
    println!("{granted:?}, place_on: {:?}", writer.place_on(0));
    assert!(writer.place_on(5000).is_err());
    writer.copy_in(0, b"12345678");
    let reader = ReaderMemory::map(fd.as_fd(), BYTES).unwrap();
    assert_eq!(reader.words().load(0), u64::from_ne_bytes(*b"12345678"));
    let (plain, _fd) = WriterMemory::create("plain", BYTES).unwrap();
    assert_eq!(plain.granted().node, None);
}

#[test]
fn memory_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<WriterMemory>();
    shareable::<ReaderMemory>();
}

/// Blocks reserved beyond the end make up for holes in what [`check_backed`] sees.
#[test]
fn holes_behind_a_hostile_count_of_blocks_are_filled_when_memory_is_mapped() {
    let fd = memfd_create("holes", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, BYTES as u64).unwrap();
    fallocate(&fd, FallocateFlags::KEEP_SIZE, BYTES as u64, BYTES as u64).unwrap();
    fcntl_add_seals(&fd, ALL).unwrap();
    check_sealed(fd.as_fd(), BYTES).unwrap();
    check_backed(fd.as_fd()).unwrap();
    let blocks = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_blocks;
    let before = blocks(&fd);
    let reader = ReaderMemory::map(fd.as_fd(), BYTES).unwrap();
    assert_eq!(
        blocks(&fd) - before,
        BYTES as i64 / 512,
        "every hole was filled by mapping, none is left to a read"
    );
    assert_eq!(reader.words().load(BYTES / 8 - 1), 0);
}
