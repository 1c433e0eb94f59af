//! A decision: no lock on a queue's fast path, no disk, no network, no `await`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Asked, Event, NotRecorded, PlainId, Question};
use crate::bundle::{AtLeast, DEFAULT_ENTRYPOINT, Defer, Mode};
use crate::clock::Now;
use crate::decision::{Decision, Effect, Reason, ReasonCode, Source, Verdict};
use crate::desk::{self, Asking, Page};
use crate::engine::Engine;
use crate::eval::{Entrypoint, Judged, document};
use crate::identity::Identity;
use crate::outcome::Outcome;
use crate::request::{BadInput, Request};
use crate::snapshot::Snapshot;

/// How far the wall clock may be behind a signed time before time-based rules aren't trusted, in milliseconds.
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// How long a durable record may take before the decision becomes a deny.
const DURABLE_PATIENCE: Duration = Duration::from_secs(2);

/// What of a question isn't for policies alone to read.
#[derive(Clone, Copy, Default)]
struct Heading<'q> {
    tenant: &'q str,
    entrypoint: &'q str,
    request_id: &'q str,
    at_least: Option<AtLeast>,
    /// Who the credential says is asking.
    identity: Option<&'q Identity>,
}

impl Engine {
    /// Decides with what is held here: an uncertain answer is a deny. The decision is recorded.
    ///
    /// Never fails and never panics; whatever goes wrong is a deny with its reason.
    pub fn decide(&self, request: &Request) -> Decision {
        self.record(request, self.outcome(request))
    }

    /// Decides upon a request as JSON; one that can't be read is denied with the reason `bad_input`.
    pub fn decide_json(&self, json: &[u8]) -> Decision {
        match contained(|| self.decide_scanned(json)) {
            Some(Some(decision)) => decision,
            Some(None) => self.decide_read(json),
            None => self.unreadable(json, ReasonCode::Panic.into()),
        }
    }

    /// Decides while the bytes are read, once, and only what the policy asks about is kept. None for whatever is unusual or
    /// wrong about them: nothing has been decided then.
    fn decide_scanned(&self, json: &[u8]) -> Option<Decision> {
        let now = self.clock.now();
        // INVARIANT (one revision per decision): the only load, held to the end.
        let guard = self.current.load();
        let snapshot = guard.as_deref()?;
        desk::with(|desk| {
            let Page { names, mut fields } = desk.read(&snapshot.program, json)?;
            let parts = names.parts();
            let heading = Heading {
                tenant: &names.tenant_id,
                entrypoint: &names.entrypoint,
                request_id: &names.request_id,
                at_least: None,
                identity: self.identity.as_deref(),
            };
            let outcome = self.outcome_of(&now, Some(snapshot), &heading, |snapshot, entrypoint| {
                let identity = self.identity_of(&now, None, &names.actor_id);
                let asking = Asking { tenant: &self.tenant, identity };
                desk.judge_page((&snapshot.program, entrypoint), now.wall_ns(), asking, &parts, &mut fields)
            });
            let decision = self.recorded(&heading, Question::Json(json), outcome);
            desk.put_back(fields);
            Some(decision)
        })
    }

    fn decide_read(&self, json: &[u8]) -> Decision {
        match contained(|| Request::from_json(json)) {
            Some(Ok(request)) => self.recorded(&self.heading(&request), Question::Json(json), self.outcome(&request)),
            Some(Err(error)) => self.unreadable(json, Reason::new(ReasonCode::BadInput, error.to_string())),
            None => self.unreadable(json, ReasonCode::Panic.into()),
        }
    }

    fn unreadable(&self, json: &[u8], reason: Reason) -> Decision {
        let outcome = self.refusal(&self.clock.now(), Verdict::deny(reason));
        self.recorded(&Heading::default(), Question::Json(json), outcome)
    }

    /// What the engine can say by itself. Not recorded: pass it to [`record`](Self::record), as it is or after the remote
    /// PDP or the failure mode spoke.
    pub fn outcome(&self, request: &Request) -> Outcome {
        let now = self.clock.now();
        contained(|| {
            // INVARIANT (one revision per decision): the only load, held to the end.
            let guard = self.current.load();
            let heading = self.heading(request);
            self.outcome_of(&now, guard.as_deref(), &heading, |snapshot, entrypoint| {
                self.judged(&now, snapshot, entrypoint, request)
            })
        })
        .unwrap_or_else(|| self.refusal(&now, Verdict::deny(ReasonCode::Panic)))
    }

