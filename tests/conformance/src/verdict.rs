//! What an engine answered to a case, and what that is worth.

use serde::{Deserialize, Serialize};

use crate::case::{Case, Wanted};

/// What an engine did with a case. On the wire between the runner and engines in processes of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// The solutions of the query, as a JSON array of objects that have its variables.
    Solutions(String),
    /// Evaluating ended with an error.
    Error {
        /// OPA's code for it, where the engine knows such.
        code: Option<String>,
        message: String,
    },
    /// It didn't come to an evaluation: the engine says that it can't.
    Refused { code: String, message: String },
}

/// What it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Why.
    Refused {
        code: String,
        message: String,
    },
    /// What was answered, and what should have been.
    Wrong(String),
}

/// The engine's code for an evaluation that OPA could finish, and it can't.
const UNSUPPORTED: &str = "unsupported";

/// Judges an answer as OPA's own tests do.
pub fn judge(case: &Case, observed: Observed) -> Verdict {
    let wanted = match case.case.wanted() {
        Ok(wanted) => wanted,
        Err(e) => return Verdict::Wrong(format!("the case {e}")),
    };
    match (observed, wanted) {
        (Observed::Refused { code, message }, _) => Verdict::Refused { code, message },
        // Refused too late, while evaluating, but refused: where that depends on a value, there is no telling earlier.
        (Observed::Error { code: Some(code), message }, _) if code == UNSUPPORTED => Verdict::Refused { code, message },
        // Engines that don't know OPA's codes pass with any error.
        (Observed::Error { code: None, .. }, Wanted::Error(_)) => Verdict::Passed,
        (Observed::Error { code: Some(code), .. }, Wanted::Error(wanted)) if code == wanted => Verdict::Passed,
        (Observed::Error { code, message }, wanted) => {
            let code = code.unwrap_or_default();
            Verdict::Wrong(format!("error {code}: {message}; wanted {}", told(&wanted)))
        }
        (Observed::Solutions(json), wanted) => match case.case.solutions(&json) {
            Err(e) => Verdict::Wrong(e),
            Ok(solutions) => {
                let right = match &wanted {
                    Wanted::Solutions(wanted) => *wanted == solutions,
                    Wanted::Defined(defined) => *defined != solutions.is_empty(),
                    Wanted::Error(_) => false,
                };
                if right {
                    return Verdict::Passed;
                }
                Verdict::Wrong(format!("{}; wanted {}", told(&Wanted::Solutions(solutions)), told(&wanted)))
            }
        },
    }
}

fn told(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Defined(true) => "a solution".to_owned(),
        Wanted::Defined(false) => "no solution".to_owned(),
        Wanted::Error(code) => format!("error {code}"),
        Wanted::Solutions(solutions) if solutions.is_empty() => "no solution".to_owned(),
        Wanted::Solutions(solutions) => {
            let solutions = solutions.iter().map(|bindings| {
                let bindings = bindings.iter().map(|(variable, value)| format!("{variable} = {value}"));
                bindings.collect::<Vec<_>>().join(", ")
            });
            solutions.collect::<Vec<_>>().join(" | ")
        }
    }
}
