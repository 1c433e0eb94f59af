//! A pattern as a program: what to do with one character after the other.
//!
//! It is the program that Go 1.26's `regexp/syntax/compile.go` makes: alternatives in order of preference, `x*` as
//! `(x+)?` where `x` may be empty.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Id, Node, Op, Tree};
use super::unicode::{self, Range};
use crate::eval::builtins::{Budget, Limit};

/// Instructions a program may have.
const MAX_LEN: usize = 1 << 20;

/// A pattern's instructions.
#[derive(Debug)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    pub(super) start: Pc,
    classes: Vec<Vec<Range>>,
    /// Whether a match can only begin where the text does.
    pub(super) anchored: bool,
    /// What a match has to begin with, if that is known.
    first: Option<First>,
}

/// The characters that a match can begin with.
#[derive(Debug, Default)]
struct First {
    /// Those of ASCII, a bit for each.
    ascii: u128,
    all: Vec<Does>,
}

/// An instruction's place.
pub(super) type Pc = u32;

#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction {
    pub(super) does: Does,
    pub(super) next: Pc,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    Rune(u32),
    /// One of the classes.
    Class(u32),
    AnyButNewline,
    Any,
    Assert(Op),
    Save(u32),
    /// Goes on in two places, `next` preferred.
    Split(Pc),
    /// Goes on in two places, this one preferred.
    SplitTo(Pc),
    Match,
    Fail,
}

// === impl Program ===

impl Program {
    /// Compiles a tree.
    ///
    /// # Errors
    /// The program is too large.
    pub(super) fn new(tree: &Tree, budget: &mut Budget) -> Result<Self, Limit> {
        let mut compiler = Compiler {
            tree,
            instructions: vec![],
            classes: vec![],
            nodes: BTreeMap::new(),
            letters: BTreeMap::new(),
            budget,
        };
        let end = compiler.push(Does::Match, 0)?;
        let close = compiler.push(Does::Save(1), end)?;
        let body = compiler.emit(tree.root, close)?;
        let start = compiler.push(Does::Save(0), body)?;
        let Compiler { instructions, classes, .. } = compiler;
        let mut program = Self { instructions, start, classes, anchored: is_anchored(tree, tree.root), first: None };
        program.first = program.first();
        Ok(program)
    }

    /// What the first character can be; unknown if there needn't be one, or if it depends on what is around it.
    fn first(&self) -> Option<First> {
        let mut first = First::default();
        let mut seen = BTreeSet::new();
        let mut todo = vec![self.start];
        while let Some(pc) = todo.pop() {
            if !seen.insert(pc) {
                continue;
            }
            // More than that isn't worth it.
            if seen.len() > 1_000 {
                return None;
            }
            let Instruction { does, next } = self.instruction(pc);
            match does {
                Does::Match | Does::Assert(_) => return None,
                Does::Fail => {}
                Does::Save(_) => todo.push(next),
                Does::Split(other) | Does::SplitTo(other) => todo.extend([other, next]),
                Does::Rune(_) | Does::Class(_) | Does::AnyButNewline | Does::Any => {
                    let ascii = (0..128_u8).filter(|byte| self.takes(does, char::from(*byte)));
                    first.ascii |= ascii.fold(0, |bits, byte| bits | 1 << byte);
                    first.all.push(does);
                }
            }
        }
        Some(first)
    }

    /// Where, from `at` on, a match may begin.
    pub(super) fn skip(&self, text: &str, at: usize) -> usize {
        let Some(first) = &self.first else { return at };
        let begins = |c: char| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => first.ascii >> byte & 1 == 1,
            _ => first.all.iter().any(|does| self.takes(*does, c)),
        };
        let rest = text.get(at..).unwrap_or_default();
        rest.find(begins).map_or(text.len(), |found| at + found)
    }

    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let ranges: usize = self.classes.iter().map(Vec::len).sum();
        self.len() * size_of::<Instruction>() + ranges * size_of::<Range>()
    }

    pub(super) fn instruction(&self, pc: Pc) -> Instruction {
        self.instructions.get(pc as usize).copied().unwrap_or(Instruction { does: Does::Fail, next: 0 })
    }

    pub(super) fn takes(&self, does: Does, c: char) -> bool {
        let rune = u32::from(c);
        match does {
            Does::Rune(expected) => rune == expected,
            Does::Class(class) => self.classes.get(class as usize).is_some_and(|ranges| holds(ranges, rune)),
            Does::AnyButNewline => c != '\n',
            Does::Any => true,
            _ => false,
        }
    }
}

fn holds(ranges: &[Range], rune: u32) -> bool {
    let at = ranges.partition_point(|(_, high)| *high < rune);
    ranges.get(at).is_some_and(|(low, _)| *low <= rune)
}

fn is_anchored(tree: &Tree, id: Id) -> bool {
    let mut node = tree.node(id);
    while let (Op::Concat | Op::Group, Some(first)) = (node.op, node.subs.first()) {
        node = tree.node(*first);
    }
    node.op == Op::TextStart
}

