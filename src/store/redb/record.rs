//! What the journal says: facts, each of which changes the table in one way (or, a refusal, in none).
//!
//! Groups and streams are told by number; the record that introduces a number carries its name. Numbers are never
//! used twice, so a deleted and recreated stream is another stream: its incarnation is its number. Records are
//! postcard: a variant's place in the enum is its tag, so variants are only ever added at the end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::bounds::{Bounds, Lost, Records};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::Position;
use crate::model::op::{Actor, CommitKind};

/// A group's number.
pub(super) type GroupNo = u64;
/// A stream's number: its incarnation.
pub(super) type StreamNo = u64;
/// A position's key.
pub(super) type Key = (GroupNo, StreamNo, Partition);

/// Version byte of a journal row.
pub(super) const ROW_VERSION: u8 = 1;

/// One row of the journal: what one group commit decided, or a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// When it was decided.
    pub(super) at_ms: i64,
    /// Who acted; records point into this list.
    pub(super) actors: Vec<Arc<Actor>>,
    /// What was decided, in order.
    pub(super) records: Vec<Record>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Record {
    Tenant {
        id: TenantId,
        name: TenantName,
        identity: [u8; 16],
    },
    Group {
        no: GroupNo,
        tenant: TenantId,
        name: GroupName,
    },
    Stream {
        no: StreamNo,
        tenant: TenantId,
        name: StreamName,
        topic_id: [u8; 16],
        partitions: i32,
    },
    Commit {
        key: Key,
        actor: u32,
        from: Option<i64>,
        kind: CommitKind,
        position: Position,
    },
    Refused {
        key: Key,
        actor: u32,
        stored: i64,
        proposed: i64,
        clamped: bool,
        also: u64,
    },
    GroupDeleted {
        no: GroupNo,
        tenant: TenantId,
        name: GroupName,
        actor: u32,
        positions: u64,
    },
    Baseline {
        key: Key,
        actor: u32,
        evicted: u64,
    },
    OffsetDeleted {
        key: Key,
        actor: u32,
        from: i64,
    },
    StreamCreated {
        no: StreamNo,
        tenant: TenantId,
        name: StreamName,
        topic_id: [u8; 16],
        partitions: i32,
        actor: u32,
    },
    StreamGrown {
        no: StreamNo,
        actor: u32,
        partitions: i32,
    },
    /// `forget`: an older deleted stream whose name is no longer remembered, to bound what is.
    StreamDeleted {
        no: StreamNo,
        tenant: TenantId,
        name: StreamName,
        actor: u32,
        positions: u64,
        forget: Option<StreamNo>,
    },
    Expired {
        key: Key,
        actor: u32,
        from: i64,
    },
    Membership {
        no: GroupNo,
        snapshot: Arc<Snapshot>,
    },
    /// Follows the record that makes a stream whose records are not elsewhere.
    StreamRecords {
        no: StreamNo,
        records: Records,
    },
    Bounds {
        stream: StreamNo,
        partition: Partition,
        bounds: Bounds,
    },
    BoundsLowered {
        stream: StreamNo,
        partition: Partition,
        from: Bounds,
        to: Bounds,
        actor: u32,
    },
    /// `next`: the first that nobody has been given.
    ProducerIds {
        next: i64,
    },
    /// What a group at `position` has lost by now: `records` of it are new.
    Lost {
        key: Key,
        actor: u32,
        position: i64,
        records: u64,
        lost: Lost,
    },
    /// Names the group: it may have no number yet.
    BeyondEnd {
        group: GroupName,
        stream: StreamNo,
        partition: Partition,
        actor: u32,
        end: i64,
        proposed: i64,
        clamped: bool,
        also: u64,
    },
    /// The stream is an incarnation of a cluster's topic: a new one, or, where the number is known, one that had an id of
    /// our own until now.
    StreamAdopted {
        no: StreamNo,
        tenant: TenantId,
        name: StreamName,
        topic_id: [u8; 16],
        partitions: i32,
        actor: u32,
    },
}

