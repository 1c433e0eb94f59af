//! A policy as a flat list of operations over numbered slots.
//!
//! What OPA's evaluator does by backtracking is done here by jumps whose targets are known when the plan is made. In a body
//! each statement has one place to go on failure: the next turn of the innermost loop that surrounds it, or the end of
//! the body. So there is no trail to keep, and the [machine](super::machine) needs no stack but that of called rules.
//!
//! A body with a solution comes to its [`Op::Yield`] (or what stands in its place), and then looks for the next solution
//! by failing on purpose.

mod body;
mod call;
mod group;
mod opa_index;
mod planner;
mod reach;
mod reference;
mod unify;

use std::sync::Arc;

pub(crate) use self::opa_index::split;
pub(crate) use self::planner::{PlanError, plan};
pub(crate) use self::reach::{Reachable, reachable};
use super::builtins::Function;
use super::builtins::patterns::Patterns;
use super::syntax::ast::Location;
use super::value::Value;

/// A slot of the current frame.
pub(crate) type SlotId = u32;

/// A place in the plan's operations.
pub(crate) type Pc = u32;

/// A group of rules that give one document or function.
pub(crate) type GroupId = u32;

/// No slot: the value isn't needed.
pub(crate) const NOWHERE: SlotId = SlotId::MAX;

/// What an operation reads: a slot, or a constant of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arg(u32);

impl Arg {
    const CONSTANT: u32 = 1 << 31;

    pub(crate) fn slot(slot: SlotId) -> Self {
        Self(slot)
    }

    pub(crate) fn constant(index: usize) -> Self {
        // A plan is refused long before it has 2^31 constants.
        Self(Self::CONSTANT | u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The number of the constant, if it is one.
    pub(crate) fn as_constant(self) -> Option<u32> {
        match self.resolve() {
            Operand::Constant(number) => Some(number),
            Operand::Slot(_) => None,
        }
    }

    pub(crate) fn resolve(self) -> Operand {
        if self.0 & Self::CONSTANT == 0 { Operand::Slot(self.0) } else { Operand::Constant(self.0 & !Self::CONSTANT) }
    }
}

pub(crate) enum Operand {
    Slot(SlotId),
    Constant(u32),
}

/// Some of the plan's [`Plan::args`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Comparisons that are statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is gathered while a body is searched for all its solutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathering {
    Array,
    Set,
    Object,
}

/// One operation. Where there is a `fail`, the machine goes there if the statement doesn't hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    // === Documents ===
    /// `dst = input.a.b…`, by [`Plan::inputs`].
    Input {
        path: u32,
        dst: SlotId,
        fail: Pc,
    },
    /// `dst = data.a.b…`, where no rule stands on the way. `remote` if it may lead to what isn't held.
    Data {
        path: u32,
        remote: bool,
        dst: SlotId,
        fail: Pc,
    },
    /// `dst = src[key]`.
    Dot {
        src: Arg,
        key: Arg,
        dst: SlotId,
        fail: Pc,
    },
    /// `dst = src[key]` in a document of `data`, where keys are compared as texts.
    DataDot {
        src: Arg,
        key: Arg,
        dst: SlotId,
        fail: Pc,
    },
    /// `dst` is the document at a node of the rule tree, to be followed by keys that aren't constant.
    Document {
        node: u32,
        dst: SlotId,
    },
    /// `dst = src[key]`, where `src` is such a document or what one led to. May call a rule.
    DocumentDot {
        src: Arg,
        key: Arg,
        dst: SlotId,
        fail: Pc,
    },
    /// `dst` is the whole value of what a document led to. May call.
    DocumentValue {
        src: Arg,
        dst: SlotId,
        fail: Pc,
    },

    // === Loops ===
    /// Begins to go through `src`.
    Scan {
        src: Arg,
        iter: SlotId,
        fail: Pc,
    },
    /// The next key and value, or `end`.
    Next {
        src: Arg,
        iter: SlotId,
        key: SlotId,
        value: SlotId,
        end: Pc,
    },
    /// Begins to go through the keys of a document.
    DocumentScan {
        src: Arg,
        iter: SlotId,
        fail: Pc,
    },
    /// The next key, or `end`.
    DocumentNext {
        iter: SlotId,
        key: SlotId,
        end: Pc,
    },

