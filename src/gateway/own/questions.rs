//! What the cluster is asked on a client's own connection: its word on what this client may do. Each question is harmless: it
//! asks for nothing that is there, or for what any client asks.
//!
//! * READ on a group: a Heartbeat of generation -1 by nobody. A broker looks at the permission before anything else, its own
//!   coordinator's job included; there is no such member, so nothing is touched.
//! * DELETE on a group: an OffsetDelete of no topics.
//! * DESCRIBE on groups: FindCoordinator.
//! * Topics, brokers and DESCRIBE on the cluster: Metadata with authorized operations, which creates nothing.

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::gateway::apis::Api;
use crate::gateway::cursor::{Cursor, Unreadable, Writer};
use crate::gateway::link::{End, Expect, Pending};
use crate::gateway::requests::Requests;
use crate::model::names::Partition;
use crate::wire::codes::{self, Code};

/// Keys or topics in one question.
pub(super) const MOST_ASKED: usize = 500;

/// Kafka 2.3 and later; the last without topic ids.
const METADATA: i16 = 8;
/// Kafka 3.0 and later: the first with several keys (KIP-699).
const FIND_COORDINATOR: i16 = 4;

/// Bits of `AclOperation`.
const READ: i32 = 1 << 3;
const DESCRIBE: i32 = 1 << 8;

/// What Metadata says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicSaid {
    /// It may be described.
    There {
        /// How many partitions.
        partitions: Partition,
        /// Whether it may be read.
        read: bool,
    },
    /// There is no such topic.
    Unknown,
    /// It may not be described.
    Barred,
    /// It cannot be said at the moment.
    NotNow,
}

/// What Metadata says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The brokers that are alive, by id.
    pub(super) brokers: Vec<i32>,
    /// Those asked for.
    pub(super) topics: Vec<(Arc<str>, TopicSaid)>,
    /// Whether the cluster may be described: then all groups may be listed.
    pub(super) describe_cluster: bool,
}

impl Requests<'_> {
    /// Asks the cluster as this client; an answer's body, `None` if there is none in time.
    async fn ask_cluster(
        &mut self,
        (key, version): (ApiKey, i16),
        client_id: Option<&str>,
        body: &[u8],
    ) -> Result<Option<BytesMut>, End> {
        let Some((_, api)) = Api::find(key as i16) else { return Ok(None) };
        let correlation_id = self.own_correlation_id();
        let (asker, answer) = oneshot::channel();
        self.expect(Pending { correlation_id, api, version, expect: Expect::Own(asker) }).await?;
        let frame = frame(api, version, correlation_id, client_id, body);
        self.pump.say(&frame).await?;
        self.link.shared.gateway_metrics.own("asked").inc();
        let answer = timeout(self.patience(), answer).await;
        if answer.is_err() {
            self.link.shared.gateway_metrics.own("not_answered").inc();
        }
        Ok(answer.ok().and_then(Result::ok))
    }

    /// What the cluster says to a Heartbeat of this group by nobody.
    pub(super) async fn ask_read(
        &mut self,
        client_id: Option<&str>,
        group: &str,
    ) -> Result<Option<Code>, End> {
        let mut body = Writer::new(false);
        body.text(group);
        body.i32(-1);
        body.text("");
        let answer = self.ask_cluster((ApiKey::Heartbeat, 0), client_id, &body.bytes).await?;
        Ok(answer.and_then(|body| Cursor::new(&body, false).i16().ok()))
    }

    /// What the cluster says to an OffsetDelete of this group without topics.
    pub(super) async fn ask_delete(
        &mut self,
        client_id: Option<&str>,
        group: &str,
    ) -> Result<Option<Code>, End> {
        let mut body = Writer::new(false);
        body.text(group);
        body.count(0);
        let answer = self.ask_cluster((ApiKey::OffsetDelete, 0), client_id, &body.bytes).await?;
        Ok(answer.and_then(|body| Cursor::new(&body, false).i16().ok()))
    }

    /// What the cluster says of the coordinators of some groups, a code each.
    pub(super) async fn ask_describe(
        &mut self,
        client_id: Option<&str>,
        groups: &[Arc<str>],
    ) -> Result<Option<Vec<(Arc<str>, Code)>>, End> {
        let mut body = Writer::new(true);
        body.put(&[0]);
        body.count(groups.len());
        groups.iter().for_each(|group| body.text(group));
        body.put(&[0]);
        let answer =
            self.ask_cluster((ApiKey::FindCoordinator, FIND_COORDINATOR), client_id, &body.bytes).await?;
        Ok(answer.and_then(|body| coordinators(&body).ok()))
    }

    /// What the cluster says of some topics, and of itself.
    pub(super) async fn ask_metadata(
        &mut self,
        client_id: Option<&str>,
        topics: &[Arc<str>],
    ) -> Result<Option<Said>, End> {
        let mut body = Writer::new(false);
        body.count(topics.len());
        topics.iter().for_each(|topic| body.text(topic));
        let of_cluster = u8::from(topics.is_empty());
        body.put(&[0, of_cluster, 1]);
        let answer = self.ask_cluster((ApiKey::Metadata, METADATA), client_id, &body.bytes).await?;
        Ok(answer.and_then(|body| metadata(&body).ok()))
    }
}

