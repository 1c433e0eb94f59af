//! JSON: read strictly or as Go reads it, and written as Go writes it. Neither recurses.

mod strings;
mod tokens;

use std::collections::HashSet;
use std::fmt::Write as _;

pub(crate) use self::tokens::{Kind, Refused, Tokens, Word};
use super::{Object, Value};

/// How a document is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Objects and arrays within each other.
    pub(crate) max_depth: usize,
    /// Values and keys in all.
    pub(crate) max_values: usize,
    /// Whether what two readers could read differently is taken as Go's `encoding/json` takes it: of equal keys the last
    /// one, half a surrogate pair as U+FFFD.
    pub(crate) lenient: bool,
}

/// For requests: 32 levels, nothing ambiguous, and no more values than can be read, walked and freed within a decision.
pub(crate) const STRICT: Reading = Reading { max_depth: 32, max_values: 150_000, lenient: false };

/// For data files: as deep as a value may be, nothing ambiguous. A value takes up to 60 bytes.
pub(crate) const DATA: Reading =
    Reading { max_depth: super::MAX_DEPTH as usize, max_values: MAX_DATA as usize, lenient: false };

/// What an array or object with content counts for beyond itself: it takes as much memory, and time to free, as three others.
pub(crate) const COMPOSITE: usize = 2;

/// The [`weight`](Value::weight) that a bundle's data may have.
pub(crate) const MAX_DATA: u32 = 1_000_000;

/// For `json.unmarshal` and its like.
pub(crate) const GO: Reading = Reading { max_depth: super::MAX_DEPTH as usize, max_values: usize::MAX, lenient: true };

/// Why a text can't be read as JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct JsonError {
    pub(crate) what: String,
    /// Bytes from the beginning.
    pub(crate) at: usize,
    /// Whether it may well be JSON, but is too much of it.
    pub(crate) is_limit: bool,
}

impl From<Refused> for JsonError {
    fn from(refused: Refused) -> Self {
        *refused
    }
}

/// Reads one document.
///
/// # Errors
/// It isn't JSON, is too deep, holds a number that can't be held, or, unless lenient, is ambiguous.
pub(crate) fn read(text: &str, reading: Reading) -> Result<Value, JsonError> {
    let mut tokens = Tokens::new(text, reading);
    let value = read_value(&mut tokens, 0)?;
    tokens.end()?;
    Ok(value)
}

/// Reads one value that stands in `depth` others.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_value(tokens: &mut Tokens<'_>, depth: usize) -> Result<Value, Refused> {
    let mut reader = Reader { tokens, depth, empty: None };
    reader.value()
}

/// Makes a value of what it reads.
struct Reader<'t, 'i> {
    tokens: &'t mut Tokens<'i>,
    /// How deep the whole of it stands.
    depth: usize,
    /// An empty array and an empty object, for all of them.
    empty: Option<(Value, Value)>,
}

/// A composite that isn't complete.
enum Open {
    Array(Vec<Value>),
    Object { entries: Vec<(Value, Value)>, key: Value },
}

impl Reader<'_, '_> {
    fn value(&mut self) -> Result<Value, Refused> {
        let mut open: Vec<Open> = vec![];
        loop {
            // Here a value is expected.
            let mut value = match self.tokens.value()? {
                Kind::Array if self.tokens.open(b']', self.depth + open.len())? => {
                    open.push(Open::Array(vec![]));
                    continue;
                }
                Kind::Array => self.empty().0,
                Kind::Object if self.tokens.open(b'}', self.depth + open.len())? => {
                    let key = self.key()?;
                    open.push(Open::Object { entries: vec![], key });
                    continue;
                }
                Kind::Object => self.empty().1,
                Kind::Text => Value::from(&*self.tokens.string()?),
                Kind::Number => Value::Number(self.tokens.number()?),
                Kind::Word => match self.tokens.word()? {
                    Word::Null => Value::Null,
                    Word::Bool(value) => Value::Bool(value),
                },
            };
            // Here a value is complete; it may complete what it stands in.
            loop {
                match open.pop() {
                    None => return Ok(value),
                    Some(Open::Array(mut items)) => {
                        items.push(value);
                        if self.tokens.another(b']')? {
                            open.push(Open::Array(items));
                            break;
                        }
                        value = Value::array(items);
                    }
                    Some(Open::Object { mut entries, key }) => {
                        entries.push((key, value));
                        if self.tokens.another(b'}')? {
                            let key = self.key()?;
                            open.push(Open::Object { entries, key });
                            break;
                        }
                        value = self.object(entries)?;
                    }
                }
            }
        }
    }

    fn object(&self, entries: Vec<(Value, Value)>) -> Result<Value, Refused> {
        if !self.tokens.reading().lenient {
            let twice = if entries.len() <= 8 {
                let mut rest = entries.as_slice();
                std::iter::from_fn(|| {
                    let ((key, _), tail) = rest.split_first()?;
                    rest = tail;
                    Some((key, tail))
                })
                .find(|(key, tail)| tail.iter().any(|(other, _)| other == *key))
                .map(|(key, _)| key)
            } else {
                let mut seen = HashSet::with_capacity(entries.len());
                entries.iter().map(|(key, _)| key).find(|key| !seen.insert(key.as_str()))
            };
            if let Some(key) = twice.and_then(Value::as_str) {
                return Err(self.tokens.twice(key));
            }
        }
        Ok(Value::Object(Object::from(entries)))
    }