    // === Statements ===
    Compare {
        how: Comparison,
        a: Arg,
        b: Arg,
        fail: Pc,
    },
    /// Holds if the value isn't `false`.
    Holds {
        arg: Arg,
        fail: Pc,
    },
    /// `a in b`.
    Member {
        member: Arg,
        of: Arg,
        fail: Pc,
    },
    /// What a comprehension of this kind is worth comparing with.
    IsLike {
        src: Arg,
        gathering: Gathering,
        fail: Pc,
    },
    /// An array of this length.
    IsArray {
        src: Arg,
        len: u32,
        fail: Pc,
    },
    /// An object of this size.
    IsObject {
        src: Arg,
        len: u32,
        fail: Pc,
    },
    Jump {
        to: Pc,
    },

    // === Values ===
    Array {
        items: Args,
        dst: SlotId,
    },
    Set {
        items: Args,
        dst: SlotId,
    },
    /// Keys and values in turn.
    Object {
        entries: Args,
        dst: SlotId,
    },

    // === Calls ===
    /// A builtin. With `replaceable`, a `with` somewhere may put something else in its place.
    Builtin {
        builtin: u32,
        args: Args,
        dst: SlotId,
        replaceable: bool,
        fail: Pc,
    },
    /// All `[path, value]` pairs of a value, as an array.
    Walk {
        arg: Arg,
        dst: SlotId,
        fail: Pc,
    },
    /// The document of a group of rules.
    Rule {
        group: GroupId,
        dst: SlotId,
        replaceable: bool,
        fail: Pc,
    },
    /// The value that a partial document has under a key, found without making the document.
    RuleAt {
        group: GroupId,
        key: Arg,
        dst: SlotId,
        fail: Pc,
    },
    Function {
        group: GroupId,
        args: Args,
        dst: SlotId,
        replaceable: bool,
        fail: Pc,
    },

    // === Bodies within ===
    /// Begins a body whose solutions are only counted.
    Begin {
        mark: SlotId,
    },
    /// A solution. Goes on at `done` if it is one whatever isn't known.
    Hit {
        mark: SlotId,
        done: Pc,
    },
    /// Ends it, and restores what [`Op::Begin`] saved.
    End {
        mark: SlotId,
    },
    /// Holds if there was a solution.
    Found {
        mark: SlotId,
        fail: Pc,
    },
    /// Holds if there was none.
    NotFound {
        mark: SlotId,
        fail: Pc,
    },
    /// Goes to `to` if there certainly was a solution; notes one that is only possible.
    FoundElse {
        mark: SlotId,
        to: Pc,
    },
    /// Holds if either has a solution.
    EitherFound {
        a: SlotId,
        b: SlotId,
        fail: Pc,
    },
    /// Begins to gather.
    Gather {
        what: Gathering,
        mark: SlotId,
        into: SlotId,
    },
    /// Adds a value, or a key and a value.
    Add {
        into: SlotId,
        key: Arg,
        value: Arg,
    },
    /// Ends gathering: `dst` is what was gathered.
    Gathered {
        mark: SlotId,
        from: SlotId,
        dst: SlotId,
    },

    // === `with` ===
    /// From here on things are as [`Plan::replacements`] says.
    With {
        replacement: u32,
        saved: SlotId,
        fail: Pc,
    },
    /// From here on they are as before.
    Without {
        saved: SlotId,
    },

