//! YAML as OPA 1.x reads and writes it, which is as go-yaml v3 does (`internal/yaml` of OPA, `go.yaml.in/yaml/v3`).
//!
//! A library for YAML 1.2 wouldn't do: what counts as a document, a key or a number here is what that library takes for
//! one, down to tabs, long keys, merged mappings and numbers with a leading zero. So this has its own scanner, grammar
//! and emitter. Only the first document of a stream has a value, but all of them have to be right.

mod decode;
pub(crate) mod document;
mod emit;
pub(crate) mod scalar;
mod scanner;

use std::borrow::Cow;
use std::vec::IntoIter;

use super::super::operand::{self, operand};
use super::super::{Budget, Context, Failure, Limit};
use super::{go_float, go_json};
use crate::eval::value::{Number, Value};
use decode::Datum;
use scalar::Scalar;

pub(super) fn marshal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    // OPA reads the JSON as YAML, which it mostly is.
    let json = go_json::marshal(ctx.budget, operand(args, 1)?, None)?;
    let datum = parse(ctx.budget, &json, true)?;
    emit::emit(ctx.budget, &datum).map(Value::from)
}

pub(super) fn unmarshal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    parse(ctx.budget, operand::string(args, 1)?, false)?.into_value()
}

pub(super) fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(text) = operand(args, 1)? else { return Ok(Value::Bool(false)) };
    match parse(ctx.budget, text, false).and_then(Datum::into_value) {
        Ok(_) => Ok(Value::Bool(true)),
        Err(Failure::Error(_)) => Ok(Value::Bool(false)),
        Err(failure) => Err(failure),
    }
}

fn parse(budget: &mut Budget, text: &str, first_only: bool) -> Result<Datum, Failure> {
    budget.step(text.len() as u64)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains(|char| !is_allowed(char)) {
        return Err(Problem::new("control characters are not allowed").into());
    }
    let tokens = scanner::tokens(budget, text)?;
    let stream = document::stream(budget, tokens, first_only)?;
    decode::decode(budget, stream)
}

/// The nodes of a text's first document. Unlike `yaml.unmarshal`, this leaves unread what follows it: so does OPA with
/// metadata.
///
/// # Errors
/// It isn't YAML, or takes more than the budget.
pub(crate) fn first_document(budget: &mut Budget, text: &str) -> Result<document::Stream, Failure> {
    budget.step(text.len() as u64)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains(|char| !is_allowed(char)) {
        return Err(Problem::new("control characters are not allowed").into());
    }
    let (tokens, problem) = scanner::first_tokens(text);
    document::stream(budget, tokens, true).map_err(|error| problem.map_or(error, Failure::from))
}

fn is_allowed(char: char) -> bool {
    match char {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// An array or an object that isn't complete, and what is still to come.
enum Open {
    Array { items: IntoIter<Datum>, values: Vec<Value> },
    Object { entries: IntoIter<(String, Datum)>, key: String, values: Vec<(Value, Value)> },
}

impl Datum {
    /// As JSON has it. Doesn't recurse, since the caller's stack may be small.
    fn into_value(self) -> Result<Value, Failure> {
        let mut open = vec![];
        let mut value = self.begin(&mut open)?;
        while let Some(innermost) = open.last_mut() {
            let next = match innermost {
                Open::Array { items, values } => {
                    values.extend(value.take());
                    items.next()
                }
                Open::Object { entries, key, values } => {
                    values.extend(value.take().map(|value| (Value::from(std::mem::take(key)), value)));
                    entries.next().map(|(name, datum)| {
                        *key = name;
                        datum
                    })
                }
            };
            value = match next {
                Some(datum) => datum.begin(&mut open)?,
                None => open.pop().map(Open::finish),
            };
        }
        value.ok_or(Failure::Limit(Limit::Size))
    }

    /// Gives the value of a scalar, and opens anything else.
    fn begin(self, open: &mut Vec<Open>) -> Result<Option<Value>, Failure> {
        match self {
            Self::Scalar(scalar) => return scalar.into_value().map(Some),
            Self::Sequence(items) => {
                let values = Vec::with_capacity(items.len());
                open.push(Open::Array { items: items.into_iter(), values });
            }
            Self::Mapping(entries) => {
                let values = Vec::with_capacity(entries.len());
                open.push(Open::Object { entries: entries.into_iter(), key: String::new(), values });
            }
        }
        Ok(None)
    }
}

impl Open {
    fn finish(self) -> Value {
        match self {
            Self::Array { values, .. } => Value::array(values),
            Self::Object { values, .. } => Value::object(values),
        }
    }
}

impl Scalar {
    fn into_value(self) -> Result<Value, Failure> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::from(value),
            Self::Uint(value) => Value::Number(number(&value.to_string())?),
            Self::Float(value) if !value.is_finite() => {
                let value = go_float::general(value);
                return Err(Failure::error(format!("json: unsupported value: {value}")));
            }
            Self::Float(value) => Value::Number(number(&go_float::json(value))?),
            Self::Text(text) | Self::Time(Some(text)) => Value::from(text),
            Self::Time(None) => return Err(Failure::error("Time.MarshalJSON: timezone hour outside of range [0,23]")),
        })
    }
}

