//! The demo's own Kafka client: just enough to commit and to fetch, over a blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetFetchRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::Failure;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Version of both requests: the newest served.
const VERSION: i16 = 9;

pub(super) struct Client {
    stream: TcpStream,
    name: String,
    sent: i32,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Client {
    pub(super) fn connect(address: SocketAddr, name: &str) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, name: name.to_owned(), sent: 0 })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Commits partitions of one topic; the code of each.
    pub(super) fn commit(
        &mut self,
        group: &str,
        topic: &str,
        commits: &[(i32, i64)],
    ) -> Result<Vec<i16>, Failure> {
        let partition = |(index, offset): &(i32, i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(commits.iter().map(partition).collect());
        let request =
            OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
        let answer = self.ask(&request)?;
        Ok(answer.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code).collect())
    }

    /// Fetches partitions of one topic; -1 where nothing is committed.
    pub(super) fn fetch(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<i64>, Failure> {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(text(topic)))
            .with_partition_indexes(partitions.to_vec());
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![topic]));
        let answer = self.ask(&OffsetFetchRequest::default().with_groups(vec![group]))?;
        let topics = answer.groups.iter().flat_map(|g| &g.topics);
        Ok(topics.flat_map(|t| &t.partitions).map(|p| p.committed_offset).collect())
    }

    fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response, Failure> {
        self.sent += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(VERSION)
            .with_correlation_id(self.sent)
            .with_client_id(Some(text(&self.name)));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(VERSION))?;
        request.encode(&mut frame, VERSION)?;
        let size = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&frame)?;

        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(prefix))?];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(VERSION))?;
        Ok(R::Response::decode(&mut answer, VERSION)?)
    }
}
