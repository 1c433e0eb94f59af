//! Smoke vectors: examples that a bundle carries, and must answer as they say before it may serve.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Evaluated, Program, RemoteData, read_strict, verdict};
use crate::bundle::{BuiltinErrors, Bundle, DEFAULT_ENTRYPOINT};
use crate::decision::Effect;
use crate::error::{Refusal, Stage};

/// The file that holds them.
const FILE: &str = "vectors.json";

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
    /// Runs the bundle's own examples. One that needs data which isn't held here is left to whoever holds it.
    pub(super) fn run_vectors(&self, bundle: &Bundle, remote_data: &RemoteData) -> Result<(), Refusal> {
        let Some(bytes) = bundle.files.get(FILE) else {
            return Ok(());
        };
        let refuse = |detail: String| Err(Refusal::new(Stage::Smoke, "vector", detail).in_file(FILE));
        let vectors: Vec<SmokeVector> = match serde_json::from_slice(bytes) {
            Ok(vectors) => vectors,
            Err(error) => return refuse(error.to_string()),
        };
        for vector in vectors {
            let input = match read_strict(vector.input.get()) {
                Ok(input) => input,
                Err(error) => return refuse(format!("`{}`: {error}", vector.name)),
            };
            let evaluated = self.decide(&vector.entrypoint, BuiltinErrors::Deny, input);
            if matches!((&evaluated, remote_data), (Evaluated::Unknown { .. }, RemoteData::Unheld)) {
                continue;
            }
            let got = verdict(evaluated);
            if got.effect != vector.effect {
                let why = got.reasons.first().map(ToString::to_string).unwrap_or_default();
                let detail = format!("`{}` is {}, not {} ({why})", vector.name, got.effect, vector.effect);
                return refuse(detail);
            }
        }
        Ok(())
    }
}
