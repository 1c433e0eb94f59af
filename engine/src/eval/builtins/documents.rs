//! `json.filter`, `json.remove` and `json.patch`: what paths lead to.

mod edit;

use self::edit::Tree;
use super::{Context, Failure, Function, Limit, operand, order};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("json.filter", filter), ("json.patch", patch), ("json.remove", remove)];

fn filter(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    operand::object(args, 1)?;
    let paths = paths(ctx, args)?;
    filtered(ctx, operand::operand(args, 1)?, &remainders(&paths))
}

fn remove(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    operand::object(args, 1)?;
    let paths = paths(ctx, args)?;
    removed(ctx, operand::operand(args, 1)?, &remainders(&paths))
}

/// Operations as in RFC 6902, on values of any kind, one after the other.
fn patch(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let document = operand::operand(args, 1)?;
    let mut tree = Tree::new(document.clone());
    for operation in operand::array(args, 2)?.iter() {
        ctx.budget.step(8)?;
        apply(ctx, &mut tree, operation)?;
    }
    // OPA can't go on without a document either: it panics.
    tree.render(ctx)?.ok_or_else(|| Failure::error("the document was removed"))
}

// === Patches ===

fn apply(ctx: &mut Context<'_>, tree: &mut Tree, operation: &Value) -> Result<(), Failure> {
    let Value::Object(operation) = operation else {
        let message = "must be an array of JSON-Patch objects, but at least one element is not an object";
        return Err(Failure::error(message));
    };
    let attribute = |name: &str| {
        operation.get_str(name).ok_or_else(|| Failure::Error(format!("missing required attribute '{name}'")))
    };
    let path = attribute("path")?;
    let name = match attribute("op")? {
        Value::String(name) => name,
        other => {
            let message = format!("attribute 'op' must be a string but found: {}", other.type_name());
            return Err(Failure::Error(message));
        }
    };
    let path = segments(ctx, path)?;
    match &**name {
        "add" => tree.insert_at(ctx, &path, attribute("value")?.clone()),
        "remove" => tree.delete_at(ctx, &path),
        "replace" => {
            tree.delete_at(ctx, &path)?;
            tree.insert_at(ctx, &path, attribute("value")?.clone())
        }
        "move" => {
            let from = segments(ctx, attribute("from")?)?;
            let value = tree.render_at(ctx, &from)?;
            tree.delete_at(ctx, &from)?;
            tree.insert_at(ctx, &path, present(value)?)
        }
        "copy" => {
            let from = segments(ctx, attribute("from")?)?;
            let value = tree.render_at(ctx, &from)?;
            tree.insert_at(ctx, &path, present(value)?)
        }
        "test" => {
            let found = tree.render_at(ctx, &path)?;
            let wanted = attribute("value")?;
            match found {
                Some(found) if order::same(ctx.budget, &found, wanted)? => Ok(()),
                _ => Err(Failure::error("value from EditTree != patch value.")),
            }
        }
        other => Err(Failure::Error(format!("unrecognized op: '{other}'"))),
    }
}

fn present(value: Option<Value>) -> Result<Value, Failure> {
    value.ok_or_else(|| Failure::error("cannot insert nil value into EditTree"))
}

// === Paths ===

type Path = Vec<Value>;