/// A whole question.
fn frame(api: &Api, version: i16, correlation_id: i32, client_id: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut frame = Writer::new(false);
    frame.i32(0);
    frame.i16(api.key);
    frame.i16(version);
    frame.i32(correlation_id);
    match client_id {
        Some(client_id) => frame.text(client_id),
        None => frame.null_text(),
    }
    if api.flexible(version) {
        frame.put(&[0]);
    }
    frame.put(body);
    let size = i32::try_from(frame.bytes.len() - 4).unwrap_or(i32::MAX);
    frame.bytes.splice(..4, size.to_be_bytes());
    frame.bytes
}

/// FindCoordinator 4: the codes.
fn coordinators(body: &[u8]) -> Result<Vec<(Arc<str>, Code)>, Unreadable> {
    let cursor = &mut Cursor::new(body, true);
    cursor.i32()?;
    let mut found = Vec::new();
    for _ in 0..cursor.count()? {
        let key = cursor.text()?.unwrap_or_default().into();
        cursor.i32()?;
        cursor.text()?;
        cursor.i32()?;
        found.push((key, cursor.i16()?));
        cursor.text()?;
        cursor.tags()?;
    }
    Ok(found)
}

/// Metadata 8.
fn metadata(body: &[u8]) -> Result<Said, Unreadable> {
    let cursor = &mut Cursor::new(body, false);
    let mut said = Said::default();
    cursor.i32()?;
    for _ in 0..cursor.count()? {
        said.brokers.push(cursor.i32()?);
        cursor.text()?;
        cursor.i32()?;
        cursor.text()?;
    }
    cursor.text()?;
    cursor.i32()?;
    for _ in 0..cursor.count()? {
        let (code, name) = (cursor.i16()?, cursor.text()?.unwrap_or_default());
        cursor.i8()?;
        let mut partitions = 0;
        for _ in 0..cursor.count()? {
            cursor.i16()?;
            partitions = partitions.max(cursor.i32()?.saturating_add(1));
            cursor.skip(4 + 4)?;
            for _ in 0..3 {
                let replicas = cursor.count()?;
                cursor.skip(replicas.saturating_mul(4))?;
            }
        }
        let operations = cursor.i32()?;
        let topic = match code {
            codes::NONE | codes::LEADER_NOT_AVAILABLE => {
                TopicSaid::There { partitions, read: operations & READ != 0 }
            }
            codes::UNKNOWN_TOPIC_OR_PARTITION | codes::INVALID_TOPIC => TopicSaid::Unknown,
            codes::TOPIC_AUTHORIZATION_FAILED => TopicSaid::Barred,
            _ => TopicSaid::NotNow,
        };
        said.topics.push((name.into(), topic));
    }
    // Not known without being asked for, which is written as the least number.
    let operations = cursor.i32()?;
    said.describe_cluster = operations != i32::MIN && operations & DESCRIBE != 0;
    Ok(said)
}
