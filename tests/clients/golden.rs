//! What real clients once said to Apache Kafka, said again to offsetd: this needs no client installed.
//!
//! Answers about offsets must be Kafka's to the byte. The others name brokers, topics and versions of the server
//! that was recorded, so only their beginning is compared.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::server::Server;

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const API_VERSIONS: i16 = 18;

/// One request and its answer, without their lengths, and the line that says what they are.
struct Exchange {
    title: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

#[test]
fn offsetd_answers_recorded_clients_as_kafka_did() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/golden");
    let server = Server::start();
    let mut files = 0;
    for entry in fs::read_dir(dir).expect("list the golden files") {
        let path = entry.expect("list the golden files").path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            replay(&server, &path);
            files += 1;
        }
    }
    assert!(files > 0, "there are no golden files");
}

/// Each recording has groups of its own, and begins with nothing stored in them.
fn replay(server: &Server, path: &Path) {
    let mut stream = TcpStream::connect(server.address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set a timeout");
    for Exchange { title, request, answer } in parse(&fs::read_to_string(path).expect("read a golden file")) {
        let title = format!("{}: {title}", path.display());
        send(&mut stream, &request);
        let said = receive(&mut stream).unwrap_or_else(|error| panic!("{title}: no answer: {error}"));
        let compared = match i16::from_be_bytes([request[0], request[1]]) {
            OFFSET_COMMIT | OFFSET_FETCH => answer.len().max(said.len()),
            // The correlation id, then the error code.
            API_VERSIONS => 6,
            _ => 4,
        };
        let part = |frame: &[u8]| hex(&frame[..compared.min(frame.len())]);
        assert_eq!(part(&said), part(&answer), "{title}\n> {}", hex(&request));
    }
}

fn parse(text: &str) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let (mut title, mut request) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            title = words.to_owned();
        } else if let Some(digits) = line.strip_prefix("> ") {
            request = unhex(digits);
        } else if let Some(digits) = line.strip_prefix("< ") {
            exchanges.push(Exchange {
                title: title.clone(),
                request: request.clone(),
                answer: unhex(digits),
            });
        }
    }
    exchanges
}

fn send(stream: &mut TcpStream, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
    stream.write_all(&[&length, frame].concat()).expect("send a request");
}

fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = Vec::new();
    stream.take(u32::from_be_bytes(length).into()).read_to_end(&mut frame)?;
    Ok(frame)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
