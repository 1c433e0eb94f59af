//! Whether the policies of a chain are such as its authorities ask for (RFC 5280, section 6.1, by the graph of RFC 9618
//! and Go's `policiesValid`). All policies are acceptable to who asks, so only their consistency is looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::certificate::Certificate;

type Policy = Vec<u8>;

const ANY: &[u8] = &[0x55, 0x1d, 0x20, 0];

/// Of a chain, its leaf first.
pub(super) fn are_valid(chain: &[&Certificate]) -> bool {
    let Some(length) = chain.len().checked_sub(1).filter(|length| *length > 0) else { return true };
    let unlimited = i64::try_from(length).unwrap_or(i64::MAX - 1) + 1;
    let (mut any_allowed, mut explicit, mut mapping) = (unlimited, unlimited, unlimited);
    let mut graph = Some(Graph::new());
    for (index, certificate) in chain.iter().enumerate().take(length).rev() {
        let known = &certificate.known;
        let is_leaf = index == 0;
        let self_issued = certificate.raw_issuer == certificate.raw_subject;
        let policies = known.policies.as_deref().unwrap_or_default();
        if policies.is_empty() {
            graph = None;
        }
        match &mut graph {
            None if explicit == 0 => return false,
            None => {}
            Some(graph) => {
                graph.descend(policies, any_allowed > 0 || (!is_leaf && self_issued));
                if !is_leaf && !graph.map(&known.policy_mappings, mapping > 0) {
                    return false;
                }
            }
        }
        if !is_leaf {
            if !self_issued {
                for limit in [&mut explicit, &mut mapping, &mut any_allowed] {
                    *limit = (*limit - 1).max(0);
                }
            }
            let lower = |limit: &mut i64, to: Option<i64>| {
                if let Some(to) = to.filter(|to| (0..*limit).contains(to)) {
                    *limit = to;
                }
            };
            lower(&mut explicit, known.require_explicit_policy);
            lower(&mut mapping, known.inhibit_policy_mapping);
            lower(&mut any_allowed, known.inhibit_any_policy);
        }
    }
    let leaf_asks = chain.first().is_some_and(|leaf| leaf.known.require_explicit_policy == Some(0));
    let explicit = if leaf_asks { 0 } else { (explicit - 1).max(0) };
    explicit > 0 || graph.is_some_and(|graph| graph.has_valid_policy())
}

/// The policies of each level, from the root's on down, and which follow from which.
struct Graph {
    nodes: Vec<Node>,
    levels: Vec<BTreeMap<Policy, usize>>,
}

struct Node {
    policy: Policy,
    expected: Vec<Policy>,
    parents: BTreeSet<usize>,
    children: BTreeSet<usize>,
}

impl Graph {
    fn new() -> Self {
        let mut graph = Self { nodes: vec![], levels: vec![BTreeMap::new()] };
        graph.insert(ANY.to_vec(), BTreeSet::new());
        graph
    }

    fn insert(&mut self, policy: Policy, parents: BTreeSet<usize>) -> usize {
        let index = self.nodes.len();
        for parent in &parents {
            if let Some(parent) = self.nodes.get_mut(*parent) {
                parent.children.insert(index);
            }
        }
        self.nodes.push(Node {
            policy: policy.clone(),
            expected: vec![policy.clone()],
            parents,
            children: BTreeSet::new(),
        });
        if let Some(leaves) = self.levels.last_mut() {
            leaves.insert(policy, index);
        }
        index
    }

