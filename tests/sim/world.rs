//! One coordinator, its disk, a network and some clients under a simulated clock. What the clients do is in `crowd.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use offsetd::model::group::{
    Answer, Group, Input, JoinAnswer, LeaveRequest, Leaver, MemberClaim, Output, Settings, Snapshot, State,
    Ticket, fence, member_id, refuse_unknown,
};
use offsetd::model::refusal::Refusal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::{Client, Phase, Request};
use crate::oracle::{Oracle, Owner, kind};
use crate::plan::{Action, DISK_MS, MAX_REBALANCE_MS, PARTITIONS, Plan};

/// After the last fault everybody is in one stable generation within this.
const SETTLE_MS: u64 = 150_000;

#[derive(Debug)]
pub(crate) enum What {
    Act(Action),
    /// A request arrives; `None`: nobody waits for the answer.
    Arrive {
        from: Option<(usize, u64)>,
        request: Request,
    },
    Reply {
        to: usize,
        id: u64,
        answer: Told,
    },
    /// Heartbeat and commit.
    Beat(usize),
    /// A join or sync was not answered for long.
    GiveUp(usize, u64),
    Retry(usize),
    Disk(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum Told {
    Group(Answer),
    Commit(Result<(), Refusal>),
}

#[derive(Debug)]
enum Written {
    Snapshot(u64, Snapshot),
    Commit,
}

#[derive(Debug)]
struct Asker {
    from: Option<(usize, u64)>,
    request: Request,
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) now_ms: u64,
    settings: Arc<Settings>,
    pub(crate) plan: Plan,
    pub(crate) events: BTreeMap<(u64, u64), What>,
    next_event: u64,
    group: Option<Group>,
    epoch: u64,
    durable: Option<Snapshot>,
    journal: VecDeque<Written>,
    disk_free_at: u64,
    pub(crate) slow_disk: u64,
    pub(crate) kill_at_write: Option<bool>,
    askers: BTreeMap<Ticket, Asker>,
    pub(crate) next_id: u64,
    pub(crate) clients: Vec<Client>,
    pub(crate) identities: Vec<MemberClaim>,
    pub(crate) duplicates: u32,
    pub(crate) lost_requests: u32,
    pub(crate) lost_answers: u32,
    pub(crate) oracle: Oracle,
    /// Tell all that happens.
    pub(crate) trace: bool,
    pub(crate) steps: u64,
    pub(crate) kills: u64,
    pub(crate) kills_while_writing: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, faults: usize) -> Self {
        let mut world = Self {
            rng: StdRng::seed_from_u64(!plan.seed),
            now_ms: 0,
            settings: Arc::new(plan.settings.clone()),
            events: BTreeMap::new(),
            next_event: 0,
            group: None,
            epoch: 0,
            durable: None,
            journal: VecDeque::new(),
            disk_free_at: 0,
            slow_disk: 0,
            kill_at_write: None,
            askers: BTreeMap::new(),
            next_id: 0,
            clients: Vec::new(),
            identities: Vec::new(),
            duplicates: 0,
            lost_requests: 0,
            lost_answers: 0,
            oracle: Oracle::default(),
            trace: false,
            steps: 0,
            kills: 0,
            kills_while_writing: 0,
            plan,
        };
        for (at_ms, action) in world.plan.actions.clone().into_iter().take(faults) {
            world.at(at_ms, What::Act(action));
        }
        world
    }

    /// Runs the schedule, then lets everybody settle, then looks whether they have.
    pub(crate) fn run(&mut self) {
        let last = self.events.keys().map(|(at_ms, _)| *at_ms).max().unwrap_or(0);
        let awake = last + 25_000;
        self.run_until(awake);
        (self.duplicates, self.lost_requests, self.lost_answers) = (0, 0, 0);
        self.kill_at_write = None;
        self.run_until(awake + SETTLE_MS);
        self.all_is_well();
    }

    fn run_until(&mut self, end_ms: u64) {
        loop {
            let event = self.events.first_key_value().map(|((at_ms, _), _)| *at_ms).unwrap_or(u64::MAX);
            let tick = self.group.as_ref().and_then(Group::next_deadline).unwrap_or(u64::MAX);
            let next = event.min(tick);
            if next > end_ms {
                self.now_ms = end_ms;
                return;
            }
            assert!(next >= self.now_ms, "a deadline in the past");
            self.now_ms = next;
            if event <= tick {
                let (_, what) = self.events.pop_first().unwrap();
                self.happen(what);
            } else {
                self.step(Input::Tick);
            }
            self.oracle.nobody_waits_too_long(self.now_ms);
        }
    }

    pub(crate) fn at(&mut self, at_ms: u64, what: What) {
        self.next_event += 1;
        self.events.insert((at_ms, self.next_event), what);
    }

    pub(crate) fn soon(&mut self, what: What) {
        let delay = self.rng.random_range(0..60);
        self.at(self.now_ms + delay, what);
    }

