//! What the clients of a [`World`] do, and what is done to them.

use std::sync::Arc;

use offsetd::model::group::{Answer, MemberClaim, SyncRequest};
use rand::Rng;

use crate::client::{Client, Next, Phase, Request};
use crate::plan::{Action, MAX_REBALANCE_MS, PARTITIONS};
use crate::world::{Told, What, World};

impl World {
    fn send(&mut self, c: usize, request: Request) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        if self.duplicates > 0 {
            self.duplicates -= 1;
            self.soon(What::Arrive { from: None, request: request.clone() });
        }
        if self.lost_requests > 0 {
            self.lost_requests -= 1;
        } else {
            self.soon(What::Arrive { from: Some((c, id)), request });
        }
        id
    }

    /// Sends what the client's phase asks for.
    pub(crate) fn proceed(&mut self, c: usize) {
        let Some(request) = self.clients[c].request() else { return };
        // As if all had one configuration: a client that gives up before the others' time is over may never get in.
        let patience = MAX_REBALANCE_MS as u64 + 5_000;
        let id = self.send(c, request);
        self.clients[c].waits_for = Some(id);
        self.at(self.now_ms + patience, What::GiveUp(c, id));
    }

    fn go_on(&mut self, c: usize, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Now => self.proceed(c),
            Next::BackOff => self.at(self.now_ms + 700, What::Retry(c)),
        }
    }

    pub(crate) fn reply(&mut self, c: usize, id: u64, answer: &Told) {
        let client = &mut self.clients[c];
        if client.phase == Phase::Over {
            return;
        }
        let next = match answer {
            Told::Group(answer @ (Answer::Join(_) | Answer::Sync(_))) => {
                if client.waits_for != Some(id) {
                    return;
                }
                client.answered(answer)
            }
            // A join or sync under way says the same, and more.
            _ if client.waits_for.is_some() => return,
            Told::Group(Answer::Heartbeat(Err(refusal))) | Told::Commit(Err(refusal)) => {
                client.refused(refusal)
            }
            Told::Group(Answer::Heartbeat(Ok(())) | Answer::Leave(_)) | Told::Commit(Ok(())) => return,
        };
        self.go_on(c, next);
    }

    pub(crate) fn beat(&mut self, c: usize) {
        let client = &self.clients[c];
        let (claim, phase) = (client.claim(), client.phase);
        if phase == Phase::Over {
            return;
        }
        let every = client.profile.session_ms as u64 / 3;
        let client_owns_nothing = client.owned.is_empty();
        if phase == Phase::Stable || (phase == Phase::Syncing && self.rng.random()) {
            self.send(c, Request::Heartbeat(claim.clone()));
        }
        // While it joins again it still has what it had.
        if !client_owns_nothing && phase != Phase::Syncing {
            self.send(c, Request::Commit(claim));
        }
        self.at(self.now_ms + every, What::Beat(c));
    }

    /// The process of a slot that started last, if it runs.
    fn running(&self, slot: usize) -> Option<usize> {
        self.clients.iter().rposition(|c| c.slot == slot && c.phase != Phase::Over)
    }

    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Start(slot) => {
                let running = self.running(slot);
                if running.is_some() && self.plan.profiles[slot].instance.is_none() {
                    return;
                }
                self.clients.push(Client::new(slot, self.plan.profiles[slot].clone()));
                let c = self.clients.len() - 1;
                self.proceed(c);
                self.at(self.now_ms + 100, What::Beat(c));
            }
            Action::Crash(slot) => {
                let Some(c) = self.running(slot) else { return };
                self.clients[c].end();
            }
            Action::Pause(slot, ms) => {
                let Some(c) = self.running(slot) else { return };
                self.clients[c].paused_until = self.now_ms + ms;
            }
            Action::Leave(slot) => {
                let Some(c) = self.running(slot) else { return };
                let claim = self.clients[c].claim();
                self.clients[c].end();
                if !claim.member_id.is_empty() {
                    self.send(c, Request::Leave(claim));
                }
            }
            Action::Kick(slot) => {
                let Some(instance) = self.plan.profiles[slot].instance else { return };
                let (member_id, instance_id) = (Arc::default(), Some(instance.into()));
                let claim = MemberClaim { generation: -1, member_id, instance_id };
                self.soon(What::Arrive { from: None, request: Request::Leave(claim) });
            }
            Action::Change(slot) => {
                let Some(c) = self.running(slot) else { return };
                self.clients[c].change_metadata();
                self.proceed(c);
            }
            Action::Kill => self.kill(),
            Action::KillAtWrite { lost } => self.kill_at_write = Some(lost),
            Action::Duplicate(n) => self.duplicates += n,
            Action::LoseRequests(n) => self.lost_requests += n,
            Action::LoseAnswers(n) => self.lost_answers += n,
            Action::Zombie(n) => self.zombie(n),
            Action::Simple => {
                let (member_id, instance_id) = (Arc::default(), None);
                let claim = MemberClaim { generation: -1, member_id, instance_id };
                self.soon(What::Arrive { from: None, request: Request::Commit(claim) });
            }
            Action::SlowDisk(ms) => self.slow_disk = ms,
        }
    }

    /// Somebody speaks who was a member once. It may still be one; what it was told since then it does not know.
    fn zombie(&mut self, n: u32) {
        let Some(count) = (!self.identities.is_empty()).then_some(self.identities.len()) else { return };
        let claim = self.identities[n as usize % count].clone();
        let mut requests = vec![Request::Commit(claim.clone()), Request::Heartbeat(claim.clone())];
        if claim.generation < self.oracle.told() {
            let everything: Arc<[u8]> = (0..PARTITIONS).collect::<Vec<u8>>().into();
            let assignments = vec![(claim.member_id.clone(), everything)];
            requests.push(Request::Sync(SyncRequest {
                claim,
                protocol_type: None,
                protocol_name: None,
                assignments,
            }));
        }
        for request in requests {
            self.soon(What::Arrive { from: None, request });
        }
    }
}
