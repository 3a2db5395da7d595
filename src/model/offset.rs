//! THE RULE: when a commit may replace the stored position, and what is stored then.
//!
//! A commit goes back if its offset is lower than the stored one, unless its leader epoch is known and higher than
//! the highest epoch accepted for the key so far: a log that was truncated by a new leader legitimately restarts
//! lower (KIP-320). Where either epoch is unknown, offsets alone decide, as in librdkafka and franz-go. An epoch can
//! excuse a lower offset; it never refuses a higher one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// "No leader epoch": what Kafka writes as -1.
pub const NO_EPOCH: i32 = -1;

/// How long an unchanged commit may by default go without having its new time stored, in milliseconds: an idle
/// auto-committer repeats itself every few seconds, and that must not grow the journal.
pub const UNCHANGED_REFRESH_MS: i64 = 3_600_000;

/// What to do with a commit that would go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Refuse it with an error code. Nothing changes.
    #[default]
    Reject,
    /// Answer success and change nothing: for clients that die of a commit error.
    Clamp,
    /// Store it, and count, log and journal what would have been refused.
    Observe,
    /// Kafka's behaviour: the last commit wins, negative offsets included.
    Off,
}

impl Mode {
    /// The word used in configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Reject => "reject",
            Mode::Clamp => "clamp",
            Mode::Observe => "observe",
            Mode::Off => "off",
        }
    }
}

/// What to do with a commit beyond the end of the records, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeyondEnd {
    /// Store it: what is said of the end may be late, and a forward commit refused is a record processed twice.
    #[default]
    Accept,
    /// It is a fault, as a commit that goes back is one; the [`Mode`] says what becomes of it.
    Refuse,
}

/// What a group has committed on one partition: what OffsetFetch answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch that came with the offset, verbatim; [`NO_EPOCH`] if none.
    pub leader_epoch: i32,
    /// The client's own text, at most 4,096 UTF-16 units by default.
    pub metadata: Arc<str>,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub committed_at_ms: i64,
}

/// A stored position: the committed value and what the rule must remember beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// What is answered to a fetch.
    pub committed: Committed,
    /// The highest leader epoch ever accepted for this key and incarnation; [`NO_EPOCH`] while none was known.
    pub high_epoch: i32,
}

/// What a client asks to have stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The offset to store.
    pub offset: i64,
    /// Its leader epoch, any negative number meaning "unknown".
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: Arc<str>,
}

/// A commit that would go back, with the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Regression {
    /// The offset that stands.
    pub stored: i64,
    /// The offset that was asked for.
    pub proposed: i64,
    /// The highest epoch accepted so far.
    pub high_epoch: i32,
    /// The epoch of the refused commit.
    pub proposed_epoch: i32,
}

/// A commit beyond the end of the records, with the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Beyond {
    /// The offset that the next record gets.
    pub end: i64,
    /// The offset that was asked for.
    pub proposed: i64,
}

/// What is wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It would go back.
    Back(Regression),
    /// It is beyond the end.
    Beyond(Beyond),
}

/// What the rule says of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// First, forward, or the same offset with other metadata or epoch: store it.
    Store,
    /// Lower, but a newer leader epoch explains it: store it.
    StoreExcused(Regression),
    /// At fault, and the mode says store it all the same, and say so.
    StoreObserved(Fault),
    /// Lower, and nobody guards.
    StoreUnguarded(Regression),
    /// The very same commit again, its stored time recent enough: answer success, store nothing.
    Unchanged,
    /// A negative offset where nothing is stored: "nothing", and so it stays.
    Nothing,
    /// At fault: answer success, change nothing.
    Clamp(Fault),
    /// At fault: refuse.
    Refuse(Fault),
}