struct Compiler<'a> {
    tree: &'a Tree,
    instructions: Vec<Instruction>,
    classes: Vec<Vec<Range>>,
    /// Classes by their nodes, and of folded letters by the letter.
    nodes: BTreeMap<Id, u32>,
    letters: BTreeMap<u32, u32>,
    budget: &'a mut Budget,
}

/// Where a part begins, and whether it may match nothing.
type Part = (Pc, bool);

enum Step {
    /// Add a node, going on at the place given.
    Enter(Id, Pc),
    /// One has been added.
    Done(Part),
}

/// A node of which some parts have been added.
enum Open {
    Group {
        slot: u32,
    },
    /// Loops, with their splits.
    Star {
        again: Pc,
        lazy: bool,
        next: Pc,
    },
    Plus {
        again: Pc,
        lazy: bool,
        next: Pc,
    },
    Quest {
        lazy: bool,
        next: Pc,
    },
    /// The rest of a repetition, and whether the copy being added is optional.
    Copies {
        rest: Copies,
        is_optional: bool,
        nullable: bool,
    },
    Concat {
        id: Id,
        rest: usize,
        nullable: bool,
    },
    Alternate {
        id: Id,
        rest: usize,
        next: Pc,
        others: Option<Part>,
    },
}

/// Copies of a node to be added: `x{2,4}` is `xx(x(x)?)?`, `x{2,}` is `xx+`.
#[derive(Clone, Copy)]
struct Copies {
    sub: Id,
    lazy: bool,
    next: Pc,
    optional: i64,
    required: i64,
}

/// Adds a copy before `part`.
fn copy(mut rest: Copies, part: Part, open: &mut Vec<Open>) -> Step {
    let is_optional = rest.optional > 0;
    if is_optional {
        rest.optional -= 1;
    } else if rest.required > 0 {
        rest.required -= 1;
    } else {
        return Step::Done(part);
    }
    open.push(Open::Copies { rest, is_optional, nullable: part.1 });
    Step::Enter(rest.sub, part.0)
}

/// Adds the last of the first `len` parts of a concatenation before `part`.
fn concat(tree: &Tree, id: Id, len: usize, part: Part, open: &mut Vec<Open>) -> Step {
    let Some((sub, rest)) = last_of(tree, id, len) else { return Step::Done(part) };
    open.push(Open::Concat { id, rest, nullable: part.1 });
    Step::Enter(sub, part.0)
}

/// Adds the last of the first `len` alternatives, to be preferred to `others`.
fn alternate(tree: &Tree, id: Id, len: usize, next: Pc, others: Option<Part>, open: &mut Vec<Open>) -> Step {
    let Some((sub, rest)) = last_of(tree, id, len) else { return Step::Done(others.unwrap_or((next, true))) };
    open.push(Open::Alternate { id, rest, next, others });
    Step::Enter(sub, next)
}

fn last_of(tree: &Tree, id: Id, len: usize) -> Option<(Id, usize)> {
    let rest = len.checked_sub(1)?;
    Some((*tree.node(id).subs.get(rest)?, rest))
}