/// The second operand's paths.
fn paths(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Vec<Path>, Failure> {
    let paths = match operand::operand(args, 2)? {
        Value::Array(array) => array.as_slice(),
        Value::Set(set) => set.as_slice(),
        other => return Err(operand::wrong_type(2, other, &["set", "array"])),
    };
    paths.iter().map(|path| segments(ctx, path)).collect()
}

/// A path's segments, of which a pointer's are strings.
fn segments(ctx: &mut Context<'_>, path: &Value) -> Result<Path, Failure> {
    match path {
        Value::Array(array) => {
            ctx.budget.alloc(array.len().saturating_mul(size_of::<Value>()))?;
            Ok(array.as_slice().to_vec())
        }
        Value::String(pointer) if pointer.is_empty() => Ok(vec![]),
        Value::String(pointer) => {
            let pointer = pointer.trim_start_matches('/');
            let count = pointer.bytes().filter(|byte| *byte == b'/').count() + 1;
            ctx.budget.alloc(count.saturating_mul(size_of::<Value>() + 24).saturating_add(pointer.len()))?;
            Ok(pointer.split('/').map(|segment| Value::from(unescaped(segment))).collect())
        }
        other => {
            let what = "must be one of {set, array} containing string paths or array of path segments but got";
            Err(operand::wrong(2, &format!("{what} {}", other.type_name())))
        }
    }
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// What is left of paths; those without any segment say nothing.
fn remainders(paths: &[Path]) -> Vec<&[Value]> {
    paths.iter().map(Vec::as_slice).filter(|path| !path.is_empty()).collect()
}

/// Paths that begin with one segment.
struct Branch<'a> {
    segment: &'a Value,
    /// What is left of them, unless one of them ends here: that one says it all.
    rest: Option<Vec<&'a [Value]>>,
}

/// In the order of the segments.
fn branches<'a>(ctx: &mut Context<'_>, paths: &[&'a [Value]]) -> Result<Vec<Branch<'a>>, Failure> {
    ctx.budget.alloc(paths.len().saturating_mul(64))?;
    let mut split: Vec<(&Value, &[Value])> = paths.iter().filter_map(|path| path.split_first()).collect();
    order::sort(ctx.budget, &mut split, |(segment, _)| segment)?;
    let mut branches: Vec<Branch<'a>> = Vec::new();
    for (segment, rest) in split {
        let same = match branches.last() {
            Some(branch) => order::same(ctx.budget, branch.segment, segment)?,
            None => false,
        };
        if !same {
            branches.push(Branch { segment, rest: Some(Vec::new()) });
        }
        let Some(branch) = branches.last_mut() else { continue };
        match &mut branch.rest {
            Some(paths) if !rest.is_empty() => paths.push(rest),
            _ => branch.rest = None,
        }
    }
    Ok(branches)
}

fn branch<'a, 'b>(
    ctx: &mut Context<'_>,
    branches: &'b [Branch<'a>],
    segment: &Value,
) -> Result<Option<&'b Branch<'a>>, Limit> {
    Ok(order::find(ctx.budget, branches, |branch| branch.segment, segment)?.and_then(|found| branches.get(found)))
}

/// An array's branches, by the index that their segment names: in its decimal digits, as a string.
fn by_index<'a, 'b>(branches: &'b [Branch<'a>], length: usize) -> Vec<(usize, &'b Branch<'a>)> {
    let index = |branch: &'b Branch<'a>| {
        let digits = branch.segment.as_str()?;
        let index: usize = digits.parse().ok()?;
        (index < length && index.to_string() == digits).then_some((index, branch))
    };
    let mut found: Vec<_> = branches.iter().filter_map(index).collect();
    found.sort_unstable_by_key(|(index, _)| *index);
    found
}

// === Filtering ===

/// What paths lead to. Recurses by the value's depth, which is bounded, however long the paths are.
fn filtered(ctx: &mut Context<'_>, value: &Value, paths: &[&[Value]]) -> Result<Value, Failure> {
    ctx.budget.step(1)?;
    let branches = match value {
        Value::Array(_) | Value::Set(_) | Value::Object(_) => branches(ctx, paths)?,
        scalar => return Ok(scalar.clone()),
    };
    match value {
        Value::Array(array) => {
            let mut kept = Vec::new();
            for (index, branch) in by_index(&branches, array.len()) {
                if let Some(item) = array.get(index) {
                    kept.push(kept_by(ctx, item, branch)?);
                }
            }
            Ok(Value::array(kept))
        }
        Value::Set(set) => {
            let mut kept = Vec::new();
            for item in set.iter() {
                ctx.budget.step(1)?;
                if let Some(branch) = branch(ctx, &branches, item)? {
                    kept.push(kept_by(ctx, item, branch)?);
                }
            }
            Ok(order::set_of(ctx.budget, kept)?)
        }
        Value::Object(object) => {
            let mut kept = Vec::new();
            let fewer_keys = object.len() < branches.len();
            for branch in &branches {
                ctx.budget.step(1)?;
                let found = order::find(ctx.budget, object.entries(), |(key, _)| key, branch.segment)?;
                if let Some((key, item)) = found.and_then(|found| object.entries().get(found)) {
                    // Keys come in the form they have where there are more.
                    let key = if fewer_keys { branch.segment } else { key };
                    kept.push((key.clone(), kept_by(ctx, item, branch)?));
                }
            }
            Ok(Value::object(kept))
        }
        scalar => Ok(scalar.clone()),
    }
}

