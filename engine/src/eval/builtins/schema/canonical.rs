//! A text for a JSON value that is the same for values that gojsonschema takes for equal: what Go's `json.Marshal` makes of
//! it once its numbers are doubles.

use std::slice;

use crate::eval::builtins::{Budget, Failure};
use crate::eval::value::json::Writing;
use crate::eval::value::{Number, Value};

/// # Errors
/// A number is beyond what doubles hold.
pub(super) fn text(budget: &mut Budget, value: &Value) -> Result<String, Failure> {
    let mut out = String::new();
    let mut open = vec![];
    open.extend(write(budget, &mut out, value)?);
    while let Some(composite) = open.last_mut() {
        let (inner, close) = match composite {
            Open::Array(items) => (items.next().map(|item| (None, item)), ']'),
            Open::Object(entries) => (entries.next().map(|(key, item)| (Some(key), item)), '}'),
        };
        let Some((key, item)) = inner else {
            out.push(close);
            open.pop();
            continue;
        };
        if !out.ends_with(['[', '{']) {
            out.push(',');
        }
        if let Some(key) = key {
            write(budget, &mut out, key)?;
            out.push(':');
        }
        open.extend(write(budget, &mut out, item)?);
    }
    Ok(out)
}

/// A composite that isn't complete.
enum Open<'a> {
    Array(slice::Iter<'a, Value>),
    Object(slice::Iter<'a, (Value, Value)>),
}

/// Writes a value, or the beginning of one that has more in it.
fn write<'a>(budget: &mut Budget, out: &mut String, value: &'a Value) -> Result<Option<Open<'a>>, Failure> {
    budget.step(1)?;
    match value {
        Value::Array(array) => {
            out.push('[');
            return Ok(Some(Open::Array(array.iter())));
        }
        Value::Object(object) => {
            out.push('{');
            return Ok(Some(Open::Object(object.entries().iter())));
        }
        Value::Number(number) => out.push_str(&double(number)?),
        Value::String(text) => {
            budget.alloc(text.len().saturating_mul(2))?;
            out.push_str(&value.to_json_as(Writing { html: true, indent: None }));
        }
        Value::Null | Value::Bool(_) | Value::Set(_) => out.push_str(&value.to_json()),
    }
    Ok(None)
}

/// As Go writes a double in JSON.
fn double(number: &Number) -> Result<String, Failure> {
    let value = number.to_f64();
    if !value.is_finite() {
        return Err(Failure::Error(format!("json: cannot unmarshal number {number} into Go value of type float64")));
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return Ok(value.to_string());
    }
    let text = format!("{value:e}");
    Ok(if magnitude < 1.0 { text } else { text.replace('e', "e+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_writes_doubles() {
        for (number, expected) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("-0.0", "-0"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("123e-20", "1.23e-18"),
            ("1e20", "100000000000000000000"),
            ("1.5e21", "1.5e+21"),
            ("0.1000000000000000055511151231257827", "0.1"),
        ] {
            assert_eq!(double(&number.parse().unwrap()).as_deref(), Ok(expected), "{number}");
        }
        assert!(double(&"1e309".parse().unwrap()).is_err());
    }
}
