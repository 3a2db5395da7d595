//! Length-prefixed frames: a signed 32-bit size, then so many bytes (Kafka: `NetworkReceive`).

use bytes::{Buf, BytesMut};
use thiserror::Error;

/// Bytes of the size.
pub const PREFIX_BYTES: usize = 4;

/// A size that ends the connection, as in Kafka (`InvalidReceiveException`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Zero or negative: no request is that small.
    #[error("a frame of {0} bytes cannot hold a request")]
    NotPositive(i32),
    /// Over the limit. Typical of a client that speaks TLS or HTTP to a plaintext port.
    #[error("a frame of {size} bytes; the limit is {limit} (is the client speaking TLS or HTTP?)")]
    TooLarge {
        /// What the peer claims.
        size: usize,
        /// `server.max_request_bytes`.
        limit: usize,
    },
}

/// What a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole frame, taken out, without its size.
    Whole(BytesMut),
    /// Not yet; the frame has this size once it is known.
    Partial(Option<usize>),
}

/// Takes the next frame out of `buffer` if it is whole. Allocates nothing for what is only claimed.
pub fn next(buffer: &mut BytesMut, limit: usize) -> Result<Frame, FrameError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(Frame::Partial(None)) };
    let claimed = i32::from_be_bytes(*prefix);
    let size =
        usize::try_from(claimed).ok().filter(|size| *size > 0).ok_or(FrameError::NotPositive(claimed))?;
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    if buffer.len() < PREFIX_BYTES + size {
        return Ok(Frame::Partial(Some(size)));
    }
    buffer.advance(PREFIX_BYTES);
    Ok(Frame::Whole(buffer.split_to(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn frames_come_out_one_by_one() {
        let mut bytes = buffer(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9, 0, 0]);
        assert_eq!(next(&mut bytes, 10), Ok(Frame::Whole(buffer(&[7, 8]))));
        assert_eq!(next(&mut bytes, 10), Ok(Frame::Whole(buffer(&[9]))));
        assert_eq!(next(&mut bytes, 10), Ok(Frame::Partial(None)));
    }

    #[test]
    fn a_claim_is_judged_before_it_is_believed() {
        assert_eq!(next(&mut buffer(&[0, 0, 0, 10, 1]), 10), Ok(Frame::Partial(Some(10))));
        assert_eq!(next(&mut buffer(&[0, 0, 0, 11]), 10), Err(FrameError::TooLarge { size: 11, limit: 10 }));
        assert_eq!(next(&mut buffer(&[0, 0, 0, 0]), 10), Err(FrameError::NotPositive(0)));
        assert_eq!(next(&mut buffer(&[255; 4]), 10), Err(FrameError::NotPositive(-1)));
    }
}
