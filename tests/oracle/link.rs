//! One server at the other end of a socket: steps go out, what comes back is told in words that both servers share.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::codec;
use super::records;
use super::schema;
use super::step::Step;
use super::value::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much later than one member's answer another's may come, when a join phase ends for both.
const AT_ONCE: Duration = Duration::from_millis(500);
const MEMBER_ID_REQUIRED: i64 = 79;
const CLIENT_ID: &[u8] = b"oracle";

/// What a server did with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answer(Value),
    /// It closed the connection.
    Closed,
    /// Bytes that the version served does not have: one that only the other server knows.
    Unread(usize),
    /// Bytes that are no answer, and why.
    Garbled(String),
    /// Nothing, and the connection stays open.
    Silent,
    /// It was not waited for.
    Sent,
    /// No answer yet, from either server.
    Parked,
}

/// A request and an answer as bytes, without their lengths.
pub struct Exchange {
    pub request: Vec<u8>,
    pub answer: Option<Vec<u8>>,
}

/// A server, a connection to it, and what it calls what the other one calls otherwise.
pub struct Link {
    address: SocketAddr,
    /// By their names in scripts.
    connections: BTreeMap<String, TcpStream>,
    /// What was sent and not yet awaited, by connection.
    waiting: BTreeMap<String, (Step, Vec<u8>)>,
    /// Answers that were received before they were awaited.
    early: BTreeMap<String, Vec<u8>>,
    correlation: i32,
    /// Its own values by their common names: `orders` is a topic id, `port`, `cluster`.
    symbols: BTreeMap<String, Value>,
    /// The ids of members: `b2` is the second that was given on connection b, `m2` on that without a name.
    members: BTreeMap<String, Value>,
    /// What a connection was told last: `id.b`, `generation.b`, `protocol.b`.
    last: BTreeMap<String, Value>,
    /// The ids of topics that a sequence has made: `made.2` is the second of that name.
    topics: BTreeMap<String, Value>,
    /// Answers are told in the server's own words.
    plain: bool,
    /// The ids of producers: `pid.2` is the second that was given.
    producers: BTreeMap<String, Value>,
}

impl Link {
    pub fn new(address: SocketAddr) -> Self {
        let symbols = BTreeMap::from([("port".to_owned(), Value::Int(address.port().into()))]);
        Self {
            address,
            connections: BTreeMap::new(),
            waiting: BTreeMap::new(),
            early: BTreeMap::new(),
            correlation: 0,
            symbols,
            members: BTreeMap::new(),
            last: BTreeMap::new(),
            topics: BTreeMap::new(),
            plain: false,
            producers: BTreeMap::new(),
        }
    }

    /// From now on this value of this server goes by a common name, also if it went by another one before.
    pub fn name(&mut self, name: &str, value: Value) {
        self.topics.retain(|_, known| *known != value);
        self.symbols.insert(name.to_owned(), value);
    }

    /// A new sequence has members, topics and producers of its own.
    pub fn forget(&mut self) {
        self.members.clear();
        self.last.clear();
        self.topics.clear();
        self.producers.clear();
    }

    /// The ids of all members of the sequence.
    pub fn member_ids(&self) -> Vec<Value> {
        self.members.values().cloned().collect()
    }

    /// A member id is known by the connection on which it was first given.
    fn learn_member(&mut self, connection: &str, answer: &Value) {
        let Some(id) = answer.field("member_id") else { return };
        let prefix = if connection.is_empty() { "m" } else { connection };
        let told = [("id", "member_id"), ("generation", "generation_id"), ("protocol", "protocol_name")];
        let joined = answer.int("error_code") == Some(0);
        for (what, field) in told.into_iter().filter(|(what, _)| joined || *what == "id") {
            self.last.insert(format!("{what}.{prefix}"), answer.field(field).cloned().unwrap_or(Value::Null));
        }
        if *id == Value::text("") || self.members.values().any(|known| known == id) {
            return;
        }
        let name = (1..).map(|number| format!("{prefix}{number}"));
        let name =
            name.into_iter().find(|name| !self.members.contains_key(name)).expect("numbers do not end");
        self.members.insert(name, id.clone());
    }

