//! The cluster as a client meets it, by the brokers themselves or through a gateway: topics, records, positions. It goes to
//! whom the metadata name, as every client does, and asks again when that was wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteGroupsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    FetchRequest, FindCoordinatorRequest, GroupId, ListOffsetsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, ProduceRequest,
};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::wire::{Wire, text, topic_name};

const PATIENCE: Duration = Duration::from_secs(30);
/// A read that sees aborted transactions' records too, and one that does not.
pub const UNCOMMITTED: i8 = 0;
pub const COMMITTED: i8 = 1;

/// What is in a topic: by partition, the offset, key and value of each record.
pub type Records = BTreeMap<i32, Vec<(i64, String, String)>>;

/// Whom to ask first.
#[derive(Clone)]
pub struct Peer {
    bootstrap: Vec<SocketAddr>,
    /// Who asks, with PLAIN: a name and a password.
    account: Option<(String, String)>,
}

/// Repeats what may fail for a moment, while leaders and coordinators change.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> io::Result<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < deadline, "{what}: {error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn answered(code: i16) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::other(format!("code {code}"))) }
}

impl Peer {
    pub fn new(bootstrap: Vec<SocketAddr>) -> Self {
        Self { bootstrap, account: None }
    }

    /// The same as this user.
    pub fn with_account(mut self, user: &str, password: &str) -> Self {
        self.account = Some((user.to_owned(), password.to_owned()));
        self
    }

    fn connect(&self, address: impl ToSocketAddrs) -> io::Result<Wire> {
        let mut wire = Wire::try_connect(address)?;
        if let Some((user, password)) = &self.account {
            answered(wire.authenticate(user, password)?.error_code)?;
        }
        Ok(wire)
    }

    /// A connection to the first that answers.
    pub fn wire(&self) -> io::Result<Wire> {
        let found = self.bootstrap.iter().find_map(|address| self.connect(address).ok());
        found.ok_or_else(|| io::Error::other(format!("nobody answers at {:?}", self.bootstrap)))
    }

    /// Every broker's address, by its id.
    pub fn brokers(&self) -> io::Result<BTreeMap<i32, String>> {
        let brokers = self.wire()?.metadata(Some(&[]))?.brokers;
        Ok(brokers.into_iter().map(|one| (one.node_id.0, format!("{}:{}", one.host, one.port))).collect())
    }

    fn to_broker(&self, id: i32) -> io::Result<Wire> {
        let brokers = self.brokers()?;
        let address = brokers.get(&id).ok_or_else(|| io::Error::other(format!("no broker {id}")))?;
        self.connect(address)
    }

    /// The leader of each partition.
    pub fn leaders(&self, topic: &str) -> io::Result<BTreeMap<i32, i32>> {
        let metadata = self.wire()?.metadata(Some(&[topic]))?;
        answered(metadata.topics[0].error_code)?;
        let leader = |id: BrokerId| match id.0 {
            -1 => Err(io::Error::other("no leader")),
            id => Ok(id),
        };
        let partitions = metadata.topics[0].partitions.iter();
        partitions
            .map(|partition| {
                answered(partition.error_code)?;
                Ok((partition.partition_index, leader(partition.leader_id)?))
            })
            .collect()
    }

    fn to_leader(&self, topic: &str, partition: i32) -> io::Result<Wire> {
        let leaders = self.leaders(topic)?;
        let leader =
            leaders.get(&partition).ok_or_else(|| io::Error::other(format!("no {topic}/{partition}")))?;
        self.to_broker(*leader)
    }

    /// Makes a topic of three replicas, and waits until every partition is led.
    pub fn create(&self, topic: &str, partitions: i32) {
        self.create_replicated(topic, partitions, 3);
    }

    /// The same with so many replicas.
    pub fn create_replicated(&self, topic: &str, partitions: i32, replicas: i16) {
        let wanted = CreatableTopic::default()
            .with_name(topic_name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas);
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        let mut created = false;
        eventually("create a topic", || {
            if !created {
                let code = self.wire()?.call(7, &request)?.topics[0].error_code;
                // TOPIC_ALREADY_EXISTS: an attempt whose answer was lost.
                answered(if code == 36 { 0 } else { code })?;
                created = true;
            }
            let led = self.leaders(topic)?.len() as i32;
            answered(i16::from(led != partitions))?;
            (0..partitions).try_for_each(|partition| self.end(topic, partition).map(|_| ()))
        });
    }

