//! `glob.match` and `glob.quote_meta`.
//!
//! The syntax, the tree that a pattern compiles to, and the backtracking over it follow `github.com/gobwas/glob`
//! v1.0.0, which OPA matches with. Its search isn't complete: a star that takes anything drops the places where earlier
//! stars could go on, though alternatives between them may have made those the only ones that lead to a match. So
//! `*{abbbb,b}**bbc?*` doesn't match `abbbbcxbbc`, here neither.
//!
//! Backtracking may take time exponential in the number of stars. When it takes long, [`Glob::accepts`] asks what the
//! pattern means, in time linear in the text: what that denies can't be found by any search, and without alternatives
//! nothing is dropped that matters. What is left is searched for as long as the budget lasts.

mod lexer;

use std::collections::BTreeMap;

use self::lexer::{Lexer, Token};
use super::patterns::Delimiters;
use super::{Budget, Context, Failure, Function, Limit, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("glob.match", matches), ("glob.quote_meta", quote_meta)];

/// Bytes that a pattern may have.
const MAX_PATTERN: usize = 1 << 16;
/// Braces within braces that a pattern may have: compiling it recurses.
const MAX_NESTING: usize = 12;
/// The steps after which a search has taken long.
const LONG: u64 = 10_000;

fn matches(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let delimiters = Delimiters::new(args, 2)?;
    let text = operand::string(args, 3)?;
    let glob = ctx.patterns.glob(pattern, delimiters, ctx.budget)?;
    glob.is_match(text, ctx.budget).map(Value::Bool)
}

fn quote_meta(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len())?;
    let mut quoted = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\' | '[' | ']' | '{' | '}') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Ok(Value::from(quoted))
}

/// What every text begins with that `pattern` matches.
pub(crate) fn prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '\\', '[', ']', '{', '}', ',']).unwrap_or(pattern.len());
    pattern.get(..end).unwrap_or_default()
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    instructions: Vec<Instruction>,
    /// What `*` and `?` don't match.
    delimiters: Box<[char]>,
    /// Whether a search may have to go back.
    backtracks: bool,
    /// Whether a search may miss a match.
    loses: bool,
    /// What every match is at least as long as, and ends with.
    min_len: usize,
    suffix: Box<str>,
}

/// An instruction of a search; unless it says otherwise, the next one follows.
#[derive(Debug)]
enum Instruction {
    One(One),
    Star(Star),
    /// Nothing follows these but the end.
    Tail(Tail),
    /// Goes on at the first of these.
    Alternatives(Alternatives),
    /// Goes on after all alternatives.
    Leave(usize),
    End,
}

#[derive(Debug)]
struct Alternatives {
    /// Where each begins.
    starts: Vec<usize>,
    /// Alternatives that these are within.
    depth: usize,
}

/// Matches one way only.
#[derive(Debug, Clone)]
enum One {
    Text(Box<str>),
    /// Anything but a delimiter.
    Char,
    Range {
        low: char,
        high: char,
        not: bool,
    },
    Set {
        chars: Vec<char>,
        not: bool,
    },
}

#[derive(Debug, Clone, Default)]
struct Star {
    /// Whether it stops at delimiters.
    stops: bool,
    /// What follows, if that is certain.
    next: Box<str>,
    /// Whether nothing follows.
    terminal: bool,
    depth: usize,
}

#[derive(Debug, Clone)]
enum Tail {
    Prefix { text: String, stops: bool },
    Suffix { text: String, stops: bool },
    Both { prefix: String, suffix: String, stops: bool },
    Contains(String),
}