    /// One level down, to a certificate with these policies.
    fn descend(&mut self, policies: &[Policy], any_allowed: bool) {
        let above = self.levels.last().cloned().unwrap_or_default();
        let mut expecting = BTreeMap::<Policy, BTreeSet<usize>>::new();
        for index in above.values() {
            for policy in self.nodes.get(*index).map(|node| node.expected.clone()).unwrap_or_default() {
                expecting.entry(policy).or_default().insert(*index);
            }
        }
        self.levels.push(BTreeMap::new());
        let any_above = above.get(ANY).copied();
        for policy in policies.iter().filter(|policy| *policy != ANY) {
            let parents = expecting.get(policy).cloned().or_else(|| any_above.map(|any| BTreeSet::from([any])));
            if let Some(parents) = parents {
                self.insert(policy.clone(), parents);
            }
        }
        if any_allowed && policies.iter().any(|policy| policy == ANY) {
            for (policy, parents) in expecting {
                if !self.levels.last().is_some_and(|leaves| leaves.contains_key(&policy)) {
                    self.insert(policy, parents);
                }
            }
        }
        self.prune();
    }

    /// What an authority takes for what. Whether that is allowed.
    fn map(&mut self, mappings: &[(Policy, Policy)], allowed: bool) -> bool {
        if mappings.is_empty() {
            return true;
        }
        let mut subjects = BTreeMap::<Policy, Vec<Policy>>::new();
        for (issuer, subject) in mappings {
            if !allowed {
                self.delete_leaf(issuer);
            } else if issuer == ANY || subject == ANY {
                return false;
            } else {
                subjects.entry(issuer.clone()).or_default().push(subject.clone());
            }
        }
        self.prune();
        for (issuer, subjects) in subjects {
            let leaf = |policy: &[u8]| self.levels.last().and_then(|leaves| leaves.get(policy).copied());
            let node = match (leaf(&issuer), leaf(ANY)) {
                (Some(node), _) => node,
                (None, Some(any)) => self.insert(issuer, BTreeSet::from([any])),
                (None, None) => continue,
            };
            if let Some(node) = self.nodes.get_mut(node) {
                node.expected = subjects;
            }
        }
        true
    }

    fn delete_leaf(&mut self, policy: &[u8]) {
        if let Some(index) = self.levels.last_mut().and_then(|leaves| leaves.remove(policy)) {
            self.unlink(index);
        }
    }

    fn unlink(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (parents, children) = (std::mem::take(&mut node.parents), std::mem::take(&mut node.children));
        for parent in parents {
            if let Some(parent) = self.nodes.get_mut(parent) {
                parent.children.remove(&index);
            }
        }
        for child in children {
            if let Some(child) = self.nodes.get_mut(child) {
                child.parents.remove(&index);
            }
        }
    }

    /// Without what nothing follows from, between the root and the leaves.
    fn prune(&mut self) {
        let between = 1..self.levels.len().saturating_sub(1);
        for level in between.rev() {
            let childless = |index: &usize| self.nodes.get(*index).is_some_and(|node| node.children.is_empty());
            let dead: Vec<(Policy, usize)> = self
                .levels
                .get(level)
                .into_iter()
                .flatten()
                .filter(|(_, index)| childless(index))
                .map(|(policy, index)| (policy.clone(), *index))
                .collect();
            for (policy, index) in dead {
                // Its parents forget it, and are looked at next.
                for parent in self.nodes.get(index).map(|node| node.parents.clone()).unwrap_or_default() {
                    if let Some(parent) = self.nodes.get_mut(parent) {
                        parent.children.remove(&index);
                    }
                }
                if let Some(level) = self.levels.get_mut(level) {
                    level.remove(&policy);
                }
            }
        }
    }

    /// Whether a policy comes from an authority that takes any, or any is good for the leaf.
    fn has_valid_policy(&self) -> bool {
        let is_any = |index: &usize| self.nodes.get(*index).is_some_and(|node| node.policy == ANY);
        let from_any = |node: &Node| node.policy != ANY && node.parents.len() == 1 && node.parents.iter().all(is_any);
        let nodes = self.levels.iter().flat_map(BTreeMap::values).filter_map(|index| self.nodes.get(*index));
        nodes.into_iter().any(from_any) || self.levels.last().is_some_and(|leaves| leaves.contains_key(ANY))
    }
}
