//! Which rules depend on which: an order with dependencies first, or the recursion that forbids one.
//!
//! A reference depends on every rule that it may reach, whatever its variables hold (OPA's `GetRulesDynamicWithOpts`).

use std::cell::OnceCell;

use super::CompileError;
use super::conflicts::path_text;
use super::error::RECURSION;
use super::tree::{RuleId, RuleTree, scalar};
use super::walk::{chain, each, terms_of_body};
use crate::eval::syntax::ast::{Module, Rule, Term, TermKind};

/// References that may reach very many rules, very many times, would make a graph that takes too long to look at.
const MAX_EDGES: usize = 4_000_000;

/// Rules first, then the nodes of the rule tree: depending on a node is depending on all that is below it.
pub(super) struct Graph {
    rules: Vec<RuleId>,
    edges: Vec<Vec<usize>>,
    /// The edges turned around, made when they are asked for.
    reversed: OnceCell<Vec<Vec<usize>>>,
}

impl Graph {
    /// # Errors
    /// There are too many dependencies.
    pub(super) fn new(modules: &[Module], tree: &RuleTree) -> Result<Self, CompileError> {
        let rules: Vec<RuleId> =
            modules.iter().enumerate().flat_map(|(m, module)| (0..module.rules.len()).map(move |r| (m, r))).collect();
        let index = |id: &RuleId| rules.binary_search(id).ok();
        let mut edges = Vec::with_capacity(rules.len() + tree.len());
        let mut count = 0;
        for id in &rules {
            let mut targets = vec![];
            let Some(rule) = rule(modules, *id) else { continue };
            references_of_rule(rule, &mut |reference| {
                reach(modules, tree, reference, &mut |target| {
                    targets.extend(match target {
                        Target::Rule(id) => index(&id),
                        Target::Below(at) => Some(rules.len() + at),
                    });
                });
            });
            targets.sort_unstable();
            targets.dedup();
            count += targets.len();
            if count > MAX_EDGES {
                let message = "so many references may reach so many rules that following them takes too long; \
                               name what they refer to";
                return Err(CompileError::new(rule.location, "size", message));
            }
            edges.push(targets);
        }
        for at in 0..tree.len() {
            let Some(node) = tree.node(at) else { continue };
            let children = node.children.values().map(|child| rules.len() + child);
            edges.push(node.rules.iter().filter_map(index).chain(children).collect());
        }
        Ok(Self { rules, edges, reversed: OnceCell::new() })
    }

    /// The rules that `reference` may reach, and all that depend on these.
    pub(super) fn dependents(&self, modules: &[Module], tree: &RuleTree, reference: &[Term]) -> Vec<RuleId> {
        let reversed = self.reversed.get_or_init(|| {
            let mut reversed = vec![vec![]; self.edges.len()];
            for (from, edges) in self.edges.iter().enumerate() {
                for to in edges {
                    if let Some(sources) = reversed.get_mut(*to) {
                        sources.push(from);
                    }
                }
            }
            reversed
        });
        let mut open = vec![];
        reach(modules, tree, reference, &mut |target| match target {
            Target::Rule(id) => open.extend(self.rules.binary_search(&id)),
            Target::Below(at) => tree.below(at, true, &mut |id| open.extend(self.rules.binary_search(&id))),
        });
        let mut seen = vec![false; self.edges.len()];
        let mut found = vec![];
        while let Some(at) = open.pop() {
            if let Some(seen) = seen.get_mut(at)
                && !std::mem::replace(seen, true)
            {
                found.extend(self.rules.get(at));
                open.extend(reversed.get(at).into_iter().flatten());
            }
        }
        found
    }