    fn happen(&mut self, what: What) {
        let client = match &what {
            What::Reply { to, .. } | What::Beat(to) | What::GiveUp(to, _) | What::Retry(to) => Some(*to),
            _ => None,
        };
        if let Some(paused_until) = client.map(|c| self.clients[c].paused_until).filter(|p| *p > self.now_ms)
        {
            return self.at(paused_until, what);
        }
        if self.trace {
            println!("{:>7} {what:?}", self.now_ms);
        }
        match what {
            What::Act(action) => self.act(action),
            What::Arrive { from, request } => self.arrive(from, request),
            What::Reply { to, id, answer } => self.reply(to, id, &answer),
            What::Beat(c) => self.beat(c),
            What::GiveUp(c, id) if self.clients[c].waits_for == Some(id) => self.proceed(c),
            What::GiveUp(..) => {}
            What::Retry(c) if self.clients[c].waits_for.is_none() => self.proceed(c),
            What::Retry(_) => {}
            What::Disk(epoch) if epoch == self.epoch => self.disk(),
            What::Disk(_) => {}
        }
    }

    // The coordinator.

    fn step(&mut self, input: Input) {
        self.steps += 1;
        let Some(group) = &mut self.group else { return };
        let mut out = Vec::new();
        group.step(self.now_ms, input, &mut out);
        group.check();
        if group.is_vacant() {
            self.group = None;
        }
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Answer { ticket, answer } => self.answered(ticket, answer),
                Output::Persist { seq, snapshot } => self.write(Written::Snapshot(seq, snapshot)),
                Output::Event(event) if self.trace => println!("{:>7} {event:?}", self.now_ms),
                Output::Event(_) => {}
            }
        }
    }

    fn write(&mut self, what: Written) {
        let deadly = self.kill_at_write.filter(|_| matches!(what, Written::Snapshot(..)));
        self.journal.push_back(what);
        let longest = if self.slow_disk > 0 { self.slow_disk } else { DISK_MS };
        let takes = self.rng.random_range(0..=longest);
        if self.slow_disk > 0 {
            self.oracle.extend(self.slow_disk);
            self.slow_disk = 0;
        }
        self.disk_free_at = self.disk_free_at.max(self.now_ms + takes);
        if deadly == Some(true) {
            self.at(self.disk_free_at, What::Act(Action::Kill));
        }
        self.at(self.disk_free_at, What::Disk(self.epoch));
        if deadly == Some(false) {
            self.at(self.disk_free_at, What::Act(Action::Kill));
        }
        if deadly.is_some() {
            self.kill_at_write = None;
        }
    }

    fn disk(&mut self) {
        match self.journal.pop_front().expect("something was written") {
            Written::Commit => self.oracle.commit_durable(),
            Written::Snapshot(seq, snapshot) => {
                // As a file would give it back.
                let bytes = postcard::to_stdvec(&snapshot).unwrap();
                self.durable = Some(postcard::from_bytes(&bytes).unwrap());
                self.step(Input::Persisted { seq });
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.kills += 1;
        self.kills_while_writing += u64::from(!self.journal.is_empty());
        self.epoch += 1;
        self.journal.clear();
        self.disk_free_at = self.now_ms;
        self.askers.clear();
        self.oracle.coordinator_killed(self.now_ms);
        let mut out = Vec::new();
        self.group = self.durable.clone().map(|snapshot| {
            let group = Group::restore(self.settings.clone(), snapshot, self.now_ms, &mut out);
            let group = group.expect("what was written can be read");
            group.check();
            group
        });
        self.carry_out(out);
    }

    fn arrive(&mut self, from: Option<(usize, u64)>, request: Request) {
        if let Request::Commit(claim) = &request {
            return self.commit(from, &claim.clone());
        }
        self.next_id += 1;
        let ticket = self.next_id;
        let slack = DISK_MS + self.disk_free_at.saturating_sub(self.now_ms);
        let parked = MAX_REBALANCE_MS as u64 + u64::from(self.settings.initial_rebalance_delay_ms);
        let (what, bound) = match &request {
            Request::Join(_) => ("join", parked),
            Request::Sync(_) => ("sync", MAX_REBALANCE_MS as u64),
            Request::Heartbeat(_) => ("heartbeat", 0),
            Request::Leave(_) => ("leave", 0),
            Request::Commit(_) => unreachable!(),
        };
        self.oracle.asked(ticket, what, self.now_ms + bound + slack);
        self.askers.insert(ticket, Asker { from, request: request.clone() });
        if self.group.is_none() {
            let refusal = match &request {
                Request::Join(join) => refuse_unknown(&self.settings, join).map(Answer::Join),
                Request::Sync(_) => Some(Answer::Sync(Err(Refusal::UnknownMember))),
                Request::Heartbeat(_) => Some(Answer::Heartbeat(Err(Refusal::UnknownMember))),
                Request::Leave(_) => Some(Answer::Leave(Err(Refusal::UnknownMember))),
                Request::Commit(_) => unreachable!(),
            };
            if let Some(answer) = refusal {
                return self.answered(ticket, answer);
            }
            self.group = Some(Group::new(self.settings.clone()));
        }
        self.step(match request {
            Request::Join(mut join) => {
                // Drawn where the request arrives: two that arrive are two.
                join.candidate =
                    member_id(&join.client_id, join.instance_id.as_deref(), &format!("{ticket:04}"));
                Input::Join(ticket, join)
            }
            Request::Sync(sync) => Input::Sync(ticket, sync),
            Request::Heartbeat(claim) => Input::Heartbeat(ticket, claim),
            Request::Leave(claim) => {
                let MemberClaim { member_id, instance_id, .. } = claim;
                Input::Leave(
                    ticket,
                    LeaveRequest { members: vec![Leaver { member_id, instance_id, reason: None }] },
                )
            }
            Request::Commit(_) => unreachable!(),
        });
    }

    fn commit(&mut self, from: Option<(usize, u64)>, claim: &MemberClaim) {
        let verdict = match &mut self.group {
            Some(group) => group.may_commit(self.now_ms, claim),
            None => fence::admit(false, claim.generation),
        };
        let empty = self.group.as_ref().is_none_or(|g| g.state() == State::Empty);
        if claim.generation < 0 {
            assert_eq!(
                verdict.is_ok(),
                empty,
                "a simple commit goes to a group without members, and only there"
            );
        } else if verdict.is_ok() {
            // A parked request keeps a member.
            let parked =
                self.askers.values().any(|asker| asker.request.member_id() == Some(&*claim.member_id));
            if parked {
                self.oracle.seen(self.now_ms, &claim.member_id);
            }
            self.oracle.committed(self.now_ms, &claim.member_id, claim.generation);
            self.oracle.seen(self.now_ms, &claim.member_id);
            self.write(Written::Commit);
        } else {
            self.oracle.commits_refused += 1;
        }
        if let Some((to, id)) = from {
            self.soon(What::Reply { to, id, answer: Told::Commit(verdict) });
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Answer) {
        self.oracle.answered(self.now_ms, ticket);
        let Asker { from, request } = self.askers.remove(&ticket).expect("somebody asked");
        match (&request, &answer) {
            (Request::Join(join), Answer::Join(JoinAnswer { member_id, result })) => {
                if let Ok(joined) = result {
                    self.oracle.told_generation(member_id, join.instance_id.as_deref(), joined);
                    self.oracle.session(member_id, join.session_timeout_ms as u64);
                    self.oracle.seen(self.now_ms, member_id);
                    let instance_id = join.instance_id.clone();
                    let (generation, member_id) = (joined.generation, member_id.clone());
                    self.identities.push(MemberClaim { generation, member_id, instance_id });
                }
            }
            (Request::Sync(sync), Answer::Sync(result)) => {
                self.oracle.seen(self.now_ms, &sync.claim.member_id);
                if let Ok(synced) = result {
                    self.oracle.assigned(sync.claim.generation, &owner(&sync.claim), &synced.assignment);
                }
            }
            (Request::Heartbeat(claim), Answer::Heartbeat(result)) => {
                if matches!(result, Ok(()) | Err(Refusal::RebalanceInProgress)) {
                    self.oracle.seen(self.now_ms, &claim.member_id);
                }
            }
            (Request::Leave(claim), Answer::Leave(result)) => {
                let gone = result.as_ref().is_ok_and(|left| left[0].result.is_ok());
                if gone && !claim.member_id.is_empty() {
                    self.oracle.told_left(&claim.member_id);
                }
            }
            (request, answer) => panic!("{request:?} was answered as a {}", kind(answer)),
        }
        let lost = self.lost_answers > 0;
        self.lost_answers = self.lost_answers.saturating_sub(1);
        if let (Some((to, id)), false) = (from, lost) {
            self.soon(What::Reply { to, id, answer: Told::Group(answer) });
        }
    }

    // The end.

    fn all_is_well(&self) {
        assert_eq!(self.oracle.waiting(), 0, "requests wait in a quiet world");
        let alive: Vec<&Client> = self.clients.iter().filter(|c| c.phase != Phase::Over).collect();
        let Some(group) = &self.group else { return assert!(alive.is_empty(), "clients, and no group") };
        let room = self.settings.max_members;
        if alive.is_empty() {
            return assert_eq!((group.state(), group.member_count()), (State::Empty, 0), "{group:#?}");
        }
        assert_eq!(group.state(), State::Stable, "{group:#?}");
        if alive.len() > room {
            // Static members that were late to join again stay above the limit, as in Kafka.
            return assert!((room..=alive.len()).contains(&group.member_count()), "{group:#?}");
        }
        assert_eq!(group.member_count(), alive.len(), "members that are not there: {group:#?}");
        let mut owned: Vec<u8> = Vec::new();
        for client in &alive {
            assert_eq!(client.phase, Phase::Stable, "{client:?}");
            assert_eq!(client.generation, group.generation(), "{client:?}");
            owned.extend(&client.owned);
        }
        owned.sort_unstable();
        assert_eq!(owned, (0..PARTITIONS).collect::<Vec<u8>>(), "every partition has one owner");
    }
}

fn owner(claim: &MemberClaim) -> Owner {
    claim.instance_id.as_ref().unwrap_or(&claim.member_id).to_string()
}
