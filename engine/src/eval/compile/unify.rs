//! Which variables have a value after an equality held (`ast/unify.go`).

use std::collections::BTreeMap;

use super::walk::{PATTERN, SAFETY, VarSet, term_vars, vars_of_term};
use crate::eval::syntax::ast::{Term, TermKind, Var};

/// The variables that `a = b` gives a value to, where those in `safe` have one.
pub(super) fn unify(safe: &VarSet, a: &Term, b: &Term) -> VarSet {
    let mut unifier = Unifier { safe, unified: VarSet::new(), unknown: BTreeMap::new() };
    unifier.unify(a, b);
    unifier.unified
}

/// Whether what a reference starts from has a value.
pub(super) fn is_ref_safe(reference: &[Term], safe: &VarSet) -> bool {
    match reference.first() {
        Some(Term { kind: TermKind::Var(var), .. }) => safe.contains(var),
        Some(head) => vars_of_term(head, SAFETY).is_subset(safe),
        None => true,
    }
}

struct Unifier<'a> {
    safe: &'a VarSet,
    unified: VarSet,
    /// What each variable waits for.
    unknown: BTreeMap<Var, VarSet>,
}

impl Unifier<'_> {
    fn is_safe(&self, var: &Var) -> bool {
        self.safe.contains(var) || self.unified.contains(var)
    }

    #[allow(
        clippy::collapsible_match,
        reason = "the shapes choose the arm; a condition that fails must not fall to a later one"
    )]
    fn unify(&mut self, a: &Term, b: &Term) {
        use TermKind as K;
        match (&a.kind, &b.kind) {
            (K::Var(x), K::Var(y)) => {
                if self.is_safe(y) {
                    self.mark_safe(x);
                } else if self.is_safe(x) {
                    self.mark_safe(y);
                } else {
                    self.mark_unknown(x, y);
                    self.mark_unknown(y, x);
                }
            }
            (K::Var(x), K::Array(_) | K::Object(_)) => self.unify_all(x, b),
            (K::Var(x), K::Ref(reference)) => {
                if is_ref_safe(reference, self.safe) {
                    self.mark_safe(x);
                }
            }
            (K::Var(x), K::Call(_)) => {
                if vars_of_term(b, SAFETY).is_subset(self.safe) {
                    self.mark_safe(x);
                }
            }
            (K::Var(x), _) => self.mark_safe(x),
            (K::Ref(_) | K::Call(_), K::Var(_) | K::Array(_) | K::Object(_)) => {
                if self.is_source_safe(a) {
                    self.mark_all_safe(b);
                }
            }
            (K::Array(_) | K::Object(_), K::Var(y)) => self.unify_all(y, a),
            (K::Array(_) | K::Object(_), K::Ref(_) | K::Call(_)) => {
                if self.is_source_safe(b) {
                    self.mark_all_safe(a);
                }
            }
            (K::Array(_), K::ArrayComprehension(..) | K::ObjectComprehension(..) | K::SetComprehension(..)) => {
                self.mark_all_safe(a);
            }
            (K::ArrayComprehension(..), K::Array(_)) | (K::ObjectComprehension(..), K::Object(_)) => {
                self.mark_all_safe(b);
            }
            (K::Array(x), K::Array(y)) => {
                if x.len() == y.len() {
                    x.iter().zip(y).for_each(|(a, b)| self.unify(a, b));
                }
            }
            (K::Object(x), K::Object(y)) => {
                if x.len() == y.len() {
                    for (key, value) in x {
                        let other = y.iter().find(|(other, _)| same_key(key, other));
                        if let Some((_, other)) = other {
                            self.unify(value, other);
                        }
                    }
                }
            }
            (_, K::Var(y)) => self.mark_safe(y),
            _ => {}
        }
    }

    fn is_source_safe(&self, term: &Term) -> bool {
        match &term.kind {
            TermKind::Ref(reference) => is_ref_safe(reference, self.safe),
            _ => vars_of_term(term, SAFETY).is_subset(self.safe),
        }
    }

    fn mark_all_safe(&mut self, term: &Term) {
        vars_of_term(term, PATTERN).iter().for_each(|var| self.mark_safe(var));
    }

    fn mark_safe(&mut self, var: &Var) {
        let mut open = vec![var.clone()];
        while let Some(var) = open.pop() {
            self.unified.insert(var.clone());
            open.extend(self.unknown.remove(&var).into_iter().flatten());
            // Those that waited for nothing else.
            let mut done = vec![];
            for (waiting, on) in &mut self.unknown {
                if on.remove(&var) && on.is_empty() {
                    done.push(waiting.clone());
                }
            }
            open.append(&mut done);
        }
    }

    fn mark_unknown(&mut self, var: &Var, on: &Var) {
        self.unknown.entry(var.clone()).or_default().insert(on.clone());
    }

    fn unify_all(&mut self, var: &Var, composite: &Term) {
        if self.is_safe(var) {
            return self.mark_all_safe(composite);
        }
        let mut unsafe_vars = VarSet::new();
        term_vars(composite, PATTERN, &mut unsafe_vars);
        unsafe_vars.retain(|var| !self.is_safe(var));
        if unsafe_vars.is_empty() {
            self.mark_safe(var);
        } else {
            unsafe_vars.iter().for_each(|on| self.mark_unknown(var, on));
        }
    }
}

fn same_key(a: &Term, b: &Term) -> bool {
    match (a.to_value(), b.to_value()) {
        (Some(a), Some(b)) => a == b,
        _ => matches!((&a.kind, &b.kind), (TermKind::Var(a), TermKind::Var(b)) if a == b),
    }
}