    /// A join's answer names members that have been answered at the same time, on connections that nobody has looked at:
    /// their ids are learned first.
    fn learn_from_others(&mut self, answer: &Value) {
        let known = |id: &&Value| self.members.values().any(|known| known == *id);
        if answer.at("members[].member_id").iter().all(known) {
            return;
        }
        for connection in self.owing() {
            let (step, request) = self.waiting[&connection].clone();
            if !matches!(&step, Step::Request { api: "JoinGroup", .. })
                || !self.has_answered(&connection, AT_ONCE)
            {
                continue;
            }
            if let Ok(Some(answer)) = self.receive(&connection) {
                // It is told when it is awaited; here it is only learned from.
                let _ = self.read(&connection, &step, &request, &answer);
                self.early.insert(connection, answer);
            }
        }
    }

    /// The id of a topic that was not there from the start, by its name and how many of that name there were before.
    fn learn_topics(&mut self, answer: &Value) {
        for topic in answer.list("topics").iter().chain(answer.list("responses")) {
            let (Some(name), Some(id)) = (topic.str("name"), topic.field("topic_id")) else { continue };
            let known = self.symbols.values().chain(self.topics.values()).any(|known| known == id);
            if known || *id == Value::Bytes(vec![0; 16]) || topic.int("error_code") != Some(0) {
                continue;
            }
            let number =
                self.topics.keys().filter(|known| known.rsplit_once('.').is_some_and(|of| of.0 == name));
            self.topics.insert(format!("{name}.{}", number.count() + 1), id.clone());
        }
    }

    fn learn_producer(&mut self, answer: &Value) {
        if let (Some(0), Some(id)) = (answer.int("error_code"), answer.field("producer_id")) {
            self.producers.insert(format!("pid.{}", self.producers.len() + 1), id.clone());
        }
    }

    /// The request that a step is about: for one that awaits an answer, what was sent before.
    pub fn about(&self, step: &Step) -> Step {
        match step.place() {
            (connection, Step::Await | Step::Look) => {
                self.waiting.get(connection).map_or(Step::Await, |sent| sent.0.clone())
            }
            (_, Step::Send(step) | Step::Try(step)) => (**step).clone(),
            (_, step) => step.clone(),
        }
    }

    /// Sends a step and waits for what becomes of it, in the server's own words.
    pub fn ask(&mut self, step: &Step) -> Outcome {
        self.plain = true;
        self.begin(step);
        let outcome = self.finish(step).0;
        self.plain = false;
        outcome
    }

    /// Sends what the step sends, so that time begins to run for it.
    pub fn begin(&mut self, step: &Step) {
        let (connection, step) = step.place();
        let (Step::Send(step) | Step::Try(step)) = step else {
            if !matches!(step, Step::Await | Step::Look) {
                let request = self.send(connection, step);
                self.waiting.insert(connection.to_owned(), (step.clone(), request));
            }
            return;
        };
        let request = self.send(connection, step);
        self.waiting.insert(connection.to_owned(), ((**step).clone(), request));
    }

