//! Messages as bytes, along `apis.txt`. It writes whatever it is told, a null where none may be included; what it reads
//! must be right to the last byte.

use super::records;
use super::schema::{Field, Kind};
use super::value::Value;

/// A message's body.
pub fn encode(fields: &[Field], version: i16, flexible: bool, message: &Value) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::new(), version, flexible };
    writer.fields(fields, message);
    writer.bytes
}

/// Reads a whole body.
pub fn decode(fields: &[Field], version: i16, flexible: bool, bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, version, flexible };
    let value = reader.fields(fields)?;
    match reader.bytes.len() {
        0 => Ok(value),
        left => Err(format!("{left} bytes too many")),
    }
}

/// An unsigned varint, as compact lengths and counts are written.
pub fn put_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Writer {
    bytes: Vec<u8>,
    version: i16,
    flexible: bool,
}

impl Writer {
    fn fields(&mut self, fields: &[Field], message: &Value) {
        let (mut tagged, version) = (Vec::new(), self.version);
        for field in fields.iter().filter(|field| field.is_in(version)) {
            let value = message.field(&field.name).unwrap_or(&field.default);
            let Some(tag) = field.tag else {
                self.value(&field.kind, value);
                continue;
            };
            if *value != field.default {
                let mut inner = Writer { bytes: Vec::new(), ..*self };
                inner.value(&field.kind, value);
                tagged.push((tag, inner.bytes));
            }
        }
        if self.flexible {
            put_varint(&mut self.bytes, tagged.len() as u32);
            for (tag, bytes) in tagged {
                put_varint(&mut self.bytes, tag);
                put_varint(&mut self.bytes, bytes.len() as u32);
                self.bytes.extend(bytes);
            }
        }
    }

    fn value(&mut self, kind: &Kind, value: &Value) {
        match (kind, value) {
            (Kind::Bool, Value::Bool(value)) => self.bytes.push(u8::from(*value)),
            // Any byte may be sent for a truth value.
            (Kind::Bool, Value::Int(value)) => self.bytes.push(*value as u8),
            (Kind::Int(size), Value::Int(value)) => {
                self.bytes.extend(&value.to_be_bytes()[8 - size..]);
            }
            (Kind::Uuid, Value::Bytes(bytes)) if bytes.len() == 16 => self.bytes.extend(bytes),
            (Kind::Text | Kind::Bytes, Value::Null) => self.length(kind, None),
            (Kind::Text, Value::Text(text)) => self.sized(kind, text.as_bytes()),
            (Kind::Text | Kind::Bytes, Value::Bytes(bytes)) => self.sized(kind, bytes),
            (Kind::Bytes, batches @ (Value::Struct(_) | Value::List(_))) => {
                self.sized(kind, &records::write(batches));
            }
            (Kind::List(_), Value::Null) => self.length(kind, None),
            (Kind::List(of), Value::List(entries)) => {
                self.length(kind, Some(entries.len()));
                entries.iter().for_each(|entry| self.value(of, entry));
            }
            (Kind::Maybe(_), Value::Null) => self.bytes.push(0xff),
            (Kind::Maybe(fields), value) => {
                self.bytes.push(1);
                self.fields(fields, value);
            }
            (Kind::Struct(fields), value) => self.fields(fields, value),
            (kind, value) => panic!("{value} is not a {kind:?}"),
        }
    }

    fn sized(&mut self, kind: &Kind, bytes: &[u8]) {
        self.length(kind, Some(bytes.len()));
        self.bytes.extend(bytes);
    }

    fn length(&mut self, kind: &Kind, length: Option<usize>) {
        match (self.flexible, kind) {
            (true, _) => put_varint(&mut self.bytes, length.map_or(0, |length| length as u32 + 1)),
            (false, Kind::Text) => {
                self.bytes.extend(length.map_or(-1, |length| length as i16).to_be_bytes());
            }
            (false, _) => self.bytes.extend(length.map_or(-1, |length| length as i32).to_be_bytes()),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Reader<'a> {
    fn fields(&mut self, fields: &[Field]) -> Result<Value, String> {
        let mut found = Vec::new();
        let here: Vec<&Field> = fields.iter().filter(|field| field.is_in(self.version)).collect();
        for field in here.iter().filter(|field| field.tag.is_none()) {
            let value = self.value(&field.kind).map_err(|error| format!("{}: {error}", field.name))?;
            found.push((field.name.clone(), value));
        }
        if self.flexible {
            let count = self.varint()?;
            for _ in 0..count {
                let (tag, size) = (self.varint()?, self.varint()?);
                let field = here.iter().find(|field| field.tag == Some(tag));
                let field = field.ok_or_else(|| format!("a field with the unknown tag {tag}"))?;
                let mut inner = Reader { bytes: self.take(size as usize)?, ..*self };
                found.push((field.name.clone(), inner.value(&field.kind)?));
                if !inner.bytes.is_empty() {
                    return Err(format!("{} is longer than it is", field.name));
                }
            }
        }
        Ok(Value::Struct(found))
    }

    fn value(&mut self, kind: &Kind) -> Result<Value, String> {
        Ok(match kind {
            Kind::Bool => Value::Bool(match self.take(1)? {
                [0] => false,
                [1] => true,
                other => return Err(format!("{other:?} is neither true nor false")),
            }),
            Kind::Int(size) => {
                let bytes = self.take(*size)?;
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                Value::Int(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
            }
            Kind::Uuid => Value::Bytes(self.take(16)?.to_vec()),
            Kind::Text => match self.length(kind)? {
                None => Value::Null,
                Some(length) => {
                    let bytes = self.take(length)?.to_vec();
                    String::from_utf8(bytes)
                        .map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text)
                }
            },
            Kind::Bytes => match self.length(kind)? {
                None => Value::Null,
                Some(length) => Value::Bytes(self.take(length)?.to_vec()),
            },
            Kind::List(of) => match self.length(kind)? {
                None => Value::Null,
                Some(count) => Value::List((0..count).map(|_| self.value(of)).collect::<Result<_, _>>()?),
            },
            Kind::Maybe(fields) => match self.take(1)? {
                [1] => self.fields(fields)?,
                [0xff] => Value::Null,
                other => {
                    return Err(format!("{other:?} says neither that an entry is there nor that it is not"));
                }
            },
            Kind::Struct(fields) => self.fields(fields)?,
        })
    }

    fn length(&mut self, kind: &Kind) -> Result<Option<usize>, String> {
        let length = match (self.flexible, kind) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, Kind::Text) => {
                let bytes = self.take(2)?;
                i64::from(i16::from_be_bytes([bytes[0], bytes[1]]))
            }
            (false, _) => {
                let bytes = self.take(4)?;
                i64::from(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
        };
        match length {
            -1 => Ok(None),
            length if (0..=self.bytes.len() as i64).contains(&length) => Ok(Some(length as usize)),
            length => Err(format!("a length of {length} with {} bytes left", self.bytes.len())),
        }
    }

    fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a varint without an end".to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        if count > self.bytes.len() {
            return Err(format!("{count} bytes are wanted, {} are left", self.bytes.len()));
        }
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }
}
