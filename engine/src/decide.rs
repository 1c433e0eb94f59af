//! A decision: no lock on a queue's fast path, no disk, no network, no `await`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::audit::{Asked, NotRecorded, Recording};
use crate::bundle::{BuiltinErrors, DEFAULT_ENTRYPOINT, Defer, Entrypoint, Mode, Revision};
use crate::decision::{Decision, Effect, Reason, ReasonCode, Source, Verdict};
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::Error;
use crate::eval::{Evaluated, Judged, document, judge, read_strict};
use crate::identity::Identity;
use crate::request::{BadInput, Request};
use crate::snapshot::Snapshot;

/// How far the wall clock may be behind a signed time before time-based rules aren't trusted, in milliseconds.
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// How long a durable record may take before the decision becomes a deny.
const DURABLE_PATIENCE: Duration = Duration::from_secs(2);

/// What the engine can say by itself, before anybody else is asked and before it is recorded.
#[derive(Debug, Clone)]
#[must_use = "an outcome isn't a decision until it is recorded"]
pub struct Outcome {
    verdict: Verdict,
    certain: bool,
    /// The allow that fail-open may fall back on, and why the answer isn't certain.
    open_allow: Option<(Verdict, ReasonCode)>,
    source: Source,
    revision: Option<Revision>,
    program: Option<Digest>,
    mode: Mode,
    entrypoint: Entrypoint,
    policy_age_ms: Option<u64>,
    plain: Arc<[String]>,
    started_ns: u64,
    fail_open: bool,
}

impl Outcome {
    /// Whether the answer is the same whatever data isn't held here. If not, the verdict is a deny that says why.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.certain
    }

    /// Whether the remote PDP may be asked: the answer isn't certain, and the entrypoint doesn't forbid it.
    #[must_use]
    pub fn may_defer(&self) -> bool {
        !self.certain && self.entrypoint.defer != Defer::Never
    }

    /// What it says as it stands.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The bundle that was asked.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The digest of everything in the bundle that decides; two outcomes of different programs aren't comparable.
    pub fn program(&self) -> Option<Digest> {
        self.program
    }

    /// The remote PDP answered, from the revision that it names.
    pub fn answered(mut self, verdict: Verdict, revision: Option<Revision>) -> Self {
        if revision.is_some() && revision != self.revision {
            // A signed bundle may relax its own decisions, not another's.
            self.mode = Mode::Enforce;
        }
        self.verdict = verdict;
        self.revision = revision.or(self.revision);
        self.source = Source::Remote;
        self.certain = true;
        self
    }

    /// The remote PDP gave no answer: deny, and say why after the reasons for asking it.
    pub fn unanswered(mut self, reason: Reason) -> Self {
        self.verdict.reasons.push(reason);
        self.source = Source::FailureMode;
        self
    }

    /// Whether fail-open may apply at all: a verified bundle is in hand, and either it allows and is merely too old, or it
    /// allows or denies depending on data that isn't held. Where it may ask for an approval, or allow in more than one
    /// way, nobody could say what was allowed.
    #[must_use]
    pub fn may_fail_open(&self) -> bool {
        !self.certain && self.revision.is_some() && self.open_allow.is_some()
    }

    /// Fail-open applies: what the policy allowed or may allow, with its obligations; a deny as before where it may not
    /// apply. Its record is durable before the decision is returned.
    pub fn failed_open(mut self, reason: Reason) -> Self {
        let Some((mut allow, why)) = self.open_allow.take() else { return self.unanswered(reason) };
        allow.reasons.push(why.into());
        allow.reasons.push(reason);
        allow.reasons.push(ReasonCode::FailOpen.into());
        self.verdict = allow;
        self.source = Source::FailureMode;
        self.fail_open = true;
        self
    }
}

/// What a rule says about an input, for hosts that bring their own input shape.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// The rule's value, as JSON in which numbers stand as they were written and sets are arrays; none when it is undefined
    /// or not known.
    pub value: Option<Box<RawValue>>,
    /// Whether that is so whatever data isn't held here.
    pub certain: bool,
    /// What it is as a decision.
    pub verdict: Verdict,
    /// Whether the decision is the same whatever data isn't held here. Certain more often than the value: what doesn't
    /// allow, denies.
    pub verdict_certain: bool,
    /// The bundle that was asked.
    pub revision: Option<Revision>,
    /// How long it took, in nanoseconds.
    pub ns: u64,
}

