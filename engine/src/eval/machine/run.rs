//! The loop, the stack of called rules, and what happens when one ends or fails.

use std::borrow::Cow;
use std::collections::HashMap;

use super::answer::{Answer, Findings, Halt, HaltKind, Known};
use super::buffers::{Buffers, Lent};
use super::context::{Context, Given, Outcome};
use super::document::{Remote, child, remote};
use super::gather::{Added, Branch, Disagree, Members, One};
use super::select::Selected;
use super::slot::{Found, Slot};
use crate::eval::builtins::{Budget, Limit, budget::Limits};
use crate::eval::compile::tree::is_written;
use crate::eval::index::{Index, Scratch};
use crate::eval::input::reads::Inputs;
use crate::eval::plan::{DocumentChild, GroupId, GroupKind, NOWHERE, Op, Pc, Plan, SlotId};
use crate::eval::value::{MAX_DEPTH, MAX_WEIGHT, Value};

/// Slots that all called rules together may have: about 24 MiB.
const MAX_SLOTS: usize = 1_000_000;

/// A question to a plan.
pub(crate) struct Query<'p> {
    pub(crate) plan: &'p Plan,
    /// By the plan's selections; none where everything is run.
    pub(crate) indexes: &'p [Option<Index>],
    /// The document under `data` that is held: an object.
    pub(crate) data: &'p Value,
    pub(crate) input: Inputs<'p>,
    pub(crate) limits: Limits,
    /// The wall clock, in nanoseconds since 1970.
    pub(crate) now_ns: i64,
}

/// Where a path leads, found once for many questions.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    start: Start,
    /// What to follow from there.
    rest: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Group(GroupId),
    Data,
}

impl Entry {
    /// Where `path` leads, below `data`.
    pub(crate) fn new(plan: &Plan, path: &[Value]) -> Self {
        let data = || Self { start: Start::Data, rest: path.to_vec() };
        let mut node = Plan::ROOT;
        for (i, key) in path.iter().enumerate() {
            let children = plan.nodes.get(node as usize).map_or(&[][..], |node| node.children.as_slice());
            match children.iter().find(|(child, _)| child == key && is_written(child, key)).map(|(_, child)| *child) {
                Some(DocumentChild::Node(child)) => node = child,
                Some(DocumentChild::Rules(group)) => {
                    let rest = path.get(i + 1..).unwrap_or_default().to_vec();
                    return Self { start: Start::Group(group), rest };
                }
                Some(DocumentChild::Function) | None => return data(),
            }
        }
        match plan.nodes.get(node as usize).and_then(|node| node.whole) {
            Some(group) => Self { start: Start::Group(group), rest: vec![] },
            None => data(),
        }
    }
}

impl Entry {
    /// Whether a rule, or what rules make, is there.
    pub(crate) fn is_rule(&self) -> bool {
        self.group().is_some()
    }

    /// The group of rules whose document this is, and not a part of it.
    pub(crate) fn whole_group(&self) -> Option<GroupId> {
        self.group().filter(|_| self.rest.is_empty())
    }

    pub(crate) fn group(&self) -> Option<GroupId> {
        match self.start {
            Start::Group(group) => Some(group),
            Start::Data => None,
        }
    }
}

impl<'p> Query<'p> {
    /// The value of the document at `entry`.
    pub(crate) fn run(&self, entry: &Entry, buffers: &mut Buffers) -> Answer<'p> {
        let mut machine = Machine::new(self, buffers.lend());
        let outcome = match entry.start {
            Start::Group(group) => machine.run_group(group),
            Start::Data => machine.data_outcome(&entry.rest),
        };
        let rest = if matches!(entry.start, Start::Group(_)) { entry.rest.as_slice() } else { &[] };
        let value = match outcome {
            Ok(outcome) => known(outcome, rest),
            Err(Stop::Halt(halt)) => Known::Halted(halt),
            Err(Stop::Limit(limit)) => Known::Stopped(limit),
        };
        let Machine { slots, frames, contexts, candidates, scratch, findings, .. } = machine;
        buffers.take_back(Lent { slots, frames, contexts, candidates, scratch });
        Answer { value, findings }
    }
}

