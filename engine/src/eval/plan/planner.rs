//! From rewritten rules to a plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::opa_index::MAX_CONDITIONS;
use super::{Arg, Args, Callee, DocumentChild, DocumentNode, GroupId, Op, Pc, Plan, PlannedBuiltin, SlotId};
use crate::eval::builtins::function;
use crate::eval::builtins::table::{Status, builtin};
use crate::eval::compile::tree::{RuleId, RuleTree, scalar};
use crate::eval::compile::walk::{bodies_of_rule, chain};
use crate::eval::syntax::ast::{Location, Module, Rule, Term, Var, dotted};
use crate::eval::value::Value;

/// Operations, slots of a frame and constants that a plan may have.
const MAX_OPS: usize = 16_000_000;
const MAX_SLOTS: SlotId = 1_000_000;

/// Why a policy can't be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanError {
    pub(crate) location: Location,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl PlanError {
    pub(super) fn unsupported(location: Location, message: impl Into<String>) -> Self {
        Self { location, code: "unsupported", message: message.into() }
    }

    /// What the checks before should have refused.
    pub(super) fn internal(location: Location, message: impl Into<String>) -> Self {
        Self { location, code: "internal", message: message.into() }
    }
}

/// Makes the plan of checked and rewritten modules. `remote` are paths under `data` whose documents may not be held.
///
/// # Errors
/// The policy uses what a plan doesn't have, or is too large.
pub(crate) fn plan(modules: &[Module], tree: &RuleTree, remote: &[Vec<Value>]) -> Result<Plan, PlanError> {
    let mut planner = Planner::new(modules, tree, remote);
    planner.collect_replaced();
    planner.assign_groups();
    planner.plan_groups()?;
    planner.resolve_labels();
    Ok(planner.plan)
}

/// A place that isn't known yet, while operations are made; what stands in their [`Pc`] fields.
pub(super) type Label = Pc;

pub(super) struct Planner<'a> {
    pub(super) modules: &'a [Module],
    pub(super) tree: &'a RuleTree,
    pub(super) plan: Plan,
    /// What each node of the rule tree became.
    pub(super) places: Vec<Place>,
    labels: Vec<Pc>,
    constants: HashMap<String, Arg>,
    builtins: BTreeMap<&'static str, u32>,
    paths: HashMap<Vec<Arc<str>>, u32>,
    inputs: HashMap<Vec<Arc<str>>, u32>,
    /// What some `with` replaces.
    pub(super) replaced: Replaced,
    /// How many of the conditions that definitions may have in several ways are left.
    pub(super) ways_room: usize,
    /// Partial documents that are looked into by key, and the nodes that they stand at.
    pub(super) looked_up: BTreeSet<(GroupId, usize)>,

    // Of the group that is being planned:
    pub(super) next_slot: SlotId,
    pub(super) max_slot: SlotId,
    pub(super) variables: HashMap<Var, Arg>,
    /// The variables in the order in which they got their place.
    pub(super) bound: Vec<Var>,
    /// Where a statement that doesn't hold goes.
    pub(super) fail: Label,
    pub(super) location: Location,
}

/// What a node of the rule tree became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Below rules that make one document of all that is there.
    Inside,
    Node(u32),
    Rules(GroupId),
    Function(GroupId),
}

/// What some `with` replaces.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub(super) builtins: BTreeSet<String>,
    /// Paths below `data`, functions among them.
    pub(super) data: BTreeSet<Vec<Value>>,
}

impl<'a> Planner<'a> {
    fn new(modules: &'a [Module], tree: &'a RuleTree, remote: &[Vec<Value>]) -> Self {
        Self {
            modules,
            tree,
            plan: Plan { remote: remote.to_vec(), ..Plan::default() },
            places: vec![Place::Inside; tree.len()],
            labels: vec![],
            constants: HashMap::new(),
            builtins: BTreeMap::new(),
            paths: HashMap::new(),
            inputs: HashMap::new(),
            replaced: Replaced::default(),
            ways_room: MAX_CONDITIONS,
            looked_up: BTreeSet::new(),
            next_slot: 0,
            max_slot: 0,
            variables: HashMap::new(),
            bound: vec![],
            fail: 0,
            location: Location::default(),
        }
    }

    fn collect_replaced(&mut self) {
        for rule in self.modules.iter().flat_map(|module| &module.rules).flat_map(chain) {
            bodies_of_rule(rule, &mut |body| {
                for with in body.iter().flat_map(|expr| &expr.with) {
                    let Some(target) = with.target.as_ref() else { continue };
                    match target.first().and_then(|head| head.as_var()).map(Var::as_str) {
                        Some("data") => {
                            self.replaced.data.insert(target.iter().skip(1).map_while(scalar).collect());
                        }
                        Some("input") => {}
                        _ => self.replaced.builtins.extend(dotted(target)),
                    }
                }
            });
        }
    }

