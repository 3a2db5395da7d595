//! Commits and refusals by tenant. Tenants are configured, so there are few; groups and streams are never labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::TenantLabels;

/// What became of a committed partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitResult {
    /// First, forward, or the same offset with something new.
    Stored,
    /// The same again.
    Unchanged,
    /// Negative where there was nothing.
    Nothing,
    /// Back, excused by a newer leader epoch.
    Excused,
    /// Back, stored because the guard only observes: it would have been refused.
    Observed,
    /// Back, stored because the guard is off.
    Unguarded,
    /// Back, answered with success, not stored.
    Clamped,
    /// Back, refused.
    Regression,
    /// Beyond the end, stored because the guard only observes: it would have been refused.
    BeyondObserved,
    /// Beyond the end, answered with success, not stored.
    BeyondClamped,
    /// Beyond the end, refused.
    BeyondEnd,
    /// A limit of the tenant.
    Limit,
    /// A partition or a stream that cannot be.
    UnknownPartition,
    /// Its metadata is too long.
    MetadataTooLarge,
    /// It claims membership of a group that has no such member.
    NotAMember,
    /// Barred by the cluster behind a gateway: not authorized, or not to be asked.
    Barred,
    /// Put off for want of free space.
    NoSpace,
    /// The store has failed.
    Failed,
}

impl CommitResult {
    const ALL: [Self; 18] = [
        Self::Stored,
        Self::Unchanged,
        Self::Nothing,
        Self::Excused,
        Self::Observed,
        Self::Unguarded,
        Self::Clamped,
        Self::Regression,
        Self::BeyondObserved,
        Self::BeyondClamped,
        Self::BeyondEnd,
        Self::Limit,
        Self::UnknownPartition,
        Self::MetadataTooLarge,
        Self::NotAMember,
        Self::Barred,
        Self::NoSpace,
        Self::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Unchanged => "unchanged",
            Self::Nothing => "nothing",
            Self::Excused => "excused",
            Self::Observed | Self::BeyondObserved => "observed",
            Self::Unguarded => "unguarded",
            Self::Clamped | Self::BeyondClamped => "clamped",
            Self::Regression => "regression",
            Self::BeyondEnd => "beyond_end",
            Self::Limit => "limit",
            Self::UnknownPartition => "unknown_partition",
            Self::MetadataTooLarge => "metadata_too_large",
            Self::NotAMember => "not_a_member",
            Self::Barred => "barred",
            Self::NoSpace => "no_space",
            Self::Failed => "failed",
        }
    }

    /// Kind and mode, if it is a refusal, or would be one but for the guard's mode. Kinds that no mode softens are always
    /// refused. What the server could not do for itself is none.
    const fn refusal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Regression => Some(("regression", "reject")),
            Self::Clamped => Some(("regression", "clamp")),
            Self::Observed => Some(("regression", "observe")),
            Self::BeyondEnd => Some(("beyond_end", "reject")),
            Self::BeyondClamped => Some(("beyond_end", "clamp")),
            Self::BeyondObserved => Some(("beyond_end", "observe")),
            Self::Limit | Self::UnknownPartition | Self::MetadataTooLarge | Self::NotAMember => {
                Some((self.as_str(), "always"))
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitLabels {
    tenant: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    tenant: String,
    kind: &'static str,
    mode: &'static str,
}

#[derive(Debug)]
pub(super) struct Tenants {
    commits: Family<CommitLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    epoch_disorder: Family<TenantLabels, Counter>,
    lost: Family<TenantLabels, Counter>,
}

impl Tenants {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let commits = Family::default();
        registry.register("commits", "Partitions committed, by what became of them", commits.clone());
        let refusals = Family::default();
        let help = "Partitions refused, by kind; regressions and commits beyond the end by the guard's mode too: \
                    reject, clamp (told that all is well), observe (stored: it would have been refused)";
        registry.register("refusals", help, refusals.clone());
        let epoch_disorder = Family::default();
        let help = "Accepted commits with a leader epoch older than one accepted before";
        registry.register("epoch_disorder", help, epoch_disorder.clone());
        let lost = Family::default();
        let help = "Records evicted before a group had committed them, counted when it committed beyond them";
        registry.register("lost_records", help, lost.clone());
        Self { commits, refusals, epoch_disorder, lost }
    }

    pub(super) fn meter(&self, tenant: &str) -> TenantMeter {
        let own = || tenant.to_owned();
        let refused =
            |(kind, mode)| self.refusals.get_or_create(&RefusalLabels { tenant: own(), kind, mode }).clone();
        let counted = |result: CommitResult| {
            let labels = CommitLabels { tenant: own(), result: result.as_str() };
            (self.commits.get_or_create(&labels).clone(), result.refusal().map(refused))
        };
        let epoch_disorder = self.epoch_disorder.get_or_create(&TenantLabels { tenant: own() }).clone();
        let lost = self.lost.get_or_create(&TenantLabels { tenant: own() }).clone();
        TenantMeter { results: CommitResult::ALL.map(counted), epoch_disorder, lost }
    }
}

/// Counts what becomes of one tenant's commits; every counter is there from the start, at 0.
#[derive(Debug)]
pub struct TenantMeter {
    /// By result: how many, and as refusals if it is one.
    results: [(Counter, Option<Counter>); CommitResult::ALL.len()],
    epoch_disorder: Counter,
    lost: Counter,
}

impl TenantMeter {
    /// Counts so many partitions.
    pub fn commits(&self, result: CommitResult, by: usize) {
        // In the order of their declaration, as a test sees to.
        if let Some((commits, refusals)) = self.results.get(result as usize) {
            commits.inc_by(by as u64);
            if let Some(refusals) = refusals {
                refusals.inc_by(by as u64);
            }
        }
    }

    /// Counts records that a group has lost.
    pub fn lost(&self, records: u64) {
        self.lost.inc_by(records);
    }

    /// Counts an accepted commit whose leader epoch is older than one accepted before.
    pub fn epoch_disorder(&self) {
        self.epoch_disorder.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_counter() {
        for (index, result) in CommitResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, index, "{result:?}");
        }
        let metrics = super::super::Metrics::new();
        let meter = metrics.tenant("t");
        meter.commits(CommitResult::Observed, 2);
        meter.commits(CommitResult::Failed, 3);
        let text = metrics.text();
        for line in [
            "offsetd_commits_total{tenant=\"t\",result=\"observed\"} 2",
            "offsetd_refusals_total{tenant=\"t\",kind=\"regression\",mode=\"observe\"} 2",
            "offsetd_commits_total{tenant=\"t\",result=\"failed\"} 3",
            "offsetd_refusals_total{tenant=\"t\",kind=\"limit\",mode=\"always\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}
