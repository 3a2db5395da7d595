//! Batches of real clients, and a small maker of batches, so that every field can be wrong.

mod batch;
mod log;
mod producers;

use super::batch::HEADER_BYTES;

/// After every time in `batches.txt`.
const NOW_MS: i64 = 1_800_000_000_000;

/// A batch out of `batches.txt`.
fn real(name: &str) -> Vec<u8> {
    let lines = include_str!("batches.txt").lines().filter(|line| !line.starts_with('#'));
    let hex = lines.filter_map(|line| line.split_once(' ')).find(|(found, _)| *found == name).unwrap().1;
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// What goes into a batch.
#[derive(Debug, Clone)]
struct Made {
    /// Milliseconds since the Unix epoch, a record each.
    times: Vec<i64>,
    value_bytes: usize,
    attributes: u16,
    producer: (i64, i16, i32),
}

impl Made {
    fn of(times: &[i64]) -> Self {
        Self { times: times.to_vec(), value_bytes: 3, attributes: 0, producer: (-1, -1, -1) }
    }

    fn bytes(&self) -> Vec<u8> {
        let base = self.times.first().copied().unwrap_or(-1);
        let mut body = Vec::new();
        for (index, time) in self.times.iter().enumerate() {
            let mut record = vec![0];
            varint(&mut record, time - base);
            varint(&mut record, index as i64);
            varint(&mut record, -1);
            varint(&mut record, self.value_bytes as i64);
            record.extend(vec![b'v'; self.value_bytes]);
            varint(&mut record, 0);
            varint(&mut body, record.len() as i64);
            body.extend(record);
        }
        let newest = self.times.iter().copied().max().unwrap_or(-1);
        framed(self.attributes, self.times.len() as i32, (base, newest), self.producer, &body)
    }
}

/// A batch round a body.
fn framed(
    attributes: u16,
    count: i32,
    (base, newest): (i64, i64),
    (id, epoch, sequence): (i64, i16, i32),
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend(((HEADER_BYTES - 12 + body.len()) as i32).to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.push(2);
    bytes.extend([0; 4]);
    bytes.extend(attributes.to_be_bytes());
    bytes.extend((count - 1).to_be_bytes());
    bytes.extend(base.to_be_bytes());
    bytes.extend(newest.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(body);
    sealed(bytes)
}

/// With the checksum that it should have.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}