// === impl Glob ===

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It isn't one, or is too large.
    pub(super) fn new(pattern: &str, delimiters: &[char], budget: &mut Budget) -> Result<Self, Failure> {
        if pattern.len() > MAX_PATTERN {
            return Err(Failure::Limit(Limit::Size));
        }
        budget.alloc(pattern.len().saturating_mul(64).saturating_add(256))?;
        let tree = parse(pattern, !delimiters.is_empty())?;
        let mut tree = specialized(tree, true);
        annotate(&mut tree, true);
        let backtracks = tree.backtracks();
        let loses = tree.has_alternatives() && tree.has_dropping_star();
        let (min_len, suffix) = if backtracks { (tree.min_len(), tree.suffix().into()) } else { (0, Box::default()) };
        let mut instructions = vec![];
        emit(tree, 0, &mut instructions);
        instructions.push(Instruction::End);
        Ok(Self { instructions, delimiters: delimiters.into(), backtracks, loses, min_len, suffix })
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.instructions.len() * 2 * size_of::<Instruction>() + self.suffix.len() + 256
    }

    /// Whether all of `text` matches.
    ///
    /// # Errors
    /// The budget is spent.
    pub(super) fn is_match(&self, text: &str, budget: &mut Budget) -> Result<bool, Failure> {
        budget.read(text.len())?;
        if self.backtracks && (text.len() < self.min_len || !text.ends_with(&*self.suffix)) {
            return Ok(false);
        }
        let mut search = Search { glob: self, text, stars: vec![], alternatives: vec![], floors: vec![], steps: 0 };
        let mut place = Some(Place { at: 0, offset: 0 });
        let mut unsure = true;
        let mut bytes = 0;
        while let Some(from) = place {
            if search.run(from) {
                return Ok(true);
            }
            if search.steps > LONG {
                budget.step(std::mem::take(&mut search.steps))?;
                budget.alloc(search.bytes().saturating_sub(bytes))?;
                bytes = search.bytes();
                if unsure {
                    unsure = false;
                    let accepts = self.accepts(text, budget)?;
                    if !accepts || !self.loses {
                        return Ok(accepts);
                    }
                }
            }
            place = search.back();
        }
        budget.step(search.steps)?;
        Ok(false)
    }

    /// Whether the pattern stands for `text`, found or not: follows all ways at once.
    fn accepts(&self, text: &str, budget: &mut Budget) -> Result<bool, Limit> {
        let mut waiting = BTreeMap::from([(0, vec![0])]);
        let mut seen = vec![usize::MAX; self.instructions.len()];
        while let Some((offset, mut places)) = waiting.pop_first() {
            let rest = text.get(offset..).unwrap_or_default();
            while let Some(at) = places.pop() {
                let Some(seen) = seen.get_mut(at).filter(|seen| **seen != offset) else { continue };
                *seen = offset;
                budget.step(16)?;
                let mut wait = |len: usize, at: usize| waiting.entry(offset + len).or_default().push(at);
                match self.instructions.get(at) {
                    Some(Instruction::One(one)) => {
                        if let Some(len) = one.matches(rest, &self.delimiters) {
                            if len == 0 { places.push(at + 1) } else { wait(len, at + 1) }
                        }
                    }
                    Some(Instruction::Star(star)) => {
                        places.push(at + 1);
                        if let Some(c) = rest.chars().next().filter(|c| !star.stops || !self.delimiters.contains(c)) {
                            wait(c.len_utf8(), at);
                        }
                    }
                    Some(Instruction::Tail(tail)) => {
                        budget.read(rest.len())?;
                        if tail.matches(rest, &self.delimiters) {
                            return Ok(true);
                        }
                    }
                    Some(Instruction::Alternatives(alternatives)) => places.extend_from_slice(&alternatives.starts),
                    Some(Instruction::Leave(target)) => places.push(*target),
                    Some(Instruction::End) if rest.is_empty() => return Ok(true),
                    Some(Instruction::End) | None => {}
                }
            }
        }
        Ok(false)
    }
}

impl One {
    /// How much of the beginning of `text` it matches.
    fn matches(&self, text: &str, delimiters: &[char]) -> Option<usize> {
        if let Self::Text(literal) = self {
            return text.starts_with(&**literal).then_some(literal.len());
        }
        let c = text.chars().next()?;
        let matches = match self {
            Self::Text(_) => false,
            Self::Char => !delimiters.contains(&c),
            Self::Range { low, high, not } => (*low..=*high).contains(&c) != *not,
            Self::Set { chars, not } => chars.binary_search(&c).is_ok() != *not,
        };
        matches.then_some(c.len_utf8())
    }
}

