//! What a document may depend on.

use std::collections::BTreeSet;

use super::{Callee, DocumentChild, GroupId, Guard, Op, Plan, Subject, With};
use crate::eval::machine::Entry;

/// What may be reached from an entrypoint.
#[derive(Debug)]
pub(crate) struct Reachable {
    /// Builtins, by name.
    pub(crate) builtins: BTreeSet<&'static str>,
    pub(crate) groups: BTreeSet<GroupId>,
    /// The paths of [`Plan::inputs`] that may be read; none if all of the input is.
    pub(crate) input: Option<BTreeSet<u32>>,
    /// The paths of [`Plan::paths`] that may be read, without those of whole documents of rules and data.
    pub(crate) data: BTreeSet<u32>,
}

/// Everything that evaluating `entry` may come to.
pub(crate) fn reachable(plan: &Plan, entry: &Entry) -> Reachable {
    let mut reachable = Reachable {
        builtins: BTreeSet::new(),
        groups: BTreeSet::new(),
        input: Some(BTreeSet::new()),
        data: BTreeSet::new(),
    };
    let mut open: Vec<GroupId> = entry.group().into_iter().collect();
    let ends = ends(plan);
    while let Some(id) = open.pop() {
        if !reachable.groups.insert(id) {
            continue;
        }
        let Some(group) = plan.groups.get(id as usize) else { continue };
        for start in std::iter::once(group.entry).chain(group.keyed) {
            let end = ends.partition_point(|end| *end < start);
            let end = ends.get(end).copied().unwrap_or(start);
            for op in plan.ops.get(start as usize..end as usize).unwrap_or_default() {
                reachable.step(plan, op, &mut open);
            }
        }
    }
    reachable
}

impl Reachable {
    fn step(&mut self, plan: &Plan, op: &Op, open: &mut Vec<GroupId>) {
        match op {
            Op::Builtin { builtin, .. } => self.builtin(plan, *builtin),
            Op::Walk { .. } => {
                self.builtins.insert("walk");
            }
            Op::Rule { group, .. } | Op::RuleAt { group, .. } | Op::Function { group, .. } => open.push(*group),
            Op::Document { node, .. } => below(plan, *node, open),
            Op::Input { path, .. } => self.input.iter_mut().for_each(|input| _ = input.insert(*path)),
            Op::Data { path, .. } => {
                self.data.insert(*path);
            }
            Op::Guard { guard, .. } => self.guard(plan, *guard),
            Op::Alone { among, .. } => {
                let definitions = plan.definitions.get(*among as usize);
                definitions.into_iter().flatten().for_each(|definition| self.guard(plan, definition.guard));
            }
            Op::With { replacement, .. } => {
                let Some(replacement) = plan.replacements.get(*replacement as usize) else { return };
                // Beside what is replaced stands the rest.
                if replacement.input.iter().any(|(path, _)| !path.is_empty()) {
                    self.input = None;
                }
                for (_, stands) in &replacement.functions {
                    match stands {
                        With::Callee(Callee::Builtin(builtin)) => self.builtin(plan, *builtin),
                        With::Callee(Callee::Group(group)) => open.push(*group),
                        With::Value(_) => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn guard(&mut self, plan: &Plan, guard: u32) {
        for subject in plan.guards.get(guard as usize).into_iter().flat_map(Guard::subjects) {
            if let (Subject::Input { path, .. }, Some(input)) = (subject, &mut self.input) {
                input.insert(*path);
            }
        }
    }

    fn builtin(&mut self, plan: &Plan, builtin: u32) {
        self.builtins.extend(plan.builtins.get(builtin as usize).map(|builtin| builtin.name));
    }
}

/// Where each group's operations end, in order.
fn ends(plan: &Plan) -> Vec<u32> {
    (0..).zip(&plan.ops).filter(|(_, op)| matches!(op, Op::Return)).map(|(pc, _): (u32, _)| pc).collect()
}

fn below(plan: &Plan, node: u32, open: &mut Vec<GroupId>) {
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        let Some(node) = plan.nodes.get(node as usize) else { continue };
        open.extend(node.whole);
        for (_, child) in &node.children {
            match child {
                DocumentChild::Node(child) => nodes.push(*child),
                DocumentChild::Rules(group) => open.push(*group),
                DocumentChild::Function => {}
            }
        }
    }
}
