//! The shape of the JSON of `/v1/gaps` and `/v1/bounds`: names stay, more may be added.

use serde::{Deserialize, Serialize};

use crate::model::bounds::{Bounds, Gap};
use crate::model::names::{GroupName, Partition};
use crate::model::seeing::{Gaps, Lag};

/// A place where a group is, and what it has lost there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapView {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: Partition,
    /// Where the group is.
    pub committed: i64,
    /// The offset of the first record that is still there; null where it is not known.
    pub start: Option<i64>,
    /// The offset that the next record gets; null where it is not known.
    pub end: Option<i64>,
    /// How far the group is from the end; null where that is not known.
    pub lag: Option<u64>,
    /// Records lost since the group last committed at or beyond the start, or took notice.
    pub lost_since: u64,
    /// Records lost in all, with these.
    pub lost_total: u64,
}

impl GapView {
    fn new(group: &str, lag: &Lag) -> Self {
        Self {
            group: group.to_owned(),
            stream: lag.stream.as_str().to_owned(),
            partition: lag.partition,
            committed: lag.committed,
            start: lag.bounds.map(|bounds| bounds.start),
            end: lag.bounds.map(|bounds| bounds.end),
            lag: lag.records(),
            lost_since: lag.lost_since,
            lost_total: lag.lost_total,
        }
    }
}

/// The answer of `/v1/gaps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapsView {
    /// The tenant.
    pub tenant: String,
    /// Groups that have lost records they have not left behind yet; of those asked for.
    pub groups: u64,
    /// How many records that is.
    pub lost_since: u64,
    /// Of one group, all its positions (up to the limit); of all, those that have lost most, the most first.
    pub gaps: Vec<GapView>,
}

impl GapsView {
    /// Of one group.
    pub fn of_group(tenant: &str, group: &str, all: &[Lag], limit: usize) -> Self {
        let lost_since = all.iter().fold(0u64, |sum, lag| sum.saturating_add(lag.lost_since));
        Self {
            tenant: tenant.to_owned(),
            groups: u64::from(lost_since > 0),
            lost_since,
            gaps: all.iter().take(limit).map(|lag| GapView::new(group, lag)).collect(),
        }
    }

    /// Of all groups of a tenant.
    pub fn of_all(tenant: &str, gaps: &Gaps) -> Self {
        let of = |(group, gap): &(GroupName, Gap)| {
            let lag = Lag {
                stream: gap.stream.clone(),
                partition: gap.partition,
                committed: gap.committed,
                bounds: Some(Bounds { start: gap.start, end: gap.end }),
                lost_since: gap.lost_since,
                lost_total: gap.lost_total,
            };
            GapView::new(group.as_str(), &lag)
        };
        let (groups, lost_since) = (gaps.groups, gaps.lost_since);
        let tenant = tenant.to_owned();
        Self { tenant, groups, lost_since, gaps: gaps.worst.iter().map(of).collect() }
    }
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionBoundsView {
    /// The partition.
    pub partition: Partition,
    /// The offset of the first record that is still there; null where nobody has said.
    pub start: Option<i64>,
    /// The offset that the next record gets; null where nobody has said.
    pub end: Option<i64>,
}

/// The answer of `/v1/bounds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundsView {
    /// The tenant.
    pub tenant: String,
    /// The stream.
    pub stream: String,
    /// Its partitions; those told, if some were.
    pub partitions: Vec<PartitionBoundsView>,
}

/// What is posted to `/v1/bounds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldBounds {
    /// The tenant; `default` if it is not said.
    pub tenant: Option<String>,
    /// The stream, which is there.
    pub stream: String,
    /// Some of its partitions.
    pub partitions: Vec<ToldPartition>,
}

/// Where a partition begins and ends, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldPartition {
    /// The partition.
    pub partition: Partition,
    /// The offset of the first record that is still there.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
}