    /// The rules, dependencies first. Depth first, without recursing.
    ///
    /// # Errors
    /// Some rule depends on itself.
    pub(super) fn order(&self, modules: &[Module]) -> Result<Vec<RuleId>, CompileError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.edges.len()];
        let mut order = vec![];
        for start in 0..self.rules.len() {
            // Each with how many of its edges were followed.
            let mut path: Vec<(usize, usize)> = vec![];
            let mut next = Some(start);
            loop {
                if let Some(at) = next.take() {
                    match marks.get(at) {
                        Some(Mark::New) => {
                            if let Some(mark) = marks.get_mut(at) {
                                *mark = Mark::Open;
                            }
                            path.push((at, 0));
                        }
                        Some(Mark::Open) => return Err(self.recursion(modules, &path, at)),
                        _ => {}
                    }
                }
                let Some((at, followed)) = path.last_mut() else { break };
                match self.edges.get(*at).and_then(|edges| edges.get(*followed)) {
                    Some(target) => {
                        *followed += 1;
                        next = Some(*target);
                    }
                    None => {
                        if let Some(mark) = marks.get_mut(*at) {
                            *mark = Mark::Done;
                        }
                        order.extend(self.rules.get(*at));
                        path.pop();
                    }
                }
            }
        }
        Ok(order)
    }

    fn recursion(&self, modules: &[Module], path: &[(usize, usize)], closing: usize) -> CompileError {
        let cycle = path.iter().map(|(at, _)| *at).skip_while(|at| *at != closing).chain([closing]);
        let rules: Vec<&Rule> = cycle.filter_map(|at| rule(modules, *self.rules.get(at)?)).collect();
        let mut names: Vec<String> = rules.iter().map(|rule| path_text(&rule.head.reference)).collect();
        if let (Some(first), Some(last)) = (names.first(), names.last())
            && (first != last || names.len() == 1)
        {
            names.push(first.clone());
        }
        // A long chain says no more than its ends.
        if names.len() > 12 {
            names.splice(6..names.len() - 5, ["…".to_owned()]);
        }
        let location = rules.first().map(|rule| rule.location).unwrap_or_default();
        let name = names.first().cloned().unwrap_or_default();
        CompileError::new(location, RECURSION, format!("rule {name} is recursive: {}", names.join(" -> ")))
    }
}

enum Target {
    Rule(RuleId),
    Below(usize),
}

/// What a reference may reach.
fn reach(modules: &[Module], tree: &RuleTree, reference: &[Term], f: &mut dyn FnMut(Target)) {
    if reference.first().and_then(Term::as_var).is_none_or(|var| var.as_str() != "data") {
        return;
    }
    let mut open = vec![(RuleTree::ROOT, 1)];
    while let Some((at, i)) = open.pop() {
        let Some(node) = tree.node(at) else { continue };
        let Some(term) = reference.get(i) else {
            f(Target::Below(at));
            continue;
        };
        let mut visit = |child: usize| {
            let rules = tree.node(child).map_or(&[][..], |node| node.rules.as_slice());
            for id in rules {
                if rule(modules, *id).is_some_and(|rule| may_intersect(&rule.head.reference, reference, i + 1)) {
                    f(Target::Rule(*id));
                }
            }
            open.push((child, i + 1));
        };
        match term.to_value() {
            Some(key) => node.children.get(&key).into_iter().for_each(|child| visit(*child)),
            None => node.children.values().for_each(|child| visit(*child)),
        }
    }
}

/// Whether two paths can be one from place `from` on.
fn may_intersect(a: &[Term], b: &[Term], from: usize) -> bool {
    a.iter().zip(b).skip(from).all(|(a, b)| match (scalar(a), b.to_value()) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    })
}

fn references_of_rule<'a>(rule: &'a Rule, f: &mut dyn FnMut(&'a [Term])) {
    let mut term = |term: &'a Term| {
        if let TermKind::Ref(reference) = &term.kind {
            f(reference);
        }
    };
    for rule in chain(rule) {
        // A head's own reference is what it defines.
        let head = &rule.head;
        head.args.iter().chain(&head.key).chain(&head.value).for_each(|part| each(part, &mut term));
        terms_of_body(&rule.body, &mut term);
    }
}

fn rule(modules: &[Module], (module, rule): RuleId) -> Option<&Rule> {
    modules.get(module)?.rules.get(rule)
}