    fn resolve_labels(&mut self) {
        for op in &mut self.plan.ops {
            if let Some(target) = target_mut(op)
                && *target != Pc::MAX
            {
                *target = self.labels.get(*target as usize).copied().unwrap_or(Pc::MAX);
            }
        }
    }

    // === Groups ===

    fn assign_groups(&mut self) {
        let mut open = vec![(RuleTree::ROOT, vec![])];
        while let Some((at, path)) = open.pop() {
            let Some(node) = self.tree.node(at) else { continue };
            if node.rules.is_empty() {
                let id = u32::try_from(self.plan.nodes.len()).unwrap_or(u32::MAX);
                let path: Vec<Value> = path;
                self.plan.nodes.push(DocumentNode {
                    hidden: node.hidden,
                    path: path.clone().into(),
                    ..Default::default()
                });
                self.set_place(at, Place::Node(id));
                for (key, child) in &node.children {
                    let mut path = path.clone();
                    path.push(key.clone());
                    open.push((*child, path));
                }
            } else {
                let place = self.new_group(at, path);
                self.set_place(at, place);
            }
        }
        // Children, now that all have a place.
        for at in 0..self.tree.len() {
            let (Some(Place::Node(id)), Some(node)) = (self.places.get(at).copied(), self.tree.node(at)) else {
                continue;
            };
            let child = |(key, child): (&Value, &usize)| {
                let child = match self.places.get(*child)? {
                    Place::Node(id) => DocumentChild::Node(*id),
                    Place::Rules(group) => DocumentChild::Rules(*group),
                    Place::Function(_) => DocumentChild::Function,
                    Place::Inside => return None,
                };
                Some((key.clone(), child))
            };
            let children: Vec<_> = node.children.iter().filter_map(child).collect();
            if let Some(node) = self.plan.nodes.get_mut(id as usize) {
                node.children = children;
            }
        }
    }

    fn set_place(&mut self, at: usize, place: Place) {
        if let Some(slot) = self.places.get_mut(at) {
            *slot = place;
        }
    }

    pub(super) fn rule(&self, (module, rule): RuleId) -> Option<&'a Rule> {
        self.modules.get(module)?.rules.get(rule)
    }

    // === Operations ===

    pub(super) fn emit(&mut self, op: Op) -> Result<(), PlanError> {
        if self.plan.ops.len() >= MAX_OPS {
            let message = "the policy is too large for one bundle; split it into several";
            return Err(PlanError { location: self.location, code: "size", message: message.to_owned() });
        }
        self.plan.ops.push(op);
        self.plan.locations.push(self.location);
        Ok(())
    }

    pub(super) fn pc(&self) -> Pc {
        Pc::try_from(self.plan.ops.len()).unwrap_or(Pc::MAX)
    }

    pub(super) fn label(&mut self) -> Label {
        let label = Label::try_from(self.labels.len()).unwrap_or(Label::MAX);
        self.labels.push(Pc::MAX);
        label
    }

    pub(super) fn place(&mut self, label: Label) {
        let pc = self.pc();
        if let Some(slot) = self.labels.get_mut(label as usize) {
            *slot = pc;
        }
    }

    pub(super) fn slot(&mut self) -> Result<SlotId, PlanError> {
        let slot = self.next_slot;
        if slot >= MAX_SLOTS {
            let message = "a rule with so many variables can't be evaluated; split it into smaller ones";
            return Err(PlanError { location: self.location, code: "size", message: message.to_owned() });
        }
        self.next_slot += 1;
        self.max_slot = self.max_slot.max(self.next_slot);
        Ok(slot)
    }

    // === Variables ===

    pub(super) fn bind(&mut self, var: &Var, arg: Arg) {
        self.variables.insert(var.clone(), arg);
        self.bound.push(var.clone());
    }

    pub(super) fn is_bound(&self, var: &Var) -> bool {
        self.variables.contains_key(var)
    }

    /// Forgets the variables bound since there were `count` of them.
    pub(super) fn unbind_to(&mut self, count: usize) {
        for var in self.bound.drain(count..) {
            self.variables.remove(&var);
        }
    }

    // === Constants, lists, names ===

    pub(super) fn constant(&mut self, value: Value) -> Arg {
        // By text, because equal numbers may be written in different ways.
        let text = value.to_string();
        if let Some(arg) = self.constants.get(&text) {
            return *arg;
        }
        let arg = Arg::constant(self.plan.constants.len());
        self.plan.constants.push(value);
        self.constants.insert(text, arg);
        arg
    }

    pub(super) fn args(&mut self, args: &[Arg]) -> Args {
        let start = u32::try_from(self.plan.args.len()).unwrap_or(u32::MAX);
        self.plan.args.extend_from_slice(args);
        Args { start, len: u32::try_from(args.len()).unwrap_or(u32::MAX) }
    }

    /// A path below `data`.
    pub(super) fn path(&mut self, path: &[Arc<str>]) -> u32 {
        numbered(&mut self.paths, &mut self.plan.paths, path)
    }

    /// A path below `input`.
    pub(super) fn input_path(&mut self, path: &[Arc<str>]) -> u32 {
        numbered(&mut self.inputs, &mut self.plan.inputs, path)
    }

    pub(super) fn builtin(&mut self, name: &str) -> Result<u32, PlanError> {
        let refuse = |why: &str| PlanError {
            location: self.location,
            code: "builtin",
            message: format!("`{name}` isn't available: {why}"),
        };
        let described = builtin(name).ok_or_else(|| refuse("there is no such function"))?;
        if let Some(id) = self.builtins.get(described.name) {
            return Ok(*id);
        }
        if let Status::Refused(why) = described.status {
            return Err(refuse(why));
        }
        let function = function(name).ok_or_else(|| refuse("it can't be called here"))?;
        let id = u32::try_from(self.plan.builtins.len()).unwrap_or(u32::MAX);
        self.plan.builtins.push(PlannedBuiltin { name: described.name, function });
        self.builtins.insert(described.name, id);
        Ok(id)
    }

    /// Whether some `with` may replace the document at `path`.
    pub(super) fn is_replaceable(&self, path: &[Value]) -> bool {
        self.replaced.data.iter().any(|target| path.starts_with(target))
    }

    /// What a reference names, if it can be called.
    pub(super) fn callee(&mut self, name: &str, reference: &[Term]) -> Result<Option<Callee>, PlanError> {
        if builtin(name).is_some() {
            return self.builtin(name).map(|builtin| Some(Callee::Builtin(builtin)));
        }
        Ok(match self.tree.find(reference).and_then(|at| self.places.get(at)) {
            Some(Place::Rules(group) | Place::Function(group)) => Some(Callee::Group(*group)),
            Some(Place::Node(id)) => self.plan.nodes.get(*id as usize).and_then(|node| node.whole).map(Callee::Group),
            Some(Place::Inside) | None => None,
        })
    }
}

