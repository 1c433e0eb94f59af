//! What a request says beyond its names: the action's arguments and circumstances.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::eval::built;
use crate::request::BadInput;

/// A request's context: one JSON document, as text with its exact bytes kept, or as a value that the host built. Cheap to
/// clone. Two are equal if their texts are.
///
/// ```
/// use meshguard_engine::Context;
/// use serde_json::json;
///
/// let built = Context::from_value(json!({"command": "ls"})).unwrap();
/// assert_eq!(built, Context::from_json(r#"{"command":"ls"}"#).unwrap());
/// assert_eq!(built.as_json(), r#"{"command":"ls"}"#);
/// ```
#[derive(Clone)]
pub struct Context(Kept);

#[derive(Clone)]
enum Kept {
    Text(Arc<str>),
    Built(Arc<Built>),
}

struct Built {
    value: Value,
    bytes: usize,
}

/// What a context is held as.
#[derive(Clone, Copy)]
pub(crate) enum Held<'a> {
    /// JSON, not checked beyond that.
    Text(&'a str),
    /// Checked.
    Built(&'a Value),
}

impl Context {
    /// Keeps `json` as it is.
    ///
    /// # Errors
    /// The text isn't one JSON document.
    pub fn from_json(json: &str) -> Result<Self, BadInput> {
        let raw: &RawValue = serde_json::from_str(json).map_err(|e| BadInput(format!("context: {e}")))?;
        Ok(Self(Kept::Text(raw.get().into())))
    }

    /// Keeps `value`, which is checked here, once, and then neither written nor read to decide.
    ///
    /// # Errors
    /// A decision about it would be refused: it is nested deeper than 32, or holds more than some 100,000 values or 16 MiB.
    pub fn from_value(value: Value) -> Result<Self, BadInput> {
        match built::check(&value) {
            Ok(bytes) => Ok(Self(Kept::Built(Arc::new(Built { value, bytes })))),
            Err(error) => {
                dismantle(value);
                Err(error)
            }
        }
    }

    /// The JSON text; of a built value it is made now.
    pub fn as_json(&self) -> Cow<'_, str> {
        match &self.0 {
            Kept::Text(text) => Cow::Borrowed(text),
            Kept::Built(built) => Cow::Owned(built.value.to_string()),
        }
    }

    /// A text that came out of a context before.
    pub(crate) fn from_kept(json: &str) -> Self {
        Self(Kept::Text(json.into()))
    }

    pub(crate) fn held(&self) -> Held<'_> {
        match &self.0 {
            Kept::Text(text) => Held::Text(text),
            Kept::Built(built) => Held::Built(&built.value),
        }
    }

    /// About how many bytes its text has.
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Text(text) => text.len(),
            Kept::Built(built) => built.bytes,
        }
    }
}

/// Drops a value that may be too deep for a drop that recurses.
fn dismantle(value: Value) {
    let mut parts = vec![value];
    while let Some(part) = parts.pop() {
        match part {
            Value::Array(items) => parts.extend(items),
            Value::Object(entries) => parts.extend(entries.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self(Kept::Text("{}".into()))
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Eq for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments of tool calls hold secrets; a debug print is not the place for them.
        write!(f, "Context({} bytes)", self.bytes())
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Kept::Text(text) => {
                let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                raw.serialize(serializer)
            }
            Kept::Built(built) => built.value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Kept::Text(raw.get().into())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Request;

    #[test]
    fn built_and_written_are_the_same() {
        let value = json!({"command": "ls", "n": [1, 2.5, null, true]});
        let built = Request::new("a", "b").context_value(value.clone()).unwrap();
        let written = Request::new("a", "b").context(&value.to_string()).unwrap();
        assert_eq!(built, written);
        assert_eq!(serde_json::to_string(&built).unwrap(), serde_json::to_string(&written).unwrap());
        assert_ne!(built, Request::new("a", "b").context(r#"{"command":"ls"}"#).unwrap());
        let document = |request| crate::eval::document(request, "acme", None).unwrap();
        assert_eq!(document(&built).to_json(), document(&written).to_json());
    }

    #[test]
    fn a_deep_value_is_refused_and_dropped() {
        let mut deep = json!(1);
        for _ in 0..1_000_000 {
            deep = Value::Array(vec![deep]);
        }
        assert!(Context::from_value(deep).is_err());
    }

    #[test]
    fn debug_shows_no_arguments() {
        let context = Context::from_value(json!({"password": "hunter2"})).unwrap();
        assert!(!format!("{context:?}").contains("hunter2"));
    }
}
