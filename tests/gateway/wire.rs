//! One connection to a broker or a gateway, on which requests are said in a version of choice and answers kept as bytes.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, RequestHeader, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

const PATIENCE: Duration = Duration::from_secs(20);
const CLIENT_ID: &str = "witness";

pub struct Wire {
    stream: TcpStream,
    correlation: i32,
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Wire {
    pub fn connect(address: impl ToSocketAddrs) -> Self {
        Self::try_connect(address).expect("connect to a server that has started")
    }

    pub fn try_connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let address = address.to_socket_addrs()?.next().expect("an address");
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation: 0 })
    }

    /// Says who this is, by PLAIN; gives the server's word on it.
    pub fn authenticate(&mut self, user: &str, password: &str) -> io::Result<SaslAuthenticateResponse> {
        let handshake = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
        let offered = self.call(1, &handshake)?;
        if offered.error_code != 0 {
            return Err(io::Error::other(format!("{offered:?}")));
        }
        let message = format!("\0{user}\0{password}");
        self.call(2, &SaslAuthenticateRequest::default().with_auth_bytes(message.into_bytes().into()))
    }

    /// Says a request and reads its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let frame = frame(R::KEY, version, R::header_version(version), request)?;
        let answer = self.exchange(frame)?;
        let mut answer = answer.slice(4..);
        // The tagged fields of a flexible header, of which nobody sends any.
        if R::Response::header_version(version) > 0 {
            answer = answer.slice(1..);
        }
        let decoded = R::Response::decode(&mut answer, version).map_err(io::Error::other)?;
        if answer.is_empty() { Ok(decoded) } else { Err(io::Error::other("an answer that is too long")) }
    }

    /// Sends a whole request, to which the correlation id is written, and gives the answer from that id on.
    pub fn exchange(&mut self, frame: BytesMut) -> io::Result<Bytes> {
        let correlation = self.send(frame)?;
        let answer = self.receive()?;
        if answer.get(..4) == Some(&correlation.to_be_bytes()[..]) {
            return Ok(answer);
        }
        Err(io::Error::other(format!("an answer to another request than {correlation}: {answer:02x?}")))
    }

    /// Sends a request and gives its correlation id.
    pub fn send(&mut self, mut frame: BytesMut) -> io::Result<i32> {
        self.correlation += 1;
        frame[4..8].copy_from_slice(&self.correlation.to_be_bytes());
        let mut whole = (frame.len() as u32).to_be_bytes().to_vec();
        whole.extend(&frame);
        self.stream.write_all(&whole)?;
        Ok(self.correlation)
    }

    /// The next answer.
    pub fn receive(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    /// Of these topics, or of all.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> io::Result<MetadataResponse> {
        let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let topics = topics.map(|topics| topics.iter().map(named).collect());
        self.call(12, &MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false))
    }
}

/// A request's bytes, without their length; the correlation id is 0. An error: the message cannot be said in this version.
pub fn frame<R: Encodable>(key: i16, version: i16, header: i16, request: &R) -> io::Result<BytesMut> {
    let mut frame = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_client_id(Some(text(CLIENT_ID)))
        .encode(&mut frame, header)
        .map_err(io::Error::other)?;
    request.encode(&mut frame, version).map_err(io::Error::other)?;
    Ok(frame)
}