impl Star {
    /// How far it may reach.
    fn reach(&self, text: &str, delimiters: &[char]) -> usize {
        let stop = if self.stops { find_delimiter(text, delimiters) } else { None };
        stop.unwrap_or(text.len())
    }

    /// The next place in `text` where going on from could lead anywhere.
    fn restart(&self, text: &str, delimiters: &[char]) -> Option<usize> {
        let c = text.chars().next()?;
        if self.next.is_empty() {
            return (!self.stops || !delimiters.contains(&c)).then(|| c.len_utf8());
        }
        let reach = self.reach(text, delimiters);
        // No literal begins within a character, so the first one may be skipped as a whole.
        let skip = c.len_utf8();
        let rest = text.get(skip..)?;
        let within = reach.saturating_add(self.next.len()).min(text.len()).saturating_sub(skip);
        let found = skip + find(rest, &self.next, within)?;
        (found <= reach).then_some(found)
    }
}

fn find_delimiter(text: &str, delimiters: &[char]) -> Option<usize> {
    match delimiters {
        [one] => text.find(*one),
        several => text.find(several),
    }
}

/// Where `needle` is in the first `within` bytes of `text`, which may end within a character.
fn find(text: &str, needle: &str, within: usize) -> Option<usize> {
    // Preparing a search takes longer than one in a short text.
    if needle.len() <= 16 {
        return text.as_bytes().get(..within)?.windows(needle.len()).position(|part| part == needle.as_bytes());
    }
    let mut end = within.min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let at = text.get(..end)?.find(needle)?;
    (at + needle.len() <= within).then_some(at)
}

impl Tail {
    fn matches(&self, text: &str, delimiters: &[char]) -> bool {
        let is_free = |rest: &str, stops: bool| !stops || find_delimiter(rest, delimiters).is_none();
        match self {
            Self::Prefix { text: prefix, stops } => {
                text.strip_prefix(prefix.as_str()).is_some_and(|rest| is_free(rest, *stops))
            }
            Self::Suffix { text: suffix, stops } => {
                text.strip_suffix(suffix.as_str()).is_some_and(|rest| is_free(rest, *stops))
            }
            Self::Both { prefix, suffix, stops } => text
                .strip_prefix(prefix.as_str())
                .and_then(|rest| rest.strip_suffix(suffix.as_str()))
                .is_some_and(|rest| is_free(rest, *stops)),
            Self::Contains(literal) => text.contains(literal.as_str()),
        }
    }
}

/// A search with all the places it can go back to.
struct Search<'a> {
    glob: &'a Glob,
    text: &'a str,
    /// Where a star can take more.
    stars: Vec<Place>,
    /// Which alternative can be tried next.
    alternatives: Vec<(Place, usize)>,
    /// For the alternatives that the search is within, how many `stars` there were outside of them.
    floors: Vec<usize>,
    /// Steps taken that haven't been charged.
    steps: u64,
}

/// An instruction, and where in the text.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    offset: usize,
}