    pub fn delete_topic(&self, topic: &str) {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(topic)]).with_timeout_ms(10_000);
        eventually("delete a topic", || answered(self.wire()?.call(5, &request)?.responses[0].error_code));
    }

    /// Moves every partition's leader back to the first of its replicas.
    pub fn elect_preferred(&self) {
        let request = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(10_000);
        eventually("elect leaders", || {
            // NOT_CONTROLLER and the like; that nothing had to move is no error of the whole.
            answered(self.wire()?.call(2, &request)?.error_code)
        });
    }

    fn end(&self, topic: &str, partition: i32) -> io::Result<i64> {
        let wanted = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
        let topics =
            vec![ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted])];
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
        let answer = self.to_leader(topic, partition)?.call(7, &request)?;
        answered(answer.topics[0].partitions[0].error_code)?;
        Ok(answer.topics[0].partitions[0].offset)
    }

    /// The end of each partition.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        eventually("the ends of a topic", || {
            let partitions = self.leaders(topic)?.into_keys();
            partitions.map(|partition| Ok((partition, self.end(topic, partition)?))).collect()
        })
    }

    /// Appends records to a partition, acknowledged by all replicas; gives the offset of the first.
    pub fn produce(&self, topic: &str, partition: i32, values: &[String]) -> i64 {
        eventually("produce", || {
            let request = produce_request(topic, partition, values);
            let answer = self.to_leader(topic, partition)?.call(9, &request)?;
            let answer = &answer.responses[0].partition_responses[0];
            answered(answer.error_code)?;
            Ok(answer.base_offset)
        })
    }

    /// All that a consumer of this isolation level reads.
    pub fn records(&self, topic: &str, isolation: i8) -> Records {
        let ends = self.ends(topic);
        let read = |(partition, end)| {
            (partition, eventually("read a topic", || self.read(topic, partition, end, isolation)))
        };
        ends.into_iter().map(read).collect()
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        end: i64,
        isolation: i8,
    ) -> io::Result<Vec<(i64, String, String)>> {
        let mut wire = self.to_leader(topic, partition)?;
        let (mut records, mut from) = (Vec::new(), 0);
        while from < end {
            let answer = wire.call(11, &fetch_request(topic, partition, from, isolation))?;
            let found = &answer.responses[0].partitions[0];
            answered(found.error_code)?;
            let mut bytes = found.records.clone().unwrap_or_default();
            let aborted = found.aborted_transactions.as_deref().unwrap_or_default();
            let mut read = Isolated::new(aborted.iter().map(|one| (one.producer_id.0, one.first_offset)));
            let sets = RecordBatchDecoder::decode_all(&mut bytes).map_err(io::Error::other)?;
            let all: Vec<Record> = sets.into_iter().flat_map(|set| set.records).collect();
            let Some(last) = all.last() else {
                return Err(io::Error::other(format!("nothing between {from} and {end}")));
            };
            from = last.offset + 1;
            let string = |bytes: &Option<bytes::Bytes>| {
                String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
            };
            let visible = all.iter().filter(|record| read.shows(record));
            records.extend(visible.map(|one| (one.offset, string(&one.key), string(&one.value))));
        }
        Ok(records)
    }

    fn to_coordinator(&self, group: &str) -> io::Result<Wire> {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        let answer = self.wire()?.call(4, &request)?;
        let found = &answer.coordinators[0];
        answered(found.error_code)?;
        self.connect((found.host.as_str(), found.port as u16))
    }

    /// The broker that coordinates a group.
    pub fn coordinator(&self, group: &str) -> io::Result<i32> {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        let answer = self.wire()?.call(4, &request)?;
        answered(answer.coordinators[0].error_code)?;
        Ok(answer.coordinators[0].node_id.0)
    }

    /// A group's positions in a topic, by partition; those that it has not are left out.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let wanted = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
        eventually("a group's positions", || {
            let answer = self.to_coordinator(group)?.call(8, &request)?;
            let found = &answer.groups[0];
            answered(found.error_code)?;
            let partitions = found.topics.iter().filter(|found| found.name == topic_name(topic));
            let partitions = partitions.flat_map(|topic| &topic.partitions);
            partitions
                .map(|partition| {
                    answered(partition.error_code)?;
                    Ok((partition.partition_index, partition.committed_offset))
                })
                .collect()
        })
    }

    /// Commits as one who is no member; gives the code of each partition, in the order asked.
    pub fn commit(&self, group: &str, topic: &str, positions: &[(i32, i64)]) -> Vec<i16> {
        self.commit_as(group, topic, "", -1, positions)
    }

    /// The same as this member of this generation.
    pub fn commit_as(
        &self,
        group: &str,
        topic: &str,
        member: &str,
        generation: i32,
        positions: &[(i32, i64)],
    ) -> Vec<i16> {
        let request = commit_request(group, topic, positions)
            .with_member_id(text(member))
            .with_generation_id_or_member_epoch(generation);
        eventually("commit", || commit_on(&mut self.to_coordinator(group)?, &request))
    }

    /// A connection to a group's coordinator, to commit on.
    pub fn session(&self, group: &str) -> Session {
        Session(eventually("find a coordinator", || self.to_coordinator(group)))
    }

    pub fn delete_group(&self, group: &str) -> i16 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        eventually("delete a group", || {
            Ok(self.to_coordinator(group)?.call(2, &request)?.results[0].error_code)
        })
    }

    pub fn delete_offset(&self, group: &str, topic: &str, partition: i32) -> i16 {
        let wanted = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        let topics = vec![
            OffsetDeleteRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]),
        ];
        let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(topics);
        eventually("delete an offset", || {
            let answer = self.to_coordinator(group)?.call(0, &request)?;
            answered(answer.error_code)?;
            Ok(answer.topics[0].partitions[0].error_code)
        })
    }
}