impl Engine {
    /// Decides with what is held here: an uncertain answer is a deny. The decision is recorded.
    ///
    /// Never fails and never panics; whatever goes wrong is a deny with its reason.
    pub fn decide(&self, request: &Request) -> Decision {
        self.record(request, self.outcome(request))
    }

    /// Decides upon a request as JSON; one that can't be read is denied with the reason `bad_input`.
    pub fn decide_json(&self, request: &[u8]) -> Decision {
        let reason = match contained(|| Request::from_json(request)) {
            Some(Ok(request)) => return self.decide(&request),
            Some(Err(error)) => Reason::new(ReasonCode::BadInput, error.to_string()),
            None => ReasonCode::Panic.into(),
        };
        self.record(&Request::default(), self.refusal(Verdict::deny(reason)))
    }

    /// What the engine can say by itself. Not recorded: pass it to [`record`](Self::record), as it is or after the remote
    /// PDP or the failure mode spoke.
    pub fn outcome(&self, request: &Request) -> Outcome {
        contained(|| self.outcome_of(request)).unwrap_or_else(|| self.refusal(Verdict::deny(ReasonCode::Panic)))
    }

    fn outcome_of(&self, request: &Request) -> Outcome {
        let started_ns = self.clock.elapsed_ns();
        if self.opened.is_past() {
            return Outcome { started_ns, ..self.refusal(Verdict::deny(ReasonCode::Forked)) };
        }
        // INVARIANT (one revision per decision): the only load, held to the end.
        let guard = self.current.load();
        let Some(snapshot) = guard.as_deref() else {
            return Outcome { started_ns, certain: false, ..self.refusal(Verdict::deny(ReasonCode::NoBundle)) };
        };
        let path = if request.entrypoint.is_empty() { DEFAULT_ENTRYPOINT } else { request.entrypoint.as_str() };
        let age = self.age_ms();
        let mut outcome = Outcome {
            revision: snapshot.revision,
            program: Some(snapshot.program.digest()),
            policy_age_ms: age,
            plain: Arc::clone(&snapshot.plain),
            started_ns,
            ..self.refusal(Verdict::deny(ReasonCode::UnknownEntrypoint))
        };
        let Some(entrypoint) = snapshot.entrypoint(path) else {
            return outcome;
        };
        outcome.entrypoint = entrypoint.clone();
        if !request.tenant_id.is_empty() && request.tenant_id != self.tenant {
            outcome.verdict = Verdict::deny(Reason::new(ReasonCode::BadInput, "the request names another tenant"));
            return outcome;
        }
        if let Some(reason) = self.doubt(snapshot, path, entrypoint, request) {
            outcome.verdict = Verdict::deny(reason);
            outcome.certain = false;
            return outcome;
        }
        let evaluation = match document(request, &self.tenant, self.identity_of(request)) {
            Ok(input) => snapshot.program.evaluate(path, Some(&input), self.now_ns()),
            Err(error) => {
                outcome.verdict = Verdict::deny(Reason::new(ReasonCode::BadInput, error.to_string()));
                return outcome;
            }
        };
        outcome.mode = snapshot.mode();
        let Judged { verdict, certain, possible_allow } = judge(evaluation, entrypoint.builtin_errors);
        outcome.verdict = verdict;
        outcome.certain = certain;
        outcome.open_allow = possible_allow.map(|allow| (allow, ReasonCode::RemoteData));
        // A stale deny binds; a stale allow doesn't, where the entrypoint sets a limit.
        let too_old = entrypoint.max_staleness_ms.is_some_and(|limit| age.is_none_or(|age| age > limit));
        if too_old && outcome.certain && outcome.verdict.effect == Effect::Allow {
            let stale = Verdict::deny(ReasonCode::Stale);
            outcome.open_allow = Some((std::mem::replace(&mut outcome.verdict, stale), ReasonCode::Stale));
            outcome.certain = false;
        }
        outcome
    }