/// The number of a path in a list of such, to which it is added if need be.
fn numbered(numbers: &mut HashMap<Vec<Arc<str>>, u32>, paths: &mut Vec<Box<[Arc<str>]>>, path: &[Arc<str>]) -> u32 {
    if let Some(id) = numbers.get(path) {
        return *id;
    }
    let id = u32::try_from(paths.len()).unwrap_or(u32::MAX);
    paths.push(path.into());
    numbers.insert(path.to_vec(), id);
    id
}

/// The only place that an operation may go to, other than the next.
fn target_mut(op: &mut Op) -> Option<&mut Pc> {
    match op {
        Op::Input { fail, .. }
        | Op::Data { fail, .. }
        | Op::Dot { fail, .. }
        | Op::DataDot { fail, .. }
        | Op::DocumentDot { fail, .. }
        | Op::DocumentValue { fail, .. }
        | Op::Scan { fail, .. }
        | Op::DocumentScan { fail, .. }
        | Op::Compare { fail, .. }
        | Op::Holds { fail, .. }
        | Op::Member { fail, .. }
        | Op::IsLike { fail, .. }
        | Op::IsArray { fail, .. }
        | Op::IsObject { fail, .. }
        | Op::Builtin { fail, .. }
        | Op::Walk { fail, .. }
        | Op::Rule { fail, .. }
        | Op::RuleAt { fail, .. }
        | Op::Function { fail, .. }
        | Op::Found { fail, .. }
        | Op::NotFound { fail, .. }
        | Op::EitherFound { fail, .. }
        | Op::With { fail, .. }
        | Op::Guard { fail, .. } => Some(fail),
        Op::Select { end, .. } | Op::Advance { end } => Some(end),
        Op::Next { end, .. } | Op::DocumentNext { end, .. } => Some(end),
        Op::Hit { done, .. } => Some(done),
        Op::Jump { to } | Op::FoundElse { to, .. } | Op::Else { to } | Op::Default { to } | Op::Alone { to, .. } => {
            Some(to)
        }
        Op::Yield { only, .. } => Some(only),
        Op::Document { .. }
        | Op::Array { .. }
        | Op::Set { .. }
        | Op::Object { .. }
        | Op::Begin { .. }
        | Op::End { .. }
        | Op::Gather { .. }
        | Op::Add { .. }
        | Op::Gathered { .. }
        | Op::Without { .. }
        | Op::Definition
        | Op::YieldDefault { .. }
        | Op::YieldAt { .. }
        | Op::Return => None,
    }
}
