//! Sets of sets' members: `and`, `or`, `minus`, `intersection`, `union`.

use super::{Context, Failure, Function, operand, order};
use crate::eval::value::{Set, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("and", and), ("intersection", intersection), ("or", or), ("set_diff", set_diff), ("union", union)];

fn and(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::set(args, 1)?, operand::set(args, 2)?);
    Ok(Value::Set(common(ctx, a, b)?))
}

fn or(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::set(args, 1)?, operand::set(args, 2)?);
    match (a.len(), b.len()) {
        (0, _) => Ok(Value::Set(b.clone())),
        (_, 0) => Ok(Value::Set(a.clone())),
        _ => united(ctx, &[a, b]),
    }
}

fn set_diff(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::set(args, 1)?, operand::set(args, 2)?);
    difference(ctx, a, b)
}

fn intersection(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let sets = sets(args)?;
    let Some((first, rest)) = sets.split_first() else { return Ok(Value::set(vec![])) };
    let mut result = (*first).clone();
    for set in rest {
        result = common(ctx, &result, set)?;
    }
    Ok(Value::Set(result))
}

fn union(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let sets = sets(args)?;
    united(ctx, &sets)
}

/// The members of `a` that aren't in `b`.
pub(super) fn difference(ctx: &mut Context<'_>, a: &Set, b: &Set) -> Result<Value, Failure> {
    let mut kept = Vec::new();
    for item in a.iter() {
        ctx.budget.step(1)?;
        if order::member(ctx.budget, b, item)?.is_none() {
            kept.push(item.clone());
        }
    }
    Ok(Value::set(kept))
}

/// The members of a set of sets.
fn sets<'a>(args: &[&'a Value]) -> Result<Vec<&'a Set>, Failure> {
    let set = |item: &'a Value| match item {
        Value::Set(set) => Ok(set),
        other => Err(operand::wrong_type(1, other, &["set"])),
    };
    operand::set(args, 1)?.iter().map(set).collect()
}

/// What is in both, as the smaller one has it.
fn common(ctx: &mut Context<'_>, a: &Set, b: &Set) -> Result<Set, Failure> {
    let (smaller, larger) = if b.len() < a.len() { (b, a) } else { (a, b) };
    let mut kept = Vec::new();
    for item in smaller.iter() {
        ctx.budget.step(1)?;
        if order::member(ctx.budget, larger, item)?.is_some() {
            kept.push(item.clone());
        }
    }
    Ok(Set::from(kept))
}

/// What is in any, as the first one that has it has it.
fn united(ctx: &mut Context<'_>, sets: &[&Set]) -> Result<Value, Failure> {
    // One set may be in many of them, shared.
    let count = sets.iter().fold(0_usize, |count, set| count.saturating_add(set.len()));
    ctx.budget.alloc(count.saturating_mul(size_of::<Value>()))?;
    let items = sets.iter().flat_map(|set| set.iter()).cloned().collect();
    Ok(order::set_of(ctx.budget, items)?)
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("and", &[r#"{"$set": [1, 2]}"#, r#"{"$set": [2.0, 3]}"#], "{2}"),
            ("and", &[r#"{"$set": [1, 2, 3]}"#, r#"{"$set": [2.0]}"#], "{2.0}"),
            ("or", &[r#"{"$set": [1]}"#, r#"{"$set": [1.0, 2]}"#], "{1, 2}"),
            ("or", &[r#"{"$set": []}"#, r#"{"$set": [1]}"#], "{1}"),
            ("set_diff", &[r#"{"$set": [1, 2]}"#, r#"{"$set": [2]}"#], "{1}"),
            ("intersection", &[r#"{"$set": [{"$set": [1, 2]}, {"$set": [2, 3]}]}"#], "{2}"),
            ("intersection", &[r#"{"$set": []}"#], "set()"),
            ("intersection", &[r#"{"$set": [1]}"#], "operand: operand 1 must be set but got number"),
            ("union", &[r#"{"$set": [{"$set": [1]}, {"$set": [1.0, 2]}]}"#], "{1, 2}"),
            ("union", &[r#"{"$set": ["a", {"$set": [1]}]}"#], "operand: operand 1 must be set but got string"),
            ("union", &["[]"], "operand: operand 1 must be set but got array"),
        ];
        check(FUNCTIONS, cases);
    }
}
