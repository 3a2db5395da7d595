//! What must hold, judged by what clients were told and nothing else: the oracle never looks into the group.

use std::collections::{BTreeMap, BTreeSet};

use offsetd::model::group::{Answer, Joined, Ticket};

/// Who owns a partition: a static member under its name, whatever its id; a dynamic one under its id.
pub(crate) type Owner = String;

#[derive(Debug)]
struct Asked {
    what: &'static str,
    by_ms: u64,
}

#[derive(Debug, Default)]
struct Generation {
    members: Option<BTreeSet<Owner>>,
    parts: BTreeMap<Owner, Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    asked: BTreeMap<Ticket, Asked>,
    generations: BTreeMap<i32, Generation>,
    /// The highest generation that anybody was told of.
    told: i32,
    /// Member ids that bore a static name, the last one last.
    bearers: BTreeMap<String, Vec<String>>,
    /// Members that were told they have left, since the coordinator started.
    left: BTreeSet<String>,
    /// The session timeout of each member.
    sessions: BTreeMap<String, u64>,
    /// Until when a member's session can last, by the last sign that it was known.
    alive_until: BTreeMap<String, u64>,
    /// Generations of commits that are not durable yet.
    commits_under_way: Vec<i32>,
    pub(crate) commits_accepted: u64,
    pub(crate) commits_refused: u64,
    pub(crate) assignments: u64,
}

impl Oracle {
    pub(crate) fn asked(&mut self, ticket: Ticket, what: &'static str, by_ms: u64) {
        self.asked.insert(ticket, Asked { what, by_ms });
    }

    /// Every request is answered once, in time.
    pub(crate) fn answered(&mut self, now_ms: u64, ticket: Ticket) {
        let asked = self.asked.remove(&ticket).expect("answered, but nobody asked");
        assert!(now_ms <= asked.by_ms, "a {} was answered {} ms late", asked.what, now_ms - asked.by_ms);
    }

    pub(crate) fn nobody_waits_too_long(&self, now_ms: u64) {
        for (ticket, asked) in &self.asked {
            assert!(now_ms <= asked.by_ms, "a {} waits since long (ticket {ticket})", asked.what);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// A disk that takes longer gives everybody more time.
    pub(crate) fn extend(&mut self, ms: u64) {
        self.asked.values_mut().for_each(|asked| asked.by_ms += ms);
    }

    /// Who comes back comes back with a whole session. One that left may be back with it.
    pub(crate) fn coordinator_killed(&mut self, now_ms: u64) {
        self.asked.clear();
        self.left.clear();
        self.commits_under_way.clear();
        for (member, until) in &mut self.alive_until {
            *until = now_ms + self.sessions[member];
        }
    }

    pub(crate) fn told(&self) -> i32 {
        self.told
    }

    pub(crate) fn session(&mut self, member: &str, session_ms: u64) {
        self.sessions.insert(member.to_owned(), session_ms);
    }

    /// A member was treated as one.
    pub(crate) fn seen(&mut self, now_ms: u64, member: &str) {
        if let Some(session_ms) = self.sessions.get(member) {
            let until = self.alive_until.entry(member.to_owned()).or_default();
            *until = (*until).max(now_ms + session_ms);
        }
    }

    /// A JoinGroup was answered with a generation.
    pub(crate) fn told_generation(&mut self, member: &str, instance: Option<&str>, joined: &Joined) {
        let number = joined.generation;
        assert!(number >= self.told, "generation {number} was told after {}", self.told);
        self.told = number;
        assert!(number >= 1);
        if let Some(instance) = instance {
            let bearers = self.bearers.entry(instance.to_owned()).or_default();
            if bearers.last().is_none_or(|last| last != member) {
                assert!(!bearers.iter().any(|old| old == member), "{member} was fenced and is back");
                bearers.push(member.to_owned());
            }
        }
        if !joined.members.is_empty() {
            let owner = |m: &offsetd::model::group::JoinedMember| {
                m.instance_id.as_ref().unwrap_or(&m.member_id).to_string()
            };
            let members: BTreeSet<Owner> = joined.members.iter().map(owner).collect();
            let known = self.generations.entry(number).or_default();
            match &known.members {
                Some(before) => assert_eq!(before, &members, "generation {number} was handed out twice"),
                None => known.members = Some(members),
            }
        }
    }

    /// A SyncGroup was answered with partitions.
    pub(crate) fn assigned(&mut self, generation: i32, owner: &Owner, part: &[u8]) {
        self.assignments += 1;
        assert!(generation >= self.told, "an assignment of {generation} after {} was told", self.told);
        for under_way in &self.commits_under_way {
            assert!(
                *under_way >= generation,
                "a commit of {under_way} is not durable, and {generation} is assigned"
            );
        }
        let known = self.generations.entry(generation).or_default();
        for (other, theirs) in &known.parts {
            if other == owner {
                assert_eq!(theirs, part, "{owner} got two assignments in generation {generation}");
            } else {
                let both = part.iter().find(|partition| theirs.contains(partition));
                assert_eq!(both, None, "{owner} and {other} own one partition in generation {generation}");
            }
        }
        known.parts.insert(owner.clone(), part.to_vec());
    }

    pub(crate) fn told_left(&mut self, member: &str) {
        self.left.insert(member.to_owned());
    }

    /// A member's commit was let in.
    pub(crate) fn committed(&mut self, now_ms: u64, member: &str, generation: i32) {
        self.commits_accepted += 1;
        assert!(generation >= self.told, "a commit of {generation} was let in after {} was told", self.told);
        assert!(!self.left.contains(member), "a commit of {member} was let in after it left");
        let names = self.bearers.iter().find(|(_, ids)| ids.iter().any(|id| id == member));
        if let Some((name, ids)) = names {
            assert_eq!(ids.last().map(String::as_str), Some(member), "a fenced member of {name} commits");
        }
        let until = self.alive_until.get(member).copied().unwrap_or(0);
        assert!(now_ms <= until, "a commit of {member} was let in {} ms after its session", now_ms - until);
        self.commits_under_way.push(generation);
    }

    pub(crate) fn commit_durable(&mut self) {
        self.commits_under_way.remove(0);
    }
}

/// What kind of answer belongs to what was asked.
pub(crate) fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Join(_) => "join",
        Answer::Sync(_) => "sync",
        Answer::Heartbeat(_) => "heartbeat",
        Answer::Leave(_) => "leave",
    }
}
