//! Deciding for a caller, for both front doors.

use std::sync::Arc;
use std::time::Instant;

use meshguard_engine::{Decision, Engine, Identity, Outcome, ReasonCode, Request};
use meshguard_proto::v1::PolicyResponse;

use crate::auth::same_tenant;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::state::{State, blocking};
use crate::wire;

/// How often a batch is begun again because the policy changed in the middle of it.
const MAX_ATTEMPTS: usize = 8;

/// Who asks, and which of the tenant's policies.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) identity: Arc<Identity>,
    pub(crate) scope: String,
}

/// Decides one request. What can't be judged is an answer with the effect ERROR; a failure is the request's or the
/// credential's fault, or says to come back later.
pub(crate) async fn evaluate(state: &Arc<State>, caller: &Caller, request: Request) -> Result<PolicyResponse, Failure> {
    let answers = evaluate_all(state, caller, vec![request]).await?;
    answers.into_iter().next().unwrap_or_else(|| Err(Failure::internal(&"no answer to a request")))
}

/// Decides all `requests` under one revision.
///
/// The engine takes one snapshot for each request, so that all agree is checked after: if a publication came in between,
/// all are evaluated again, and only what agrees is recorded and answered.
pub(crate) async fn evaluate_all(
    state: &Arc<State>,
    caller: &Caller,
    requests: Vec<Request>,
) -> Result<Vec<Result<PolicyResponse, Failure>>, Failure> {
    for request in &requests {
        same_tenant(&caller.identity, &request.tenant_id)?;
        check(request)?;
    }
    let turn = state.gate.enter().await.inspect_err(|_| state.metrics.busy.add(1))?;
    let (state, caller) = (Arc::clone(state), caller.clone());
    blocking(move || {
        let _turn = turn;
        let started = Instant::now();
        let requests: Vec<Request> =
            requests.into_iter().map(|request| request.with_identity(Arc::clone(&caller.identity))).collect();
        let scope = state.tenants.scope(caller.identity.tenant(), &caller.scope);
        let answers = scope.and_then(|scope| scope.ask(|engine| decide(engine, &requests)));
        let answers = answers.unwrap_or_else(|| Ok(requests.iter().map(no_policy).collect()))?;
        for answer in answers.iter().flatten() {
            count(&state.metrics, answer);
        }
        state.metrics.decided_in(started.elapsed());
        Ok(answers)
    })
    .await?
}

type Answers = Vec<Result<PolicyResponse, Failure>>;

fn decide(engine: &Engine, requests: &[Request]) -> Result<Answers, Failure> {
    for _ in 0..MAX_ATTEMPTS {
        let outcomes: Vec<Outcome> = requests.iter().map(|request| engine.outcome(request)).collect();
        let first = outcomes.first().and_then(Outcome::revision);
        if outcomes.iter().all(|outcome| outcome.revision() == first) {
            let recorded = requests.iter().zip(outcomes).map(|(request, outcome)| engine.record(request, outcome));
            return Ok(recorded.map(|decision| answer(&decision)).collect());
        }
    }
    Err(Failure::unavailable("changing", "the policy changes faster than the batch is decided; try again"))
}

/// A decision that is certain is an answer; so is a deny by policy. What couldn't be judged is an error, never an allow.
fn answer(decision: &Decision) -> Result<PolicyResponse, Failure> {
    let reason = decision.reasons().first();
    let (code, message) = reason.map_or((ReasonCode::Panic, ""), |reason| (reason.code, reason.message.as_str()));
    match code {
        ReasonCode::BadInput => Err(Failure::bad_input(message)),
        _ if decision.certain && decision.recorded && code != ReasonCode::Panic => Ok(wire::response(decision)),
        _ => {
            let text =
                if message.is_empty() { advice(code).to_owned() } else { format!("{}: {message}", advice(code)) };
            let mut error = wire::error(decision.request_id.clone(), code.as_str(), text, wire::may_pass(code));
            let decided = wire::response(decision);
            error.policy_version = decided.policy_version;
            error.evaluation_id = decided.evaluation_id;
            error.evaluated_at_unix_ms = decided.evaluated_at_unix_ms;
            error.latency_us = decided.latency_us;
            error.bundle_digest = decided.bundle_digest;
            error.revision = decided.revision;
            Ok(error)
        }
    }
}

fn no_policy(request: &Request) -> Result<PolicyResponse, Failure> {
    let code = ReasonCode::NoBundle;
    Ok(wire::error(request.request_id.clone(), code.as_str(), advice(code).to_owned(), true))
}

fn advice(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::NoBundle => "no policy is published here; publish one",
        ReasonCode::Expired => "the policy has expired; publish a new version",
        ReasonCode::BelowRequested => "an older revision than asked for serves here; try again",
        ReasonCode::Budget => "the evaluation ran out of its time",
        ReasonCode::AuditUnavailable => "the decision couldn't be recorded; try again",
        ReasonCode::ClockSuspect => "the server's clock is behind the policy's signature",
        _ => "the request couldn't be judged",
    }
}

/// What every reader of a request would refuse, whichever door it came by.
fn check(request: &Request) -> Result<(), Failure> {
    if request.action.is_empty() {
        return Err(Failure::bad_input("`action` must be named"));
    }
    if request.actor.trust_score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
        return Err(Failure::bad_input("`trust_score` lies between 0 and 1"));
    }
    Ok(())
}

fn count(metrics: &Metrics, answer: &PolicyResponse) {
    use meshguard_proto::v1::Effect as Wire;
    match answer.effect() {
        Wire::Allow => metrics.allowed.add(1),
        Wire::Deny => metrics.denied.add(1),
        Wire::RequireApproval => metrics.approvals.add(1),
        Wire::Error | Wire::Unspecified => metrics.undecided.add(1),
    }
}