    /// True if there is an answer to what was sent on this connection, or none will come, within a time.
    pub fn has_answered(&mut self, connection: &str, within: Duration) -> bool {
        if !self.waiting.contains_key(connection) || self.early.contains_key(connection) {
            return true;
        }
        let Some(stream) = self.connections.get(connection) else { return true };
        stream.set_read_timeout(Some(within)).expect("set a timeout");
        let peeked = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
        !matches!(peeked, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Waits for what becomes of a step that has [begun](Self::begin).
    pub fn finish(&mut self, step: &Step) -> (Outcome, Exchange) {
        let (connection, step) = step.place();
        if let Step::Send(_) = step {
            return (Outcome::Sent, Exchange { request: Vec::new(), answer: None });
        }
        let Some((step, request)) = self.waiting.remove(connection) else {
            return (Outcome::Closed, Exchange { request: Vec::new(), answer: None });
        };
        let answer = self.receive(connection);
        let outcome = match &answer {
            Ok(Some(answer)) => self.read(connection, &step, &request, answer),
            Ok(None) => Outcome::Closed,
            Err(()) => Outcome::Silent,
        };
        if !matches!(outcome, Outcome::Answer(_) | Outcome::Unread(_)) {
            self.connections.remove(connection);
        }
        (outcome, Exchange { request, answer: answer.ok().flatten() })
    }

    /// The next step on this connection has a new one.
    pub fn hang_up_on(&mut self, connection: &str) {
        self.connections.remove(connection);
        self.waiting.remove(connection);
        self.early.remove(connection);
    }

    /// The next steps have new connections, and nothing is waited for.
    pub fn hang_up(&mut self) {
        self.connections.clear();
        self.waiting.clear();
        self.early.clear();
    }

    /// True if something was sent and not awaited.
    pub fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// True if something was sent on this connection and not awaited.
    pub fn owes_on(&self, connection: &str) -> bool {
        self.waiting.contains_key(connection)
    }

    /// The connections on which something was sent and not awaited.
    pub fn owing(&self) -> Vec<String> {
        self.waiting.keys().cloned().collect()
    }

    fn frame(&self, step: &Step) -> Vec<u8> {
        let (key, version, flexible, body) = match step {
            Step::Frame(bytes) => return bytes.clone(),
            Step::Body { key, version, flexible, body } => (*key, *version, *flexible, body.clone()),
            Step::On(..) | Step::Send(_) | Step::Try(_) | Step::Await | Step::Look => {
                unreachable!("{step} is not a request")
            }
            Step::Request { api, version, fields } => {
                let api = schema::by_name(api).expect("an API that is described");
                let flexible = api.is_flexible(*version);
                let mut fields = fields.clone();
                fields.change_leaves("", &mut |_, value| self.to_own(value));
                (api.key, *version, flexible, codec::encode(&api.request, *version, flexible, &fields))
            }
        };
        let mut frame = Vec::with_capacity(body.len() + 32);
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.correlation.to_be_bytes());
        frame.extend((CLIENT_ID.len() as i16).to_be_bytes());
        frame.extend(CLIENT_ID);
        if flexible {
            frame.push(0);
        }
        frame.extend(body);
        frame
    }

    /// Sends a request, and gives its bytes. Whether it arrived is seen when its answer is received.
    fn send(&mut self, connection: &str, step: &Step) -> Vec<u8> {
        self.correlation = self.correlation.wrapping_add(1);
        let request = self.frame(step);
        let mut stream = self.connections.entry(connection.to_owned()).or_insert_with(|| {
            let stream = TcpStream::connect(self.address).expect("connect to a server that has started");
            stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
            stream.set_nodelay(true).expect("switch Nagle's algorithm off");
            stream
        }) as &TcpStream;
        let mut whole = (request.len() as u32).to_be_bytes().to_vec();
        whole.extend(&request);
        let _ = stream.write_all(&whole);
        request
    }

    /// The next answer's bytes; None when the server hung up. An error: neither.
    fn receive(&mut self, connection: &str) -> Result<Option<Vec<u8>>, ()> {
        if let Some(answer) = self.early.remove(connection) {
            return Ok(Some(answer));
        }
        let Some(mut stream) = self.connections.get(connection) else { return Ok(None) };
        let mut receive = || {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        match receive() {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(()),
            Err(_) => Ok(None),
        }
    }

    /// An answer in common words.
    fn read(&mut self, connection: &str, step: &Step, request: &[u8], answer: &[u8]) -> Outcome {
        // A frame made by hand has a correlation id made by hand.
        if request.get(4..8) != answer.get(..4) {
            return Outcome::Garbled(format!("the answer is to another request: {answer:02x?}"));
        }
        let (Some(api), version) = (step.api(), step.version()) else { return Outcome::Unread(answer.len()) };
        const API_VERSIONS: i16 = 18;
        let body = &answer[4..];
        let refused = api.key == API_VERSIONS && body.starts_with(&[0, 35]);
        // What ApiVersions does not know it answers in version 0.
        let version = if refused { 0 } else { version };
        if !api.versions().contains(&version) {
            return Outcome::Unread(answer.len());
        }
        let flexible = api.is_flexible(version);
        // The header of flexible versions has tagged fields; ApiVersions, which comes first, never.
        let body = match (flexible && api.key != API_VERSIONS, body) {
            (true, [0, body @ ..]) => body,
            (true, _) => return Outcome::Garbled(format!("tagged fields in the header: {answer:02x?}")),
            (false, body) => body,
        };
        match codec::decode(&api.answer, version, flexible, body) {
            Ok(mut fields) => {
                // An id that was refused is the client's own.
                if api.name == "JoinGroup" && matches!(fields.int("error_code"), Some(0 | MEMBER_ID_REQUIRED))
                {
                    self.learn_member(connection, &fields);
                    self.learn_from_others(&fields);
                }
                if api.name == "InitProducerId" {
                    self.learn_producer(&fields);
                }
                fields.change("responses[].partitions[].records", &mut records::tell);
                // A validation tells the id of a topic that will never be.
                if !step.sent().at("validate_only").contains(&&Value::Bool(true)) {
                    self.learn_topics(&fields);
                }
                if !self.plain {
                    fields.change_leaves("", &mut |name, value| self.to_common(name, value));
                }
                Outcome::Answer(fields)
            }
            Err(error) => Outcome::Garbled(format!("{error}: {answer:02x?}")),
        }
    }

    fn to_own(&self, value: &mut Value) {
        let Value::Symbol(name) = value else { return };
        let places = [&self.members, &self.last, &self.topics, &self.producers, &self.symbols];
        let own = places.into_iter().find_map(|place| place.get(name));
        *value = match (own, name.split_once('.')) {
            (Some(own), _) => own.clone(),
            (None, Some(("id", _))) => Value::text(""),
            (None, Some(("generation", _))) => Value::Int(0),
            (None, Some(("pid", _))) => Value::Int(-1),
            (None, Some(("protocol", _))) => Value::text("range"),
            // A member or a topic that never came: a sequence that was made smaller has them.
            (None, Some(_)) => Value::Bytes(vec![7; 16]),
            (None, None) => Value::Text(format!("nobody-{name}")),
        }
    }

    fn to_common(&self, field: &str, value: &mut Value) {
        let named = |names: &BTreeMap<String, Value>| {
            names.iter().find(|(_, own)| **own == *value).map(|(name, _)| Value::Symbol(name.clone()))
        };
        let found = match field {
            "member_id" | "leader" => named(&self.members).or_else(|| untold(value)),
            "topic_id" if *value != Value::Bytes(vec![0; 16]) => {
                named(&self.symbols).or_else(|| named(&self.topics))
            }
            "producer_id" => named(&self.producers),
            "port" | "cluster_id" => named(&self.symbols),
            _ => None,
        };
        if let Some(found) = found {
            *value = found;
        }
    }
}

/// A member id that a server has made and not yet told to whom it belongs: it ends with a random UUID.
fn untold(id: &Value) -> Option<Value> {
    let Value::Text(id) = id else { return None };
    let uuid = id.get(id.len().checked_sub(36)?..)?;
    let is_uuid = uuid.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    is_uuid.then(|| Value::Symbol("untold".to_owned()))
}
