//! One connection to one server: opened within a time, versions negotiated as KIP-511 says, one request after another.
//! A connection that failed is not used again; that is its owner's care.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader};
use kafka_protocol::protocol::{
    Decodable as _, Encodable as _, HeaderVersion as _, Message as _, Request as _, StrBytes,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::calls::Call;
use super::endpoint::Endpoint;
use super::error::{Error, Refused, Versions};
use super::sasl::Account;
use crate::tls::{Connector, Stream};
use crate::wire::codes;
use crate::wire::guard;

/// How servers are spoken to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// To connect, and for each answer.
    pub timeout: Duration,
    /// What this client calls itself; it stands in the journal beside what it did.
    pub client_id: String,
    /// TLS, unless in plain text.
    pub tls: Option<Connector>,
    /// Who this client is, for servers that want to know.
    pub sasl: Option<Account>,
}

/// Largest answer taken, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Entries of one answer. Each costs the decoder more memory than it takes on the wire.
const MAX_ANSWER_ITEMS: usize = 4_000_000;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) at: Endpoint,
    stream: Stream,
    served: Vec<ApiVersion>,
    pub(super) settings: Settings,
    sent: i32,
    /// From when on it must say anew who it is.
    pub(super) renew: Option<Instant>,
}

impl Connection {
    /// Connects, learns what is served, and says who it is.
    pub(super) async fn open(at: &Endpoint, settings: &Settings) -> Result<Self, Error> {
        let unreachable = |error| Error::Unreachable { at: at.clone(), error };
        let connecting = timeout(settings.timeout, TcpStream::connect((at.host.as_str(), at.port)));
        let stream = match connecting.await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => {
                let ms = settings.timeout.as_millis();
                let error = io::Error::new(io::ErrorKind::TimedOut, format!("not connected within {ms} ms"));
                return Err(unreachable(error));
            }
        };
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream = match &settings.tls {
            None => Stream::Plain(stream),
            Some(tls) => match timeout(settings.timeout, tls.connect(&at.host, stream)).await {
                Ok(shaken) => shaken.map_err(|error| Error::Tls { at: at.clone(), error })?,
                Err(_) => {
                    return Err(Error::Silent {
                        at: at.clone(),
                        api: "the TLS handshake",
                        after: settings.timeout,
                    });
                }
            },
        };
        let settings = settings.clone();
        let mut connection =
            Self { at: at.clone(), stream, served: Vec::new(), settings, sent: 0, renew: None };
        connection.negotiate().await?;
        connection.authenticate().await?;
        Ok(connection)
    }

    /// Every API served: key and versions.
    pub(super) fn served(&self) -> impl Iterator<Item = (i16, Versions)> + '_ {
        self.served.iter().map(|api| (api.api_key, Versions { min: api.min_version, max: api.max_version }))
    }

    /// Asks in the highest version that both know; `build` is told which.
    pub(super) async fn ask<R: Call>(&mut self, build: impl FnOnce(i16) -> R) -> Result<R::Response, Error> {
        if self.renew.is_some_and(|at| Instant::now() >= at) {
            self.authenticate().await?;
        }
        self.ask_now(build).await
    }

    /// The same whoever this client is to the server by now.
    pub(super) async fn ask_now<R: Call>(
        &mut self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let version = self.version_of::<R>()?;
        let request = build(version);
        let body = self.exchange(version, &request).await?;
        self.decode::<R>(version, body)
    }

    fn version_of<R: Call>(&self) -> Result<i16, Error> {
        let ours = Versions { min: R::VERSIONS.min, max: R::VERSIONS.max };
        let theirs = self.served().find(|(key, _)| *key == R::KEY).map(|(_, versions)| versions);
        let common = theirs.map(|theirs| (theirs.min.max(ours.min), theirs.max.min(ours.max)));
        match common {
            Some((min, max)) if min <= max => Ok(max),
            _ => Err(Error::Unsupported { at: self.at.clone(), api: R::NAME, theirs, ours }),
        }
    }

    /// KIP-511: opens with the newest version known here. A server that does not know it answers code 35 in version 0, and
    /// says there which it does know; one from before KIP-511 says nothing, and knows version 0.
    async fn negotiate(&mut self) -> Result<(), Error> {
        let name = StrBytes::from_static_str;
        let request = || {
            ApiVersionsRequest::default()
                .with_client_software_name(name("offsetd"))
                .with_client_software_version(name(env!("CARGO_PKG_VERSION")))
        };
        let newest = ApiVersionsRequest::VERSIONS.max;
        let body = self.exchange(newest, &request()).await?;
        let unknown = body.first_chunk() == Some(&codes::UNSUPPORTED_VERSION.to_be_bytes());
        let mut answer = self.decode::<ApiVersionsRequest>(if unknown { 0 } else { newest }, body)?;
        if unknown {
            let told = answer.api_keys.iter().find(|api| api.api_key == ApiVersionsRequest::KEY);
            let version = told.map_or(0, |api| api.max_version.clamp(0, newest));
            let body = self.exchange(version, &request()).await?;
            answer = self.decode::<ApiVersionsRequest>(version, body)?;
        }
        let ApiVersionsResponse { error_code, api_keys, .. } = answer;
        if let Some(refused) = Refused::from_code(error_code, None) {
            return Err(Error::Refused { at: self.at.clone(), api: ApiVersionsRequest::NAME, refused });
        }
        self.served = api_keys;
        Ok(())
    }

    /// Sends a request and takes its answer, header taken off, in the time given.
    async fn exchange<R: Call>(&mut self, version: i16, request: &R) -> Result<BytesMut, Error> {
        self.sent = self.sent.wrapping_add(1);
        let frame = self.frame(version, request)?;
        let after = self.settings.timeout;
        let answered = timeout(after, async {
            let sent = self.stream.write_all(&frame).await;
            sent.map_err(|error| self.closed::<R>(error))?;
            // What TLS still holds.
            let flushed = self.stream.flush().await;
            flushed.map_err(|error| self.closed::<R>(error))?;
            self.receive::<R>().await
        });
        let mut body = match answered.await {
            Ok(answer) => answer?,
            Err(_) => return Err(Error::Silent { at: self.at.clone(), api: R::NAME, after }),
        };
        // The answer to ApiVersions has the oldest header whatever its version.
        if R::Response::header_version(version) >= 1 {
            let tags = guard::tagged_fields_length(&body);
            let length = tags.map_err(|why| self.malformed::<R>(version, why))?;
            body.advance(length);
        }
        Ok(body)
    }

    fn frame<R: Call>(&self, version: i16, request: &R) -> Result<BytesMut, Error> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.sent)
            .with_client_id(Some(StrBytes::from_string(self.settings.client_id.clone())));
        let unsayable = |why: String| Error::Unsayable { at: self.at.clone(), api: R::NAME, version, why };
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|e| unsayable(e.to_string()))?;
        request.encode(&mut frame, version).map_err(|e| unsayable(e.to_string()))?;
        let size = i32::try_from(frame.len() - 4).map_err(|e| unsayable(e.to_string()))?;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        Ok(frame)
    }

    async fn receive<R: Call>(&mut self) -> Result<BytesMut, Error> {
        let mut prefix = [0; 8];
        // Four bytes first: a short answer of something else would not fill eight.
        let size = self.stream.read_exact(&mut prefix[..4]).await;
        size.map_err(|error| self.closed::<R>(error))?;
        let [a, b, c, d, ..] = prefix;
        let claimed = i32::from_be_bytes([a, b, c, d]);
        let size = usize::try_from(claimed).ok().filter(|size| (4..=MAX_ANSWER_BYTES).contains(size));
        let Some(size) = size else { return Err(self.not_kafka(looks_like([a, b, c, d], claimed))) };
        let correlation = self.stream.read_exact(&mut prefix[4..]).await;
        correlation.map_err(|error| self.closed::<R>(error))?;
        let [.., e, f, g, h] = prefix;
        if i32::from_be_bytes([e, f, g, h]) != self.sent {
            return Err(self.not_kafka("its answer does not belong to the question".to_owned()));
        }
        // Room is made as bytes come, not as they are announced.
        let mut body = BytesMut::new();
        let mut rest = (&mut self.stream).take((size - 4) as u64);
        loop {
            match rest.read_buf(&mut body).await {
                Ok(0) if body.len() == size - 4 => return Ok(body),
                Ok(0) => return Err(self.closed::<R>(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.closed::<R>(error)),
            }
        }
    }

    fn decode<R: Call>(&self, version: i16, mut body: BytesMut) -> Result<R::Response, Error> {
        let flexible = R::header_version(version) >= 2;
        guard::check(&mut body, R::ANSWER, version, flexible, MAX_ANSWER_ITEMS)
            .map_err(|why| self.malformed::<R>(version, why))?;
        R::Response::decode(&mut body.freeze(), version).map_err(|why| self.malformed::<R>(version, why))
    }

    fn closed<R: Call>(&self, error: io::Error) -> Error {
        let error = match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the connection ended"),
            _ => error,
        };
        Error::Closed { at: self.at.clone(), api: R::NAME, error }
    }

    fn malformed<R: Call>(&self, version: i16, why: impl ToString) -> Error {
        Error::Malformed { at: self.at.clone(), api: R::NAME, version, why: why.to_string() }
    }

    fn not_kafka(&self, saw: String) -> Error {
        Error::NotKafka { at: self.at.clone(), saw }
    }
}

/// What speaks like this.
fn looks_like(bytes: [u8; 4], claimed: i32) -> String {
    match &bytes {
        b"HTTP" => "it speaks HTTP".to_owned(),
        b"SSH-" => "it speaks SSH".to_owned(),
        [0x14..=0x17, 3, 0..=4, _] => "it speaks TLS".to_owned(),
        _ if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
            format!("its answer begins with {:?}", String::from_utf8_lossy(&bytes))
        }
        _ => format!("its answer claims to have {claimed} bytes"),
    }
}
