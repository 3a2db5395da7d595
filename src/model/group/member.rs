//! The members of a group and what is counted over them (Kafka: `ClassicGroupMember`, and the maps of `ClassicGroup`).
//!
//! Members stand in the order in which they joined; wherever Kafka takes any of a hash map, we take the first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::message::{Protocol, Ticket};

/// What a member costs besides its strings and blobs: nodes of maps, timers, counters. An estimate on the high side.
const OVERHEAD_BYTES: usize = 512;

/// A member id no one else has: the static name or the client's id, a dash, and what the caller drew
/// (Kafka: `ClassicGroup.generateMemberId`).
pub fn member_id(client_id: &str, instance_id: Option<&str>, unique: &str) -> Arc<str> {
    format!("{}-{unique}", instance_id.unwrap_or(client_id)).into()
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: u32,
    pub(super) session_timeout_ms: u32,
    /// Never had a join answered: its client does not know its id or does not heartbeat yet.
    pub(super) is_new: bool,
    pub(super) assignment: Arc<[u8]>,
    protocols: Arc<[Protocol]>,
    join: Option<Ticket>,
    sync: Option<Ticket>,
    order: u64,
}

impl Member {
    pub(super) fn new(
        id: Arc<str>,
        instance_id: Option<Arc<str>>,
        (client_id, client_host): (Arc<str>, Arc<str>),
        (session_timeout_ms, rebalance_timeout_ms): (u32, u32),
        protocols: Arc<[Protocol]>,
    ) -> Self {
        Self {
            id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            is_new: false,
            assignment: Arc::default(),
            protocols,
            join: None,
            sync: None,
            order: 0,
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn protocols(&self) -> &Arc<[Protocol]> {
        &self.protocols
    }

    /// Its metadata for a protocol, if it supports it.
    pub(super) fn metadata(&self, protocol: &str) -> Option<&Arc<[u8]>> {
        self.protocols.iter().find(|p| &*p.name == protocol).map(|p| &p.metadata)
    }

    pub(super) fn awaits_join(&self) -> bool {
        self.join.is_some()
    }

    pub(super) fn awaits_sync(&self) -> bool {
        self.sync.is_some()
    }

    /// Whether a parked request stands for its heartbeats. Not so for a new member: a client that gave up would never
    /// be noticed (Kafka: `ClassicGroupMember.hasSatisfiedHeartbeat`).
    pub(super) fn satisfies_heartbeat(&self) -> bool {
        !self.is_new && (self.awaits_join() || self.awaits_sync())
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = self.id.len()
            + self.client_id.len()
            + self.client_host.len()
            + self.instance_id.as_ref().map_or(0, |i| i.len());
        OVERHEAD_BYTES + texts + bytes_of(&self.protocols) + self.assignment.len()
    }
}

/// What a list of protocols takes.
pub(super) fn bytes_of(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|p| p.name.len() + p.metadata.len()).sum()
}

/// Ids that were given to clients which have not come back with them (Kafka: `pendingJoinMembers`).
#[derive(Debug, Default)]
pub(super) struct Pending {
    ids: BTreeSet<Arc<str>>,
    bytes: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ids.iter()
    }

