//! OffsetCommit (8), versions 2-9: the main job.
//!
//! * 3: throttle time in the answer. 5: no more retention time. 6: leader epoch. 7: group instance id. 8: flexible. 9: the
//!   same bytes; may be answered 69 (KIP-848).
//! * Order of checks, as in Kafka: partitions that cannot be (3); if none is left, answer without looking at the group;
//!   generation and member, whose refusal covers every partition left; metadata too long (12), per partition; then the
//!   guard, per partition: 44 (or 28) for a commit that would go back, while its siblings stand.
//! * A retry of the same commit is accepted. The same partition twice is judged twice, in order.
//! * Deviations: answers echo exactly what was asked, in the order asked (Kafka puts topics with errors first, merges
//!   names that stand twice, and leaves out topics without partitions). A null member id, which the schema forbids and
//!   @platformatic/kafka sends, counts as empty (Kafka closes the connection). The retention time of versions 2-4 is
//!   ignored: an offset store that forgets is a rewind. A topic that is not there is made, unless its name or partition
//!   cannot be (3). A commit of which every partition is refused makes no group (Kafka: metadata too long does).

use std::ops::AddAssign as _;
use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Origin, Peer, Reply, Room, Unanswerable, cut};
use crate::config::{Catalogue, RefusalCode};
use crate::coordinator::Ticket;
use crate::coordinator::quota::Quota;
use crate::embed::committer::Answer;
use crate::metrics::{CommitResult, TenantMeter};
use crate::model::group::MemberClaim;
use crate::model::names::{GroupName, StreamName};
use crate::model::offset::{Beyond, Fault, Proposal, Regression};
use crate::model::op::{Accepted, Actor, CommitItem, Outcome, Verdict};
use crate::model::refusal::Refusal;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (2, 9);

const PARTITION: Shape =
    &[since(2, Kind::Fixed(4 + 8)), since(6, Kind::Fixed(4)), since(2, Kind::NullableString)];

pub(super) const SHAPE: Shape = &[
    since(2, Kind::String),
    since(2, Kind::Fixed(4)),
    since(2, Kind::LenientString),
    since(7, Kind::NullableString),
    only(2, 4, Kind::Fixed(8)),
    since(2, Kind::Array(&[since(2, Kind::String), since(2, Kind::Array(PARTITION))])),
];

/// A commit whose answer waits for its sync.
#[derive(Debug)]
pub struct PendingCommit {
    origin: Origin,
    answer: OffsetCommitResponse,
    /// Topic and partition in `answer` of each item handed to the store.
    places: Vec<(usize, usize)>,
    ticket: Ticket,
    regression: RefusalCode,
    meter: Arc<TenantMeter>,
    log: Story,
}

/// What a log line about a refusal tells besides the offsets.
#[derive(Debug)]
struct Story {
    tenant: Arc<str>,
    group: GroupName,
    actor: Arc<Actor>,
    lines: Arc<Quota>,
}

