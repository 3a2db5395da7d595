//! What passes: every API of Kafka 4.x that a client may use, each looked at for addresses of brokers in its answers. What is
//! not here is not told to clients, and closes the connection of one that asks for it all the same, as an unknown API does
//! at a broker.
//!
//! Looked at: the message definitions of Kafka 4.4, every field that holds a host, a port, a listener or an endpoint.
//! `client_host` in descriptions of groups is where the broker saw the client: the gateway's own address.

use kafka_protocol::messages::ApiKey;

/// What the gateway does with an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Bytes in, bytes out.
    Pass,
    /// The answer holds addresses.
    Rewrite,
    /// The request says whether there is an answer; from version 10 on that may hold addresses.
    Produce,
    /// Tells which APIs there are: cut to this list.
    ApiVersions,
    /// Which SASL mechanism.
    SaslHandshake,
    /// Who it is.
    SaslAuthenticate,
    /// A commit.
    Commit,
    /// A commit within a transaction.
    TxnCommit,
    /// Tells positions.
    OffsetFetch,
    /// Takes positions away.
    OffsetDelete,
    /// Takes groups away.
    DeleteGroups,
}

/// An API that passes.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) name: &'static str,
    /// The versions looked at; the cluster's own range is cut to them.
    pub(super) min: i16,
    pub(super) max: i16,
    /// First version with compact lengths and tagged fields.
    flexible: i16,
    pub(super) way: Way,
    /// Which addresses are in its answers, or why it ends at this version.
    #[cfg_attr(not(test), allow(dead_code, reason = "said to whoever reads the list, and held by a test"))]
    pub(super) addresses: &'static str,
}

const NEVER: i16 = i16::MAX;
const NONE: &str = "none in any version";

const fn api(
    key: ApiKey,
    name: &'static str,
    (min, max): (i16, i16),
    flexible: i16,
    way: Way,
    addresses: &'static str,
) -> Api {
    Api { key: key as i16, name, min, max, flexible, way, addresses }
}

/// An API that the codec has no name for.
const fn newer(key: i16, name: &'static str, max: i16) -> Api {
    Api { key, name, min: 0, max, flexible: 0, way: Way::Pass, addresses: NONE }
}

const fn plain(key: ApiKey, name: &'static str, max: i16, flexible: i16) -> Api {
    api(key, name, (0, max), flexible, Way::Pass, NONE)
}

