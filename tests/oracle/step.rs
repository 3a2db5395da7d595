//! What a script is made of: steps, each a request to both servers, and their text.
//!
//! ```text
//! = the last of two is stored                    a sequence begins, with its name
//! OffsetCommit * {group_id: "g", topics: [...]}  in every version served, one after the other
//! OffsetFetch 6-9 {...}                          in these versions
//! OffsetFetch 8 0x02...                          a body made by hand, behind a right header
//! 18 99 flexible 0x00                            an API by its key; `flexible`: a header of version 2
//! frame 0x...                                    all of a frame but its length
//! Produce 9 {... records: {values: ["a"]} ...}    record batches (`records.rs`)
//! @b ListGroups 5 {}                             any step, on a connection of another name
//! @b send Fetch 12 {...}                         a request whose answer is not waited for
//! @b await                                       the answer to what was sent on that connection
//! @b try JoinGroup 9 {...}                       an answer if there is one soon; "not yet" of both servers is one too
//! @b look                                        the same for what was tried; both leave out what they must
//! ```

use std::fmt;

use super::records;
use super::schema::{self, Api};
use super::text;
use super::value::Value;

/// Requests that belong together: both servers have no groups when it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    pub name: String,
    pub steps: Vec<Step>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What a client would send.
    Request { api: &'static str, version: i16, fields: Value },
    /// A body that no client would send.
    Body { key: i16, version: i16, flexible: bool, body: Vec<u8> },
    /// Not even a right header.
    Frame(Vec<u8>),
    /// A step on the connection of this name; other steps are on that of none.
    On(String, Box<Step>),
    /// A request that is not waited for: its answer may depend on other steps.
    Send(Box<Step>),
    /// Waits for the answer to what was sent.
    Await,
    /// A request that may be parked: waited for only as long as an answer takes.
    Try(Box<Step>),
    /// Whether what is parked has been answered by now.
    Look,
}

impl Step {
    /// The connection, and what happens on it.
    pub fn place(&self) -> (&str, &Step) {
        match self {
            Self::On(connection, step) => (connection, step),
            step => ("", step),
        }
    }

    /// Key and version, if it says so much.
    pub fn kind(&self) -> Option<(i16, i16)> {
        match self {
            Self::On(_, step) | Self::Send(step) | Self::Try(step) => step.kind(),
            Self::Await | Self::Look => None,
            Self::Request { api, version, .. } => Some((schema::by_name(api)?.key, *version)),
            Self::Body { key, version, .. } => Some((*key, *version)),
            Self::Frame(bytes) => {
                let (a, b) = (bytes.get(..2)?, bytes.get(2..4)?);
                Some((i16::from_be_bytes([a[0], a[1]]), i16::from_be_bytes([b[0], b[1]])))
            }
        }
    }

