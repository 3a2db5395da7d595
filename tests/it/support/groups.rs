//! Groups as a whole: listed, described, deleted, and positions of theirs deleted.

use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::client::Client;
use super::value::At;
use super::{GROUP_ID_NOT_FOUND, NONE, wire};

/// What stands for authorized operations that nobody asked for.
pub const NOT_ASKED: i32 = i32::MIN;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn ids(groups: &[&str]) -> Vec<GroupId> {
    groups.iter().map(|group| GroupId(text(group))).collect()
}

pub fn list_request(states: &[&str], types: &[&str]) -> ListGroupsRequest {
    let all = |filter: &[&str]| filter.iter().map(|wanted| text(wanted)).collect();
    ListGroupsRequest::default().with_states_filter(all(states)).with_types_filter(all(types))
}

pub fn describe_request(groups: &[&str]) -> DescribeGroupsRequest {
    DescribeGroupsRequest::default().with_groups(ids(groups))
}

pub fn delete_request(groups: &[&str]) -> DeleteGroupsRequest {
    DeleteGroupsRequest::default().with_groups_names(ids(groups))
}

/// Partitions of one topic that stand side by side share its entry.
pub fn delete_offsets_request(group: &str, places: &[At<'_>]) -> OffsetDeleteRequest {
    let topics = places.chunk_by(|one, next| one.0 == next.0).map(|of| {
        let partitions = of
            .iter()
            .map(|(_, partition)| OffsetDeleteRequestPartition::default().with_partition_index(*partition));
        OffsetDeleteRequestTopic::default()
            .with_name(TopicName(text(of[0].0)))
            .with_partitions(partitions.collect())
    });
    OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(topics.collect())
}

/// What a list tells of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub group: String,
    pub protocol: String,
    pub state: String,
    pub kind: String,
}

#[track_caller]
pub fn listed(response: ListGroupsResponse) -> Vec<Listed> {
    assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
    assert_eq!(response.error_code, NONE, "the code of a list");
    let group = |group: kafka_protocol::messages::list_groups_response::ListedGroup| Listed {
        group: group.group_id.to_string(),
        protocol: group.protocol_type.to_string(),
        state: group.group_state.to_string(),
        kind: group.group_type.to_string(),
    };
    response.groups.into_iter().map(group).collect()
}

/// What is told of one group. Protocols and members are not: [`described`] sees that there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub group: String,
    pub state: String,
    pub code: i16,
    pub message: Option<String>,
    pub operations: i32,
}

/// A group that is there.
pub fn empty(group: &str) -> Described {
    let state = "Empty".to_owned();
    Described { group: group.to_owned(), state, code: NONE, message: None, operations: NOT_ASKED }
}

/// A group that is not there, as this version says it.
pub fn dead(version: i16, group: &str) -> Described {
    let (code, message) = match version {
        ..6 => (NONE, None),
        _ => (GROUP_ID_NOT_FOUND, Some(format!("Group {group} not found."))),
    };
    Described { state: "Dead".to_owned(), code, message, ..empty(group) }
}

#[track_caller]
pub fn described(response: DescribeGroupsResponse) -> Vec<Described> {
    assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
    let mut groups = Vec::new();
    for group in response.groups {
        assert_eq!((&*group.protocol_type, &*group.protocol_data), ("", ""), "there is no protocol");
        assert_eq!(group.members, [], "there are no members");
        groups.push(Described {
            group: group.group_id.to_string(),
            state: group.group_state.to_string(),
            code: group.error_code,
            message: group.error_message.map(|message| message.to_string()),
            operations: group.authorized_operations,
        });
    }
    groups
}

/// The groups of an answer and their codes, in its order.
#[track_caller]
pub fn deleted(response: DeleteGroupsResponse) -> Vec<(String, i16)> {
    assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
    response.results.into_iter().map(|group| (group.group_id.to_string(), group.error_code)).collect()
}

/// The answer to a deletion of positions: entries as they were answered, and a code each.
#[derive(Debug, PartialEq)]
pub struct OffsetsDeleted {
    pub code: i16,
    pub topics: Vec<(String, Vec<(i32, i16)>)>,
}

impl OffsetsDeleted {
    pub fn of(response: OffsetDeleteResponse) -> Self {
        assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
        let topics = response.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|of| (of.partition_index, of.error_code));
            (topic.name.to_string(), partitions.collect())
        });
        Self { code: response.error_code, topics: topics.collect() }
    }

    /// Exactly these partitions and codes, in this order, and nothing against the group.
    #[track_caller]
    pub fn is(&self, expected: &[(At<'_>, i16)]) {
        assert_eq!(self.code, NONE, "the code of the group");
        let flat: Vec<(At<'_>, i16)> = self
            .topics
            .iter()
            .flat_map(|(topic, of)| of.iter().map(move |(partition, code)| ((&**topic, *partition), *code)))
            .collect();
        assert_eq!(flat, expected, "the partitions and their codes");
    }

    /// This code for the group, which hides the partitions.
    #[track_caller]
    pub fn fails_as_a_whole(&self, code: i16) {
        assert_eq!(*self, Self { code, topics: vec![] });
    }
}

impl Client {
    /// The names of all groups, in the order of the answer.
    #[track_caller]
    pub fn list_groups(&mut self, version: i16) -> Vec<String> {
        self.list_groups_where(version, &[], &[])
    }

    /// The names of the groups that the filters let through.
    #[track_caller]
    pub fn list_groups_where(&mut self, version: i16, states: &[&str], types: &[&str]) -> Vec<String> {
        let groups = listed(self.call(version, &list_request(states, types)));
        groups.into_iter().map(|group| group.group).collect()
    }

    #[track_caller]
    pub fn describe_groups(&mut self, version: i16, groups: &[&str]) -> Vec<Described> {
        described(self.call(version, &describe_request(groups)))
    }

    /// The code of each, and that the answer names exactly these groups, in this order.
    #[track_caller]
    pub fn delete_groups(&mut self, version: i16, groups: &[&str]) -> Vec<i16> {
        let answer = deleted(self.call(version, &delete_request(groups)));
        let (names, codes): (Vec<String>, Vec<i16>) = answer.into_iter().unzip();
        assert_eq!(names, groups, "the answer names what was asked, in that order");
        codes
    }

    #[track_caller]
    pub fn delete_offsets(&mut self, group: &str, places: &[At<'_>]) -> OffsetsDeleted {
        OffsetsDeleted::of(self.call(0, &delete_offsets_request(group, places)))
    }
}

/// A list of group ids as bytes, whatever it claims to count, and what follows it.
pub fn ids_as(flexible: bool, count: Option<i32>, ids: &[Option<&str>], rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::count_as(flexible, &mut body, count);
    for id in ids {
        wire::string_as(flexible, &mut body, *id);
    }
    body.extend_from_slice(rest);
    body
}
