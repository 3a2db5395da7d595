//! The admin listener as a supervisor or Prometheus meets it: one HTTP request a connection, by hand.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::must::Must;

const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    #[track_caller]
    pub fn get(address: SocketAddr, path: &str) -> Self {
        Self::try_get(address, path).must(&format!("get {path} from {address}"))
    }

    pub fn try_get(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        Self::read(&mut stream)
    }

    /// Reads the answer up to the end of the connection, which comes with it.
    pub fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {text:?}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        Ok(Self { status, head: head.to_lowercase(), body: body.to_owned() })
    }
}

pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
