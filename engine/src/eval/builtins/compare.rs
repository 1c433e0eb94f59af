//! Comparisons, and membership: what `==`, `<` and `in` call.

use std::cmp::Ordering;

use super::{Context, Failure, Function, operand, order};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("equal", equal),
    ("gt", gt),
    ("gte", gte),
    ("internal.member_2", member),
    ("internal.member_3", member_with_key),
    ("lt", lt),
    ("lte", lte),
    ("neq", neq),
];

fn equal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_eq)
}

fn neq(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_ne)
}

fn lt(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_lt)
}

fn lte(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_le)
}

fn gt(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_gt)
}

fn gte(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    compared(ctx, args, Ordering::is_ge)
}

fn compared(ctx: &mut Context<'_>, args: &[&Value], holds: fn(Ordering) -> bool) -> Result<Value, Failure> {
    let (a, b) = (operand::operand(args, 1)?, operand::operand(args, 2)?);
    Ok(Value::Bool(holds(order::order(ctx.budget, a, b)?)))
}

/// `x in collection`; nothing is in what isn't a collection.
fn member(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let wanted = operand::operand(args, 1)?;
    let found = match operand::operand(args, 2)? {
        Value::Set(set) => order::member(ctx.budget, set, wanted)?.is_some(),
        Value::Array(array) => any_equals(ctx, array.iter(), wanted)?,
        Value::Object(object) => any_equals(ctx, object.values(), wanted)?,
        _ => false,
    };
    Ok(Value::Bool(found))
}

/// `key, x in collection`.
fn member_with_key(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (key, wanted) = (operand::operand(args, 1)?, operand::operand(args, 2)?);
    let collection = operand::operand(args, 3)?;
    let found = match collection {
        Value::Set(set) => order::member(ctx.budget, set, key)?.map(|_| key),
        Value::Object(object) => order::lookup(ctx.budget, object, key)?,
        _ => collection.get(key),
    };
    Ok(Value::Bool(match found {
        Some(value) => order::same(ctx.budget, value, wanted)?,
        None => false,
    }))
}

fn any_equals<'a>(
    ctx: &mut Context<'_>,
    values: impl Iterator<Item = &'a Value>,
    wanted: &Value,
) -> Result<bool, Failure> {
    for value in values {
        ctx.budget.step(1)?;
        if order::same(ctx.budget, value, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("equal", &["1", "1.0"], "true"),
            ("neq", &[r#"{"a": 1}"#, r#"{"a": 2}"#], "true"),
            ("lt", &["null", "false"], "true"),
            ("lt", &["[1, 2]", "[1]"], "false"),
            ("gt", &[r#"{"$set": [1]}"#, r#"{"a": 1}"#], "true"),
            ("gte", &[r#""b""#, r#""a""#], "true"),
            ("lte", &["1e0", "1"], "true"),
            ("internal.member_2", &["1.0", "[1]"], "true"),
            ("internal.member_2", &["1", r#"{"a": 1}"#], "true"),
            ("internal.member_2", &[r#""a""#, r#"{"$set": ["a"]}"#], "true"),
            ("internal.member_2", &["1", r#""1""#], "false"),
            ("internal.member_3", &[r#""a""#, "1", r#"{"a": 1}"#], "true"),
            ("internal.member_3", &["0", r#""x""#, r#"["x"]"#], "true"),
            ("internal.member_3", &["1", "2", r#"{"$set": [1]}"#], "false"),
            ("internal.member_3", &["1", "1.0", r#"{"$set": [1]}"#], "true"),
            ("internal.member_3", &["5", "1", "[1]"], "false"),
        ];
        check(FUNCTIONS, cases);
    }
}
