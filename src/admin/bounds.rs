//! `GET /v1/gaps`: what groups have lost. `GET` and `POST /v1/bounds`: where streams begin and end, asked and told, as JSON
//! (`bounds_view`). To tell is to change something: only where `admin.allow_changes` says so, since nobody is asked here who they are.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::bounds_view::{BoundsView, GapsView, PartitionBoundsView, ToldBounds, ToldPartition};
use super::seeing::{Asked, DEFAULT_TENANT, No, answer, in_turn, no_tenant};
use crate::coordinator::SeeingError;
use crate::coordinator::bounds::is_the_askers;
use crate::model::bounds::Bounds;
use crate::model::op::Actor;
use crate::model::refusal::Refusal;

/// Largest body of a POST, in bytes: the bounds of some 10,000 partitions.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;

pub(super) async fn gaps(State(state): State<super::State>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let mut asked = Asked::parse(query.as_deref(), &["tenant", "group", "limit"])?;
        let (tenant, limit) = (asked.tenant(), asked.limit()?);
        let group = asked.take("group");
        let coordinator = state.coordinator()?;
        let look = move || match &group {
            Some(group) => {
                let found = coordinator.lag(&tenant, group).map_err(failed)?;
                let lag = found.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
                let none = || No(StatusCode::NOT_FOUND, format!("there is no group {group:.200?}"), None);
                Ok(GapsView::of_group(&tenant, group, &lag.ok_or_else(none)?, limit))
            }
            None => {
                let found = coordinator.gaps(&tenant, limit).map_err(failed)?;
                Ok(GapsView::of_all(&tenant, &found.ok_or_else(|| no_tenant(&coordinator, &tenant))?))
            }
        };
        in_turn(&state.turns, look).await
    })
    .await
}

pub(super) async fn bounds(State(state): State<super::State>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let mut asked = Asked::parse(query.as_deref(), &["tenant", "stream"])?;
        let tenant = asked.tenant();
        let stream = asked.take("stream").ok_or_else(|| No::bad("stream is missing: ?stream=S"))?;
        let coordinator = state.coordinator()?;
        let look = move || {
            let found = coordinator.stream_bounds(&tenant, &stream).map_err(failed)?;
            let known = found.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
            let all = known.ok_or_else(|| failed(SeeingError::Refused(Refusal::UnknownStream)))?;
            let partitions = all.into_iter().map(|(partition, bounds)| PartitionBoundsView {
                partition,
                start: bounds.map(|bounds| bounds.start),
                end: bounds.map(|bounds| bounds.end),
            });
            Ok(BoundsView { tenant, stream, partitions: partitions.collect() })
        };
        in_turn(&state.turns, look).await
    })
    .await
}

pub(super) async fn tell_bounds(
    State(state): State<super::State>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(async {
        if !state.allow_changes {
            let hint = "set admin.allow_changes = true; the listener asks nobody who they are".to_owned();
            let error = "this server takes no changes here".to_owned();
            return Err(No(StatusCode::FORBIDDEN, error, Some(hint)));
        }
        // A page in somebody's browser can post to a loopback address, but not as this type without asking first.
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            let error = "the content type is not application/json".to_owned();
            return Err(No(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, None));
        }
        let asked: ToldBounds = serde_json::from_slice(&body).map_err(|error| No::bad(error.to_string()))?;
        let tenant = asked.tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
        let of = |told: &ToldPartition| {
            let Bounds { start, end } = Bounds::new(told.start, told.end)
                .map_err(|error| No::bad(format!("partition {}: {error}", told.partition)))?;
            Ok((told.partition, Bounds { start, end }))
        };
        let bounds = asked.partitions.iter().map(of).collect::<Result<Vec<_>, No>>()?;
        let actor = Arc::new(Actor::named("offsetd: admin listener"));
        let coordinator = state.coordinator()?;
        let told = coordinator.tell_bounds(&tenant, &asked.stream, bounds, actor).await;
        told.map_err(failed)?.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
        let partitions = asked.partitions.into_iter().map(|told| PartitionBoundsView {
            partition: told.partition,
            start: Some(told.start),
            end: Some(told.end),
        });
        Ok(BoundsView { tenant, stream: asked.stream, partitions: partitions.collect() })
    })
    .await
}

fn failed(error: SeeingError) -> No {
    let status = match &error {
        SeeingError::Refused(Refusal::UnknownStream) => StatusCode::NOT_FOUND,
        SeeingError::Refused(Refusal::RecordsAreHere) => StatusCode::CONFLICT,
        SeeingError::Refused(Refusal::NoSpace { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        error if is_the_askers(error) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    No(status, error.to_string(), None)
}