fn number(text: &str) -> Result<Number, Failure> {
    Ok(text.parse()?)
}

/// Why a text isn't YAML, or has no value.
#[derive(Debug)]
pub(crate) struct Problem {
    stage: Stage,
    what: Cow<'static, str>,
    /// Lines where what went wrong began, and where it did; 0 for the first.
    context: usize,
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Scanner,
    Parser,
    Decoder,
}

impl Problem {
    fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { stage: Stage::Decoder, what: what.into(), context: 0, line: 0 }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let line = if problem.context > 0 { problem.context } else { problem.line };
        let what = &problem.what;
        Self::Error(match (line, problem.stage) {
            (0, _) | (_, Stage::Decoder) => format!("yaml: {what}"),
            // The scanner counts from zero.
            (line, Stage::Scanner) => format!("yaml: line {}: {what}", line + 1),
            (line, Stage::Parser) => format!("yaml: line {line}: {what}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::budget::Limits;
    use super::*;

    fn budget() -> Budget {
        Budget::new(Limits { steps: 100_000_000, bytes: 1 << 28, time: Duration::from_secs(60) })
    }

    fn json(text: &str) -> Option<String> {
        parse(&mut budget(), text, false).and_then(Datum::into_value).ok().map(|value| value.to_json())
    }

    #[test]
    fn documents() {
        for (text, expected) in [
            ("on: push\noff: x\n", r#"{"off":"x","on":"push"}"#),
            ("a: yes\nb: FALSE\nc: 0o17\nd: 010\ne: ~\n", r#"{"a":"yes","b":false,"c":15,"d":8,"e":null}"#),
            ("1: a\ntrue: b\n1.5: c\n", r#"{"1":"a","1.5":"c","true":"b"}"#),
            ("base: &b\n  on: 1\nderived:\n  <<: *b\n  y: 2\n", r#"{"base":{"on":1},"derived":{"on":1,"y":2}}"#),
            (
                "p: &p {x: 1}\nq: &q {y: 2}\nr:\n  <<: *p\n  <<: *q\n  z: 3\n",
                r#"{"p":{"x":1},"q":{"y":2},"r":{"x":1,"y":2,"z":3}}"#,
            ),
            ("a: 2023-01-01\nb: 2023-01-01 10:00:00\n", r#"{"a":"2023-01-01","b":"2023-01-01 10:00:00"}"#),
            ("a: 1\nb: 9\na: 2\na: 3\n", r#"{"a":3,"b":9}"#),
            ("a: |\n  x\n  y\nb: >-\n  x\n  y\n\n  z\n", r#"{"a":"x\ny\n","b":"x y\nz"}"#),
            ("", "null"),
            ("---\n---\na: 1\n", "null"),
            ("a: 1\n---\nb: 2\n", r#"{"a":1}"#),
            ("[a, {b: c}, d: e, ? f]", r#"["a",{"b":"c"},{"d":"e"},{"f":null}]"#),
            ("k: \"a\\\n  b\\u00e9\"\n'it''s': 1", r#"{"it's":1,"k":"abé"}"#),
        ] {
            assert_eq!(json(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "null: a\n",
            "? [1, 2]\n: v\n",
            "\n  test:\ntest1: hello\n",
            "a: 1\n---\n\tb: 2\n",
            "*a",
            "&a [*a]",
            "a: .inf",
            "[1,2",
            "{a: b",
            "a: b: c",
            "\"a\n  b\": c",
            "\u{1}",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
    }

    #[test]
    fn aliases_that_grow() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let before = level - 1;
            let items = vec![format!("*a{before}"); 9].join(",");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let failure = parse(&mut budget(), &text, false).unwrap_err();
        assert_eq!(failure, Failure::error("yaml: document contains excessive aliasing"));
    }

    #[test]
    fn texts() {
        let text = |json: &str| {
            let mut budget = budget();
            let datum = parse(&mut budget, json, true).unwrap();
            emit::emit(&mut budget, &datum).unwrap()
        };
        for (json, expected) in [
            (r#"[{"foo":[1,2,3]}]"#, "- foo:\n    - 1\n    - 2\n    - 3\n"),
            (r#"{"a":{},"b":[],"c":null}"#, "a: {}\nb: []\nc: null\n"),
            (
                r#"["yes","1","a: b","","'x","a\tb","😀","a\nb","- x","1:30","2001-01-01"]"#,
                "- \"yes\"\n- \"1\"\n- 'a: b'\n- \"\"\n- '''x'\n- \"a\\tb\"\n- \"\\U0001F600\"\n- |-\n  a\n  b\n- '- x'\n- \"1:30\"\n- \"2001-01-01\"\n",
            ),
            ("1000000.5", "1.0000005e+06\n"),
            (r#"[[1,[2]]]"#, "- - 1\n  - - 2\n"),
            (r#"{"a10":1,"a9":2}"#, "a9: 2\na10: 1\n"),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
    }
}
