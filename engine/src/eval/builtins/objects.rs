//! `object.*`: parts of objects, and objects made of others.

use super::{Context, Failure, Function, operand, order};
use crate::eval::value::{Array, Object, Set, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("object.filter", filter),
    ("object.get", get),
    ("object.keys", keys),
    ("object.remove", remove),
    ("object.subset", subset),
    ("object.union", union),
    ("object.union_n", union_n),
];

type Entry = (Value, Value);

fn keys(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let object = operand::object(args, 1)?;
    ctx.budget.step(object.len() as u64)?;
    Ok(Value::set(object.keys().cloned().collect()))
}

/// What lies under a key, or at the end of a path; else the default.
fn get(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let object = operand::object(args, 1)?;
    let (path, default) = (operand::operand(args, 2)?, operand::operand(args, 3)?);
    let Value::Array(path) = path else {
        return Ok(order::lookup(ctx.budget, object, path)?.unwrap_or(default).clone());
    };
    let mut found = operand::operand(args, 1)?;
    for key in path.iter() {
        ctx.budget.step(1)?;
        let next = match found {
            Value::Object(object) => order::lookup(ctx.budget, object, key)?,
            // A set's member is found under itself, in the form that was asked for.
            Value::Set(set) => order::member(ctx.budget, set, key)?.map(|_| key),
            other => other.get(key),
        };
        match next {
            Some(value) => found = value,
            None => return Ok(default.clone()),
        }
    }
    Ok(found.clone())
}

fn filter(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let object = operand::object(args, 1)?;
    let wanted = key_set(ctx, args)?;
    let mut kept = Vec::new();
    // Keys come in the form they have in the smaller one.
    if object.len() < wanted.len() {
        for key in wanted.iter() {
            ctx.budget.step(1)?;
            if let Some(value) = order::lookup(ctx.budget, object, key)? {
                kept.push((key.clone(), value.clone()));
            }
        }
    } else {
        for (key, value) in object.iter() {
            ctx.budget.step(1)?;
            if order::member(ctx.budget, &wanted, key)?.is_some() {
                kept.push((key.clone(), value.clone()));
            }
        }
    }
    Ok(Value::object(kept))
}

fn remove(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let object = operand::object(args, 1)?;
    let unwanted = key_set(ctx, args)?;
    let mut kept = Vec::new();
    for (key, value) in object.iter() {
        ctx.budget.step(1)?;
        if order::member(ctx.budget, &unwanted, key)?.is_none() {
            kept.push((key.clone(), value.clone()));
        }
    }
    Ok(Value::object(kept))
}

