//! One value of many: `count`, `sum`, `product`, `max`, `min`, `sort`, `all`, `any`.

use std::cmp::Ordering;

use num_bigint::BigInt;

use super::{Context, Failure, Function, Limit, operand, order};
use crate::eval::value::float::Float;
use crate::eval::value::number::MAX_DIGITS;
use crate::eval::value::{Number, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("all", all),
    ("any", any),
    ("count", count),
    ("max", max),
    ("min", min),
    ("product", product),
    ("sort", sort),
    ("sum", sum),
];

/// The mantissa of OPA's products: its loop begins with a `big.Float` made of a float64.
const PRODUCT_PRECISION: u64 = 53;

fn count(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    Ok(Value::from(match operand::operand(args, 1)? {
        Value::Array(array) => array.len(),
        Value::Object(object) => object.len(),
        Value::Set(set) => set.len(),
        Value::String(text) => {
            ctx.budget.read(text.len())?;
            text.chars().count()
        }
        other => return Err(operand::wrong_type(1, other, &["array", "object", "set", "string"])),
    }))
}

fn sum(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let items = items(args, &["set", "array"])?;
    ctx.budget.step(items.len() as u64)?;
    if let Some(sum) = items.iter().try_fold(0_i64, |sum, item| sum.checked_add(small(item)?)) {
        return Ok(Value::from(sum));
    }
    let numbers = numbers(args, items)?;
    let is_exact = numbers.iter().all(|number| number.is_integer());
    Ok(Value::from(if is_exact { exact_sum(ctx, &numbers)? } else { folded(ctx, &numbers, 0, Float::add)? }))
}

fn product(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let items = items(args, &["set", "array"])?;
    ctx.budget.step(items.len() as u64)?;
    if let Some(product) = items.iter().try_fold(1_i64, |product, item| product.checked_mul(small(item)?)) {
        return Ok(Value::from(product));
    }
    let numbers = numbers(args, items)?;
    let is_exact = numbers.iter().all(|number| number.is_integer());
    let multiply = |a: &Float, b: &Float| a.mul_rounded(b, PRODUCT_PRECISION);
    Ok(Value::from(if is_exact { exact_product(ctx, &numbers)? } else { folded(ctx, &numbers, 1, multiply)? }))
}

/// The last of the greatest.
fn max(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    extreme(ctx, args, Ordering::is_le)
}

/// The last of the least.
fn min(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    extreme(ctx, args, Ordering::is_ge)
}

fn sort(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)? {
        Value::Array(array) => {
            let mut items = array.as_slice().to_vec();
            order::sort_as_go(ctx.budget, &mut items)?;
            Ok(Value::array(items))
        }
        Value::Set(set) => {
            ctx.budget.step(set.len() as u64)?;
            Ok(Value::array(set.as_slice().to_vec()))
        }
        other => Err(operand::wrong_type(1, other, &["set", "array"])),
    }
}

fn all(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let items = items(args, &["array", "set"])?;
    ctx.budget.step(items.len() as u64)?;
    Ok(Value::Bool(items.iter().all(is_true)))
}

fn any(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let items = items(args, &["array", "set"])?;
    ctx.budget.step(items.len() as u64)?;
    Ok(Value::Bool(items.iter().any(is_true)))
}

fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true))
}

fn items<'a>(args: &[&'a Value], expected: &[&str]) -> Result<&'a [Value], Failure> {
    match operand::operand(args, 1)? {
        Value::Array(array) => Ok(array.as_slice()),
        Value::Set(set) => Ok(set.as_slice()),
        other => Err(operand::wrong_type(1, other, expected)),
    }
}

fn small(value: &Value) -> Option<i64> {
    if let Value::Number(number) = value { number.as_i64() } else { None }
}

/// All of them, if all are numbers.
fn numbers<'a>(args: &[&'a Value], items: &'a [Value]) -> Result<Vec<&'a Number>, Failure> {
    let composite = operand::operand(args, 1)?;
    let number = |item: &'a Value| match item {
        Value::Number(number) => Ok(number),
        other => Err(operand::wrong_element(1, composite, other, &["number"])),
    };
    items.iter().map(number).collect()
}

fn exact_sum(ctx: &mut Context<'_>, integers: &[&Number]) -> Result<Number, Failure> {
    let mut sum = BigInt::ZERO;
    for integer in integers {
        order::pay(ctx.budget, integer)?;
        sum += integer.to_bigint().unwrap_or_default();
    }
    Ok(Number::from_bigint(&sum)?)
}

