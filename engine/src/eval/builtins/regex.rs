//! `regex.*`: regular expressions as Go's `regexp` has them ([`re2`](super::re2)), and whether two globs have a text in common.

mod intersection;

use std::fmt::Write as _;

use super::re2::{self, Place, Regex, Use};
use super::{Budget, Context, Failure, Function, operand};
use crate::eval::value::Value;
use crate::eval::value::text::quoted;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("re_match", matches),
    ("regex.find_all_string_submatch_n", find_groups),
    ("regex.find_n", find),
    ("regex.globs_match", globs_match),
    ("regex.is_valid", is_valid),
    ("regex.match", matches),
    ("regex.replace", replace),
    ("regex.split", split),
    ("regex.template_match", template_match),
];

fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)?.as_str() {
        Some(pattern) => Ok(Value::Bool(re2::is_valid(pattern, ctx.budget)?)),
        None => Ok(Value::Bool(false)),
    }
}

fn matches(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    regex.is_match(text, ctx.budget).map(Value::Bool)
}

fn template_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let template = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let (start, end) = (operand::string(args, 3)?, operand::string(args, 4)?);
    let &[start] = start.as_bytes() else {
        let len = start.len();
        return Err(Failure::error(format!("start delimiter has to be exactly one character long but is {len} long")));
    };
    let &[end] = end.as_bytes() else {
        // OPA has the length of the other one here.
        return Err(Failure::error("end delimiter has to be exactly one character long but is 1 long"));
    };
    let regex = ctx.patterns.template(template, (start, end), ctx.budget)?;
    regex.is_match(text, ctx.budget).map(Value::Bool)
}

fn split(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    if text.is_empty() && !pattern.is_empty() {
        return Ok(Value::array(vec![Value::from("")]));
    }
    let mut parts = vec![];
    let (mut from, mut to) = (0, 0);
    regex.matches(text, usize::MAX, false, ctx.budget, |budget, places| {
        let Some(&Some(found)) = places.first() else { return Ok(()) };
        to = found.start;
        if found.end != 0 {
            parts.push(part(text, from, to, budget)?);
        }
        from = found.end;
        Ok(())
    })?;
    if to != text.len() {
        parts.push(part(text, from, text.len(), ctx.budget)?);
    }
    Ok(Value::array(parts))
}

fn find(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let most = most(operand::int(args, 3)?);
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    let mut found = vec![];
    regex.matches(text, most, false, ctx.budget, |budget, places| {
        found.push(place(text, places.first().copied().flatten(), budget)?);
        Ok(())
    })?;
    Ok(Value::array(found))
}

fn find_groups(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let most = most(operand::int(args, 3)?);
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    let mut found = vec![];
    regex.matches(text, most, true, ctx.budget, |budget, places| {
        let groups = places.iter().map(|found| place(text, *found, budget)).collect::<Result<Vec<_>, _>>()?;
        budget.alloc(size_of::<Value>())?;
        found.push(Value::array(groups));
        Ok(())
    })?;
    Ok(Value::array(found))
}

/// How many matches `n` asks for; a negative number asks for all.
fn most(n: i64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// What was matched; a group that wasn't is empty.
fn place(text: &str, place: Place, budget: &mut Budget) -> Result<Value, Failure> {
    let (from, to) = place.map_or((0, 0), |found| (found.start, found.end));
    part(text, from, to, budget)
}

fn part(text: &str, from: usize, to: usize, budget: &mut Budget) -> Result<Value, Failure> {
    let part = text.get(from..to).unwrap_or_default();
    budget.alloc(size_of::<Value>() + 16 + part.len())?;
    Ok(Value::from(part))
}

fn replace(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    let pattern = operand::string(args, 2)?;
    let replacement = operand::string(args, 3)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    ctx.budget.alloc(replacement.len())?;
    let pieces = pieces(replacement);
    let groups = pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)));
    let mut replaced = String::new();
    let mut from = 0;
    regex.matches(text, usize::MAX, groups, ctx.budget, |budget, places| {
        let Some(&Some(found)) = places.first() else { return Ok(()) };
        let mut push = |part: &str| {
            budget.alloc(part.len())?;
            replaced.push_str(part);
            Ok::<_, Failure>(())
        };
        push(text.get(from..found.start).unwrap_or_default())?;
        for piece in &pieces {
            push(piece.expanded(text, &regex, places))?;
        }
        from = found.end;
        Ok(())
    })?;
    if from == 0 && replaced.is_empty() {
        return Ok(Value::String(text.clone()));
    }
    replaced.push_str(text.get(from..).unwrap_or_default());
    Ok(Value::from(replaced))
}