impl Search<'_> {
    fn bytes(&self) -> usize {
        self.stars.capacity() * size_of::<Place>() + self.alternatives.capacity() * size_of::<(Place, usize)>()
    }

    /// Goes on from a place as long as all matches.
    fn run(&mut self, Place { mut at, mut offset }: Place) -> bool {
        let (glob, text) = (self.glob, self.text);
        loop {
            self.steps += 1;
            let rest = text.get(offset..).unwrap_or_default();
            match glob.instructions.get(at) {
                Some(Instruction::One(one)) => match one.matches(rest, &glob.delimiters) {
                    Some(len) => offset += len,
                    None => return false,
                },
                Some(Instruction::Star(star)) if star.terminal => {
                    self.steps += rest.len() as u64 / 16;
                    offset += star.reach(rest, &glob.delimiters);
                }
                Some(Instruction::Star(star)) => {
                    let restart = star.restart(rest, &glob.delimiters);
                    self.steps += restart.unwrap_or(rest.len()) as u64 / 16;
                    if star.stops && !star.next.is_empty() {
                        self.steps += rest.len() as u64 / 16;
                    }
                    if let Some(len) = restart {
                        if !star.stops {
                            self.stars.truncate(self.floors.last().copied().unwrap_or(0));
                        }
                        self.stars.push(Place { at, offset: offset + len });
                    }
                }
                Some(Instruction::Tail(tail)) => {
                    self.steps += rest.len() as u64 / 16;
                    return tail.matches(rest, &glob.delimiters);
                }
                Some(Instruction::Alternatives(alternatives)) => {
                    match self.choose(alternatives, Place { at, offset }, 0) {
                        Some(start) => at = start,
                        None => return false,
                    }
                    continue;
                }
                Some(Instruction::Leave(target)) => {
                    self.floors.pop();
                    at = *target;
                    continue;
                }
                Some(Instruction::End) | None => return rest.is_empty(),
            }
            at += 1;
        }
    }

    /// Enters an alternative, and remembers the one after it.
    fn choose(&mut self, alternatives: &Alternatives, place: Place, chosen: usize) -> Option<usize> {
        if chosen + 1 < alternatives.starts.len() {
            self.alternatives.push((place, chosen + 1));
        }
        self.floors.push(self.stars.len());
        alternatives.starts.get(chosen).copied()
    }

    /// Goes back to the latest star, or else to the latest alternative.
    fn back(&mut self) -> Option<Place> {
        self.floors.clear();
        if let Some(place) = self.stars.pop() {
            if let Some(Instruction::Star(star)) = self.glob.instructions.get(place.at) {
                self.floors.resize(star.depth, self.stars.len());
            }
            return Some(place);
        }
        let (place, chosen) = self.alternatives.pop()?;
        let Some(Instruction::Alternatives(alternatives)) = self.glob.instructions.get(place.at) else { return None };
        self.floors.resize(alternatives.depth, 0);
        let at = self.choose(alternatives, place, chosen)?;
        Some(Place { at, ..place })
    }
}

/// A pattern as a tree.
enum Tree {
    One(One),
    Star(Star),
    Tail(Tail),
    Nothing,
    Sequence(Vec<Tree>),
    Alternatives(Vec<Tree>),
}

impl Tree {
    /// Whether there may be places to go back to.
    fn backtracks(&self) -> bool {
        match self {
            Self::Alternatives(_) => true,
            Self::Sequence(parts) => parts.iter().any(Self::backtracks),
            Self::Star(star) => !star.terminal,
            _ => false,
        }
    }

    fn has_alternatives(&self) -> bool {
        match self {
            Self::Alternatives(_) => true,
            Self::Sequence(parts) => parts.iter().any(Self::has_alternatives),
            _ => false,
        }
    }

    /// Whether there is a star that makes a search drop places.
    fn has_dropping_star(&self) -> bool {
        match self {
            Self::Alternatives(parts) | Self::Sequence(parts) => parts.iter().any(Self::has_dropping_star),
            Self::Star(star) => !star.stops && !star.terminal,
            _ => false,
        }
    }

    fn min_len(&self) -> usize {
        match self {
            Self::One(One::Text(text)) => text.len(),
            Self::One(_) => 1,
            Self::Tail(Tail::Prefix { text, .. } | Tail::Suffix { text, .. } | Tail::Contains(text)) => text.len(),
            Self::Tail(Tail::Both { prefix, suffix, .. }) => prefix.len() + suffix.len(),
            Self::Sequence(parts) => parts.iter().map(Self::min_len).sum(),
            Self::Alternatives(parts) => parts.iter().map(Self::min_len).min().unwrap_or(0),
            Self::Star(_) | Self::Nothing => 0,
        }
    }

    fn suffix(&self) -> &str {
        match self {
            Self::One(One::Text(text)) => text,
            Self::Tail(Tail::Suffix { text: suffix, .. } | Tail::Both { suffix, .. }) => suffix,
            Self::Sequence(parts) => parts.last().map_or("", Self::suffix),
            Self::Alternatives(parts) => parts.iter().map(Self::suffix).reduce(common_suffix).unwrap_or_default(),
            _ => "",
        }
    }

