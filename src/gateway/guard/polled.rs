//! Positions that the gateway asks for by itself: what somebody moved without it is followed, and not fought.

use std::sync::Arc;

use super::Guard;
use super::positions::{Places, Seen};
use crate::client::{Asked, Cluster, Error};
use crate::model::names::GroupName;
use crate::model::op::Actor;

/// Positions of one question.
const PAGE: usize = 1_000;

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Polled {
    /// Its floors are where the cluster had it.
    Followed,
    /// A commit came between, and knows better.
    Busy,
    /// There is nothing of it to be followed.
    Nothing,
}

impl Guard {
    /// Asks the cluster where it has a group, of which the store has positions, and follows.
    pub(in crate::gateway) async fn poll(
        self: &Arc<Self>,
        cluster: &mut Cluster,
        group: &GroupName,
    ) -> Result<Polled, Error> {
        let Some(seat) = self.seat() else { return Ok(Polled::Nothing) };
        let name = group.as_str();
        let handle = self.groups.handle(name);
        let Some(turns) = handle.turns() else { return Ok(Polled::Busy) };
        let Ok(held) = seat.coordinator().fetch_all(seat.tenant, name) else { return Ok(Polled::Nothing) };
        if held.is_empty() {
            return Ok(Polled::Nothing);
        }
        let mut told = Places::new();
        for page in held.chunks(PAGE) {
            // Named, not "all": of what we may not see, the cluster says so only where it is named.
            let mut asked = Asked::new();
            for position in page {
                let stream = position.stream.as_str().to_owned();
                asked.entry(stream).or_default().push(position.partition);
            }
            let found = cluster.offsets(name, Some(&asked)).await?;
            told.extend(found.into_iter().filter(|found| found.error.is_none()).map(|found| {
                let seen = found.offset.map(|offset| Seen {
                    offset,
                    leader_epoch: found.leader_epoch.unwrap_or(-1),
                    metadata: found.metadata.into(),
                });
                ((found.topic.into(), found.partition), seen)
            }));
        }
        // A turn that began meanwhile ends with something newer.
        let Some(mut turn) = handle.turn_if(turns) else { return Ok(Polled::Busy) };
        if seat.follow(name, &told, true).await
            && told.len() == held.len()
            && told.values().all(Option::is_none)
        {
            // Nothing is left of it in the cluster: not a group without positions either.
            let actor = Arc::new(Actor::named("offsetd gateway: the group is gone from the cluster"));
            let delete = seat.coordinator().delete_group(seat.tenant, group.clone(), actor);
            // What the store cannot it has counted; the group is asked for again.
            let _ = seat.in_time(delete).await;
        }
        turn.settle();
        Ok(Polled::Followed)
    }
}