    // === Rules ===
    /// Several definitions follow: goes to the first one that has to be run, or to `end`, if an index can tell.
    Select {
        selection: u32,
        end: Pc,
    },
    /// The next of them.
    Advance {
        end: Pc,
    },
    /// A definition begins: nothing is in doubt yet.
    Definition,
    /// A definition holds, with this value. If no other can give another, `only` says where to go.
    Yield {
        value: Arg,
        only: Pc,
    },
    /// The definition isn't evaluated if it doesn't have to be: see [`Guard`].
    Guard {
        guard: u32,
        fail: Pc,
    },
    /// A definition held that gives a constant. If none of those that may give another has to be evaluated, the rest isn't.
    Alone {
        /// The document's definitions, in [`Plan::definitions`].
        among: u32,
        value: u32,
        to: Pc,
    },
    /// An `else` follows: skip to `to` if what came before certainly holds.
    Else {
        to: Pc,
    },
    /// The default follows: skip to `to` if some definition certainly holds.
    Default {
        to: Pc,
    },
    /// The default's value.
    YieldDefault {
        value: Arg,
    },
    /// A definition of a partial set or object holds: this is the path, and what lies there.
    YieldAt {
        path: Args,
        value: Arg,
        multi: bool,
    },
    /// The end of a group, or of a query.
    Return,
}

/// What has to hold for a definition to be evaluated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard<S = Subject> {
    /// What has to be there.
    pub(crate) required: Vec<S>,
    /// Of these, one has to hold; none if there is nothing to ask.
    pub(crate) ways: Vec<Vec<Check<S>>>,
    pub(crate) memberships: Vec<Membership<S>>,
}

impl<S> Guard<S> {
    /// Whether it asks nothing.
    pub(crate) fn is_open(&self) -> bool {
        self.required.is_empty() && self.ways.is_empty() && self.memberships.is_empty()
    }

    /// The same about other subjects.
    pub(crate) fn map<T>(&self, mut subject: impl FnMut(&S) -> T) -> Guard<T> {
        Guard {
            required: self.required.iter().map(&mut subject).collect(),
            ways: self
                .ways
                .iter()
                .map(|way| {
                    way.iter().map(|check| Check { subject: subject(&check.subject), any: check.any.clone() }).collect()
                })
                .collect(),
            memberships: self
                .memberships
                .iter()
                .map(|Membership { key, collection }| Membership { key: subject(key), collection: subject(collection) })
                .collect(),
        }
    }

    /// Everything that it is about.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &S> {
        let of_checks = self.ways.iter().flatten().map(|check| &check.subject);
        let of_members = self.memberships.iter().flat_map(|membership| [&membership.key, &membership.collection]);
        self.required.iter().chain(of_checks).chain(of_members)
    }
}

/// One of the tests has to hold for what lies there, and it has to be there.
#[derive(Debug, Clone)]
pub(crate) struct Check<S = Subject> {
    pub(crate) subject: S,
    pub(crate) any: Vec<Test>,
}

/// The collection has to have the key, unless it is neither an object nor a set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Membership<S = Subject> {
    pub(crate) key: S,
    pub(crate) collection: S,
}

/// A definition as seen from the others of its document.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    /// The number of the constant that it gives; none if it may be any value.
    pub(crate) value: Option<u32>,
    pub(crate) guard: u32,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// What lies at a path of [`Plan::inputs`], and further on.
    Input { path: u32, rest: Box<[Value]> },
    /// What lies at a path below `data`, where no rules are.
    Data(Box<[Value]>),
    /// A function's argument.
    Argument(SlotId),
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    Defined,
    Equal(Value),
    /// An array of these; none is anything.
    Array(Box<[Option<Value>]>),
    /// The same, or a text that has these parts between delimiters.
    Parts(Box<[Option<Value>]>, Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    /// A collection that holds this.
    Member(Value),
}

/// What `with` replaces, all at once.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    /// Each path below `input`, and its value; the whole of it with an empty path.
    pub(crate) input: Vec<(Vec<Value>, Arg)>,
    /// Each path below `data`, and its value.
    pub(crate) data: Vec<(Vec<Value>, Arg)>,
    pub(crate) functions: Vec<(Callee, With)>,
}

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Callee {
    Builtin(u32),
    Group(GroupId),
}

/// What stands in the place of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum With {
    Callee(Callee),
    /// A value, whatever the operands.
    Value(Arg),
}

/// What a group of rules gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Complete,
    Function,
    Set,
    Object,
    /// A node of the rule tree: an object of what stands below.
    Document,
}

