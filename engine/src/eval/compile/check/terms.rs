//! Terms that are constant, and the order of terms.

use std::cmp::Ordering;

use crate::eval::compile::types::compare_numbers;
use crate::eval::syntax::ast::{Term, TermKind, Var};
use crate::eval::value::Value;

/// The term's value, if it is constant.
pub(super) fn constant(term: &Term) -> Option<Value> {
    term.to_value()
}

pub(super) fn is_scalar(term: &Term) -> bool {
    matches!(term.kind, TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_))
}

/// A reference's variable and the constants that follow it, up to the first term that isn't one.
pub(super) fn ground_path(reference: &[Term]) -> Option<(&Var, Vec<Value>)> {
    let (root, rest) = reference.split_first()?;
    Some((root.as_var()?, rest.iter().map_while(constant).collect()))
}

/// An object's entries in the order in which OPA keeps them. Of entries with equal keys the last one counts.
pub(super) fn entries(object: &[(Term, Term)]) -> Vec<&(Term, Term)> {
    let mut entries: Vec<_> = object.iter().collect();
    if !entries.is_sorted_by(|(a, _), (b, _)| compare(a, b).is_lt()) {
        entries.sort_by(|(a, _), (b, _)| compare(a, b));
        entries.dedup_by(|later, kept| {
            let same = compare(&later.0, &kept.0).is_eq();
            if same {
                *kept = *later;
            }
            same
        });
    }
    entries
}

/// A set's members in the order in which OPA keeps them.
pub(super) fn members(set: &[Term]) -> Vec<&Term> {
    let mut members: Vec<_> = set.iter().collect();
    if !members.is_sorted_by(|a, b| compare(a, b).is_lt()) {
        members.sort_by(|a, b| compare(a, b));
    }
    members
}

/// OPA's order of terms (`ast.Compare`), but that collections within collections are compared in the order of the text:
/// sorting them for each comparison takes long, and only equal ones would be told apart.
pub(super) fn compare(a: &Term, b: &Term) -> Ordering {
    match (&a.kind, &b.kind) {
        (TermKind::Bool(a), TermKind::Bool(b)) => a.cmp(b),
        (TermKind::Number(a), TermKind::Number(b)) => compare_numbers(a, b),
        (TermKind::String(a), TermKind::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (TermKind::Var(a), TermKind::Var(b)) => a.as_str().as_bytes().cmp(b.as_str().as_bytes()),
        (TermKind::Ref(a), TermKind::Ref(b))
        | (TermKind::Array(a), TermKind::Array(b))
        | (TermKind::Set(a), TermKind::Set(b)) => compare_all(a, b),
        (TermKind::Object(a), TermKind::Object(b)) => {
            let differing = a.iter().zip(b).find_map(|((key_a, value_a), (key_b, value_b))| {
                let order = compare(key_a, key_b).then_with(|| compare(value_a, value_b));
                order.is_ne().then_some(order)
            });
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        // Comprehensions and calls are moved out of collections before types are checked.
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_all(a: &[Term], b: &[Term]) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn rank(term: &Term) -> u8 {
    match term.kind {
        TermKind::Null => 0,
        TermKind::Bool(_) => 1,
        TermKind::Number(_) => 2,
        TermKind::String(_) => 3,
        TermKind::Template(_) => 4,
        TermKind::Var(_) => 5,
        TermKind::Ref(_) => 6,
        TermKind::Array(_) => 7,
        TermKind::Object(_) => 8,
        TermKind::Set(_) => 9,
        TermKind::ArrayComprehension(..) => 10,
        TermKind::ObjectComprehension(..) => 11,
        TermKind::SetComprehension(..) => 12,
        TermKind::Call(_) => 13,
    }
}
