//! Certificates: how long they are good, and what became of new ones.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabels {
    /// The certificate's, as configured.
    file: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

/// What is counted of TLS. Refused handshakes are among the connections refused.
#[derive(Debug, Clone, Default)]
pub struct TlsMetrics {
    expiry: Family<FileLabels, Gauge<f64, AtomicU64>>,
    reloads: Family<ReloadLabels, Counter>,
    /// Handshakes done on listeners.
    pub handshakes: Counter,
}

impl TlsMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "How long a certificate of ours is still good, by its file; below 0 it has expired";
        registry.register_with_unit("tls_certificate_expiry", help, Unit::Seconds, metrics.expiry.clone());
        let help = "Certificate files that had changed and were read anew, by result (ok, failed: the old ones stay)";
        registry.register("tls_reloads", help, metrics.reloads.clone());
        registry.register("tls_handshakes", "TLS handshakes done on listeners", metrics.handshakes.clone());
        metrics
    }

    /// Notes how long a certificate is still good, in seconds.
    pub fn good_for(&self, file: &str, seconds: f64) {
        self.expiry.get_or_create(&FileLabels { file: file.to_owned() }).set(seconds);
    }

    /// Counts files that were read anew: `ok` or `failed`.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }
}
