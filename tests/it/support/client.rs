//! A blocking client over one socket: raw frames, typed calls at any version, and as many in flight as you like.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::Request;

use super::must::Must;
use super::tls::{Tls, TlsPipe};
use super::wire::{self, Header};

const PATIENCE: Duration = Duration::from_secs(10);

/// What a client speaks over.
enum Pipe {
    Plain(TcpStream),
    Tls(TlsPipe),
}

impl Pipe {
    fn socket(&self) -> &TcpStream {
        match self {
            Pipe::Plain(socket) => socket,
            Pipe::Tls(pipe) => pipe.socket(),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Pipe::Plain(socket) => socket.write_all(bytes),
            Pipe::Tls(pipe) => pipe.write_all(bytes).and_then(|()| pipe.flush()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Pipe::Plain(socket) => socket.read(buffer),
            Pipe::Tls(pipe) => pipe.read(buffer),
        }
    }
}

pub struct Client {
    stream: Pipe,
    correlation: i32,
    client_id: Option<String>,
}

/// How a connection ended: the answers that still came, then the end.
pub struct Hangup {
    pub answers: Vec<Bytes>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).must(&format!("connect to {address}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(Pipe::Plain(Self::socket(address)?))
    }

    /// In TLS; an error is that of the handshake.
    pub fn try_tls(address: SocketAddr, tls: &Tls) -> io::Result<Self> {
        Self::over(Pipe::Tls(tls.over(Self::socket(address)?)?))
    }

    #[track_caller]
    pub fn tls(address: SocketAddr, tls: &Tls) -> Self {
        Self::try_tls(address, tls).must(&format!("shake hands with {address}"))
    }

    fn socket(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn over(stream: Pipe) -> io::Result<Self> {
        Ok(Self { stream, correlation: 0, client_id: Some("it".to_owned()) })
    }

    /// The client id of the requests from now on.
    pub fn named(mut self, client_id: Option<&str>) -> Self {
        self.client_id = client_id.map(str::to_owned);
        self
    }

    /// How long a write may wait for the server to read, from now on.
    pub fn write_timeout(&self, limit: Duration) {
        self.stream.socket().set_write_timeout(Some(limit)).must("set a write timeout");
    }

    /// The header of the next request: a correlation id that was not used before.
    pub fn header(&mut self) -> Header {
        self.correlation += 1;
        Header { correlation: self.correlation, client_id: self.client_id.clone() }
    }

    /// Sends a request and gives the correlation id of its answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let header = self.header();
        self.send_payload(&wire::payload(version, &header, request));
        header.correlation
    }

    /// Receives the answer to that request.
    #[track_caller]
    pub fn receive<R: Request>(&mut self, version: i16, correlation: i32) -> R::Response {
        let frame = self.frame().must("receive an answer").must("receive an answer: the server hung up");
        wire::answer::<R>(version, correlation, frame)
    }

    #[track_caller]
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation = self.send(version, request);
        self.receive::<R>(version, correlation)
    }

    /// Sends a payload with its length before it.
    pub fn send_payload(&mut self, payload: &[u8]) {
        self.send_bytes(&wire::framed(payload));
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).must("send to the server");
    }

    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer as bytes; None when the server has closed the connection.
    pub fn frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut size = [0; 4];
        if !self.fill(&mut size)? {
            return Ok(None);
        }
        let size = i32::from_be_bytes(size);
        assert!((4..=64 << 20).contains(&size), "an answer says that it has {size} bytes");
        let mut payload = vec![0; size as usize];
        if !self.fill(&mut payload)? {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "hung up in the middle of an answer"));
        }
        Ok(Some(Bytes::from(payload)))
    }

    /// False if the connection ended before the first byte; a reset is an end too.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "hung up in the middle of an answer",
                    ));
                }
                Ok(read) => filled += read,
                Err(error) if filled == 0 && is_end(&error) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads until the server closes the connection; fails if it does not.
    #[track_caller]
    pub fn until_closed(&mut self) -> Hangup {
        let mut answers = Vec::new();
        while let Some(answer) = self.frame().must("wait for the server to close the connection") {
            answers.push(answer);
        }
        Hangup { answers }
    }

    #[track_caller]
    pub fn is_hung_up_on(&mut self) {
        let answers = self.until_closed().answers;
        assert!(answers.is_empty(), "hung up only after {} answers: {answers:?}", answers.len());
    }

    /// Nothing more will be sent: the server reads an end, and may still answer.
    pub fn finish_sending(&self) {
        self.stream.socket().shutdown(Shutdown::Write).must("shut down the sending side");
    }

    /// The same in TLS, where it is said; the socket stays open.
    pub fn say_goodbye(&mut self) {
        match &mut self.stream {
            Pipe::Plain(_) => panic!("there is no goodbye in plain text"),
            Pipe::Tls(pipe) => pipe.close_notify().must("say goodbye"),
        }
    }

    pub fn read_timeout(&self, limit: Duration) {
        self.stream.socket().set_read_timeout(Some(limit)).must("set a read timeout");
    }

    /// The same connection again, for a thread that sends while another receives.
    pub fn twin(&self) -> Self {
        let Pipe::Plain(stream) = &self.stream else { panic!("in TLS a connection has one end") };
        let stream = Pipe::Plain(stream.try_clone().must("clone a socket"));
        Self { stream, correlation: self.correlation, client_id: self.client_id.clone() }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}
