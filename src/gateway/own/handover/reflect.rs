//! One group's turn in the mirror: what stands here against what stands there, and what is to be said to the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::import::BROUGHT;
use super::links::{Link, Unasked};
use super::mirror::{Behind, Place, Turn};
use super::{Inner, Key};
use crate::client::{Asked, FetchedOffset, Refused, ToCommit};
use crate::model::names::{GroupName, StreamName, cut};
use crate::model::offset::Committed;
use crate::model::op::{CommitKind, Event, EventKind, HistoryQuery, Kinds};
use crate::store::Wanted;
use crate::wire::codes;

/// Positions in one commit.
const MOST_IN_A_COMMIT: usize = 1_000;
/// How far back it is looked for an act that moved a position back.
const MOST_EVENTS: usize = 10_000;

/// What is to be done in the cluster.
#[derive(Debug, Default)]
struct Acts {
    commit: Vec<ToCommit>,
    delete: Asked,
    /// Beyond ours, as far as is known by nobody's act here.
    ahead: Vec<(Place, i64)>,
    /// There and not here.
    extra: Vec<(Place, i64)>,
}

impl Inner {
    pub(super) async fn mirror_group(&self, key: &Key, behind: &Behind) -> Result<Turn, Unasked> {
        let Ok(name) = GroupName::new(&key.1) else { return Ok(Turn::Done) };
        let unread = |error: crate::store::StoreError| Unasked(format!("the store cannot be read: {error}"));
        // A group deleted here, or that has had nothing since.
        let mut link = self.mirror.links.take().await?;
        if behind.deleted && !self.coordinator.group_exists(key.0, &key.1).map_err(unread)? {
            let deleted = link.cluster.delete_group(&key.1).await?;
            self.mirror.links.give(link);
            return match deleted {
                Ok(()) => Ok(Turn::Done),
                Err(refused) if refused.code == codes::GROUP_ID_NOT_FOUND => Ok(Turn::Done),
                Err(refused) if is_live(&refused) => Ok(Turn::Live),
                Err(refused) => Err(Unasked(format!("the group is not deleted there: {refused}"))),
            };
        }
        let ours = self.ours(key, behind).map_err(unread)?;
        let asked = behind.places.as_ref().map(|places| asked(places.iter()));
        let theirs = link.cluster.offsets(&key.1, asked.as_ref()).await?;
        let mut acts = compare(ours, theirs)?;
        if !acts.ahead.is_empty() || !acts.extra.is_empty() {
            self.by_acts_here(key, &name, behind.deleted, &mut acts).await?;
        }
        let turn = self.say(&mut link, key, behind, acts).await?;
        self.mirror.links.give(link);
        Ok(turn)
    }

    /// What stands here: of each place asked, or all.
    fn ours(
        &self,
        key: &Key,
        behind: &Behind,
    ) -> Result<BTreeMap<Place, Option<Committed>>, crate::store::StoreError> {
        let Some(places) = &behind.places else {
            let all = self.coordinator.fetch_all(key.0, &key.1)?;
            return Ok(all.into_iter().map(|it| ((it.stream, it.partition), Some(it.committed))).collect());
        };
        let partitions: Vec<[i32; 1]> = places.iter().map(|(_, partition)| [*partition]).collect();
        let wanted = places.iter().zip(&partitions);
        let wanted: Vec<Wanted<'_>> =
            wanted.map(|((stream, _), partitions)| Wanted { stream: stream.as_str(), partitions }).collect();
        let found = self.coordinator.fetch(key.0, &key.1, &wanted)?;
        Ok(places.iter().cloned().zip(found).collect())
    }

