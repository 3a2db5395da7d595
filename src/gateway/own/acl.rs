//! The cluster's permissions stay in force: before a group or a topic is touched here for a client, the cluster is asked on the
//! client's own connection whether it may, and its answer holds for a while. That is one small question per connection and
//! group, and one for all topics of a commit, every 30 seconds; a cluster without an authorizer is asked the same. It also keeps
//! a connection alive that the cluster would otherwise see idle.
//!
//! What the cluster does not answer in time is not refused: the client is sent to look for its coordinator anew (16), and that
//! too is a question to the cluster. A commit is to come again (14).

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use kafka_protocol::messages::ApiKey;
use tokio::time::{Duration, Instant};

use super::Side;
use super::concerns::{Concerns, right};
use super::handover::Standing;
use super::live::Live;
use super::questions::{MOST_ASKED, TopicSaid};
use crate::api::Barred;
use crate::gateway::link::End;
use crate::gateway::requests::{Head, Requests};
use crate::model::names::Partition;
use crate::wire::codes;

/// How long an answer of the cluster holds.
const HOLDS: Duration = Duration::from_secs(30);
/// Answers of one kind that a connection keeps.
const MOST_KEPT: usize = 1_000;

/// A permission on a group (Kafka: `AclOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Right {
    Read,
    Describe,
    Delete,
}

/// What the cluster has said of one client.
#[derive(Debug, Default)]
pub(super) struct Grants {
    groups: Kept<(Right, Arc<str>), bool>,
    topics: Kept<Arc<str>, TopicSaid>,
}

/// Answers, and when they were given.
#[derive(Debug)]
struct Kept<K, V>(HashMap<K, (V, Instant)>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Copy> Kept<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.at(key, Instant::now())
    }

    fn keep(&mut self, key: K, value: V) {
        self.keep_at(key, value, Instant::now());
    }

    fn at(&self, key: &K, now: Instant) -> Option<V> {
        self.0.get(key).filter(|(_, since)| now.duration_since(*since) < HOLDS).map(|(value, _)| *value)
    }

    fn keep_at(&mut self, key: K, value: V, now: Instant) {
        if self.0.len() >= MOST_KEPT && !self.0.contains_key(&key) {
            self.0.retain(|_, (_, since)| now.duration_since(*since) < HOLDS);
            if self.0.len() >= MOST_KEPT {
                self.0.clear();
            }
        }
        self.0.insert(key, (value, now));
    }
}

