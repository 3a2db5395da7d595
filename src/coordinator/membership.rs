//! The shell round `model::group`: a cell per group that has, or had, members, and requests that wait for their answers.
//! Timers and the journal's word are `turns`.
//!
//! Locks are taken in one order, cell before map and timers, and nothing is awaited under one. A snapshot is queued for
//! the journal, and so is a commit that a group admits, while its cell is locked: journal order is the group's order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, oneshot};

use super::cell::{Cell, Inner};
use super::story;
use super::tally::{Counted, Tally};
use super::turns::Heard;
use crate::embed::OffsetStore;
use crate::metrics::Metrics;
use crate::model::group::{
    self, Answer, BadSnapshot, Description, Event, Group, Input, JoinAnswer, JoinRequest, MemberClaim,
    Output, Settings, Snapshot, State,
};
use crate::model::names::{GroupName, TenantId};
use crate::model::refusal::Refusal;
use crate::store::StoreError;

pub use super::cell::{Lost, Waiting};

/// Every group that has members, had some, or waits for the first.
#[derive(Debug)]
pub struct Memberships {
    pub(super) offsets: OffsetStore,
    settings: Arc<Settings>,
    pub(super) cells: RwLock<HashMap<TenantId, HashMap<GroupName, Arc<Cell>>>>,
    pub(super) timers: Mutex<BTreeMap<(u64, u64), Arc<Cell>>>,
    pub(super) sooner: Notify,
    pub(super) heard: mpsc::UnboundedSender<Heard>,
    pub(super) hears: Mutex<Option<mpsc::UnboundedReceiver<Heard>>>,
    next: AtomicU64,
    tallies: RwLock<HashMap<TenantId, Arc<Tally>>>,
    metrics: Arc<Metrics>,
    max_tenant_bytes: usize,
    started: Instant,
}