impl Record {
    /// The place of the acting actor, where somebody acts.
    pub(super) fn actor_mut(&mut self) -> Option<&mut u32> {
        match self {
            Record::Tenant { .. }
            | Record::Group { .. }
            | Record::Stream { .. }
            | Record::Membership { .. }
            | Record::StreamRecords { .. }
            | Record::Bounds { .. }
            | Record::ProducerIds { .. } => None,
            Record::Commit { actor, .. }
            | Record::Refused { actor, .. }
            | Record::GroupDeleted { actor, .. }
            | Record::Baseline { actor, .. }
            | Record::OffsetDeleted { actor, .. }
            | Record::StreamCreated { actor, .. }
            | Record::StreamGrown { actor, .. }
            | Record::StreamDeleted { actor, .. }
            | Record::BoundsLowered { actor, .. }
            | Record::Lost { actor, .. }
            | Record::BeyondEnd { actor, .. }
            | Record::StreamAdopted { actor, .. }
            | Record::Expired { actor, .. } => Some(actor),
        }
    }

    /// About how many bytes it takes in a row: close enough to split rows by.
    pub(super) fn size_hint(&self) -> usize {
        match self {
            Record::Tenant { name, .. } => 24 + name.as_str().len(),
            Record::Group { name, .. } | Record::GroupDeleted { name, .. } => 16 + name.as_str().len(),
            Record::Stream { name, .. }
            | Record::StreamCreated { name, .. }
            | Record::StreamAdopted { name, .. }
            | Record::StreamDeleted { name, .. } => 40 + name.as_str().len(),
            Record::Commit { position, .. } => 32 + position.committed.metadata.len(),
            Record::Membership { snapshot, .. } => 16 + snapshot.size_hint(),
            Record::Refused { .. }
            | Record::Baseline { .. }
            | Record::OffsetDeleted { .. }
            | Record::StreamGrown { .. }
            | Record::StreamRecords { .. }
            | Record::ProducerIds { .. }
            | Record::Expired { .. } => 24,
            Record::Bounds { .. } => 32,
            Record::BoundsLowered { .. } | Record::Lost { .. } => 56,
            Record::BeyondEnd { group, .. } => 48 + group.as_str().len(),
        }
    }

