//! What a definition asks, read from its operations.
//!
//! Operations are followed in a straight line, with what is known of each slot. As long as none of them can have an effect
//! beyond the definition (raise an error, call a rule, change what `input` is), a statement that certainly fails means that
//! running the definition would do nothing: it can be left out. What isn't understood but is harmless is passed over; at
//! what isn't harmless the reading ends. If every operation was understood, the conditions are the whole definition, and a
//! definition whose conditions hold needn't be run either.

use std::collections::HashMap;
use std::sync::Arc;

use super::test::{Test, is_composite};
use crate::eval::builtins::glob;
use crate::eval::plan::{self, Arg, Args, Comparison, Op, Operand, Pc, Plan, SlotId, Subject};
use crate::eval::value::Value;

/// One condition of a definition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Is(Subject, Test),
    /// Not all of these hold.
    Not(Vec<Asked>),
}

/// All that could be read of a definition.
#[derive(Debug)]
pub(super) struct Definition {
    /// In the order in which they are asked.
    pub(super) conditions: Vec<Asked>,
    /// Where the definition gives its constant value, if the conditions are all there is to it.
    pub(super) sure: Option<Pc>,
    /// Why they aren't.
    pub(super) left: Option<Left>,
}

/// Why a definition can't be decided by its conditions alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A rule or a function of the policy is called.
    Call,
    /// A builtin that isn't looked up.
    Builtin(u32),
    /// `with`
    With,
    /// Something is gone through.
    Loop,
    /// A text is matched against a pattern.
    Pattern,
    /// Data, or two parts of the input, are compared.
    Join,
    /// The value isn't constant.
    Value,
}

/// What is known of a slot.
#[derive(Debug, Clone)]
enum Known {
    Subject(Subject),
    /// The outcome of a test, as a boolean.
    Outcome(Subject, Test),
}

/// Reads the definition whose operations begin at `start`, in a group with so many parameters.
pub(super) fn read(plan: &Plan, start: Pc, parameters: u32) -> Definition {
    let known = (0..parameters).map(|slot| (slot, Known::Subject(Subject::Argument(slot)))).collect();
    let mut reader = Reader { plan, pc: start, known, conditions: vec![], left: None };
    let sure = reader.definition();
    let Reader { conditions, left, .. } = reader;
    Definition { conditions, sure: sure.filter(|_| left.is_none()), left }
}

struct Reader<'p> {
    plan: &'p Plan,
    pc: Pc,
    known: HashMap<SlotId, Known>,
    conditions: Vec<Asked>,
    /// The first thing that wasn't understood.
    left: Option<Left>,
}

/// What an operation may do beyond what was understood of it.
enum Effect {
    None,
    /// It may raise an error or change what follows.
    Some,
}

impl<'p> Reader<'p> {
    /// Follows the operations; says where a constant value is given, if they lead there.
    fn definition(&mut self) -> Option<Pc> {
        while let Some(op) = self.next() {
            match op {
                Op::Yield { value, .. } => return self.constant_or_left(&[*value]),
                Op::YieldAt { path, value, .. } => {
                    let mut args = self.args(*path).to_vec();
                    args.push(*value);
                    return self.constant_or_left(&args);
                }
                Op::Begin { .. } => {
                    if let Effect::Some = self.within() {
                        return None;
                    }
                }
                Op::Gather { .. } => {
                    self.leave(Left::Loop);
                    if let Effect::Some = self.pass_gathering() {
                        return None;
                    }
                }
                op => match self.statement(op) {
                    Effect::None => {}
                    Effect::Some => return None,
                },
            }
        }
        None
    }

