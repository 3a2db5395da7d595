//! What the gateway counts, by broker and API. No client can make up a label: APIs are those that pass, brokers those that the
//! cluster names, and of those no more than listeners.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::apis::APIS;
use crate::coordinator::quota::Quota;
use crate::metrics::{Counter, GatewayMetrics, Histogram};

/// How often the log says of a broker that it cannot be reached.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Makes meters.
#[derive(Debug, Clone)]
pub(super) struct Meters(pub(super) Arc<GatewayMetrics>);

impl Meters {
    pub(super) fn broker(&self, label: &str) -> Arc<BrokerMeter> {
        let all = &self.0;
        let way =
            |direction| Arc::new(Way { bytes: all.bytes(label, direction), stayed: all.stayed(direction) });
        Arc::new(BrokerMeter {
            label: label.to_owned(),
            all: all.clone(),
            unreachable_lines: Quota::one_in(SAY_EVERY),
            requests: std::iter::repeat_with(OnceLock::new).take(APIS.len()).collect(),
            up: way("up"),
            down: way("down"),
        })
    }
}

/// Counts of one broker.
#[derive(Debug)]
pub(super) struct BrokerMeter {
    label: String,
    all: Arc<GatewayMetrics>,
    /// While a broker is down, its clients try again and again.
    pub(super) unreachable_lines: Quota,
    /// By place in the list of APIs; what is not used is not shown.
    requests: Vec<OnceLock<Counter>>,
    /// To the broker.
    pub(super) up: Arc<Way>,
    /// To the client.
    pub(super) down: Arc<Way>,
}

impl BrokerMeter {
    /// A request of the API at this place in the list.
    pub(super) fn request(&self, index: usize) {
        if let (Some(counter), Some(api)) = (self.requests.get(index), APIS.get(index)) {
            counter.get_or_init(|| self.all.requests(&self.label, api.name)).inc();
        }
    }

    /// A connection that could not be made.
    pub(super) fn unreachable(&self) {
        self.all.unreachable(&self.label).inc();
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    bytes: Counter,
    stayed: Histogram,
}

impl Way {
    pub(super) fn bytes(&self, count: usize) {
        self.bytes.inc_by(count as u64);
    }

    /// How long bytes were here, from the read that brought them to the write that took them.
    pub(super) fn stayed(&self, time: Duration) {
        self.stayed.observe(time.as_secs_f64());
    }
}