    /// Gives an outcome its id and records it, once. A decision that can't be recorded is a deny.
    pub fn record(&self, request: &Request, outcome: Outcome) -> Decision {
        let mut decision = self.decision(request, &outcome);
        if self.opened.is_past() {
            // The journal is the parent's. What must be recorded is denied; the rest says that it isn't.
            if outcome.entrypoint.durable || outcome.fail_open {
                decision.verdict = Verdict::deny(ReasonCode::Forked);
            }
            decision.recorded = false;
            return decision;
        }
        let asked =
            Asked { identity: request.identity.clone().or_else(|| self.identity.clone()), plain: outcome.plain };
        let recording = contained(|| match outcome.fail_open {
            true => Recording::fail_open(&decision, request, &asked),
            false => Recording::decision(&decision, request, asked),
        });
        let recorded = match recording {
            None => Err(NotRecorded),
            Some(recording) if outcome.fail_open || outcome.entrypoint.durable => {
                self.recorder.record_durably(recording, DURABLE_PATIENCE)
            }
            Some(recording) => self.recorder.record(recording),
        };
        if recorded == Err(NotRecorded) {
            decision.verdict = Verdict::deny(ReasonCode::AuditUnavailable);
            decision.would_be_effect = None;
            decision.recorded = false;
        }
        self.counters.count(decision.verdict.effect, outcome.certain);
        decision
    }

    /// Evaluates a rule by path over any input document, as OPA would, and doesn't record it.
    ///
    /// With [`BuiltinErrors::Deny`] an error of a builtin is an error, as in OPA's strict mode; else it makes its statement
    /// undefined, as in OPA's default mode.
    ///
    /// # Errors
    /// No bundle is held, it is withdrawn or expired, the input isn't strict JSON, or the evaluation raised an error;
    /// [`Error::Evaluation`] has OPA's code where OPA raises it as well.
    pub fn evaluate(&self, path: &str, input: &str, errors: BuiltinErrors) -> Result<Evaluation, Error> {
        contained(|| self.evaluation(path, input, errors))
            .unwrap_or_else(|| Err(Error::Internal("the evaluator panicked".into())))
    }

    fn evaluation(&self, path: &str, input: &str, errors: BuiltinErrors) -> Result<Evaluation, Error> {
        let started = self.clock.elapsed_ns();
        let refuse = |code: ReasonCode, detail: &str| Err(Error::evaluation(code.as_str(), detail));
        if self.opened.is_past() {
            return refuse(ReasonCode::Forked, "this process was forked after opening; open an engine of its own");
        }
        let guard = self.current.load();
        let Some(snapshot) = guard.as_deref() else {
            return refuse(ReasonCode::NoBundle, "no bundle is held; load one, or connect to a control plane");
        };
        if self.live.is_withdrawn() || self.is_expired(snapshot) {
            return refuse(ReasonCode::Expired, "the bundle is expired or withdrawn; see the status");
        }
        let input = read_strict(input).map_err(|e| Error::evaluation(ReasonCode::BadInput.as_str(), e.to_string()))?;
        let evaluation = snapshot.program.evaluate(path, Some(&input), self.now_ns());
        if errors == BuiltinErrors::Deny
            && let Some(error) = &evaluation.swallowed
        {
            return Err(Error::evaluation(error.code, error.to_string()));
        }
        let value = match &evaluation.value {
            Evaluated::Value(value) => {
                // `to_number("007")` is a number, but none of JSON's.
                let json = RawValue::from_string(value.to_json());
                Some(json.map_err(|e| {
                    Error::evaluation(ReasonCode::Unsupported.as_str(), format!("the value is no JSON: {e}"))
                })?)
            }
            Evaluated::Undefined | Evaluated::Unknown { .. } => None,
            Evaluated::Conflict(text) => return Err(Error::evaluation("eval_conflict_error", text.clone())),
            Evaluated::Unsupported(text) => {
                return Err(Error::evaluation(ReasonCode::Unsupported.as_str(), text.clone()));
            }
            Evaluated::Budget(what) => {
                return Err(Error::evaluation(ReasonCode::Budget.as_str(), format!("took more than it may: {what}")));
            }
            Evaluated::Panic => return Err(Error::Internal("the evaluator panicked".into())),
        };
        let may_raise = evaluation.may_halt || (errors == BuiltinErrors::Deny && evaluation.may_swallow);
        let certain = !matches!(evaluation.value, Evaluated::Unknown { .. }) && !may_raise;
        let errors = snapshot.entrypoint(path).map_or_else(BuiltinErrors::default, |asked| asked.builtin_errors);
        let Judged { verdict, certain: verdict_certain, .. } = judge(evaluation, errors);
        let ns = self.clock.elapsed_ns().saturating_sub(started);
        Ok(Evaluation { value, certain, verdict, verdict_certain, revision: snapshot.revision, ns })
    }

