//! The request header, peeked without trust: key, version, correlation id, client id. What follows is the body.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::guard::{self, Malformed};

/// A request, its header taken off.
#[derive(Debug)]
pub struct Request {
    /// API key.
    pub key: i16,
    /// API version.
    pub version: i16,
    /// To be echoed in the answer.
    pub correlation_id: i32,
    /// What the client calls itself; `None` and empty are normal.
    pub client_id: Option<StrBytes>,
    /// The rest.
    pub body: BytesMut,
}

/// Which headers a request and its answer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flexible {
    /// Request header v1.
    No,
    /// Request header v2: tagged fields after the client id.
    Yes,
}

/// Reads key and version: the first four bytes.
pub fn peek(frame: &[u8]) -> Result<(i16, i16), Malformed> {
    let Some(&[a, b, c, d]) = frame.first_chunk::<4>() else {
        return Err(Malformed("a header ends too early"));
    };
    Ok((i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])))
}

/// Takes the header off a frame.
pub fn split(mut frame: BytesMut, flexible: Flexible) -> Result<Request, Malformed> {
    let (key, version) = peek(&frame)?;
    if frame.len() < 8 {
        return Err(Malformed("a header ends too early"));
    }
    frame.advance(4);
    let correlation_id = frame.get_i32();
    let client_id = client_id(&mut frame)?;
    if flexible == Flexible::Yes {
        let length = guard::tagged_fields_length(&frame)?;
        frame.advance(length);
    }
    Ok(Request { key, version, correlation_id, client_id, body: frame })
}

/// A classic nullable string even in header v2. Any negative length is "null", as in Kafka.
fn client_id(frame: &mut BytesMut) -> Result<Option<StrBytes>, Malformed> {
    const SHORT: Malformed = Malformed("the client id ends too early");
    if frame.len() < 2 {
        return Err(SHORT);
    }
    let Ok(length) = usize::try_from(frame.get_i16()) else { return Ok(None) };
    if frame.len() < length {
        return Err(SHORT);
    }
    // Copied: a slice would keep the whole frame alive for as long as the client id is remembered.
    let bytes = Bytes::copy_from_slice(&frame[..length]);
    frame.advance(length);
    StrBytes::from_utf8(bytes).map(Some).map_err(|_| Malformed("the client id is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_both_kinds() {
        let frame = [0, 18, 0, 3, 0, 0, 0, 7, 0, 2, b'm', b'e', 0, 42];
        let request = split(BytesMut::from(&frame[..]), Flexible::Yes).unwrap();
        assert_eq!((request.key, request.version, request.correlation_id), (18, 3, 7));
        assert_eq!((request.client_id.as_deref(), &request.body[..]), (Some("me"), &[42][..]));
        let null = [0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
        assert_eq!(split(BytesMut::from(&null[..]), Flexible::No).unwrap().client_id, None);
    }

    #[test]
    fn a_short_header_is_an_error_at_every_length() {
        let frame = [0, 18, 0, 3, 0, 0, 0, 7, 0, 2, b'm', b'e', 1, 5, 1, 9];
        for length in 0..frame.len() {
            assert!(split(BytesMut::from(&frame[..length]), Flexible::Yes).is_err(), "{length}");
        }
    }
}
