//! A commit on its way: taken out, judged in its turn, sent on without what is refused, and answered with both the cluster's
//! word and ours, in the order asked.
//!
//! * A group's commits take turns, and a turn ends when the answer is kept. It begins when all that the connection asked
//!   before is answered: a broker would look at the commit no sooner.
//! * What would go back is held against the cluster's own position first: a topic made anew, a group reset past the gateway or
//!   expired has a lower one, or none, and then the floor follows and nothing is refused. If the cluster cannot be asked,
//!   nothing is refused.
//! * A transaction's offsets count when it is committed, which the gateway does not follow: for these the cluster is asked
//!   each time, and they raise no floor.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

use super::groups::Held;
use super::messages::{Answered, Asked, is_txn};
use super::positions::{self, OWN_VERSION, Place, Places};
use super::verdicts::{Failed, Plan, Plans, is_strict, items};
use super::{Guard, Seat};
use crate::gateway::cursor::{Unreadable, answer_body};
use crate::gateway::link::{End, Expect, Pending};
use crate::gateway::principals::ClientTenant;
use crate::gateway::requests::{Head, Requests, client_id};
use crate::metrics::CommitResult;
use crate::model::names::cut;
use crate::model::offset::{Fault, Mode, Regression};
use crate::model::op::{Accepted, Actor, Verdict};
use crate::model::refusal::Refusal;
use crate::wire::codes::{self, Code};

/// Answers that are about the whole group: what was taken out would have got them too.
const OF_GROUP: [Code; 8] = [
    codes::COORDINATOR_LOAD_IN_PROGRESS,
    codes::COORDINATOR_NOT_AVAILABLE,
    codes::NOT_COORDINATOR,
    codes::ILLEGAL_GENERATION,
    codes::UNKNOWN_MEMBER_ID,
    codes::REBALANCE_IN_PROGRESS,
    codes::FENCED_INSTANCE_ID,
    codes::GROUP_ID_NOT_FOUND,
];

/// A commit that the cluster has not answered yet.
#[derive(Debug)]
pub(in crate::gateway) struct UnderWay {
    seat: Seat,
    /// Of who commits.
    tenant: Arc<ClientTenant>,
    head: Head,
    asked: Asked,
    modes: Vec<Mode>,
    plans: Plans,
    actor: Arc<Actor>,
    held: Held,
}

