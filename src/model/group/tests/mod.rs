//! The state machine against Kafka's own expectations, in our words: each test names the one of `GroupMetadataManagerTest`
//! or `ClassicGroupTest` that it mirrors, where there is one.

mod commit;
mod durable;
mod join;
mod leave;
mod rebalance;
mod statics;
mod sync;
mod vote;

use std::collections::BTreeMap;

use super::*;

/// Client ids are short; so are the ids that the bench draws: `c-1`, `c-2`, and `i-3` for a static member `i`.
const REBALANCE_MS: i32 = 10_000;
const SESSION_MS: i32 = 6_000;
const DELAY_MS: u64 = 3_000;

/// One group, its clock, and all that it answered.
struct Bench {
    group: Group,
    now_ms: u64,
    tickets: Ticket,
    answers: BTreeMap<Ticket, Answer>,
    snapshots: Vec<Snapshot>,
    events: Vec<Event>,
    /// Every snapshot is durable at once; otherwise when a test says so.
    quick_disk: bool,
}

/// A member whose join was answered.
#[derive(Debug, Clone)]
struct Seat {
    id: Arc<str>,
    generation: i32,
}

fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.into(),
        instance_id: None,
        candidate: Arc::default(),
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: CONSUMER.into(),
        protocols: protocols(&["range"]),
        reason: None,
        requires_known_id: false,
        can_skip_assignment: false,
    }
}

/// Of a client that does as KIP-394 wants.
fn modern(member_id: &str) -> JoinRequest {
    JoinRequest { requires_known_id: true, ..request(member_id) }
}

fn fixed(instance: &str, member_id: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance.into()), requires_known_id: true, ..request(member_id) }
}

fn supporting(names: &[&str], request: JoinRequest) -> JoinRequest {
    JoinRequest { protocols: protocols(names), ..request }
}

/// Protocols whose metadata subscribes to the topic "orders".
fn protocols(names: &[&str]) -> Vec<Protocol> {
    let mut metadata = vec![0, 1, 0, 0, 0, 1, 0, 6];
    metadata.extend(b"orders");
    metadata.extend([255; 4]);
    let one = |name: &&str| Protocol { name: (*name).into(), metadata: metadata.as_slice().into() };
    names.iter().map(one).collect()
}

fn claim(seat: &Seat) -> MemberClaim {
    MemberClaim { generation: seat.generation, member_id: seat.id.clone(), instance_id: None }
}

fn fixed_claim(instance: &str, seat: &Seat) -> MemberClaim {
    MemberClaim { instance_id: Some(instance.into()), ..claim(seat) }
}

fn nobody() -> MemberClaim {
    MemberClaim { generation: -1, member_id: Arc::default(), instance_id: None }
}

fn leaver(member_id: &str, instance: Option<&str>) -> Leaver {
    Leaver { member_id: member_id.into(), instance_id: instance.map(Arc::from), reason: None }
}

fn illegal(given: i32, current: i32) -> Refusal {
    Refusal::IllegalGeneration { given, current }
}

