//! One request to the admin listener, and its JSON. Plain HTTP/1.1, a bounded answer, a bounded wait.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use super::fail::Failure;
use crate::admin::view::ErrorView;

/// Largest answer taken, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Where the admin listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admin {
    host: String,
    port: u16,
    path: String,
}

impl Admin {
    /// Reads `http://HOST:PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is not http://HOST:PORT: {why}");
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("the admin listener does not speak TLS")),
            _ => return Err(wrong("it does not begin with http://")),
        }
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        let path = uri.path().trim_end_matches('/').to_owned();
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), path })
    }

    /// Asks, and gives status and body.
    pub(super) async fn get(&self, path: &str, wait: Duration) -> Result<(StatusCode, Bytes), Failure> {
        self.send(Request::get(format!("{}{path}", self.path)), Bytes::new(), wait).await
    }

    async fn send(
        &self,
        request: Builder,
        body: Bytes,
        wait: Duration,
    ) -> Result<(StatusCode, Bytes), Failure> {
        match timeout(wait, self.exchange(request, body)).await {
            Ok(answer) => answer,
            Err(_) => {
                let ms = wait.as_millis();
                let error = format!("the admin listener at {self} did not answer within {ms} ms");
                Err(Failure::new(error).hint("give it more with --timeout-ms".to_owned()))
            }
        }
    }

    async fn exchange(&self, request: Builder, body: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        const NOT_THERE: &str = "is the server running, and is this its admin_listen? --admin URL says another; \
                                 --data-dir DIR reads the store of a server that is stopped";
        const NOT_HTTP: &str = "is this the admin listener, and not the Kafka one?";
        let failed = |what: &str, cause: &dyn ToString, hint: &str| {
            Failure::new(format!("{what} the admin listener at {self}"))
                .because(cause.to_string())
                .hint(hint.to_owned())
        };
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await;
        let stream = stream.map_err(|error| failed("cannot connect to", &error, NOT_THERE))?;
        let not_http = |error: hyper::Error| failed("no answer in HTTP from", &error, NOT_HTTP);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        // Its error is the sender's, too.
        tokio::spawn(connection);
        let request = request
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONNECTION, "close")
            .body(Full::new(body));
        let request = request.map_err(|error| failed("cannot ask", &error, "this is a bug"))?;
        let answer = sender.send_request(request).await.map_err(not_http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| failed("a broken answer from", &error, NOT_HTTP))?;
        Ok((status, body.to_bytes()))
    }

    /// Asks for JSON.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Result<T, Failure> {
        self.read(self.get(path, wait).await?)
    }

    /// Tells JSON, and is answered with some.
    pub(super) async fn tell<T: DeserializeOwned>(
        &self,
        path: &str,
        told: &impl Serialize,
        wait: Duration,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(told).map_err(Failure::new)?;
        let request = Request::post(format!("{}{path}", self.path));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.read(self.send(request, body.into(), wait).await?)
    }

    fn read<T: DeserializeOwned>(&self, (status, body): (StatusCode, Bytes)) -> Result<T, Failure> {
        if status != StatusCode::OK {
            return Err(match serde_json::from_slice::<ErrorView>(&body) {
                Ok(ErrorView { error, hint }) => Failure::new(error).hint(hint),
                Err(_) => Failure::new(format!("{self} answers {status} and does not know this question"))
                    .hint(
                        "is it the admin listener of an offsetd, of this version or a newer one?".to_owned(),
                    ),
            });
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(format!("the answer of {self} is not what was asked for"))
                .because(error)
                .hint("is it the admin listener of an offsetd of this version?".to_owned())
        })
    }
}

impl std::fmt::Display for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_said() {
        for (text, said) in [
            ("http://127.0.0.1:9644", "http://127.0.0.1:9644"),
            ("http://[::1]:9644/", "http://[::1]:9644"),
            ("http://offsets.example", "http://offsets.example:80"),
            ("http://proxy:1/offsetd/", "http://proxy:1/offsetd"),
        ] {
            assert_eq!(Admin::parse(text).unwrap().to_string(), said);
        }
        for text in ["", "127.0.0.1:9644", "https://a:1", "http://", "/v1", "http://a/?b=c", "ftp://a"] {
            assert!(Admin::parse(text).is_err(), "{text}");
        }
    }
}