impl Compiler<'_> {
    fn push(&mut self, does: Does, next: Pc) -> Result<Pc, Limit> {
        if self.instructions.len() >= MAX_LEN {
            return Err(Limit::Size);
        }
        self.budget.alloc(size_of::<Instruction>())?;
        self.instructions.push(Instruction { does, next });
        // Bounded above.
        Ok(self.instructions.len() as Pc - 1)
    }

    fn set(&mut self, pc: Pc, does: Does, next: Pc) {
        if let Some(instruction) = self.instructions.get_mut(pc as usize) {
            *instruction = Instruction { does, next };
        }
    }

    /// Adds what matches a node and goes on at `next`: from its end to its beginning, so that what comes next is known.
    /// Doesn't recurse, as nodes may lie deep.
    fn emit(&mut self, id: Id, next: Pc) -> Result<Pc, Limit> {
        let mut open = vec![];
        let mut step = Step::Enter(id, next);
        loop {
            step = match step {
                Step::Enter(id, next) => self.enter(id, next, &mut open)?,
                Step::Done(part) => match open.pop() {
                    Some(within) => self.leave(within, part, &mut open)?,
                    None => return Ok(part.0),
                },
            };
        }
    }

    fn enter(&mut self, id: Id, next: Pc, open: &mut Vec<Open>) -> Result<Step, Limit> {
        let tree = self.tree;
        let node = tree.node(id);
        let sub = node.subs.first().copied().unwrap_or(id);
        let lazy = node.is_lazy();
        Ok(match node.op {
            Op::Empty => Step::Done((next, true)),
            Op::Literal => Step::Done((self.literal(node, next)?, false)),
            Op::Class => {
                let class = self.class(id, node)?;
                Step::Done((self.push(Does::Class(class), next)?, false))
            }
            Op::AnyButNewline => Step::Done((self.push(Does::AnyButNewline, next)?, false)),
            Op::Any => Step::Done((self.push(Does::Any, next)?, false)),
            Op::LineStart | Op::LineEnd | Op::TextStart | Op::TextEnd | Op::WordBoundary | Op::NoWordBoundary => {
                Step::Done((self.push(Does::Assert(node.op), next)?, true))
            }
            Op::Group => {
                let slot = 2 * node.group as u32;
                open.push(Open::Group { slot });
                Step::Enter(sub, self.push(Does::Save(slot + 1), next)?)
            }
            Op::Star => self.enter_loop(sub, open, |again| Open::Star { again, lazy, next })?,
            Op::Plus => self.enter_loop(sub, open, |again| Open::Plus { again, lazy, next })?,
            Op::Quest => {
                open.push(Open::Quest { lazy, next });
                Step::Enter(sub, next)
            }
            Op::Repeat if node.max == -1 && node.min == 0 => {
                self.enter_loop(sub, open, |again| Open::Star { again, lazy, next })?
            }
            Op::Repeat if node.max == -1 => {
                let rest = Copies { sub, lazy, next, optional: 0, required: node.min - 1 };
                open.push(Open::Copies { rest, is_optional: false, nullable: true });
                self.enter_loop(sub, open, |again| Open::Plus { again, lazy, next })?
            }
            Op::Repeat => {
                let rest = Copies { sub, lazy, next, optional: node.max - node.min, required: node.min };
                copy(rest, (next, true), open)
            }
            Op::Concat => concat(tree, id, node.subs.len(), (next, true), open),
            Op::Alternate => alternate(tree, id, node.subs.len(), next, None, open),
            Op::NoMatch | Op::LeftParen | Op::VerticalBar => Step::Done((self.push(Does::Fail, 0)?, false)),
        })
    }

    fn enter_loop(&mut self, sub: Id, open: &mut Vec<Open>, as_open: impl Fn(Pc) -> Open) -> Result<Step, Limit> {
        let again = self.push(Does::Fail, 0)?;
        open.push(as_open(again));
        Ok(Step::Enter(sub, again))
    }

    /// Goes on with a node that one part of has been added.
    fn leave(&mut self, within: Open, (pc, nullable): Part, open: &mut Vec<Open>) -> Result<Step, Limit> {
        Ok(match within {
            Open::Group { slot } => Step::Done((self.push(Does::Save(slot), pc)?, nullable)),
            Open::Star { again, lazy, next } => {
                self.set(again, split(pc, lazy), next);
                let start = if nullable { self.push(split(pc, lazy), next)? } else { again };
                Step::Done((start, true))
            }
            Open::Plus { again, lazy, next } => {
                self.set(again, split(pc, lazy), next);
                Step::Done((pc, nullable))
            }
            Open::Quest { lazy, next } => Step::Done((self.push(split(pc, lazy), next)?, true)),
            Open::Copies { rest, is_optional: true, .. } => {
                let pc = self.push(split(pc, rest.lazy), rest.next)?;
                copy(rest, (pc, true), open)
            }
            Open::Copies { rest, nullable: others, .. } => copy(rest, (pc, nullable && others), open),
            Open::Concat { id, rest, nullable: others } => concat(self.tree, id, rest, (pc, nullable && others), open),
            Open::Alternate { id, rest, next, others } => {
                let part = match others {
                    Some((others, any)) => (self.push(Does::Split(others), pc)?, nullable || any),
                    None => (pc, nullable),
                };
                alternate(self.tree, id, rest, next, Some(part), open)
            }
        })
    }

    fn literal(&mut self, node: &Node, mut next: Pc) -> Result<Pc, Limit> {
        for rune in node.runes.iter().rev() {
            let class = if node.folds() { self.letter(*rune) } else { None };
            next = self.push(class.map_or(Does::Rune(*rune), Does::Class), next)?;
        }
        Ok(next)
    }

    fn class(&mut self, id: Id, node: &Node) -> Result<u32, Limit> {
        if let Some(class) = self.nodes.get(&id) {
            return Ok(*class);
        }
        self.budget.alloc(size_of_val(node.ranges.as_slice()))?;
        let mut ranges = node.ranges.clone();
        unicode::clean(&mut ranges);
        self.classes.push(ranges);
        let class = self.classes.len() as u32 - 1;
        self.nodes.insert(id, class);
        Ok(class)
    }

    /// The class of a letter in all cases, if it has some.
    fn letter(&mut self, rune: u32) -> Option<u32> {
        if let Some(class) = self.letters.get(&rune) {
            return Some(*class);
        }
        let orbit = unicode::orbit(rune);
        if orbit.len() < 2 {
            return None;
        }
        self.classes.push(orbit.into_iter().map(|rune| (rune, rune)).collect());
        let class = self.classes.len() as u32 - 1;
        self.letters.insert(rune, class);
        Some(class)
    }
}

/// A split between `body` and what comes next.
fn split(body: Pc, lazy: bool) -> Does {
    if lazy { Does::Split(body) } else { Does::SplitTo(body) }
}
