//! `graph.reachable`, `graph.reachable_paths`, and all that `walk` walks to.

use super::{Context, Failure, Function, Limit, operand, order};
use crate::eval::value::{MAX_DEPTH, Object, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("graph.reachable", reachable), ("graph.reachable_paths", reachable_paths)];

/// All `[path, value]` of what is in a value, itself first, then depth first in the order of keys.
pub(crate) fn walk(ctx: &mut Context<'_>, value: &Value) -> Result<Vec<Value>, Failure> {
    walked(ctx, value, None)
}

/// Those of [`walk`] whose path is like `pattern`, in which `None` is any key. Nothing else is walked to.
pub(crate) fn walk_along(
    ctx: &mut Context<'_>,
    value: &Value,
    pattern: &[Option<&Value>],
) -> Result<Vec<Value>, Failure> {
    walked(ctx, value, Some(pattern))
}

/// The values of [`walk`] without their paths.
pub(crate) fn walk_values(ctx: &mut Context<'_>, value: &Value) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    collect(ctx, value, &mut found)?;
    Ok(found)
}

// === Walking ===

fn walked(ctx: &mut Context<'_>, value: &Value, pattern: Option<&[Option<&Value>]>) -> Result<Vec<Value>, Failure> {
    let mut walk = Walk { pattern, path: Vec::new(), found: Vec::new() };
    walk.enter(ctx, value)?;
    Ok(walk.found)
}

struct Walk<'a> {
    pattern: Option<&'a [Option<&'a Value>]>,
    path: Vec<Value>,
    found: Vec<Value>,
}

impl Walk<'_> {
    /// Recurses by depth, which is bounded.
    fn enter(&mut self, ctx: &mut Context<'_>, value: &Value) -> Result<(), Failure> {
        ctx.budget.step(1)?;
        match self.pattern.map(|pattern| pattern.get(self.path.len()).copied()) {
            // Without a pattern.
            None => self.keep(ctx, value)?,
            // At the pattern's end.
            Some(None) => return self.keep(ctx, value),
            Some(Some(Some(key))) => {
                let next = step(ctx, value, key)?;
                return next.map_or(Ok(()), |next| self.enter_at(ctx, key.clone(), next));
            }
            Some(Some(None)) => {}
        }
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

/// What lies under a key, whatever it is a key of.
fn step<'a>(ctx: &mut Context<'_>, value: &'a Value, key: &'a Value) -> Result<Option<&'a Value>, Limit> {
    match value {
        Value::Object(object) => order::lookup(ctx.budget, object, key),
        Value::Set(set) => Ok(order::member(ctx.budget, set, key)?.map(|_| key)),
        other => Ok(other.get(key)),
    }
}

fn collect(ctx: &mut Context<'_>, value: &Value, found: &mut Vec<Value>) -> Result<(), Failure> {
    ctx.budget.step(1)?;
    ctx.budget.alloc(size_of::<Value>())?;
    found.push(value.clone());
    match value {
        Value::Array(array) => array.iter().try_for_each(|item| collect(ctx, item, found)),
        Value::Object(object) => object.values().try_for_each(|item| collect(ctx, item, found)),
        Value::Set(set) => set.iter().try_for_each(|item| collect(ctx, item, found)),
        _ => Ok(()),
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