/// What is known of an outcome, after following `rest`.
fn known<'p>(outcome: Outcome<'p>, rest: &[Value]) -> Known<'p> {
    let Outcome { value, maybe } = outcome;
    let Some(value) = value else { return Known::Undefined };
    if let Slot::Ref(value) = value
        && !maybe
    {
        let found = rest.iter().try_fold(value, |value, key| value.get(key));
        return found.map_or(Known::Undefined, |value| Known::Value(Cow::Borrowed(value)));
    }
    let follow = |value: &Value| rest.iter().try_fold(value.clone(), |value, key| value.get(key).cloned());
    match value {
        Slot::Unknown(Some(candidates)) => {
            let followed: Vec<Option<Value>> = candidates.iter().map(follow).collect();
            let undefined = maybe || followed.iter().any(Option::is_none);
            Known::Unknown { candidates: Some(followed.into_iter().flatten().collect()), undefined }
        }
        value => match value.as_known().map(follow) {
            Some(None) => Known::Undefined,
            Some(Some(value)) if !maybe => Known::Value(Cow::Owned(value)),
            Some(Some(value)) => Known::Unknown { candidates: Some(vec![value]), undefined: true },
            None => Known::Unknown { candidates: None, undefined: true },
        },
    }
}

/// Why an evaluation ended without an outcome.
#[derive(Debug)]
pub(super) enum Stop {
    Halt(Halt),
    Limit(Limit),
}

impl From<Limit> for Stop {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

/// A called group of rules.
#[derive(Debug)]
pub(super) struct Frame<'p> {
    group: GroupId,
    /// What the caller's state was, and where it goes on.
    caller: Caller,
    /// Whether the call itself is in doubt.
    pub(super) doubted: bool,
    pub(super) results: Results<'p>,
    /// Whether what came before an `else` holds.
    pub(super) before: Found,
    /// Whether the definition goes through a value by `walk`.
    pub(super) walks: bool,
    /// Whether a definition may have held after which no other one is evaluated.
    pub(super) may_end: bool,
    /// The context in which the group runs.
    pub(super) context: u32,
    /// The definitions that an index left.
    pub(super) selected: Option<Selected<'p>>,
    kept: Kept,
}

/// What a group's outcome is remembered as.
#[derive(Debug)]
enum Kept {
    /// Not at all: a function's.
    No,
    Whole,
    /// What the document has under this key.
    At(Value),
}

#[derive(Debug, Clone, Copy)]
struct Caller {
    base: usize,
    pc: Pc,
    dst: SlotId,
    fail: Pc,
    context: u32,
    maybe: bool,
    within: bool,
    many: bool,
}

/// What a group's definitions gave so far.
#[derive(Debug)]
pub(super) enum Results<'p> {
    One(One<'p>),
    Set(Members),
    Object(Branch),
}

/// The state of an evaluation.
pub(super) struct Machine<'p> {
    pub(super) plan: &'p Plan,
    pub(super) indexes: &'p [Option<Index>],
    pub(super) data: &'p Value,
    pub(super) now_ns: i64,
    pub(super) slots: Vec<Slot<'p>>,
    pub(super) frames: Vec<Frame<'p>>,
    /// Where the current frame's slots begin.
    pub(super) base: usize,
    pub(super) pc: Pc,
    pub(super) context: u32,
    pub(super) maybe: bool,
    pub(super) within: bool,
    pub(super) many: bool,
    pub(super) contexts: Vec<Context<'p>>,
    pub(super) budget: Budget,
    pub(super) memo: HashMap<(&'static str, Value), Value>,
    pub(super) findings: Findings,
    /// The units that frames have yet to run.
    pub(super) candidates: Vec<u32>,
    pub(super) scratch: Scratch,
    /// The outcome of the first frame, when it has ended.
    done: Option<Result<Outcome<'p>, Halt>>,
}

impl<'p> Machine<'p> {
    fn new(query: &Query<'p>, lent: Lent<'p>) -> Self {
        let Lent { slots, frames, mut contexts, candidates, scratch } = lent;
        contexts.push(Context { input: Given::Inputs(query.input), ..Context::default() });
        Self {
            plan: query.plan,
            indexes: query.indexes,
            data: query.data,
            now_ns: query.now_ns,
            slots,
            frames,
            base: 0,
            pc: 0,
            context: 0,
            maybe: false,
            within: false,
            many: false,
            contexts,
            budget: Budget::new(query.limits),
            memo: HashMap::new(),
            findings: Findings::default(),
            candidates,
            scratch,
            done: None,
        }
    }