/// Every API that passes, by key.
pub(super) const APIS: &[Api] = &[
    api(ApiKey::Produce, "Produce", (0, 13), 9, Way::Produce, "10+: node endpoints, a tagged field"),
    api(
        ApiKey::Fetch,
        "Fetch",
        (0, 15),
        12,
        Way::Pass,
        "16+: node endpoints behind all records; cut, so that records pass unread (clients ask Metadata instead)",
    ),
    plain(ApiKey::ListOffsets, "ListOffsets", 11, 6),
    api(ApiKey::Metadata, "Metadata", (0, 13), 9, Way::Rewrite, "brokers"),
    api(
        ApiKey::OffsetCommit,
        "OffsetCommit",
        (0, 9),
        8,
        Way::Commit,
        "none; 10 has topic ids for names, which the guard cannot read",
    ),
    api(ApiKey::OffsetFetch, "OffsetFetch", (0, 9), 6, Way::OffsetFetch, "none; 10 as OffsetCommit 10"),
    api(ApiKey::FindCoordinator, "FindCoordinator", (0, 6), 3, Way::Rewrite, "the coordinator; 4+: several"),
    plain(ApiKey::JoinGroup, "JoinGroup", 9, 6),
    plain(ApiKey::Heartbeat, "Heartbeat", 4, 4),
    plain(ApiKey::LeaveGroup, "LeaveGroup", 5, 4),
    plain(ApiKey::SyncGroup, "SyncGroup", 5, 4),
    plain(ApiKey::DescribeGroups, "DescribeGroups", 6, 5),
    plain(ApiKey::ListGroups, "ListGroups", 5, 3),
    api(
        ApiKey::SaslHandshake,
        "SaslHandshake",
        (0, 1),
        NEVER,
        Way::SaslHandshake,
        "none; 0 is told, since librdkafka takes a server without it for one without SASL, and refused: what follows it is no requests",
    ),
    api(ApiKey::ApiVersions, "ApiVersions", (0, 5), 3, Way::ApiVersions, "none; cut to this list"),
    plain(ApiKey::CreateTopics, "CreateTopics", 7, 5),
    plain(ApiKey::DeleteTopics, "DeleteTopics", 6, 4),
    plain(ApiKey::DeleteRecords, "DeleteRecords", 2, 2),
    plain(ApiKey::InitProducerId, "InitProducerId", 6, 2),
    plain(ApiKey::OffsetForLeaderEpoch, "OffsetForLeaderEpoch", 4, 4),
    plain(ApiKey::AddPartitionsToTxn, "AddPartitionsToTxn", 5, 3),
    plain(ApiKey::AddOffsetsToTxn, "AddOffsetsToTxn", 4, 3),
    plain(ApiKey::EndTxn, "EndTxn", 5, 3),
    plain(ApiKey::WriteTxnMarkers, "WriteTxnMarkers", 2, 1),
    api(
        ApiKey::TxnOffsetCommit,
        "TxnOffsetCommit",
        (0, 5),
        3,
        Way::TxnCommit,
        "none; 6 has topic ids for names, which the guard cannot read",
    ),
    plain(ApiKey::DescribeAcls, "DescribeAcls", 3, 2),
    plain(ApiKey::CreateAcls, "CreateAcls", 3, 2),
    plain(ApiKey::DeleteAcls, "DeleteAcls", 3, 2),
    api(
        ApiKey::DescribeConfigs,
        "DescribeConfigs",
        (0, 4),
        4,
        Way::Rewrite,
        "a broker's settings: listeners, voters, bootstrap servers",
    ),
    plain(ApiKey::AlterConfigs, "AlterConfigs", 2, 2),
    plain(ApiKey::AlterReplicaLogDirs, "AlterReplicaLogDirs", 2, 2),
    plain(ApiKey::DescribeLogDirs, "DescribeLogDirs", 5, 2),
    api(
        ApiKey::SaslAuthenticate,
        "SaslAuthenticate",
        (0, 2),
        2,
        Way::SaslAuthenticate,
        "none; relayed as it is",
    ),
    plain(ApiKey::CreatePartitions, "CreatePartitions", 3, 2),
    plain(ApiKey::CreateDelegationToken, "CreateDelegationToken", 3, 2),
    plain(ApiKey::RenewDelegationToken, "RenewDelegationToken", 2, 2),
    plain(ApiKey::ExpireDelegationToken, "ExpireDelegationToken", 2, 2),
    plain(ApiKey::DescribeDelegationToken, "DescribeDelegationToken", 3, 2),
    api(
        ApiKey::DeleteGroups,
        "DeleteGroups",
        (0, 2),
        2,
        Way::DeleteGroups,
        "none; 3 has texts that the codec cannot read yet",
    ),
    plain(ApiKey::ElectLeaders, "ElectLeaders", 2, 2),
    plain(ApiKey::IncrementalAlterConfigs, "IncrementalAlterConfigs", 1, 1),
    plain(ApiKey::AlterPartitionReassignments, "AlterPartitionReassignments", 1, 0),
    plain(ApiKey::ListPartitionReassignments, "ListPartitionReassignments", 0, 0),
    api(ApiKey::OffsetDelete, "OffsetDelete", (0, 0), NEVER, Way::OffsetDelete, NONE),
    plain(ApiKey::DescribeClientQuotas, "DescribeClientQuotas", 1, 1),
    plain(ApiKey::AlterClientQuotas, "AlterClientQuotas", 1, 1),
    plain(ApiKey::DescribeUserScramCredentials, "DescribeUserScramCredentials", 0, 0),
    plain(ApiKey::AlterUserScramCredentials, "AlterUserScramCredentials", 0, 0),
    api(
        ApiKey::DescribeQuorum,
        "DescribeQuorum",
        (0, 1),
        0,
        Way::Pass,
        "2+: the controllers' listeners, which no client of a gateway can reach; cut",
    ),
    plain(ApiKey::UpdateFeatures, "UpdateFeatures", 2, 0),
    api(ApiKey::DescribeCluster, "DescribeCluster", (0, 2), 0, Way::Rewrite, "brokers, or controllers"),
    plain(ApiKey::DescribeProducers, "DescribeProducers", 0, 0),
    plain(ApiKey::UnregisterBroker, "UnregisterBroker", 0, 0),
    plain(ApiKey::DescribeTransactions, "DescribeTransactions", 0, 0),
    plain(ApiKey::ListTransactions, "ListTransactions", 2, 0),
    plain(ApiKey::ConsumerGroupHeartbeat, "ConsumerGroupHeartbeat", 1, 0),
    plain(ApiKey::ConsumerGroupDescribe, "ConsumerGroupDescribe", 1, 0),
    plain(ApiKey::GetTelemetrySubscriptions, "GetTelemetrySubscriptions", 0, 0),
    plain(ApiKey::PushTelemetry, "PushTelemetry", 0, 0),
    newer(74, "ListConfigResources", 1),
    plain(ApiKey::DescribeTopicPartitions, "DescribeTopicPartitions", 0, 0),
    plain(ApiKey::ShareGroupHeartbeat, "ShareGroupHeartbeat", 1, 0),
    plain(ApiKey::ShareGroupDescribe, "ShareGroupDescribe", 1, 0),
    api(ApiKey::ShareFetch, "ShareFetch", (1, 2), 0, Way::Rewrite, "node endpoints behind the records"),
    api(ApiKey::ShareAcknowledge, "ShareAcknowledge", (1, 2), 0, Way::Rewrite, "node endpoints"),
    // The endpoints in these two are where other members say that they can be asked: the application's, not the cluster's.
    newer(88, "StreamsGroupHeartbeat", 1),
    newer(89, "StreamsGroupDescribe", 1),
    newer(90, "DescribeShareGroupOffsets", 1),
    newer(91, "AlterShareGroupOffsets", 0),
    newer(92, "DeleteShareGroupOffsets", 0),
    newer(93, "StreamsGroupTopologyDescriptionUpdate", 0),
];