/// A part of a replacement.
enum Piece<'a> {
    Text(&'a str),
    /// `$1`
    Group(usize),
    /// `$name`
    Named(&'a str),
}

impl<'a> Piece<'a> {
    fn expanded(&self, text: &'a str, regex: &Regex, places: &[Place]) -> &'a str {
        let found = match self {
            Self::Text(text) => return text,
            Self::Group(group) => places.get(*group).copied().flatten(),
            Self::Named(name) => {
                let groups = regex.names().iter().zip(places.iter().skip(1));
                // Of groups with the same name, the first one that matched.
                groups.filter(|(group, _)| group.as_deref() == Some(name)).find_map(|(_, place)| *place)
            }
        };
        found.and_then(|found| text.get(found.start..found.end)).unwrap_or_default()
    }
}

/// What Go's `Regexp.Expand` makes of a replacement.
fn pieces(mut template: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    while let Some((before, after)) = template.split_once('$') {
        pieces.push(Piece::Text(before));
        template = after;
        if let Some(rest) = template.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            template = rest;
        } else if let Some((piece, rest)) = reference(template) {
            pieces.push(piece);
            template = rest;
        } else {
            pieces.push(Piece::Text("$"));
        }
    }
    pieces.push(Piece::Text(template));
    pieces.retain(|piece| !matches!(piece, Piece::Text("")));
    pieces
}

/// What follows a `$`: a name or number, in braces or not.
fn reference(text: &str) -> Option<(Piece<'_>, &str)> {
    let braced = text.strip_prefix('{');
    let inner = braced.unwrap_or(text);
    let end = inner.find(|c| !re2::is_name(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let rest = if braced.is_some() { rest.strip_prefix('}')? } else { rest };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    // Go gives up on numbers of more than nine digits.
    let number = name.parse().ok().filter(|_| is_number && name.len() <= 9);
    Some((number.map_or(Piece::Named(name), Piece::Group), rest))
}

/// The pattern that a template of literal text and expressions between delimiters stands for.
pub(super) fn template(
    template: &str,
    (start, end): (u8, u8),
    used: Use,
    budget: &mut Budget,
) -> Result<Regex, Failure> {
    budget.alloc(template.len().saturating_mul(3))?;
    let mut pattern = String::from("^");
    let mut from = 0;
    for (opening, closing) in expressions(template, start, end)? {
        push_quoted(&mut pattern, template.get(from..opening).unwrap_or_default());
        let expression = template.get(opening + 1..closing).unwrap_or_default();
        let _ = write!(pattern, "({expression})");
        // Each has to be one by itself.
        re2::Regex::new(&format!("^{expression}$"), Use::Passing, budget)?;
        from = closing + 1;
    }
    push_quoted(&mut pattern, template.get(from..).unwrap_or_default());
    pattern.push('$');
    Regex::new(&pattern, used, budget)
}

/// Where the outermost delimiters are.
fn expressions(template: &str, start: u8, end: u8) -> Result<Vec<(usize, usize)>, Failure> {
    let unbalanced = || Failure::error(format!("unbalanced braces in {}", quoted(template)));
    let mut found = vec![];
    let mut depth = 0_usize;
    let mut opening = 0;
    for (at, byte) in template.bytes().enumerate() {
        if byte == start {
            depth += 1;
            if depth == 1 {
                opening = at;
            }
        } else if byte == end {
            depth = depth.checked_sub(1).ok_or_else(unbalanced)?;
            if depth == 0 {
                found.push((opening, at));
            }
        }
    }
    if depth == 0 { Ok(found) } else { Err(unbalanced()) }
}

/// As Go's `regexp.QuoteMeta`.
fn push_quoted(pattern: &mut String, text: &str) {
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
}

fn globs_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let a = operand::string(args, 1)?;
    let b = operand::string(args, 2)?;
    intersection::is_not_empty(a, b, ctx.budget).map(Value::Bool)
}
