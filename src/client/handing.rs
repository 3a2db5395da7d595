//! What handing a group from one server to another takes: its positions as they are when no transaction is open, commits
//! with all that a position has, which groups have members, and members that leave.

use std::collections::BTreeMap;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    GroupId, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, TopicName,
};

use super::calls::Call as _;
use super::{Asked, Cluster, Error, FetchedOffset, Listed, Refused, text};

/// A position to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCommit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    /// -1 if unknown.
    pub leader_epoch: i32,
    /// Text of the committer's own.
    pub metadata: String,
}

impl Listed {
    /// Whether it has members, or is about to; `None` from servers that do not tell. Any state but two counts: classic and
    /// KIP-848 groups have different ones.
    pub fn is_live(&self) -> Option<bool> {
        self.state.as_deref().map(|state| !matches!(state, "Empty" | "Dead"))
    }
}

impl Cluster {
    /// What a group has committed, of these partitions or of all: code 88 where a transaction is open. Sorted.
    pub async fn stable_offsets(
        &mut self,
        group: &str,
        asked: Option<&Asked>,
    ) -> Result<Vec<FetchedOffset>, Error> {
        self.offsets_as(group, asked, true).await
    }

    /// Groups that have members, of all servers that answer, and whether all did. One whose server does not tell states is
    /// described.
    pub async fn live_groups(&mut self) -> Result<(Vec<Listed>, bool), Error> {
        let (mut live, mut all) = (Vec::new(), true);
        for broker in self.info().await?.brokers {
            let Ok(listed) = self.groups_of(&broker).await else {
                all = false;
                continue;
            };
            for group in listed {
                let is_live = match group.is_live() {
                    Some(is_live) => is_live,
                    None => match self.describe(&group.group).await {
                        Ok(described) => described.is_some_and(|it| !matches!(&*it.state, "Empty" | "Dead")),
                        Err(_) => {
                            all = false;
                            false
                        }
                    },
                };
                if is_live {
                    live.push(group);
                }
            }
        }
        Ok((live, all))
    }

    /// Has a member leave its group, in its stead. The inner error is the server's answer: that there is no such member, for one.
    pub async fn leave(&mut self, group: &str, member: &str) -> Result<Result<(), Refused>, Error> {
        let build = |version| {
            let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group)));
            if version >= 3 {
                let leaver = MemberIdentity::default().with_member_id(text(member));
                let reason = (version >= 5).then(|| text("it has come over to a gateway"));
                request.with_members(vec![leaver.with_reason(reason)])
            } else {
                request.with_member_id(text(member))
            }
        };
        let code = |answer: &LeaveGroupResponse| {
            let of_member = answer.members.first().map_or(0, |member| member.error_code);
            if answer.error_code == 0 { of_member } else { answer.error_code }
        };
        let (_, answer) = self.ask_coordinator(group, build, code).await?;
        Ok(Refused::from_code(code(&answer), None).map_or(Ok(()), Err))
    }

    /// Commits as a simple consumer, with epochs and metadata: the code of each, in the order given. Servers whose versions
    /// have no field for epochs keep none.
    pub async fn commit_all(
        &mut self,
        group: &str,
        positions: &[ToCommit],
    ) -> Result<Vec<Result<(), Refused>>, Error> {
        let mut topics: BTreeMap<&str, Vec<&ToCommit>> = BTreeMap::new();
        for position in positions {
            topics.entry(&position.topic).or_default().push(position);
        }
        let build = |version| {
            let partition = |it: &&ToCommit| {
                let partition = OffsetCommitRequestPartition::default()
                    .with_partition_index(it.partition)
                    .with_committed_offset(it.offset)
                    .with_committed_metadata(Some(text(&it.metadata)));
                partition.with_committed_leader_epoch(if version >= 6 { it.leader_epoch } else { -1 })
            };
            let topic = |(name, partitions): (&&str, &Vec<&ToCommit>)| {
                OffsetCommitRequestTopic::default()
                    .with_name(TopicName(text(name)))
                    .with_partitions(partitions.iter().map(partition).collect())
            };
            OffsetCommitRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(topics.iter().map(topic).collect())
        };
        let code = |answer: &OffsetCommitResponse| {
            let first = answer.topics.first().and_then(|topic| topic.partitions.first());
            first.map_or(0, |partition| partition.error_code)
        };
        let (coordinator, answer) = self.ask_coordinator(group, build, code).await?;
        let mut codes = BTreeMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                codes.insert((&**topic.name, partition.partition_index), partition.error_code);
            }
        }
        let told = |it: &ToCommit| match codes.get(&(&*it.topic, it.partition)) {
            Some(code) => Ok(Refused::from_code(*code, None).map_or(Ok(()), Err)),
            None => Err(Error::Missing {
                at: coordinator.endpoint.clone(),
                api: OffsetCommitRequest::NAME,
                what: format!("{}:{}", it.topic, it.partition),
            }),
        };
        positions.iter().map(told).collect()
    }
}