/// Rules that give one document or function.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    pub(crate) entry: Pc,
    /// Slots that a frame needs.
    pub(crate) slots: u32,
    /// Parameters, which stand in the first slots.
    pub(crate) parameters: u32,
    /// Where it stands, below `data`.
    pub(crate) path: Arc<[Value]>,
    /// Of a partial document: code that finds what is under one key, which stands in the first slot.
    pub(crate) keyed: Option<Pc>,
}

/// Definitions among which an index may choose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) group: GroupId,
    /// Parameters of the group.
    pub(crate) parameters: u32,
    /// In the order of evaluation.
    pub(crate) units: Vec<PlannedUnit>,
    /// What follows the last of them.
    pub(crate) end: Pc,
    /// Whether all of them give one constant.
    pub(crate) agrees: bool,
}

/// A definition, or one of its `else` branches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedUnit {
    /// What follows [`Op::Definition`] or [`Op::Else`].
    pub(crate) start: Pc,
    /// The number of the definition in its group.
    pub(crate) chain: u32,
}

/// A builtin that the plan calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedBuiltin {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
}

/// A node of the rule tree, for references whose keys aren't constant.
#[derive(Debug, Clone, Default)]
pub(crate) struct DocumentNode {
    pub(crate) children: Vec<(Value, DocumentChild)>,
    /// Whether it is left out where a document is enumerated.
    pub(crate) hidden: bool,
    /// The group that makes the whole document.
    pub(crate) whole: Option<GroupId>,
    /// Where it stands, below `data`.
    pub(crate) path: Arc<[Value]>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum DocumentChild {
    Node(u32),
    Rules(GroupId),
    /// Functions have no value.
    Function,
}

/// A policy, ready to be evaluated. Immutable.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) ops: Vec<Op>,
    /// The place in the policy that each operation comes from.
    pub(crate) locations: Vec<Location>,
    pub(crate) constants: Vec<Value>,
    pub(crate) args: Vec<Arg>,
    /// Paths below `data`.
    pub(crate) paths: Vec<Box<[Arc<str>]>>,
    /// Paths below `input`.
    pub(crate) inputs: Vec<Box<[Arc<str>]>>,
    pub(crate) groups: Vec<Group>,
    pub(crate) nodes: Vec<DocumentNode>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) selections: Vec<Selection>,
    /// Documents' definitions, for [`Op::Alone`].
    pub(crate) definitions: Vec<Box<[Definition]>>,
    pub(crate) builtins: Vec<PlannedBuiltin>,
    pub(crate) replacements: Vec<Replacement>,
    /// The constant patterns of its calls, compiled.
    pub(crate) patterns: Patterns,
    /// The paths under `data` whose documents may not be held.
    pub(crate) remote: Vec<Vec<Value>>,
}

impl Plan {
    /// The node of the rule tree's root.
    pub(crate) const ROOT: u32 = 0;

    /// The number of a constant, if `value` is one of the plan's own.
    pub(crate) fn constant_number(&self, value: &Value) -> Option<u32> {
        let bytes = std::ptr::from_ref(value).addr().checked_sub(self.constants.as_ptr().addr())?;
        let number = bytes / size_of::<Value>();
        (number < self.constants.len()).then_some(u32::try_from(number).ok()?)
    }

    /// Compiles the constant patterns of its calls.
    pub(crate) fn compile_patterns(&mut self) {
        let Self { ops, args, constants, builtins, patterns, .. } = self;
        for op in ops {
            let Op::Builtin { builtin, args: Args { start, len }, .. } = *op else { continue };
            let operand = |arg: &Arg| match arg.resolve() {
                Operand::Constant(at) => constants.get(at as usize),
                Operand::Slot(_) => None,
            };
            let range = start as usize..(start as usize).saturating_add(len as usize);
            let operands: Vec<Option<&Value>> = args.get(range).unwrap_or_default().iter().map(operand).collect();
            if let Some(builtin) = builtins.get(builtin as usize) {
                patterns.prepare(builtin.name, &operands);
            }
        }
    }
}