    fn next(&mut self) -> Option<&'p Op> {
        let op = self.plan.ops.get(self.pc as usize)?;
        self.pc += 1;
        Some(op)
    }

    fn leave(&mut self, why: Left) {
        self.left.get_or_insert(why);
    }

    fn constant_or_left(&mut self, args: &[Arg]) -> Option<Pc> {
        if args.iter().all(|arg| self.constant(*arg).is_some()) {
            return Some(self.pc - 1);
        }
        self.leave(Left::Value);
        None
    }

    /// One operation outside a body within.
    fn statement(&mut self, op: &Op) -> Effect {
        match *op {
            Op::Input { path, dst, .. } => {
                self.input(path, dst);
                Effect::None
            }
            Op::Dot { src, key, dst, .. } => {
                match (self.subject(src), self.constant(key)) {
                    (Some(Subject::Input { path, rest }), Some(key)) if !is_composite(key) => {
                        let rest = rest.iter().chain([key]).cloned().collect();
                        self.defined(Subject::Input { path, rest }, dst);
                    }
                    _ => self.forget(dst, Left::Join),
                }
                Effect::None
            }
            Op::Compare { how, a, b, .. } => {
                match (self.subject(a), self.constant(a), self.subject(b), self.constant(b)) {
                    (Some(subject), _, _, Some(value)) => self.ask(subject, comparison(how, value)),
                    (_, Some(value), Some(subject), _) => self.ask(subject, comparison(flipped(how), value)),
                    _ => self.leave(Left::Join),
                }
                Effect::None
            }
            Op::Holds { arg, .. } => {
                match self.known_of(arg) {
                    Some(Known::Subject(subject)) => self.ask(subject, Test::Truthy),
                    Some(Known::Outcome(subject, test)) => self.ask(subject, test),
                    None => match self.constant(arg) {
                        Some(value) if value.is_truthy() => {}
                        _ => self.leave(Left::Join),
                    },
                }
                Effect::None
            }
            Op::Member { member, of, .. } => {
                match (self.subject(member), self.constant(member), self.subject(of), self.constant(of)) {
                    (Some(subject), _, _, Some(of)) => match scalars(of) {
                        Some(values) => self.ask(subject, Test::OneOf(values)),
                        None => self.leave(Left::Join),
                    },
                    (_, Some(member), Some(subject), _) if !is_composite(member) => {
                        self.ask(subject, Test::Has(member.clone()));
                    }
                    _ => self.leave(Left::Join),
                }
                Effect::None
            }
            Op::Builtin { builtin, args, dst, replaceable: false, .. } => match self.test(builtin, args) {
                Some((subject, test)) => {
                    if matches!(test, Test::Pattern { .. }) {
                        self.leave(Left::Pattern);
                    }
                    // What isn't a text is an error before anything else is asked.
                    self.ask(subject.clone(), Test::Textual);
                    self.known.insert(dst, Known::Outcome(subject, test));
                    Effect::None
                }
                None => {
                    self.leave(Left::Builtin(builtin));
                    Effect::Some
                }
            },
            Op::Guard { guard, .. } => {
                self.guard(guard);
                Effect::None
            }
            Op::Data { dst, .. } | Op::DataDot { dst, .. } => {
                self.forget(dst, Left::Join);
                Effect::None
            }
            Op::Array { dst, .. } | Op::Set { dst, .. } => {
                self.forget(dst, Left::Join);
                Effect::None
            }
            Op::Next { key, value, .. } => {
                self.known.remove(&key);
                self.forget(value, Left::Loop);
                Effect::None
            }
            Op::Scan { .. } | Op::Jump { .. } => {
                self.leave(Left::Loop);
                Effect::None
            }
            Op::IsLike { .. } | Op::IsArray { .. } | Op::IsObject { .. } => {
                self.leave(Left::Join);
                Effect::None
            }
            Op::Found { .. } | Op::NotFound { .. } | Op::EitherFound { .. } | Op::FoundElse { .. } => {
                self.leave(Left::Join);
                Effect::None
            }
            Op::Builtin { builtin, .. } => {
                self.leave(Left::Builtin(builtin));
                Effect::Some
            }
            Op::With { .. } | Op::Without { .. } => {
                self.leave(Left::With);
                Effect::Some
            }
            _ => {
                self.leave(Left::Call);
                Effect::Some
            }
        }
    }

    // === Bodies within ===

    /// Behind [`Op::Begin`]. A negated body of conditions is a condition; of another all that matters is what it may do.
    fn within(&mut self) -> Effect {
        let (left, conditions) = (self.left.take(), std::mem::take(&mut self.conditions));
        let effect = self.body_within();
        let (inner_left, inner) =
            (std::mem::replace(&mut self.left, left), std::mem::replace(&mut self.conditions, conditions));
        if let Effect::Some = effect {
            self.leave(inner_left.unwrap_or(Left::Call));
            return Effect::Some;
        }
        match (inner_left, self.plan.ops.get(self.pc as usize)) {
            (None, Some(Op::NotFound { .. })) => {
                self.pc += 1;
                self.conditions.push(Asked::Not(inner));
            }
            (None, Some(Op::Found { .. })) => {
                self.pc += 1;
                self.conditions.extend(inner);
            }
            (why, _) => self.leave(why.unwrap_or(Left::Join)),
        }
        Effect::None
    }

    fn body_within(&mut self) -> Effect {
        while let Some(op) = self.next() {
            let effect = match op {
                Op::End { .. } => return Effect::None,
                Op::Hit { .. } => Effect::None,
                Op::Begin { .. } => self.within(),
                Op::Gather { .. } => {
                    self.leave(Left::Loop);
                    self.pass_gathering()
                }
                op => self.statement(op),
            };
            if let Effect::Some = effect {
                return Effect::Some;
            }
        }
        Effect::Some
    }

    /// Behind [`Op::Gather`]: only what it may do matters.
    fn pass_gathering(&mut self) -> Effect {
        let conditions = std::mem::take(&mut self.conditions);
        let mut effect = Effect::Some;
        while let Some(op) = self.next() {
            let inner = match op {
                // Two values under one key are a conflict.
                Op::Gathered { .. } => {
                    effect = Effect::None;
                    break;
                }
                Op::Add { key, .. } if *key == Arg::slot(plan::NOWHERE) => Effect::None,
                Op::Begin { .. } => self.within(),
                Op::Gather { .. } => self.pass_gathering(),
                op => self.statement(op),
            };
            if let Effect::Some = inner {
                break;
            }
        }
        self.conditions = conditions;
        effect
    }

    // === Conditions ===

    fn input(&mut self, path: u32, dst: SlotId) {
        self.defined(Subject::Input { path, rest: [].into() }, dst);
    }

    fn defined(&mut self, subject: Subject, dst: SlotId) {
        self.ask(subject.clone(), Test::Defined);
        self.known.insert(dst, Known::Subject(subject));
    }

    fn forget(&mut self, dst: SlotId, why: Left) {
        self.known.remove(&dst);
        self.leave(why);
    }

    fn ask(&mut self, subject: Subject, test: Test) {
        // That something is there is said again by what is asked of it.
        if let Some(Asked::Is(last, Test::Defined | Test::Textual)) = self.conditions.last()
            && *last == subject
            && test != Test::Defined
            && (!matches!(self.conditions.last(), Some(Asked::Is(_, Test::Textual))) || test.wants_text())
        {
            self.conditions.pop();
        }
        self.conditions.push(Asked::Is(subject, test));
    }

    /// The conditions of a guard with one way.
    fn guard(&mut self, guard: u32) {
        let Some(guard) = self.plan.guards.get(guard as usize) else { return };
        for subject in &guard.required {
            if !matches!(subject, Subject::Data(_)) {
                self.conditions.push(Asked::Is(subject.clone(), Test::Defined));
            }
        }
        let [way] = guard.ways.as_slice() else { return };
        for check in way {
            if matches!(check.subject, Subject::Data(_)) {
                continue;
            }
            let tests: Vec<Test> = check.any.iter().map(of_guard).collect();
            if tests.contains(&Test::Opaque) {
                self.conditions.push(Asked::Is(check.subject.clone(), Test::Defined));
            } else {
                self.conditions.push(Asked::Is(check.subject.clone(), Test::Any(tests.into())));
            }
        }
    }

    /// A builtin's call as a test of one part of the input.
    fn test(&self, builtin: u32, args: Args) -> Option<(Subject, Test)> {
        let name = self.plan.builtins.get(builtin as usize)?.name;
        let args = self.args(args);
        let text = |at: usize| match self.constant(*args.get(at)?)? {
            Value::String(text) => Some(Arc::clone(text)),
            _ => None,
        };
        let subject = |at: usize| self.subject(*args.get(at)?);
        Some(match name {
            "startswith" => (subject(0)?, Test::Prefix(text(1)?)),
            "endswith" => (subject(0)?, Test::Suffix(text(1)?)),
            "contains" => (subject(0)?, Test::Contains(text(1)?)),
            "glob.match" => {
                let pattern = text(0)?;
                // One that doesn't compile is an error about any text.
                let compiles = self.plan.patterns.has_glob(&pattern, self.constant(*args.get(1)?)?);
                let prefix = if compiles { glob::prefix(&pattern) } else { "" };
                (subject(2)?, Test::Pattern { prefix: prefix.into() })
            }
            "regex.match" => (subject(1)?, text(0).map(|_| Test::Pattern { prefix: "".into() })?),
            _ => return None,
        })
    }

    // === Operands ===

    fn args(&self, args: Args) -> &'p [Arg] {
        let start = args.start as usize;
        self.plan.args.get(start..start + args.len as usize).unwrap_or_default()
    }

    fn constant(&self, arg: Arg) -> Option<&'p Value> {
        match arg.resolve() {
            Operand::Constant(index) => self.plan.constants.get(index as usize),
            Operand::Slot(_) => None,
        }
    }

    fn known_of(&self, arg: Arg) -> Option<Known> {
        match arg.resolve() {
            Operand::Slot(slot) => self.known.get(&slot).cloned(),
            Operand::Constant(_) => None,
        }
    }

    fn subject(&self, arg: Arg) -> Option<Subject> {
        match self.known_of(arg)? {
            Known::Subject(subject) => Some(subject),
            Known::Outcome(..) => None,
        }
    }
}

fn comparison(how: Comparison, value: &Value) -> Test {
    Test::Compare(how, value.clone())
}

/// `5 <= x` is `x >= 5`.
fn flipped(how: Comparison) -> Comparison {
    match how {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        how @ (Comparison::Equal | Comparison::NotEqual) => how,
    }
}

/// The members of a collection, if all are scalars.
fn scalars(collection: &Value) -> Option<Box<[Value]>> {
    let members: Vec<&Value> = match collection {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        Value::Object(object) => object.values().collect(),
        _ => return None,
    };
    members.iter().all(|member| !is_composite(member)).then(|| members.into_iter().cloned().collect())
}

fn of_guard(test: &plan::Test) -> Test {
    match test {
        plan::Test::Defined => Test::Defined,
        plan::Test::Equal(value) if !is_composite(value) => comparison(Comparison::Equal, value),
        plan::Test::Prefix(text) => Test::Prefix(Arc::clone(text)),
        plan::Test::Suffix(text) => Test::Suffix(Arc::clone(text)),
        plan::Test::Member(value) if !is_composite(value) => Test::Has(value.clone()),
        _ => Test::Opaque,
    }
}