    /// What it certainly begins with.
    fn literal(&self) -> &str {
        match self {
            Self::One(One::Text(text)) => text,
            Self::Tail(Tail::Prefix { text: prefix, .. } | Tail::Both { prefix, .. }) => prefix,
            _ => "",
        }
    }
}

fn common_suffix<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b);
    let len: usize = same.map(|(c, _)| c.len_utf8()).sum();
    a.get(a.len() - len..).unwrap_or_default()
}

/// Braces that aren't closed.
#[derive(Default)]
struct Open {
    alternatives: Vec<Tree>,
    sequence: Vec<Tree>,
}

/// Reads a pattern, and opens up what contains one thing only.
fn parse(pattern: &str, has_delimiters: bool) -> Result<Tree, Failure> {
    let mut lexer = Lexer::new(pattern);
    let mut open: Vec<Open> = vec![];
    let mut sequence = vec![];
    loop {
        match lexer.next() {
            Token::End if open.is_empty() => return Ok(sequence_of(sequence)),
            Token::End => return Err(syntax(&lexer, "unclosed `{`")),
            Token::Error(reason) => return Err(syntax(&lexer, reason)),
            Token::Single => sequence.push(Tree::One(One::Char)),
            Token::Text(text) => sequence.push(Tree::One(One::Text(text.into()))),
            Token::Any => sequence.push(Tree::Star(Star { stops: has_delimiters, ..Star::default() })),
            Token::Super => sequence.push(Tree::Star(Star::default())),
            Token::RangeOpen => sequence.push(Tree::One(parse_range(&mut lexer)?)),
            Token::TermsOpen if open.len() >= MAX_NESTING => return Err(Failure::Limit(Limit::Size)),
            Token::TermsOpen => open.push(Open { alternatives: vec![], sequence: std::mem::take(&mut sequence) }),
            Token::Separator => match open.last_mut() {
                Some(open) => open.alternatives.push(sequence_of(std::mem::take(&mut sequence))),
                None => return Err(syntax(&lexer, "unexpected `,`")),
            },
            Token::TermsClose => {
                let Some(mut closed) = open.pop() else { return Err(syntax(&lexer, "unexpected `}`")) };
                closed.alternatives.push(sequence_of(sequence));
                sequence = closed.sequence;
                sequence.push(single(closed.alternatives, Tree::Alternatives));
            }
            Token::Not | Token::RangeClose | Token::Low(_) | Token::Between | Token::High(_) => {
                return Err(syntax(&lexer, "unexpected token"));
            }
        }
    }
}

/// What follows a `[`.
fn parse_range(lexer: &mut Lexer<'_>) -> Result<One, Failure> {
    let mut not = false;
    let (mut low, mut high, mut chars) = (None, None, None);
    loop {
        match lexer.next() {
            Token::Error(reason) => return Err(syntax(lexer, reason)),
            Token::Not => not = true,
            Token::Low(c) => low = Some(c),
            Token::High(c) => {
                if low.is_some_and(|low| c < low) {
                    return Err(syntax(lexer, "range hi character is less than lo"));
                }
                high = Some(c);
            }
            Token::Text(text) => {
                let mut set: Vec<char> = text.chars().collect();
                set.sort_unstable();
                set.dedup();
                chars = Some(set);
            }
            Token::RangeClose => {
                return match (low.zip(high), chars) {
                    (Some((low, high)), None) => Ok(One::Range { low, high, not }),
                    (None, Some(chars)) => Ok(One::Set { chars, not }),
                    _ => Err(syntax(lexer, "could not parse range")),
                };
            }
            Token::End => return Err(syntax(lexer, "unclosed `[`")),
            _ => {}
        }
    }
}

fn syntax(lexer: &Lexer<'_>, reason: &str) -> Failure {
    Failure::error(format!("glob: syntax error at {}: {reason}", lexer.offset()))
}

