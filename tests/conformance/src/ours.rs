//! A case through the engine as a policy goes through it: a bundle, admitted, planned, evaluated about an input that was
//! read as a request's is, under the limits of a decision.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use meshguard_engine::bundle::{Defer, Entrypoint, RegoVersion, Settings};
use meshguard_engine::internals::{Answer, Findings, Input, Policy, variables};

use crate::case::{Body, Case, Version};
use crate::json::Json;
use crate::verdict::Observed;

/// The package of what the runner adds to a case.
const OWN: &str = "conformance";

/// What the engine answers to the case.
pub fn observe(case: &Case) -> Observed {
    let asked = match Asked::of(&case.case) {
        Ok(asked) => asked,
        Err(message) => return refused("query", message),
    };
    let mut observed = observe_as(case, &asked);
    // What the query names need not be a rule: then it can't be an entrypoint, and is read by one.
    if let (Observed::Refused { code, .. }, Asked::Document { path, variable }) = (&observed, &asked)
        && code == "no_entrypoint"
    {
        let (path, variable) = (path.clone(), variable.clone());
        observed = observe_as(case, &Asked::Beside { path, variable });
    }
    observed
}

fn observe_as(case: &Case, asked: &Asked) -> Observed {
    let policy = match Policy::new(files(&case.case, asked), settings(case.rego, asked)) {
        Ok(policy) => policy,
        Err(refusal) => {
            return refused(&refusal.code, format!("{}: {}", refusal.path.unwrap_or_default(), refusal.detail));
        }
    };
    let input = match json_input(&case.case).map(Input::strict).transpose() {
        Ok(input) => input,
        Err(message) => return refused("input", message),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    let Findings { answer, swallowed, .. } = policy.evaluate(&asked.path(), input.as_ref(), now_ns);
    if let Some((code, message)) = swallowed.filter(|_| case.case.strict_error) {
        // Nothing is swallowed then: OPA gives the first of these errors, whatever else it found.
        return Observed::Error { code: Some(code), message };
    }
    match answer {
        Answer::Value { json, .. } => asked.solutions(&json),
        Answer::Undefined => Observed::Solutions("[]".to_owned()),
        Answer::Error { code, message } => Observed::Error { code: Some(code), message },
        Answer::Unknown { .. } => Observed::Error { code: Some("unknown".to_owned()), message: String::new() },
    }
}

/// How the query is asked.
enum Asked {
    /// `data.a.b = x`: the rule is the entrypoint.
    Document { path: String, variable: String },
    /// The same of something that isn't a rule, with an entrypoint beside it, because a bundle needs one.
    Beside { path: String, variable: String },
    /// Anything else: a rule of the set of its solutions.
    Rule { module: String },
}

impl Asked {
    fn of(case: &Body) -> Result<Self, String> {
        let term = case.input_term.as_deref().filter(|_| json_input(case).is_none());
        let names = variables(&case.query, false)?;
        if let (Some((path, variable)), None) = (document_query(&case.query), term)
            && names == [variable]
        {
            return Ok(Self::Document { path: path.to_owned(), variable: variable.to_owned() });
        }
        let names = names.iter().map(|name| format!("{name:?}: {name}")).collect::<Vec<_>>().join(", ");
        let with = match term {
            None => String::new(),
            // An expression has the modifier, and there is no telling here where one ends.
            Some(_) if case.query.contains([';', '\n']) => return Err("several expressions about a term".to_owned()),
            Some(term) => format!(" with input as {term}"),
        };
        // `import rego.v1` for cases in v0: the query is in v1 all the same.
        let query = &case.query;
        let module =
            format!("package {OWN}\nimport rego.v1\nsolutions contains {{{names}}} if {{\n{query}{with}\n}}\n");
        Ok(Self::Rule { module })
    }

    fn path(&self) -> String {
        match self {
            Self::Document { path, .. } | Self::Beside { path, .. } => path.clone(),
            Self::Rule { .. } => format!("data.{OWN}.solutions"),
        }
    }

    fn entrypoint(&self) -> String {
        match self {
            Self::Document { path, .. } => path.clone(),
            Self::Beside { .. } => format!("data.{OWN}.beside"),
            Self::Rule { .. } => self.path(),
        }
    }

    /// What the runner adds to the policy.
    fn module(&self) -> Option<String> {
        match self {
            Self::Document { .. } => None,
            Self::Beside { .. } => Some(format!("package {OWN}\nbeside := true\n")),
            Self::Rule { module } => Some(module.clone()),
        }
    }

    /// The value as solutions of the query.
    fn solutions(&self, json: &str) -> Observed {
        let (path, variable) = match self {
            Self::Rule { .. } => return Observed::Solutions(json.to_owned()),
            Self::Document { path, variable } | Self::Beside { path, variable } => (path, variable),
        };
        match serde_json::from_str::<BTreeMap<String, Box<serde_json::value::RawValue>>>(json) {
            // All there is, but for the runner's own.
            Ok(mut data) if path == "data" => {
                data.remove(OWN);
                let data = serde_json::to_string(&data).unwrap_or_default();
                Observed::Solutions(format!("[{{{variable:?}: {data}}}]"))
            }
            _ => Observed::Solutions(format!("[{{{variable:?}: {json}}}]")),
        }
    }
}

/// The input, where it is JSON.
fn json_input(case: &Body) -> Option<&str> {
    match &case.input_term {
        Some(term) => Json::read(term).is_ok().then_some(term.as_str()),
        None => case.input.as_ref().map(|input| input.get()),
    }
}

fn files(case: &Body, asked: &Asked) -> BTreeMap<String, Bytes> {
    let modules = case.modules.iter().enumerate();
    let mut files: BTreeMap<String, Bytes> =
        modules.map(|(i, module)| (format!("test-{i}.rego"), Bytes::from(module.clone()))).collect();
    if let Some(module) = asked.module() {
        files.insert(format!("{OWN}.rego"), Bytes::from(module));
    }
    if let Some(data) = &case.data {
        files.insert("data.json".to_owned(), Bytes::from(data.get().to_owned()));
    }
    files
}

fn settings(version: Version, asked: &Asked) -> Settings {
    // Impure builtins are for entrypoints that the control plane decides: it evaluates them as it evaluates all else.
    let entrypoint = Entrypoint { defer: Defer::Always, ..Entrypoint::default() };
    Settings {
        rego: match version {
            Version::V0 => RegoVersion::V0,
            Version::V1 => RegoVersion::V1,
        },
        entrypoints: BTreeMap::from([(asked.entrypoint(), entrypoint)]),
        ..Settings::default()
    }
}

fn refused(code: &str, message: String) -> Observed {
    Observed::Refused { code: code.to_owned(), message }
}

/// The path and the variable of a query like `data.a.b = x`.
fn document_query(query: &str) -> Option<(&str, &str)> {
    let (path, variable) = query.trim().split_once(" = ")?;
    let names = path == "data" || path.strip_prefix("data.").is_some_and(|rest| rest.split('.').all(is_name));
    (names && is_name(variable)).then_some((path, variable))
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
