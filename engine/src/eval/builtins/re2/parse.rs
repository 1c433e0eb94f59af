//! Go's regular expressions as a tree: what `regexp/syntax.Parse` makes of a pattern with the flags `Perl`.
//!
//! After Go 1.26's `regexp/syntax/parse.go`, whose stack machine this is, step for step: which patterns are errors
//! depends on how many nodes it makes, how it merges them and what it has counted so far.

mod factor;
mod stack;

use std::collections::HashMap;
use std::rc::Rc;

use super::tree::{DOT_NEWLINE, FOLD, Flags, Id, LAZY, Node, Nodes, ONE_LINE, Op, Tree};
use super::unicode::{self, Range};
use crate::eval::builtins::{Budget, Limit};

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParseError {
    /// Go says so too: what is wrong, and with which part of the text.
    Syntax(&'static str, String),
    /// It takes more than there is to spend, or than is provided for.
    Limit(Limit),
}

/// Parses `text`.
///
/// # Errors
/// It is no pattern, or too much of one.
pub(super) fn parse(text: &str, budget: &mut Budget) -> Result<Tree, ParseError> {
    budget.alloc(text.len().saturating_mul(size_of::<Node>()))?;
    let parser = Parser {
        text,
        at: 0,
        flags: ONE_LINE,
        nodes: Nodes::default(),
        free: vec![],
        stack: vec![],
        names: vec![],
        surrogates: false,
        repeats: 1,
        sizes: false,
        heights: false,
        factoring: 0,
        tables: HashMap::new(),
        budget,
    };
    parser.parse()
}

const MAX_HEIGHT: u32 = 1_000;
/// Instructions a pattern may compile to.
const MAX_SIZE: i64 = (128 << 20) / 40;
/// How often one alternation may be split within another one's common prefix, which recurses.
const MAX_FACTORING: usize = 24;

const INVALID_CLASS_RANGE: &str = "invalid character class range";
const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_NAMED_CAPTURE: &str = "invalid named capture";
const INVALID_PERL_OP: &str = "invalid or unsupported Perl syntax";
const INVALID_REPEAT_OP: &str = "invalid nested repetition operator";
const INVALID_REPEAT_SIZE: &str = "invalid repeat count";
const MISSING_BRACKET: &str = "missing closing ]";
const MISSING_PAREN: &str = "missing closing )";
const MISSING_REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const UNEXPECTED_PAREN: &str = "unexpected )";
const NESTING_DEPTH: &str = "expression nests too deeply";
const LARGE: &str = "expression too large";

/// What Go's `nextRune` gives at the end of the text.
const NO_CHAR: char = '\u{FFFD}';

struct Parser<'a> {
    text: &'a str,
    at: usize,
    flags: Flags,
    nodes: Nodes,
    /// Nodes to be used again, the last one first.
    free: Vec<Id>,
    stack: Vec<Id>,
    names: Vec<Option<Box<str>>>,
    surrogates: bool,
    /// The product of all repetitions.
    repeats: i64,
    /// Whether sizes, and heights, are looked at: only in large patterns.
    sizes: bool,
    heights: bool,
    factoring: usize,
    /// Unicode's tables by name, folded or not; none for a name that isn't one.
    tables: HashMap<(String, bool), Option<Rc<[Range]>>>,
    budget: &'a mut Budget,
}

type Parsed<T> = Result<T, ParseError>;

/// A repetition: at least and at most how often, and where its text ends.
struct Repetition {
    min: i64,
    max: i64,
    end: usize,
}

