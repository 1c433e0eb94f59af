//! JSON as Go's `encoding/json` takes and gives it, where that is more than the grammar: what a decoder leaves behind a
//! document, how deep a text may be, how errors are worded (`scanner.go`, `stream.go` of Go 1.26).

use super::super::{Budget, Failure, Limit};
use crate::eval::value::json::{GO, Writing, is_number, read};
use crate::eval::value::text::quoted;
use crate::eval::value::{Array, Object, Value};

/// Composites within each other that Go reads.
const MAX_NESTING: usize = 10_000;

/// Why a text isn't JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// There is nothing but space.
    Empty,
    /// It ends within a value.
    Cut,
    Syntax(String),
}

/// A value of one JSON text, as OPA's `util.UnmarshalJSON` reads it.
///
/// # Errors
/// It isn't JSON, or holds what no value can hold.
pub(crate) fn unmarshal(budget: &mut Budget, text: &str) -> Result<Value, Failure> {
    budget.read(text.len())?;
    let (start, end) = first_value(text).map_err(|malformed| {
        Failure::error(match malformed {
            Malformed::Empty => "EOF".to_owned(),
            Malformed::Cut => "unexpected EOF".to_owned(),
            Malformed::Syntax(what) => what,
        })
    })?;
    trailing(text.get(end..).unwrap_or_default())?;
    parse(budget, text.get(start..end).unwrap_or_default())
}

/// What follows a value must be nothing. A `null` is taken for nothing, whatever follows that.
fn trailing(rest: &str) -> Result<(), Failure> {
    let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    let token = match rest.chars().next() {
        None => return Ok(()),
        Some(open @ ('{' | '[')) => open.to_string(),
        Some(_) => {
            let (start, end) = first_value(rest).map_err(|malformed| Failure::error(message(&malformed)))?;
            match rest.get(start..end).unwrap_or_default() {
                "null" => return Ok(()),
                word @ ("true" | "false") => format!("%!s(bool={word})"),
                token => {
                    read(token, GO).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or(token.to_owned())
                }
            }
        }
    };
    Err(Failure::error(format!("error: invalid character '{token}' after top-level value")))
}

/// Whether this is one JSON text (`json.Valid`).
pub(crate) fn is_valid(text: &str) -> bool {
    first_value(text).is_ok_and(|(_, end)| {
        text.as_bytes().get(end..).unwrap_or_default().iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    })
}

pub(crate) fn message(malformed: &Malformed) -> String {
    match malformed {
        Malformed::Empty => "EOF".to_owned(),
        Malformed::Cut => "unexpected end of JSON input".to_owned(),
        Malformed::Syntax(what) => what.clone(),
    }
}

/// Where the first value begins and ends.
///
/// # Errors
/// There is none.
pub(crate) fn first_value(text: &str) -> Result<(usize, usize), Malformed> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0, open: vec![] };
    scanner.space();
    let start = scanner.at;
    if start == text.len() {
        return Err(Malformed::Empty);
    }
    scanner.value()?;
    Ok((start, scanner.at))
}

/// The fields of an object's text, in their order, with the text of their values. None for what is no object.
pub(crate) fn fields(text: &str) -> Option<Vec<(String, &str)>> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0, open: vec![] };
    scanner.space();
    (scanner.next()? == b'{').then_some(())?;
    scanner.space();
    let mut fields = vec![];
    while scanner.peek()? != b'}' {
        let key = scanner.at;
        scanner.key("").ok()?;
        let value = scanner.at;
        scanner.value().ok()?;
        let name = text.get(key..value)?.trim_end_matches([' ', '\t', '\r', '\n', ':']);
        let name = read(name, GO).ok()?.as_str()?.to_owned();
        fields.push((name, text.get(value..scanner.at)?));
        scanner.comma();
    }
    Some(fields)
}

/// The texts of an array's items. None for what is no array.
pub(crate) fn items(text: &str) -> Option<Vec<&str>> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0, open: vec![] };
    scanner.space();
    (scanner.next()? == b'[').then_some(())?;
    scanner.space();
    let mut items = vec![];
    while scanner.peek()? != b']' {
        let start = scanner.at;
        scanner.value().ok()?;
        items.push(text.get(start..scanner.at)?);
        scanner.comma();
    }
    Some(items)
}

/// What is syntactically right but isn't read is too deep, or has a number that is too long.
fn parse(budget: &mut Budget, text: &str) -> Result<Value, Failure> {
    budget.read(text.len().saturating_mul(2))?;
    read(text, GO).map_err(|_| match numbers(text).any(is_beyond_opa) {
        true => Failure::error("invalid number: number too big"),
        false => Failure::Limit(Limit::Size),
    })
}

/// The numbers of a text that is JSON.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |char: char| {
        let outside = !quoted;
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !(outside && matches!(char, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'))
    })
    .filter(|token| token.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
}