fn kept_by(ctx: &mut Context<'_>, item: &Value, branch: &Branch<'_>) -> Result<Value, Failure> {
    match &branch.rest {
        Some(rest) => filtered(ctx, item, rest),
        None => Ok(item.clone()),
    }
}

// === Removing ===

/// All but what paths lead to. Recurses by the value's depth, which is bounded.
fn removed(ctx: &mut Context<'_>, value: &Value, paths: &[&[Value]]) -> Result<Value, Failure> {
    ctx.budget.step(1)?;
    let branches = match value {
        Value::Array(_) | Value::Set(_) | Value::Object(_) => branches(ctx, paths)?,
        scalar => return Ok(scalar.clone()),
    };
    match value {
        Value::Array(array) => {
            let mut kept = Vec::with_capacity(array.len());
            let mut named = by_index(&branches, array.len()).into_iter().peekable();
            for (i, item) in array.iter().enumerate() {
                ctx.budget.step(1)?;
                let branch = named.next_if(|(index, _)| *index == i).map(|(_, branch)| branch);
                kept.extend(left_by(ctx, item, branch)?);
            }
            Ok(Value::array(kept))
        }
        Value::Set(set) => {
            let mut kept = Vec::with_capacity(set.len());
            for item in set.iter() {
                ctx.budget.step(1)?;
                let branch = branch(ctx, &branches, item)?;
                kept.extend(left_by(ctx, item, branch)?);
            }
            Ok(order::set_of(ctx.budget, kept)?)
        }
        Value::Object(object) => {
            let mut kept = Vec::with_capacity(object.len());
            for (key, item) in object.iter() {
                ctx.budget.step(1)?;
                let branch = branch(ctx, &branches, key)?;
                kept.extend(left_by(ctx, item, branch)?.map(|item| (key.clone(), item)));
            }
            Ok(Value::object(kept))
        }
        scalar => Ok(scalar.clone()),
    }
}