impl From<Limit> for ParseError {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn parse(mut self) -> Parsed<Tree> {
        let mut last_repeat = None;
        while let Some(c) = self.peek() {
            self.budget.step(1)?;
            let start = self.at;
            let mut repeat = None;
            match c {
                '(' if self.rest().starts_with("(?") => self.perl_flags()?,
                '(' => {
                    self.at += 1;
                    self.open_group(None)?;
                }
                '|' => {
                    self.at += 1;
                    self.vertical_bar()?;
                }
                ')' => {
                    self.at += 1;
                    self.right_paren()?;
                }
                '^' | '$' | '.' => {
                    self.at += 1;
                    self.push_op(match c {
                        '^' if self.has(ONE_LINE) => Op::TextStart,
                        '^' => Op::LineStart,
                        '$' if self.has(ONE_LINE) => Op::TextEnd,
                        '$' => Op::LineEnd,
                        _ if self.has(DOT_NEWLINE) => Op::Any,
                        _ => Op::AnyButNewline,
                    })?;
                }
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    let op = match c {
                        '*' => Op::Star,
                        '+' => Op::Plus,
                        _ => Op::Quest,
                    };
                    self.repeat(op, &Repetition { min: 0, max: 0, end: start + 1 }, last_repeat)?;
                    repeat = Some(start);
                }
                '{' => match self.repetition() {
                    Some(repetition) => {
                        let Repetition { min, max, end } = repetition;
                        if !(0..=1_000).contains(&min) || max > 1_000 || max >= 0 && min > max {
                            return Err(self.syntax(INVALID_REPEAT_SIZE, start, end));
                        }
                        self.repeat(Op::Repeat, &repetition, last_repeat)?;
                        repeat = Some(start);
                    }
                    None => {
                        self.at += 1;
                        self.literal('{')?;
                    }
                },
                '\\' => self.escape()?,
                c => {
                    self.at += c.len_utf8();
                    self.literal(c)?;
                }
            }
            last_repeat = repeat;
        }
        self.end_alternation()?;
        match self.stack.as_slice() {
            &[root] => Ok(Tree { nodes: self.nodes, root, names: self.names, surrogates: self.surrogates }),
            _ => Err(self.syntax(MISSING_PAREN, 0, self.text.len())),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The next character, or [`NO_CHAR`].
    fn next(&mut self) -> char {
        match self.peek() {
            Some(c) => {
                self.at += c.len_utf8();
                c
            }
            None => NO_CHAR,
        }
    }

    fn has(&self, flag: Flags) -> bool {
        self.flags & flag != 0
    }

    fn syntax(&self, what: &'static str, start: usize, end: usize) -> ParseError {
        ParseError::Syntax(what, self.text.get(start..end).unwrap_or_default().to_owned())
    }

    /// `(?` and what follows: a named group, flags, or both flags and a group.
    fn perl_flags(&mut self) -> Parsed<()> {
        let start = self.at;
        let rest = self.rest();
        let name_at = match rest.as_bytes() {
            [_, _, b'P', b'<', _, ..] => Some(4),
            [_, _, b'<', _, ..] => Some(3),
            _ => None,
        };
        if let Some(name_at) = name_at {
            let Some(end) = rest.find('>') else {
                return Err(self.syntax(INVALID_NAMED_CAPTURE, start, self.text.len()));
            };
            let name = rest.get(name_at..end).unwrap_or_default();
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(self.syntax(INVALID_NAMED_CAPTURE, start, start + end + 1));
            }
            self.at += end + 1;
            return self.open_group(Some(name.into()));
        }
        self.at += 2;
        let mut flags = self.flags;
        let mut negative = false;
        let mut saw_flag = false;
        while self.at < self.text.len() {
            let c = self.next();
            match c {
                'i' => flags |= FOLD,
                'm' => flags &= !ONE_LINE,
                's' => flags |= DOT_NEWLINE,
                'U' => flags |= LAZY,
                '-' if !negative => {
                    negative = true;
                    // Inverted, so that what sets a flag clears it.
                    flags = !flags;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if !negative || saw_flag => {
                    if negative {
                        flags = !flags;
                    }
                    if c == ':' {
                        self.push_op(Op::LeftParen)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(self.syntax(INVALID_PERL_OP, start, self.at))
    }

    fn open_group(&mut self, name: Option<Box<str>>) -> Parsed<()> {
        self.names.push(name);
        let group = self.names.len();
        if let Some(paren) = self.push_op(Op::LeftParen)? {
            self.nodes.get_mut(paren).group = group;
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,3}`; a minimum of -1 stands for numbers that are too large.
    fn repetition(&self) -> Option<Repetition> {
        let rest = self.rest().strip_prefix('{')?;
        let (mut min, rest) = integer(rest)?;
        let (max, rest) = match rest.strip_prefix(',') {
            None => (min, rest),
            Some(rest) if rest.starts_with('}') => (-1, rest),
            Some(rest) => {
                let (max, rest) = integer(rest)?;
                if max < 0 {
                    min = -1;
                }
                (max, rest)
            }
        };
        let rest = rest.strip_prefix('}')?;
        Some(Repetition { min, max, end: self.text.len() - rest.len() })
    }

    /// A backslash outside of a class.
    fn escape(&mut self) -> Parsed<()> {
        let start = self.at;
        let op = match self.rest().as_bytes().get(1) {
            Some(b'A') => Op::TextStart,
            Some(b'b') => Op::WordBoundary,
            Some(b'B') => Op::NoWordBoundary,
            Some(b'z') => Op::TextEnd,
            Some(b'C') => return Err(self.syntax(INVALID_ESCAPE, start, start + 2)),
            Some(b'Q') => {
                self.at += 2;
                return self.quoted();
            }
            _ => {
                let mut ranges = vec![];
                if self.unicode_class(&mut ranges)? || self.perl_class(&mut ranges)? {
                    return self.push_class(ranges);
                }
                // Go takes a node for the class that it then doesn't find.
                let class = self.new_node(Op::Class);
                self.reuse(class);
                let rune = self.escaped_rune()?;
                return self.literal_rune(rune);
            }
        };
        self.at += 2;
        self.push_op(op).map(|_| ())
    }

    /// Between `\Q` and `\E`, or the end.
    fn quoted(&mut self) -> Parsed<()> {
        let rest = self.rest();
        let (quoted, end) = match rest.find("\\E") {
            Some(end) => (rest.get(..end).unwrap_or_default(), end + 2),
            None => (rest, rest.len()),
        };
        for c in quoted.chars() {
            self.budget.step(1)?;
            self.literal(c)?;
        }
        self.at += end;
        Ok(())
    }

    /// One character that begins with a backslash.
    fn escaped_rune(&mut self) -> Parsed<u32> {
        let start = self.at;
        self.at += 1;
        if self.at == self.text.len() {
            return Err(ParseError::Syntax(TRAILING_BACKSLASH, String::new()));
        }
        let c = self.next();
        let rune = match c {
            '1'..='7' if !self.peek().is_some_and(|c| c.is_digit(8)) => None,
            '0'..='7' => {
                let mut rune = c.to_digit(8).unwrap_or(0);
                for _ in 1..3 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    rune = rune * 8 + digit;
                    self.at += 1;
                }
                Some(rune)
            }
            'x' => self.hex_rune(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        let rune = rune.ok_or_else(|| self.syntax(INVALID_ESCAPE, start, self.at))?;
        self.surrogates |= (0xD800..0xE000).contains(&rune);
        Ok(rune)
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hex_rune(&mut self) -> Option<u32> {
        let first = self.peek()?;
        self.at += first.len_utf8();
        if first != '{' {
            let second = self.next();
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut rune = 0;
        let mut digits = 0_usize;
        loop {
            let c = self.peek()?;
            self.at += c.len_utf8();
            if c == '}' {
                return (digits > 0).then_some(rune);
            }
            rune = rune * 16 + c.to_digit(16)?;
            if rune > unicode::MAX_RUNE {
                return None;
            }
            digits += 1;
        }
    }

    /// `[...]`.
    fn class(&mut self) -> Parsed<()> {
        let start = self.at;
        self.at += 1;
        let negative = self.rest().starts_with('^');
        if negative {
            self.at += 1;
        }
        let mut ranges = vec![];
        let mut compact = 1_024;
        let mut first = true;
        while first || !self.rest().starts_with(']') {
            first = false;
            self.budget.step(1)?;
            if ranges.len() > compact {
                self.budget.step(ranges.len() as u64)?;
                unicode::clean(&mut ranges);
                compact = 2 * ranges.len() + 1_024;
            }
            if self.posix_class(&mut ranges)? || self.unicode_class(&mut ranges)? || self.perl_class(&mut ranges)? {
                continue;
            }
            let range_at = self.at;
            let low = self.class_rune(start)?;
            let mut high = low;
            if let [b'-', next, ..] = self.rest().as_bytes()
                && *next != b']'
            {
                self.at += 1;
                high = self.class_rune(start)?;
                if high < low {
                    return Err(self.syntax(INVALID_CLASS_RANGE, range_at, self.at));
                }
            }
            if self.has(FOLD) {
                self.add_folded(&mut ranges, &[(low, high)])?;
            } else {
                ranges.push((low, high));
            }
        }
        self.at += 1;
        self.budget.step(ranges.len() as u64)?;
        unicode::clean(&mut ranges);
        if negative {
            ranges = unicode::negated(&ranges);
        }
        self.push_class(ranges)
    }

    fn class_rune(&mut self, class_at: usize) -> Parsed<u32> {
        match self.peek() {
            None => Err(self.syntax(MISSING_BRACKET, class_at, self.text.len())),
            Some('\\') => self.escaped_rune(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(u32::from(c))
            }
        }
    }

    /// `[:alpha:]` or `[:^alpha:]` within a class, if there is one.
    fn posix_class(&mut self, ranges: &mut Vec<Range>) -> Parsed<bool> {
        let rest = self.rest();
        let Some(end) = rest.strip_prefix("[:").and_then(|rest| rest.find(":]")) else { return Ok(false) };
        let name = rest.get(2..end + 2).unwrap_or_default();
        let (name, negative) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let class: &[Range] = match name {
            "alnum" => &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
            "alpha" => &[(0x41, 0x5A), (0x61, 0x7A)],
            "ascii" => &[(0, 0x7F)],
            "blank" => &[(0x9, 0x9), (0x20, 0x20)],
            "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
            "digit" => DIGIT,
            "graph" => &[(0x21, 0x7E)],
            "lower" => &[(0x61, 0x7A)],
            "print" => &[(0x20, 0x7E)],
            "punct" => &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
            "space" => &[(0x9, 0xD), (0x20, 0x20)],
            "upper" => &[(0x41, 0x5A)],
            "word" => WORD,
            "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
            _ => return Err(self.syntax(INVALID_CLASS_RANGE, self.at, self.at + end + 4)),
        };
        self.at += end + 4;
        self.add_class(ranges, class, negative)?;
        Ok(true)
    }

    /// `\d` and its like, if there is one.
    fn perl_class(&mut self, ranges: &mut Vec<Range>) -> Parsed<bool> {
        let class = match self.rest().as_bytes() {
            [b'\\', b'd' | b'D', ..] => DIGIT,
            [b'\\', b's' | b'S', ..] => SPACE,
            [b'\\', b'w' | b'W', ..] => WORD,
            _ => return Ok(false),
        };
        self.at += 1;
        let negative = self.next().is_ascii_uppercase();
        self.add_class(ranges, class, negative)?;
        Ok(true)
    }

    /// `\pL`, `\p{Greek}` or `\P{^Greek}`, if there is one.
    fn unicode_class(&mut self, ranges: &mut Vec<Range>) -> Parsed<bool> {
        let rest = self.rest();
        let mut negative = match rest.as_bytes() {
            [b'\\', b'p', ..] => false,
            [b'\\', b'P', ..] => true,
            _ => return Ok(false),
        };
        let start = self.at;
        self.at += 2;
        let mut name = match self.next() {
            '{' => {
                let Some(end) = rest.find('}') else {
                    return Err(self.syntax(INVALID_CLASS_RANGE, start, self.text.len()));
                };
                self.at = start + end + 1;
                rest.get(3..end).unwrap_or_default()
            }
            _ => self.text.get(start + 2..self.at).unwrap_or_default(),
        };
        if let Some(rest) = name.strip_prefix('^') {
            negative = !negative;
            name = rest;
        }
        let table = self.table(name)?.ok_or_else(|| self.syntax(INVALID_CLASS_RANGE, start, self.at))?;
        self.budget.alloc(size_of_val(&*table))?;
        if negative {
            ranges.extend(unicode::negated(&table));
        } else {
            ranges.extend_from_slice(&table);
        }
        Ok(true)
    }

    fn table(&mut self, name: &str) -> Parsed<Option<Rc<[Range]>>> {
        let key = (name.to_owned(), self.has(FOLD));
        if let Some(table) = self.tables.get(&key) {
            return Ok(table.clone());
        }
        // Making one takes some ten microseconds.
        self.budget.step(10_000)?;
        let table = if self.has(FOLD) { unicode::folded_table(name) } else { unicode::table(name) };
        let table = table.map(Rc::from);
        self.tables.insert(key, table.clone());
        Ok(table)
    }

    fn add_class(&mut self, ranges: &mut Vec<Range>, class: &[Range], negative: bool) -> Parsed<()> {
        let mut added = vec![];
        if self.has(FOLD) {
            self.add_folded(&mut added, class)?;
        } else {
            added.extend_from_slice(class);
        }
        unicode::clean(&mut added);
        ranges.extend(if negative { unicode::negated(&added) } else { added });
        Ok(())
    }

    fn add_folded(&mut self, ranges: &mut Vec<Range>, class: &[Range]) -> Parsed<()> {
        let folded = match class {
            &[(low, high)] if low == high => unicode::orbit(low).into_iter().map(|rune| (rune, rune)).collect(),
            class => {
                // Each letter is looked up, and there are some thousands.
                let letters: u64 = class.iter().map(|(low, high)| u64::from(high - low)).sum();
                self.budget.step(64 + 8 * letters.min(4_096))?;
                unicode::folded(class)
            }
        };
        self.budget.alloc(size_of_val(folded.as_slice()))?;
        ranges.extend(folded);
        Ok(())
    }
}

const DIGIT: &[Range] = &[(0x30, 0x39)];
const SPACE: &[Range] = &[(0x9, 0xA), (0xC, 0xD), (0x20, 0x20)];
const WORD: &[Range] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];

/// A number without leading zeros, -1 if it is large, and what follows it.
fn integer(text: &str) -> Option<(i64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().ok().filter(|value| *value < 1_000_000_000).unwrap_or(-1), rest))
}