pub(super) async fn handle(
    request: OffsetCommitRequest,
    origin: Origin,
    client_id: Option<StrBytes>,
    room: &Room,
    peer: &Peer,
    actor: &mut Arc<Actor>,
) -> Result<Reply, Unanswerable> {
    let (coordinator, meter) = (&room.coordinator, &peer.share.meter);
    let regression = coordinator.guard.code(&peer.tenant_name);
    let code = |refusal: &Refusal| codes::of_commit(refusal, origin.version, regression);
    // A classic string has at most 32,767 bytes; a compact one could have more.
    let Ok(group) = GroupName::new(&request.group_id) else {
        return Err(origin.malformed("the group id has more than 32,767 bytes"));
    };
    let guard = coordinator.guard.of_group(&peer.tenant_name, group.as_str());
    let barred = |topic: &str, partition| {
        let code = peer.barred.group(group.as_str());
        code.or_else(|| peer.barred.partition(topic, partition))
    };
    let mut places = Vec::new();
    let mut items = Vec::new();
    let (mut refused, mut barred_items) = (0, 0);
    let mut topics = Vec::with_capacity(request.topics.len());
    for (t, topic) in request.topics.into_iter().enumerate() {
        let stream = StreamName::new(&topic.name).ok();
        let mode = (guard.mode(&topic.name), guard.beyond_end(&topic.name));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (p, partition) in topic.partitions.into_iter().enumerate() {
            let answer =
                OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
            if let Some(code) = barred(&topic.name, partition.partition_index) {
                let unknown = code == codes::UNKNOWN_TOPIC_OR_PARTITION;
                (if unknown { &mut refused } else { &mut barred_items }).add_assign(1);
                partitions.push(answer.with_error_code(code));
                continue;
            }
            partitions.push(match (&stream, coordinator.partition_in_range(partition.partition_index)) {
                (Some(stream), Ok(())) => {
                    places.push((t, p));
                    items.push((stream.clone(), partition, mode));
                    answer
                }
                (Some(_), Err(refusal)) => {
                    refused += 1;
                    answer.with_error_code(code(&refusal))
                }
                (None, _) => {
                    refused += 1;
                    answer.with_error_code(code(&Refusal::InvalidStream))
                }
            });
        }
        topics.push(OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    if refused > 0 {
        meter.commits(CommitResult::UnknownPartition, refused);
    }
    if barred_items > 0 {
        meter.commits(CommitResult::Barred, barred_items);
    }
    let mut answer = OffsetCommitResponse::default().with_topics(topics);
    if items.is_empty() {
        return origin.encode(&answer);
    }
    let claim = MemberClaim {
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().into(),
        instance_id: request.group_instance_id.as_deref().map(Arc::from),
    };
    let refused = match coordinator.admit(peer.tenant, group.as_str(), &claim) {
        Ok(Ok(())) => None,
        Ok(Err(refusal)) => Some((code(&refusal), result_of(&refusal))),
        Err(_) => Some((codes::STORE_UNAVAILABLE, CommitResult::Failed)),
    };
    if let Some((fenced, result)) = refused {
        for (place, (stream, partition, _)) in places.iter().zip(&items) {
            let nowhere = nowhere(stream, partition.partition_index, room, peer).await;
            put(&mut answer, *place, nowhere.map_or(fenced, |refusal| code(&refusal)));
        }
        meter.commits(result, places.len());
        return origin.encode(&answer);
    }
    let limit = coordinator.max_metadata_units;
    let (mut kept, mut kept_places) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for ((stream, partition, (mode, beyond_end)), place) in items.into_iter().zip(places) {
        match proposal(&partition, limit) {
            Ok(proposal) => {
                let partition = partition.partition_index;
                kept.push(CommitItem { stream, partition, proposal, mode, beyond_end });
                kept_places.push(place);
            }
            Err(refusal) => {
                let nowhere = nowhere(&stream, partition.partition_index, room, peer).await;
                put(&mut answer, place, code(&nowhere.unwrap_or(refusal)));
                meter.commits(CommitResult::MetadataTooLarge, 1);
            }
        }
    }
    if kept.is_empty() {
        return origin.encode(&answer);
    }
    let actor = peer.actor(actor, client_id.as_deref(), &request.member_id);
    let ticket = match coordinator.commit(peer.tenant, group.clone(), &claim, actor.clone(), kept).await {
        Ok(ticket) => ticket,
        // It left, or its generation ended, in the meantime.
        Err(refusal) => {
            kept_places.iter().for_each(|place| put(&mut answer, *place, code(&refusal)));
            meter.commits(result_of(&refusal), kept_places.len());
            return origin.encode(&answer);
        }
    };
    let lines = peer.share.refusal_lines.clone();
    let log = Story { tenant: peer.tenant_name.clone(), group, actor, lines };
    let meter = meter.clone();
    let pending = PendingCommit { origin, answer, places: kept_places, ticket, regression, meter, log };
    Ok(Reply::Later(Box::new(pending)))
}

/// Whether the generation is one of a member: 0 or higher. Reads past the group id; the body has been checked.
pub(super) fn claims_membership(body: &[u8], flexible: bool) -> bool {
    let after_group = if flexible {
        let digits = body.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let length = body.iter().take(digits).rev().fold(0, |n, byte| n << 7 | usize::from(byte & 0x7f));
        digits + length.saturating_sub(1)
    } else {
        body.first_chunk::<2>().map_or(2, |length| 2 + usize::from(u16::from_be_bytes(*length)))
    };
    body.get(after_group).is_some_and(|sign| *sign & 0x80 == 0)
}

/// What Kafka says first of a partition that its catalogue does not have, whatever else is wrong with the commit. In an open
/// catalogue it could come into being.
async fn nowhere(stream: &StreamName, partition: i32, room: &Room, peer: &Peer) -> Option<Refusal> {
    if room.config.streams.catalogue == Catalogue::Open {
        return None;
    }
    match room.coordinator.stream(peer.tenant, stream.as_str(), false).await {
        Ok(Ok(info)) if partition < info.partitions => None,
        Ok(_) => Some(Refusal::UnknownStream),
        // The answer will tell.
        Err(_) => None,
    }
}

fn proposal(partition: &OffsetCommitRequestPartition, limit: usize) -> Result<Proposal, Refusal> {
    let metadata = partition.committed_metadata.as_deref().unwrap_or("");
    // No text has more UTF-16 units than bytes.
    if metadata.len() > limit {
        let units = metadata.encode_utf16().count();
        if units > limit {
            return Err(Refusal::MetadataTooLarge { units, limit });
        }
    }
    Ok(Proposal {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: if metadata.is_empty() { Arc::default() } else { metadata.into() },
    })
}

fn put(answer: &mut OffsetCommitResponse, (topic, partition): (usize, usize), code: Code) {
    answer.topics[topic].partitions[partition].error_code = code;
}

impl PendingCommit {
    /// Waits for the sync; then the frame.
    pub async fn finish(&mut self) -> Result<BytesMut, Unanswerable> {
        let answer = self.ticket.answer().await;
        self.frame(&answer)
    }

    /// The frame, if the sync is done.
    pub fn try_finish(&mut self) -> Option<Result<BytesMut, Unanswerable>> {
        let answer = self.ticket.try_answer()?;
        Some(self.frame(&answer))
    }

    fn frame(&mut self, answer: &Answer) -> Result<BytesMut, Unanswerable> {
        match answer {
            Ok(Outcome::Commit(verdicts)) => {
                let mut last = (CommitResult::Stored, 0);
                for (place, verdict) in self.places.iter().zip(verdicts) {
                    if let Err(refusal) = &verdict.result {
                        put(
                            &mut self.answer,
                            *place,
                            codes::of_commit(refusal, self.origin.version, self.regression),
                        );
                    }
                    let result = result(verdict);
                    if result != last.0 {
                        self.meter.commits(last.0, last.1);
                        last = (result, 0);
                    }
                    last.1 += 1;
                    self.tell(*place, verdict);
                }
                self.meter.commits(last.0, last.1);
            }
            Ok(other) => unreachable!("a commit is answered by {other:?}"),
            Err(_) => {
                let places = std::mem::take(&mut self.places);
                places.iter().for_each(|place| put(&mut self.answer, *place, codes::STORE_UNAVAILABLE));
                self.meter.commits(CommitResult::Failed, places.len());
            }
        }
        let frame = self.origin.frame(self.origin.version, &self.answer);
        frame.map_err(|why| Unanswerable::Encode(why.to_string()))
    }

    /// The protocol carries no text, so the log says what happened.
    fn tell(&self, (topic, partition): (usize, usize), verdict: &Verdict) {
        if verdict.epoch_disorder {
            self.meter.epoch_disorder();
        }
        let fault = match &verdict.result {
            Err(Refusal::Regression(back)) => Some(("refused", Fault::Back(*back))),
            Err(Refusal::BeyondEnd(beyond)) => Some(("refused", Fault::Beyond(*beyond))),
            Ok(Accepted::Clamped(fault)) => Some(("clamped", *fault)),
            Ok(Accepted::Observed(fault)) => Some(("observed", *fault)),
            _ => None,
        };
        let at_limit = matches!(&verdict.result, Err(Refusal::LimitReached { .. }));
        if fault.is_none() && !at_limit && verdict.lost == 0 {
            return;
        }
        self.meter.lost(verdict.lost);
        let Some(left_out) = self.log.lines.take() else { return };
        let Story { tenant, group, actor, .. } = &self.log;
        let topic = &self.answer.topics[topic];
        let partition = topic.partitions[partition].partition_index;
        let (tenant, group, stream) = (&**tenant, cut(group.as_str()), topic.name.as_str());
        let (client_id, principal, address) = (&*actor.client_id, &*actor.principal, &*actor.host);
        macro_rules! warn {
            ($($told:tt)*) => {
                tracing::warn!(tenant, group, stream, partition, client_id, principal, address, left_out, $($told)*)
            };
        }
        match (fault, &verdict.result) {
            (Some((what, Fault::Back(back))), _) => {
                let Regression { stored, proposed, high_epoch, proposed_epoch: epoch } = back;
                warn!(stored, proposed, epoch, high_epoch, "commit would go back: {what}");
            }
            (Some((what, Fault::Beyond(Beyond { end, proposed }))), _) => {
                warn!(end, proposed, "commit is beyond the end: {what}");
            }
            (None, Err(refusal)) => warn!("commit refused: {refusal}"),
            (None, Ok(_)) => {}
        }
        if verdict.lost > 0 {
            let lost = verdict.lost;
            warn!(lost, "records were evicted before the group had committed them: it goes on behind them");
        }
    }
}

fn result(verdict: &Verdict) -> CommitResult {
    match &verdict.result {
        Ok(Accepted::Stored) => CommitResult::Stored,
        Ok(Accepted::Unchanged) => CommitResult::Unchanged,
        Ok(Accepted::Nothing) => CommitResult::Nothing,
        Ok(Accepted::Excused(_)) => CommitResult::Excused,
        Ok(Accepted::Observed(Fault::Back(_))) => CommitResult::Observed,
        Ok(Accepted::Observed(Fault::Beyond(_))) => CommitResult::BeyondObserved,
        Ok(Accepted::Unguarded(_)) => CommitResult::Unguarded,
        Ok(Accepted::Clamped(Fault::Back(_))) => CommitResult::Clamped,
        Ok(Accepted::Clamped(Fault::Beyond(_))) => CommitResult::BeyondClamped,
        Err(refusal) => result_of(refusal),
    }
}

fn result_of(refusal: &Refusal) -> CommitResult {
    match refusal {
        Refusal::Regression(_) => CommitResult::Regression,
        Refusal::BeyondEnd(_) => CommitResult::BeyondEnd,
        Refusal::LimitReached { .. } => CommitResult::Limit,
        Refusal::MetadataTooLarge { .. } => CommitResult::MetadataTooLarge,
        Refusal::UnknownGroup
        | Refusal::UnknownMember
        | Refusal::FencedInstance
        | Refusal::IllegalGeneration { .. }
        | Refusal::RebalanceInProgress => CommitResult::NotAMember,
        Refusal::NoSpace { .. } => CommitResult::NoSpace,
        Refusal::PartitionOutOfRange { .. }
        | Refusal::InvalidStream
        | Refusal::UnknownStream
        | Refusal::UnknownTenant => CommitResult::UnknownPartition,
        // What a commit is never told.
        _ => CommitResult::UnknownPartition,
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::GroupId;
    use kafka_protocol::protocol::Encodable;

    use super::*;

    #[test]
    fn a_generation_is_found_behind_any_group_id() {
        for group in ["", "g", &"x".repeat(126), &"x".repeat(127), &"x".repeat(128), &"x".repeat(32_767)] {
            for (generation, claims) in [(-1, false), (i32::MIN, false), (0, true), (i32::MAX, true)] {
                for version in VERSIONS.0..=VERSIONS.1 {
                    let request = OffsetCommitRequest::default()
                        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
                        .with_generation_id_or_member_epoch(generation);
                    let mut body = BytesMut::new();
                    request.encode(&mut body, version).unwrap();
                    assert_eq!(
                        claims_membership(&body, version >= 8),
                        claims,
                        "{} {generation}",
                        group.len()
                    );
                }
            }
        }
    }
}
