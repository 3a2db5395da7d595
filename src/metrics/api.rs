//! Answers by API, version and code, and how long they took.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Histograms, latency_histogram};

/// The label of an answer without any error.
const NONE: &str = "NONE";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    /// Kafka's name of the API.
    api: &'static str,
    /// The version asked for; -1: an ApiVersions that is not served.
    version: i16,
    /// Kafka's name of the answer's first error, NONE if it has none.
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    api: &'static str,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: &'static str,
}

#[derive(Debug)]
pub(super) struct Apis {
    answers: Family<AnswerLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    latency: Histograms<ApiLabels>,
}

impl Apis {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let answers = Family::default();
        let help = "Requests answered, by API, version and the first error in the answer (NONE: no error)";
        registry.register("requests", help, answers.clone());
        let errors = Family::default();
        let help =
            "Error codes in answers, wherever they stand: one per partition, topic or group that has one";
        registry.register("errors", help, errors.clone());
        let latency: Histograms<ApiLabels> = Family::new_with_constructor(latency_histogram);
        let help = "Time from a whole request to its answer handed to the socket";
        registry.register_with_unit("request", help, Unit::Seconds, latency.clone());
        Self { answers, errors, latency }
    }

    pub(super) fn meter(&self, api: &'static str, version: i16) -> ApiMeter {
        ApiMeter {
            api,
            version,
            fine: OnceLock::new(),
            answers: self.answers.clone(),
            errors: self.errors.clone(),
            latency: OnceLock::new(),
            latencies: self.latency.clone(),
        }
    }
}

/// Counts answers of one version of an API. What is not used is not shown.
#[derive(Debug)]
pub struct ApiMeter {
    api: &'static str,
    version: i16,
    /// Answers without error: all of them, on most days.
    fine: OnceLock<Counter>,
    answers: Family<AnswerLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    latency: OnceLock<Histogram>,
    latencies: Histograms<ApiLabels>,
}

impl ApiMeter {
    /// Counts an answer by the error codes in it, other than 0 and in their order, with how often each is there; `name`
    /// says what Kafka calls them.
    pub fn answered(&self, errors: &[(i16, u64)], name: impl Fn(i16) -> String) {
        let answers = |code: String| {
            let labels = AnswerLabels { api: self.api, version: self.version, code };
            self.answers.get_or_create(&labels).clone()
        };
        let Some((first, _)) = errors.first() else {
            self.fine.get_or_init(|| answers(NONE.to_owned())).inc();
            return;
        };
        answers(name(*first)).inc();
        for (code, times) in errors {
            self.errors.get_or_create(&ErrorLabels { api: self.api, code: name(*code) }).inc_by(*times);
        }
    }

    /// Notes how long a request took, from the last of its bytes to its answer handed to the socket.
    pub fn took(&self, time: Duration) {
        let found = || self.latencies.get_or_create(&ApiLabels { api: self.api }).clone();
        self.latency.get_or_init(found).observe(time.as_secs_f64());
    }
}
