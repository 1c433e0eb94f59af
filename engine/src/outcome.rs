//! What the engine says by itself, and what others make of it where it isn't certain.

use std::sync::Arc;

use crate::audit::PlainId;
use crate::bundle::{Defer, Mode, Revision};
use crate::decision::{Reason, ReasonCode, Source, Verdict};
use crate::digest::Digest;

/// What the engine can say by itself, before anybody else is asked and before it is recorded.
#[derive(Debug, Clone)]
#[must_use = "an outcome isn't a decision until it is recorded"]
pub struct Outcome {
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) certain: bool,
    /// The allow that fail-open may fall back on, and why the answer isn't certain.
    pub(crate) open_allow: Option<(Arc<Verdict>, ReasonCode)>,
    pub(crate) source: Source,
    pub(crate) revision: Option<Revision>,
    pub(crate) program: Option<Digest>,
    pub(crate) mode: Mode,
    /// When the entrypoint's questions are deferred.
    pub(crate) defer: Defer,
    /// Whether its records must be durable.
    pub(crate) durable: bool,
    pub(crate) policy_age_ms: Option<u64>,
    pub(crate) plain: PlainId,
    pub(crate) started_ns: u64,
    pub(crate) fail_open: bool,
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
        !self.certain && self.defer != Defer::Never
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
        self.verdict = verdict.into();
        self.revision = revision.or(self.revision);
        self.source = Source::Remote;
        self.certain = true;
        self
    }

    /// The remote PDP gave no answer: deny, and say why after the reasons for asking it.
    pub fn unanswered(mut self, reason: Reason) -> Self {
        Arc::make_mut(&mut self.verdict).reasons.push(reason);
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
        Arc::make_mut(&mut allow).reasons.extend([why.into(), reason, ReasonCode::FailOpen.into()]);
        self.verdict = allow;
        self.source = Source::FailureMode;
        self.fail_open = true;
        self
    }
}
