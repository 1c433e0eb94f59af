//! Asking for a decision over HTTP.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use meshguard_engine::{Digest, Request};
use meshguard_proto::v1::Effect;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Agent, Shared, Whole, json};
use crate::evaluate::{evaluate, evaluate_all};
use crate::failure::Failure;

/// `POST /api/v1/pdp/evaluate`: 200 if it was decided, whatever the decision; 503 if it couldn't be.
pub(super) async fn one(State(state): State<Shared>, Agent(caller): Agent, body: Whole) -> Result<Response, Failure> {
    let answer = evaluate(&state, &caller, read(&body.0)?).await?;
    let decided = answer.effect() != Effect::Error;
    Ok(answered(decided, json::response(&answer)))
}

/// `POST /api/v1/pdp/evaluate/batch`: all under one revision. 503 only if none could be decided.
pub(super) async fn batch(State(state): State<Shared>, Agent(caller): Agent, body: Whole) -> Result<Response, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch<'a> {
        #[serde(borrow)]
        requests: Vec<&'a RawValue>,
    }
    let batch: Batch<'_> = serde_json::from_slice(&body.0).map_err(|e| Failure::bad_input(format!("batch: {e}")))?;
    let limit = state.limits.batch_requests;
    if batch.requests.len() > limit {
        return Err(Failure::too_large(format!("{} requests in a batch; send at most {limit}", batch.requests.len())));
    }
    let read = |(at, raw): (usize, &&RawValue)| {
        read(raw.get().as_bytes()).map_err(|e| Failure::bad_input(format!("request {at}: {}", e.message())))
    };
    let requests: Vec<Request> = batch.requests.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let answers = evaluate_all(&state, &caller, requests).await?;
    let revision = answers.iter().flatten().find_map(|answer| answer.revision.as_ref()).map(json::revision);
    let decided =
        answers.is_empty() || answers.iter().any(|a| a.as_ref().map_or(true, |a| a.effect() != Effect::Error));
    let responses: Vec<Value> = answers
        .iter()
        .map(|answer| match answer {
            Ok(answer) => json::response(answer),
            Err(failure) => json!({
                "effect": Effect::Error.as_str_name(), "decision": "error",
                "error": {"code": failure.code(), "message": failure.message()},
            }),
        })
        .collect();
    Ok(answered(decided, json!({"responses": responses, "revision": revision})))
}

fn answered(decided: bool, body: Value) -> Response {
    let status = if decided { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn read(json: &[u8]) -> Result<Request, Failure> {
    let request = Request::from_json(json).map_err(|e| Failure::bad_input(e.to_string()))?;
    let hash = &request.context_hash;
    if !hash.is_empty() && *hash != Digest::of(request.context.as_json().as_bytes()).to_string() {
        return Err(Failure::bad_input("`context_hash` isn't the digest of `context`"));
    }
    Ok(request)
}
