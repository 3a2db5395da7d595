//! Where partitions begin and end: asked of the brokers that lead them, several at a time.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use tokio::task::JoinSet;

use super::connection::{Connection, Settings};
use super::endpoint::Endpoint;
use super::{Asked, Broker, Cluster, Error, text};

/// Brokers that are asked at a time.
const AT_ONCE: usize = 8;
/// Partitions of one question.
const PAGE: usize = 1_000;
/// Kafka's words for the first offset and for the next one (`ListOffsetsRequest.EARLIEST_TIMESTAMP`, `LATEST_TIMESTAMP`).
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// A topic and a partition: where it begins and where the next record goes.
pub type Ends = BTreeMap<(String, i32), (i64, i64)>;

impl Cluster {
    /// Where partitions begin and end (the high watermark), asked of the broker given for each. Those of which a broker does
    /// not say both are left out: it may not lead them any more. Answers the errors of brokers beside what others said.
    pub async fn ends(&mut self, asked: Vec<(Broker, Asked)>) -> (Ends, Vec<Error>) {
        let mut waiting = asked.into_iter();
        let mut asking = JoinSet::new();
        let (mut ends, mut errors) = (Ends::new(), Vec::new());
        loop {
            while asking.len() < AT_ONCE
                && let Some((broker, asked)) = waiting.next()
            {
                let index = self.open.iter().position(|open| open.at == broker.endpoint);
                let connection = index.map(|index| self.open.swap_remove(index));
                asking.spawn(ask(connection, broker.endpoint, self.settings.clone(), asked));
            }
            match asking.join_next().await {
                Some(Ok(Ok((connection, said)))) => {
                    self.open.push(connection);
                    ends.extend(said);
                }
                Some(Ok(Err(error))) => errors.push(error),
                // A task that panicked has said so; it has nothing of anybody else's.
                Some(Err(_)) => {}
                None => return (ends, errors),
            }
        }
    }
}

/// Asks one broker, for which it has the connection to itself.
async fn ask(
    connection: Option<Connection>,
    at: Endpoint,
    settings: Settings,
    asked: Asked,
) -> Result<(Connection, Ends), Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::open(&at, &settings).await?,
    };
    let mut ends = Ends::new();
    let flat: Vec<(&String, i32)> =
        asked.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |p| (topic, *p))).collect();
    for page in flat.chunks(PAGE) {
        // The start first: what is evicted between the two does not move the end below it.
        let starts = offsets(&mut connection, page, EARLIEST).await?;
        let mut next = offsets(&mut connection, page, LATEST).await?;
        ends.extend(starts.into_iter().filter_map(|(place, start)| {
            let end = next.remove(&place)?;
            (start <= end).then_some((place, (start, end)))
        }));
    }
    Ok((connection, ends))
}

async fn offsets(
    connection: &mut Connection,
    page: &[(&String, i32)],
    timestamp: i64,
) -> Result<BTreeMap<(String, i32), i64>, Error> {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (name, index) in page {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        match topics.last_mut() {
            Some(topic) if **topic.name == *name.as_str() => topic.partitions.push(partition),
            _ => topics.push(
                ListOffsetsTopic::default().with_name(TopicName(text(name))).with_partitions(vec![partition]),
            ),
        }
    }
    let build = |_| ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
    let answer = connection.ask(build).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        let said = topic.partitions.into_iter().filter(|p| p.error_code == 0 && p.offset >= 0);
        found.extend(said.map(|p| ((topic.name.to_string(), p.partition_index), p.offset)));
    }
    Ok(found)
}