impl Requests<'_> {
    /// Judges a commit and sends on what may go.
    pub(in crate::gateway) async fn commit(&mut self, head: Head) -> Result<(), End> {
        let piece = self.take(head).await?;
        let (frame, guard) = (&piece.bytes[..], self.link.shared.guard.clone());
        let max_items = self.link.shared.server.max_items_per_request;
        let asked = Asked::read(frame, head, max_items).map_err(|why| head.malformed(why))?;
        if asked.len() == 0 {
            return self.forward(head, Expect::Pass, frame).await;
        }
        let tenant = self.link.tenant();
        let modes = guard.modes(&tenant, &asked);
        self.all_answered().await?;
        let Some(seat) = guard.seat() else {
            guard.count("no_store");
            return self.unjudged(head, frame, &asked, &modes).await;
        };
        let Some(mut held) = guard.groups.handle(&asked.group).turn(self.patience()).await else {
            guard.count("busy");
            // If it passes, nobody here knows what it has done.
            let places: Vec<Place> = asked.places().collect();
            seat.open.sure.forget(&asked.group, places.iter());
            return self.unjudged(head, frame, &asked, &modes).await;
        };
        let plans = match self.judge(head, frame, &asked, &modes, &held, &seat).await? {
            Ok(plans) => plans,
            Err(Failed) => {
                held.settle();
                return self.unjudged(head, frame, &asked, &modes).await;
            }
        };
        let actor = Arc::new(Actor {
            principal: self.link.principal(),
            client_id: cut(client_id(frame).unwrap_or_default()).into(),
            host: self.link.address.clone(),
            member_id: cut(&asked.member_id).into(),
        });
        if !seat.keep_refused(&tenant, &asked, &plans, &actor).await {
            held.settle();
            return self.unjudged(head, frame, &asked, &modes).await;
        }
        let stays: Vec<bool> = plans.plans.iter().map(|plan| *plan == Plan::Go).collect();
        if !stays.contains(&true) {
            held.settle();
            let codes: Vec<Code> = plans.plans.iter().map(|plan| guard.code(&tenant, head, plan)).collect();
            let answer = asked.answer(head, 0, &codes);
            return self.expect(head.pending(Expect::Local(answer))).await;
        }
        let shorter = if plans.all_go() { None } else { Some(asked.without(frame, &stays)) };
        // Until it is answered nobody knows what the cluster has.
        let going = asked.places().zip(&stays).filter(|(_, stays)| **stays);
        seat.open.sure.forget(&asked.group, going.map(|(place, _)| place).collect::<Vec<_>>().iter());
        let under_way = Box::new(UnderWay { seat, tenant, head, asked, modes, plans, actor, held });
        self.forward(head, Expect::Commit(under_way), shorter.as_deref().unwrap_or(frame)).await
    }

    pub(in crate::gateway) fn patience(&self) -> Duration {
        Duration::from_millis(self.link.shared.config.ask_timeout_ms)
    }

    /// A commit that cannot be judged: passes where the guard only observes, and is to come again where it does not.
    async fn unjudged(&mut self, head: Head, frame: &[u8], asked: &Asked, modes: &[Mode]) -> Result<(), End> {
        if !is_strict(modes) {
            self.link.shared.guard.count("unjudged");
            return self.forward(head, Expect::Pass, frame).await;
        }
        self.link.shared.guard.count("put_off");
        let answer = asked.answer(head, 0, &vec![codes::STORE_UNAVAILABLE; asked.len()]);
        self.expect(head.pending(Expect::Local(answer))).await
    }

    async fn judge(
        &mut self,
        head: Head,
        frame: &[u8],
        asked: &Asked,
        modes: &[Mode],
        held: &Held,
        seat: &Seat,
    ) -> Result<Result<Plans, Failed>, End> {
        let guard = &seat.guard;
        let mut plans = match seat.plan(asked, modes) {
            Ok(plans) => plans,
            Err(failed) => return Ok(Err(failed)),
        };
        let anew = is_txn(head) || held.is_unsure();
        let known = HashSet::<&Place>::from_iter(&plans.unknown);
        let places: Vec<Place> = asked.places().collect();
        let unsure = seat.open.sure.unknown(&asked.group, &places);
        let suspect = |(index, place): &(usize, Place)| {
            let of = |list: &[bool]| list.get(*index) == Some(&true);
            anew || of(&unsure) || of(&plans.goes_back) || known.contains(place)
        };
        let mut seen = HashSet::new();
        let places = places.into_iter().enumerate().filter(suspect).map(|(_, place)| place);
        let places: Vec<Place> = places.filter(|place| seen.insert(place.clone())).collect();
        if places.is_empty() {
            return Ok(Ok(plans));
        }
        let told = self.ask(frame, &asked.group, &places).await?;
        match &told {
            Some(told) => {
                // By floors that are not the cluster's nobody is judged.
                if !seat.follow(&asked.group, told, true).await {
                    return Ok(Err(Failed));
                }
                if anew && places.iter().all(|place| told.contains_key(place)) {
                    held.is_sure();
                }
                plans = match seat.plan(asked, modes) {
                    Ok(plans) => plans,
                    Err(failed) => return Ok(Err(failed)),
                };
            }
            None => guard.count("not_asked"),
        }
        // Nothing is refused that the cluster might explain.
        let said = |place: &Place| told.as_ref().is_some_and(|told| told.contains_key(place));
        for ((name, partition), plan) in asked.items().zip(&mut plans.plans) {
            if *plan != Plan::Go && !said(&(name.clone(), partition.index)) {
                *plan = Plan::Go;
            }
        }
        Ok(Ok(plans))
    }

    /// Asks the cluster what a group has committed; `None` if it does not say.
    async fn ask(&mut self, frame: &[u8], group: &str, places: &[Place]) -> Result<Option<Places>, End> {
        let Some(api) = positions::own_api() else { return Ok(None) };
        let correlation_id = self.own_correlation_id();
        let question = positions::question(correlation_id, client_id(frame), group, places);
        let (asker, answer) = oneshot::channel();
        let pending = Pending { correlation_id, api, version: OWN_VERSION, expect: Expect::Own(asker) };
        self.expect(pending).await?;
        self.pump.say(&question).await?;
        let Ok(Ok(body)) = timeout(self.patience(), answer).await else { return Ok(None) };
        let read = positions::read(&body, OWN_VERSION, false);
        let told = read.ok().and_then(|mut groups| groups.pop()).map(|(_, places)| places);
        // With an error for the whole group it says nothing of any place.
        Ok(told.filter(|told| !told.is_empty()))
    }
}