    pub fn api(&self) -> Option<&'static Api> {
        schema::by_key(self.kind()?.0)
    }

    pub fn version(&self) -> i16 {
        self.kind().map_or(-1, |(_, version)| version)
    }

    /// The fields of a request as they are sent, defaults included; null of anything else.
    pub fn sent(&self) -> Value {
        match self {
            Self::Request { api, version, fields } => {
                let api = schema::by_name(api).expect("an API that is described");
                schema::filled(&api.request, *version, fields)
            }
            Self::On(_, step) | Self::Send(step) | Self::Try(step) => step.sent(),
            _ => Value::Null,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { api, version, fields } => write!(f, "{api} {version} {fields}"),
            Self::Body { key, version, flexible, body } => {
                let flexible = if *flexible { "flexible " } else { "" };
                write!(f, "{key} {version} {flexible}{}", Value::Bytes(body.clone()))
            }
            Self::Frame(bytes) => write!(f, "frame {}", Value::Bytes(bytes.clone())),
            Self::On(connection, step) => write!(f, "@{connection} {step}"),
            Self::Send(step) => write!(f, "send {step}"),
            Self::Await => f.write_str("await"),
            Self::Try(step) => write!(f, "try {step}"),
            Self::Look => f.write_str("look"),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "= {}", self.name)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// Reads a script; lines that are empty or begin with `#` are none. `origin` is for messages.
pub fn read(origin: &str, script: &str) -> Vec<Sequence> {
    let mut sequences: Vec<Sequence> = Vec::new();
    for (number, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("= ") {
            sequences.push(Sequence { name: name.to_owned(), steps: Vec::new() });
            continue;
        }
        let steps = steps(line).unwrap_or_else(|error| panic!("{origin}:{}: {error}", number + 1));
        let last =
            sequences.last_mut().unwrap_or_else(|| panic!("{origin}: a step before the first sequence"));
        last.steps.extend(steps);
    }
    sequences
}

/// The steps that a line stands for.
fn steps(line: &str) -> Result<Vec<Step>, String> {
    if let Some(step) = [Step::Await, Step::Look].into_iter().find(|step| step.to_string() == line) {
        return Ok(vec![step]);
    }
    let (head, rest) = line.split_once(' ').ok_or("a step is several words")?;
    if let Some(connection) = head.strip_prefix('@') {
        let on = |step| Step::On(connection.to_owned(), Box::new(step));
        return Ok(steps(rest)?.into_iter().map(on).collect());
    }
    if head == "send" {
        return Ok(steps(rest)?.into_iter().map(|step| Step::Send(Box::new(step))).collect());
    }
    if head == "try" {
        return Ok(steps(rest)?.into_iter().map(|step| Step::Try(Box::new(step))).collect());
    }
    if head == "frame" {
        return Ok(vec![Step::Frame(hex(rest)?)]);
    }
    let (versions, body) = rest.split_once(' ').ok_or("a version and a body are wanted")?;
    let api = schema::by_name(head).or_else(|| schema::by_key(head.parse().ok()?));
    let versions = range(versions, api).ok_or_else(|| format!("{head} {versions}: no such versions"))?;
    let key =
        api.map(|api| api.key).or_else(|| head.parse().ok()).ok_or_else(|| format!("no API {head:?}"))?;
    let one = |version| {
        if body.starts_with('{') {
            let api = api.ok_or_else(|| format!("the fields of API {key} are not known"))?;
            let (fields, rest) = text::value(body)?;
            check(&api.request, &fields, &api.name)?;
            return match rest.trim() {
                "" => Ok(Step::Request { api: &api.name, version, fields }),
                rest => Err(format!("{rest:?} behind a request")),
            };
        }
        let (flexible, body) = match body.strip_prefix("flexible ") {
            Some(body) => (true, body),
            None => {
                (api.is_some_and(|api| api.is_flexible(version) && api.versions().contains(&version)), body)
            }
        };
        Ok(Step::Body { key, version, flexible, body: hex(body)? })
    };
    versions.map(one).collect()
}

/// A name that no version has is a slip of the pen, which would go unnoticed.
fn check(fields: &[schema::Field], value: &Value, place: &str) -> Result<(), String> {
    let Value::Struct(given) = value else { return Ok(()) };
    for (name, value) in given {
        let field = fields.iter().find(|field| field.name == *name);
        let field = field.ok_or_else(|| format!("{place} has no field {name:?}"))?;
        if let schema::Kind::List(of) = &field.kind
            && let schema::Kind::Struct(fields) = &**of
        {
            value.entries().iter().try_for_each(|entry| check(fields, entry, name))?;
        }
        if let schema::Kind::Bytes = &field.kind {
            records::check(value)?;
        }
    }
    Ok(())
}

fn range(text: &str, api: Option<&Api>) -> Option<std::ops::RangeInclusive<i16>> {
    if text == "*" {
        return api.map(Api::versions);
    }
    // The first character may be a sign.
    let dash = text.char_indices().skip(1).find(|(_, c)| *c == '-').map(|(at, _)| at);
    match dash {
        Some(at) => Some(text[..at].parse().ok()?..=text[at + 1..].parse().ok()?),
        None => text.parse().ok().map(|version| version..=version),
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    text::bytes(text.strip_prefix("0x").ok_or("bytes begin with 0x")?)
}

#[test]
fn a_script_is_read_as_it_is_written() {
    let script = r#"= a name
OffsetCommit 9 {group_id: "g", topics: [{name: "orders", partitions: [{partition_index: -1}]}]}
18 99 flexible 0x00ff
18 -1 0x
frame 0x00
@b send Fetch 12 {max_wait_ms: 5}
@b await
@b try Fetch 12 {max_wait_ms: 5}
@b look
"#;
    let read_again = read("here", script);
    assert_eq!(read_again[0].to_string(), script);
    assert_eq!(read("here", "= x\nOffsetCommit * {}\nOffsetFetch 2-4 {}\n")[0].steps.len(), 8 + 3);
    assert!(steps("OffsetCommit 9 {grup_id: \"g\"}").is_err());
}
