//! Asking any rule about any document, without a decision.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::bundle::{BuiltinErrors, Revision};
use crate::decision::{ReasonCode, Verdict};
use crate::engine::Engine;
use crate::error::Error;
use crate::eval::{Evaluated, Judged, judge, read_strict};

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
    /// Evaluates a rule by path over any input document, as OPA would, and doesn't record it.
    ///
    /// With [`BuiltinErrors::Deny`] an error of a builtin is an error, as in OPA's strict mode; else it makes its statement
    /// undefined, as in OPA's default mode.
    ///
    /// # Errors
    /// No bundle is held, it is withdrawn or expired, the input isn't strict JSON, or the evaluation raised an error;
    /// [`Error::Evaluation`] has OPA's code where OPA raises it as well.
    pub fn evaluate(&self, path: &str, input: &str, errors: BuiltinErrors) -> Result<Evaluation, Error> {
        catch_unwind(AssertUnwindSafe(|| self.evaluation(path, input, errors)))
            .unwrap_or_else(|_| Err(Error::Internal("the evaluator panicked".into())))
    }

    fn evaluation(&self, path: &str, input: &str, errors: BuiltinErrors) -> Result<Evaluation, Error> {
        let now = self.clock.now();
        let refuse = |code: ReasonCode, detail: &str| Err(Error::evaluation(code.as_str(), detail));
        if self.opened.is_past() {
            return refuse(ReasonCode::Forked, "this process was forked after opening; open an engine of its own");
        }
        let guard = self.current.load();
        let Some(snapshot) = guard.as_deref() else {
            return refuse(ReasonCode::NoBundle, "no bundle is held; load one, or connect to a control plane");
        };
        if self.live.is_withdrawn() || self.is_expired(snapshot, &now) {
            return refuse(ReasonCode::Expired, "the bundle is expired or withdrawn; see the status");
        }
        let input = read_strict(input).map_err(|e| Error::evaluation(ReasonCode::BadInput.as_str(), e.to_string()))?;
        let evaluation = snapshot.program.evaluate(path, Some(&input), now.wall_ns());
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
        let entrypoint = snapshot.program.entrypoint(path);
        let errors = entrypoint.map_or_else(BuiltinErrors::default, |entrypoint| entrypoint.asked.builtin_errors);
        let Judged { verdict, certain: verdict_certain, .. } = judge(evaluation, errors);
        let ns = self.clock.elapsed_ns().saturating_sub(now.elapsed_ns);
        let verdict = Arc::unwrap_or_clone(verdict);
        Ok(Evaluation { value, certain, verdict, verdict_certain, revision: snapshot.revision, ns })
    }
}
