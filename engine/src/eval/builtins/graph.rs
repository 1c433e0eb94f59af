//! `graph.reachable`, `graph.reachable_paths`, and all that `walk` walks to.

use super::{Context, Failure, Function, Limit, operand, order};
use crate::eval::value::{MAX_DEPTH, Object, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("graph.reachable", reachable), ("graph.reachable_paths", reachable_paths)];

/// All `[path, value]` of what is in a value, itself first, then depth first in the order of keys.
pub(crate) fn walk(ctx: &mut Context<'_>, value: &Value) -> Result<Vec<Value>, Failure> {
    let mut walk = Walk { path: Vec::new(), found: Vec::new() };
    walk.enter(ctx, value)?;
    Ok(walk.found)
}

// === Walking ===

struct Walk {
    path: Vec<Value>,
    found: Vec<Value>,
}

impl Walk {
    /// Recurses by depth, which is bounded.
    fn enter(&mut self, ctx: &mut Context<'_>, value: &Value) -> Result<(), Failure> {
        ctx.budget.step(1)?;
        self.keep(ctx, value)?;
        match value {
            Value::Array(array) => {
                array.iter().enumerate().try_for_each(|(i, item)| self.enter_at(ctx, Value::from(i), item))
            }
            Value::Object(object) => object.iter().try_for_each(|(key, item)| self.enter_at(ctx, key.clone(), item)),
            Value::Set(set) => set.iter().try_for_each(|item| self.enter_at(ctx, item.clone(), item)),
            _ => Ok(()),
        }
    }

    fn enter_at(&mut self, ctx: &mut Context<'_>, key: Value, value: &Value) -> Result<(), Failure> {
        self.path.push(key);
        self.enter(ctx, value)?;
        self.path.pop();
        Ok(())
    }

    fn keep(&mut self, ctx: &mut Context<'_>, value: &Value) -> Result<(), Failure> {
        ctx.budget.alloc((self.path.len() + 4) * size_of::<Value>() + 96)?;
        let pair = Value::array(vec![Value::array(self.path.clone()), value.clone()]);
        // One level more than the value: a pair is taken apart at once.
        if pair.depth() > MAX_DEPTH + 1 {
            return Err(Failure::Limit(Limit::Size));
        }
        self.found.push(pair);
        Ok(())
    }
}

// === Graphs ===

fn reachable(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let graph = operand::object(args, 1)?;
    let mut queue: Vec<&Value> = initial(args)?.iter().collect();
    let mut reached = Vec::new();
    let mut seen = seen(ctx, graph)?;
    let mut at = 0;
    while let Some(node) = queue.get(at).copied() {
        at += 1;
        ctx.budget.step(1)?;
        // What isn't in the graph is reached by nobody.
        let Some((place, edges)) = vertex(ctx, graph, node)? else { continue };
        if mark(&mut seen, place) {
            reached.push(node.clone());
            ctx.budget.alloc(edges.len().saturating_mul(size_of::<&Value>()))?;
            queue.extend(edges);
        }
    }
    Ok(order::set_of(ctx.budget, reached)?)
}

/// Each path from a node to where it can't go on: to a node without edges, before one that isn't in the graph, or before
/// one it has been at.
fn reachable_paths(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let graph = operand::object(args, 1)?;
    let starts = initial(args)?;
    let mut paths = Paths { graph, path: Vec::new(), passed: seen(ctx, graph)?, open: Vec::new(), found: Vec::new() };
    for start in starts {
        ctx.budget.step(1)?;
        if let Some((place, edges)) = vertex(ctx, graph, start)? {
            paths.enter(ctx, start, place, edges)?;
            paths.complete(ctx)?;
        }
    }
    let set = order::set_of(ctx.budget, paths.found)?;
    if set.depth() > MAX_DEPTH {
        return Err(Failure::Limit(Limit::Size));
    }
    Ok(set)
}

fn initial<'a>(args: &[&'a Value]) -> Result<&'a [Value], Failure> {
    match operand::operand(args, 2)? {
        Value::Array(array) => Ok(array.as_slice()),
        Value::Set(set) => Ok(set.as_slice()),
        other => Err(operand::wrong_type(2, other, &["{array, set}"])),
    }
}

/// One mark for each of the graph's nodes.
fn seen(ctx: &mut Context<'_>, graph: &Object) -> Result<Vec<bool>, Failure> {
    ctx.budget.alloc(graph.len())?;
    Ok(vec![false; graph.len()])
}

/// Whether this is new.
fn mark(seen: &mut [bool], place: usize) -> bool {
    seen.get_mut(place).is_some_and(|seen| !std::mem::replace(seen, true))
}

/// A node's place in the graph, and what it leads to: nothing, if that isn't a collection.
fn vertex<'a>(ctx: &mut Context<'_>, graph: &'a Object, node: &Value) -> Result<Option<(usize, &'a [Value])>, Failure> {
    let Some(place) = order::find(ctx.budget, graph.entries(), |(key, _)| key, node)? else { return Ok(None) };
    Ok(graph.entries().get(place).map(|(_, edges)| match edges {
        Value::Array(array) => (place, array.as_slice()),
        Value::Set(set) => (place, set.as_slice()),
        _ => (place, [].as_slice()),
    }))
}