impl Bench {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self::of(Group::new(Arc::new(settings)))
    }

    fn of(group: Group) -> Self {
        let (answers, snapshots, events) = (BTreeMap::new(), Vec::new(), Vec::new());
        let now_ms = group.now_ms;
        Self { group, now_ms, tickets: 0, answers, snapshots, events, quick_disk: true }
    }

    /// What is there after a crash with what was durable so far.
    fn crashed(&self) -> Self {
        let snapshot = self.snapshots.last().expect("something was written").clone();
        let settings = self.group.settings.clone();
        Self::of(Group::restore(settings, snapshot, self.now_ms, &mut Vec::new()).unwrap())
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.group.step(self.now_ms, input, &mut out);
        self.group.check();
        for output in out {
            match output {
                Output::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "answered twice");
                }
                Output::Persist { snapshot, .. } => self.snapshots.push(snapshot),
                Output::Event(event) => self.events.push(event),
            }
        }
        if self.quick_disk && self.group.last_seq > self.group.durable_seq {
            self.sync_disk();
        }
    }

    fn sync_disk(&mut self) {
        self.step(Input::Persisted { seq: self.group.last_seq });
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    fn join(&mut self, mut request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        request.candidate =
            member_id(&request.client_id, request.instance_id.as_deref(), &ticket.to_string());
        self.step(Input::Join(ticket, request));
        ticket
    }

    fn sync(&mut self, claim: MemberClaim, parts: &[(&Seat, &str)]) -> Ticket {
        let ticket = self.ticket();
        let part = |(seat, part): &(&Seat, &str)| (seat.id.clone(), Arc::from(part.as_bytes()));
        let assignments = parts.iter().map(part).collect();
        let request = SyncRequest { claim, protocol_type: None, protocol_name: None, assignments };
        self.step(Input::Sync(ticket, request));
        ticket
    }

    fn beat(&mut self, claim: MemberClaim) -> Result<(), Refusal> {
        let ticket = self.ticket();
        self.step(Input::Heartbeat(ticket, claim));
        match self.answers.remove(&ticket) {
            Some(Answer::Heartbeat(result)) => result,
            other => panic!("a heartbeat got {other:?}"),
        }
    }

    fn leave(&mut self, members: Vec<Leaver>) -> Vec<Result<(), Refusal>> {
        let ticket = self.ticket();
        self.step(Input::Leave(ticket, LeaveRequest { members }));
        match self.answers.remove(&ticket) {
            Some(Answer::Leave(Ok(left))) => left.into_iter().map(|one| one.result).collect(),
            other => panic!("a leave got {other:?}"),
        }
    }

    fn commit(&mut self, claim: &MemberClaim) -> Result<(), Refusal> {
        self.group.may_commit(self.now_ms, claim)
    }

    /// Time passes, and with it what is due.
    fn sleep(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.group.next_deadline().filter(|at| *at <= end) {
            self.now_ms = at;
            self.step(Input::Tick);
        }
        self.now_ms = end;
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    fn join_answer(&self, ticket: Ticket) -> &JoinAnswer {
        match self.answers.get(&ticket) {
            Some(Answer::Join(answer)) => answer,
            other => panic!("a join got {other:?}"),
        }
    }

    fn joined(&self, ticket: Ticket) -> &Joined {
        self.join_answer(ticket)
            .result
            .as_ref()
            .unwrap_or_else(|refusal| panic!("a join was refused: {refusal}"))
    }

    fn seat(&self, ticket: Ticket) -> Seat {
        Seat { id: self.join_answer(ticket).member_id.clone(), generation: self.joined(ticket).generation }
    }

    fn join_refused(&self, ticket: Ticket) -> Refusal {
        self.join_answer(ticket).result.clone().expect_err("the join was not refused")
    }

    fn synced(&self, ticket: Ticket) -> Result<&str, Refusal> {
        match self.answers.get(&ticket) {
            Some(Answer::Sync(Ok(synced))) => Ok(std::str::from_utf8(&synced.assignment).unwrap()),
            Some(Answer::Sync(Err(refusal))) => Err(refusal.clone()),
            other => panic!("a sync got {other:?}"),
        }
    }

    fn state(&self) -> State {
        self.group.state()
    }

    /// Members join an empty group and wait for each other; the first leads. None has synced.
    fn form(&mut self, requests: Vec<JoinRequest>) -> Vec<Seat> {
        let tickets: Vec<Ticket> = requests.into_iter().map(|request| self.join(request)).collect();
        while self.state() == State::PreparingRebalance {
            let wait = self.group.next_deadline().expect("a rebalance ends") - self.now_ms;
            self.sleep(wait);
        }
        assert_eq!(self.state(), State::CompletingRebalance);
        tickets.into_iter().map(|ticket| self.seat(ticket)).collect()
    }

    /// And all sync: to the n-th goes the n-th letter.
    fn stable(&mut self, requests: Vec<JoinRequest>) -> Vec<Seat> {
        let instances: Vec<Option<Arc<str>>> = requests.iter().map(|r| r.instance_id.clone()).collect();
        let seats = self.form(requests);
        let parts: Vec<(&Seat, &str)> = seats.iter().zip(["a", "b", "c", "d", "e"]).collect();
        for (nth, seat) in seats.iter().enumerate() {
            let claim = MemberClaim { instance_id: instances[nth].clone(), ..claim(seat) };
            self.sync(claim, if nth == 0 { &parts } else { &[] });
        }
        assert_eq!(self.state(), State::Stable);
        seats
    }
}
