//! `apis.txt` as a table: which fields each message has in each version.

use std::sync::OnceLock;

use super::value::Value;

/// One API: its key, its versions, and its two messages.
#[derive(Debug)]
pub struct Api {
    pub key: i16,
    pub name: String,
    pub min: i16,
    pub max: i16,
    /// The first version with compact lengths and tagged fields.
    pub flexible: i16,
    pub request: Vec<Field>,
    pub answer: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub versions: (i16, i16),
    pub nullable: Option<(i16, i16)>,
    pub tag: Option<u32>,
    pub default: Value,
}

#[derive(Debug)]
pub enum Kind {
    Bool,
    /// A number of so many bytes.
    Int(usize),
    Uuid,
    Text,
    Bytes,
    List(Box<Kind>),
    Struct(Vec<Field>),
    /// An entry that may be null: a byte before it says so.
    Maybe(Vec<Field>),
}

impl Api {
    pub fn versions(&self) -> std::ops::RangeInclusive<i16> {
        self.min..=self.max
    }

    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }
}

impl Field {
    pub fn is_in(&self, version: i16) -> bool {
        (self.versions.0..=self.versions.1).contains(&version)
    }

    pub fn may_be_null(&self, version: i16) -> bool {
        self.nullable.is_some_and(|(from, to)| (from..=to).contains(&version))
    }
}

/// Every API that is described, by key.
pub fn apis() -> &'static [Api] {
    static APIS: OnceLock<Vec<Api>> = OnceLock::new();
    APIS.get_or_init(|| parse(include_str!("apis.txt")))
}

pub fn by_key(key: i16) -> Option<&'static Api> {
    apis().iter().find(|api| api.key == key)
}

pub fn by_name(name: &str) -> Option<&'static Api> {
    apis().iter().find(|api| api.name == name)
}

/// A line without its indentation, and how deep it stands.
type Line<'a> = (usize, &'a str);

/// A message with the default of every field of this version that it leaves out.
pub fn filled(fields: &[Field], version: i16, message: &Value) -> Value {
    let whole = |field: &Field| {
        let value = message.field(&field.name).unwrap_or(&field.default);
        let value = match (&field.kind, value) {
            (Kind::List(of), Value::List(entries)) => match &**of {
                Kind::Struct(inner) => {
                    Value::List(entries.iter().map(|entry| filled(inner, version, entry)).collect())
                }
                _ => value.clone(),
            },
            _ => value.clone(),
        };
        (field.name.clone(), value)
    };
    Value::Struct(fields.iter().filter(|field| field.is_in(version)).map(whole).collect())
}

fn parse(text: &str) -> Vec<Api> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| ((line.len() - line.trim_start().len()) / 2, line.trim()))
        .collect();
    blocks(&lines, 0).into_iter().map(|(head, body)| api(head, body)).collect()
}

/// Lines of this depth, each with those that belong to it.
fn blocks<'a, 'b>(lines: &'b [Line<'a>], depth: usize) -> Vec<(&'a str, &'b [Line<'a>])> {
    let heads: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 == depth).collect();
    let ends = heads.iter().skip(1).copied().chain([lines.len()]);
    heads.iter().zip(ends).map(|(head, end)| (lines[*head].1, &lines[head + 1..end])).collect()
}

fn api(head: &str, body: &[Line<'_>]) -> Api {
    let words: Vec<&str> = head.split(' ').collect();
    let [key, name, versions, "flexible", flexible] = words[..] else { panic!("apis.txt: {head:?}") };
    let (min, max) = range(versions, (0, i16::MAX));
    let messages = blocks(body, 1);
    let [("request", request), ("answer", answer)] = messages[..] else {
        panic!("apis.txt: {name} has not a request and an answer");
    };
    Api {
        key: number(key),
        name: name.to_owned(),
        min,
        max,
        flexible: if flexible == "never" { i16::MAX } else { number(flexible) },
        request: fields(request, 2, (min, max)),
        answer: fields(answer, 2, (min, max)),
    }
}

fn fields(lines: &[Line<'_>], depth: usize, around: (i16, i16)) -> Vec<Field> {
    blocks(lines, depth).into_iter().map(|(head, below)| field(head, below, depth, around)).collect()
}

fn field(head: &str, below: &[Line<'_>], depth: usize, around: (i16, i16)) -> Field {
    let (words, default) = head.split_once(" = ").map_or((head, None), |(words, text)| (words, Some(text)));
    let mut words = words.split(' ');
    let (name, kind) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (mut versions, mut nullable, mut tag) = (around, None, None);
    for word in words {
        if let Some(range_of_null) = word.strip_prefix("null") {
            nullable = Some(range_of_null);
        } else if let Some(number) = word.strip_prefix("tag") {
            tag = number.parse().ok();
        } else {
            versions = range(word, around);
        }
    }
    let kind = match kind {
        "[]" => Kind::List(Box::new(Kind::Struct(fields(below, depth + 1, versions)))),
        "{}" if nullable.is_some() && tag.is_none() => Kind::Maybe(fields(below, depth + 1, versions)),
        "{}" => Kind::Struct(fields(below, depth + 1, versions)),
        _ => simple(kind),
    };
    let default = match default {
        Some(text) => super::text::value(text).expect("apis.txt: a default").0,
        None => default_of(&kind),
    };
    let nullable = nullable.map(|text| if text.is_empty() { versions } else { range(text, versions) });
    Field { name: name.to_owned(), kind, versions, nullable, tag, default }
}

fn simple(kind: &str) -> Kind {
    match kind {
        "bool" => Kind::Bool,
        "int8" => Kind::Int(1),
        "int16" => Kind::Int(2),
        "int32" => Kind::Int(4),
        "int64" => Kind::Int(8),
        "uuid" => Kind::Uuid,
        "string" => Kind::Text,
        "bytes" | "records" => Kind::Bytes,
        _ => match kind.strip_prefix("[]") {
            Some(of) => Kind::List(Box::new(simple(of))),
            None => panic!("apis.txt: no kind of field is called {kind:?}"),
        },
    }
}

fn default_of(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::Int(_) => Value::Int(0),
        Kind::Uuid => Value::Bytes(vec![0; 16]),
        Kind::Text => Value::text(""),
        Kind::Bytes => Value::Bytes(Vec::new()),
        Kind::List(_) => Value::List(Vec::new()),
        Kind::Struct(_) => Value::Struct(Vec::new()),
        Kind::Maybe(_) => Value::Null,
    }
}

/// `3`, `3+` or `3-7`.
fn range(text: &str, around: (i16, i16)) -> (i16, i16) {
    if let Some(from) = text.strip_suffix('+') {
        return (number(from), around.1);
    }
    match text.split_once('-') {
        Some((from, to)) => (number(from), number(to)),
        None => (number(text), number(text)),
    }
}

fn number(text: &str) -> i16 {
    text.parse().unwrap_or_else(|_| panic!("apis.txt: {text:?} is no number"))
}