    fn heading<'q>(&'q self, request: &'q Request) -> Heading<'q> {
        Heading {
            tenant: &request.tenant_id,
            entrypoint: &request.entrypoint,
            request_id: &request.request_id,
            at_least: request.at_least_revision,
            identity: request.identity.as_deref().or(self.identity.as_deref()),
        }
    }

    /// Everything that comes before the policy and after it.
    fn outcome_of(
        &self,
        now: &Now,
        snapshot: Option<&Snapshot>,
        heading: &Heading<'_>,
        judge: impl FnOnce(&Snapshot, &Entrypoint) -> Result<Judged, BadInput>,
    ) -> Outcome {
        if self.opened.is_past() {
            return self.refusal(now, Verdict::deny(ReasonCode::Forked));
        }
        let Some(snapshot) = snapshot else {
            return Outcome { certain: false, ..self.refusal(now, Verdict::deny(ReasonCode::NoBundle)) };
        };
        let path = if heading.entrypoint.is_empty() { DEFAULT_ENTRYPOINT } else { heading.entrypoint };
        let age = self.age_ms(now);
        let held = |verdict, certain, entrypoint: Option<&Entrypoint>| Outcome {
            verdict,
            certain,
            open_allow: None,
            source: Source::Local,
            revision: snapshot.revision,
            program: Some(snapshot.program.digest()),
            mode: Mode::Enforce,
            defer: entrypoint.map(|entrypoint| entrypoint.asked.defer).unwrap_or_default(),
            durable: entrypoint.is_some_and(|entrypoint| entrypoint.asked.durable),
            policy_age_ms: age,
            plain: snapshot.plain,
            started_ns: now.elapsed_ns,
            fail_open: false,
        };
        let refused = |reason: Reason, certain, entrypoint| held(Verdict::deny(reason).into(), certain, entrypoint);
        let Some(entrypoint) = snapshot.program.entrypoint(path) else {
            return refused(ReasonCode::UnknownEntrypoint.into(), true, None);
        };
        if !heading.tenant.is_empty() && heading.tenant != self.tenant {
            let reason = Reason::new(ReasonCode::BadInput, "the request names another tenant");
            return refused(reason, true, Some(entrypoint));
        }
        if let Some(reason) = self.doubt(now, snapshot, entrypoint, heading) {
            return refused(reason.into(), false, Some(entrypoint));
        }
        let Judged { verdict, certain, possible_allow } = match judge(snapshot, entrypoint) {
            Ok(judged) => judged,
            Err(error) => {
                return refused(Reason::new(ReasonCode::BadInput, error.to_string()), true, Some(entrypoint));
            }
        };
        let mut outcome = held(verdict, certain, Some(entrypoint));
        outcome.mode = snapshot.mode();
        outcome.open_allow = possible_allow.map(|allow| (allow, ReasonCode::RemoteData));
        // A stale deny binds; a stale allow doesn't, where the entrypoint sets a limit.
        let too_old = entrypoint.asked.max_staleness_ms.is_some_and(|limit| age.is_none_or(|age| age > limit));
        if too_old && outcome.certain && outcome.verdict.effect == Effect::Allow {
            let stale = Verdict::deny(ReasonCode::Stale).into();
            outcome.open_allow = Some((std::mem::replace(&mut outcome.verdict, stale), ReasonCode::Stale));
            outcome.certain = false;
        }
        outcome
    }

    /// What the policy says about a request that was built.
    fn judged(
        &self,
        now: &Now,
        snapshot: &Snapshot,
        entrypoint: &Entrypoint,
        request: &Request,
    ) -> Result<Judged, BadInput> {
        request.check()?;
        let identity = self.identity_of(now, request.identity.as_deref(), &request.actor.id);
        let asking = Asking { tenant: &self.tenant, identity };
        let policy = (&snapshot.program, entrypoint);
        desk::with(|desk| {
            desk.judge(policy, now.wall_ns(), asking, &request.parts(), &request.context, || {
                document(request, &self.tenant, identity)
            })
        })
    }

    /// Gives an outcome its id and records it, once. A decision that can't be recorded is a deny.
    pub fn record(&self, request: &Request, outcome: Outcome) -> Decision {
        self.recorded(&self.heading(request), Question::Built(request), outcome)
    }

