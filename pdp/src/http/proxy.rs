//! `GET /proxy/check`, for the MeshGuard SDKs that exist. They let an action run on any 2xx, so only an allow is one.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use meshguard_engine::Request;
use meshguard_proto::v1::{Effect, PolicyResponse};
use serde_json::{Value, json};

use super::{Agent, Shared, json as answers, said};
use crate::evaluate::evaluate;
use crate::failure::Failure;

/// 200 for an allow; 403 for a deny, for require_approval, and for an allow with obligations, which these SDKs can't
/// meet; 503 for what couldn't be judged.
pub(super) async fn check(
    State(state): State<Shared>,
    Agent(caller): Agent,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let request = read(&headers)?;
    let (action, trace_id) = (request.action.clone(), request.trace_id.clone());
    let answer = evaluate(&state, &caller, request).await?;
    let status = match answer.effect() {
        Effect::Allow if answer.obligations.is_empty() => StatusCode::OK,
        Effect::Allow | Effect::Deny | Effect::RequireApproval => StatusCode::FORBIDDEN,
        Effect::Error | Effect::Unspecified => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body =
        if status == StatusCode::OK { allowed(&answer, &trace_id) } else { refused(&answer, &action, &trace_id) };
    let decision = if status == StatusCode::OK { "allow" } else { "deny" };
    let headers = [(header::CACHE_CONTROL.as_str(), "no-store"), ("x-meshguard-decision", decision)];
    Ok((status, headers, Json(body)).into_response())
}

fn read(headers: &HeaderMap) -> Result<Request, Failure> {
    let text = |name| said(headers, name).map(Option::unwrap_or_default).map_err(Failure::bad_input);
    let action = text("x-meshguard-action")?;
    if action.is_empty() {
        return Err(Failure::bad_input("say what is to be done in `X-MeshGuard-Action`"));
    }
    let mut request = Request::new(text("x-meshguard-agent-id")?, action).resource(text("x-meshguard-resource")?);
    request.trace_id = text("x-meshguard-trace-id")?.to_owned();
    match said(headers, "x-meshguard-meta").map_err(Failure::bad_input)? {
        None => Ok(request),
        Some(meta) => request.context(meta).map_err(|e| Failure::bad_input(format!("X-MeshGuard-Meta: {e}"))),
    }
}

fn allowed(answer: &PolicyResponse, trace_id: &str) -> Value {
    json!({
        "decision": "allow", "policy": answer.policy_version, "rule": answer.matched_rule, "traceId": trace_id,
    })
}

fn refused(answer: &PolicyResponse, action: &str, trace_id: &str) -> Value {
    let code = answer.reasons.first().map_or("policy", |reason| reason.code.as_str());
    let code = if answer.effect() == Effect::Allow { "unknown_obligation" } else { code };
    json!({
        "error": code, "message": answer.reason, "reason": answer.reason, "action": action,
        "policy": answer.policy_version, "rule": answer.matched_rule, "decision": answers::decision(answer.effect()),
        "approval_id": answer.approval.as_ref().map(|approval| &approval.id), "trace_id": trace_id,
    })
}
