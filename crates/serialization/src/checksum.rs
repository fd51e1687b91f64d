//! crc32c (Castagnoli): the checksum of Lite messages.
//!
//! With the feature `hardware-crc` the processor's instructions do it, where it has any. Without, the tables of
//! "slicing-by-16", after Kounavis and Berry (Intel, 2005), give the same result.

/// The checksum of `bytes`.
#[cfg(feature = "hardware-crc")]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of `bytes`.
#[cfg(not(feature = "hardware-crc"))]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    by_tables(bytes)
}

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[n][b]`: what byte `b` contributes when `n` more bytes follow it.
static TABLES: [[u32; 256]; 16] = tables();

const fn tables() -> [[u32; 256]; 16] {
    let mut tables = [[0; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut more = 1;
    while more < 16 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[more - 1][byte];
            tables[more][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        more += 1;
    }
    tables
}

#[cfg_attr(feature = "hardware-crc", allow(dead_code))]
fn by_tables(bytes: &[u8]) -> u32 {
    let (pieces, rest) = bytes.as_chunks::<16>();
    let mut crc = !0_u32;
    for piece in pieces {
        let mut piece = u128::from_le_bytes(*piece);
        piece ^= u128::from(crc);
        let contributions = piece.to_le_bytes().into_iter().zip(TABLES.iter().rev());
        crc = contributions.fold(0, |crc, (byte, table)| crc ^ table[usize::from(byte)]);
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)];
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_values_come_out() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn tables_and_instructions_agree() {
        let bytes: [u8; 1027] = core::array::from_fn(|i| (i * 31 % 251) as u8);
        for length in 0..bytes.len() {
            assert_eq!(crc32c(&bytes[..length]), by_tables(&bytes[..length]), "{length} bytes");
        }
    }
}