impl Api {
    /// The API of this key, and where it stands in the list.
    pub(super) fn find(key: i16) -> Option<(usize, &'static Api)> {
        let index = APIS.binary_search_by_key(&key, |api| api.key).ok()?;
        APIS.get(index).map(|api| (index, api))
    }

    pub(super) fn passes(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    pub(super) fn flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }

    /// Version of the header of its answers (Kafka: `ApiMessageType.responseHeaderVersion`).
    pub(super) fn answer_header(&self, version: i16) -> i16 {
        i16::from(self.flexible(version) && self.way != Way::ApiVersions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_reasons() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in APIS {
            assert!(api.min <= api.max && !api.addresses.is_empty(), "{}", api.name);
            assert_eq!(Api::find(api.key).map(|(_, found)| found.name), Some(api.name));
        }
        assert!(Api::find(58).is_none(), "Envelope is for brokers among themselves");
    }

    /// Where the codec knows an API, it has the same first flexible version.
    #[test]
    fn headers_are_kafkas() {
        for api in APIS {
            let Ok(key) = ApiKey::try_from(api.key) else { continue };
            let valid = key.valid_versions();
            for version in api.min.max(valid.min)..=api.max.min(valid.max) {
                let (name, flexible) = (api.name, api.flexible(version));
                assert_eq!(key.request_header_version(version) >= 2, flexible, "{name} {version}");
                assert_eq!(
                    key.response_header_version(version),
                    api.answer_header(version),
                    "{name} {version}"
                );
            }
        }
    }
}
