//! What the guard learns from answers that pass: positions that clients fetch, positions and groups that they delete.

use std::sync::Arc;

use super::Guard;
use super::groups::Handle;
use super::positions::{self, groups_asked};
use crate::gateway::apis::Way;
use crate::gateway::cursor::{Cursor, Unreadable, answer_body};
use crate::gateway::link::{End, Expect};
use crate::gateway::requests::{Head, Requests, body, client_id};
use crate::model::names::{GroupName, StreamName, cut};
use crate::model::op::Actor;
use crate::wire::codes;

/// Larger questions and answers about positions pass unread: what they say is found out when it matters.
pub(in crate::gateway) const MOST_READ_BYTES: usize = 1 << 20;
/// Groups of one question that are followed.
const MOST_GROUPS: usize = 100;

/// A fetch of positions that is not answered yet.
#[derive(Debug)]
pub(in crate::gateway) struct Fetching {
    guard: Arc<Guard>,
    version: i16,
    flexible: bool,
    /// Each with the number of its turn: if that is another at the end, the answer may be of before.
    groups: Vec<(Arc<str>, Handle, u64)>,
}

/// A deletion that is not answered yet.
#[derive(Debug)]
pub(in crate::gateway) struct Taking {
    guard: Arc<Guard>,
    actor: Arc<Actor>,
    /// The group that positions are taken from; `None`: whole groups go.
    group: Option<Arc<str>>,
    flexible: bool,
}

impl Requests<'_> {
    pub(in crate::gateway) async fn offset_fetch(&mut self, head: Head) -> Result<(), End> {
        if head.size > MOST_READ_BYTES {
            return self.pass(head, Some(Expect::Pass)).await;
        }
        let piece = self.take(head).await?;
        let guard = self.link.shared.guard.clone();
        let mut groups = groups_asked(&piece.bytes, head).map_err(|why| head.malformed(why))?;
        groups.truncate(MOST_GROUPS);
        let noted = groups.into_iter().filter_map(|name| {
            let handle = guard.groups.handle(&name);
            let turns = handle.turns()?;
            Some((name, handle, turns))
        });
        let groups = noted.collect();
        let flexible = head.api.flexible(head.version);
        let fetching = Fetching { guard, version: head.version, flexible, groups };
        self.forward(head, Expect::Positions(Box::new(fetching)), &piece.bytes).await
    }

    /// OffsetDelete and DeleteGroups.
    pub(in crate::gateway) async fn deletion(&mut self, head: Head) -> Result<(), End> {
        let piece = self.take(head).await?;
        let mut group = None;
        if head.api.way == Way::OffsetDelete {
            let name = body(&piece.bytes, head).and_then(|mut body| body.text());
            group = Some(name.map_err(|why| head.malformed(why))?.unwrap_or_default().into());
        }
        let actor = Arc::new(Actor {
            principal: self.link.principal(),
            client_id: cut(client_id(&piece.bytes).unwrap_or_default()).into(),
            host: self.link.address.clone(),
            member_id: Arc::default(),
        });
        let guard = self.link.shared.guard.clone();
        let taking = Taking { guard, actor, group, flexible: head.api.flexible(head.version) };
        self.forward(head, Expect::Taken(Box::new(taking)), &piece.bytes).await
    }
}

impl Fetching {
    /// Takes the cluster's answer, which the client has by now: a frame without its size.
    pub(in crate::gateway) async fn answered(self, frame: &[u8]) -> Result<(), Unreadable> {
        let Self { guard, version, flexible, mut groups } = self;
        let at = answer_body(frame, i16::from(flexible))?;
        let told = positions::read(frame.get(at..).unwrap_or_default(), version, flexible)?;
        for (name, places) in told {
            let asked = groups.iter().position(|(asked, ..)| name.as_ref().is_none_or(|name| name == asked));
            let Some((name, handle, turns)) = asked.map(|index| groups.swap_remove(index)) else { continue };
            if handle.turns() != Some(turns) {
                continue;
            }
            let Some(mut held) = handle.turn_now() else { continue };
            // Without a store there is nothing to follow with; it asks when it is there.
            if let Some(seat) = guard.seat() {
                seat.follow(&name, &places, false).await;
            }
            held.settle();
        }
        Ok(())
    }
}

impl Taking {
    /// Takes the cluster's answer: a frame without its size. What it says is gone loses its floor.
    pub(in crate::gateway) async fn answered(self, frame: &[u8]) -> Result<(), Unreadable> {
        let at = answer_body(frame, i16::from(self.flexible))?;
        let cursor = &mut Cursor::new(frame.get(at..).unwrap_or_default(), self.flexible);
        match &self.group {
            Some(group) => self.offsets(group, cursor).await,
            None => self.groups(cursor).await,
        }
    }

    async fn offsets(&self, group: &str, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        let code = cursor.i16()?;
        cursor.i32()?;
        let mut gone = Vec::new();
        for _ in 0..cursor.count()? {
            let stream = StreamName::new(cursor.text()?.unwrap_or_default());
            for _ in 0..cursor.count()? {
                let (partition, code) = (cursor.i32()?, cursor.i16()?);
                if code == codes::NONE {
                    gone.extend(stream.clone().ok().map(|stream| (stream, partition)));
                }
            }
        }
        let guard = &self.guard;
        if let (codes::NONE, false, Ok(group)) = (code, gone.is_empty(), GroupName::new(group)) {
            let deleted = gone.len();
            if let Some(seat) = guard.seat() {
                let actor = self.actor.clone();
                let delete = seat.coordinator().delete_offsets(seat.tenant, group.clone(), gone, actor);
                // A floor that stays is held against the cluster when it matters.
                let _ = seat.in_time(delete).await;
            }
            self.tell(group.as_str(), deleted, "offsets deleted in the cluster");
        }
        Ok(())
    }

    async fn groups(&self, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        cursor.i32()?;
        for _ in 0..cursor.count()? {
            let (group, code) = (GroupName::new(cursor.text()?.unwrap_or_default()), cursor.i16()?);
            cursor.tags()?;
            if let (Ok(group), codes::NONE) = (group, code) {
                if let Some(seat) = self.guard.seat() {
                    let delete =
                        seat.coordinator().delete_group(seat.tenant, group.clone(), self.actor.clone());
                    let _ = seat.in_time(delete).await;
                }
                self.tell(group.as_str(), 0, "group deleted in the cluster");
            }
        }
        Ok(())
    }

    fn tell(&self, group: &str, positions: usize, what: &str) {
        let Some(left_out) = self.guard.lines.take() else { return };
        let (group, client_id, address) = (cut(group), &*self.actor.client_id, &*self.actor.host);
        let principal = &*self.actor.principal;
        tracing::info!(group, positions, client_id, principal, address, left_out, "{what}");
    }
}