/// Judges one commit against what is stored (and what is ahead of it in the same batch).
/// `refresh_ms`: how long an unchanged commit may go without having its new time stored ([`UNCHANGED_REFRESH_MS`], or
/// less where offsets expire sooner than that would tell).
pub fn judge(
    current: Option<&Position>,
    proposed: &Proposal,
    mode: Mode,
    now_ms: i64,
    refresh_ms: i64,
) -> Judgement {
    let Some(current) = current else {
        return if proposed.offset < 0 && mode != Mode::Off { Judgement::Nothing } else { Judgement::Store };
    };
    let stored = &current.committed;
    // A negative offset says "nothing": where something is stored that is a way back, whatever the numbers.
    let goes_back = proposed.offset < stored.offset
        || (proposed.offset < 0 && proposed.offset != stored.offset && mode != Mode::Off);
    if !goes_back {
        let same = proposed.offset == stored.offset
            && proposed.leader_epoch == stored.leader_epoch
            && proposed.metadata == stored.metadata;
        // A clock that stepped back makes the age negative: then the time is stored anew as well.
        let age_ms = now_ms.saturating_sub(stored.committed_at_ms);
        let recent = (0..refresh_ms).contains(&age_ms);
        return if same && recent { Judgement::Unchanged } else { Judgement::Store };
    }
    let regression = Regression {
        stored: stored.offset,
        proposed: proposed.offset,
        high_epoch: current.high_epoch,
        proposed_epoch: proposed.leader_epoch,
    };
    if proposed.offset >= 0 && current.high_epoch >= 0 && proposed.leader_epoch > current.high_epoch {
        return Judgement::StoreExcused(regression);
    }
    match mode {
        Mode::Off => Judgement::StoreUnguarded(regression),
        guarded => at_fault(guarded, Fault::Back(regression)),
    }
}

/// Judges one commit as [`judge`] does, and against the end of the records, where `end` says that it is known and counts
/// ([`BeyondEnd::Refuse`]). Only what would move a position forward, or be its first, can be beyond: what stands there stays,
/// and so does a way back.
pub fn judge_within(
    current: Option<&Position>,
    proposed: &Proposal,
    mode: Mode,
    end: Option<i64>,
    now_ms: i64,
    refresh_ms: i64,
) -> Judgement {
    let moves_on = current.is_none_or(|p| proposed.offset > p.committed.offset);
    match end {
        Some(end) if moves_on && proposed.offset > end && mode != Mode::Off => {
            at_fault(mode, Fault::Beyond(Beyond { end, proposed: proposed.offset }))
        }
        _ => judge(current, proposed, mode, now_ms, refresh_ms),
    }
}

fn at_fault(mode: Mode, fault: Fault) -> Judgement {
    match mode {
        Mode::Reject => Judgement::Refuse(fault),
        Mode::Clamp => Judgement::Clamp(fault),
        Mode::Observe | Mode::Off => Judgement::StoreObserved(fault),
    }
}

/// The position after `proposed` has been accepted. `high_epoch` only rises.
pub fn accept(current: Option<&Position>, proposed: &Proposal, now_ms: i64) -> Position {
    let leader_epoch = proposed.leader_epoch;
    let high_epoch = current.map_or(NO_EPOCH, |p| p.high_epoch).max(leader_epoch);
    let committed = Committed {
        offset: proposed.offset,
        leader_epoch,
        metadata: proposed.metadata.clone(),
        committed_at_ms: now_ms,
    };
    Position { committed, high_epoch }
}

/// What stays of a position that expired: a later commit is judged against it as if it were there, but it is no
/// answer to a fetch. Its time is that of no clock, so that a commit of the very same offset is stored, not passed over.
pub fn floor_of(position: &Position) -> Position {
    let committed =
        Committed { metadata: Arc::default(), committed_at_ms: i64::MIN, ..position.committed.clone() };
    Position { committed, high_epoch: position.high_epoch }
}

/// True if an accepted commit brings an epoch older than one already accepted: harmless to the position (an epoch
/// never refuses a higher offset), but a sign of a stale or foreign client, so it is counted.
pub fn epoch_disorder(current: Option<&Position>, proposed: &Proposal) -> bool {
    current.is_some_and(|p| proposed.leader_epoch >= 0 && proposed.leader_epoch < p.high_epoch)
}
