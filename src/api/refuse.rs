//! The same "no" for all that a request of a group asks: for a server that has no coordinator at the moment.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatResponse, JoinGroupRequest, LeaveGroupResponse, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchRequest, SyncGroupResponse,
};

use super::{Admitted, Reply, Unanswerable, decode, join_group, offset_fetch};
use crate::wire::codes::Code;

/// Answers a group's request with one code wherever its answer has one.
pub fn refuse(admitted: Admitted, code: Code) -> Result<Reply, Unanswerable> {
    let Admitted { origin, request } = admitted;
    match origin.api.key {
        ApiKey::OffsetCommit => {
            let asked: OffsetCommitRequest = decode(&origin, request)?;
            let topics = asked.topics.into_iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                let partitions = partitions.collect();
                OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
            });
            origin.encode(&OffsetCommitResponse::default().with_topics(topics.collect()))
        }
        ApiKey::OffsetFetch => {
            let asked: OffsetFetchRequest = decode(&origin, request)?;
            origin.encode(&offset_fetch::refused(&asked, origin.version, code))
        }
        ApiKey::JoinGroup => {
            let asked: JoinGroupRequest = decode(&origin, request)?;
            origin.encode(&join_group::refused(&asked.member_id, code, origin.version))
        }
        ApiKey::SyncGroup => origin.encode(&SyncGroupResponse::default().with_error_code(code)),
        ApiKey::Heartbeat => origin.encode(&HeartbeatResponse::default().with_error_code(code)),
        ApiKey::LeaveGroup => origin.encode(&LeaveGroupResponse::default().with_error_code(code)),
        ApiKey::ListGroups => origin.encode(&ListGroupsResponse::default().with_error_code(code)),
        ApiKey::OffsetDelete => origin.encode(&OffsetDeleteResponse::default().with_error_code(code)),
        ApiKey::DescribeGroups => {
            let asked: DescribeGroupsRequest = decode(&origin, request)?;
            let group = |id| DescribedGroup::default().with_group_id(id).with_error_code(code);
            let groups = asked.groups.into_iter().map(group).collect();
            origin.encode(&DescribeGroupsResponse::default().with_groups(groups))
        }
        ApiKey::DeleteGroups => {
            let asked: DeleteGroupsRequest = decode(&origin, request)?;
            let group = |id| DeletableGroupResult::default().with_group_id(id).with_error_code(code);
            let results = asked.groups_names.into_iter().map(group).collect();
            origin.encode(&DeleteGroupsResponse::default().with_results(results))
        }
        key => Err(Unanswerable::Unknown { key: key as i16, version: origin.version }),
    }
}
