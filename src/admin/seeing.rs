//! `GET /v1/refusals`, `GET /v1/why`, `GET /v1/expired`: who was refused, who made a position what it is, and which groups no
//! list has any more, as JSON (`view`). They are read on a thread that may block, by a few at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::view::{ErrorView, ExpiredView, RefusalsView, WhyView, name_tenants};
use crate::coordinator::Coordinator;
use crate::model::names::NameError;
use crate::model::seeing::MAX_EVENTS;

/// Walks of the history at a time; each may read all of it.
const WALKS: usize = 2;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// Events told if no limit is given.
const DEFAULT_EVENTS: usize = 20;
/// The tenant meant if none is named.
pub(super) const DEFAULT_TENANT: &str = "default";

/// Takes turns at the history.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WALKS)))
    }
}

/// A question that is not answered: status, what is wrong, what would do.
pub(super) struct No(pub(super) StatusCode, pub(super) String, pub(super) Option<String>);

impl No {
    pub(super) fn bad(error: impl Into<String>) -> Self {
        No(StatusCode::BAD_REQUEST, error.into(), None)
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let No(status, error, hint) = self;
        json(status, &ErrorView { error, hint })
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(body) {
        Ok(mut text) => {
            text.push(b'\n');
            (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

pub(super) async fn refusals(State(state): State<super::State>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let mut asked = Asked::parse(query.as_deref(), &["tenant", "group", "limit", "after"])?;
        let (tenant, limit) = (asked.tenant(), asked.limit()?);
        let group = asked.take("group");
        let after = asked.number("after", 0)?;
        let (coordinator, whose) = (state.coordinator()?, state.whose.clone());
        let walk = move || {
            let found = coordinator.refusals(&tenant, group.as_deref(), after, limit).map_err(failed)?;
            let refusals = found.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
            let mut view = RefusalsView::new(&tenant, &refusals);
            whose.iter().for_each(|whose| name_tenants(&mut view.refusals, whose));
            Ok(view)
        };
        in_turn(&state.turns, walk).await
    })
    .await
}

pub(super) async fn expired(State(state): State<super::State>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let mut asked = Asked::parse(query.as_deref(), &["tenant", "limit", "after"])?;
        let (tenant, limit) = (asked.tenant(), asked.limit()?);
        let after = asked.take("after");
        let coordinator = state.coordinator()?;
        let walk = move || {
            let found = coordinator.expired_groups(&tenant, after.as_deref(), limit).map_err(failed)?;
            let groups = found.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
            Ok(ExpiredView::new(&tenant, &groups))
        };
        in_turn(&state.turns, walk).await
    })
    .await
}

pub(super) async fn why(State(state): State<super::State>, RawQuery(query): RawQuery) -> Response {
    answer(async {
        let mut asked = Asked::parse(query.as_deref(), &["tenant", "group", "stream", "partition", "limit"])?;
        let (tenant, limit) = (asked.tenant(), asked.limit()?);
        let missing = |name| move || No::bad(format!("{name} is missing: ?group=G&stream=S&partition=P"));
        let group = asked.take("group").ok_or_else(missing("group"))?;
        let stream = asked.take("stream").ok_or_else(missing("stream"))?;
        let partition = asked.number("partition", 0)?;
        let (coordinator, whose) = (state.coordinator()?, state.whose.clone());
        let walk = move || {
            let found = coordinator.why(&tenant, &group, &stream, partition, limit).map_err(failed)?;
            let (why, mode) = found.ok_or_else(|| no_tenant(&coordinator, &tenant))?;
            let mut view = WhyView::new((&tenant, &group, &stream, partition), &why, Some(mode));
            if let Some(whose) = &whose {
                name_tenants(&mut view.events, whose);
                name_tenants(&mut view.earlier, whose);
            }
            Ok(view)
        };
        in_turn(&state.turns, walk).await
    })
    .await
}

pub(super) async fn answer<T: Serialize>(asking: impl Future<Output = Result<T, No>>) -> Response {
    match asking.await {
        Ok(view) => json(StatusCode::OK, &view),
        Err(no) => no.into_response(),
    }
}

/// Runs a walk of the history when it is its turn. The turn ends with the walk, not with the asker's patience.
pub(super) async fn in_turn<T: Send + 'static>(
    turns: &Turns,
    walk: impl FnOnce() -> Result<T, No> + Send + 'static,
) -> Result<T, No> {
    let busy = || {
        let hint = Some("others are reading the history; try again".to_owned());
        No(StatusCode::SERVICE_UNAVAILABLE, "too many questions at once".to_owned(), hint)
    };
    let turn = tokio::time::timeout(TURN, turns.0.clone().acquire_owned()).await;
    let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    let walked = tokio::task::spawn_blocking(move || {
        let _until_done = turn;
        walk()
    });
    let gone = |error| No(StatusCode::INTERNAL_SERVER_ERROR, format!("reading the history: {error}"), None);
    walked.await.map_err(gone)?
}

fn failed(error: crate::coordinator::SeeingError) -> No {
    use crate::coordinator::SeeingError;
    let status = match &error {
        SeeingError::Name(
            NameError::NotAllowed { .. } | NameError::TooLong { .. } | NameError::Empty { .. },
        ) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    No(status, error.to_string(), None)
}

pub(super) fn no_tenant(coordinator: &Coordinator, tenant: &str) -> No {
    const TOLD: usize = 10;
    let known = coordinator.tenants().unwrap_or_default();
    let more = if known.len() > TOLD { ", ..." } else { "" };
    let names: Vec<_> = known.iter().take(TOLD).map(|name| format!("{name:.200?}")).collect();
    let hint = format!("this store has {}{more}", names.join(", "));
    No(StatusCode::NOT_FOUND, format!("there is no tenant {tenant:.200?}"), Some(hint))
}

/// A query string, taken apart.
pub(super) struct Asked(HashMap<String, String>);

impl Asked {
    /// Names that are not known are an error: a misspelt filter must not look like an answer to it. So is text that is not
    /// UTF-8: no two names may become one.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, No> {
        let mut asked = HashMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                let decoded = percent_decode_str(&text).decode_utf8().map(|text| text.into_owned());
                decoded.map_err(|_| No::bad(format!("the value of {name:.100?} is not UTF-8")))
            };
            let name = decoded(name)?;
            if !known.contains(&name.as_str()) {
                return Err(No::bad(format!("{name:.100?} is not known; there are {}", known.join(", "))));
            }
            if asked.insert(name, decoded(value)?).is_some() {
                return Err(No::bad("a name stands twice"));
            }
        }
        Ok(Self(asked))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(super) fn tenant(&mut self) -> String {
        self.take("tenant").unwrap_or_else(|| DEFAULT_TENANT.to_owned())
    }

    pub(super) fn limit(&mut self) -> Result<usize, No> {
        Ok(self.number("limit", DEFAULT_EVENTS)?.min(MAX_EVENTS))
    }

    fn number<N: std::str::FromStr>(&mut self, name: &str, default: N) -> Result<N, No> {
        match self.take(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| No::bad(format!("{name}={text:.50}: this is not such a number")))
            }
        }
    }
}