/// The parts as one, those opened up that are sequences themselves, and joined that belong together.
fn sequence_of(parts: Vec<Tree>) -> Tree {
    let mut joined = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Tree::Sequence(parts) => parts.into_iter().for_each(|part| join(&mut joined, part)),
            part => join(&mut joined, part),
        }
    }
    single(joined, Tree::Sequence)
}

fn single(mut parts: Vec<Tree>, of: fn(Vec<Tree>) -> Tree) -> Tree {
    if parts.len() > 1 { of(parts) } else { parts.pop().unwrap_or(Tree::Nothing) }
}

fn join(joined: &mut Vec<Tree>, part: Tree) {
    match (joined.last_mut(), part) {
        (_, Tree::Nothing) => {}
        (Some(Tree::One(One::Text(before))), Tree::One(One::Text(text))) => {
            *before = format!("{before}{text}").into();
        }
        (Some(Tree::Star(before)), Tree::Star(star)) => before.stops &= star.stops,
        (_, part) => joined.push(part),
    }
}

/// Puts the ends of the pattern in forms that are matched at once.
fn specialized(tree: Tree, tail: bool) -> Tree {
    match tree {
        Tree::Alternatives(parts) => {
            Tree::Alternatives(parts.into_iter().map(|part| specialized(part, tail)).collect())
        }
        Tree::Sequence(parts) => {
            let last = parts.len().saturating_sub(1);
            let parts = parts.into_iter().enumerate();
            let mut parts: Vec<_> = parts.map(|(at, part)| specialized(part, tail && at == last)).collect();
            if tail {
                fold_tail(&mut parts);
            }
            single(parts, Tree::Sequence)
        }
        tree => tree,
    }
}

fn fold_tail(parts: &mut Vec<Tree>) {
    while let Some(last) = parts.pop() {
        let folded = match (parts.last(), &last) {
            (Some(Tree::One(One::Text(text))), Tree::Star(star)) => {
                Tail::Prefix { text: text.to_string(), stops: star.stops }
            }
            (Some(Tree::Star(star)), Tree::One(One::Text(text))) => {
                Tail::Suffix { text: text.to_string(), stops: star.stops }
            }
            (Some(Tree::One(One::Text(text))), Tree::Tail(Tail::Prefix { text: rest, stops })) => {
                Tail::Prefix { text: format!("{text}{rest}"), stops: *stops }
            }
            (Some(Tree::Star(star)), Tree::Tail(Tail::Prefix { text, stops })) if !star.stops && !stops => {
                Tail::Contains(text.clone())
            }
            (Some(Tree::One(One::Text(text))), Tree::Tail(Tail::Suffix { text: suffix, stops })) => {
                Tail::Both { prefix: text.to_string(), suffix: suffix.clone(), stops: *stops }
            }
            (Some(Tree::Star(star)), Tree::Tail(Tail::Contains(text))) if !star.stops => Tail::Contains(text.clone()),
            _ => {
                parts.push(last);
                return;
            }
        };
        parts.pop();
        parts.push(Tree::Tail(folded));
    }
}

/// Tells stars what follows them.
fn annotate(tree: &mut Tree, tail: bool) {
    match tree {
        Tree::Star(star) => star.terminal = tail,
        Tree::Alternatives(parts) => parts.iter_mut().for_each(|part| annotate(part, tail)),
        Tree::Sequence(parts) => {
            let mut parts = parts.iter_mut().peekable();
            while let Some(part) = parts.next() {
                let next = parts.peek();
                annotate(part, tail && next.is_none());
                if let (Tree::Star(star), Some(next)) = (part, next) {
                    star.next = next.literal().into();
                }
            }
        }
        _ => {}
    }
}