impl Memberships {
    /// Those that the store has kept go on where they were; their members' sessions begin anew.
    /// `max_tenant_bytes`: what the members of all groups of a tenant may hold.
    pub fn restore(
        offsets: OffsetStore,
        settings: Settings,
        max_tenant_bytes: usize,
        metrics: Arc<Metrics>,
        now_ms: i64,
    ) -> Result<Arc<Self>, StoreError> {
        #[allow(
            clippy::disallowed_methods,
            reason = "one word per snapshot, each of which had a place in a bounded queue"
        )]
        let (heard, hears) = mpsc::unbounded_channel();
        let this = Arc::new(Self {
            settings: Arc::new(settings),
            cells: RwLock::default(),
            timers: Mutex::default(),
            sooner: Notify::new(),
            heard,
            hears: Mutex::new(Some(hears)),
            next: AtomicU64::new(1),
            tallies: RwLock::default(),
            metrics,
            max_tenant_bytes,
            started: Instant::now(),
            offsets,
        });
        // Metrics are there from the start.
        for (tenant, _) in this.offsets.store().tenants()? {
            this.tally(tenant);
        }
        for (tenant, name, snapshot) in this.offsets.store().memberships()? {
            let mut out = Vec::new();
            let kept = Snapshot::clone(&snapshot);
            let empty_since_ms = snapshot.empty_since_ms().unwrap_or(now_ms);
            let group = Group::restore(this.settings.clone(), kept, this.now_ms(), &mut out);
            let group = group.map_err(|error| bad(&name, error))?;
            let cell = this.cell(tenant, &name, group, empty_since_ms);
            this.settle(&cell, &mut cell.lock(), out, now_ms);
        }
        Ok(this)
    }

    /// Milliseconds since this server began; never set back.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is counted of a tenant's groups.
    fn tally(&self, tenant: TenantId) -> Arc<Tally> {
        let known = self.tallies.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        known.unwrap_or_else(|| {
            // Once a tenant. One that the store does not know any more, since it is closed, is told by number.
            let tenants = self.offsets.store().tenants().unwrap_or_default();
            let named = tenants.into_iter().find(|(id, _)| *id == tenant);
            let name = named.map_or_else(|| tenant.0.to_string(), |(_, name)| name.as_str().to_owned());
            let mut tallies = self.tallies.write().unwrap_or_else(PoisonError::into_inner);
            let tally = || Arc::new(Tally::new(name.clone(), self.metrics.groups(&name)));
            tallies.entry(tenant).or_insert_with(tally).clone()
        })
    }

    fn cell(&self, tenant: TenantId, name: &GroupName, group: Group, empty_since_ms: i64) -> Arc<Cell> {
        let inner = Inner {
            group,
            waiting: HashMap::new(),
            scheduled: None,
            empty_since_ms,
            saving: false,
            next_snapshot: None,
            counted: Counted::default(),
            rebalancing_since: None,
            stepping: false,
            gone: false,
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let tally = self.tally(tenant);
        let cell = Arc::new(Cell { id, tenant, name: name.clone(), tally, inner: Mutex::new(inner) });
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have been quicker.
        cells.entry(tenant).or_default().entry(name.clone()).or_insert(cell).clone()
    }

    fn find(&self, tenant: TenantId, name: &str) -> Option<Arc<Cell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(&tenant)?.get(name).cloned()
    }

    /// Runs with the group's cell locked, if there is one.
    pub(super) fn with<T>(
        &self,
        tenant: TenantId,
        name: &str,
        run: impl FnOnce(&mut Inner, u64) -> T,
    ) -> Option<T> {
        let cell = self.find(tenant, name)?;
        let mut inner = cell.lock();
        if inner.gone {
            return None;
        }
        let ran = run(&mut inner, self.now_ms());
        // A commit is a sign of life.
        self.schedule(&cell, &mut inner);
        Some(ran)
    }

    /// JoinGroup. `wall_ms`: milliseconds since the Unix epoch.
    pub fn join(&self, tenant: TenantId, name: &GroupName, request: JoinRequest, wall_ms: i64) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        if self.tally(tenant).bytes() >= self.max_tenant_bytes {
            let limit = self.max_tenant_bytes;
            let result = Err(Refusal::GroupFull { what: "bytes", limit });
            let _ = sender.send(Ok(Answer::Join(JoinAnswer { member_id: request.member_id, result })));
            return Waiting(receiver);
        }
        loop {
            let cell = match self.find(tenant, name.as_str()) {
                Some(cell) => cell,
                None => {
                    if let Some(refused) = group::refuse_unknown(&self.settings, &request) {
                        let _ = sender.send(Ok(Answer::Join(refused)));
                        break;
                    }
                    self.cell(tenant, name, Group::new(self.settings.clone()), wall_ms)
                }
            };
            let mut inner = cell.lock();
            // It was taken out of the map between two looks.
            if inner.gone {
                continue;
            }
            let ticket = self.next.fetch_add(1, Ordering::Relaxed);
            inner.waiting.insert(ticket, sender);
            self.step(&cell, &mut inner, Input::Join(ticket, request), wall_ms);
            break;
        }
        Waiting(receiver)
    }

    /// Any other request; `None` if there is no such group.
    pub fn ask(
        &self,
        tenant: TenantId,
        name: &str,
        input: impl FnOnce(group::Ticket) -> Input,
        wall_ms: i64,
    ) -> Option<Waiting> {
        let cell = self.find(tenant, name)?;
        let mut inner = cell.lock();
        if inner.gone {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        inner.waiting.insert(ticket, sender);
        self.step(&cell, &mut inner, input(ticket), wall_ms);
        Some(Waiting(receiver))
    }

    /// A group as tools see it; `None` if it never had members.
    pub fn describe(&self, tenant: TenantId, name: &str) -> Option<Description> {
        self.with(tenant, name, |inner, _| inner.group.describe())
    }

    /// Where a group stands, and its protocol type.
    pub fn state(&self, tenant: TenantId, name: &str) -> Option<(State, Arc<str>)> {
        self.with(tenant, name, |inner, _| {
            (inner.group.state(), inner.group.protocol_type().cloned().unwrap_or_default())
        })
    }

    /// Whether a commit by this claimant may be judged. `None`: the group has never had members.
    pub fn may_commit(
        &self,
        tenant: TenantId,
        name: &str,
        claim: &MemberClaim,
    ) -> Option<Result<(), Refusal>> {
        self.with(tenant, name, |inner, now_ms| inner.group.may_commit(now_ms, claim))
    }

    /// Whether offsets of a group may expire that were last committed before a time: not while it has members, nor before
    /// it has been without them for as long (KIP-211).
    pub fn lets_expire(&self, tenant: TenantId, name: &str, before_ms: i64) -> bool {
        let allowed = |inner: &mut Inner, _| {
            matches!(inner.group.state(), State::Empty | State::Dead) && inner.empty_since_ms < before_ms
        };
        self.with(tenant, name, allowed).unwrap_or(true)
    }

    /// Deletes a group that may be deleted: `submit` is called with its cell locked, and whoever still waits is told that
    /// it is gone.
    pub(super) fn delete<T>(
        &self,
        tenant: TenantId,
        name: &str,
        mut submit: impl FnMut() -> T,
    ) -> Result<T, Refusal> {
        loop {
            let cell = {
                let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
                match cells.get(&tenant).and_then(|groups| groups.get(name)) {
                    Some(cell) => cell.clone(),
                    // While the map is held nobody can come and be deleted by this.
                    None => return Ok(submit()),
                }
            };
            let mut inner = cell.lock();
            if inner.gone {
                continue;
            }
            inner.group.may_delete()?;
            let submitted = submit();
            self.end(&cell, &mut inner, &Lost::Refused(Refusal::CoordinatorGone));
            return Ok(submitted);
        }
    }

    pub(super) fn step(&self, cell: &Arc<Cell>, inner: &mut Inner, input: Input, wall_ms: i64) {
        if inner.stepping {
            // Another step of it panicked. What is durable comes back with the next start; until then it is refused.
            return self.end(cell, inner, &Lost::Refused(Refusal::CoordinatorGone));
        }
        let mut out = Vec::new();
        inner.stepping = true;
        inner.group.step(self.now_ms(), input, &mut out);
        inner.stepping = false;
        self.settle(cell, inner, out, wall_ms);
    }

    /// Does what the group wants done.
    fn settle(&self, cell: &Arc<Cell>, inner: &mut Inner, out: Vec<Output>, wall_ms: i64) {
        for output in out {
            match output {
                Output::Answer { ticket, answer } => {
                    if let Some(sender) = inner.waiting.remove(&ticket) {
                        // The connection may be gone: then nobody wants to know.
                        let _ = sender.send(Ok(answer));
                    }
                }
                Output::Persist { seq, mut snapshot } => {
                    snapshot.stamp(inner.empty_since_ms);
                    if inner.saving {
                        inner.next_snapshot = Some((seq, snapshot));
                    } else {
                        inner.saving = true;
                        self.persist(cell, seq, snapshot);
                    }
                }
                Output::Event(event) => {
                    if matches!(event, Event::Emptied { .. }) {
                        inner.empty_since_ms = wall_ms;
                    }
                    cell.tally.event(&event, &mut inner.rebalancing_since, self.now_ms());
                    story::tell(&cell.tally, cell.name.as_str(), &event);
                }
            }
        }
        if inner.group.is_vacant() && inner.waiting.is_empty() {
            return self.end(cell, inner, &Lost::Refused(Refusal::UnknownGroup));
        }
        cell.tally.change(&mut inner.counted, Counted::of(&inner.group));
        self.schedule(cell, inner);
    }

    fn schedule(&self, cell: &Arc<Cell>, inner: &mut Inner) {
        let Some(due) = inner.group.next_deadline() else { return };
        if inner.scheduled.is_none_or(|scheduled| due < scheduled) {
            let mut timers = lock(&self.timers);
            if let Some(scheduled) = inner.scheduled.replace(due) {
                timers.remove(&(scheduled, cell.id));
            }
            timers.insert((due, cell.id), cell.clone());
            if timers.keys().next() == Some(&(due, cell.id)) {
                self.sooner.notify_one();
            }
        }
    }

    /// Groups without members: to be forgotten if the store has nothing of theirs.
    pub(super) fn empty_groups(&self) -> Vec<(TenantId, GroupName)> {
        let cells: Vec<Arc<Cell>> = {
            let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
            cells.values().flat_map(|groups| groups.values().cloned()).collect()
        };
        let is_empty = |cell: &Arc<Cell>| cell.lock().is_idle().then(|| (cell.tenant, cell.name.clone()));
        cells.iter().filter_map(is_empty).collect()
    }

    /// Forgets a group that the store has nothing of, unless somebody has come meanwhile or is about to be kept.
    pub(super) fn forget(
        &self,
        tenant: TenantId,
        name: &str,
        is_kept: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        if let Some(cell) = self.find(tenant, name) {
            let mut inner = cell.lock();
            if !inner.gone && inner.is_idle() && inner.group.is_saved() && !is_kept()? {
                self.end(&cell, &mut inner, &Lost::Refused(Refusal::UnknownGroup));
            }
        }
        Ok(())
    }
}

fn bad(name: &GroupName, error: BadSnapshot) -> StoreError {
    StoreError::Closed { because: format!("the members of group {name:?} cannot be read: {error}") }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