    /// Whether it is kept in the history of positions once it is folded: who is a member and where a log ends change all the
    /// time, and must not push that out.
    pub(super) fn is_history(&self) -> bool {
        !matches!(
            self,
            Record::Membership { .. }
                | Record::Bounds { .. }
                | Record::ProducerIds { .. }
                | Record::Lost { records: 0, .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::group::{MemberSnapshot, Phase, Protocol};
    use crate::model::offset::Committed;
    use crate::store::codec;

    fn membership() -> Snapshot {
        let protocol = Protocol { name: "range".into(), metadata: [1, 2].into() };
        let member = MemberSnapshot {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "h".into(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            protocols: [protocol].into(),
            assignment: [3, 4].into(),
        };
        Snapshot {
            generation: 7,
            phase: Phase::Stable,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: Some("m".into()),
            members: vec![member],
        }
    }

    /// The bytes below were written by version 1 of the format. If this fails, old journals cannot be read: make a
    /// new row version instead.
    #[test]
    fn rows_of_format_1_stay_readable() {
        let actor =
            Actor { principal: "p".into(), client_id: "c".into(), host: "h".into(), member_id: "m".into() };
        let committed =
            Committed { offset: 100, leader_epoch: 5, metadata: "md".into(), committed_at_ms: 1_000 };
        let row = Row {
            at_ms: 1_000,
            actors: vec![Arc::new(actor)],
            records: vec![
                Record::Tenant { id: TenantId(0), name: TenantName::new("t").unwrap(), identity: [7; 16] },
                Record::Group { no: 1, tenant: TenantId(0), name: GroupName::new("g").unwrap() },
                Record::Stream {
                    no: 2,
                    tenant: TenantId(0),
                    name: StreamName::new("s").unwrap(),
                    topic_id: [9; 16],
                    partitions: 3,
                },
                Record::Commit {
                    key: (1, 2, 0),
                    actor: 0,
                    from: Some(-1),
                    kind: CommitKind::Excused,
                    position: Position { committed, high_epoch: 6 },
                },
                Record::Refused {
                    key: (1, 2, 0),
                    actor: 0,
                    stored: 100,
                    proposed: 99,
                    clamped: true,
                    also: 300,
                },
                Record::GroupDeleted {
                    no: 1,
                    tenant: TenantId(0),
                    name: GroupName::new("g").unwrap(),
                    actor: 0,
                    positions: 1,
                },
                Record::Baseline { key: (1, 2, 0), actor: 0, evicted: 12 },
                Record::OffsetDeleted { key: (1, 2, 0), actor: 0, from: 100 },
                Record::StreamCreated {
                    no: 3,
                    tenant: TenantId(0),
                    name: StreamName::new("u").unwrap(),
                    topic_id: [8; 16],
                    partitions: 4,
                    actor: 0,
                },
                Record::StreamGrown { no: 3, actor: 0, partitions: 5 },
                Record::StreamDeleted {
                    no: 3,
                    tenant: TenantId(0),
                    name: StreamName::new("u").unwrap(),
                    actor: 0,
                    positions: 6,
                    forget: Some(1),
                },
                Record::Expired { key: (1, 2, 0), actor: 0, from: 100 },
                Record::Membership { no: 1, snapshot: Arc::new(membership()) },
            ],
        };
        let bytes = codec::seal(ROW_VERSION, &42u64.to_be_bytes(), &row);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("testdata/journal_row_v1.hex").trim());
        assert_eq!(codec::open::<Row>(ROW_VERSION, &42u64.to_be_bytes(), &bytes), Ok(row));
    }

    /// The same for the kind that came with gateways that know their cluster's topics.
    #[test]
    fn rows_with_adopted_streams_stay_readable() {
        let (tenant, name) = (TenantId(1), StreamName::new("s").unwrap());
        let adopted =
            Record::StreamAdopted { no: 4, tenant, name, topic_id: [9; 16], partitions: 3, actor: 0 };
        let row = Row { at_ms: 3_000, actors: vec![Arc::new(Actor::named("c"))], records: vec![adopted] };
        let bytes = codec::seal(ROW_VERSION, &44u64.to_be_bytes(), &row);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("testdata/journal_row_v1_adopted.hex").trim());
        assert_eq!(codec::open::<Row>(ROW_VERSION, &44u64.to_be_bytes(), &bytes), Ok(row));
    }

    /// The same for the kinds that came with logs in memory.
    #[test]
    fn rows_with_bounds_and_losses_stay_readable() {
        let bounds = |start, end| Bounds { start, end };
        let (group, actor) = (GroupName::new("g").unwrap(), Actor::named("c"));
        let row = Row {
            at_ms: 2_000,
            actors: vec![Arc::new(actor)],
            records: vec![
                Record::StreamRecords { no: 2, records: Records::Memory },
                Record::Bounds { stream: 2, partition: 1, bounds: bounds(10, 300) },
                Record::BoundsLowered {
                    stream: 2,
                    partition: 1,
                    from: bounds(10, 300),
                    to: bounds(0, 200),
                    actor: 0,
                },
                Record::ProducerIds { next: 1_000 },
                Record::Lost {
                    key: (1, 2, 1),
                    actor: 0,
                    position: 4,
                    records: 6,
                    lost: Lost { accounted: 10, total: 70 },
                },
                Record::BeyondEnd {
                    group,
                    stream: 2,
                    partition: 1,
                    actor: 0,
                    end: 200,
                    proposed: 201,
                    clamped: true,
                    also: 3,
                },
            ],
        };
        let bytes = codec::seal(ROW_VERSION, &43u64.to_be_bytes(), &row);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("testdata/journal_row_v1_bounds.hex").trim());
        assert_eq!(codec::open::<Row>(ROW_VERSION, &43u64.to_be_bytes(), &bytes), Ok(row));
    }
}