    fn now_ns(&self) -> i64 {
        self.clock.wall_ms().saturating_mul(1_000_000)
    }

    /// The Rego `input` that is made of `request`, as JSON: what to show whoever asks why.
    ///
    /// # Errors
    /// The request's context isn't strict JSON.
    pub fn input_document(&self, request: &Request) -> Result<String, BadInput> {
        let document = document(request, &self.tenant, self.identity_of(request))?;
        Ok(document.to_json())
    }

    /// The verified identity that applies to the actor which `request` names, if any.
    fn identity_of<'a>(&'a self, request: &'a Request) -> Option<&'a Identity> {
        let identity = request.identity.as_deref().or(self.identity.as_deref());
        identity.filter(|identity| identity.applies_to(&self.tenant, &request.actor.id, self.clock.wall_ms()))
    }

    /// Why what is held can't be asked this now. These depend on the clock and on live state, so they come before
    /// anything that could be remembered.
    fn doubt(&self, snapshot: &Snapshot, path: &str, entrypoint: &Entrypoint, request: &Request) -> Option<ReasonCode> {
        if self.live.is_withdrawn() {
            return Some(ReasonCode::Withdrawn);
        }
        if self.is_expired(snapshot) {
            return Some(ReasonCode::Expired);
        }
        if request.at_least_revision.is_some_and(|asked| snapshot.revision.is_none_or(|held| held.order() < asked)) {
            return Some(ReasonCode::BelowRequested);
        }
        if entrypoint.defer == Defer::Always && !self.authority {
            return Some(ReasonCode::PolicyDefers);
        }
        let behind = snapshot.issued_at_ms.saturating_sub(self.clock.wall_ms());
        (snapshot.program.reads_time(path) && behind > CLOCK_SKEW_MS).then_some(ReasonCode::ClockSuspect)
    }

    /// A certain deny that no policy made.
    fn refusal(&self, verdict: Verdict) -> Outcome {
        Outcome {
            verdict,
            certain: true,
            open_allow: None,
            source: Source::Local,
            revision: None,
            program: None,
            mode: Mode::Enforce,
            entrypoint: Entrypoint::default(),
            policy_age_ms: None,
            plain: Arc::default(),
            started_ns: self.clock.elapsed_ns(),
            fail_open: false,
        }
    }

    fn decision(&self, request: &Request, outcome: &Outcome) -> Decision {
        let mut verdict = outcome.verdict.clone();
        if verdict.effect != Effect::Deny && !self.authority {
            let unknown = verdict.obligations.iter().find(|o| !self.obligations.contains(&o.id));
            if let Some(obligation) = unknown {
                verdict = Verdict::deny(Reason::new(ReasonCode::UnknownObligation, obligation.id.clone()));
            }
        }
        let mut would_be_effect = None;
        if outcome.mode == Mode::Audit && outcome.certain && verdict.effect != Effect::Allow {
            would_be_effect = Some(verdict.effect);
            verdict.effect = Effect::Allow;
        }
        Decision {
            id: self.next_id(),
            request_id: request.request_id.clone(),
            verdict,
            certain: outcome.certain,
            source: outcome.source,
            revision: outcome.revision,
            would_be_effect,
            policy_age_ms: outcome.policy_age_ms,
            at_ms: self.clock.wall_ms(),
            latency_ns: self.clock.elapsed_ns().saturating_sub(outcome.started_ns),
            recorded: true,
        }
    }
}

/// What `work` gives; nothing if it panics. It leaves nothing half done behind: whatever it changes, it owns.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
