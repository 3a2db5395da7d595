//! Commits from one connection, many in flight, until the server goes away: what was sent and what was acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_protocol::messages::OffsetCommitRequest;

use super::client::Client;
use super::value::{CommitAnswer, commit_of};
use super::wire;

const IN_FLIGHT: usize = 32;
const VERSION: i16 = 9;

/// Of one partition: the last offset that was sent and the last that was acknowledged, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub sent: Option<i64>,
    pub acked: Option<i64>,
}

/// Commits rising offsets for these partitions until the connection breaks; counts each acknowledgement at once.
pub fn commit_until_the_end(
    address: SocketAddr,
    group: &str,
    topic: &str,
    partitions: Range<i32>,
    from: i64,
    acknowledged: &AtomicU64,
) -> BTreeMap<i32, Tally> {
    let mut tallies: BTreeMap<i32, Tally> =
        partitions.clone().map(|partition| (partition, Tally::default())).collect();
    let Ok(mut client) = Client::try_connect(address) else { return tallies };
    let mut in_flight = VecDeque::new();
    let mut turns = partitions.cycle().zip(from..);
    loop {
        while in_flight.len() < IN_FLIGHT {
            let Some((partition, offset)) = turns.next() else { return tallies };
            let header = client.header();
            let request = commit_of(group).put((topic, partition), offset).request(VERSION);
            let frame = wire::framed(&wire::payload(VERSION, &header, &request));
            tallies.entry(partition).or_default().sent = Some(offset);
            if client.try_send_bytes(&frame).is_err() {
                break;
            }
            in_flight.push_back((header.correlation, partition, offset));
        }
        let Some((correlation, partition, offset)) = in_flight.pop_front() else { return tallies };
        let Ok(Some(frame)) = client.frame() else { return tallies };
        let answer = CommitAnswer::of(wire::answer::<OffsetCommitRequest>(VERSION, correlation, frame));
        assert_eq!(answer.codes(), [0], "a forward commit of {offset} to partition {partition}");
        tallies.entry(partition).or_default().acked = Some(offset);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}