impl Guard {
    /// Our code for what the plan says.
    fn code(&self, tenant: &ClientTenant, head: Head, plan: &Plan) -> Code {
        match plan {
            Plan::Refuse(_) if is_txn(head) => codes::of_txn_commit(head.version),
            Plan::Refuse(back) => {
                let code = self.policy.code(&tenant.name);
                codes::of_commit(&Refusal::Regression(*back), head.version, code)
            }
            Plan::Clamp(_) | Plan::Go => codes::NONE,
        }
    }
}

impl Seat {
    /// Keeps what was refused in the journal, before anybody is told of it. False if the store cannot.
    async fn keep_refused(
        &self,
        tenant: &ClientTenant,
        asked: &Asked,
        plans: &Plans,
        actor: &Arc<Actor>,
    ) -> bool {
        // What goes back only by what is ahead of it in its own request is counted, and not kept: it might not get there.
        let alone = |index: usize| self.goes_back_alone(asked, index);
        let (items, indexes) = items(asked, |index| match plans.plans.get(index) {
            Some(Plan::Refuse(_)) if alone(index) => Some(Mode::Reject),
            Some(Plan::Clamp(_)) if alone(index) => Some(Mode::Clamp),
            _ => None,
        });
        if !indexes.is_empty() && self.keep(&asked.group, actor.clone(), items).await.is_none() {
            return false;
        }
        for plan in &plans.plans {
            match plan {
                Plan::Refuse(_) => tenant.meter.commits(CommitResult::Regression, 1),
                Plan::Clamp(_) => tenant.meter.commits(CommitResult::Clamped, 1),
                Plan::Go => {}
            }
        }
        for (index, (name, partition)) in asked.items().enumerate() {
            let (what, back) = match plans.plans.get(index) {
                Some(Plan::Refuse(back)) => ("refused", back),
                Some(Plan::Clamp(back)) => ("clamped", back),
                _ => continue,
            };
            self.guard.tell(what, tenant, asked, (name, partition.index), back, actor);
        }
        true
    }
}

impl Guard {
    /// The protocol carries no text, so the log says what happened.
    fn tell(
        &self,
        what: &str,
        tenant: &ClientTenant,
        asked: &Asked,
        (stream, partition): (&str, i32),
        back: &Regression,
        actor: &Actor,
    ) {
        let Some(left_out) = self.lines.take() else { return };
        let (group, client_id, address) = (cut(&asked.group), &*actor.client_id, &*actor.host);
        let (principal, member_id) = (&*actor.principal, &*actor.member_id);
        let Regression { stored, proposed, high_epoch, proposed_epoch: epoch } = back;
        tracing::warn!(
            tenant = &*tenant.name,
            group,
            stream,
            partition,
            stored,
            proposed,
            epoch,
            high_epoch,
            client_id,
            principal,
            member_id,
            address,
            left_out,
            "commit would go back: {what}"
        );
    }

