//! One server at the other end of a socket: steps go out, what comes back is told in words that both servers share.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::codec;
use super::schema;
use super::step::Step;
use super::value::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
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
    correlation: i32,
    /// Its own values by their common names: `orders` is a topic id, `port`, `cluster`.
    symbols: BTreeMap<String, Value>,
    /// The ids of members: `b2` is the second that was given on connection b, `m2` on that without a name.
    members: BTreeMap<String, Value>,
}

impl Link {
    pub fn new(address: SocketAddr) -> Self {
        let symbols = BTreeMap::from([("port".to_owned(), Value::Int(address.port().into()))]);
        Self {
            address,
            connections: BTreeMap::new(),
            waiting: BTreeMap::new(),
            correlation: 0,
            symbols,
            members: BTreeMap::new(),
        }
    }

    /// From now on this value of this server goes by a common name.
    pub fn name(&mut self, name: &str, value: Value) {
        self.symbols.insert(name.to_owned(), value);
    }

    /// A new sequence has members of its own.
    pub fn forget_members(&mut self) {
        self.members.clear();
    }

    /// A member id is known by the connection on which it was first given.
    fn learn_member(&mut self, connection: &str, answer: &Value) {
        let Some(id) = answer.field("member_id") else { return };
        if *id == Value::text("") || self.members.values().any(|known| known == id) {
            return;
        }
        let prefix = if connection.is_empty() { "m" } else { connection };
        let name = (1..).map(|number| format!("{prefix}{number}"));
        let name =
            name.into_iter().find(|name| !self.members.contains_key(name)).expect("numbers do not end");
        self.members.insert(name, id.clone());
    }

    /// The request that a step is about: for one that awaits an answer, what was sent before.
    pub fn about(&self, step: &Step) -> Step {
        match step.place() {
            (connection, Step::Await) => {
                self.waiting.get(connection).map_or(Step::Await, |sent| sent.0.clone())
            }
            (_, Step::Send(step)) => (**step).clone(),
            (_, step) => step.clone(),
        }
    }

    /// Sends a step and waits for what becomes of it.
    pub fn say(&mut self, step: &Step) -> (Outcome, Exchange) {
        let (connection, step) = step.place();
        let (step, request) = match step {
            Step::Await => match self.waiting.remove(connection) {
                Some(sent) => sent,
                None => return (Outcome::Closed, Exchange { request: Vec::new(), answer: None }),
            },
            Step::Send(step) => {
                let request = self.send(connection, step);
                self.waiting.insert(connection.to_owned(), ((**step).clone(), request.clone()));
                return (Outcome::Sent, Exchange { request, answer: None });
            }
            step => (step.clone(), self.send(connection, step)),
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
    }

    /// The next steps have new connections, and nothing is waited for.
    pub fn hang_up(&mut self) {
        self.connections.clear();
        self.waiting.clear();
    }

    /// True if something was sent and not awaited.
    pub fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn frame(&self, step: &Step) -> Vec<u8> {
        let (key, version, flexible, body) = match step {
            Step::Frame(bytes) => return bytes.clone(),
            Step::Body { key, version, flexible, body } => (*key, *version, *flexible, body.clone()),
            Step::On(..) | Step::Send(_) | Step::Await => unreachable!("{step} is not a request"),
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
    fn receive(&self, connection: &str) -> Result<Option<Vec<u8>>, ()> {
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
                }
                fields.change_leaves("", &mut |name, value| self.to_common(name, value));
                Outcome::Answer(fields)
            }
            Err(error) => Outcome::Garbled(format!("{error}: {answer:02x?}")),
        }
    }

    fn to_own(&self, value: &mut Value) {
        if let Value::Symbol(name) = value {
            let own = self.members.get(name).or_else(|| self.symbols.get(name));
            // A member that never came: a sequence that was made smaller has them.
            *value = own.cloned().unwrap_or_else(|| Value::Text(format!("nobody-{name}")));
        }
    }

    fn to_common(&self, field: &str, value: &mut Value) {
        if matches!(field, "member_id" | "leader") {
            if let Some((name, _)) = self.members.iter().find(|(_, own)| *own == value) {
                *value = Value::Symbol(name.clone());
            }
            return;
        }
        let is_named = match field {
            "port" | "cluster_id" => true,
            "topic_id" => *value != Value::Bytes(vec![0; 16]),
            _ => false,
        };
        let name = self.symbols.iter().find(|(_, own)| is_named && *own == value).map(|(name, _)| name);
        if let Some(name) = name {
            *value = Value::Symbol(name.clone());
        }
    }
}
