//! Reads a message's bytes in order and notes what is to stand in the place of some of them; all else is kept as it is. Every
//! length and count is held against the bytes that are there, so nothing is allocated on a peer's word.

use thiserror::Error;

use crate::wire::guard;

/// Why bytes could not be read as the message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unreadable {
    /// They end too early: if more are to come, try again with them.
    #[error("it ends in the middle of a field")]
    Short,
    /// They are something else.
    #[error("{0}")]
    Wrong(&'static str),
}

use Unreadable::{Short, Wrong};

/// A place in a message, and what has been changed before it.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
    /// What comes out, up to `kept`.
    out: Vec<u8>,
    kept: usize,
}

/// Bytes that take the place of the first `consumed` of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) consumed: usize,
    pub(super) bytes: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// At the start of a message; `flexible`: with compact lengths and tagged fields.
    pub(super) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, at: 0, flexible, out: Vec::new(), kept: 0 }
    }

    /// From here on with compact lengths and tagged fields, or without: a header is part the one, part the other.
    pub(super) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was read since `from`.
    pub(super) fn since(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let end = self.at.checked_add(count).ok_or(Short)?;
        let found = self.bytes.get(self.at..end).ok_or(Short)?;
        self.at = end;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(Short)?;
        self.at += N;
        Ok(*found)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Unreadable> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Unreadable> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Unreadable> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Unreadable> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u32, Unreadable> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Wrong("a length is too large"))
    }

    /// A length or count: compact, or of the classic size `wide`. `None` for null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, Unreadable> {
        if self.flexible {
            return Ok((self.varint()? as usize).checked_sub(1));
        }
        let claimed = if wide { self.i32()? } else { i32::from(self.i16()?) };
        // Any negative length is null to Kafka.
        Ok(usize::try_from(claimed).ok())
    }

    /// A string that may be null.
    pub(super) fn text(&mut self) -> Result<Option<&'a str>, Unreadable> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(Wrong("a string is too long"));
        }
        let bytes = self.skip(length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Wrong("a string is not UTF-8"))
    }

    /// Bytes that may be null.
    pub(super) fn blob(&mut self) -> Result<Option<&'a [u8]>, Unreadable> {
        match self.length(true)? {
            Some(length) => self.skip(length).map(Some),
            None => Ok(None),
        }
    }

    /// The number of entries of an array; 0 for null. No loop over it goes on past the end of the bytes.
    pub(super) fn count(&mut self) -> Result<usize, Unreadable> {
        Ok(self.length(true)?.unwrap_or(0))
    }

    /// The tagged fields of a flexible message, as they stand.
    pub(super) fn tags(&mut self) -> Result<(), Unreadable> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()? as usize;
            self.skip(size)?;
        }
        Ok(())
    }

    /// Puts `instead` in the place of all that was read since `from`. Places are changed in their order.
    pub(super) fn replace(&mut self, from: usize, instead: &[u8]) {
        debug_assert!(self.kept <= from && from <= self.at, "changed out of order");
        self.out.extend_from_slice(self.bytes.get(self.kept..from).unwrap_or_default());
        self.out.extend_from_slice(instead);
        self.kept = self.at;
    }

    /// What stands in the place of all that was read.
    pub(super) fn finish(mut self) -> Rewritten {
        self.out.extend_from_slice(self.bytes.get(self.kept..self.at).unwrap_or_default());
        Rewritten { consumed: self.at, bytes: self.out }
    }
}

/// Fields as a message of one kind writes them.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(super) fn new(flexible: bool) -> Self {
        Self { bytes: Vec::new(), flexible }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.put(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    pub(super) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn count(&mut self, count: usize) {
        let count = i32::try_from(count).unwrap_or(i32::MAX - 1);
        if self.flexible { self.varint(count as u32 + 1) } else { self.i32(count) }
    }

    /// Not longer than a classic string can be: whoever writes one sees to it.
    pub(super) fn text(&mut self, text: &str) {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        if self.flexible {
            self.varint(u32::from(length.unsigned_abs()) + 1);
        } else {
            self.i16(length);
        }
        self.put(text.as_bytes().get(..length.unsigned_abs().into()).unwrap_or_default());
    }

    pub(super) fn null_text(&mut self) {
        if self.flexible { self.varint(0) } else { self.i16(-1) }
    }
}

/// Where the body of an answer begins in its frame: behind the correlation id, and the tagged fields of a flexible header.
pub(super) fn answer_body(frame: &[u8], header_version: i16) -> Result<usize, Unreadable> {
    let rest = frame.get(4..).ok_or(Short)?;
    if header_version < 1 {
        return Ok(4);
    }
    guard::tagged_fields_length(rest).map(|length| 4 + length).map_err(|_| Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_kept() {
        let bytes = [0, 0, 0, 5, 0, 2, b'h', b'i', 0, 9, 7];
        let mut cursor = Cursor::new(&bytes, false);
        assert_eq!(cursor.i32(), Ok(5));
        let from = cursor.at();
        assert_eq!(cursor.text(), Ok(Some("hi")));
        let mut writer = Writer::new(false);
        writer.text("there");
        cursor.replace(from, &writer.bytes);
        assert_eq!(cursor.i16(), Ok(9));
        let rewritten = cursor.finish();
        assert_eq!(rewritten.consumed, 10);
        assert_eq!(rewritten.bytes, [&[0, 0, 0, 5, 0, 5][..], b"there", &[0, 9]].concat());
    }

    #[test]
    fn lengths_are_compact_in_flexible_messages() {
        for count in [0, 1, 126, 127, 128, 16_383, 1 << 20] {
            let mut writer = Writer::new(true);
            writer.count(count);
            writer.text("x");
            writer.null_text();
            let mut cursor = Cursor::new(&writer.bytes, true);
            assert_eq!((cursor.count(), cursor.text(), cursor.text()), (Ok(count), Ok(Some("x")), Ok(None)));
        }
    }

    #[test]
    fn a_claim_is_not_believed() {
        assert_eq!(Cursor::new(&[0x7f, 0xff, 1], false).text(), Err(Short));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).blob(), Err(Short));
        assert_eq!(Cursor::new(&[0xff; 6], true).varint(), Err(Wrong("a length is too large")));
        assert_eq!(Cursor::new(&[0xff, 0xff], false).text(), Ok(None));
        assert_eq!(Cursor::new(&[0, 1, 0xc0], false).text(), Err(Wrong("a string is not UTF-8")));
        assert_eq!(Cursor::new(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], true).tags(), Err(Short));
    }
}
