//! A server, a client, and the words that tests are written in:
//! `world.commit("g", ("orders", 0), 100).ok()`, `world.fetch("g", ("orders", 0)).is(100)`.

use std::net::SocketAddr;

use super::client::Client;
use super::fetching::{GroupAnswer, Position, fetch_of};
use super::must::Must;
use super::server::{Home, Server};
use super::value::{At, CommitAnswer, CommitAsk, Value, commit_of};
use super::wire;

/// The versions that the words use where the version is not the subject.
const COMMIT: i16 = 9;
const FETCH: i16 = 9;

/// Two listeners with a tenant each.
const TWO_TENANTS: &str = r#"
    listen = "127.0.0.1:0"
    tenant = "red"
    [[listeners]]
    listen = "127.0.0.1:0"
    tenant = "blue"
"#;

pub struct World {
    pub home: Home,
    server: Option<Server>,
    client: Option<Client>,
}

impl World {
    /// A server with nothing but defaults, on a fresh directory.
    pub fn new() -> Self {
        Self::at(Home::new())
    }

    /// A server with this TOML as its config.
    pub fn configured(toml: &str) -> Self {
        Self::at(Home::new().config(toml))
    }

    /// A server of the tenants red and blue.
    pub fn of_two_tenants() -> Self {
        Self::at(Home::new().config(TWO_TENANTS).listen_elsewhere())
    }

    /// A new connection of each tenant, where there are two.
    pub fn two_clients(&self) -> [Client; 2] {
        let addresses = self.server().addresses();
        let [red, blue] = addresses.as_slice() else { panic!("not two listeners: {addresses:?}") };
        [Client::connect(*red), Client::connect(*blue)]
    }

    pub fn at(home: Home) -> Self {
        let server = home.start();
        Self { home, server: Some(server), client: None }
    }

    /// Around a server that was started in a way of its own.
    pub fn around(home: Home, server: Server) -> Self {
        Self { home, server: Some(server), client: None }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().must("find a running server")
    }

    pub fn address(&self) -> SocketAddr {
        self.server().address()
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends this body on a connection of its own, which the server must close without an answer.
    #[track_caller]
    pub fn hangs_up_on(&self, key: i16, version: i16, body: &[u8]) {
        let mut client = self.connect();
        let header = client.header();
        let flexible = wire::is_flexible(key, version);
        client.send_payload(&wire::raw_payload(key, version, &header, flexible, body));
        let answers = client.until_closed().answers;
        assert!(answers.is_empty(), "API {key} version {version} answered {body:02x?} with {answers:02x?}");
    }

    /// The connection that the words below use.
    pub fn client(&mut self) -> &mut Client {
        let address = self.address();
        self.client.get_or_insert_with(|| Client::connect(address))
    }

    /// Drops the connection of the words: the next word makes a new one.
    pub fn disconnect(&mut self) {
        self.client = None;
    }

    /// SIGKILL, and a new server on the same directory.
    pub fn kill_and_restart(&mut self) {
        self.disconnect();
        self.server.take().must("find a running server").kill();
        self.server = Some(self.home.start());
    }

    /// SIGTERM, and a new server on the same directory.
    pub fn stop_and_restart(&mut self) {
        self.disconnect();
        let stopped = self.server.take().must("find a running server").stop();
        assert_eq!(stopped.code, Some(0), "the end of a stopped server; it said:\n{}", stopped.stderr);
        self.server = Some(self.home.start());
    }

    /// Takes the server out, to end it in a way of one's own.
    pub fn take_server(&mut self) -> Server {
        self.disconnect();
        self.server.take().must("find a running server")
    }

    /// Starts a server again after [`World::take_server`].
    pub fn start(&mut self) {
        self.server = Some(self.home.start());
    }

    /// The same, where it was.
    pub fn start_at(&mut self, address: SocketAddr) {
        self.server = Some(self.home.start_on(address));
    }

    #[track_caller]
    pub fn commit(&mut self, group: &str, at: At<'_>, value: impl Into<Value>) -> Verdict {
        self.client().commit(group, at, value)
    }

    #[track_caller]
    pub fn commit_all(&mut self, ask: &CommitAsk) -> CommitAnswer {
        self.client().commit_ask(COMMIT, ask)
    }

    #[track_caller]
    pub fn fetch(&mut self, group: &str, at: At<'_>) -> Position {
        self.client().fetch(group, at)
    }

    #[track_caller]
    pub fn fetch_all(&mut self, group: &str) -> GroupAnswer {
        self.client().fetch_ask(FETCH, &fetch_of(group))
    }
}

impl Client {
    /// Commits one partition as a simple consumer.
    #[track_caller]
    pub fn commit(&mut self, group: &str, at: At<'_>, value: impl Into<Value>) -> Verdict {
        self.commit_at(COMMIT, group, at, value)
    }

    #[track_caller]
    pub fn commit_at(&mut self, version: i16, group: &str, at: At<'_>, value: impl Into<Value>) -> Verdict {
        let value = value.into();
        let subject =
            format!("version {version}: {group:.80?} {:.80?} partition {}, {}", at.0, at.1, value.offset);
        let answer = self.commit_ask(version, &commit_of(group).put(at, value));
        match answer.codes().as_slice() {
            [code] => Verdict { code: *code, subject },
            codes => panic!("{} codes for one partition ({subject})", codes.len()),
        }
    }

    #[track_caller]
    pub fn fetch(&mut self, group: &str, at: At<'_>) -> Position {
        self.fetch_at(FETCH, group, at)
    }

    #[track_caller]
    pub fn fetch_at(&mut self, version: i16, group: &str, at: At<'_>) -> Position {
        let ask = fetch_of(group).of(at);
        let answer = self.fetch_ask(version, &ask);
        assert_eq!((answer.group.as_str(), answer.code), (group, 0), "the group and its code");
        answer.names(&ask).only().clone()
    }
}

/// What became of a commit. It has to be looked at.
#[must_use]
pub struct Verdict {
    pub code: i16,
    subject: String,
}

impl Verdict {
    #[track_caller]
    pub fn ok(self) {
        self.is(0);
    }

    #[track_caller]
    pub fn is(self, code: i16) {
        assert_eq!(self.code, code, "the code of a commit ({})", self.subject);
    }
}
