//! A context that the host built as a value, so that there is no text to read.
//!
//! It is checked once, as strictly as its text would be; after that what is wanted is found by walking there.

use std::fmt::Write as _;

use super::MAX_DOCUMENT_BYTES;
use super::fields::{Field, NodeId, Wanted};
use crate::eval::value::json::{COMPOSITE, STRICT};
use crate::eval::value::{Number, Value};
use crate::request::BadInput;

/// Checks a document, and counts about how many bytes it takes as JSON.
///
/// # Errors
/// Its text would be refused: too deep, too many values, a number that can't be held.
pub(crate) fn check(value: &serde_json::Value) -> Result<usize, BadInput> {
    let mut size = Size::default();
    size.add(value, 0)?;
    Ok(size.bytes)
}

/// Keeps what lies at the wanted places below `at`. Fields of which nothing is found are left as they are.
pub(crate) fn fill<'i>(value: &'i serde_json::Value, wanted: &Wanted, at: NodeId, fields: &mut [Field<'i>]) {
    if let Some(field) = wanted.field(at) {
        if let (Some(field), Some(found)) = (fields.get_mut(field as usize), field_of(value)) {
            *field = found;
        }
    } else if let serde_json::Value::Object(object) = value {
        for (key, child) in wanted.children(at) {
            if let Some(value) = object.get(key) {
                fill(value, wanted, child, fields);
            }
        }
    }
}

/// As a value of Rego; none, if it wasn't checked and holds a number that can't be held. Recurses by depth, which is
/// bounded.
pub(crate) fn tree(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(value) => Value::Number(number(value)?),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::array(items.iter().map(tree).collect::<Option<_>>()?),
        serde_json::Value::Object(entries) => Value::object(
            entries
                .iter()
                .map(|(key, value)| Some((Value::from(key.as_str()), tree(value)?)))
                .collect::<Option<_>>()?,
        ),
    })
}

fn field_of(value: &serde_json::Value) -> Option<Field<'_>> {
    Some(match value {
        serde_json::Value::Null => Field::Null,
        serde_json::Value::Bool(value) => Field::Bool(*value),
        serde_json::Value::Number(value) => Field::Number(number(value)?),
        serde_json::Value::String(text) => Field::Text(text.as_str().into()),
        composite => Field::Tree(tree(composite)?),
    })
}

/// With the text that serde gives it.
fn number(value: &serde_json::Number) -> Option<Number> {
    match value.as_i64() {
        Some(value) => Some(Number::from(value)),
        None => value.to_string().parse().ok(),
    }
}

/// How much there is of a document.
#[derive(Default)]
struct Size {
    /// As a reader of its text would count them.
    values: usize,
    bytes: usize,
}

impl Size {
    /// Recurses by depth, which is bounded.
    fn add(&mut self, value: &serde_json::Value, depth: usize) -> Result<(), BadInput> {
        match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) => self.count(1, 5),
            serde_json::Value::Number(value) if value.is_i64() => self.count(1, 8),
            serde_json::Value::Number(value) => {
                let mut text = String::new();
                // Writing to a string doesn't fail.
                let _ = write!(text, "{value}");
                if text.parse::<Number>().is_err() {
                    return Err(BadInput("context: a number that can't be held exactly; pass it as a string".into()));
                }
                self.count(2 + text.len() / 32, text.len())
            }
            serde_json::Value::String(text) => self.count(1, text.len() + 3),
            serde_json::Value::Array(items) => {
                self.open(items.is_empty(), depth)?;
                items.iter().try_for_each(|item| self.add(item, depth + 1))
            }
            serde_json::Value::Object(entries) => {
                self.open(entries.is_empty(), depth)?;
                entries.iter().try_for_each(|(key, value)| {
                    self.count(1, key.len() + 4)?;
                    self.add(value, depth + 1)
                })
            }
        }
    }

    fn open(&mut self, is_empty: bool, depth: usize) -> Result<(), BadInput> {
        if depth >= STRICT.max_depth {
            return Err(BadInput(format!("context: nested deeper than {}", STRICT.max_depth)));
        }
        self.count(if is_empty { 1 } else { 1 + COMPOSITE }, 2)
    }

    fn count(&mut self, values: usize, bytes: usize) -> Result<(), BadInput> {
        self.values += values;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > STRICT.max_values {
            return Err(BadInput(format!("context: more than {} values", STRICT.max_values)));
        }
        if self.bytes > MAX_DOCUMENT_BYTES {
            return Err(BadInput(format!("context: more than {MAX_DOCUMENT_BYTES} bytes")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn nested(depth: usize) -> Json {
        (0..depth).fold(json!(1), |value, _| json!([value]))
    }

    // That it takes what a reader of its text takes, and finds the same, is tested beside `scan`.

    #[test]
    fn limits() {
        assert!(check(&nested(32)).is_ok());
        assert!(check(&nested(33)).unwrap_err().to_string().contains("nested deeper than 32"));
        // The array and its content count for themselves.
        assert!(check(&json!(vec![0; STRICT.max_values - 1 - COMPOSITE])).is_ok());
        assert!(check(&json!(vec![0; STRICT.max_values - COMPOSITE])).unwrap_err().to_string().contains("values"));
        assert!(check(&json!("x".repeat(MAX_DOCUMENT_BYTES))).unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn only_what_is_wanted_is_looked_at() {
        let wanted = Wanted::new(&[["a".into(), "b".into()].into(), ["c".into()].into(), ["d".into()].into()]);
        let value = json!({"a": {"b": "text", "x": 1}, "c": [1.50, {}], "e": 1});
        let mut fields = vec![Field::Absent; 3];
        fill(&value, &wanted, Wanted::ROOT, &mut fields);
        assert_eq!(fields[0], Field::Text("text".into()));
        assert!(matches!(&fields[1], Field::Tree(value) if value.to_json() == "[1.5,{}]"));
        assert_eq!(fields[2], Field::Absent);
    }
}
