//! The vectors of `tests/vectors`: their format (see the README there), read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use meshguard_engine::bundle::{BuiltinErrors, DEFAULT_ENTRYPOINT, Settings};
use meshguard_engine::{Bundle, Refusal};
use serde::Deserialize;
use serde_json::Value;

/// A bundle, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The file and the vector's own name.
    #[serde(skip)]
    pub file: String,
    pub name: String,
    pub from: Option<String>,
    pub modules: BTreeMap<String, String>,
    pub data: Option<String>,
    pub settings: Option<String>,
    #[serde(default)]
    pub requests: Vec<Asked>,
    pub refused: Option<Refused>,
}

/// A question, and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    Evaluate(Evaluate),
    Decide(Decide),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    pub evaluate: String,
    pub input: String,
    #[serde(default = "opa")]
    pub builtin_errors: BuiltinErrors,
    pub value: Option<String>,
    #[serde(default)]
    pub undefined: bool,
    pub error: Option<String>,
    #[serde(default = "yes")]
    pub certain: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    pub decide: String,
    pub effect: String,
    pub reasons: Vec<String>,
    pub says: Option<String>,
    pub obligations: Option<String>,
    pub approval: Option<String>,
    #[serde(default = "yes")]
    pub certain: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub code: String,
    pub says: String,
    pub opa: Option<String>,
}

/// What an `evaluate` must give.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    Value(Value),
    Undefined,
    Error(String),
    Unknown,
}

/// All of them, by file and in its order.
///
/// # Panics
/// A file is missing, can't be read, or isn't of the format.
#[must_use]
pub fn all() -> Vec<Vector> {
    let folder = folder();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().flat_map(|path| read(path)).collect()
}

/// Where they lie.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn read(path: &Path) -> Vec<Vector> {
    let text = std::fs::read_to_string(path).unwrap();
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    let read: Result<Vec<Vector>, _> = yaml_serde::from_str(&text);
    let vectors = read.unwrap_or_else(|error| fail(&file, &error.to_string()));
    let mut names = std::collections::BTreeSet::new();
    for vector in &vectors {
        let which = format!("{file}/{}", vector.name);
        if !names.insert(vector.name.clone()) {
            fail(&which, "the name stands twice");
        }
        if vector.requests.is_empty() != vector.refused.is_some() {
            fail(&which, "it has either `requests` or `refused`");
        }
    }
    vectors.into_iter().map(|vector| Vector { file: file.clone(), ..vector }).collect()
}

#[expect(clippy::panic, reason = "a test that can't set up its scene has failed")]
fn fail(which: &str, what: &str) -> ! {
    panic!("{which}: {what}")
}

impl Vector {
    /// The name to find it by.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.file, self.name)
    }

    /// Its bundle.
    ///
    /// # Errors
    /// The files are refused before they are signed.
    pub fn bundle(&self) -> Result<Bundle, Refusal> {
        let mut files: BTreeMap<String, bytes::Bytes> =
            self.modules.iter().map(|(path, text)| (path.clone(), text.clone().into())).collect();
        if let Some(data) = &self.data {
            files.insert("data.json".into(), data.clone().into());
        }
        let mut bundle = Bundle::from_files(files)?;
        bundle.settings = self.settings();
        Ok(bundle)
    }

    /// The manifest's settings.
    ///
    /// # Panics
    /// They aren't settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let given: Value =
            self.settings.as_deref().map_or_else(|| serde_json::json!({}), |text| json(&self.id(), text));
        let mut settings: Settings =
            serde_json::from_value(given.clone()).unwrap_or_else(|error| fail(&self.id(), &error.to_string()));
        if given.get("entrypoints").is_none() {
            settings.entrypoints = self.evaluated().map(|path| (path, Default::default())).collect();
            if settings.entrypoints.is_empty() {
                settings.entrypoints.insert(DEFAULT_ENTRYPOINT.to_owned(), Default::default());
            }
        }
        settings
    }

    fn evaluated(&self) -> impl Iterator<Item = String> {
        self.requests.iter().filter_map(|asked| match asked {
            Asked::Evaluate(evaluate) => Some(evaluate.evaluate.clone()),
            Asked::Decide(_) => None,
        })
    }
}

impl Evaluate {
    /// What it must give.
    ///
    /// # Panics
    /// It doesn't say exactly one thing.
    #[must_use]
    pub fn expected(&self, which: &str) -> Expected {
        match (&self.value, self.undefined, &self.error, self.certain) {
            (Some(value), false, None, true) => Expected::Value(json(which, value)),
            (None, true, None, true) => Expected::Undefined,
            (None, false, Some(code), true) => Expected::Error(code.clone()),
            (None, false, None, false) => Expected::Unknown,
            _ => fail(which, "exactly one of `value`, `undefined`, `error` and `certain: false` is due"),
        }
    }
}

/// Reads JSON text of a vector.
///
/// # Panics
/// It isn't JSON.
#[must_use]
pub fn json(which: &str, text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| fail(which, &format!("{text}: {error}")))
}

/// Whether two values are the same: numbers by their value.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (a, b) => a == b,
    }
}

fn opa() -> BuiltinErrors {
    BuiltinErrors::Opa
}

fn yes() -> bool {
    true
}
