//! Regular expressions as Go's `regexp` has them (RE2's syntax and meaning), so as OPA has them.
//!
//! Which texts are patterns, and what they mean, follows Go 1.26: [`parse`] reads a pattern as Go does and makes its tree,
//! [`unicode`] has Go's tables. Matching is regex-automata's, whose rules are Go's once it has the tree: the leftmost match,
//! of those the one that the pattern prefers. It takes linear time, but knows no budget; so it only gets what it can do in
//! some milliseconds whatever pattern and text are, and [`program`] does the rest.

mod parse;
mod program;
mod tree;
mod unicode;

use std::sync::OnceLock;

use regex_automata::meta;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, Span};
use regex_syntax::hir::{self, Hir};

use self::parse::ParseError;
use self::program::{Machine, Program, UNSET};
use self::tree::{Id, Node, Op, Tree};
use super::{Budget, Failure, Limit};

/// Bytes that a pattern may have.
pub(super) const MAX_PATTERN: usize = 1 << 16;
/// Nodes within each other that a pattern may have to get an engine: translating and building recurse.
const MAX_HEIGHT: usize = 24;
/// The weight times the text's length up to which the engine may have a text.
const MAX_WORK: u64 = 1 << 20;
/// Bytes that an engine may take.
const MAX_ENGINE: usize = 10 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Regex {
    tree: Tree,
    /// About how many states of an automaton it takes.
    weight: u64,
    engine: Option<meta::Regex>,
    program: OnceLock<Program>,
}

/// How long a pattern is going to be used, so what compiling it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// As long as the program: some milliseconds, whatever makes matching faster.
    Constant,
    /// For a while: some microseconds, and little memory.
    Passing,
}

impl Use {
    /// The weight up to which a pattern gets an engine. Building takes up to a microsecond for each unit.
    fn max_weight(self) -> u64 {
        match self {
            Self::Constant => 20_000,
            Self::Passing => 500,
        }
    }

    fn config(self) -> meta::Config {
        let config = meta::Config::new().utf8_empty(true).nfa_size_limit(Some(MAX_ENGINE));
        match self {
            Self::Constant => config.hybrid_cache_capacity(256 << 10),
            Self::Passing => config.hybrid(false).dfa(false),
        }
    }
}

/// Where a match is, or one of its groups, if it is anywhere.
pub(super) type Place = Option<Span>;

/// Whether a text is a pattern, going by its syntax.
///
/// # Errors
/// There isn't enough to spend on it.
pub(super) fn is_valid(pattern: &str, budget: &mut Budget) -> Result<bool, Limit> {
    match parsed(pattern, budget) {
        Ok(_) => Ok(true),
        Err(ParseError::Syntax(..)) => Ok(false),
        Err(ParseError::Limit(limit)) => Err(limit),
    }
}

fn parsed(pattern: &str, budget: &mut Budget) -> Result<Tree, ParseError> {
    if pattern.len() > MAX_PATTERN {
        return Err(ParseError::Limit(Limit::Size));
    }
    parse::parse(pattern, budget)
}

/// Whether a character may be in a name after `$`, which needn't be one that a group can have.
pub(super) fn is_name(c: char) -> bool {
    unicode::is_name(c)
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Syntax(what, part) => Self::Error(format!("error parsing regexp: {what}: `{part}`")),
            ParseError::Limit(limit) => Self::Limit(limit),
        }
    }
}