/// What a reader of committed records leaves out of one answer: control records, and what aborted transactions wrote.
struct Isolated {
    /// Where aborted transactions begin, by producer.
    begin: Vec<(i64, i64)>,
    /// Producers that are in one.
    aborting: BTreeSet<i64>,
}

impl Isolated {
    fn new(aborted: impl Iterator<Item = (i64, i64)>) -> Self {
        Self { begin: aborted.collect(), aborting: BTreeSet::new() }
    }

    /// Records come in the order of their offsets.
    fn shows(&mut self, record: &Record) -> bool {
        let producer = record.producer_id;
        let before = self.begin.len();
        self.begin.retain(|(whose, first)| *whose != producer || *first > record.offset);
        if self.begin.len() < before {
            self.aborting.insert(producer);
        }
        if record.control {
            // The marker of its end.
            self.aborting.remove(&producer);
        }
        !record.control && !self.aborting.contains(&producer)
    }
}

fn commit_on(wire: &mut Wire, request: &OffsetCommitRequest) -> io::Result<Vec<i16>> {
    let answer = wire.call(8, request)?;
    let partitions = &answer.topics[0].partitions;
    // NOT_COORDINATOR and its kin: another attempt.
    if let Some(one) = partitions.iter().find(|one| (14..=16).contains(&one.error_code)) {
        answered(one.error_code)?;
    }
    let asked = request.topics[0].partitions.iter().map(|one| one.partition_index);
    assert!(
        asked.eq(partitions.iter().map(|one| one.partition_index)),
        "another order than asked: {answer:?}"
    );
    Ok(partitions.iter().map(|one| one.error_code).collect())
}

/// One connection that commits.
pub struct Session(Wire);

impl Session {
    pub fn commit(&mut self, group: &str, topic: &str, positions: &[(i32, i64)]) -> Vec<i16> {
        commit_on(&mut self.0, &commit_request(group, topic, positions)).expect("commit on a connection")
    }
}

/// A batch of these values, their numbers as keys, from no particular producer.
pub fn batch(values: &[String]) -> BytesMut {
    let record = |(number, value): (usize, &String)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: number as i64,
        // So that the batch begins with none: a batch counts on from its first.
        sequence: NO_SEQUENCE + number as i32,
        // Long ago: the cluster's logs forget nothing.
        timestamp: 1_700_000_000_000,
        key: Some(number.to_string().into()),
        value: Some(value.clone().into()),
        headers: IndexMap::new(),
    };
    let records: Vec<Record> = values.iter().enumerate().map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("encode a batch");
    bytes
}

pub fn produce_request(topic: &str, partition: i32, values: &[String]) -> ProduceRequest {
    let data =
        PartitionProduceData::default().with_index(partition).with_records(Some(batch(values).freeze()));
    let topics =
        vec![TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data])];
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(topics)
}

pub fn fetch_request(topic: &str, partition: i32, from: i64, isolation: i8) -> FetchRequest {
    const MEGABYTE: i32 = 1 << 20;
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(from)
        .with_partition_max_bytes(MEGABYTE);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(1000)
        .with_min_bytes(1)
        .with_max_bytes(MEGABYTE)
        .with_isolation_level(isolation)
        .with_topics(vec![FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![wanted])])
}

pub fn commit_request(group: &str, topic: &str, positions: &[(i32, i64)]) -> OffsetCommitRequest {
    let partition = |(partition, offset): &(i32, i64)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
    };
    let wanted = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(positions.iter().map(partition).collect());
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![wanted])
}