    fn key(&mut self) -> Result<Value, Refused> {
        self.tokens.key()?;
        let key = self.tokens.string()?;
        self.tokens.colon()?;
        Ok(Value::from(&*key))
    }

    fn empty(&mut self) -> (Value, Value) {
        self.empty.get_or_insert_with(|| (Value::array(vec![]), Value::object(vec![]))).clone()
    }
}

/// RFC 8259's grammar.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// How a document is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing<'a> {
    /// Whether `<`, `>` and `&` are escaped, as Go's `json.Marshal` does.
    pub(crate) html: bool,
    /// Lines and indentation: the prefix of each line, and what is put before it per level.
    pub(crate) indent: Option<(&'a str, &'a str)>,
}

impl Value {
    /// As JSON on one line: sets as arrays, keys that aren't strings as the JSON they are.
    pub(crate) fn to_json(&self) -> String {
        self.to_json_as(Writing::default())
    }

    /// Recurses by depth, which is bounded.
    pub(crate) fn to_json_as(&self, writing: Writing<'_>) -> String {
        let mut out = String::new();
        write(&mut out, self, writing, 0);
        out
    }
}

fn write(out: &mut String, value: &Value, writing: Writing<'_>, level: usize) {
    let spaced = |out: &mut String, level: usize| {
        if let Some((prefix, indent)) = writing.indent {
            out.push('\n');
            out.push_str(prefix);
            (0..level).for_each(|_| out.push_str(indent));
        }
    };
    let items = |out: &mut String, items: &[Value]| {
        out.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            spaced(out, level + 1);
            write(out, item, writing, level + 1);
        }
        if !items.is_empty() {
            spaced(out, level);
        }
        out.push(']');
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => write_string(out, text, writing.html),
        Value::Array(array) => items(out, array.as_slice()),
        Value::Set(set) => items(out, set.as_slice()),
        Value::Object(object) => {
            let mut entries: Vec<(std::borrow::Cow<'_, str>, &Value)> = object
                .iter()
                .map(|(key, value)| match key {
                    Value::String(key) => ((&**key).into(), value),
                    key => (key.to_json_as(Writing { html: true, indent: None }).into(), value),
                })
                .collect();
            if !entries.is_sorted_by(|(a, _), (b, _)| a <= b) {
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                spaced(out, level + 1);
                write_string(out, key, writing.html);
                out.push_str(if writing.indent.is_some() { ": " } else { ":" });
                write(out, value, writing, level + 1);
            }
            if !entries.is_empty() {
                spaced(out, level);
            }
            out.push('}');
        }
    }
}

fn write_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for json in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"b":1,"\u0062":2}}"#,
            "1e5000",
            "-1e5000",
            "NaN",
            "Infinity",
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            "\"\u{0}\"",
            "[1,]",
            "{,}",
            "1 2",
            "",
            "{",
            "01",
            "1.",
            ".5",
            "+1",
            "tru",
            r#"{"a" 1}"#,
            r#""\x""#,
            r#""\u12"#,
            &"[".repeat(33),
        ] {
            assert!(read(json, STRICT).is_err(), "{json}");
        }
    }

    #[test]
    fn documents_come_back_as_they_were() {
        for json in [
            "null",
            "-9223372036854775808",
            "18446744073709551616",
            "0.12345678901234567",
            "1.0",
            "-0",
            "1E3",
            r#"{"":"[[[[[","a":[{"b":{}},[],true,false]}"#,
            r#""\"1e999\\""#,
        ] {
            assert_eq!(read(json, STRICT).unwrap().to_json(), json);
        }
    }

    #[test]
    fn lenient_is_go() {
        assert_eq!(read(r#"{"a":1,"a":2}"#, GO).unwrap().to_json(), r#"{"a":2}"#);
        assert_eq!(read(r#""\ud800x\udc00""#, GO).unwrap().as_str(), Some("\u{fffd}x\u{fffd}"));
        assert_eq!(read(r#""\ud83d\ude00""#, STRICT).unwrap().as_str(), Some("😀"));
    }

    #[test]
    fn keys_that_are_no_strings() {
        let value = Value::object(vec![(Value::from(2_i64), Value::Null), (Value::from("10"), Value::Bool(true))]);
        assert_eq!(value.to_json(), r#"{"10":true,"2":null}"#);
    }

    #[test]
    fn deep_but_allowed() {
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(read(&deep, DATA).unwrap().depth(), 128);
        assert!(read(&format!("[{deep}]"), DATA).is_err());
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde(json in "[\\[\\]{}:,\"a\\\\0-9.eE+ -]{0,40}") {
            let serde: Result<serde_json::Value, _> = serde_json::from_str(&json);
            match read(&json, GO) {
                Ok(value) => {
                    let again: serde_json::Value = serde_json::from_str(&value.to_json()).unwrap();
                    proptest::prop_assert_eq!(again, serde.unwrap());
                }
                Err(error) => proptest::prop_assert!(serde.is_err() || error.what.contains("can't be held"), "{error}"),
            }
        }
    }
}
