//! What a document may depend on.

use std::collections::BTreeSet;

use super::{Callee, DocumentChild, GroupId, Op, Plan, With};
use crate::eval::machine::Entry;

/// What may be reached from an entrypoint.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    /// Builtins, by name.
    pub(crate) builtins: BTreeSet<&'static str>,
    pub(crate) groups: BTreeSet<GroupId>,
}

/// Everything that evaluating `entry` may come to.
pub(crate) fn reachable(plan: &Plan, entry: &Entry) -> Reachable {
    let mut reachable = Reachable::default();
    let mut open: Vec<GroupId> = entry.group().into_iter().collect();
    let ends = ends(plan);
    while let Some(id) = open.pop() {
        if !reachable.groups.insert(id) {
            continue;
        }
        let Some(group) = plan.groups.get(id as usize) else { continue };
        let end = ends.partition_point(|end| *end < group.entry);
        let end = ends.get(end).copied().unwrap_or(group.entry);
        for op in plan.ops.get(group.entry as usize..end as usize).unwrap_or_default() {
            reachable.step(plan, op, &mut open);
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
            Op::With { replacement, .. } => {
                let functions = plan.replacements.get(*replacement as usize).map(|replacement| &replacement.functions);
                for (_, stands) in functions.into_iter().flatten() {
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
