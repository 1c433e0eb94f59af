//! The order of terms: what OPA sorts sets and objects in a tree by, and tells equal members by.

use std::cmp::Ordering;

use super::ast::{Body, Every, Expr, ExprKind, TemplatePart, Term, TermKind, With};

/// A set's members in OPA's order, without repetitions.
pub(crate) fn set(items: Vec<Term>) -> Vec<Term> {
    let mut items = sorted(items, compare_terms);
    // Of equal ones, the first stays: sorting keeps their order.
    items.dedup_by(|later, kept| compare_terms(later, kept) == Ordering::Equal);
    items
}

/// An object's entries in OPA's order. Of equal keys the last one's value stays, the others are as if never written.
pub(crate) fn object(entries: Vec<(Term, Term)>) -> Vec<(Term, Term)> {
    let mut entries = sorted(entries, |(a, _), (b, _)| compare_terms(a, b));
    entries.dedup_by(|later, kept| {
        let is_again = compare_terms(&later.0, &kept.0) == Ordering::Equal;
        if is_again {
            std::mem::swap(&mut later.1, &mut kept.1);
        }
        is_again
    });
    entries
}

/// Sorts by merging, because what OPA says of two numbers may not be an order at all, and `sort_by` may panic then.
fn sorted<T>(mut items: Vec<T>, compare: fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return items;
    }
    let back = items.split_off(items.len() / 2);
    let (front, back) = (sorted(items, compare), sorted(back, compare));
    let mut merged = Vec::with_capacity(front.len() + back.len());
    let (mut front, mut back) = (front.into_iter().peekable(), back.into_iter().peekable());
    loop {
        let from_front = match (front.peek(), back.peek()) {
            (Some(a), Some(b)) => compare(a, b) != Ordering::Greater,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return merged,
        };
        merged.extend(if from_front { front.next() } else { back.next() });
    }
}

pub(crate) fn compare_terms(a: &Term, b: &Term) -> Ordering {
    use TermKind::{
        Array, ArrayComprehension, Bool, Call, Number, Object, ObjectComprehension, Ref, Set, SetComprehension, String,
        Template, Var,
    };

    match (&a.kind, &b.kind) {
        (Bool(a), Bool(b)) => a.cmp(b),
        (Number(a), Number(b)) => a.cmp(b),
        (String(a), String(b)) => a.cmp(b),
        (Template(a), Template(b)) => a.len().cmp(&b.len()).then_with(|| by(a, b, compare_parts)),
        (Var(a), Var(b)) => a.cmp(b),
        (Ref(a), Ref(b)) | (Array(a), Array(b)) | (Set(a), Set(b)) | (Call(a), Call(b)) => by(a, b, compare_terms),
        (Object(a), Object(b)) => by(a, b, |(a, v), (b, w)| compare_terms(a, b).then_with(|| compare_terms(v, w))),
        (ArrayComprehension(a, x), ArrayComprehension(b, y)) | (SetComprehension(a, x), SetComprehension(b, y)) => {
            compare_terms(a, b).then_with(|| compare_bodies(x, y))
        }
        (ObjectComprehension(a, v, x), ObjectComprehension(b, w, y)) => {
            compare_terms(a, b).then_with(|| compare_terms(v, w)).then_with(|| compare_bodies(x, y))
        }
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn by<T>(a: &[T], b: &[T], compare: fn(&T, &T) -> Ordering) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn rank(kind: &TermKind) -> u8 {
    match kind {
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

fn compare_parts(a: &TemplatePart, b: &TemplatePart) -> Ordering {
    match (a, b) {
        (TemplatePart::Text(a), TemplatePart::Text(b)) => a.cmp(b),
        (TemplatePart::Expr(a), TemplatePart::Expr(b)) => compare_exprs(a, b),
        (TemplatePart::Text(_), TemplatePart::Expr(_)) => Ordering::Less,
        (TemplatePart::Expr(_), TemplatePart::Text(_)) => Ordering::Greater,
    }
}

pub(crate) fn compare_bodies(a: &Body, b: &Body) -> Ordering {
    by(a, b, compare_exprs)
}

/// Statements of one place in a body: OPA compares places too, which are the same here.
pub(crate) fn compare_exprs(a: &Expr, b: &Expr) -> Ordering {
    (rank_expr(&a.kind).cmp(&rank_expr(&b.kind)))
        .then_with(|| a.negated.cmp(&b.negated))
        .then_with(|| compare_kinds(&a.kind, &b.kind))
        .then_with(|| by(&a.with, &b.with, compare_modifiers))
}

fn compare_kinds(a: &ExprKind, b: &ExprKind) -> Ordering {
    match (a, b) {
        (ExprKind::Some(a), ExprKind::Some(b)) | (ExprKind::Call(a), ExprKind::Call(b)) => by(a, b, compare_terms),
        (ExprKind::Term(a), ExprKind::Term(b)) => compare_terms(a, b),
        (ExprKind::Every(a), ExprKind::Every(b)) => compare_every(a, b),
        (ExprKind::Not(a), ExprKind::Not(b)) => compare_bodies(&a.body, &b.body),
        (ExprKind::And(a, x), ExprKind::And(b, y)) | (ExprKind::Or(a, x), ExprKind::Or(b, y)) => {
            compare_bodies(&a.body, &b.body).then_with(|| compare_bodies(&x.body, &y.body))
        }
        _ => Ordering::Equal,
    }
}

fn compare_every(a: &Every, b: &Every) -> Ordering {
    let keys = match (&a.key, &b.key) {
        (Some(a), Some(b)) => compare_terms(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    keys.then_with(|| compare_terms(&a.value, &b.value))
        .then_with(|| compare_terms(&a.domain, &b.domain))
        .then_with(|| compare_bodies(&a.body, &b.body))
}

fn compare_modifiers(a: &With, b: &With) -> Ordering {
    compare_terms(&a.target, &b.target).then_with(|| compare_terms(&a.value, &b.value))
}

fn rank_expr(kind: &ExprKind) -> u8 {
    match kind {
        ExprKind::Some(_) => 0,
        ExprKind::Term(_) => 1,
        ExprKind::Call(_) => 2,
        ExprKind::Every(_) => 3,
        ExprKind::Not(_) => 4,
        ExprKind::And(..) => 5,
        ExprKind::Or(..) => 6,
    }
}
