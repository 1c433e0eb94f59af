//! Groups of rules: definitions one after the other, `else`, defaults, partial documents.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::opa_index::{About, Indexed, agree, index, value_of};
use super::planner::{Label, Place, PlanError, Planner};
use super::{Arg, Definition, DocumentChild, Group, GroupId, GroupKind, Op, Pc, PlannedUnit, Selection, Subject};
use crate::eval::compile::tree::{RuleId, RuleKind, is_ground, kind as rule_kind};
use crate::eval::compile::walk::chain;
use crate::eval::syntax::ast::{Location, Rule, Term};
use crate::eval::value::Value;

/// How a group's definitions are planned.
#[derive(Clone, Copy)]
struct Shape {
    kind: GroupKind,
    /// The length of the group's path.
    depth: usize,
    parameters: u32,
    /// Whether the only parameter is the key that is looked for.
    keyed: bool,
}

/// Where a definition that holds goes.
struct Leaving<'v> {
    /// To the group's end, if all definitions have one value.
    only: Label,
    end: Label,
    /// To the group's end, if none of those with other values has to be evaluated.
    values: &'v Values,
    /// The selection that the definition is in, and where its end is.
    selected: Option<(u32, Label)>,
    /// The definition's number.
    chain: u32,
}

/// The constants that a document's definitions give, for which it matters whether others have to be evaluated.
#[derive(Default)]
struct Values {
    /// The definitions, in [`Plan::definitions`](super::Plan::definitions).
    among: u32,
    numbers: HashMap<Value, u32>,
}

