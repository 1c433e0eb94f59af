//! What one statement asks of one part of an input, and whether a value passes.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::eval::input::reads::Seen;
use crate::eval::plan::Comparison;
use crate::eval::value::{Number, Value};

/// A question about one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Test {
    Defined,
    /// Defined, and not `false`.
    Truthy,
    Compare(Comparison, Value),
    /// One of these scalars.
    OneOf(Box<[Value]>),
    /// A collection with this scalar as an element.
    Has(Value),
    /// What a builtin takes that wants a text: anything else is an error.
    Textual,
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Contains(Arc<str>),
    /// A pattern that matches nothing without this prefix. What has it is left to the plan.
    Pattern {
        prefix: Arc<str>,
    },
    /// One of these, in a guard.
    Any(Box<[Test]>),
    /// Nothing is known; the plan has to say.
    Opaque,
}

/// What can be said of a test before the plan is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Yes,
    No,
    /// Only the plan can tell, or would raise an error.
    Perhaps,
}

impl Passed {
    fn from(passed: bool) -> Self {
        if passed { Self::Yes } else { Self::No }
    }
}

impl Test {
    /// Whether what was `seen` passes. Never says more than the plan would.
    pub(super) fn passes(&self, seen: Seen<'_>) -> Passed {
        if matches!(seen, Seen::Absent) {
            // Whatever asks about it, asks for it first.
            return if matches!(self, Self::Opaque) { Passed::Perhaps } else { Passed::No };
        }
        match self {
            Self::Defined => Passed::Yes,
            Self::Truthy => Passed::from(!matches!(seen, Seen::Bool(false))),
            Self::Compare(how, value) => compare(*how, seen, value),
            Self::OneOf(values) => {
                match values.iter().map(|value| compare(Comparison::Equal, seen, value)).max_by_key(rank) {
                    Some(passed) => passed,
                    None => Passed::No,
                }
            }
            Self::Has(value) => has(seen, value),
            Self::Textual => of_text(seen, |_| true),
            Self::Prefix(prefix) => of_text(seen, |text| text.starts_with(&**prefix)),
            Self::Suffix(suffix) => of_text(seen, |text| text.ends_with(&**suffix)),
            Self::Contains(part) => of_text(seen, |text| text.contains(&**part)),
            Self::Pattern { prefix } => match seen {
                Seen::Text(text) if !text.starts_with(&**prefix) => Passed::No,
                _ => Passed::Perhaps,
            },
            Self::Any(tests) => tests.iter().map(|test| test.passes(seen)).max_by_key(rank).unwrap_or(Passed::No),
            Self::Opaque => Passed::Perhaps,
        }
    }

    /// Whether it raises an error about anything but a text.
    pub(super) fn wants_text(&self) -> bool {
        match self {
            Self::Textual | Self::Prefix(_) | Self::Suffix(_) | Self::Contains(_) | Self::Pattern { .. } => true,
            Self::Any(tests) => tests.iter().any(Self::wants_text),
            _ => false,
        }
    }
}

fn rank(passed: &Passed) -> u8 {
    match passed {
        Passed::No => 0,
        Passed::Perhaps => 1,
        Passed::Yes => 2,
    }
}

fn of_text(seen: Seen<'_>, passes: impl FnOnce(&str) -> bool) -> Passed {
    match seen {
        Seen::Text(text) => Passed::from(passes(text)),
        _ => Passed::Perhaps,
    }
}

fn has(seen: Seen<'_>, wanted: &Value) -> Passed {
    let Seen::Tree(tree) = seen else { return Passed::No };
    Passed::from(match tree {
        Value::Array(items) => items.iter().any(|item| item == wanted),
        Value::Set(items) => items.contains(wanted),
        Value::Object(object) => object.values().any(|item| item == wanted),
        _ => false,
    })
}

fn compare(how: Comparison, seen: Seen<'_>, value: &Value) -> Passed {
    let Some(order) = order(seen, value) else { return Passed::Perhaps };
    Passed::from(match how {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

/// How what was seen compares with a value, as the plan compares them. None if that would need more than a few steps.
pub(super) fn order(seen: Seen<'_>, value: &Value) -> Option<Ordering> {
    Some(match (seen, value) {
        (Seen::Text(text), Value::String(value)) => text.as_bytes().cmp(value.as_bytes()),
        (Seen::Number(Number::Int(a)), Value::Number(Number::Int(b))) => a.cmp(b),
        (Seen::Number(a), Value::Number(b)) => a.cmp(b),
        (Seen::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Seen::Tree(tree), value) if is_composite(value) => {
            if tree.weight() > 16 || value.weight() > 16 {
                return None;
            }
            tree.cmp(value)
        }
        (seen, value) => kind(seen).cmp(&kind(Seen::of(value))),
    })
}

pub(super) fn is_composite(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_) | Value::Set(_))
}

/// The order of types, as `Value` has it.
fn kind(seen: Seen<'_>) -> u8 {
    match seen {
        Seen::Absent | Seen::Null => 0,
        Seen::Bool(_) => 1,
        Seen::Number(_) => 2,
        Seen::Text(_) => 3,
        Seen::Tree(Value::Array(_)) => 4,
        Seen::Tree(Value::Object(_)) => 5,
        Seen::Tree(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        crate::eval::value::json::read(text, crate::eval::value::json::STRICT).unwrap()
    }

    #[test]
    fn orders_as_values_do() {
        let values = [
            "null",
            "false",
            "true",
            "-1",
            "0",
            "1",
            "1.0",
            "1e0",
            "2.5",
            r#""""#,
            r#""a""#,
            "[]",
            "[1]",
            "{}",
            r#"{"a":1}"#,
        ];
        for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (read(a), read(b)))) {
            assert_eq!(order(Seen::of(&a), &b), Some(a.cmp(&b)), "{a} {b}");
        }
    }

    #[test]
    fn what_isnt_there_passes_nothing_and_what_isnt_text_is_left_to_the_plan() {
        let tests = [
            Test::Defined,
            Test::Truthy,
            Test::Compare(Comparison::NotEqual, Value::from("a")),
            Test::OneOf([Value::from("a")].into()),
            Test::Has(Value::from("a")),
            Test::Prefix("a".into()),
            Test::Pattern { prefix: "".into() },
        ];
        for test in &tests {
            assert_eq!(test.passes(Seen::Absent), Passed::No, "{test:?}");
            let expected =
                if test.wants_text() { Passed::Perhaps } else { test.passes(Seen::Number(&Number::from(1_i64))) };
            assert_eq!(test.passes(Seen::Number(&Number::from(1_i64))), expected, "{test:?}");
        }
        assert_eq!(Test::Prefix("a".into()).passes(Seen::Null), Passed::Perhaps);
    }
}