    /// Decides by the journal what is moved back in the cluster, or taken away: only what was here, since the group is ours.
    async fn by_acts_here(
        &self,
        key: &Key,
        name: &GroupName,
        deleted: bool,
        acts: &mut Acts,
    ) -> Result<(), Unasked> {
        let unread = |why: &dyn std::fmt::Display| Unasked(format!("the store cannot be read: {why}"));
        let since_ms = self.marks.since_ms(key.0, &key.1).map_err(|error| unread(&error))?;
        let query = HistoryQuery {
            group: Some(name.clone()),
            kinds: Kinds::Unusual,
            ..HistoryQuery::newest(key.0, MOST_EVENTS)
        };
        let coordinator = self.coordinator.clone();
        // It reads files.
        let events = tokio::task::spawn_blocking(move || coordinator.history(&query)).await;
        let events = events.map_err(|error| unread(&error))?.map_err(|error| unread(&error))?;
        let since_ms = since_ms.unwrap_or(i64::MAX);
        let events: Vec<Event> = events
            .into_iter()
            .filter(|event| event.at_ms >= since_ms && &*event.actor.client_id != BROUGHT)
            .collect();
        let ours: HashMap<Place, Committed> = self
            .coordinator
            .fetch_all(key.0, &key.1)
            .map_err(|error| unread(&error))?
            .into_iter()
            .map(|it| ((it.stream, it.partition), it.committed))
            .collect();
        for (place, theirs) in std::mem::take(&mut acts.ahead) {
            match ours.get(&place) {
                Some(ours) if deleted || moved_back(&events, &place, theirs) => {
                    acts.commit.push(to_commit(&place, ours));
                }
                Some(ours) => {
                    self.count("mirror_left_ahead");
                    if let Some(left_out) = self.lines.take() {
                        let ((stream, partition), here) = (&place, ours.offset);
                        let (group, stream) = (cut(&key.1), stream.as_str());
                        tracing::warn!(
                            group,
                            stream,
                            partition,
                            here,
                            there = theirs,
                            left_out,
                            "somebody has moved a position on in the cluster; it is not moved back there"
                        );
                    }
                }
                None => {}
            }
        }
        for (place, theirs) in std::mem::take(&mut acts.extra) {
            if !ours.contains_key(&place) && (deleted || moved_back(&events, &place, theirs)) {
                acts.delete.entry(place.0.as_str().to_owned()).or_default().push(place.1);
            }
        }
        Ok(())
    }

