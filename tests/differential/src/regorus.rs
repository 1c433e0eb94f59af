//! The plain interpreter of regorus, embedded as its README says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::{Engine, Value};

use crate::case::Case;
use crate::engines::Refused;
use crate::outcome::{CONFLICT, Outcome, Outcomes};

/// An engine with its policy.
pub struct Interpreter {
    engine: Engine,
}

impl Interpreter {
    /// Reads a case's policy and data.
    ///
    /// # Errors
    /// It is refused.
    pub fn new(case: &Case) -> Result<Self, Refused> {
        let refused =
            |code: &str, why: &dyn std::fmt::Display| Refused { code: code.to_owned(), message: why.to_string() };
        let mut engine = Engine::new();
        engine.set_rego_v0(case.v0);
        engine.set_gather_prints(true);
        for (name, text) in case.texts() {
            engine.add_policy(name, text).map_err(|e| refused("regorus", &e))?;
        }
        let data = Value::from_json_str(&case.data.render()).map_err(|e| refused("data", &e))?;
        engine.add_data(data).map_err(|e| refused("data", &e))?;
        Ok(Self { engine })
    }

    /// The answers about one input.
    pub fn evaluate(&self, query: &str, input: &str) -> Outcomes {
        Outcomes { lenient: self.outcome(query, input, false), strict: self.outcome(query, input, true) }
    }

    fn outcome(&self, query: &str, input: &str, strict: bool) -> Outcome {
        let asked = catch_unwind(AssertUnwindSafe(|| self.ask(query, input, strict)));
        asked.unwrap_or_else(|_| Outcome::error("panic", "regorus panicked"))
    }

    fn ask(&self, query: &str, input: &str, strict: bool) -> Outcome {
        let mut engine = self.engine.clone();
        engine.set_strict_builtin_errors(strict);
        if !input.is_empty()
            && let Err(why) = Value::from_json_str(input).map(|input| engine.set_input(input))
        {
            return Outcome::error("bad_input", why.to_string());
        }
        match engine.eval_query(query.to_owned(), false) {
            Ok(results) => {
                let value =
                    results.result.first().and_then(|result| result.expressions.first()).map(|found| &found.value);
                match value {
                    None | Some(Value::Undefined) => Outcome::Undefined,
                    Some(value) => Outcome::Value(notation(value)),
                }
            }
            Err(why) => Outcome::error(code(&why.to_string()), why.to_string()),
        }
    }
}

/// OPA's code for what regorus only has words for.
fn code(message: &str) -> &'static str {
    if message.contains("complete rules should not produce multiple outputs") {
        CONFLICT
    } else if message.contains("could not find function") {
        "missing"
    } else {
        "eval_type_error"
    }
}

/// A value in Rego's notation.
fn notation(value: &Value) -> String {
    let all = |items: &mut dyn Iterator<Item = &Value>| items.map(notation).collect::<Vec<_>>().join(", ");
    match value {
        Value::Array(items) => format!("[{}]", all(&mut items.iter())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", all(&mut items.iter())),
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", notation(key), notation(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Undefined => "undefined".to_owned(),
        simple => simple.to_json_str().unwrap_or_default(),
    }
}
