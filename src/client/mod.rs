//! A small Kafka client, for the command line and for what the gateway asks its cluster by itself. It negotiates versions,
//! goes to the coordinator of a group and to the controller, says who it is where it is asked, bounds every wait and every answer, and says where and why
//! something failed. It neither produces nor fetches, and a server that has no cluster behind it never uses it.

mod calls;
mod connection;
mod endpoint;
mod error;
mod groups;
mod handing;
mod offsets;
#[cfg(test)]
mod samples;
mod sasl;
mod scram;
mod topics;

use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Duration, Instant, sleep};

use calls::Call;
use connection::Connection;

pub use connection::Settings;
pub use endpoint::Endpoint;
pub use error::{Error, Refused, Versions};
pub use groups::{Described, Listed, Member};
pub use handing::ToCommit;
pub use offsets::{Asked, FetchedOffset};
pub use sasl::{Account, Mechanism, Password, mechanisms};
pub use topics::{Topic, topic_id_text};

/// Between two tries of a coordinator that is not ready.
const PAUSE: Duration = Duration::from_millis(100);

/// A cluster, seen through one of its bootstrap servers.
#[derive(Debug)]
pub struct Cluster {
    bootstrap: Vec<Endpoint>,
    settings: Settings,
    /// The bootstrap server that answered first, then others as they are needed.
    open: Vec<Connection>,
}

/// A server of a cluster, as the cluster advertises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: i32,
    /// Where clients shall connect.
    pub endpoint: Endpoint,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The controller's number, if it says one.
    pub controller: Option<i32>,
    /// Its servers.
    pub brokers: Vec<Broker>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A coordinator that is being found, or found anew: a passing state.
fn passes(code: i16) -> bool {
    const LOADING: i16 = 14;
    const NOT_AVAILABLE: i16 = 15;
    const NOT_COORDINATOR: i16 = 16;
    matches!(code, LOADING | NOT_AVAILABLE | NOT_COORDINATOR)
}

impl Cluster {
    /// Connects to the first of the addresses that answers as a Kafka server.
    pub async fn connect(bootstrap: &[Endpoint], settings: Settings) -> Result<Self, Error> {
        let mut cluster = Self { bootstrap: bootstrap.to_vec(), settings, open: Vec::new() };
        cluster.any().await?;
        Ok(cluster)
    }

    /// The address that is in use as bootstrap server.
    pub fn address(&self) -> Option<&Endpoint> {
        self.open.first().map(|connection| &connection.at)
    }

    /// The APIs that the bootstrap server serves: key, Kafka's name if known here, versions.
    pub async fn served(&mut self) -> Result<Vec<(i16, Option<String>, Versions)>, Error> {
        let named =
            |(key, versions)| (key, ApiKey::try_from(key).ok().map(|key| format!("{key:?}")), versions);
        Ok(self.any().await?.served().map(named).collect())
    }

    /// The cluster's id, controller and servers.
    pub async fn info(&mut self) -> Result<ClusterInfo, Error> {
        let answer = self.metadata(Some(&[])).await?;
        Ok(info(&answer))
    }

    /// The coordinator of a group. While it is being elected, waits as long as for an answer.
    pub async fn coordinator(&mut self, group: &str) -> Result<Broker, Error> {
        let deadline = Instant::now() + self.settings.timeout;
        loop {
            let build = |version| {
                let request = FindCoordinatorRequest::default();
                if version >= 4 {
                    request.with_coordinator_keys(vec![text(group)])
                } else {
                    request.with_key(text(group))
                }
            };
            let (at, answer) = self.ask_any(build).await?;
            let (code, message, id, host, port) = match answer.coordinators.into_iter().next() {
                Some(it) => (it.error_code, it.error_message, it.node_id, it.host, it.port),
                None => (answer.error_code, answer.error_message, answer.node_id, answer.host, answer.port),
            };
            if passes(code) && Instant::now() < deadline {
                sleep(PAUSE).await;
                continue;
            }
            let api = FindCoordinatorRequest::NAME;
            if let Some(refused) = Refused::from_code(code, message.as_deref()) {
                return Err(Error::Refused { at, api, refused });
            }
            let what = || format!("a usable address: {host:?} and port {port}");
            return match Endpoint::advertised(&host, port) {
                Some(endpoint) => Ok(Broker { id: *id, endpoint }),
                None => Err(Error::Missing { at, api, what: what() }),
            };
        }
    }

