//! A member's commit that would be refused: whether the cluster would let that member commit at all. A zombie is to be told
//! that it is one, in Kafka's own words, so that it rejoins; only one that is current is told that it goes back.
//!
//! The cluster is asked by a Heartbeat of that member on its own connection. It can do no harm: from one that is current, the
//! commit itself would have kept it alive as well. Members of the newer protocols (KIP-848) have no such question, and are
//! unknown to this one; so a member is taken for unknown only in a group that is a classic one.

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::messages::{Asked, is_txn};
use crate::gateway::apis::Api;
use crate::gateway::cursor::{Cursor, Writer};
use crate::gateway::link::{End, Expect, Pending};
use crate::gateway::requests::{Head, Requests, client_id};
use crate::wire::codes::{self, Code};

/// With an instance id, from Kafka 2.3 on; without one, long before.
const HEARTBEAT: (i16, i16) = (3, 2);
const DESCRIBE: i16 = 0;
/// States in which a classic group has members. One that is of another kind is "Dead" to DescribeGroups 0.
const WITH_MEMBERS: [&str; 3] = ["PreparingRebalance", "CompletingRebalance", "Stable"];
const EMPTY: &str = "Empty";

impl Requests<'_> {
    /// The cluster's code for a member that it would not let commit. `None` if it would, or does not say.
    pub(super) async fn fenced(
        &mut self,
        head: Head,
        frame: &[u8],
        asked: &Asked,
    ) -> Result<Option<Code>, End> {
        if asked.generation < 0 && asked.member_id.is_empty() && asked.instance_id.is_none() {
            // Whoever is no member may commit to a group without any.
            let state = if is_txn(head) { None } else { self.state(frame, asked).await? };
            let has_members = state.is_some_and(|state| WITH_MEMBERS.contains(&&*state));
            return Ok(has_members.then_some(codes::UNKNOWN_MEMBER_ID));
        }
        let mut question = Writer::new(false);
        question.text(&asked.group);
        question.i32(asked.generation);
        question.text(&asked.member_id);
        let version = match &asked.instance_id {
            Some(instance) => {
                question.text(instance);
                HEARTBEAT.0
            }
            None => HEARTBEAT.1,
        };
        let answer = self.own_question(frame, ApiKey::Heartbeat, version, &question.bytes).await?;
        let code = answer.and_then(|body| {
            let mut cursor = Cursor::new(&body, false);
            cursor.i32().and_then(|_throttle| cursor.i16()).ok()
        });
        Ok(match code {
            Some(code @ (codes::ILLEGAL_GENERATION | codes::FENCED_INSTANCE_ID)) => Some(code),
            Some(code @ codes::UNKNOWN_MEMBER_ID) => {
                let state = self.state(frame, asked).await?;
                let classic = state.is_some_and(|state| state == EMPTY || WITH_MEMBERS.contains(&&*state));
                classic.then_some(code)
            }
            _ => None,
        })
    }

    /// The state of a group, as DescribeGroups has it.
    async fn state(&mut self, frame: &[u8], asked: &Asked) -> Result<Option<String>, End> {
        let mut question = Writer::new(false);
        question.count(1);
        question.text(&asked.group);
        let answer = self.own_question(frame, ApiKey::DescribeGroups, DESCRIBE, &question.bytes).await?;
        let state = |body: &BytesMut| {
            let mut cursor = Cursor::new(body, false);
            cursor.count().ok().filter(|groups| *groups == 1)?;
            let code = cursor.i16().ok()?;
            cursor.text().ok()?;
            let state = cursor.text().ok()??;
            (code == codes::NONE).then(|| state.to_owned())
        };
        Ok(answer.as_ref().and_then(state))
    }

    /// A question of the gateway's own, on the client's connection and in its name. The answer's body; `None` if there is none
    /// in time.
    pub(super) async fn own_question(
        &mut self,
        frame: &[u8],
        key: ApiKey,
        version: i16,
        body: &[u8],
    ) -> Result<Option<BytesMut>, End> {
        let Some((_, api)) = Api::find(key as i16) else { return Ok(None) };
        let correlation_id = self.own_correlation_id();
        let mut question = Writer::new(false);
        question.i32(0);
        question.i16(key as i16);
        question.i16(version);
        question.i32(correlation_id);
        match client_id(frame) {
            Some(client_id) => question.text(client_id),
            None => question.null_text(),
        }
        question.put(body);
        let size = i32::try_from(question.bytes.len() - 4).unwrap_or(i32::MAX);
        question.bytes.splice(..4, size.to_be_bytes());
        let (asker, answer) = oneshot::channel();
        self.expect(Pending { correlation_id, api, version, expect: Expect::Own(asker) }).await?;
        self.pump.say(&question.bytes).await?;
        Ok(timeout(self.patience(), answer).await.ok().and_then(Result::ok))
    }
}