    fn counted(&self, tenant: &ClientTenant, asked: &Asked, index: usize, verdict: &Verdict, actor: &Actor) {
        if verdict.epoch_disorder {
            tenant.meter.epoch_disorder();
        }
        let result = match &verdict.result {
            Ok(Accepted::Unchanged) => CommitResult::Unchanged,
            Ok(Accepted::Nothing) => CommitResult::Nothing,
            Ok(Accepted::Excused(_)) => CommitResult::Excused,
            Ok(Accepted::Unguarded(_)) => CommitResult::Unguarded,
            Ok(Accepted::Observed(Fault::Back(back))) => {
                if let Some((name, partition)) = asked.items().nth(index) {
                    self.tell("observed", tenant, asked, (name, partition.index), back, actor);
                }
                CommitResult::Observed
            }
            Ok(_) => CommitResult::Stored,
            // The cluster has it all the same.
            Err(_) => CommitResult::Limit,
        };
        tenant.meter.commits(result, 1);
    }
}

/// What is left to do when a commit is answered.
pub(in crate::gateway) struct Settling {
    under_way: Box<UnderWay>,
    /// By place in the request: the cluster has taken it.
    taken: Vec<bool>,
    /// The answer, if it is another than the cluster's.
    pub(in crate::gateway) answer: Option<Vec<u8>>,
}

impl UnderWay {
    /// Takes the cluster's answer: a frame without its size.
    pub(in crate::gateway) fn answered(self: Box<Self>, frame: &[u8]) -> Result<Settling, Unreadable> {
        let head = self.head;
        let at = answer_body(frame, head.api.answer_header(head.version))?;
        let answered = Answered::read(frame.get(at..).unwrap_or_default(), head)?;
        let mut theirs: HashMap<(&str, i32), VecDeque<Code>> = HashMap::new();
        for (name, partition, code) in &answered.codes {
            theirs.entry((name, *partition)).or_default().push_back(*code);
        }
        let mut codes = Vec::with_capacity(self.asked.len());
        let mut taken = Vec::with_capacity(self.asked.len());
        for ((name, partition), plan) in self.asked.items().zip(&self.plans.plans) {
            let code = match plan {
                Plan::Go => {
                    let code = theirs.get_mut(&(&**name, partition.index)).and_then(VecDeque::pop_front);
                    code.ok_or(Unreadable::Wrong("it leaves out a partition that was asked"))?
                }
                plan => self.seat.guard.code(&self.tenant, head, plan),
            };
            taken.push(*plan == Plan::Go && code == codes::NONE);
            codes.push(code);
        }
        if self.plans.all_go() {
            return Ok(Settling { under_way: self, taken, answer: None });
        }
        // Who is not of the group is told so, whatever was committed.
        if let Some((_, _, code)) = answered.codes.first()
            && OF_GROUP.contains(code)
            && answered.codes.iter().all(|(_, _, other)| other == code)
        {
            codes.fill(*code);
        }
        let answer = self.asked.answer(head, answered.throttle_ms, &codes);
        Ok(Settling { under_way: self, taken, answer: Some(answer) })
    }
}

impl Settling {
    /// Whether what the cluster has taken is to be kept before the client is told: somebody may be refused by it.
    pub(in crate::gateway) fn comes_first(&self) -> bool {
        is_strict(&self.under_way.modes)
    }

    /// The floors follow what the cluster has taken; the turn ends.
    pub(in crate::gateway) async fn settle(mut self) {
        let UnderWay { seat, tenant, head, asked, modes, plans, actor, held } = &mut *self.under_way;
        let txn = is_txn(*head);
        let (items, indexes) = items(asked, |index| {
            let taken = self.taken.get(index) == Some(&true);
            // Within a transaction it is not there yet; that it would go back is told all the same.
            let back = plans.goes_back.get(index) == Some(&true);
            let mode = modes.get(index).filter(|_| taken && (!txn || back))?;
            // It is in the cluster, so it is true.
            Some(if *mode == Mode::Off { Mode::Off } else { Mode::Observe })
        });
        if let Some(verdicts) = seat.keep(&asked.group, actor.clone(), items).await {
            held.settle();
            if !txn {
                let taken = asked.places().zip(&self.taken).filter(|(_, taken)| **taken);
                let taken: Vec<Place> = taken.map(|(place, _)| place).collect();
                seat.open.sure.note(&asked.group, &taken);
            }
            for (index, verdict) in indexes.into_iter().zip(&verdicts) {
                seat.guard.counted(tenant, asked, index, verdict, actor);
            }
        }
    }
}
