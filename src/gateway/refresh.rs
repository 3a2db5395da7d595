//! The gateway's own question to the cluster, now and then: which brokers there are. It also tells whether any answers.
//!
//! A cluster that wants authentication answers a gateway without an account of its own ApiVersions and no more; then brokers
//! are learned from the answers that clients are given, which is all that those clients need.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Shared;
use crate::client::{self, Cluster, ClusterInfo, Endpoint, Error};

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// The brokers.
    Brokers,
    /// A broker answers, but wants to know who asks, and the gateway has no account.
    NotAuthenticated,
    /// A broker answers, and does not take the gateway's account.
    Refused(String),
    /// No broker answers; why the last one does not.
    Nobody(String),
}

impl Found {
    /// How much it is: of several brokers' answers the best one counts.
    fn rank(&self) -> u8 {
        match self {
            Found::Nobody(_) => 0,
            Found::NotAuthenticated => 1,
            Found::Refused(_) => 2,
            Found::Brokers => 3,
        }
    }
}

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Refresh {
    shared: Arc<Shared>,
    /// The connection of the last time, if it was good.
    cluster: Option<Cluster>,
    last: Option<Found>,
    /// Whether the log has said how clients can prove who they are.
    told_mechanisms: bool,
}

impl Refresh {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cluster: None, last: None, told_mechanisms: false }
    }

    /// Asks for ever.
    pub(super) async fn run(mut self) {
        let interval = Duration::from_millis(self.shared.config.refresh_interval_ms);
        let forget = Duration::from_millis(self.shared.config.forget_brokers_ms);
        loop {
            sleep(interval).await;
            self.ask().await;
            if self.last == Some(Found::Brokers) {
                self.shared.brokers.forget(forget);
            }
        }
    }

    /// Asks the first broker that answers, and says what has changed.
    pub(super) async fn ask(&mut self) {
        let found = self.find().await;
        let shared = &self.shared;
        let answers = !matches!(found, Found::Nobody(_));
        shared.answers.send_replace(answers);
        shared.gateway_metrics.upstream_answers.set(i64::from(answers));
        shared.gateway_metrics.brokers.set(i64::try_from(shared.brokers.all().len()).unwrap_or(i64::MAX));
        if self.last.as_ref() != Some(&found) {
            self.tell(&found);
        }
        self.last = Some(found);
        if answers && !self.told_mechanisms {
            self.tell_mechanisms().await;
        }
    }

    /// Says once how the cluster wants clients to prove who they are, and what of it cannot pass.
    async fn tell_mechanisms(&mut self) {
        for at in self.shared.endpoints() {
            let patience = Duration::from_millis(self.shared.config.connect_timeout_ms);
            let asked = timeout(2 * patience, client::mechanisms(&at, &self.shared.asking)).await;
            let Ok(Ok(offered)) = asked else { continue };
            self.told_mechanisms = true;
            let Some(mut offered) = offered else { return };
            // A peer's list.
            offered.truncate(20);
            let all = offered.iter().map(|name| format!("{name:.50}")).collect::<Vec<_>>().join(", ");
            tracing::info!("clients prove who they are to the cluster, through the gateway, by {all}");
            if offered.iter().any(|name| name == "GSSAPI") {
                tracing::warn!(
                    "GSSAPI (Kerberos) does not pass: a ticket is for one host by its name, and clients ask for the gateway's (unless the \
                     brokers have keys for kafka/ and that host too)"
                );
            }
            return;
        }
    }

    fn tell(&self, found: &Found) {
        match found {
            Found::Brokers if self.last.is_none() => {}
            Found::Brokers => tracing::info!("the cluster answers"),
            Found::NotAuthenticated => tracing::info!(
                "the cluster wants authentication, and the gateway has no account ([gateway.sasl]): its brokers are learned from what \
                 clients are answered"
            ),
            Found::Refused(why) => tracing::error!(
                "the cluster does not take the gateway's account ([gateway.sasl]); its brokers are learned from what clients are \
                 answered: {why}"
            ),
            // Each try has another last broker, or another word for it.
            Found::Nobody(_) if matches!(self.last, Some(Found::Nobody(_))) => {}
            Found::Nobody(why) => {
                tracing::warn!(upstream = self.shared.config.upstream, "no broker answers yet: {why}");
            }
        }
    }

    async fn find(&mut self) -> Found {
        // By several connections and answers.
        let patience = 2 * Duration::from_millis(self.shared.config.connect_timeout_ms);
        if let Some(mut cluster) = self.cluster.take()
            && let Ok(Ok(info)) = timeout(patience, cluster.info()).await
        {
            return self.learn(cluster, &info);
        }
        let mut found = Found::Nobody("no address is known".to_owned());
        let endpoints: Vec<Endpoint> = self.shared.endpoints().collect();
        for at in endpoints {
            let asked = timeout(patience, async {
                let mut cluster =
                    Cluster::connect(std::slice::from_ref(&at), self.shared.asking.clone()).await?;
                let info = cluster.info().await?;
                Ok::<_, Error>((cluster, info))
            });
            let other = match asked.await {
                Ok(Ok((cluster, info))) => return self.learn(cluster, &info),
                Ok(Err(error)) => self.made_of(&error),
                Err(_) => Found::Nobody(format!("{at}: not answered in time")),
            };
            tracing::debug!(%at, "brokers were not told: {other:?}");
            // The others would not take the password either, and may lock the account.
            let is_last = matches!(other, Found::Refused(_));
            if other.rank() >= found.rank() {
                found = other;
            }
            if is_last {
                break;
            }
        }
        found
    }

    fn learn(&mut self, cluster: Cluster, info: &ClusterInfo) -> Found {
        for broker in &info.brokers {
            let Endpoint { host, port } = &broker.endpoint;
            self.shared.brokers.learn(broker.id, host, i32::from(*port));
        }
        self.cluster = Some(cluster);
        Found::Brokers
    }

    fn made_of(&self, error: &Error) -> Found {
        match error {
            // Versions were told, so it is this that ends the connection.
            Error::Closed { api: "Metadata", .. } if self.shared.asking.sasl.is_none() => {
                Found::NotAuthenticated
            }
            error if error.is_about_the_account() => Found::Refused(error.in_full()),
            error => Found::Nobody(error.in_full()),
        }
    }
}