fn exact_product(ctx: &mut Context<'_>, integers: &[&Number]) -> Result<Number, Failure> {
    let zero = Number::from(0_i64);
    if integers.iter().any(|integer| **integer == zero) {
        return Ok(zero);
    }
    let mut product = BigInt::from(1);
    for integer in integers {
        order::pay(ctx.budget, integer)?;
        ctx.budget.alloc(usize::try_from(product.bits() / 8).unwrap_or(usize::MAX))?;
        product *= integer.to_bigint().unwrap_or_default();
        // No other factor makes it smaller.
        if product.bits() > 4 * MAX_DIGITS as u64 {
            return Err(Failure::Limit(Limit::Size));
        }
    }
    Ok(Number::from_bigint(&product)?)
}

fn folded(
    ctx: &mut Context<'_>,
    numbers: &[&Number],
    first: i64,
    operation: fn(&Float, &Float) -> Float,
) -> Result<Number, Failure> {
    let mut result = Number::from(first).to_float();
    for number in numbers {
        order::pay(ctx.budget, number)?;
        result = operation(&result, &number.to_float());
    }
    Ok(result.to_number()?)
}

fn extreme(ctx: &mut Context<'_>, args: &[&Value], replaces: fn(Ordering) -> bool) -> Result<Value, Failure> {
    let mut found: Option<&Value> = None;
    for item in items(args, &["set", "array"])? {
        ctx.budget.step(1)?;
        match found {
            Some(best) if !replaces(order::order(ctx.budget, best, item)?) => {}
            _ => found = Some(item),
        }
    }
    found.cloned().ok_or(Failure::Undefined)
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("count", &[r#""é😀""#], "2"),
            ("count", &[r#"{"a": 1}"#], "1"),
            ("count", &["1"], "operand: operand 1 must be one of {array, object, set, string} but got number"),
            ("sum", &["[1, 2, 3]"], "6"),
            ("sum", &[r#"{"$set": [0.1, 0.2]}"#], "0.3"),
            ("sum", &["[9223372036854775807, 1]"], "9223372036854775808"),
            ("sum", &[r#"[1, "a"]"#], "operand: operand 1 must be array of numbers but got array containing string"),
            ("sum", &["[]"], "0"),
            ("sum", &[r#""a""#], "operand: operand 1 must be one of {set, array} but got string"),
            ("product", &["[2, 3]"], "6"),
            ("product", &["[]"], "1"),
            ("product", &["[0.1, 0.3, 0.7]"], "0.021"),
            ("product", &["[1.1, 1e30]"], "1100000000000000100000000000000"),
            ("product", &["[123456789012, 123456789012]"], "15241578753153483936144"),
            ("max", &["[1, 1.0, 0]"], "1.0"),
            ("max", &["[]"], "undefined"),
            ("min", &["[1, 1.0, 2]"], "1.0"),
            ("min", &[r#"{"$set": ["a", "b"]}"#], r#""a""#),
            ("max", &["1"], "operand: operand 1 must be one of {set, array} but got number"),
            ("sort", &[r#"[3, 1.0, 1, "a", null]"#], r#"[null, 1.0, 1, 3, "a"]"#),
            ("sort", &[r#"{"$set": [1, 2]}"#], "[1, 2]"),
            (
                "sort",
                &[
                    "[0.0, 2e0, 4, 1.0, 3e0, 0, 2.0, 4e0, 1, 3.0, 0e0, 2, 4.0, 1e0, 3, 0.0, 2e0, 4, 1.0, 3e0, 0, 2.0, 4e0, 1, 3.0, 0e0, 2, 4.0, 1e0, 3]",
                ],
                "[0, 0, 0.0, 0e0, 0e0, 0.0, 1e0, 1e0, 1.0, 1.0, 1, 1, 2, 2.0, 2, 2.0, 2e0, 2e0, 3, 3e0, 3.0, 3.0, 3e0, 3, 4, 4.0, 4e0, 4e0, 4.0, 4]",
            ),
            ("all", &["[true, 1]"], "false"),
            ("all", &["[]"], "true"),
            ("any", &[r#"{"$set": [false, true]}"#], "true"),
            ("any", &["[]"], "false"),
            ("any", &["1"], "operand: operand 1 must be one of {array, set} but got number"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn what_is_too_large_ends_the_evaluation() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("product", &["[1e4000, 1e4000]"], "limit: a value too large"),
            ("product", &["[1e4000, 1e4000, 0]"], "0"),
        ];
        check(FUNCTIONS, cases);
    }
}
