//! The error codes in an answer, for the metrics. Each API's answer says where its codes stand; Kafka's `errorCounts`.

use kafka_protocol::messages::{
    ApiVersionsResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteGroupsResponse,
    DeleteTopicsResponse, DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsResponse,
    DescribeTopicPartitionsResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse, ListOffsetsResponse,
    MetadataResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    OffsetForLeaderEpochResponse, ProduceResponse, SyncGroupResponse,
};

use crate::wire::codes::{self, Code};

/// An answer that has error codes.
pub(super) trait Codes {
    /// Shows every code, the answer's own first.
    fn each(&self, see: &mut impl FnMut(Code));
}

/// The codes of an answer other than 0, in the order of their first appearance, and how often each is there.
pub(super) fn errors_in(answer: &impl Codes) -> Vec<(Code, u64)> {
    let mut errors: Vec<(Code, u64)> = Vec::new();
    answer.each(&mut |code| {
        if code != codes::NONE {
            match errors.iter_mut().find(|(seen, _)| *seen == code) {
                Some((_, times)) => *times += 1,
                None => errors.push((code, 1)),
            }
        }
    });
    errors
}

impl Codes for ApiVersionsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for FetchResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.responses.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
    }
}

impl Codes for InitProducerIdResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for OffsetForLeaderEpochResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
    }
}

impl Codes for ProduceResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.responses.iter().flat_map(|topic| &topic.partition_responses).for_each(|p| see(p.error_code));
    }
}

impl Codes for JoinGroupResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for SyncGroupResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for HeartbeatResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for LeaveGroupResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.members.iter().for_each(|member| see(member.error_code));
    }
}

impl Codes for DescribeClusterResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for ListGroupsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
    }
}

impl Codes for MetadataResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.topics.iter().for_each(|topic| see(topic.error_code));
    }
}

impl Codes for FindCoordinatorResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.coordinators.iter().for_each(|coordinator| see(coordinator.error_code));
    }
}

impl Codes for DescribeGroupsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.groups.iter().for_each(|group| see(group.error_code));
    }
}

impl Codes for DeleteGroupsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.results.iter().for_each(|group| see(group.error_code));
    }
}

impl Codes for CreateTopicsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.topics.iter().for_each(|topic| see(topic.error_code));
    }
}

impl Codes for DeleteTopicsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.responses.iter().for_each(|topic| see(topic.error_code));
    }
}

impl Codes for CreatePartitionsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.results.iter().for_each(|topic| see(topic.error_code));
    }
}

impl Codes for DescribeTopicPartitionsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.topics.iter().for_each(|topic| see(topic.error_code));
    }
}

impl Codes for DescribeConfigsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.results.iter().for_each(|resource| see(resource.error_code));
    }
}

impl Codes for OffsetDeleteResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
    }
}

impl Codes for ListOffsetsResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
    }
}

impl Codes for OffsetCommitResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
    }
}

impl Codes for OffsetFetchResponse {
    fn each(&self, see: &mut impl FnMut(Code)) {
        see(self.error_code);
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
        for group in &self.groups {
            see(group.error_code);
            group.topics.iter().flat_map(|topic| &topic.partitions).for_each(|p| see(p.error_code));
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_commit_response::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };

    use super::*;

    #[test]
    fn errors_are_counted_in_the_order_of_the_answer() {
        let partition = |code| OffsetCommitResponsePartition::default().with_error_code(code);
        let topic = |codes: &[Code]| {
            OffsetCommitResponseTopic::default()
                .with_partitions(codes.iter().copied().map(partition).collect())
        };
        let answer = |topics| errors_in(&OffsetCommitResponse::default().with_topics(topics));
        assert_eq!(answer(vec![topic(&[0, 0])]), []);
        assert_eq!(answer(vec![topic(&[0, 44, 3]), topic(&[44, 0, 44])]), [(44, 3), (3, 1)]);
    }
}