struct Paths<'a> {
    graph: &'a Object,
    path: Vec<Value>,
    /// By the node's place in the graph: whether it is in the path.
    passed: Vec<bool>,
    /// The nodes of the path: their places, and where they lead that wasn't tried.
    open: Vec<(usize, std::slice::Iter<'a, Value>)>,
    found: Vec<Value>,
}

impl<'a> Paths<'a> {
    /// All paths that begin as this one does.
    fn complete(&mut self, ctx: &mut Context<'_>) -> Result<(), Failure> {
        while let Some((place, edges)) = self.open.last_mut() {
            let place = *place;
            ctx.budget.step(1)?;
            match edges.next() {
                Some(node) => self.follow(ctx, node)?,
                None => {
                    self.open.pop();
                    self.path.pop();
                    // The first node may be in the path twice, if it leads to itself.
                    if self.open.first().is_none_or(|(first, _)| *first != place) {
                        self.unmark(place);
                    }
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, ctx: &mut Context<'_>, node: &'a Value) -> Result<(), Failure> {
        let Some((place, edges)) = vertex(ctx, self.graph, node)? else { return self.keep(ctx) };
        // OPA goes on from the first node without looking whether that is where it came from.
        let from_start = self.open.len() == 1;
        if !from_start && self.passed.get(place).copied().unwrap_or(false) {
            return self.keep(ctx);
        }
        self.enter(ctx, node, place, edges)
    }

    fn enter(&mut self, ctx: &mut Context<'_>, node: &Value, place: usize, edges: &'a [Value]) -> Result<(), Failure> {
        self.path.push(node.clone());
        if edges.is_empty() {
            self.keep(ctx)?;
            self.path.pop();
            return Ok(());
        }
        mark(&mut self.passed, place);
        self.open.push((place, edges.iter()));
        Ok(())
    }

    fn unmark(&mut self, place: usize) {
        if let Some(passed) = self.passed.get_mut(place) {
            *passed = false;
        }
    }

    fn keep(&mut self, ctx: &mut Context<'_>) -> Result<(), Failure> {
        ctx.budget.alloc((self.path.len() + 1) * size_of::<Value>() + 48)?;
        self.found.push(Value::array(self.path.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("graph.reachable", &[r#"{"a": ["b"], "b": ["a", "c"], "d": []}"#, r#"["a"]"#], r#"{"a", "b"}"#),
            ("graph.reachable", &[r#"{"a": 1}"#, r#"{"$set": ["a", "b"]}"#], r#"{"a"}"#),
            ("graph.reachable", &["{}", r#""a""#], "operand: operand 2 must be {array, set} but got string"),
            ("graph.reachable", &[r#"{"$object": [[1, [2.0]], [2, []]]}"#, "[1.0]"], "{1.0, 2.0}"),
            (
                "graph.reachable_paths",
                &[r#"{"a": ["b", "x"], "b": ["c", "a"], "c": []}"#, r#"["a"]"#],
                r#"{["a"], ["a", "b"], ["a", "b", "c"]}"#,
            ),
            ("graph.reachable_paths", &[r#"{"a": ["a"]}"#, r#"["a"]"#], r#"{["a", "a"]}"#),
            ("graph.reachable_paths", &[r#"{"a": []}"#, r#"{"$set": ["a"]}"#], r#"{["a"]}"#),
            (
                "graph.reachable_paths",
                &[r#"{"a": {"$set": ["b"]}, "b": ["c"], "c": ["b"]}"#, r#"["a", "b"]"#],
                r#"{["a", "b", "c"], ["b", "c"]}"#,
            ),
            ("graph.reachable_paths", &["[]", r#"["a"]"#], "operand: operand 1 must be object but got array"),
        ];
        check(FUNCTIONS, cases);
    }

    use super::super::order::testing::{text_of, value};

    #[test]
    fn walks_depth_first() {
        let pairs = text_of(|ctx| walk(ctx, &value(r#"{"b": [1, {"$set": [2]}], "a": null}"#)).map(Value::array));
        let expected = [
            r#"[[[], {"a": null, "b": [1, {2}]}], [["a"], null], [["b"], [1, {2}]], "#,
            r#"[["b", 0], 1], [["b", 1], {2}], [["b", 1, 2], 2]]"#,
        ];
        assert_eq!(pairs, expected.concat());
    }

    /// OPA puts each node of such a graph into its queue as often as there are paths to it.
    #[test]
    fn layers_are_reached_once() {
        let layer = |n: i64| (0..10).map(|i| (n * 10 + i).to_string()).collect::<Vec<_>>().join(",");
        let nodes = (0..400).map(|node| format!("[{node}, [{}]]", layer(node / 10 + 1))).collect::<Vec<_>>();
        let graph = format!(r#"{{"$object": [{}]}}"#, nodes.join(","));
        let reached = text_of(|ctx| {
            reachable(ctx, &[&value(&graph), &value("[0]")]).map(|set| match set {
                Value::Set(set) => Value::from(set.len()),
                other => other,
            })
        });
        assert_eq!(reached, "391");
        let paths = text_of(|ctx| reachable_paths(ctx, &[&value(&graph), &value("[0]")]));
        assert!(paths.starts_with("limit"), "{paths}");
    }
}
