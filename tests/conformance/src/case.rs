//! OPA's conformance cases, as `make oracles` writes them with OPA's own loader.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Json;
use crate::oracle;

/// One case and where it comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub rego: Version,
    /// The topic, such as `withkeyword`.
    pub folder: String,
    pub case: Body,
}

/// The syntax that the modules are in. The query is Rego v1 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    V0,
    V1,
}

/// What OPA's file says. A field that isn't known here could change what a case means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Its name. Some share one.
    pub note: String,
    pub query: String,
    #[serde(default)]
    pub modules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// The input as Rego, which has sets; goes before `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_term: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    want_result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    want_error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    want_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    want_defined: Option<bool>,
    /// Values that are arrays are sets in disguise.
    #[serde(default)]
    pub sort_bindings: bool,
    /// Variables that OPA's compiler has made don't count.
    #[serde(default)]
    pub ignore_generated_vars: bool,
    /// Errors of builtins are errors.
    #[serde(default)]
    pub strict_error: bool,
    /// Keywords that OPA hides behind a switch: an engine that can't have them refuses the case by itself.
    #[serde(default)]
    experimental_keywords: bool,
    /// For `opa.runtime`, likewise.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// What OPA's tests demand of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These solutions, each with the query's variables.
    Solutions(BTreeSet<BTreeMap<String, Json>>),
    /// At least one solution, or none.
    Defined(bool),
    /// An error with this code.
    Error(String),
}

impl Version {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
        }
    }
}

impl Case {
    /// All cases, in order.
    ///
    /// # Errors
    /// They aren't there, in words for the line that says why a test is skipped.
    ///
    /// # Panics
    /// A line isn't a case: then there is no telling what the rest mean.
    pub fn all() -> Result<Vec<Self>, String> {
        let file = oracle::folder()?.join("opa-cases.jsonl");
        Self::read(&file).map_err(|e| format!("{}: {e}", file.display()))
    }

    fn read(file: &Path) -> std::io::Result<Vec<Self>> {
        let text = std::fs::read_to_string(file)?;
        let cases = text.lines().enumerate().map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| std::io::Error::other(format!("line {}: {e}", i + 1)))
        });
        cases.collect()
    }

    /// `v1/withkeyword`.
    pub fn topic(&self) -> String {
        format!("{}/{}", self.rego.as_str(), self.folder)
    }
}

impl Body {
    /// What is demanded. A case that demands nothing couldn't fail, so there is none.
    ///
    /// # Errors
    /// It demands nothing, or what isn't JSON.
    pub fn wanted(&self) -> Result<Wanted, String> {
        // OPA's tests look for a text as well, and each such text has a code in it; the text is not promised by us.
        if let Some(code) = self.want_error_code.as_deref().or_else(|| self.want_error.as_deref().and_then(code_in)) {
            return Ok(Wanted::Error(code.to_owned()));
        }
        if self.want_error.is_some() {
            return Err("expects an error, and there is no code in its text".to_owned());
        }
        if let Some(result) = &self.want_result {
            return Ok(Wanted::Solutions(self.solutions(result.get())?));
        }
        self.want_defined.map(Wanted::Defined).ok_or_else(|| "expects nothing".to_owned())
    }

    /// A JSON array of objects as a set of solutions, in the form in which OPA's tests compare them.
    ///
    /// # Errors
    /// It isn't that.
    pub fn solutions(&self, json: &str) -> Result<BTreeSet<BTreeMap<String, Json>>, String> {
        let Json::Array(rows) = Json::read(json).map_err(|e| e.to_string())? else {
            return Err(format!("not an array of solutions: {json}"));
        };
        let rows = rows.into_iter().map(|row| match row {
            Json::Object(bindings) => Ok(bindings.into_iter().filter_map(|binding| self.compared(binding)).collect()),
            other => Err(format!("not a solution: {other}")),
        });
        rows.collect()
    }

    fn compared(&self, (variable, value): (String, Json)) -> Option<(String, Json)> {
        let counts = !self.ignore_generated_vars || !variable.starts_with("__localq");
        counts.then(|| (variable, if self.sort_bindings { value.sorted() } else { value }))
    }
}

/// The first of OPA's error codes in a message.
fn code_in(message: &str) -> Option<&str> {
    let mut words = message.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.find(|word| word.starts_with("eval_") && word.ends_with("_error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_demanded() {
        let case = body(r#"{"note": "", "query": "", "want_result": [{"x": [2, 1]}], "sort_bindings": true}"#);
        assert_eq!(case.wanted(), Ok(Wanted::Solutions(case.solutions(r#"[{"x": [1, 2.0]}]"#).unwrap())));
        let case = body(r#"{"note": "", "query": "", "want_result": [{"x": [2, 1]}]}"#);
        assert_ne!(case.wanted(), Ok(Wanted::Solutions(case.solutions(r#"[{"x": [1, 2]}]"#).unwrap())));

        let case = body(r#"{"note": "", "query": "", "want_error": "test-0.rego:4: eval_type_error: f: operand 1"}"#);
        assert_eq!(case.wanted(), Ok(Wanted::Error("eval_type_error".to_owned())));
        let case = body(r#"{"note": "", "query": "", "want_error_code": "eval_builtin_error", "want_result": []}"#);
        assert_eq!(case.wanted(), Ok(Wanted::Error("eval_builtin_error".to_owned())));
        assert!(body(r#"{"note": "", "query": "", "want_error": "no code"}"#).wanted().is_err());
        assert!(body(r#"{"note": "", "query": ""}"#).wanted().is_err());
    }

    #[test]
    fn generated_variables() {
        let with = r#"[{"x": 1, "__localq0__": 2}]"#;
        let case = body(r#"{"note": "", "query": "", "ignore_generated_vars": true}"#);
        assert_eq!(case.solutions(with), case.solutions(r#"[{"x": 1}]"#));
        let case = body(r#"{"note": "", "query": ""}"#);
        assert_ne!(case.solutions(with), case.solutions(r#"[{"x": 1}]"#));
    }

    #[test]
    fn a_field_that_is_not_known() {
        assert!(serde_json::from_str::<Body>(r#"{"note": "", "query": "", "want_time": 1}"#).is_err());
    }
}