/// OPA takes a number with an exponent if its absolute value is from 2^-100001 to 2^100000, or zero.
fn is_beyond_opa(number: &str) -> bool {
    const LARGEST: (i64, &str) = (30_102, "999002093014384507944032764330033590980429139054");
    const SMALLEST: (i64, &str) = (-30_104, "500499451899347083408132356596653124249673754152");
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else { return false };
    let (whole, fraction) =
        mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
    let digits = || whole.chars().chain(fraction.chars());
    let Some(zeros) = digits().position(|digit| digit != '0') else { return false };
    let Ok(exponent) = exponent.parse::<i32>() else { return true };
    let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let exponent = length(whole.len()) - length(zeros) - 1 + i64::from(exponent);
    let leading: String = digits().skip(zeros).take(48).collect();
    let leading = (exponent, leading.trim_end_matches('0'));
    leading >= LARGEST || leading < SMALLEST
}

/// `value` as Go's `json.Marshal` writes OPA's native form of it: sets as arrays, other keys as texts.
///
/// # Errors
/// A number isn't one in JSON, or the budget ends.
pub(crate) fn marshal(budget: &mut Budget, value: &Value, indent: Option<(&str, &str)>) -> Result<String, Failure> {
    check_numbers(budget, value)?;
    let plain = if is_plain(value) { None } else { Some(plain(value)) };
    let value = plain.as_ref().unwrap_or(value);
    budget.alloc(size(value, indent, 0))?;
    Ok(value.to_json_as(Writing { html: true, indent }))
}

/// Number texts come from `to_number` too, which takes more forms than JSON has.
fn check_numbers(budget: &mut Budget, value: &Value) -> Result<(), Failure> {
    budget.step(1)?;
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            if is_number(&text) {
                Ok(())
            } else {
                Err(Failure::error(format!("json: invalid number literal {}", quoted(&text))))
            }
        }
        Value::String(text) => Ok(budget.read(text.len())?),
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| check_numbers(budget, item)),
        Value::Set(items) => items.iter().try_for_each(|item| check_numbers(budget, item)),
        Value::Object(object) => object.iter().try_for_each(|(key, value)| {
            check_numbers(budget, key)?;
            check_numbers(budget, value)
        }),
    }
}

/// Numbers in keys that aren't strings, which become texts before anything else is looked at.
pub(crate) fn check_keys(budget: &mut Budget, value: &Value) -> Result<(), Failure> {
    budget.step(1)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_keys(budget, item)),
        Value::Set(items) => items.iter().try_for_each(|item| check_keys(budget, item)),
        Value::Object(object) => object.iter().try_for_each(|(key, value)| {
            if !matches!(key, Value::String(_)) {
                check_numbers(budget, key)?;
            }
            check_keys(budget, value)
        }),
        _ => Ok(()),
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Set(_) => false,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(object) => object.iter().all(|(key, value)| matches!(key, Value::String(_)) && is_plain(value)),
        _ => true,
    }
}

/// The native form. Of keys that have one text the last in the order of values stays.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(Array::from(items.iter().map(plain).collect::<Vec<_>>())),
        Value::Set(items) => Value::Array(Array::from(items.iter().map(plain).collect::<Vec<_>>())),
        Value::Object(object) => {
            let entry = |(key, value): (&Value, &Value)| (Value::from(key_text(key)), plain(value));
            Value::Object(Object::from(object.iter().map(entry).collect::<Vec<_>>()))
        }
        other => other.clone(),
    }
}

fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.to_string(),
        other => plain(other).to_json_as(Writing { html: true, indent: None }),
    }
}

/// At least the bytes of the text.
fn size(value: &Value, indent: Option<(&str, &str)>, level: usize) -> usize {
    let spaced =
        |level: usize| indent.map_or(0, |(prefix, indent)| prefix.len() + indent.len().saturating_mul(level) + 2);
    let composite = |sum: usize, len: usize| {
        let lines = spaced(level + 1).saturating_mul(len).saturating_add(spaced(level));
        sum.saturating_add(lines).saturating_add(len + 2)
    };
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => string_size(text),
        Value::Array(items) => {
            let sum = items.iter().fold(0_usize, |sum, item| sum.saturating_add(size(item, indent, level + 1)));
            composite(sum, items.len())
        }
        Value::Set(items) => {
            let sum = items.iter().fold(0_usize, |sum, item| sum.saturating_add(size(item, indent, level + 1)));
            composite(sum, items.len())
        }
        Value::Object(object) => {
            let sum = object.iter().fold(0_usize, |sum, (key, value)| {
                let key = key.as_str().map_or(0, string_size);
                sum.saturating_add(key + 2).saturating_add(size(value, indent, level + 1))
            });
            composite(sum, object.len())
        }
    }
}

fn string_size(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 | b'<' | b'>' | b'&' => 6,
        // U+2028 begins with it, and has three bytes.
        0xe2 => 4,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Array,
    Object,
}

