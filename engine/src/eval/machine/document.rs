//! Documents of `data`, where rules and data meet: references whose keys aren't constant go through them.

use super::slot::Slot;
use crate::eval::plan::Plan;
use crate::eval::value::Value;

/// A place in `data` that a reference has come to.
#[derive(Debug)]
pub(super) struct Document<'p> {
    /// The node of the rule tree, where rules are at or below the place.
    pub(super) node: Option<u32>,
    /// What data is there.
    pub(super) base: Slot<'p>,
    /// Where it is, below `data`.
    pub(super) path: Vec<Value>,
}

/// A loop over the keys of a document.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) keys: Vec<Value>,
    /// Whether there are keys that aren't known.
    pub(super) open: bool,
    pub(super) turn: super::slot::Turn,
}

impl<'p> Document<'p> {
    pub(super) fn share(&self) -> Self {
        Self { node: self.node, base: self.base.share(), path: self.path.clone() }
    }
}

/// How a path lies to the roots that aren't held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    /// Beside all of them.
    Beside,
    /// Above this one: part of it isn't held.
    Above(usize),
    /// At or below this one: nothing of it is held.
    Within(usize),
}

pub(super) fn remote(plan: &Plan, path: &[Value]) -> Remote {
    for (i, root) in plan.remote.iter().enumerate() {
        if path.starts_with(root) {
            return Remote::Within(i);
        }
        if root.starts_with(path) {
            return Remote::Above(i);
        }
    }
    Remote::Beside
}

/// What lies under `key` in data: keys are compared as texts, as OPA's storage does. A number is the text it was written
/// with; other values than strings and numbers are no keys.
pub(super) fn child<'v>(base: &'v Value, key: &Value) -> Option<&'v Value> {
    // A set, or another key than a text, only comes from `with`.
    match base {
        Value::Set(set) => return set.get(key),
        Value::Object(object) if !matches!(key, Value::String(_)) => {
            if let Some(found) = object.get(key) {
                return Some(found);
            }
        }
        _ => {}
    }
    let text = match key {
        Value::String(text) => std::borrow::Cow::Borrowed(&**text),
        Value::Number(number) => std::borrow::Cow::Owned(number.to_string()),
        _ => return None,
    };
    match base {
        Value::Object(object) => object.get_str(&text),
        Value::Array(array) => array.get(index(&text)?),
        _ => None,
    }
}

/// An index as OPA reads one: a sign, digits, and zeros behind a point are allowed.
fn index(text: &str) -> Option<usize> {
    let unsigned = text.strip_prefix('+').or_else(|| text.strip_prefix('-')).unwrap_or(text);
    if unsigned.is_empty() || unsigned.len() > 19 {
        return None;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if !fraction.bytes().all(|byte| byte == b'0') || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let index: usize = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    (index == 0 || !text.starts_with('-')).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_as_opa_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("+1", Some(1)),
            ("-0", Some(0)),
            ("1.0", Some(1)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("+", None),
            ("1e0", None),
            ("1..0", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(index(text), expected, "{text}");
        }
    }
}