/// The second operand's items, as keys.
fn key_set(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Set, Failure> {
    let keys = match operand::operand(args, 2)? {
        Value::Set(set) => return Ok(set.clone()),
        Value::Array(array) => order::set_of(ctx.budget, array.as_slice().to_vec())?,
        Value::Object(object) => Value::set(object.keys().cloned().collect()),
        other => return Err(operand::wrong_type(2, other, &["object", "set", "array"])),
    };
    match keys {
        Value::Set(set) => Ok(set),
        _ => Ok(Set::from(vec![])),
    }
}

// === Subsets ===

fn subset(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    Ok(Value::Bool(match (operand::operand(args, 1)?, operand::operand(args, 2)?) {
        (Value::Object(all), Value::Object(some)) => contains_object(ctx, all, some)?,
        (Value::Set(all), Value::Set(some)) => contains_set(ctx, all, some)?,
        (Value::Array(all), Value::Array(some)) => contains_array(ctx, all.as_slice(), some.as_slice())?,
        (Value::Array(all), Value::Set(some)) => array_contains_set(ctx, all, some)?,
        _ => {
            let message = "both arguments object.subset must be of the same type or array and set";
            return Err(Failure::Operand(message.to_owned()));
        }
    }))
}

fn contains_object(ctx: &mut Context<'_>, all: &Object, some: &Object) -> Result<bool, Failure> {
    for (key, wanted) in some.iter() {
        ctx.budget.step(1)?;
        let Some(value) = order::lookup(ctx.budget, all, key)? else { return Ok(false) };
        let contained = order::same(ctx.budget, value, wanted)?
            || match (value, wanted) {
                (Value::Object(all), Value::Object(some)) => contains_object(ctx, all, some)?,
                (Value::Set(all), Value::Set(some)) => contains_set(ctx, all, some)?,
                (Value::Array(all), Value::Array(some)) => contains_array(ctx, all.as_slice(), some.as_slice())?,
                _ => false,
            };
        if !contained {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains_set(ctx: &mut Context<'_>, all: &Set, some: &Set) -> Result<bool, Failure> {
    for item in some.iter() {
        ctx.budget.step(1)?;
        if order::member(ctx.budget, all, item)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the items stand in it one after the other.
fn contains_array(ctx: &mut Context<'_>, all: &[Value], some: &[Value]) -> Result<bool, Failure> {
    if some.is_empty() {
        return Ok(true);
    }
    for window in all.windows(some.len()) {
        let mut equal = true;
        for (value, wanted) in window.iter().zip(some) {
            ctx.budget.step(1)?;
            if !order::same(ctx.budget, value, wanted)? {
                equal = false;
                break;
            }
        }
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As OPA counts: an item that stands in the array twice counts twice, and an empty array contains nothing at all.
fn array_contains_set(ctx: &mut Context<'_>, all: &Array, some: &Set) -> Result<bool, Failure> {
    let mut missing = some.len();
    for item in all.iter() {
        ctx.budget.step(1)?;
        if missing > 0 && order::member(ctx.budget, some, item)?.is_some() {
            missing -= 1;
        }
        if missing == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

// === Unions ===

fn union(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::object(args, 1)?, operand::object(args, 2)?);
    // Equal ones may differ in the form of their numbers.
    if order::same(ctx.budget, operand::operand(args, 1)?, operand::operand(args, 2)?)? {
        return Ok(Value::Object(a.clone()));
    }
    Ok(Value::Object(merged(ctx, a, b)?))
}

/// The second one's values go before the first one's, whose keys' form stays; objects under one key are merged in turn.
///
/// Recurses by depth, which is bounded.
fn merged(ctx: &mut Context<'_>, a: &Object, b: &Object) -> Result<Object, Failure> {
    if a.len() == 0 {
        return Ok(b.clone());
    }
    if b.len() == 0 {
        return Ok(a.clone());
    }
    ctx.budget.alloc(a.len().saturating_add(b.len()).saturating_mul(size_of::<Entry>()))?;
    let mut entries = Vec::with_capacity(a.len() + b.len());
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    while let (Some((key, first)), Some((other_key, second))) = (left.peek(), right.peek()) {
        ctx.budget.step(1)?;
        let order = order::order(ctx.budget, key, other_key)?;
        let entry = if order.is_gt() { (*other_key, *second) } else { (*key, *first) };
        let value = match (order.is_eq(), first, second) {
            (true, Value::Object(first), Value::Object(second)) => Value::Object(merged(ctx, first, second)?),
            (true, _, second) => (*second).clone(),
            (false, ..) => entry.1.clone(),
        };
        entries.push((entry.0.clone(), value));
        if order.is_le() {
            left.next();
        }
        if order.is_ge() {
            right.next();
        }
    }
    entries.extend(left.chain(right).map(|(key, value)| (key.clone(), value.clone())));
    Ok(Object::from(entries))
}

fn union_n(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let array = operand::array(args, 1)?;
    let composite = operand::operand(args, 1)?;
    let object = |item| Value::as_object(item).ok_or_else(|| operand::wrong_element(1, composite, item, &["object"]));
    // The last one goes first, but the first wrong one is the error.
    let mut objects = array.iter().map(object).collect::<Result<Vec<_>, _>>()?;
    objects.reverse();
    Ok(Value::Object(united(ctx, &objects)?))
}

/// Of each key the value of the first object that has it, in the form it has there. If that is an object, it is merged
/// with those under the same key of the objects that follow, up to where something else stands there.
///
/// Recurses by depth, which is bounded.
fn united(ctx: &mut Context<'_>, objects: &[&Object]) -> Result<Object, Failure> {
    match objects {
        [] => return Ok(Object::from(vec![])),
        [only] => return Ok((*only).clone()),
        _ => {}
    }
    let count = objects.iter().fold(0_usize, |count, object| count.saturating_add(object.len()));
    ctx.budget.alloc(count.saturating_mul(2 * size_of::<Entry>()))?;
    let mut all: Vec<(&Value, &Value)> = objects.iter().flat_map(|object| object.iter()).collect();
    order::sort(ctx.budget, &mut all, |(key, _)| key)?;
    let mut entries = Vec::new();
    let mut rest = all.as_slice();
    while let Some(((key, first), following)) = rest.split_first() {
        let mut same = 0;
        while let Some((next, _)) = following.get(same)
            && order::same(ctx.budget, key, next)?
        {
            same += 1;
        }
        let (values, others) = following.split_at(same);
        let value = match first {
            Value::Object(first) if !values.is_empty() => {
                let objects = values.iter().map_while(|(_, value)| value.as_object());
                Value::Object(united(ctx, &std::iter::once(first).chain(objects).collect::<Vec<_>>())?)
            }
            first => (*first).clone(),
        };
        entries.push(((*key).clone(), value));
        rest = others;
    }
    Ok(Object::from(entries))
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("object.get", &[r#"{"a": 1}"#, r#""a""#, "0"], "1"),
            ("object.get", &[r#"{"a": [{"b": 2}]}"#, r#"["a", 0, "b"]"#, "0"], "2"),
            ("object.get", &[r#"{"a": {"$set": [1]}}"#, r#"["a", 1.0]"#, "0"], "1.0"),
            ("object.get", &[r#"{"a": 1}"#, r#"["x"]"#, "0"], "0"),
            ("object.get", &[r#"{"a": 1}"#, "[]", "0"], r#"{"a": 1}"#),
            ("object.get", &["[]", r#""a""#, "0"], "operand: operand 1 must be object but got array"),
            ("object.keys", &[r#"{"a": 2, "b": 1}"#], r#"{"a", "b"}"#),
            ("object.filter", &[r#"{"$object": [[1, "x"], ["b", 2]]}"#, "[1.0]"], r#"{1: "x"}"#),
            ("object.filter", &[r#"{"$object": [[1, "x"]]}"#, "[1.0, 2, 3]"], r#"{1.0: "x"}"#),
            (
                "object.filter",
                &[r#"{"a": 1}"#, "1"],
                "operand: operand 2 must be one of {object, set, array} but got number",
            ),
            ("object.remove", &[r#"{"a": 1, "b": 2}"#, r#"{"a": 0}"#], r#"{"b": 2}"#),
            ("object.subset", &[r#"{"a": {"b": [1, 2, 3]}, "c": 1}"#, r#"{"a": {"b": [2, 3]}}"#], "true"),
            ("object.subset", &["[1, 2, 3]", "[1, 3]"], "false"),
            ("object.subset", &["[1, 1]", r#"{"$set": [1, 2]}"#], "true"),
            ("object.subset", &["[]", r#"{"$set": []}"#], "false"),
            (
                "object.subset",
                &[r#"{"$set": [1]}"#, "[1]"],
                "operand: both arguments object.subset must be of the same type or array and set",
            ),
            (
                "object.union",
                &[r#"{"a": {"b": 1}, "c": 1}"#, r#"{"a": {"d": 2}, "c": {"e": 3}}"#],
                r#"{"a": {"b": 1, "d": 2}, "c": {"e": 3}}"#,
            ),
            ("object.union", &[r#"{"$object": [[1, 0]]}"#, r#"{"$object": [[1.0, 2]]}"#], "{1: 2}"),
            ("object.union_n", &[r#"[{"a": {"b": 2}}, {"a": 4}, {"a": {"c": 3}}]"#], r#"{"a": {"c": 3}}"#),
            (
                "object.union_n",
                &[r#"[{"a": {"b": {"x": 1}, "c": 1}}, {"a": {"b": {"y": 2}}}, {"a": {"c": {"z": 1}}}]"#],
                r#"{"a": {"b": {"x": 1, "y": 2}, "c": {"z": 1}}}"#,
            ),
            ("object.union_n", &[r#"[{"$object": [[1, 0]]}, {"$object": [[1.0, 2]]}]"#], "{1.0: 2}"),
            (
                "object.union_n",
                &[r#"[{}, 1, "a"]"#],
                "operand: operand 1 must be array of objects but got array containing number",
            ),
            ("object.union_n", &["[]"], "{}"),
        ];
        check(FUNCTIONS, cases);
    }
}
