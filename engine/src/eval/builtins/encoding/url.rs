//! URL queries, by the rules of Go's `net/url` (`QueryEscape`, `QueryUnescape`, `ParseQuery`, `Values.Encode`).

use std::collections::BTreeMap;

use super::super::operand::{self, operand, wrong, wrong_type};
use super::super::{Context, Failure, Limit};
use crate::eval::value::text::quoted;
use crate::eval::value::{Object, Value};

/// Parameters that Go takes in a query.
const MAX_PARAMETERS: usize = 10_000;

pub(super) fn encode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    escape(&mut out, text);
    Ok(Value::from(out))
}

pub(super) fn decode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.read(text.len())?;
    super::text(unescape(text)?)
}

pub(super) fn encode_object(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    // OPA makes the whole operand native first, and so finds fault with numbers in keys before anything else.
    let value = operand(args, 1)?;
    super::go_json::check_keys(ctx.budget, value)?;
    let Value::Object(object) = value else { return Err(wrong_type(1, value, &["object"])) };
    let unfit = || wrong(1, "values must be string, array[string], or set[string]");
    let native = super::go_json::plain(&Value::Object(object.clone()));
    let mut out = String::new();
    for (key, value) in native.as_object().into_iter().flat_map(Object::iter) {
        let key = key.as_str().unwrap_or_default();
        let values = match value {
            Value::String(_) => std::slice::from_ref(value),
            Value::Array(items) => items.as_slice(),
            _ => return Err(unfit()),
        };
        for value in values {
            let value = value.as_str().ok_or_else(unfit)?;
            ctx.budget.alloc(key.len().saturating_add(value.len()).saturating_mul(3) + 2)?;
            if !out.is_empty() {
                out.push('&');
            }
            escape(&mut out, key);
            out.push('=');
            escape(&mut out, value);
        }
    }
    Ok(Value::from(out))
}

pub(super) fn decode_object(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let query = operand::string(args, 1)?;
    ctx.budget.read(query.len())?;
    if query.matches('&').count() >= MAX_PARAMETERS {
        return Err(Failure::error("number of URL query parameters exceeded limit"));
    }
    let (mut parameters, mut failure) = (BTreeMap::<Vec<u8>, Vec<Vec<u8>>>::new(), None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        ctx.budget.alloc(pair.len() + 64)?;
        if pair.contains(';') {
            // Unlike the others, this error takes the place of an earlier one.
            failure = Some(Failure::error("invalid semicolon separator in query"));
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match unescape(key).and_then(|key| Ok((key, unescape(value)?))) {
            Ok((key, value)) => parameters.entry(key).or_default().push(value),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let entry = |(key, values): (Vec<u8>, Vec<Vec<u8>>)| {
        let values = values.into_iter().map(super::text).collect::<Result<Vec<_>, _>>()?;
        Ok((super::text(key)?, Value::array(values)))
    };
    Ok(Value::object(parameters.into_iter().map(entry).collect::<Result<Vec<_>, Failure>>()?))
}

fn escape(out: &mut String, text: &str) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, Failure> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                    return Err(invalid(bytes.get(at..).unwrap_or_default()));
                };
                out.push(u8::try_from(high << 4 | low).map_err(|_| Failure::Limit(Limit::Size))?);
                at += 2;
            }
            byte => out.push(*byte),
        }
        at += 1;
    }
    Ok(out)
}

fn invalid(rest: &[u8]) -> Failure {
    let shown = String::from_utf8_lossy(rest.get(..3).unwrap_or(rest));
    Failure::error(format!("invalid URL escape {}", quoted(&shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_and_back() {
        let mut out = String::new();
        escape(&mut out, "a b&c=ü~/%+");
        assert_eq!(out, "a+b%26c%3D%C3%BC~%2F%25%2B");
        assert_eq!(unescape(&out).as_deref(), Ok("a b&c=ü~/%+".as_bytes()));
        assert_eq!(unescape("%zz1"), Err(Failure::error("invalid URL escape \"%zz\"")));
        assert_eq!(unescape("a%4"), Err(Failure::error("invalid URL escape \"%4\"")));
    }
}
