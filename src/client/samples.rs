//! Answers with something in every field, for the tests of shapes.

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, CreateTopicsResponse, DeleteGroupsResponse, DeleteTopicsResponse,
    DescribeGroupsResponse, FindCoordinatorResponse, GroupId, LeaveGroupResponse, ListGroupsResponse,
    ListOffsetsResponse, MetadataResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name() -> TopicName {
    TopicName(text("orders"))
}

pub(super) fn api_versions(_: i16) -> ApiVersionsResponse {
    let api = ApiVersion::default().with_api_key(3).with_max_version(13);
    ApiVersionsResponse::default().with_api_keys(vec![api.clone(), api])
}

pub(super) fn metadata(version: i16) -> MetadataResponse {
    let rack = (version >= 1).then(|| text("rack"));
    let broker = MetadataResponseBroker::default().with_host(text("host")).with_port(1).with_rack(rack);
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
        .with_isr_nodes(vec![BrokerId(1)]);
    let partition = if version >= 5 { partition.with_offline_replicas(vec![BrokerId(2)]) } else { partition };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(name()))
        .with_partitions(vec![partition.clone(), partition]);
    let answer = MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic]);
    if version >= 2 { answer.with_cluster_id(Some(text("cluster"))) } else { answer }
}

pub(super) fn find_coordinator(version: i16) -> FindCoordinatorResponse {
    let answer = FindCoordinatorResponse::default();
    match version {
        0 => answer.with_host(text("host")),
        1..=3 => answer.with_host(text("host")).with_error_message(Some(text("why"))),
        _ => {
            let one = Coordinator::default().with_key(text("g")).with_host(text("host"));
            answer.with_coordinators(vec![one.with_error_message(Some(text("why")))])
        }
    }
}

pub(super) fn list_groups(version: i16) -> ListGroupsResponse {
    let group = ListedGroup::default().with_group_id(GroupId(text("g"))).with_protocol_type(text("consumer"));
    let group = if version >= 4 { group.with_group_state(text("Empty")) } else { group };
    let group = if version >= 5 { group.with_group_type(text("classic")) } else { group };
    ListGroupsResponse::default().with_groups(vec![group.clone(), group])
}

pub(super) fn describe_groups(version: i16) -> DescribeGroupsResponse {
    let member = DescribedGroupMember::default()
        .with_member_id(text("m"))
        .with_client_host(text("/127.0.0.1"))
        .with_member_metadata(Bytes::from_static(b"abc"))
        .with_member_assignment(Bytes::from_static(b"defg"));
    let member = if version >= 4 { member.with_group_instance_id(Some(text("i"))) } else { member };
    let group = DescribedGroup::default()
        .with_group_id(GroupId(text("g")))
        .with_group_state(text("Stable"))
        .with_members(vec![member.clone(), member]);
    let group = if version >= 6 { group.with_error_message(Some(text("why"))) } else { group };
    DescribeGroupsResponse::default().with_groups(vec![group])
}

pub(super) fn offset_fetch(version: i16) -> OffsetFetchResponse {
    let answer = OffsetFetchResponse::default();
    if version >= 8 {
        let partition = OffsetFetchResponsePartitions::default().with_metadata(Some(text("md")));
        let topic = OffsetFetchResponseTopics::default().with_name(name()).with_partitions(vec![partition]);
        let group = OffsetFetchResponseGroup::default().with_group_id(GroupId(text("g")));
        answer.with_groups(vec![group.with_topics(vec![topic])])
    } else {
        let partition = OffsetFetchResponsePartition::default().with_metadata(Some(text("md")));
        let topic = OffsetFetchResponseTopic::default().with_name(name()).with_partitions(vec![partition]);
        answer.with_topics(vec![topic])
    }
}

pub(super) fn offset_commit(_: i16) -> OffsetCommitResponse {
    let partitions = vec![OffsetCommitResponsePartition::default().with_error_code(44)];
    let topic = OffsetCommitResponseTopic::default().with_name(name()).with_partitions(partitions);
    OffsetCommitResponse::default().with_topics(vec![topic])
}

pub(super) fn offset_delete(_: i16) -> OffsetDeleteResponse {
    let partitions = vec![OffsetDeleteResponsePartition::default().with_error_code(3)];
    let topic = OffsetDeleteResponseTopic::default().with_name(name()).with_partitions(partitions);
    OffsetDeleteResponse::default().with_topics(vec![topic])
}

pub(super) fn delete_groups(_: i16) -> DeleteGroupsResponse {
    let result = DeletableGroupResult::default().with_group_id(GroupId(text("g")));
    DeleteGroupsResponse::default().with_results(vec![result.clone(), result])
}

pub(super) fn leave_group(version: i16) -> LeaveGroupResponse {
    let member = MemberResponse::default().with_member_id(text("m")).with_group_instance_id(Some(text("i")));
    let members = if version >= 3 { vec![member.clone(), member] } else { Vec::new() };
    LeaveGroupResponse::default().with_members(members)
}

pub(super) fn create_topics(version: i16) -> CreateTopicsResponse {
    let topic = CreatableTopicResult::default().with_name(name()).with_error_message(Some(text("why")));
    let config = CreatableTopicConfigs::default().with_name(text("k")).with_value(Some(text("v")));
    let topic = if version >= 5 { topic.with_configs(Some(vec![config.clone(), config])) } else { topic };
    CreateTopicsResponse::default().with_topics(vec![topic])
}

pub(super) fn delete_topics(version: i16) -> DeleteTopicsResponse {
    let result = DeletableTopicResult::default().with_name(Some(name()));
    let result = if version >= 5 { result.with_error_message(Some(text("why"))) } else { result };
    DeleteTopicsResponse::default().with_responses(vec![result])
}

pub(super) fn list_offsets(_: i16) -> ListOffsetsResponse {
    let partition = ListOffsetsPartitionResponse::default().with_timestamp(7).with_offset(9);
    let partitions = vec![partition.clone(), partition];
    let topic = ListOffsetsTopicResponse::default().with_name(name()).with_partitions(partitions);
    ListOffsetsResponse::default().with_topics(vec![topic])
}