    async fn say(&self, link: &mut Link, key: &Key, behind: &Behind, acts: Acts) -> Result<Turn, Unasked> {
        let mut again = BTreeSet::new();
        let mut live = false;
        let mut failed = |self_: &Self, stream: &str, partition: i32, refused: &Refused| {
            if is_live(refused) {
                live = true;
            } else if is_for_good(refused) {
                // The topic is gone, or the cluster takes less metadata than we: the way back is without it.
                self_.count("mirror_refused");
                if let Some(left_out) = self_.lines.take() {
                    let group = cut(&key.1);
                    tracing::warn!(
                        group,
                        stream,
                        partition,
                        left_out,
                        "the cluster does not take a position: {refused}"
                    );
                }
                return;
            }
            again.extend(StreamName::new(stream).ok().map(|stream| (stream, partition)));
        };
        for chunk in acts.commit.chunks(MOST_IN_A_COMMIT) {
            let results = link.cluster.commit_all(&key.1, chunk).await?;
            for (it, result) in chunk.iter().zip(&results) {
                if let Err(refused) = result {
                    failed(self, &it.topic, it.partition, refused);
                }
            }
        }
        if !acts.delete.is_empty() {
            match link.cluster.delete_offsets(&key.1, &acts.delete).await {
                Ok(results) => {
                    for (stream, partition, result) in &results {
                        if let Err(refused) = result {
                            failed(self, stream, *partition, refused);
                        }
                    }
                }
                // There is no such group: it has no positions.
                Err(crate::client::Error::Refused { refused, .. })
                    if refused.code == codes::GROUP_ID_NOT_FOUND => {}
                Err(crate::client::Error::Refused { refused, .. }) if is_live(&refused) => live = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(match (live, again.is_empty()) {
            (true, _) => Turn::Live,
            (false, true) => Turn::Done,
            (false, false) => Turn::Again(behind.of(again)),
        })
    }
}

/// A group with members takes nothing from others (Kafka: `ClassicGroup.validateOffsetCommit`, `ConsumerGroup`).
fn is_live(refused: &Refused) -> bool {
    matches!(
        refused.code,
        codes::UNKNOWN_MEMBER_ID
            | codes::ILLEGAL_GENERATION
            | codes::REBALANCE_IN_PROGRESS
            | codes::NON_EMPTY_GROUP
            | codes::GROUP_SUBSCRIBED_TO_TOPIC
            | codes::STALE_MEMBER_EPOCH
    )
}

/// Trying again would not help.
fn is_for_good(refused: &Refused) -> bool {
    matches!(
        refused.code,
        codes::UNKNOWN_TOPIC_OR_PARTITION
            | codes::OFFSET_METADATA_TOO_LARGE
            | codes::INVALID_TOPIC
            | codes::INVALID_GROUP_ID
            | codes::INVALID_COMMIT_OFFSET_SIZE
    )
}

fn asked<'a>(places: impl Iterator<Item = &'a Place>) -> Asked {
    let mut asked = Asked::new();
    for (stream, partition) in places {
        asked.entry(stream.as_str().to_owned()).or_default().push(*partition);
    }
    asked
}

fn to_commit((stream, partition): &Place, committed: &Committed) -> ToCommit {
    ToCommit {
        topic: stream.as_str().to_owned(),
        partition: *partition,
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.to_string(),
    }
}

/// What differs.
fn compare(ours: BTreeMap<Place, Option<Committed>>, theirs: Vec<FetchedOffset>) -> Result<Acts, Unasked> {
    let mut there: HashMap<Place, FetchedOffset> = HashMap::new();
    for it in theirs {
        if let Some(refused) = &it.error
            && refused.code != codes::UNKNOWN_TOPIC_OR_PARTITION
        {
            let (topic, partition) = (&it.topic, it.partition);
            return Err(Unasked(format!("it does not tell what it has on {topic}:{partition}: {refused}")));
        }
        if let Ok(stream) = StreamName::new(&it.topic) {
            there.insert((stream, it.partition), it);
        }
    }
    let mut acts = Acts::default();
    for (place, ours) in ours {
        let theirs = there.remove(&place);
        let offset = theirs.as_ref().and_then(|it| it.offset);
        match (ours, offset) {
            (Some(ours), Some(offset)) if offset > ours.offset => acts.ahead.push((place, offset)),
            (Some(ours), offset) => {
                let is_same = offset == Some(ours.offset)
                    && theirs.is_some_and(|it| {
                        it.leader_epoch.unwrap_or(-1) == ours.leader_epoch.max(-1)
                            && *it.metadata == *ours.metadata
                    });
                // "Nothing" cannot be told from what is not there.
                if !is_same && ours.offset >= 0 {
                    acts.commit.push(to_commit(&place, &ours));
                }
            }
            (None, Some(offset)) => acts.extra.push((place, offset)),
            (None, None) => {}
        }
    }
    let rest = there.into_iter().filter_map(|(place, it)| Some((place, it.offset?)));
    acts.extra.extend(rest);
    Ok(acts)
}

/// Whether an act here moved a position back, or took it away, that had been at least at `theirs`.
fn moved_back(events: &[Event], (stream, partition): &Place, theirs: i64) -> bool {
    let here = |event: &&Event| {
        event.stream.as_ref().is_none_or(|it| it == stream)
            && event.partition.is_none_or(|it| it == *partition)
    };
    events.iter().filter(here).any(|event| match &event.what {
        EventKind::GroupDeleted { .. } => true,
        EventKind::OffsetDeleted { from } => *from >= theirs,
        EventKind::Committed { from: Some(from), to, kind, .. } => {
            *kind != CommitKind::Forward && to < from && *from >= theirs
        }
        _ => false,
    })
}
