//! Rows as bytes: a version byte, the content in postcard's format, a CRC-32C over both and over the row's key, so
//! that a row in a wrong place is found out like one with a wrong bit.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Seals a value under its key.
pub(crate) fn seal<T: Serialize>(version: u8, key: &[u8], value: &T) -> Vec<u8> {
    // Writing plain data to a Vec cannot fail: no lengths are unknown, no maps, no custom serializers.
    let mut row = postcard::to_extend(value, vec![version]).unwrap_or_default();
    let sum = crc32c::crc32c_append(crc32c::crc32c(key), &row);
    row.extend_from_slice(&sum.to_le_bytes());
    row
}

/// Opens a sealed row, or says what is wrong with it.
pub(crate) fn open<T: DeserializeOwned>(version: u8, key: &[u8], row: &[u8]) -> Result<T, String> {
    let Some((body, sum)) = row.split_last_chunk::<4>() else {
        return Err(format!("{} bytes are too few", row.len()));
    };
    if crc32c::crc32c_append(crc32c::crc32c(key), body) != u32::from_le_bytes(*sum) {
        return Err("the checksum does not match".to_owned());
    }
    match body.split_first() {
        Some((&found, content)) if found == version => match postcard::take_from_bytes(content) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
            Err(error) => Err(format!("it cannot be read: {error}")),
        },
        Some((found, _)) => Err(format!("row version {found} is not known")),
        None => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_only_whole_unchanged_and_in_its_place() {
        let row = seal(3, b"key", &(7u64, "text".to_owned()));
        assert_eq!(open::<(u64, String)>(3, b"key", &row), Ok((7, "text".to_owned())));
        assert!(open::<(u64, String)>(3, b"kez", &row).is_err());
        assert!(open::<(u64, String)>(4, b"key", &row).is_err());
        for cut in 0..row.len() {
            assert!(open::<(u64, String)>(3, b"key", &row[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<(u64, String)>(3, b"key", &bad).is_err(), "bit {bit}");
        }
    }
}
