//! Operands by type, with OPA's messages where the type is wrong. Positions count from 1.

use std::sync::Arc;

use num_bigint::BigInt;

use super::Failure;
use crate::eval::value::{Array, Number, Object, Set, Value};

/// The operand at `position`. The planner has checked how many there are.
pub(crate) fn operand<'a>(args: &[&'a Value], position: usize) -> Result<&'a Value, Failure> {
    args.get(position - 1).copied().ok_or_else(|| Failure::Operand(format!("operand {position} is missing")))
}

pub(crate) fn string<'a>(args: &[&'a Value], position: usize) -> Result<&'a Arc<str>, Failure> {
    match operand(args, position)? {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(position, other, &["string"])),
    }
}

pub(crate) fn number<'a>(args: &[&'a Value], position: usize) -> Result<&'a Number, Failure> {
    match operand(args, position)? {
        Value::Number(number) => Ok(number),
        other => Err(wrong_type(position, other, &["number"])),
    }
}

/// An integer that fits, in plain digits (OPA's `IntOperand`).
pub(crate) fn int(args: &[&Value], position: usize) -> Result<i64, Failure> {
    number(args, position)?.as_i64().ok_or_else(|| floating(position))
}

/// An integer of any size, in any form (OPA's `BigIntOperand`).
pub(crate) fn bigint(args: &[&Value], position: usize) -> Result<BigInt, Failure> {
    match operand(args, position)? {
        Value::Number(number) => number.to_bigint().ok_or_else(|| floating(position)),
        other => Err(wrong_type(position, other, &["integer"])),
    }
}

pub(crate) fn array<'a>(args: &[&'a Value], position: usize) -> Result<&'a Array, Failure> {
    match operand(args, position)? {
        Value::Array(array) => Ok(array),
        other => Err(wrong_type(position, other, &["array"])),
    }
}

pub(crate) fn set<'a>(args: &[&'a Value], position: usize) -> Result<&'a Set, Failure> {
    match operand(args, position)? {
        Value::Set(set) => Ok(set),
        other => Err(wrong_type(position, other, &["set"])),
    }
}

pub(crate) fn object<'a>(args: &[&'a Value], position: usize) -> Result<&'a Object, Failure> {
    match operand(args, position)? {
        Value::Object(object) => Ok(object),
        other => Err(wrong_type(position, other, &["object"])),
    }
}

/// The strings of an array or a set of strings.
pub(crate) fn strings<'a>(args: &[&'a Value], position: usize) -> Result<Vec<&'a Arc<str>>, Failure> {
    let composite = operand(args, position)?;
    let items = match composite {
        Value::Array(array) => array.as_slice(),
        Value::Set(set) => set.as_slice(),
        other => return Err(wrong_type(position, other, &["array", "set"])),
    };
    let text = |item: &'a Value| match item {
        Value::String(text) => Ok(text),
        other => Err(wrong_element(position, composite, other, &["string"])),
    };
    items.iter().map(text).collect()
}

/// OPA's `NewOperandTypeErr`.
pub(crate) fn wrong_type(position: usize, got: &Value, expected: &[&str]) -> Failure {
    let expected = match expected {
        [one] => (*one).to_owned(),
        many => format!("one of {{{}}}", many.join(", ")),
    };
    Failure::Operand(format!("operand {position} must be {expected} but got {}", got.type_name()))
}

/// OPA's `NewOperandElementErr`.
pub(crate) fn wrong_element(position: usize, composite: &Value, got: &Value, expected: &[&str]) -> Failure {
    let (kind, got) = (composite.type_name(), got.type_name());
    Failure::Operand(match expected {
        [one] => format!("operand {position} must be {kind} of {one}s but got {kind} containing {got}"),
        many => {
            let many = many.join(", ");
            format!("operand {position} must be {kind} of (any of) {{{many}}} but got {kind} containing {got}")
        }
    })
}

/// OPA's `NewOperandErr`.
pub(crate) fn wrong(position: usize, what: &str) -> Failure {
    Failure::Operand(format!("operand {position} {what}"))
}

fn floating(position: usize) -> Failure {
    wrong(position, "must be integer number but got floating-point number")
}