// === impl Regex ===

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It isn't one, or is too large.
    pub(super) fn new(pattern: &str, used: Use, budget: &mut Budget) -> Result<Self, Failure> {
        let tree = parsed(pattern, budget)?;
        let mut regex = Self { tree, weight: u64::MAX, engine: None, program: OnceLock::new() };
        if regex.tree.height() <= MAX_HEIGHT {
            let (hir, weight) = translated(&regex.tree, regex.tree.root);
            if weight <= used.max_weight() {
                budget.step(1_000 + weight.saturating_mul(100))?;
                regex.weight = weight;
                // If it can't be built, there is a program.
                regex.engine = meta::Builder::new().configure(used.config()).build_from_hir(&hir).ok();
            }
        }
        Ok(regex)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, meta::Regex::memory_usage) + 4_096
    }

    /// The names of the groups, from the first on.
    pub(super) fn names(&self) -> &[Option<Box<str>>] {
        &self.tree.names
    }

    /// Whether it matches anywhere in `text`.
    ///
    /// # Errors
    /// The budget is spent.
    pub(super) fn is_match(&self, text: &str, budget: &mut Budget) -> Result<bool, Failure> {
        self.check(text)?;
        if let Some(engine) = self.engine_for(text) {
            budget.step(self.work(text.len()))?;
            return Ok(engine.is_match(text));
        }
        let mut machine = Machine::new(self.program(budget)?, text, None, budget)?;
        Ok(machine.search(0, budget)?.is_some())
    }

    /// Calls `each` with the match and, if asked for, its groups, for at most `most` matches, none overlapping. An empty
    /// match right after another one doesn't count.
    ///
    /// # Errors
    /// The budget is spent, or `each` fails.
    pub(super) fn matches(
        &self,
        text: &str,
        most: usize,
        groups: bool,
        budget: &mut Budget,
        mut each: impl FnMut(&mut Budget, &[Place]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.check(text)?;
        let mut searcher = self.searcher(text, groups, budget)?;
        let mut at = 0;
        let mut before = None;
        let mut count = 0;
        while count < most && at <= text.len() && searcher.search(at, budget)? {
            let Some(found) = searcher.places.first().copied().flatten() else { break };
            let mut counts = true;
            if found.end == at {
                counts = before != Some(found.start);
                let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
                at += width;
            } else {
                at = found.end;
            }
            before = Some(found.end);
            if counts {
                each(budget, &searcher.places)?;
                count += 1;
            }
        }
        Ok(())
    }

    fn searcher<'a>(&'a self, text: &'a str, groups: bool, budget: &mut Budget) -> Result<Searcher<'a>, Failure> {
        let groups = if groups { self.names().len() } else { 0 };
        let engine = match self.engine_for(text) {
            Some(engine) => {
                let work = self.work(text.len());
                Engine::Automaton { engine, text, work, slots: vec![None; 2 * (groups + 1)] }
            }
            None => Engine::Machine(Box::new(Machine::new(self.program(budget)?, text, Some(groups), budget)?)),
        };
        budget.alloc((groups + 1) * size_of::<Place>())?;
        Ok(Searcher { engine, places: vec![None; groups + 1] })
    }

    /// The fast engine, if it is certain to be fast.
    fn engine_for(&self, text: &str) -> Option<&meta::Regex> {
        let engine = self.engine.as_ref()?;
        (self.weight.saturating_mul(text.len() as u64) <= MAX_WORK).then_some(engine)
    }

    /// The steps to charge for a search: far from what the worst one takes, but enough for the clock to be looked at.
    fn work(&self, len: usize) -> u64 {
        let len = len as u64;
        16 + len / 16 + len.saturating_mul(self.weight) / 4_096
    }

    fn program(&self, budget: &mut Budget) -> Result<&Program, Limit> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let program = Program::new(&self.tree, budget)?;
        Ok(self.program.get_or_init(|| program))
    }

    /// Go takes a surrogate in a pattern that begins with `^` for U+FFFD, sometimes. When isn't worth looking into.
    fn check(&self, text: &str) -> Result<(), Limit> {
        if self.tree.surrogates && self.tree.begins_with_text() && text.contains('\u{FFFD}') {
            return Err(Limit::Size);
        }
        Ok(())
    }
}

struct Searcher<'a> {
    engine: Engine<'a>,
    places: Vec<Place>,
}

enum Engine<'a> {
    Automaton { engine: &'a meta::Regex, text: &'a str, work: u64, slots: Vec<Option<NonMaxUsize>> },
    Machine(Box<Machine<'a>>),
}

impl Searcher<'_> {
    /// Whether there is a match from `at` on; if so, `places` says where.
    fn search(&mut self, at: usize, budget: &mut Budget) -> Result<bool, Failure> {
        match &mut self.engine {
            Engine::Automaton { engine, text, work, slots } => {
                budget.step(*work)?;
                let input = Input::new(*text).range(at..);
                if let [place] = self.places.as_mut_slice() {
                    *place = engine.search(&input).map(|found| found.span());
                    return Ok(place.is_some());
                }
                slots.fill(None);
                if engine.search_slots(&input, slots).is_none() {
                    return Ok(false);
                }
                let ends = slots.chunks_exact(2);
                for (place, ends) in self.places.iter_mut().zip(ends) {
                    *place = match ends {
                        [Some(start), Some(end)] => Some(Span::from(start.get()..end.get())),
                        _ => None,
                    };
                }
            }
            Engine::Machine(machine) => {
                let Some(slots) = machine.search(at, budget)? else { return Ok(false) };
                for (place, ends) in self.places.iter_mut().zip(slots.chunks_exact(2)) {
                    *place = match *ends {
                        [start, end] if start != UNSET && end != UNSET => Some(Span::from(start..end)),
                        _ => None,
                    };
                }
            }
        }
        Ok(true)
    }
}