    /// Bytes held: a client's id may be as long as a request's string.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn bytes_of(&self, id: &str) -> usize {
        if self.contains(id) { OVERHEAD_BYTES + id.len() } else { 0 }
    }

    pub(super) fn add(&mut self, id: Arc<str>) {
        self.remove(&id);
        self.bytes += OVERHEAD_BYTES + id.len();
        self.ids.insert(id);
    }

    /// False if it was not there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.bytes -= self.bytes_of(id);
        self.ids.remove(id)
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    in_order: BTreeMap<u64, Arc<str>>,
    by_instance: BTreeMap<Arc<str>, Arc<str>>,
    /// How many members support a protocol; none that nobody supports.
    supporters: BTreeMap<Arc<str>, usize>,
    awaiting_join: usize,
    awaiting_sync: usize,
    bytes: usize,
    next_order: u64,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// The id registered for a static name.
    pub(super) fn id_of(&self, instance: &str) -> Option<&Arc<str>> {
        self.by_instance.get(instance)
    }

    /// All, the first that joined first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.in_order.values().map(|id| &self.by_id[id])
    }

    /// The ids of all, in order, for walks that change members.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.in_order.values().cloned().collect()
    }

    pub(super) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn awaiting_sync(&self) -> usize {
        self.awaiting_sync
    }

    pub(super) fn static_count(&self) -> usize {
        self.by_instance.len()
    }

    /// Bytes held by all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes held by one; 0 if there is none.
    pub(super) fn bytes_of(&self, id: &str) -> usize {
        self.get(id).map_or(0, Member::bytes)
    }

    /// True if all members support the protocol (Kafka: a count in `supportedProtocols` equal to the size).
    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.len()
    }

    /// The longest any member may take to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> u32 {
        self.by_id.values().map(|m| m.rebalance_timeout_ms).max().unwrap_or(0)
    }

    pub(super) fn add(&mut self, mut member: Member) {
        assert!(!self.contains(&member.id), "member {} is there already", member.id);
        if let Some(instance) = &member.instance_id {
            let old = self.by_instance.insert(instance.clone(), member.id.clone());
            assert!(old.is_none(), "static member {instance} is there already");
        }
        member.order = self.next_order;
        self.next_order += 1;
        self.insert(member);
    }

    fn insert(&mut self, member: Member) {
        self.bytes += member.bytes();
        self.awaiting_join += usize::from(member.awaits_join());
        self.awaiting_sync += usize::from(member.awaits_sync());
        self.support(&member.protocols);
        self.in_order.insert(member.order, member.id.clone());
        self.by_id.insert(member.id.clone(), member);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        self.in_order.remove(&member.order);
        if let Some(instance) = &member.instance_id {
            self.by_instance.remove(instance);
        }
        self.withdraw(&member.protocols);
        self.awaiting_join -= usize::from(member.awaits_join());
        self.awaiting_sync -= usize::from(member.awaits_sync());
        self.bytes -= member.bytes();
        Some(member)
    }

    /// Gives a static member another id; it keeps its place, and the old one's parked requests are handed back.
    pub(super) fn replace(&mut self, old: &str, new: Arc<str>) -> (Option<Ticket>, Option<Ticket>) {
        let mut member = self.remove(old).expect("the member is there");
        let parked = (member.join.take(), member.sync.take());
        let instance = member.instance_id.clone().expect("the member is static");
        self.by_instance.insert(instance, new.clone());
        (member.id, member.is_new) = (new, false);
        self.insert(member);
        parked
    }

    /// Changes what a join may change.
    pub(super) fn update(
        &mut self,
        id: &str,
        protocols: Arc<[Protocol]>,
        (session_timeout_ms, rebalance_timeout_ms): (u32, u32),
    ) {
        let member = self.by_id.get_mut(id).expect("the member is there");
        self.bytes -= member.bytes();
        let old = std::mem::replace(&mut member.protocols, protocols.clone());
        member.session_timeout_ms = session_timeout_ms;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        self.bytes += member.bytes();
        self.withdraw(&old);
        self.support(&protocols);
    }

    pub(super) fn assign(&mut self, id: &str, assignment: Arc<[u8]>) {
        let member = self.by_id.get_mut(id).expect("the member is there");
        self.bytes -= member.assignment.len();
        self.bytes += assignment.len();
        member.assignment = assignment;
    }

    pub(super) fn set_new(&mut self, id: &str, is_new: bool) {
        self.by_id.get_mut(id).expect("the member is there").is_new = is_new;
    }

    /// Parks a join and hands back the one that it takes the place of.
    pub(super) fn park_join(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        let member = self.by_id.get_mut(id).expect("the member is there");
        let old = member.join.replace(ticket);
        self.awaiting_join += usize::from(old.is_none());
        old
    }

    pub(super) fn take_join(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.by_id.get_mut(id)?.join.take();
        self.awaiting_join -= usize::from(ticket.is_some());
        ticket
    }

    /// Parks a sync and hands back the one that it takes the place of.
    pub(super) fn park_sync(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        let old = self.by_id.get_mut(id).expect("the member is there").sync.replace(ticket);
        self.awaiting_sync += usize::from(old.is_none());
        old
    }

    pub(super) fn take_sync(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.by_id.get_mut(id)?.sync.take();
        self.awaiting_sync -= usize::from(ticket.is_some());
        ticket
    }

    fn support(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn withdraw(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            let count = self.supporters.get_mut(&protocol.name).expect("was counted");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }

    /// What the counters say against what is there.
    pub(super) fn check(&self) {
        assert_eq!(self.bytes, self.by_id.values().map(Member::bytes).sum::<usize>());
        assert_eq!(self.awaiting_join, self.by_id.values().filter(|m| m.awaits_join()).count());
        assert_eq!(self.awaiting_sync, self.by_id.values().filter(|m| m.awaits_sync()).count());
        assert_eq!(self.in_order.len(), self.by_id.len());
        assert_eq!(self.by_instance.len(), self.by_id.values().filter(|m| m.is_static()).count());
        for (instance, id) in &self.by_instance {
            assert_eq!(self.by_id[id].instance_id.as_ref(), Some(instance));
        }
        let mut supporters = BTreeMap::<Arc<str>, usize>::new();
        for protocol in self.by_id.values().flat_map(|m| m.protocols.iter()) {
            *supporters.entry(protocol.name.clone()).or_default() += 1;
        }
        assert_eq!(self.supporters, supporters);
    }
}