impl Planner<'_> {
    /// A group for the rules at a node of the rule tree.
    pub(super) fn new_group(&mut self, at: usize, path: Vec<Value>) -> Place {
        let rules = self.rules_at(at);
        let first = rules.first().and_then(|id| self.rule(*id));
        let parameters = first.map_or(0, |rule| rule.head.args.len());
        let is_partial = rules.iter().filter_map(|id| self.rule(*id)).any(|rule| !is_ground(&rule.head.reference));
        let group_kind = match first.map(rule_kind) {
            _ if is_partial => GroupKind::Object,
            Some(RuleKind::Multi) => GroupKind::Set,
            _ if parameters > 0 => GroupKind::Function,
            _ => GroupKind::Complete,
        };
        let group = self.push_group(group_kind, parameters, path);
        if group_kind == GroupKind::Function { Place::Function(group) } else { Place::Rules(group) }
    }

    fn push_group(&mut self, kind: GroupKind, parameters: usize, path: Vec<Value>) -> GroupId {
        let id = GroupId::try_from(self.plan.groups.len()).unwrap_or(GroupId::MAX);
        self.plan.groups.push(Group {
            kind,
            entry: Pc::MAX,
            slots: 0,
            parameters: u32::try_from(parameters).unwrap_or(u32::MAX),
            path: path.into(),
            keyed: None,
        });
        id
    }

    /// The rules that make one document with those at `at`: all below too, if some path has a variable there.
    fn rules_at(&self, at: usize) -> Vec<RuleId> {
        let own = self.tree.node(at).map_or(vec![], |node| node.rules.clone());
        if own.iter().filter_map(|id| self.rule(*id)).all(|rule| is_ground(&rule.head.reference)) {
            return own;
        }
        // OPA comes to what lies deeper after what stands here: of equal values the first stays.
        let mut deeper = vec![];
        self.tree.below(at, true, &mut |id| deeper.push(id));
        let here: BTreeSet<RuleId> = own.iter().copied().collect();
        deeper.retain(|id| !here.contains(id));
        deeper.sort_unstable();
        own.into_iter().chain(deeper).collect()
    }

    pub(super) fn plan_groups(&mut self) -> Result<(), PlanError> {
        for node in 0..self.plan.nodes.len() {
            let path = self.plan.nodes.get(node).map(|node| node.path.to_vec()).unwrap_or_default();
            let group = self.push_group(GroupKind::Document, 0, path);
            if let Some(node) = self.plan.nodes.get_mut(node) {
                node.whole = Some(group);
            }
        }
        for at in 0..self.tree.len() {
            if let Some(Place::Rules(group) | Place::Function(group)) = self.places.get(at).copied() {
                self.plan_group(group, at)?;
            }
        }
        for node in 0..self.plan.nodes.len() {
            self.plan_document(node)?;
        }
        // Those that are looked into by key; planning one may come upon others.
        while let Some((group, at)) = self.looked_up.pop_first() {
            if self.plan.groups.get(group as usize).is_some_and(|group| group.keyed.is_none()) {
                self.plan_keyed(group, at)?;
            }
        }
        Ok(())
    }

    fn plan_group(&mut self, id: GroupId, at: usize) -> Result<(), PlanError> {
        let rules = self.rules_at(at);
        let Some(group) = self.plan.groups.get(id as usize) else { return Ok(()) };
        let (group_kind, depth, parameters) = (group.kind, group.path.len(), group.parameters);
        let entry = self.pc();
        self.max_slot = parameters;
        if group_kind == GroupKind::Object
            && let Some(default) = rules.iter().filter_map(|id| self.rule(*id)).find(|rule| rule.default)
        {
            let message = "a default within a partial document isn't supported; give the document's user a default";
            return Err(PlanError::unsupported(default.location, message));
        }
        let end = self.label();
        let definitions = || rules.iter().filter_map(|id| self.rule(*id)).filter(|rule| !rule.default);
        let definitions: Vec<&Rule> = definitions().collect();
        let only = if agree(definitions.iter().flat_map(|rule| chain(rule))) { end } else { Label::MAX };
        let indexed = index(&definitions, self.tree, &mut self.ways_room)?;
        let values = self.values(&definitions, &indexed);
        let done = self.label();
        let branches: usize = indexed.iter().map(Vec::len).sum();
        let selection = (branches > 0).then(|| u32::try_from(self.plan.selections.len()).unwrap_or(u32::MAX));
        if let Some(selection) = selection {
            let units = Vec::with_capacity(branches);
            self.plan.selections.push(Selection {
                group: id,
                parameters,
                units,
                end: Pc::MAX,
                agrees: only != Label::MAX,
            });
            self.location = Location::default();
            self.emit(Op::Select { selection, end: done })?;
        }
        let selected = selection.map(|selection| (selection, done));
        for (chain, (rule, indexed)) in (0..).zip(definitions.iter().zip(&indexed)) {
            let shape = Shape { kind: group_kind, depth, parameters, keyed: false };
            let leaving = Leaving { only, end, values: &values, selected, chain };
            self.plan_chain(rule, indexed, shape, &leaving)?;
        }
        self.place(done);
        let last = self.pc();
        if let Some(selection) = selection.and_then(|selection| self.plan.selections.get_mut(selection as usize)) {
            selection.end = last;
        }
        let default = rules.iter().filter_map(|id| self.rule(*id)).find(|rule| rule.default);
        if let Some(default) = default.filter(|_| matches!(group_kind, GroupKind::Complete | GroupKind::Function)) {
            self.location = default.location;
            self.emit(Op::Default { to: end })?;
            self.begin_definition(parameters, end);
            // What needs evaluating in its value was moved to its body.
            self.body(&default.body)?;
            if let Some(value) = &default.head.value {
                let value = self.term(value)?;
                self.emit(Op::YieldDefault { value })?;
            }
        }
        self.place(end);
        self.emit(Op::Return)?;
        if let Some(group) = self.plan.groups.get_mut(id as usize) {
            group.entry = entry;
            group.slots = self.max_slot;
        }
        Ok(())
    }

    /// The same definitions once more, for one key that is known before: what it stands for needn't be gone through, and
    /// what disagrees about other keys doesn't matter, as in OPA.
    fn plan_keyed(&mut self, id: GroupId, at: usize) -> Result<(), PlanError> {
        let rules = self.rules_at(at);
        let Some(group) = self.plan.groups.get(id as usize) else { return Ok(()) };
        let shape = Shape { kind: group.kind, depth: group.path.len(), parameters: 1, keyed: true };
        let entry = self.pc();
        // The key needs a slot even where nothing else does.
        self.max_slot = group.slots.max(1);
        let never = Leaving { only: Label::MAX, end: Label::MAX, values: &Values::default(), selected: None, chain: 0 };
        let definitions: Vec<&Rule> = rules.iter().filter_map(|id| self.rule(*id)).collect();
        let indexed = index(&definitions, self.tree, &mut self.ways_room)?;
        for (rule, indexed) in definitions.iter().zip(&indexed) {
            self.plan_chain(rule, indexed, shape, &never)?;
        }
        self.emit(Op::Return)?;
        if let Some(group) = self.plan.groups.get_mut(id as usize) {
            group.keyed = Some(entry);
            group.slots = self.max_slot;
        }
        Ok(())
    }

    /// A rule and its `else` rules: the first that holds counts.
    fn plan_chain(
        &mut self,
        rule: &Rule,
        indexed: &[Indexed],
        shape: Shape,
        leaving: &Leaving<'_>,
    ) -> Result<(), PlanError> {
        let Shape { kind, depth, parameters, keyed } = shape;
        let end = self.label();
        for (i, (rule, indexed)) in chain(rule).zip(indexed).enumerate() {
            self.location = rule.location;
            if let Some((_, end)) = leaving.selected.filter(|_| leaving.chain > 0 || i > 0) {
                self.emit(Op::Advance { end })?;
            }
            self.emit(if i == 0 { Op::Definition } else { Op::Else { to: end } })?;
            self.add_unit(leaving);
            let next = self.label();
            self.begin_definition(parameters, next);
            if indexed.asks_ahead {
                let guard = self.guard(indexed);
                self.emit(Op::Guard { guard, fail: next })?;
            }
            let key = if kind == GroupKind::Set { rule.head.key.as_ref() } else { rule.head.reference.get(1 + depth) };
            let given = if keyed { key.map_or(&[][..], std::slice::from_ref) } else { rule.head.args.as_slice() };
            for (slot, pattern) in (0..parameters).zip(given) {
                self.matches(pattern, Arg::slot(slot))?;
            }
            self.body(&rule.body)?;
            self.location = rule.head.location;
            match kind {
                GroupKind::Complete | GroupKind::Function => {
                    let value = self.head_value(rule)?;
                    self.emit(Op::Yield { value, only: leaving.only })?;
                    let Values { among, numbers } = leaving.values;
                    if let Some(value) = value_of(rule).and_then(|value| numbers.get(&value)) {
                        self.emit(Op::Alone { among: *among, value: *value, to: leaving.end })?;
                    }
                }
                _ => self.yield_at(rule, depth)?,
            }
            self.again(next)?;
            self.place(next);
        }
        self.place(end);
        Ok(())
    }

    fn add_unit(&mut self, leaving: &Leaving<'_>) {
        let start = self.pc();
        let selection = leaving.selected.and_then(|(selection, _)| self.plan.selections.get_mut(selection as usize));
        if let Some(selection) = selection {
            selection.units.push(PlannedUnit { start, chain: leaving.chain });
        }
    }

    // === What OPA's index leaves out ===

    fn guard(&mut self, indexed: &Indexed) -> u32 {
        let id = u32::try_from(self.plan.guards.len()).unwrap_or(u32::MAX);
        let guard = indexed.guard.map(|about| self.subject(about));
        self.plan.guards.push(guard);
        id
    }

    fn subject(&mut self, about: &About) -> Subject {
        match about {
            About::Input(path) => {
                let name = |key: &Value| if let Value::String(name) = key { Some(Arc::clone(name)) } else { None };
                let names: Vec<Arc<str>> = path.iter().map_while(name).collect();
                let rest = path.get(names.len()..).unwrap_or_default().into();
                Subject::Input { path: self.input_path(&names), rest }
            }
            About::Data(path) => Subject::Data(path.clone()),
            About::Argument(slot) => Subject::Argument(*slot),
        }
    }

    /// The constants that definitions give, where all definitions that may give another have guards. Only those for which
    /// these matter: a later definition with the same value may raise an error.
    fn values(&mut self, definitions: &[&Rule], indexed: &[Vec<Indexed>]) -> Values {
        let branches: Vec<(Option<Value>, &Indexed)> = definitions
            .iter()
            .zip(indexed)
            .flat_map(|(rule, indexed)| chain(rule).map(value_of).zip(indexed))
            .collect();
        let mut numbers: HashMap<Value, u32> = HashMap::new();
        for (number, (value, _)) in (0..).zip(branches.iter().filter(|(_, indexed)| indexed.may_raise)) {
            if let Some(value) = value {
                numbers.entry(value.clone()).or_insert(number);
            }
        }
        // Of what gives one value only, and of what may give any, what is always evaluated.
        let mut open: HashMap<Option<&Value>, usize> = HashMap::new();
        for (value, _) in branches.iter().filter(|(_, indexed)| indexed.guard.is_open()) {
            *open.entry(value.as_ref()).or_default() += 1;
        }
        let all_open: usize = open.values().sum();
        let is_alone = |value: &Value| branches.iter().all(|(other, _)| other.as_ref() == Some(value));
        numbers.retain(|value, _| all_open == open.get(&Some(value)).copied().unwrap_or(0) && !is_alone(value));
        if numbers.is_empty() {
            return Values::default();
        }
        let among = u32::try_from(self.plan.definitions.len()).unwrap_or(u32::MAX);
        let number = |value: &Option<Value>| value.as_ref().and_then(|value| numbers.get(value)).copied();
        let definition =
            |(value, indexed): &(_, &Indexed)| Definition { value: number(value), guard: self.guard(indexed) };
        let definitions = branches.iter().map(definition).collect();
        self.plan.definitions.push(definitions);
        Values { among, numbers }
    }

    pub(super) fn begin_definition(&mut self, parameters: u32, fail: Label) {
        self.unbind_to(0);
        self.next_slot = parameters;
        self.fail = fail;
    }

    /// Looks for the next solution, if there are loops to go through.
    pub(super) fn again(&mut self, end: Label) -> Result<(), PlanError> {
        if self.fail != end {
            self.emit(Op::Jump { to: self.fail })?;
        }
        Ok(())
    }

    fn head_value(&mut self, rule: &Rule) -> Result<Arg, PlanError> {
        match &rule.head.value {
            Some(value) => self.term(value),
            None => Ok(self.constant(Value::Bool(true))),
        }
    }

    /// A partial document's entry: what of the rule's path lies below the group, and the value there.
    fn yield_at(&mut self, rule: &Rule, depth: usize) -> Result<(), PlanError> {
        let path: Vec<&Term> = rule.head.reference.iter().skip(1 + depth).collect();
        let path = path.into_iter().map(|term| self.term(term)).collect::<Result<Vec<_>, _>>()?;
        let path = self.args(&path);
        let multi = rule_kind(rule) == RuleKind::Multi;
        let value = match (&rule.head.key, multi) {
            (Some(member), true) => self.term(member)?,
            _ => self.head_value(rule)?,
        };
        self.emit(Op::YieldAt { path, value, multi })
    }

    // === Whole documents ===

    /// An object of all that stands below a node. The machine adds what data lies there.
    fn plan_document(&mut self, node: usize) -> Result<(), PlanError> {
        let Some(described) = self.plan.nodes.get(node) else { return Ok(()) };
        let Some(id) = described.whole else { return Ok(()) };
        let children = described.children.clone();
        let entry = self.pc();
        self.max_slot = 0;
        self.location = Location::default();
        for (key, child) in children {
            let group = match child {
                DocumentChild::Rules(group) => group,
                DocumentChild::Node(node) => match self.plan.nodes.get(node as usize) {
                    Some(node) if !node.hidden => node.whole.unwrap_or(GroupId::MAX),
                    _ => continue,
                },
                DocumentChild::Function => continue,
            };
            self.emit(Op::Definition)?;
            let next = self.label();
            self.begin_definition(0, next);
            let dst = self.slot()?;
            let path = self.plan.groups.get(group as usize).map(|group| group.path.to_vec()).unwrap_or_default();
            let replaceable = self.is_replaceable(&path);
            self.emit(Op::Rule { group, dst, replaceable, fail: next })?;
            let key = self.constant(key);
            let path = self.args(&[key]);
            self.emit(Op::YieldAt { path, value: Arg::slot(dst), multi: false })?;
            self.place(next);
        }
        self.emit(Op::Return)?;
        if let Some(group) = self.plan.groups.get_mut(id as usize) {
            group.entry = entry;
            group.slots = self.max_slot;
        }
        Ok(())
    }
}
