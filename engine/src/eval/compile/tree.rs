//! Which rules stand at which path.

use std::collections::BTreeMap;

use super::walk::VarSet;
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{Module, Rule, Term, TermKind, dotted};
use crate::eval::value::Value;

/// A rule by its module and its place in it.
pub(crate) type RuleId = (usize, usize);

/// The rules by the constant part of their paths, from `data` down.
#[derive(Debug)]
pub(crate) struct RuleTree {
    nodes: Vec<Node>,
    /// Nodes whose key is a number that rules write in different ways.
    ambiguous: Vec<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) children: BTreeMap<Value, usize>,
    /// Rules whose constant part ends here.
    pub(crate) rules: Vec<RuleId>,
    /// Whether it is left out where a document is enumerated: `data.system`.
    pub(crate) hidden: bool,
}

impl RuleTree {
    pub(crate) const ROOT: usize = 0;

    pub(crate) fn new(modules: &[Module]) -> Self {
        let mut tree = Self { nodes: vec![Node::default()], ambiguous: vec![] };
        for (m, module) in modules.iter().enumerate() {
            if module.rules.is_empty() {
                let path = module.package.path.iter().map(|part| Value::String(std::sync::Arc::clone(part)));
                tree.insert(path.collect());
            }
            for (r, rule) in module.rules.iter().enumerate() {
                let node = tree.insert(ground_prefix(&rule.head.reference));
                if let Some(node) = tree.nodes.get_mut(node) {
                    node.rules.push((m, r));
                }
            }
        }
        if let Some(system) = tree.child(Self::ROOT, &Value::from("system"))
            && let Some(node) = tree.nodes.get_mut(system)
        {
            node.hidden = true;
        }
        tree
    }

    fn insert(&mut self, path: Vec<Value>) -> usize {
        let mut at = Self::ROOT;
        for key in path {
            let found = self.nodes.get(at).and_then(|node| node.children.get_key_value(&key));
            at = match found.map(|(written, child)| (*child, is_written(written, &key))) {
                Some((child, true)) => child,
                Some((child, false)) => {
                    self.ambiguous.push(child);
                    child
                }
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::default());
                    if let Some(node) = self.nodes.get_mut(at) {
                        node.children.insert(key, child);
                    }
                    child
                }
            };
        }
        at
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)
    }

    pub(crate) fn child(&self, at: usize, key: &Value) -> Option<usize> {
        let (written, child) = self.nodes.get(at)?.children.get_key_value(key)?;
        is_written(written, key).then_some(*child)
    }

    /// Nodes that OPA would have twice, because a number in their paths is written in two ways.
    pub(crate) fn ambiguous(&self) -> &[usize] {
        &self.ambiguous
    }

    /// The node that `reference` names exactly, if its head is `data` and all of it is constant.
    pub(crate) fn find(&self, reference: &[Term]) -> Option<usize> {
        let (head, rest) = reference.split_first()?;
        if head.as_var()?.as_str() != "data" {
            return None;
        }
        rest.iter().try_fold(Self::ROOT, |at, term| self.child(at, &scalar(term)?))
    }

    /// The rules that `reference` names exactly.
    pub(crate) fn rules(&self, reference: &[Term]) -> &[RuleId] {
        self.find(reference).and_then(|at| self.node(at)).map_or(&[], |node| node.rules.as_slice())
    }

    /// All rules at and below a node; below hidden ones too if `hidden`.
    pub(crate) fn below(&self, at: usize, hidden: bool, f: &mut dyn FnMut(RuleId)) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let Some(node) = self.node(at) else { continue };
            node.rules.iter().for_each(|rule| f(*rule));
            if hidden || !node.hidden {
                open.extend(node.children.values());
            }
        }
    }
}

/// Whether a key that equals a part of a rule's path names it: numbers do by their text, as in data. To OPA, `q[1.0]` isn't
/// what `q[1] := 5` defines.
pub(crate) fn is_written(part: &Value, key: &Value) -> bool {
    match (part, key) {
        (Value::Number(part), Value::Number(key)) => part.to_string() == key.to_string(),
        _ => true,
    }
}

/// How many parameters the called function has; none if there is no such function.
pub(crate) struct Arity<'a> {
    pub(crate) tree: &'a RuleTree,
    pub(crate) modules: &'a [Vec<usize>],
}

impl Arity<'_> {
    /// The number of parameters of every rule, by module.
    pub(crate) fn of_modules(modules: &[Module]) -> Vec<Vec<usize>> {
        modules.iter().map(|module| module.rules.iter().map(|rule| rule.head.args.len()).collect()).collect()
    }

    pub(crate) fn get(&self, operator: &[Term]) -> Option<usize> {
        if let Some(builtin) = dotted(operator).and_then(|name| builtin(&name)) {
            return Some(builtin.arity());
        }
        let (module, rule) = *self.tree.rules(operator).first()?;
        self.modules.get(module)?.get(rule).copied()
    }
}

/// A constant that a path can have as a part.
pub(crate) fn scalar(term: &Term) -> Option<Value> {
    match term.kind {
        TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => term.to_value(),
        _ => None,
    }
}

/// The constants at the beginning of a head's reference, `data` left out.
pub(crate) fn ground_prefix(reference: &[Term]) -> Vec<Value> {
    reference.iter().skip(1).map_while(scalar).collect()
}

/// Whether nothing of the reference but its head is a variable.
pub(crate) fn is_ground(reference: &[Term]) -> bool {
    reference.iter().skip(1).all(|term| scalar(term).is_some())
}

/// What a rule defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuleKind {
    /// One value, or one at each of its keys.
    Single,
    /// A set.
    Multi,
}

pub(crate) fn kind(rule: &Rule) -> RuleKind {
    if rule.head.value.is_some() { RuleKind::Single } else { RuleKind::Multi }
}

/// Variables that always have a value.
pub(crate) fn reserved() -> VarSet {
    ["data", "input"].into_iter().map(crate::eval::syntax::ast::Var::new).collect()
}
