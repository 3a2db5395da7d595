//! What one broker knows of topics: their ids, their partitions, and who leads these.

use kafka_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};

use super::{Broker, Cluster, Error, Refused, info};

/// A topic, as one broker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id, new with every incarnation; `None` from servers that do not tell (Kafka before 2.8).
    pub id: Option<[u8; 16]>,
    /// The broker that leads each partition; `None` where nobody does.
    pub leaders: Vec<(i32, Option<i32>)>,
}

/// What one broker says of the topics it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The brokers of the cluster, as it knows them.
    pub brokers: Vec<Broker>,
    /// Each topic by name, or why nothing is said of it.
    pub topics: Vec<(String, Result<Known, Refused>)>,
}

impl Cluster {
    /// What a broker knows of the topics of these names, or whichever is connected does. None is made by asking, except by
    /// Kafka before 0.11.
    pub async fn catalogue(&mut self, at: Option<&Broker>, names: &[&str]) -> Result<Catalogue, Error> {
        let answer = match at {
            Some(broker) => self.metadata_at(&broker.endpoint, Some(names)).await?,
            None => self.metadata(Some(names)).await?,
        };
        Ok(read(answer))
    }
}

fn read(answer: MetadataResponse) -> Catalogue {
    let brokers = info(&answer).brokers;
    let known = |topic: MetadataResponseTopic| {
        let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
        if let Some(refused) = Refused::from_code(topic.error_code, None) {
            return (name, Err(refused));
        }
        let leader = |id: i32| Some(id).filter(|id| *id >= 0);
        let mut leaders: Vec<_> =
            topic.partitions.iter().map(|p| (p.partition_index, leader(*p.leader_id))).collect();
        leaders.sort_unstable();
        let id = Some(*topic.topic_id.as_bytes()).filter(|id| *id != [0; 16]);
        (name, Ok(Known { id, leaders }))
    };
    Catalogue { brokers, topics: answer.topics.into_iter().map(known).collect() }
}