fn left_by(ctx: &mut Context<'_>, item: &Value, branch: Option<&Branch<'_>>) -> Result<Option<Value>, Failure> {
    match branch {
        None => Ok(Some(item.clone())),
        Some(Branch { rest: None, .. }) => Ok(None),
        Some(Branch { rest: Some(rest), .. }) => removed(ctx, item, rest).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "json.filter",
                &[r#"{"a": {"b": [1, {"c": 2}, 3], "d": 4}}"#, r#"["a/b/1/c"]"#],
                r#"{"a": {"b": [{"c": 2}]}}"#,
            ),
            ("json.filter", &[r#"{"a": {"b": 1}, "c": 2}"#, r#"{"$set": ["", "/a", "a/b"]}"#], r#"{"a": {"b": 1}}"#),
            ("json.filter", &[r#"{"a": {"$set": [1, 2]}}"#, r#"[["a", 2.0]]"#], r#"{"a": {2}}"#),
            ("json.filter", &[r#"{"$object": [[1, 2]]}"#, "[[1.0]]"], "{1: 2}"),
            (
                "json.filter",
                &[r#"{"a": 1}"#, "[1]"],
                "operand: operand 2 must be one of {set, array} containing string paths or array of path segments but got number",
            ),
            (
                "json.filter",
                &[r#"{"a": 1}"#, r#""a""#],
                "operand: operand 2 must be one of {set, array} but got string",
            ),
            ("json.filter", &["[]", "[]"], "operand: operand 1 must be object but got array"),
            ("json.filter", &[r#"{"a/b": 1, "~": 2}"#, r#"["a~1b", "~0"]"#], r#"{"a/b": 1, "~": 2}"#),
            (
                "json.remove",
                &[r#"{"a": [1, 2, 3], "b": {"c": 1}}"#, r#"["a/0", "a/2", "b/c", "x"]"#],
                r#"{"a": [2], "b": {}}"#,
            ),
            ("json.remove", &[r#"{"a": {"$set": [1, 2]}}"#, r#"[["a", 1]]"#], r#"{"a": {2}}"#),
            ("json.remove", &[r#"{"a": 1}"#, r#"[""]"#], r#"{"a": 1}"#),
            (
                "json.patch",
                &[
                    r#"{"a": [1, 2]}"#,
                    r#"[{"op": "add", "path": "/a/1", "value": 9}, {"op": "add", "path": "a/-", "value": 3}]"#,
                ],
                r#"{"a": [1, 9, 2, 3]}"#,
            ),
            (
                "json.patch",
                &[r#"{"a": 1}"#, r#"[{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/a"}]"#],
                "error",
            ),
            (
                "json.patch",
                &[
                    r#"{"a": {"b": 1}}"#,
                    r#"[{"from": "/a/b", "op": "move", "path": "/c"}, {"from": "/c", "op": "copy", "path": ["d"]}, {"op": "test", "path": "/d", "value": 1.0}]"#,
                ],
                r#"{"a": {}, "c": 1, "d": 1}"#,
            ),
            (
                "json.patch",
                &[
                    r#"{"a": 1}"#,
                    r#"[{"op": "replace", "path": "/a", "value": {"x": 1}}, {"op": "replace", "path": "/a/x", "value": 2}]"#,
                ],
                r#"{"a": {"x": 2}}"#,
            ),
            (
                "json.patch",
                &[
                    r#"[{"x": 1}, {"x": 2}, {"x": 3}]"#,
                    r#"[{"op": "remove", "path": "/0"}, {"op": "add", "path": "/0/y", "value": 9}]"#,
                ],
                r#"[{"x": 1, "y": 9}, {"x": 3}]"#,
            ),
            (
                "json.patch",
                &[
                    r#"{"s": {"$set": [1, {"a": 1}]}}"#,
                    r#"[{"op": "add", "path": ["s", 2], "value": 2}, {"op": "add", "path": ["s", {"a": 1}, "b"], "value": 2}]"#,
                ],
                r#"{"s": {1, 2, {"a": 1, "b": 2}}}"#,
            ),
            (
                "json.patch",
                &[
                    "[]",
                    r#"[{"op": "add", "path": "/0", "value": {}}, {"op": "add", "path": "/0", "value": 1}, {"op": "add", "path": "/0", "value": 2}, {"op": "test", "path": "/1", "value": 1}]"#,
                ],
                "error",
            ),
            ("json.patch", &["[1]", r#"[{"op": "add", "path": "/01", "value": 1}]"#], "error"),
            ("json.patch", &["[1]", r#"[{"op": "add", "path": "/1.0", "value": 2}]"#], "[1, 2]"),
            ("json.patch", &["1", r#"[{"op": "replace", "path": "", "value": []}]"#], "[]"),
            ("json.patch", &["1", r#"[{"op": "x", "path": ""}]"#], "error"),
            ("json.patch", &["1", r#"[{"path": ""}]"#], "error"),
            (
                "json.patch",
                &["1", r#"[{"op": "add", "path": 1}]"#],
                "operand: operand 2 must be one of {set, array} containing string paths or array of path segments but got number",
            ),
            ("json.patch", &["1", "[1]"], "error"),
            ("json.patch", &["1", "{}"], "operand: operand 2 must be array but got object"),
            ("json.patch", &[r#"{"$object": [[1, 2]]}"#, r#"[{"op": "add", "path": [1.0], "value": 3}]"#], "{1.0: 3}"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn nothing_gets_too_deep() {
        let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        let document = format!(r#"{{"a": {deep}}}"#);
        let cases: &[(&str, &[&str], &str)] = &[
            ("json.patch", &[&document, r#"[{"op": "copy", "from": "", "path": "/b"}]"#], "limit: a value too large"),
            (
                "json.patch",
                &[&document, r#"[{"op": "add", "path": "/b", "value": 1}, {"op": "remove", "path": "/a"}]"#],
                r#"{"b": 1}"#,
            ),
        ];
        check(FUNCTIONS, cases);
    }

    /// OPA panics.
    #[test]
    fn a_document_that_was_removed() {
        check(FUNCTIONS, &[("json.patch", &["{}", r#"[{"op": "remove", "path": ""}]"#], "error")]);
    }
}
