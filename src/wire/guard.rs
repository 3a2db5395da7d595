//! Bytes from a peer are counted before they are believed.
//!
//! kafka-protocol allocates an array by the count its sender claims. So each body is first walked along its
//! [`Shape`]: every length must fit in the bytes left, every count must be possible with them, and all entries of a
//! request together have a limit. The walk allocates nothing. It also mends what real clients send although the schema
//! forbids it: a null where [`Kind::LenientString`] stands becomes an empty string, in place.

use thiserror::Error;

/// Why bytes are not a request of the kind they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

const SHORT: Malformed = Malformed("the request ends in the middle of a field");

/// What a field looks like on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// So many bytes, whatever they mean.
    Fixed(usize),
    /// A string; null is malformed.
    String,
    /// A string that may be null.
    NullableString,
    /// A string that the schema says is never null, and some client sends as null all the same.
    LenientString,
    /// Bytes; null is malformed.
    Bytes,
    /// Bytes that may be null.
    NullableBytes,
    /// An array; null is malformed.
    Array(Shape),
    /// An array that may be null.
    NullableArray(Shape),
    /// An array of strings.
    Strings,
    /// An array of 32-bit numbers.
    Int32s,
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// First version with it.
    pub from: i16,
    /// Last version with it.
    pub to: i16,
    /// What it looks like.
    pub kind: Kind,
}

/// A field of all versions from `from` on.
pub const fn since(from: i16, kind: Kind) -> Field {
    Field { from, to: i16::MAX, kind }
}

/// A field of the versions `from` to `to`.
pub const fn only(from: i16, to: i16, kind: Kind) -> Field {
    Field { from, to, kind }
}

/// The fields of a message or an array's entry, in order.
pub type Shape = &'static [Field];

/// Walks `body` along `shape`. `flexible`: compact lengths and tagged fields. `items`: entries the request may have.
pub fn check(
    body: &mut [u8],
    shape: Shape,
    version: i16,
    flexible: bool,
    items: usize,
) -> Result<(), Malformed> {
    Walk { body, at: 0, version, flexible, items }.fields(shape)
    // Bytes left over are ignored, as Kafka ignores them.
}

/// How many bytes the tagged fields at the start of `bytes` take.
pub fn tagged_fields_length(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut at = 0;
    let count = varint(bytes, &mut at)?;
    // Each is two bytes at least.
    if count as usize > bytes.len() / 2 {
        return Err(SHORT);
    }
    for _ in 0..count {
        varint(bytes, &mut at)?;
        let size = varint(bytes, &mut at)? as usize;
        at = at.checked_add(size).filter(|at| *at <= bytes.len()).ok_or(SHORT)?;
    }
    Ok(at)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u32, Malformed> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at).ok_or(SHORT)?;
        *at += 1;
        if shift == 28 && byte > 0x0f {
            return Err(Malformed("a length is too large"));
        }
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("a length is too large"))
}

struct Walk<'a> {
    body: &'a mut [u8],
    at: usize,
    version: i16,
    flexible: bool,
    items: usize,
}

