//! `array.concat`, `array.flatten`, `array.reverse`, `array.slice`.

use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("array.concat", concat), ("array.flatten", flatten), ("array.reverse", reverse), ("array.slice", slice)];

fn concat(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::array(args, 1)?, operand::array(args, 2)?);
    match (a.len(), b.len()) {
        (0, _) => Ok(Value::Array(b.clone())),
        (_, 0) => Ok(Value::Array(a.clone())),
        (m, n) => {
            ctx.budget.alloc(m.saturating_add(n).saturating_mul(size_of::<Value>()))?;
            Ok(Value::array([a.as_slice(), b.as_slice()].concat()))
        }
    }
}

/// One level of arrays within the array.
fn flatten(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let array = operand::array(args, 1)?;
    ctx.budget.step(array.len() as u64)?;
    let count = array.iter().fold(0_usize, |count, item| match item {
        Value::Array(nested) => count.saturating_add(nested.len()),
        _ => count.saturating_add(1),
    });
    // One array may be in it many times, shared.
    ctx.budget.alloc(count.saturating_mul(size_of::<Value>()))?;
    let mut items = Vec::with_capacity(count);
    for item in array.iter() {
        match item {
            Value::Array(nested) => items.extend_from_slice(nested.as_slice()),
            other => items.push(other.clone()),
        }
    }
    Ok(Value::array(items))
}

fn reverse(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let array = operand::array(args, 1)?;
    ctx.budget.step(array.len() as u64)?;
    Ok(Value::array(array.iter().rev().cloned().collect()))
}

/// From one index to before another; both are moved to where there is something.
fn slice(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let array = operand::array(args, 1)?;
    let (start, stop) = (operand::int(args, 2)?, operand::int(args, 3)?);
    let place = |index: i64| usize::try_from(index.max(0)).unwrap_or(usize::MAX);
    let stop = place(stop).min(array.len());
    let start = place(start).min(stop);
    if stop - start == array.len() {
        return Ok(Value::Array(array.clone()));
    }
    ctx.budget.step((stop - start) as u64)?;
    Ok(Value::array(array.as_slice().get(start..stop).unwrap_or_default().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("array.concat", &["[1]", "[2]"], "[1, 2]"),
            ("array.concat", &["[]", "[2]"], "[2]"),
            ("array.concat", &["[1]", r#"{"$set": [2]}"#], "operand: operand 2 must be array but got set"),
            ("array.flatten", &[r#"[1, [2, [3]], {"$set": [4]}]"#], "[1, 2, [3], {4}]"),
            ("array.reverse", &["[1, 2, 3]"], "[3, 2, 1]"),
            ("array.slice", &["[1, 2, 3]", "-1", "2"], "[1, 2]"),
            ("array.slice", &["[1, 2, 3]", "2", "1"], "[]"),
            ("array.slice", &["[1, 2, 3]", "1", "9"], "[2, 3]"),
            (
                "array.slice",
                &["[1]", "1.5", "2"],
                "operand: operand 2 must be integer number but got floating-point number",
            ),
        ];
        check(FUNCTIONS, cases);
    }
}
