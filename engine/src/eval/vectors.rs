//! Smoke vectors: examples that a bundle carries, and must answer as they say before it may serve.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::builtins::budget::thread_time;
use super::{Evaluated, Program, RemoteData, judge, read_strict};
use crate::bundle::{BuiltinErrors, Bundle, DEFAULT_ENTRYPOINT};
use crate::decision::Effect;
use crate::error::{Refusal, Stage};

/// The file that holds them.
const FILE: &str = "vectors.json";

/// Smoke vectors are examples, not a test suite: each edge runs them before it serves a bundle.
const MAX_VECTORS: usize = 1000;
const ALL_VECTORS: Duration = Duration::from_millis(500);

/// What the clock says to examples: the beginning of 2026. Whether a bundle is accepted mustn't depend on the day.
const NOW_NS: i64 = 1_767_225_600_000_000_000;

/// One example: this whole input document has this effect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmokeVector {
    name: String,
    #[serde(default = "default_entrypoint")]
    entrypoint: String,
    input: Box<RawValue>,
    effect: Effect,
}

fn default_entrypoint() -> String {
    DEFAULT_ENTRYPOINT.to_owned()
}

impl Program {
    /// Runs the bundle's own examples, each as its entrypoint would be asked. One that needs data which isn't held here is
    /// left to whoever holds it.
    pub(super) fn run_vectors(&self, bundle: &Bundle, remote_data: &RemoteData) -> Result<(), Refusal> {
        let Some(bytes) = bundle.files.get(FILE) else { return Ok(()) };
        let vectors: Vec<SmokeVector> = serde_json::from_slice(bytes).map_err(|e| refusal("vector", e.to_string()))?;
        if vectors.len() > MAX_VECTORS {
            return Err(refusal("vector", format!("{} vectors; the limit is {MAX_VECTORS}", vectors.len())));
        }
        let started = thread_time();
        for vector in vectors {
            if thread_time().saturating_sub(started) > ALL_VECTORS {
                return Err(refusal("out_of_time", format!("all together took longer than {ALL_VECTORS:?}")));
            }
            self.run_vector(&vector, remote_data)
                .map_err(|(code, why)| refusal(code, format!("`{}`: {why}", vector.name)))?;
        }
        Ok(())
    }

    fn run_vector(&self, vector: &SmokeVector, remote_data: &RemoteData) -> Result<(), (&'static str, String)> {
        let Some(entrypoint) = self.settings().entrypoints.get(&vector.entrypoint) else {
            return Err(("vector", format!("`{}` is no entrypoint of the bundle", vector.entrypoint)));
        };
        let input = read_strict(vector.input.get()).map_err(|e| ("vector", e.to_string()))?;
        let evaluation = self.evaluate_patiently(&vector.entrypoint, &input, NOW_NS);
        match (&evaluation.value, remote_data) {
            (Evaluated::Unknown { .. }, RemoteData::Unheld) => return Ok(()),
            (Evaluated::Budget(what), _) => return Err(("out_of_time", format!("took too long: {what}"))),
            _ => {}
        }
        // A deny that rests on an error isn't the deny that the author meant.
        let past_an_error = evaluation.swallowed.is_some() && entrypoint.builtin_errors == BuiltinErrors::Deny;
        let answered = !past_an_error && matches!(evaluation.value, Evaluated::Value(_) | Evaluated::Undefined);
        let got = judge(evaluation, entrypoint.builtin_errors).verdict;
        if !answered || got.effect != vector.effect {
            let why = got.reasons.first().map(ToString::to_string).unwrap_or_default();
            return Err(("vector", format!("is {}, not {} ({why})", got.effect, vector.effect)));
        }
        Ok(())
    }
}

fn refusal(code: &str, detail: String) -> Refusal {
    Refusal::new(Stage::Smoke, code, detail).in_file(FILE)
}
