//! Answers that OPA 1.20.2 has given to small policies, errors of builtins counting as errors: `opa-answers.jsonl` of the
//! data folder. Ours are the same, but for those named here, in which later OPA differs from earlier or ours refuses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't read its cases has failed")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use meshguard_conformance::json::Json;
use meshguard_conformance::oracle::{Oracle, Question};
use meshguard_conformance::skip;
use meshguard_engine::bundle::Settings;
use meshguard_engine::internals::{Answer, Findings, Input, Policy};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Where the pinned OPA answers otherwise, and we with it: its globs have changed. A part of the policy each.
const CHANGED: [&str; 3] =
    [r#"glob.match("é?", [], "éé")"#, r#"glob.match("?é", [], "aé")"#, r#"glob.match("a.**.b", ["."], "a.b")"#];

/// What is an error here: an input and its code. OPA takes the last of a key's values, which whoever sent the input may not
/// have meant; and to it, `1_0` is a number that it can't print.
const REFUSED: [(&str, &str); 2] = [(r#"{"a":1,"a":2}"#, "bad_input"), (r#"{"a":"1_0"}"#, "unsupported")];

#[test]
fn ours_are_the_recorded_ones() {
    let Some(recorded) = recorded() else { return };
    let mut changed = vec![];
    let mut refused = vec![];
    let mut problems = vec![];
    for case in &recorded {
        let (theirs, ours) = (case.outcome(), case.ours().into_json());
        if let Some(known) = case.refused() {
            assert_eq!(ours, Outcome::Error(known.1.to_owned()), "{case}");
            refused.push(known);
        } else if let Some(known) = case.changed() {
            assert_ne!(theirs, ours, "no longer otherwise: {case}");
            changed.push(known);
        } else if theirs != ours {
            problems.push(format!("{case}: {ours:?}, recorded {theirs:?}"));
        }
    }
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), recorded.len(), problems.join("\n"));
    assert_eq!((changed.len(), refused.len()), (CHANGED.len(), REFUSED.len()), "{changed:?} {refused:?}");
}

#[test]
fn ours_are_the_pinned_opas() {
    let Some(recorded) = recorded() else { return };
    let mut oracle = match Oracle::start() {
        Ok(oracle) => oracle,
        Err(why) => return skip("recorded answers asked again", &why),
    };
    let mut problems = vec![];
    for case in recorded.iter().filter(|case| case.refused().is_none()) {
        // In Rego's notation, in which sets are sets.
        let (theirs, ours) = (case.ask(&mut oracle), case.ours().into_rego());
        if theirs != ours {
            problems.push(format!("{case}: {ours:?}, OPA {theirs:?}"));
        }
    }
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), recorded.len(), problems.join("\n"));
}

/// The file, unless the data folder isn't there.
fn recorded() -> Option<Vec<Recorded>> {
    let folder = std::env::var_os("MESHGUARD_DATA");
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let file = folder.map_or_else(|| default.into(), PathBuf::from).join("opa-answers.jsonl");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => {
            skip("OPA's recorded answers", &format!("{}: {e}; set MESHGUARD_DATA", file.display()));
            return None;
        }
    };
    let recorded: Vec<Recorded> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!recorded.is_empty());
    Some(recorded)
}

/// A value, none, or the code of an error.
#[derive(Debug, Clone, PartialEq)]
enum Outcome<V> {
    Value(V),
    Undefined,
    Error(String),
}

/// One line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    rego: String,
    modules: BTreeMap<String, String>,
    data: Option<Box<RawValue>>,
    input_text: Option<String>,
    entrypoint: String,
    #[serde(rename = "opa")]
    _version: String,
    strict_builtin_errors: bool,
    defined: Option<bool>,
    /// Absent for null as well.
    value: Option<Box<RawValue>>,
    error: Option<String>,
}

/// What ours came to.
struct Ours(Outcome<Answer>);

impl Recorded {
    fn outcome(&self) -> Outcome<Json> {
        match (&self.error, self.defined) {
            (Some(error), None) => Outcome::Error(code_in(error)),
            (None, Some(true)) => {
                Outcome::Value(Json::read(self.value.as_ref().map_or("null", |value| value.get())).unwrap())
            }
            (None, Some(false)) => Outcome::Undefined,
            _ => panic!("no answer: {self}"),
        }
    }