    /// Connects to a server and learns its versions; one that is connected already is asked again.
    pub async fn reach(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        self.at(endpoint).await.map(|_| ())
    }

    async fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, Error> {
        use kafka_protocol::messages::TopicName;
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let build = |version| {
            // Version 0 has no word for "none": there an empty list is all.
            let topics = topics.map(|names| names.iter().map(topic).collect());
            let request = MetadataRequest::default().with_allow_auto_topic_creation(version < 4);
            request.with_topics(if version == 0 { Some(topics.unwrap_or_default()) } else { topics })
        };
        let (at, answer) = self.ask_any(build).await?;
        match Refused::from_code(answer.error_code, None) {
            Some(refused) => Err(Error::Refused { at, api: MetadataRequest::NAME, refused }),
            None => Ok(answer),
        }
    }

    /// Asks the coordinator of a group; again, if it says that it is not, or not yet.
    async fn ask_coordinator<R: Call>(
        &mut self,
        group: &str,
        build: impl Fn(i16) -> R,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<(Broker, R::Response), Error> {
        let deadline = Instant::now() + self.settings.timeout;
        loop {
            let broker = self.coordinator(group).await?;
            let answer = self.ask_at(&broker.endpoint, &build).await?;
            if !passes(code(&answer)) || Instant::now() >= deadline {
                return Ok((broker, answer));
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks the controller where the cluster names one, else the bootstrap server.
    async fn ask_controller<R: Call>(
        &mut self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(Endpoint, R::Response), Error> {
        let info = self.info().await?;
        match info.brokers.into_iter().find(|broker| Some(broker.id) == info.controller) {
            Some(broker) => {
                let answer = self.ask_at(&broker.endpoint, build).await?;
                Ok((broker.endpoint, answer))
            }
            None => self.ask_any(build).await,
        }
    }

    /// Asks the bootstrap server.
    async fn ask_any<R: Call>(
        &mut self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(Endpoint, R::Response), Error> {
        let at = self.any().await?.at.clone();
        let answer = self.ask_at(&at, build).await?;
        Ok((at, answer))
    }

    async fn ask_at<R: Call>(
        &mut self,
        at: &Endpoint,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let result = self.at(at).await?.ask(build).await;
        if result.is_err() {
            // It may be in the middle of an answer.
            self.open.retain(|connection| connection.at != *at);
        }
        result
    }

    async fn at(&mut self, at: &Endpoint) -> Result<&mut Connection, Error> {
        let index = match self.open.iter().position(|connection| connection.at == *at) {
            Some(index) => index,
            None => {
                self.open.push(Connection::open(at, &self.settings).await?);
                self.open.len() - 1
            }
        };
        Ok(&mut self.open[index])
    }

    async fn any(&mut self) -> Result<&mut Connection, Error> {
        if self.open.is_empty() {
            let mut errors = Vec::new();
            for at in &self.bootstrap {
                match Connection::open(at, &self.settings).await {
                    Ok(connection) => {
                        self.open.push(connection);
                        break;
                    }
                    Err(error) => errors.push(error),
                }
            }
            if self.open.is_empty() {
                return Err(match errors.pop() {
                    Some(only) if errors.is_empty() => only,
                    last => Error::Bootstrap(errors.into_iter().chain(last).collect()),
                });
            }
        }
        Ok(&mut self.open[0])
    }
}

fn info(answer: &MetadataResponse) -> ClusterInfo {
    let broker = |b: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
        Some(Broker { id: *b.node_id, endpoint: Endpoint::advertised(&b.host, b.port)? })
    };
    ClusterInfo {
        id: answer.cluster_id.as_deref().map(str::to_owned),
        controller: Some(*answer.controller_id).filter(|id| *id >= 0),
        brokers: answer.brokers.iter().filter_map(broker).collect(),
    }
}
