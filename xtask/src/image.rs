//! What of an ELF file is loaded.

/// Where the header has the places of the table of sections and the names in it, and where a program header has its numbers.
const SECTIONS: std::ops::Range<usize> = 40..48;
const SECTION_COUNTS: std::ops::Range<usize> = 58..64;
const SIZE_OF_HEADER: u64 = 64;

/// A segment that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) flags: u64,
    pub(crate) offset: u64,
    pub(crate) in_file: u64,
    pub(crate) in_memory: u64,
}

/// The segments of a 64-bit ELF file that are loaded; `None` where it is none, or is cut off.
pub(crate) fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if bytes.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut segments = Vec::new();
    for index in 0..count {
        let at = usize::try_from(table.checked_add(index * size)?).ok()?;
        let [kind, flags] = [number(at, 4)?, number(at + 4, 4)?];
        let [offset, in_file, in_memory] = [number(at + 8, 8)?, number(at + 32, 8)?, number(at + 40, 8)?];
        if kind == 1 {
            segments.push(Segment { flags, offset, in_file, in_memory });
        }
    }
    Some(segments)
}

/// The file without what is never loaded: symbols and lines, which are for debuggers and lie behind everything else.
pub(crate) fn without_symbols(bytes: &[u8]) -> Option<Vec<u8>> {
    let ends = segments(bytes)?.into_iter().map(|it| it.offset.checked_add(it.in_file));
    let end = ends.collect::<Option<Vec<_>>>()?.into_iter().max()?.max(SIZE_OF_HEADER);
    let mut loaded = bytes.get(..usize::try_from(end).ok()?)?.to_vec();
    for field in [SECTIONS, SECTION_COUNTS] {
        loaded.get_mut(field)?.fill(0);
    }
    Some(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_elf_files_are_read() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(segments(&own).unwrap().iter().any(|it| it.flags & 1 != 0 && it.in_file > 10_000));
        assert!((0..64).all(|length| segments(&own[..length]).is_none()));
        assert_eq!(segments(b"no ELF file"), None);
    }

    #[test]
    fn what_is_loaded_stays_and_the_rest_goes() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let loaded = without_symbols(&own).unwrap();
        assert!(loaded.len() < own.len() && segments(&loaded) == segments(&own));
        assert!(loaded[64..] == own[64..loaded.len()]);
    }
}