    fn changed(&self) -> Option<&'static str> {
        CHANGED.into_iter().find(|part| self.rego.contains(part))
    }

    fn refused(&self) -> Option<(&'static str, &'static str)> {
        REFUSED.into_iter().find(|(input, _)| self.input_text.as_deref() == Some(input))
    }

    fn modules(&self) -> BTreeMap<String, String> {
        let mut modules = self.modules.clone();
        modules.insert("a.rego".to_owned(), self.rego.clone());
        modules
    }

    fn ask(&self, oracle: &mut Oracle) -> Outcome<String> {
        let question = Question {
            modules: self.modules(),
            data: self.data.clone(),
            query: self.entrypoint.clone(),
            inputs: self.input_text.iter().cloned().collect(),
            strict: self.strict_builtin_errors,
            ..Question::default()
        };
        match oracle.ask(&question).unwrap().and_then(|mut answers| answers.remove(0)) {
            Err(failure) => Outcome::Error(failure.code),
            Ok(solutions) => match solutions.into_iter().next() {
                Some(mut solution) => Outcome::Value(solution.remove("").unwrap()),
                None => Outcome::Undefined,
            },
        }
    }

    fn ours(&self) -> Ours {
        let files = self.modules().into_iter().map(|(name, text)| (name, Bytes::from(text)));
        let data = self.data.iter().map(|data| ("data.json".to_owned(), Bytes::from(data.get().to_owned())));
        // Asked for a value, and not for a decision, of which more is demanded.
        let settings = Settings { entrypoints: BTreeMap::new(), ..Settings::default() };
        let policy = match Policy::new(files.chain(data).collect(), settings) {
            Ok(policy) => policy,
            Err(refusal) => return Ours(Outcome::Error(refusal.code)),
        };
        let Ok(input) = self.input_text.as_deref().map(Input::strict).transpose() else {
            return Ours(Outcome::Error("bad_input".to_owned()));
        };
        let Findings { answer, swallowed, .. } = policy.evaluate(&self.entrypoint, input.as_ref(), 0);
        Ours(match (swallowed.filter(|_| self.strict_builtin_errors), answer) {
            (Some((code, _)), _) | (None, Answer::Error { code, .. }) => Outcome::Error(code),
            (None, Answer::Undefined) => Outcome::Undefined,
            (None, answer) => Outcome::Value(answer),
        })
    }
}

impl Ours {
    fn into_json(self) -> Outcome<Json> {
        match self.of_value() {
            // As OPA, which says so of numbers like 007.
            Outcome::Value((_, json)) => {
                Json::read(&json).map_or(Outcome::Error("internal".to_owned()), Outcome::Value)
            }
            Outcome::Undefined => Outcome::Undefined,
            Outcome::Error(code) => Outcome::Error(code),
        }
    }

    fn into_rego(self) -> Outcome<String> {
        match self.of_value() {
            Outcome::Value((rego, _)) => Outcome::Value(rego),
            Outcome::Undefined => Outcome::Undefined,
            Outcome::Error(code) => Outcome::Error(code),
        }
    }

    fn of_value(self) -> Outcome<(String, String)> {
        match self.0 {
            Outcome::Value(Answer::Value { rego, json }) => Outcome::Value((rego, json)),
            Outcome::Value(other) => Outcome::Error(format!("{other:?}")),
            Outcome::Undefined => Outcome::Undefined,
            Outcome::Error(code) => Outcome::Error(code),
        }
    }
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} about {:?}", self.rego, self.input_text)
    }
}

/// The first of OPA's codes in a message; it isn't `eval_error`, with which the message begins.
fn code_in(message: &str) -> String {
    let mut words = message.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let is_code = |word: &str| word.ends_with("_error") && (word.starts_with("eval_") || word.starts_with("rego_"));
    words.find(|word| is_code(word) && *word != "eval_error").unwrap_or("internal").to_owned()
}