    fn recorded(&self, heading: &Heading<'_>, question: Question<'_>, outcome: Outcome) -> Decision {
        let mut decision = self.decision(heading, &outcome);
        if self.opened.is_past() {
            // The journal is the parent's. What must be recorded is denied; the rest says that it isn't.
            if outcome.durable || outcome.fail_open {
                decision.verdict = Verdict::deny(ReasonCode::Forked).into();
            }
            decision.recorded = false;
            return decision;
        }
        let asked = Asked { identity: heading.identity, plain: outcome.plain };
        let recorded = contained(|| {
            if !outcome.fail_open && !outcome.durable {
                return self.recorder.record(&decision, question, &asked);
            }
            let record = Box::new(self.recorder.masked(&decision, question, &asked));
            let event = if outcome.fail_open { Event::FailOpen(record) } else { Event::Decision(record) };
            self.recorder.record_durably(event, decision.at_ms, DURABLE_PATIENCE)
        })
        .unwrap_or(Err(NotRecorded));
        if recorded == Err(NotRecorded) {
            decision.verdict = Verdict::deny(ReasonCode::AuditUnavailable).into();
            decision.would_be_effect = None;
            decision.recorded = false;
        }
        self.recorder.count(decision.verdict.effect, outcome.certain);
        decision
    }

    /// The Rego `input` that is made of `request`, as JSON: what to show whoever asks why.
    ///
    /// # Errors
    /// The request's context isn't strict JSON.
    pub fn input_document(&self, request: &Request) -> Result<String, BadInput> {
        let identity = self.identity_of(&self.clock.now(), request.identity.as_deref(), &request.actor.id);
        Ok(document(request, &self.tenant, identity)?.to_json())
    }

    /// The verified identity that applies to the actor which a request names, if any.
    fn identity_of<'a>(&'a self, now: &Now, bound: Option<&'a Identity>, actor: &str) -> Option<&'a Identity> {
        let identity = bound.or(self.identity.as_deref());
        identity.filter(|identity| identity.applies_to(&self.tenant, actor, now.wall_ms))
    }

    /// Why what is held can't be asked this now. These depend on the clock and on live state, so they come before
    /// anything that could be remembered.
    fn doubt(
        &self,
        now: &Now,
        snapshot: &Snapshot,
        entrypoint: &Entrypoint,
        heading: &Heading<'_>,
    ) -> Option<ReasonCode> {
        if self.live.is_withdrawn() {
            return Some(ReasonCode::Withdrawn);
        }
        if self.is_expired(snapshot, now) {
            return Some(ReasonCode::Expired);
        }
        if heading.at_least.is_some_and(|asked| snapshot.revision.is_none_or(|held| held.order() < asked)) {
            return Some(ReasonCode::BelowRequested);
        }
        if entrypoint.asked.defer == Defer::Always && !self.authority {
            return Some(ReasonCode::PolicyDefers);
        }
        let behind = snapshot.issued_at_ms.saturating_sub(now.wall_ms);
        (entrypoint.reads_time && behind > CLOCK_SKEW_MS).then_some(ReasonCode::ClockSuspect)
    }

    /// A certain deny that no policy made.
    fn refusal(&self, now: &Now, verdict: Verdict) -> Outcome {
        Outcome {
            verdict: verdict.into(),
            certain: true,
            open_allow: None,
            source: Source::Local,
            revision: None,
            program: None,
            mode: Mode::Enforce,
            defer: Defer::default(),
            durable: false,
            policy_age_ms: None,
            plain: PlainId::default(),
            started_ns: now.elapsed_ns,
            fail_open: false,
        }
    }

    fn decision(&self, heading: &Heading<'_>, outcome: &Outcome) -> Decision {
        let mut verdict = Arc::clone(&outcome.verdict);
        if verdict.effect != Effect::Deny && !self.authority {
            let unknown = verdict.obligations.iter().find(|o| !self.obligations.contains(&o.id));
            if let Some(obligation) = unknown {
                verdict = Verdict::deny(Reason::new(ReasonCode::UnknownObligation, obligation.id.clone())).into();
            }
        }
        let mut would_be_effect = None;
        if outcome.mode == Mode::Audit && outcome.certain && verdict.effect != Effect::Allow {
            would_be_effect = Some(verdict.effect);
            Arc::make_mut(&mut verdict).effect = Effect::Allow;
        }
        let now = self.clock.now();
        Decision {
            id: self.recorder.next_id(),
            request_id: heading.request_id.to_owned(),
            verdict,
            certain: outcome.certain,
            source: outcome.source,
            revision: outcome.revision,
            would_be_effect,
            policy_age_ms: outcome.policy_age_ms,
            at_ms: now.wall_ms,
            latency_ns: now.elapsed_ns.saturating_sub(outcome.started_ns),
            recorded: true,
        }
    }
}

/// What `work` gives; nothing if it panics. It leaves nothing half done behind: whatever it changes, it owns.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
