//! What type a value has, and casts.

use super::{Context, Failure, Function, operand, order};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("cast_array", cast_array),
    ("cast_boolean", cast_boolean),
    ("cast_null", cast_null),
    ("cast_object", cast_object),
    ("cast_set", cast_set),
    ("cast_string", cast_string),
    ("is_array", is_array),
    ("is_boolean", is_boolean),
    ("is_null", is_null),
    ("is_number", is_number),
    ("is_object", is_object),
    ("is_set", is_set),
    ("is_string", is_string),
    ("type_name", type_name),
];

fn type_name(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    Ok(Value::from(operand::operand(args, 1)?.type_name()))
}

fn is_null(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "null")
}

fn is_boolean(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "boolean")
}

fn is_number(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "number")
}

fn is_string(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "string")
}

fn is_array(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "array")
}

fn is_object(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "object")
}

fn is_set(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    is(args, "set")
}

fn cast_null(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    only(args, "null")
}

fn cast_boolean(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    only(args, "boolean")
}

fn cast_string(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    only(args, "string")
}

fn cast_object(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    only(args, "object")
}

fn cast_array(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)? {
        array @ Value::Array(_) => Ok(array.clone()),
        Value::Set(set) => {
            ctx.budget.step(set.len() as u64)?;
            Ok(Value::array(set.as_slice().to_vec()))
        }
        other => Err(operand::wrong_type(1, other, &["array", "set"])),
    }
}

fn cast_set(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)? {
        set @ Value::Set(_) => Ok(set.clone()),
        Value::Array(array) => Ok(order::set_of(ctx.budget, array.as_slice().to_vec())?),
        other => Err(operand::wrong_type(1, other, &["array", "set"])),
    }
}

fn is(args: &[&Value], name: &str) -> Result<Value, Failure> {
    Ok(Value::Bool(operand::operand(args, 1)?.type_name() == name))
}

/// OPA casts to these types only what has them already.
fn only(args: &[&Value], name: &str) -> Result<Value, Failure> {
    match operand::operand(args, 1)? {
        value if value.type_name() == name => Ok(value.clone()),
        other => Err(operand::wrong_type(1, other, &[name])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("type_name", &[r#"{"$set": []}"#], r#""set""#),
            ("type_name", &["null"], r#""null""#),
            ("is_number", &["1"], "true"),
            ("is_set", &["[]"], "false"),
            ("is_object", &["{}"], "true"),
            ("is_string", &[r#""a""#], "true"),
            ("is_boolean", &["null"], "false"),
            ("is_array", &["[]"], "true"),
            ("is_null", &["null"], "true"),
            ("cast_array", &[r#"{"$set": [1, 2]}"#], "[1, 2]"),
            ("cast_array", &["1"], "operand: operand 1 must be one of {array, set} but got number"),
            ("cast_set", &["[1, 1.0, 2]"], "{1, 2}"),
            ("cast_string", &["1"], "operand: operand 1 must be string but got number"),
            ("cast_null", &["null"], "null"),
            ("cast_boolean", &["true"], "true"),
            ("cast_object", &["[]"], "operand: operand 1 must be object but got array"),
        ];
        check(FUNCTIONS, cases);
    }
}