/// Writes a tree down as instructions. Recurses, as deep as braces are nested.
fn emit(tree: Tree, depth: usize, instructions: &mut Vec<Instruction>) {
    match tree {
        Tree::One(one) => instructions.push(Instruction::One(one)),
        Tree::Star(star) => instructions.push(Instruction::Star(Star { depth, ..star })),
        Tree::Tail(tail) => instructions.push(Instruction::Tail(tail)),
        Tree::Nothing => {}
        Tree::Sequence(parts) => parts.into_iter().for_each(|part| emit(part, depth, instructions)),
        Tree::Alternatives(parts) => {
            let enter = instructions.len();
            instructions.push(Instruction::End);
            let mut starts = Vec::with_capacity(parts.len());
            let mut leaves = Vec::with_capacity(parts.len());
            for part in parts {
                starts.push(instructions.len());
                emit(part, depth + 1, instructions);
                leaves.push(instructions.len());
                instructions.push(Instruction::End);
            }
            let after = instructions.len();
            for leave in leaves {
                set(instructions, leave, Instruction::Leave(after));
            }
            set(instructions, enter, Instruction::Alternatives(Alternatives { starts, depth }));
        }
    }
}

fn set(instructions: &mut [Instruction], at: usize, instruction: Instruction) {
    if let Some(slot) = instructions.get_mut(at) {
        *slot = instruction;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::patterns::tests::{budget, call};

    /// Calls, and what OPA makes of them.
    const CALLS: &[(&str, &str, &str)] = &[
        ("glob.match", r#"["*", [], "foo.bar"]"#, "value false"),
        ("glob.match", r#"["*", null, "foo.bar"]"#, "value true"),
        ("glob.match", r#"["**", [], "foo.bar"]"#, "value true"),
        ("glob.match", r#"["*:github:com", [":"], "api:github:com"]"#, "value true"),
        ("glob.match", r#"["a?c", null, "aéc"]"#, "value true"),
        ("glob.match", r#"["a*c", ["é"], "aéc"]"#, "value false"),
        ("glob.match", r#"["a*c", ["日", "."], "axxc"]"#, "value true"),
        ("glob.match", r#"["[abc]at", [], "cat"]"#, "value true"),
        ("glob.match", r#"["[!a-c]at", [], "bat"]"#, "value false"),
        ("glob.match", r#"["[!a]", null, ""]"#, "value false"),
        ("glob.match", r#"["[!-a]", null, "-"]"#, "value false"),
        ("glob.match", r#"["[a-c-e]", null, "a"]"#, "error glob: syntax error at 5: expected close range character"),
        ("glob.match", r#"["[\\a-c]", null, "-"]"#, "value true"),
        ("glob.match", r#"["[\\-x]", null, "a"]"#, "value true"),
        ("glob.match", r#"["[a\\]b]", null, "]"]"#, "value true"),
        ("glob.match", r#"["[.-z]", ["."], "."]"#, "value true"),
        ("glob.match", r#"["{cat,bat,[fr]at}", [], "rat"]"#, "value true"),
        ("glob.match", r#"["{**/,}x", null, "x"]"#, "value true"),
        ("glob.match", r#"["**/x", null, "x"]"#, "value false"),
        ("glob.match", r#"["a,b", null, "a,b"]"#, "value true"),
        ("glob.match", r#"["{}a", null, "a"]"#, "value true"),
        ("glob.match", r#"["{a,{b,c}d}e", null, "cde"]"#, "value true"),
        ("glob.match", r#"["a*ant", null, "ant"]"#, "value false"),
        ("glob.match", r#"["a}", null, "a}"]"#, "value true"),
        ("glob.match", r#"["\\*", null, "a"]"#, "value false"),
        ("glob.match", r#"["***", ["."], "a.b"]"#, "value true"),
        ("glob.match", r#"["*?*", [".", "/"], "a/b"]"#, "value false"),
        ("glob.match", r#"["test*201901*.12*", null, "test.20190101.120000"]"#, "value true"),
        ("glob.match", r#"["*a*a*b", ["."], "xaxa.ab"]"#, "value false"),
        ("glob.match", r#"["*{abbbb,b}**bbc?*", null, "abbbbcxbbc"]"#, "value false"),
        ("glob.match", r#"["{abbbb,b,*b}**bbc?*", [], "abbbbcxbbc"]"#, "value true"),
        ("glob.match", r#"["*{*0,}", null, "1"]"#, "value true"),
        ("glob.match", r#"["{a,}{a,}a", null, "a"]"#, "value true"),
        ("glob.match", r#"["a[", [], "a"]"#, "error glob: syntax error at 2: unexpected end of input"),
        ("glob.match", r#"["[]a]", [], "a"]"#, "error glob: syntax error at 2: could not parse range"),
        ("glob.match", r#"["[]", [], "a"]"#, "error glob: syntax error at 2: could not parse range"),
        ("glob.match", r#"["[!]", [], "a"]"#, "error glob: syntax error at 3: could not parse range"),
        ("glob.match", r#"["[b-a]", [], "a"]"#, "error glob: syntax error at 5: range hi character is less than lo"),
        ("glob.match", r#"["[a-bc]", [], "a"]"#, "error glob: syntax error at 5: expected close range character"),
        ("glob.match", r#"["{a", [], "a"]"#, "error glob: syntax error at 2: unclosed `{`"),
        ("glob.match", r#"["a\\", [], "a"]"#, "error glob: syntax error at 2: trailing backslash"),
        ("glob.match", r#"["[a\\", [], "a"]"#, "error glob: syntax error at 3: unexpected end of input"),
        ("glob.match", r#"["[a-", [], "a"]"#, "error glob: syntax error at 3: unexpected end of input"),
        (
            "glob.match",
            r#"["a", ["ab"], "a"]"#,
            "operand operand 2 must be array of runes but got array containing string",
        ),
        (
            "glob.match",
            r#"["a", [1], "a"]"#,
            "operand operand 2 must be array of strings but got array containing number",
        ),
        ("glob.match", r#"["a", 3, "a"]"#, "operand operand 2 must be one of {array, null} but got number"),
        ("glob.match", r#"[1, [], "a"]"#, "operand operand 1 must be string but got number"),
        ("glob.match", r#"["a", null, 2]"#, "operand operand 3 must be string but got number"),
        ("glob.quote_meta", r#"["*.github.com"]"#, r#"value "\\*.github.com""#),
        ("glob.quote_meta", r#"["a?[b]{c},!\\-é"]"#, r#"value "a\\?\\[b\\]\\{c\\},!\\\\-é""#),
    ];

    #[test]
    fn as_opa() {
        for (name, operands, expected) in CALLS {
            for prepared in [false, true] {
                assert_eq!(call(FUNCTIONS, name, operands, prepared), *expected, "{name} {operands} {prepared}");
            }
        }
    }

    #[test]
    fn what_a_pattern_means_is_what_is_found() {
        let patterns = ["*a*b", "{a,ab}{c,bc,}", "?*[b-c]*", "*{a*,b}c", "**a?", "a{,b*}", "[!a]*.**"];
        let texts = ["", "a", "ab", "abc", "abbc", "a.bc", "ba.b", "xabcabc", "b.a.c", "..a.b"];
        for pattern in patterns {
            for delimiters in [&[][..], &['.']] {
                let glob = Glob::new(pattern, delimiters, &mut budget()).unwrap();
                for text in texts {
                    let found = glob.is_match(text, &mut budget()).unwrap();
                    assert_eq!(glob.accepts(text, &mut budget()), Ok(found), "{pattern} {delimiters:?} {text}");
                }
            }
        }
    }

    #[test]
    fn nothing_takes_forever() {
        let long = "ab".repeat(50_000);
        for (pattern, delimiters, expected) in [
            ("*a*a*a*a*a*a*c", ".", "value false"),
            ("{a,*}{a,*}{a,*}{a,*}{a,*}*b", ".", "value true"),
            ("{*a,*b}{*a,*b}{*a,*b}{*a,*b}c", ".", "value false"),
        ] {
            let operands = format!(r#"["{pattern}", ["{delimiters}"], "{long}"]"#);
            assert_eq!(call(FUNCTIONS, "glob.match", &operands, false), expected, "{pattern}");
        }
        let deep = format!(r#"["{}{}", null, "a"]"#, "{".repeat(1_000), "}".repeat(1_000));
        assert_eq!(call(FUNCTIONS, "glob.match", &deep, false), format!("{:?}", Failure::Limit(Limit::Size)));
    }
}
