//! `walk.txt` as requests: bodies in every version of every API that a gateway may advertise, those included that no codec at
//! hand knows.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{BufMut, BytesMut};

use crate::peer::batch;

/// An API, and one body of a request of it.
pub struct Saying {
    pub key: i16,
    pub name: &'static str,
    /// The first version with compact lengths and tagged fields.
    flexible: i16,
    fields: Vec<Field>,
}

struct Field {
    versions: (i16, i16),
    value: Value,
}

enum Value {
    Number(usize, i64),
    Text(Option<&'static str>),
    Bytes(Vec<u8>),
    TopicId,
    NoId,
    /// None: null.
    List(Option<Vec<Field>>),
    Entry(Option<Vec<Field>>),
    Plain(Vec<Field>),
}

pub fn sayings() -> Vec<Saying> {
    let lines = include_str!("walk.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(saying).collect()
}

fn saying(line: &'static str) -> Saying {
    let broken = || -> ! { panic!("walk.txt: {line:?}") };
    let (head, body) = line.split_once(": ").unwrap_or_else(|| broken());
    let words: Vec<&'static str> = head.split(' ').collect();
    let [key, name, flexible] = words[..] else { broken() };
    let mut words = body.split_whitespace();
    let fields = fields(&mut words, None);
    Saying {
        key: key.parse().unwrap_or_else(|_| broken()),
        name,
        flexible: if flexible == "never" { i16::MAX } else { flexible.parse().unwrap_or_else(|_| broken()) },
        fields,
    }
}

/// Fields up to the word that ends them.
fn fields(words: &mut std::str::SplitWhitespace<'static>, end: Option<&str>) -> Vec<Field> {
    let mut fields = Vec::new();
    loop {
        let word = match words.next() {
            Some(word) if Some(word) == end => return fields,
            Some(word) => word,
            None => {
                assert!(end.is_none(), "walk.txt: no {end:?}");
                return fields;
            }
        };
        let (versions, word) = conditional(word);
        let (kind, rest) = word.split_once('=').unwrap_or((word, ""));
        let number = |size| Value::Number(size, rest.parse().expect("walk.txt: a number"));
        let value = match kind {
            "b" => number(1),
            "h" => number(2),
            "i" => number(4),
            "l" => number(8),
            "t" => Value::Number(1, 1),
            "f" => Value::Number(1, 0),
            "s" => Value::Text(Some(rest)),
            "n" => Value::Text(None),
            "y" => Value::Bytes(rest.into()),
            "r" => Value::Bytes(batch(&["walk".to_owned()]).to_vec()),
            "u" => Value::TopicId,
            "z" => Value::NoId,
            "[" => Value::List(Some(self::fields(words, Some("]")))),
            "_" => Value::List(None),
            "{" => Value::Entry(Some(self::fields(words, Some("}")))),
            "?" => Value::Entry(None),
            "(" => Value::Plain(self::fields(words, Some(")"))),
            _ => panic!("walk.txt: {word:?}"),
        };
        fields.push(Field { versions, value });
    }
}

/// `4+:`, `1-3:` or `0:` before a field.
fn conditional(word: &'static str) -> ((i16, i16), &'static str) {
    let always = ((0, i16::MAX), word);
    let Some((range, rest)) = word.split_once(':') else { return always };
    let number = |text: &str| text.parse::<i16>().ok();
    let range = if let Some(from) = range.strip_suffix('+') {
        number(from).map(|from| (from, i16::MAX))
    } else if let Some((from, to)) = range.split_once('-') {
        number(from).zip(number(to))
    } else {
        number(range).map(|only| (only, only))
    };
    // A colon in a text.
    range.map_or(always, |range| (range, rest))
}

impl Saying {
    /// The whole request; its correlation id is 0.
    pub fn frame(&self, version: i16, topic_id: [u8; 16]) -> BytesMut {
        let flexible = version >= self.flexible;
        let mut frame = BytesMut::new();
        frame.put_i16(self.key);
        frame.put_i16(version);
        frame.put_i32(0);
        let client = b"walk";
        frame.put_i16(client.len() as i16);
        frame.put_slice(client);
        if flexible {
            frame.put_u8(0);
        }
        let mut writer = Writer { bytes: frame, version, flexible, topic_id };
        writer.entry(&self.fields);
        writer.bytes
    }
}

struct Writer {
    bytes: BytesMut,
    version: i16,
    flexible: bool,
    topic_id: [u8; 16],
}

impl Writer {
    fn here<'a>(&self, fields: &'a [Field]) -> Vec<&'a Value> {
        let version = self.version;
        let here = |field: &&Field| (field.versions.0..=field.versions.1).contains(&version);
        fields.iter().filter(here).map(|field| &field.value).collect()
    }

    fn entry(&mut self, fields: &[Field]) {
        for value in self.here(fields) {
            self.value(value);
        }
        if self.flexible {
            self.bytes.put_u8(0);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Number(size, number) => self.bytes.put_slice(&number.to_be_bytes()[8 - size..]),
            Value::Text(text) => {
                static ONCE: AtomicU32 = AtomicU32::new(0);
                let number = || ONCE.fetch_add(1, Ordering::Relaxed).to_string();
                let text = text.map(|text| match text.contains('$') {
                    true => text.replace('$', &number()),
                    false => text.to_owned(),
                });
                self.length(text.as_ref().map(String::len), 2);
                self.bytes.put_slice(text.unwrap_or_default().as_bytes());
            }
            Value::Bytes(bytes) => {
                self.length(Some(bytes.len()), 4);
                self.bytes.put_slice(bytes);
            }
            Value::TopicId => self.bytes.put_slice(&self.topic_id),
            Value::NoId => self.bytes.put_slice(&[0; 16]),
            Value::List(None) => self.length(None, 4),
            Value::List(Some(list)) => {
                let entries = self.here(list);
                self.length(Some(entries.len()), 4);
                for entry in entries {
                    match entry {
                        Value::Entry(Some(fields)) => self.entry(fields),
                        other => self.value(other),
                    }
                }
            }
            // That it is there; one in a list has no such byte.
            Value::Entry(Some(fields)) => {
                self.bytes.put_i8(1);
                self.entry(fields);
            }
            Value::Entry(None) => self.bytes.put_i8(-1),
            Value::Plain(fields) => self.entry(fields),
        }
    }

    fn length(&mut self, length: Option<usize>, size: usize) {
        match (self.flexible, length) {
            (true, length) => {
                let mut rest = length.map_or(0, |length| length + 1);
                while rest >= 0x80 {
                    self.bytes.put_u8(rest as u8 | 0x80);
                    rest >>= 7;
                }
                self.bytes.put_u8(rest as u8);
            }
            (false, length) => {
                let length = length.map_or(-1, |length| length as i64);
                self.bytes.put_slice(&length.to_be_bytes()[8 - size..]);
            }
        }
    }
}