    fn run_group(&mut self, group: GroupId) -> Result<Outcome<'p>, Stop> {
        self.call(group, NOWHERE, Pc::MAX, self.context)?;
        loop {
            if let Some(done) = self.done.take() {
                return done.map_err(Stop::Halt);
            }
            self.budget.step(1)?;
            let Some(op) = self.plan.ops.get(self.pc as usize) else {
                return Err(Stop::Halt(self.halt(HaltKind::Internal, "the plan ended without an end")));
            };
            self.pc += 1;
            #[cfg(test)]
            crate::eval::fault::point();
            self.step(op)?;
        }
    }

    // === Calls ===

    /// Begins a group; its arguments are to be put into the first slots.
    pub(super) fn call(&mut self, group: GroupId, dst: SlotId, fail: Pc, context: u32) -> Result<(), Stop> {
        let described = self.plan.groups.get(group as usize);
        let kept = match described.map(|group| group.kind) {
            Some(GroupKind::Function) => Kept::No,
            _ => Kept::Whole,
        };
        self.enter(group, described.map(|group| group.entry), dst, fail, context, kept)
    }

    /// Begins to look for what a partial document has under a key, which is to be put into the first slot.
    pub(super) fn call_at(&mut self, group: GroupId, key: Value, dst: SlotId, fail: Pc) -> Result<(), Stop> {
        let entry = self.plan.groups.get(group as usize).and_then(|group| group.keyed);
        self.budget.alloc(2 * size_of::<Value>())?;
        self.enter(group, entry, dst, fail, self.context, Kept::At(key))
    }

    fn enter(
        &mut self,
        group: GroupId,
        entry: Option<Pc>,
        dst: SlotId,
        fail: Pc,
        context: u32,
        kept: Kept,
    ) -> Result<(), Stop> {
        let (Some(described), Some(entry)) = (self.plan.groups.get(group as usize), entry) else {
            return Err(Stop::Halt(self.halt(HaltKind::Internal, "no such group")));
        };
        let base = self.slots.len();
        let slots = described.slots.max(described.parameters) as usize;
        if base + slots > MAX_SLOTS {
            return Err(Stop::Limit(Limit::Memory));
        }
        self.slots.resize_with(base + slots, Slot::default);
        let doubted = self.in_doubt();
        self.frames.push(Frame {
            group,
            caller: Caller {
                base: self.base,
                pc: self.pc,
                dst,
                fail,
                context: self.context,
                maybe: self.maybe,
                within: self.within,
                many: self.many,
            },
            doubted,
            results: match described.kind {
                GroupKind::Complete | GroupKind::Function => Results::One(One::default()),
                GroupKind::Set => Results::Set(Members::default()),
                GroupKind::Object | GroupKind::Document => Results::Object(Branch::default()),
            },
            before: Found::No,
            walks: false,
            may_end: false,
            context,
            selected: None,
            kept,
        });
        self.base = base;
        self.pc = entry;
        self.context = context;
        self.maybe = false;
        self.within = false;
        self.many = false;
        Ok(())
    }

    /// Whether anything about the current place depends on what isn't known.
    pub(super) fn in_doubt(&self) -> bool {
        self.maybe || self.within || self.frames.last().is_some_and(|frame| frame.doubted)
    }

    /// Ends the current group with what its definitions gave.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let outcome = match frame.results {
            Results::One(one) => {
                let (outcome, may_halt) = one.finish();
                self.findings.may_halt |= may_halt.0;
                outcome
            }
            Results::Set(members) => Outcome::value(members.finish()),
            Results::Object(branch) => self.finish_object(frame.group, frame.context, branch)?,
        };
        let outcome = match &frame.kept {
            Kept::At(key) => outcome.under(key),
            Kept::No | Kept::Whole => outcome,
        };
        let frame = Frame { results: Results::One(One::default()), ..frame };
        self.leave(frame, Ok(outcome));
        Ok(())
    }

    /// A whole document is made of rules and of the data beside them.
    fn finish_object(&mut self, group: GroupId, context: u32, branch: Branch) -> Result<Outcome<'p>, Stop> {
        let rules = branch.finish();
        let Some(described) = self.plan.groups.get(group as usize) else { return Ok(Outcome::unknown()) };
        if described.kind != GroupKind::Document {
            self.charge(&rules)?;
            return Ok(Outcome::value(rules));
        }
        if let Remote::Above(root) | Remote::Within(root) = remote(self.plan, &described.path) {
            self.findings.remote.get_or_insert(root);
            return Ok(Outcome::value(Slot::unknown()));
        }
        let base = self.data_at(context, &described.path);
        let merged = match (rules.as_known(), base.as_known()) {
            (Some(rules), Some(base)) => merged(base, rules),
            (None, _) => return Ok(Outcome::value(Slot::unknown())),
            (Some(_), None) => return Ok(Outcome::value(rules)),
        };
        let merged = Slot::Own(merged);
        self.charge(&merged)?;
        Ok(Outcome::value(merged))
    }

    /// Pays for a value that was made, and refuses one that is too deep or too large.
    pub(super) fn charge(&mut self, slot: &Slot<'p>) -> Result<(), Stop> {
        if let Slot::Own(value) = slot {
            self.budget.alloc(value.shallow_bytes())?;
            if value.depth() > MAX_DEPTH || value.weight() > MAX_WEIGHT {
                return Err(Stop::Limit(Limit::Size));
            }
        }
        Ok(())
    }

    /// Ends a frame: restores the caller and gives it the outcome.
    fn leave(&mut self, frame: Frame<'p>, outcome: Result<Outcome<'p>, Halt>) {
        let Frame { group, caller, context, kept, selected, .. } = frame;
        self.slots.truncate(self.base);
        if let Some(selected) = selected {
            self.candidates.truncate(selected.from);
        }
        self.base = caller.base;
        self.pc = caller.pc;
        self.context = caller.context;
        self.maybe = caller.maybe;
        self.within = caller.within;
        self.many = caller.many;
        if self.frames.is_empty() {
            self.done = Some(outcome);
            return;
        }
        if let Some(context) = self.contexts.get_mut(context as usize) {
            let copy = || match &outcome {
                Ok(outcome) => Ok(outcome.share()),
                Err(halt) => Err(halt.clone()),
            };
            match kept {
                Kept::No => {}
                Kept::Whole => {
                    context.rules.insert(group, copy());
                }
                Kept::At(key) => {
                    context.rules_at.insert((group, key), copy());
                }
            }
        }
        match outcome {
            Ok(outcome) => self.take(outcome, caller.dst, caller.fail),
            Err(halt) => self.raise(halt),
        }
    }

    /// Goes on with an outcome: into `dst`, or to `fail`.
    pub(super) fn take(&mut self, outcome: Outcome<'p>, dst: SlotId, fail: Pc) {
        match outcome.value {
            Some(value) => {
                self.maybe |= outcome.maybe;
                self.set(dst, value);
            }
            None => self.pc = fail,
        }
    }

    /// An error. Where it depends on what isn't known whether it is reached, only what would have been given is unknown.
    pub(super) fn raise(&mut self, halt: Halt) {
        if self.maybe || self.within {
            self.findings.may_halt = true;
            if let Some(frame) = self.frames.pop() {
                self.leave(frame, Ok(Outcome::unknown()));
            }
            return;
        }
        match self.frames.pop() {
            Some(frame) => self.leave(frame, Err(halt)),
            None => self.done = Some(Err(halt)),
        }
    }

    /// Looks at what adding a result came to.
    pub(super) fn added(&mut self, added: Added, message: &str) {
        match added {
            Ok(may_halt) => self.findings.may_halt |= may_halt.0,
            Err(Disagree) => {
                let halt = self.halt(HaltKind::Conflict, message);
                self.raise(halt);
            }
        }
    }

    pub(super) fn halt(&self, kind: HaltKind, message: &str) -> Halt {
        let at = (self.pc as usize).saturating_sub(1);
        let location = self.plan.locations.get(at).copied().unwrap_or_default();
        Halt { location, kind, message: message.to_owned() }
    }

    // === Slots ===

    pub(super) fn set(&mut self, dst: SlotId, value: Slot<'p>) {
        if dst != NOWHERE
            && let Some(slot) = self.slots.get_mut(self.base + dst as usize)
        {
            *slot = value;
        }
    }

    // === Data ===

    /// The data at a path, in a context. Empty if there is none; not for paths into what isn't held.
    pub(super) fn data_at(&self, context: u32, path: &[Value]) -> Slot<'p> {
        let context = self.contexts.get(context as usize);
        match context.and_then(|context| Some((context, context.data.as_ref()?))) {
            Some((context, root)) => {
                let put = context.replaced_above(path);
                let found = path.iter().enumerate().try_fold(root, |value, (i, key)| match put {
                    Some(above) if i >= above => value.get(key),
                    _ => child(value, key),
                });
                let slot = if put.is_some() { Slot::Put } else { Slot::Own };
                found.map_or(Slot::Empty, |value| slot(value.clone()))
            }
            None => path.iter().try_fold(self.data, |value, key| child(value, key)).map_or(Slot::Empty, Slot::Ref),
        }
    }

    /// What a path through data alone leads to.
    fn data_outcome(&mut self, path: &[Value]) -> Result<Outcome<'p>, Stop> {
        if let Remote::Above(root) | Remote::Within(root) = remote(self.plan, path) {
            self.findings.remote.get_or_insert(root);
            return Ok(Outcome::unknown());
        }
        match self.data_at(self.context, path) {
            Slot::Empty => Ok(Outcome::UNDEFINED),
            value => Ok(Outcome::value(value)),
        }
    }
}

/// Data with what rules give beside it. Recurses by depth, which is bounded.
fn merged(base: &Value, rules: &Value) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, rules) else { return rules.clone() };
    let both = base.iter().map(|(key, value)| {
        let value = over.get(key).map_or_else(|| value.clone(), |over| merged(value, over));
        (key.clone(), value)
    });
    let added = over.iter().filter(|(key, _)| base.get(key).is_none()).map(|(key, value)| (key.clone(), value.clone()));
    Value::object(both.chain(added).collect())
}

/// Operations are copied around in the loop.
const _: () = assert!(size_of::<Op>() <= 32);