/// The expression for a node, and its weight. Recurses.
fn translated(tree: &Tree, id: Id) -> (Hir, u64) {
    let node = tree.node(id);
    let sub = || node.subs.first().map_or((Hir::empty(), 0), |sub| translated(tree, *sub));
    let all = || node.subs.iter().map(|sub| translated(tree, *sub)).unzip::<_, _, Vec<Hir>, Vec<u64>>();
    match node.op {
        Op::NoMatch | Op::LeftParen | Op::VerticalBar => (Hir::fail(), 1),
        Op::Empty => (Hir::empty(), 1),
        Op::Literal => literal(node),
        Op::Class => class(unicode::class(&node.ranges)),
        Op::AnyButNewline => (Hir::dot(hir::Dot::AnyCharExceptLF), 10),
        Op::Any => (Hir::dot(hir::Dot::AnyChar), 10),
        Op::LineStart => (Hir::look(hir::Look::StartLF), 1),
        Op::LineEnd => (Hir::look(hir::Look::EndLF), 1),
        Op::TextStart => (Hir::look(hir::Look::Start), 1),
        Op::TextEnd => (Hir::look(hir::Look::End), 1),
        Op::WordBoundary => (Hir::look(hir::Look::WordAscii), 1),
        Op::NoWordBoundary => (Hir::look(hir::Look::WordAsciiNegate), 1),
        Op::Group => {
            let (sub, weight) = sub();
            // Groups are far fewer than that. Go's names needn't be distinct, so they stay here.
            let index = u32::try_from(node.group).unwrap_or(u32::MAX);
            (Hir::capture(hir::Capture { index, name: None, sub: Box::new(sub) }), weight.saturating_add(2))
        }
        Op::Star => repetition(sub(), 0, None, node),
        Op::Plus => repetition(sub(), 1, None, node),
        Op::Quest => repetition(sub(), 0, Some(1), node),
        Op::Repeat => {
            // At most 1000; a maximum of -1 is none.
            let min = u32::try_from(node.min).unwrap_or(0);
            repetition(sub(), min, u32::try_from(node.max).ok(), node)
        }
        Op::Concat => {
            let (subs, weights) = all();
            (Hir::concat(subs), sum(&weights))
        }
        Op::Alternate => {
            let (subs, weights) = all();
            (Hir::alternation(subs), sum(&weights).saturating_add(1))
        }
    }
}

fn sum(weights: &[u64]) -> u64 {
    weights.iter().fold(0, |sum, weight| sum.saturating_add(*weight))
}

fn repetition((sub, weight): (Hir, u64), min: u32, max: Option<u32>, node: &Node) -> (Hir, u64) {
    let times = u64::from(max.unwrap_or(min).max(1));
    let hir = Hir::repetition(hir::Repetition { min, max, greedy: !node.is_lazy(), sub: Box::new(sub) });
    (hir, weight.saturating_add(1).saturating_mul(times))
}

fn literal(node: &Node) -> (Hir, u64) {
    let letters = node.runes.iter().map(|rune| {
        let orbit = if node.folds() { unicode::orbit(*rune) } else { vec![*rune] };
        let ranges: Vec<_> = orbit.into_iter().map(|rune| (rune, rune)).collect();
        class(unicode::class(&ranges))
    });
    let (letters, weights): (Vec<Hir>, Vec<u64>) = letters.unzip();
    (Hir::concat(letters), sum(&weights))
}

fn class(class: hir::ClassUnicode) -> (Hir, u64) {
    let beyond_ascii = class.ranges().iter().filter(|range| !range.end().is_ascii()).count();
    (Hir::class(hir::Class::Unicode(class)), 1 + 3 * beyond_ascii as u64)
}