impl Scanner<'_> {
    /// At a value's first byte; ends behind the value.
    fn value(&mut self) -> Result<(), Malformed> {
        loop {
            match self.next().ok_or(Malformed::Cut)? {
                b'{' => {
                    self.enter(Open::Object)?;
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        self.open.pop();
                    } else {
                        self.key("looking for beginning of object key string")?;
                        continue;
                    }
                }
                b'[' => {
                    self.enter(Open::Array)?;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        self.open.pop();
                    } else {
                        continue;
                    }
                }
                b'"' => self.string()?,
                b'-' => {
                    let digit = self.next().ok_or(Malformed::Cut)?;
                    self.number(digit, "in numeric literal")?;
                }
                digit @ b'0'..=b'9' => self.number(digit, "")?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                byte => return Err(self.invalid(byte, "looking for beginning of value")),
            }
            if !self.another()? {
                return Ok(());
            }
        }
    }

    /// Behind a value. Whether another one follows within what is open.
    fn another(&mut self) -> Result<bool, Malformed> {
        loop {
            let Some(open) = self.open.last().copied() else { return Ok(false) };
            self.space();
            match (open, self.next().ok_or(Malformed::Cut)?) {
                (Open::Array, b',') => {
                    self.space();
                    return Ok(true);
                }
                (Open::Object, b',') => {
                    self.space();
                    self.key("looking for beginning of object key string")?;
                    return Ok(true);
                }
                (Open::Array, b']') | (Open::Object, b'}') => {
                    self.open.pop();
                }
                (Open::Array, byte) => return Err(self.invalid(byte, "after array element")),
                (Open::Object, byte) => return Err(self.invalid(byte, "after object key:value pair")),
            }
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Malformed> {
        if self.open.len() >= MAX_NESTING {
            return Err(Malformed::Syntax("exceeded max depth".to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    /// A key and its colon; ends at the value.
    fn key(&mut self, context: &str) -> Result<(), Malformed> {
        match self.next().ok_or(Malformed::Cut)? {
            b'"' => self.string()?,
            byte => return Err(self.invalid(byte, context)),
        }
        self.space();
        match self.next().ok_or(Malformed::Cut)? {
            b':' => self.space(),
            byte => return Err(self.invalid(byte, "after object key")),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        loop {
            match self.next().ok_or(Malformed::Cut)? {
                b'"' => return Ok(()),
                b'\\' => match self.next().ok_or(Malformed::Cut)? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let byte = self.next().ok_or(Malformed::Cut)?;
                            if !byte.is_ascii_hexdigit() {
                                return Err(self.invalid(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    byte => return Err(self.invalid(byte, "in string escape code")),
                },
                byte @ 0..0x20 => return Err(self.invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn number(&mut self, first: u8, context: &str) -> Result<(), Malformed> {
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            byte => return Err(self.invalid(byte, context)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<(), Malformed> {
        match self.next().ok_or(Malformed::Cut)? {
            b'0'..=b'9' => Ok(()),
            byte => Err(self.invalid(byte, context)),
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// Behind its first letter.
    fn literal(&mut self, word: &str) -> Result<(), Malformed> {
        for expected in word.bytes().skip(1) {
            let byte = self.next().ok_or(Malformed::Cut)?;
            if byte != expected {
                let context = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(self.invalid(byte, &context));
            }
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Behind a value: up to the next one, if there is a comma.
    fn comma(&mut self) {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn invalid(&self, byte: u8, context: &str) -> Malformed {
        let char = match byte {
            b'\'' => r"\'".to_owned(),
            b'"' => "\"".to_owned(),
            byte => quoted(char::from(byte).encode_utf8(&mut [0; 4])).trim_matches('"').to_owned(),
        };
        Malformed::Syntax(format!("invalid character '{char}' {context}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_json() {
        for text in ["1", " [1, {\"a\": null}]\n", "\"\\u00e9\\n\"", "-0.5e+3", &"[".repeat(10_000)] {
            let closed = format!(
                "{text}{}",
                "]".repeat(text.chars().filter(|c| *c == '[').count() % 10_001 - text.matches(']').count())
            );
            assert!(is_valid(&closed), "{text:.20}");
        }
        for text in [
            "",
            "01",
            "1 2",
            "[1,]",
            "{\"a\"}",
            "tru",
            "\"\t\"",
            "\"\\x\"",
            &format!("{}1{}", "[".repeat(10_001), "]".repeat(10_001)),
        ] {
            assert!(!is_valid(text), "{text:.20}");
        }
    }

    #[test]
    fn errors_as_go_words_them() {
        for (text, message) in [
            ("{", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{'a'", r"invalid character '\'' looking for beginning of object key string"),
            ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ] {
            assert_eq!(super::message(&first_value(text).unwrap_err()), message, "{text}");
        }
    }
}
