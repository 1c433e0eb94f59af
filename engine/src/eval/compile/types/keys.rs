//! Keys of objects, as types have them.

use std::cmp::Ordering;

use crate::eval::value::{Number, Value};

/// A key as object types have it: OPA makes JSON of it, where a set is an array and an object's keys are strings.
pub(crate) fn json_key(key: &Value) -> Value {
    match key {
        Value::Array(array) => Value::array(array.iter().map(json_key).collect()),
        Value::Set(set) => Value::array(set.iter().map(json_key).collect()),
        Value::Object(object) => {
            let text =
                |key: &Value| if key.as_str().is_some() { key.clone() } else { Value::from(json_key(key).to_json()) };
            Value::object(object.iter().map(|(key, value)| (text(key), json_key(value))).collect())
        }
        scalar => scalar.clone(),
    }
}

/// A total order of keys.
pub(super) fn compare_keys(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::Array(a), Value::Array(b)) => compare_slices(a.as_slice(), b.as_slice()),
        (Value::Set(a), Value::Set(b)) => compare_slices(a.as_slice(), b.as_slice()),
        (Value::Object(a), Value::Object(b)) => {
            let differing = a.iter().zip(b.iter()).find_map(|((key_a, value_a), (key_b, value_b))| {
                let order = compare_keys(key_a, key_b).then_with(|| compare_keys(value_a, value_b));
                order.is_ne().then_some(order)
            });
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => a.cmp(b),
    }
}

fn compare_slices(a: &[Value], b: &[Value]) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| compare_keys(a, b)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// By value, in an order that is total: numbers that are the same double are told apart only if both are integers.
pub(crate) fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Number::Int(a), Number::Int(b)) = (a, b) {
        return a.cmp(b);
    }
    // Adding zero makes both zeros the same.
    let order = (a.to_f64() + 0.0).total_cmp(&(b.to_f64() + 0.0));
    order.then_with(|| a.to_bigint().cmp(&b.to_bigint()))
}

/// The position a key stands for: an integer in plain digits.
pub(super) fn index(key: &Value) -> Option<usize> {
    match key {
        Value::Number(Number::Int(index)) => usize::try_from(*index).ok(),
        Value::Number(zero) if zero.to_string() == "-0" => Some(0),
        _ => None,
    }
}
