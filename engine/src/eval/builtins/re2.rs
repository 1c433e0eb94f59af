//! Regular expressions as Go's `regexp` has them (RE2's syntax and meaning), so as OPA has them.
//!
//! Which texts are patterns, and what they mean, follows Go 1.26: [`parse`] reads a pattern as Go does and makes its
//! tree, [`unicode`] has Go's tables. Matching takes time linear in the text either way: by regex-automata, whose rules
//! are Go's once it has the tree (the leftmost match, of those the one that the pattern prefers), or by a [`machine`]
//! that runs a [`program`]. The former is faster, but knows no budget and takes long to build; so it only gets constant
//! patterns, and texts that it is done with in some milliseconds whatever pattern and text are.

mod machine;
mod parse;
mod program;
mod tree;
mod unicode;

use regex_automata::meta;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, Span};
use regex_syntax::hir::{self, Hir};

use self::machine::{Machine, UNSET};
use self::parse::ParseError;
use self::program::Program;
use self::tree::{Id, Node, Op, Tree};
use super::{Budget, Failure, Limit};

/// Bytes that a pattern may have.
pub(super) const MAX_PATTERN: usize = 1 << 16;
/// Nodes within each other that a pattern may have to get an engine: translating and building recurse.
const MAX_HEIGHT: usize = 16;
/// The weight up to which a pattern gets an engine.
const MAX_WEIGHT: u64 = 20_000;
/// The weight times the text's length up to which the engine may have a text.
const MAX_WORK: u64 = 1 << 20;
/// Bytes that an engine may take.
const MAX_ENGINE: usize = 10 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Regex {
    /// The names of the groups, from the first on.
    names: Vec<Option<Box<str>>>,
    program: Program,
    engine: Option<meta::Regex>,
    /// About how many states the engine has.
    weight: u64,
    /// Whether Go may take U+FFFD for something else.
    is_unsure: bool,
}

/// How long a pattern is going to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// As long as the program: it gets an engine, which takes some milliseconds, memory, and more stack than an
    /// evaluation can be sure to have.
    Constant,
    /// For a while.
    Passing,
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
        let program = Program::new(&tree, budget)?;
        // Go takes a surrogate for U+FFFD in some patterns that begin with `^`. In which isn't worth looking into.
        let is_unsure = tree.surrogates && tree.begins_with_text();
        let (engine, weight) = match used {
            Use::Constant if tree.height() <= MAX_HEIGHT => engine(&tree, budget)?,
            _ => (None, 0),
        };
        Ok(Self { names: tree.names, program, engine, weight, is_unsure })
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, |engine| engine.memory_usage() + 4_096) + self.program.bytes() + 256
    }

    /// The names of the groups, from the first on.
    pub(super) fn names(&self) -> &[Option<Box<str>>] {
        &self.names
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
        let mut machine = Machine::new(&self.program, text, None, budget)?;
        Ok(machine.search(0, budget)?.is_some())
    }

    /// Calls `each` with the match and, if asked for, its groups, for at most `most` matches, none overlapping. An
    /// empty match right after another one doesn't count.
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
            None => Engine::Machine(Box::new(Machine::new(&self.program, text, Some(groups), budget)?)),
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

    fn check(&self, text: &str) -> Result<(), Limit> {
        if self.is_unsure && text.contains('\u{FFFD}') { Err(Limit::Size) } else { Ok(()) }
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
        budget.step(self.places.len() as u64 / 4)?;
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

/// The engine for a pattern, if it doesn't get too large, and its weight.
fn engine(tree: &Tree, budget: &mut Budget) -> Result<(Option<meta::Regex>, u64), Limit> {
    let (hir, weight) = translated(tree, tree.root);
    if weight > MAX_WEIGHT {
        return Ok((None, weight));
    }
    // Building takes up to a microsecond for each state.
    budget.step(1_000 + weight.saturating_mul(100))?;
    let config = meta::Config::new().utf8_empty(true).nfa_size_limit(Some(MAX_ENGINE)).hybrid_cache_capacity(256 << 10);
    Ok((meta::Builder::new().configure(config).build_from_hir(&hir).ok(), weight))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::patterns::tests::budget;

    /// All ways of matching find the same.
    #[test]
    fn engine_and_machine_agree() {
        let patterns = [
            "a*",
            "(a|ab)(c|bcd)*",
            "(?:(a)|b)*?c",
            "(|a)+",
            "(a*)*",
            "(?i)[k-s]+",
            "\\bab?\\b",
            "^a|b$",
            "(?m)^.?$",
            "[^a-c]+",
            "(a{2,3}?b?){1,2}",
            "x*y?",
            "(?s).+?b",
            "\\B",
            "é|日",
            "((a)(b)?)+",
            "(?U)a+(b*)",
        ];
        let texts =
            ["", "a", "ab", "abab", "aabcd", "ababc bcd", "k\u{212a}sſS", "a\nb\n\nab", "é日aé", "xxyaabb ab a"];
        for pattern in patterns {
            let constant = Regex::new(pattern, Use::Constant, &mut budget()).unwrap();
            let passing = Regex::new(pattern, Use::Passing, &mut budget()).unwrap();
            assert!(constant.engine.is_some() && passing.engine.is_none());
            for text in texts {
                // Padding makes the text too long for going back.
                for padding in [0, 5_000] {
                    let text = format!("{text}{}", "~".repeat(padding));
                    assert_eq!(all(&constant, &text), all(&passing, &text), "{pattern} {text:.20}");
                }
            }
        }
    }

    fn all(regex: &Regex, text: &str) -> Vec<Vec<Place>> {
        let mut found = vec![];
        let budget = &mut budget();
        let each = |_: &mut Budget, places: &[Place]| {
            found.push(places.to_vec());
            Ok(())
        };
        regex.matches(text, 20, true, budget, each).unwrap();
        assert_eq!(regex.is_match(text, budget), Ok(!found.is_empty()));
        found
    }

    #[test]
    fn as_large_as_gos_but_for_the_text() {
        let is_valid = |pattern: &str| is_valid(pattern, &mut budget());
        for (pattern, expected) in [
            (format!("{}a{}", "(".repeat(999), ")".repeat(999)), Ok(true)),
            (format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000)), Ok(false)),
            (format!("(?:{}){{1000}}", "a".repeat(3_355)), Ok(true)),
            (format!("(?:{}){{1000}}", "a".repeat(3_356)), Ok(false)),
            ("a".repeat(MAX_PATTERN + 1), Err(Limit::Size)),
        ] {
            assert_eq!(is_valid(&pattern), expected, "{pattern:.20}");
        }
    }

    #[test]
    fn small_stacks_suffice() {
        let deep = format!("{}a{}", "(?:b|(".repeat(200), ")*c)".repeat(200));
        let prefixes = (1..200).map(|len| "ab".repeat(len)).collect::<Vec<_>>().join("|");
        let run = move || {
            let budget = &mut budget();
            assert_eq!(Regex::new(&deep, Use::Passing, budget).unwrap().is_match("bac", budget), Ok(true));
            assert_eq!(is_valid(&prefixes, budget), Err(Limit::Size));
        };
        std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
    }
}