impl Walk<'_> {
    fn fields(&mut self, shape: Shape) -> Result<(), Malformed> {
        for field in shape {
            if (field.from..=field.to).contains(&self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            let length = tagged_fields_length(self.body.get(self.at..).ok_or(SHORT)?)?;
            // Two bytes make an entry in the decoder's map.
            self.spend(length / 2)?;
            self.at += length;
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), Malformed> {
        const NULL: Malformed = Malformed("a field is null that cannot be");
        match kind {
            Kind::Fixed(bytes) => self.skip(bytes),
            Kind::String => self.string()?.ok_or(NULL),
            Kind::NullableString => self.string().map(|_| ()),
            Kind::LenientString => {
                let start = self.at;
                if self.string()?.is_none() {
                    // Null and empty take the same bytes in either encoding.
                    let empty: &[u8] = if self.flexible { &[1] } else { &[0, 0] };
                    self.body.get_mut(start..start + empty.len()).ok_or(SHORT)?.copy_from_slice(empty);
                }
                Ok(())
            }
            Kind::Bytes => self.bytes()?.ok_or(NULL),
            Kind::NullableBytes => self.bytes().map(|_| ()),
            Kind::Array(shape) => {
                let count = self.count()?.ok_or(NULL)?;
                self.entries(count, shape)
            }
            Kind::NullableArray(shape) => match self.count()? {
                Some(count) => self.entries(count, shape),
                None => Ok(()),
            },
            Kind::Strings => {
                let count = self.count()?.ok_or(NULL)?;
                (0..count).try_for_each(|_| self.field(Kind::String))
            }
            Kind::Int32s => {
                let count = self.count()?.ok_or(NULL)?;
                self.skip(count.checked_mul(4).ok_or(SHORT)?)
            }
        }
    }

    fn entries(&mut self, count: usize, shape: Shape) -> Result<(), Malformed> {
        (0..count).try_for_each(|_| self.fields(shape))
    }

    /// A count that the bytes left could hold: no entry is smaller than a byte.
    fn count(&mut self) -> Result<Option<usize>, Malformed> {
        let Some(count) = self.long_length()? else { return Ok(None) };
        if count > self.body.len() - self.at {
            return Err(Malformed("a count is larger than the request"));
        }
        self.spend(count)?;
        Ok(Some(count))
    }

    fn bytes(&mut self) -> Result<Option<()>, Malformed> {
        match self.long_length()? {
            Some(length) => self.skip(length).map(Some),
            None => Ok(None),
        }
    }

    /// The length of an array or of bytes, `None` for null.
    fn long_length(&mut self) -> Result<Option<usize>, Malformed> {
        if self.flexible {
            return Ok((varint(self.body, &mut self.at)? as usize).checked_sub(1));
        }
        let bytes = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(SHORT)?;
        let claimed = i32::from_be_bytes(*bytes);
        self.at += 4;
        match claimed {
            -1 => Ok(None),
            count => usize::try_from(count).map(Some).map_err(|_| Malformed("a count is negative")),
        }
    }

    fn spend(&mut self, items: usize) -> Result<(), Malformed> {
        self.items = self.items.checked_sub(items).ok_or(Malformed("the request has too many entries"))?;
        Ok(())
    }

    fn string(&mut self) -> Result<Option<()>, Malformed> {
        let length = if self.flexible {
            match varint(self.body, &mut self.at)? {
                0 => return Ok(None),
                length => length as usize - 1,
            }
        } else {
            let bytes = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(SHORT)?;
            let claimed = i16::from_be_bytes(*bytes);
            self.at += 2;
            match claimed {
                -1 => return Ok(None),
                length => usize::try_from(length).map_err(|_| Malformed("a length is negative"))?,
            }
        };
        self.skip(length).map(Some)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.body.len()).ok_or(SHORT)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = &[
        since(0, Kind::LenientString),
        only(0, 1, Kind::Fixed(8)),
        since(1, Kind::Array(&[since(0, Kind::Fixed(4)), since(0, Kind::NullableString)])),
    ];

    #[test]
    fn a_count_must_be_possible() {
        let mut possible = [0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff];
        assert_eq!(check(&mut possible, SHAPE, 2, false, 10), Ok(()));
        assert_eq!(
            check(&mut possible, SHAPE, 2, false, 0),
            Err(Malformed("the request has too many entries"))
        );
        let mut impossible = [0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0xff, 0xff];
        assert!(check(&mut impossible, SHAPE, 2, false, usize::MAX).is_err());
        let mut compact = [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(check(&mut compact, SHAPE, 2, true, usize::MAX).is_err());
    }

    #[test]
    fn a_null_that_clients_send_becomes_empty() {
        let mut classic = [0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(check(&mut classic, SHAPE, 2, false, 1), Ok(()));
        assert_eq!(classic[..2], [0, 0]);
        let mut compact = [0, 1, 0];
        assert_eq!(check(&mut compact, SHAPE, 2, true, 1), Ok(()));
        assert_eq!(compact[0], 1);
    }

    #[test]
    fn bytes_end_within_the_request() {
        const BYTES: Shape = &[since(0, Kind::Bytes), since(0, Kind::NullableBytes)];
        let walk = |body: &[u8], flexible| check(&mut body.to_vec(), BYTES, 0, flexible, 0).is_ok();
        assert!(walk(&[0, 0, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff], false));
        assert!(walk(&[2, b'x', 0, 0], true));
        assert!(!walk(&[0, 0, 0, 2, b'x'], false));
        assert!(!walk(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], false), "null where it cannot be");
        assert!(!walk(&[0x7f, 0xff, 0xff, 0xff], false));
        assert!(!walk(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], true));
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = [0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, b'y'];
        for length in 0..whole.len() {
            assert!(check(&mut whole[..length].to_vec(), SHAPE, 2, false, 9).is_err(), "{length}");
        }
        assert_eq!(check(&mut whole.to_vec(), SHAPE, 2, false, 9), Ok(()));
    }
}