impl Requests<'_> {
    /// What of all this is not to be touched. Asks the cluster for what is not known.
    pub(super) async fn barred(
        &mut self,
        live: &Live,
        side: &mut Side,
        head: Head,
        concerns: &Concerns,
        client_id: Option<&str>,
    ) -> Result<Barred, End> {
        let mut barred = Barred::default();
        if head.api.key == ApiKey::ListGroups as i16 {
            self.bar_listing(live, client_id, &mut barred).await?;
            return Ok(barred);
        }
        let right = right(head);
        self.bar_groups(side, right, &concerns.groups, client_id, &mut barred).await?;
        for group in &concerns.groups {
            // Who may not ask for it brings nothing over.
            let may = side.grants.groups.get(&(right, group.clone())) == Some(true);
            if may && live.handover.standing(live.tenant, group).await == Standing::NotYet {
                barred.bar_group(group, codes::of_group_elsewhere(concerns.claims_membership));
                live.handover.has_come(live.tenant, group, &concerns.member);
            }
        }
        let topics = self.topics(live, concerns);
        self.bar_topics(side, head, topics, client_id, &mut barred).await?;
        Ok(barred)
    }

    async fn bar_groups(
        &mut self,
        side: &mut Side,
        right: Right,
        groups: &[Arc<str>],
        client_id: Option<&str>,
        barred: &mut Barred,
    ) -> Result<(), End> {
        let known = |group: &&Arc<str>| side.grants.groups.get(&(right, (*group).clone())).is_some();
        let unknown: Vec<Arc<str>> = groups.iter().filter(|group| !known(group)).cloned().collect();
        for some in unknown.chunks(if right == Right::Describe { MOST_ASKED } else { 1 }) {
            let [group, ..] = some else { continue };
            let said = match right {
                Right::Read => self.ask_read(client_id, group).await?.map(|code| vec![(group.clone(), code)]),
                Right::Delete => {
                    self.ask_delete(client_id, group).await?.map(|code| vec![(group.clone(), code)])
                }
                Right::Describe => self.ask_describe(client_id, some).await?,
            };
            for (group, code) in said.into_iter().flatten() {
                side.grants.groups.keep((right, group), code != codes::GROUP_AUTHORIZATION_FAILED);
            }
        }
        for group in groups {
            match side.grants.groups.get(&(right, group.clone())) {
                Some(true) => {}
                // Whether it may is more than whose it is.
                Some(false) => barred.bar_group(group, codes::GROUP_AUTHORIZATION_FAILED),
                None => barred.bar_group(group, codes::NOT_ASKED),
            }
        }
        Ok(())
    }

    /// The topics concerned: those named, and those that a group has positions on of which all are asked for.
    fn topics(&self, live: &Live, concerns: &Concerns) -> Vec<(Arc<str>, Partition)> {
        let mut topics = concerns.topics.clone();
        for group in &concerns.all_of {
            // A store that cannot say has no positions to tell either.
            let all = live.room.coordinator.fetch_all(live.tenant, group).unwrap_or_default();
            let names: BTreeSet<&str> = all.iter().map(|offset| offset.stream.as_str()).collect();
            topics.extend(names.into_iter().map(|name| (name.into(), 0)));
        }
        topics
    }

    async fn bar_topics(
        &mut self,
        side: &mut Side,
        head: Head,
        topics: Vec<(Arc<str>, Partition)>,
        client_id: Option<&str>,
        barred: &mut Barred,
    ) -> Result<(), End> {
        // A partition that is not known may be new.
        let is_known = |(topic, highest): &&(Arc<str>, Partition)| match side.grants.topics.get(topic) {
            Some(TopicSaid::There { partitions, .. }) => *highest < partitions,
            known => known.is_some(),
        };
        let unknown = topics.iter().filter(|topic| !is_known(topic)).map(|(topic, _)| topic.clone());
        let unknown: Vec<Arc<str>> = unknown.collect();
        let mut nowhere = BTreeSet::new();
        for some in unknown.chunks(MOST_ASKED) {
            let Some(said) = self.ask_metadata(client_id, some).await? else { continue };
            for (topic, said) in said.topics {
                match said {
                    TopicSaid::There { .. } | TopicSaid::Barred => side.grants.topics.keep(topic, said),
                    // One that is not there may be there in a moment.
                    TopicSaid::Unknown => _ = nowhere.insert(topic),
                    TopicSaid::NotNow => {}
                }
            }
        }
        let reading = head.api.key == ApiKey::OffsetFetch as i16;
        for (topic, _) in &topics {
            match side.grants.topics.get(topic) {
                Some(TopicSaid::There { read: false, .. }) if !reading => {
                    barred.bar_topic(topic, 0, codes::TOPIC_AUTHORIZATION_FAILED);
                }
                Some(TopicSaid::There { partitions, .. }) if !reading => {
                    barred.bar_topic(topic, partitions, codes::UNKNOWN_TOPIC_OR_PARTITION);
                }
                Some(TopicSaid::There { .. }) => {}
                Some(TopicSaid::Barred) => barred.bar_topic(topic, 0, codes::TOPIC_AUTHORIZATION_FAILED),
                // As in Kafka: a position may outlive its topic for a while.
                _ if nowhere.contains(topic) && reading => {}
                _ if nowhere.contains(topic) => {
                    barred.bar_topic(topic, 0, codes::UNKNOWN_TOPIC_OR_PARTITION);
                }
                _ => barred.bar_topic(topic, 0, codes::COORDINATOR_LOAD_IN_PROGRESS),
            }
        }
        Ok(())
    }

    /// Which groups this client may list. All brokers are asked by tools that put the answers together: the one with the least
    /// id of those alive tells all, the others none.
    async fn bar_listing(
        &mut self,
        live: &Live,
        client_id: Option<&str>,
        barred: &mut Barred,
    ) -> Result<(), End> {
        let Some(said) = self.ask_metadata(client_id, &[]).await? else {
            barred.bar_all(codes::COORDINATOR_NOT_AVAILABLE);
            return Ok(());
        };
        let here = self.link.broker().map(|broker| broker.id);
        if here.is_some_and(|here| said.brokers.iter().any(|id| *id < here)) {
            barred.hide_all();
            return Ok(());
        }
        if said.describe_cluster {
            return Ok(());
        }
        // A store that cannot say is found out by who lists.
        let groups = live.room.coordinator.groups(live.tenant).unwrap_or_default();
        let groups: Vec<Arc<str>> = groups.iter().map(|group| group.as_str().into()).collect();
        for some in groups.chunks(MOST_ASKED) {
            let said = self.ask_describe(client_id, some).await?;
            let Some(said) = said else {
                barred.bar_all(codes::COORDINATOR_NOT_AVAILABLE);
                return Ok(());
            };
            let refused = said.into_iter().filter(|(_, code)| *code == codes::GROUP_AUTHORIZATION_FAILED);
            refused.for_each(|(group, code)| barred.bar_group(&group, code));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_a_while_and_are_bounded() {
        let (began, mut kept) = (Instant::now(), Kept::default());
        let before = began + HOLDS - Duration::from_secs(1);
        kept.keep_at("a".to_owned(), true, began);
        assert_eq!(kept.at(&"a".to_owned(), before), Some(true));
        kept.keep_at("b".to_owned(), false, before);
        let later = began + HOLDS;
        assert_eq!((kept.at(&"a".to_owned(), later), kept.at(&"b".to_owned(), later)), (None, Some(false)));
        for number in 0..3 * MOST_KEPT {
            kept.keep_at(number.to_string(), true, later);
            assert!(kept.0.len() <= MOST_KEPT);
        }
    }
}
