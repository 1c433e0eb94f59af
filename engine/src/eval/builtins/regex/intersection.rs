//! Whether some text matches two globs.
//!
//! After `github.com/yashtewari/glob-intersection` v0.2.0, which OPA asks. Its globs have characters, `.`, sets, and
//! `*` and `+` after any of them; its answer is no exact one, so what is a match here is what it takes for one. It
//! looks for a way through both globs by trying, which may take exponential time; here no place is tried twice.

use std::collections::HashSet;

use super::super::{Budget, Failure, Limit};

/// Whether the globs have a text in common.
///
/// # Errors
/// One is no glob, or the budget is spent.
pub(super) fn is_not_empty(a: &str, b: &str, budget: &mut Budget) -> Result<bool, Failure> {
    let (a, b) = (tokens(a, budget)?, tokens(b, budget)?);
    match trimmed(&a, &b) {
        Some((a, b)) => Ok(Search { globs: [a, b], tried: HashSet::new(), todo: vec![] }.finds(budget)?),
        None => Ok(false),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    what: What,
    flag: Flag,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Char(u32),
    Any,
    /// Sorted and distinct.
    Set(Vec<(u32, u32)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    None,
    Plus,
    Star,
}

impl Token {
    fn is_flagged(&self) -> bool {
        self.flag != Flag::None
    }

    /// Whether one character matches both, flags aside.
    fn meets(&self, other: &Self) -> bool {
        match (&self.what, &other.what) {
            (What::Char(a), What::Char(b)) => a == b,
            (What::Any, _) | (_, What::Any) => true,
            (What::Char(c), What::Set(set)) | (What::Set(set), What::Char(c)) => holds(set, (*c, *c)),
            (What::Set(a), What::Set(b)) => a.iter().any(|range| holds(b, *range)),
        }
    }

    /// What comparing it takes.
    fn cost(&self) -> u64 {
        match &self.what {
            What::Set(set) => 1 + set.len() as u64,
            _ => 1,
        }
    }
}

/// Whether a set has something of a range.
fn holds(set: &[(u32, u32)], (low, high): (u32, u32)) -> bool {
    let at = set.partition_point(|(_, end)| *end < low);
    set.get(at).is_some_and(|(start, _)| *start <= high)
}

/// The globs without what both begin and end with, but for one token each; none if those don't match.
fn trimmed<'a>(a: &'a [Token], b: &'a [Token]) -> Option<(&'a [Token], &'a [Token])> {
    let is_plain = |a: &Token, b: &Token| !a.is_flagged() && !b.is_flagged();
    let mut start = 0;
    for (a, b) in a.iter().zip(b).take_while(|(a, b)| is_plain(a, b)) {
        if !a.meets(b) {
            return None;
        }
        start += 1;
    }
    let start = start.max(1) - 1;
    let (a, b) = (a.get(start..)?, b.get(start..)?);
    let mut end = 0;
    for (a, b) in a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| is_plain(a, b)) {
        if !a.meets(b) {
            return None;
        }
        end += 1;
    }
    let end = end.max(1) - 1;
    Some((a.get(..a.len() - end)?, b.get(..b.len() - end)?))
}

/// A search for a way through both globs.
struct Search<'a> {
    globs: [&'a [Token]; 2],
    tried: HashSet<Place>,
    todo: Vec<Place>,
}

/// A place in both globs, and how to go on from there. Which glob comes first makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    go: Go,
    /// Which glob is the first one.
    first: usize,
    /// Where in the first one, and in the other.
    at: [usize; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Go {
    /// Token by token, until one has a flag.
    Plain,
    /// With the first one's token, which may take any number of the other's.
    Star,
}

impl<'a> Search<'a> {
    fn finds(&mut self, budget: &mut Budget) -> Result<bool, Limit> {
        self.add(Go::Plain, 0, [0, 0], budget)?;
        while let Some(place) = self.todo.pop() {
            let found = match place.go {
                Go::Plain => self.plain(place, budget)?,
                Go::Star => self.star(place, budget)?,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add(&mut self, go: Go, first: usize, at: [usize; 2], budget: &mut Budget) -> Result<(), Limit> {
        let place = Place { go, first, at };
        if self.tried.insert(place) {
            budget.alloc(2 * size_of::<Place>())?;
            self.todo.push(place);
        }
        Ok(())
    }

    fn plain(&mut self, Place { first, at: [mut i, mut j], .. }: Place, budget: &mut Budget) -> Result<bool, Limit> {
        let (one, other) = self.order(first);
        loop {
            let (Some(a), Some(b)) = (one.get(i), other.get(j)) else {
                return Ok(i >= one.len() && j >= other.len());
            };
            budget.step(a.cost() + b.cost())?;
            match (a.flag, b.flag) {
                (Flag::None, Flag::None) if a.meets(b) => {
                    i += 1;
                    j += 1;
                }
                (Flag::None, Flag::None) => return Ok(false),
                (Flag::Star, _) => self.add(Go::Star, first, [i, j], budget)?,
                (Flag::Plus, _) => self.plus(first, [i, j], budget)?,
                (Flag::None, Flag::Star) => self.add(Go::Star, 1 - first, [j, i], budget)?,
                (Flag::None, Flag::Plus) => self.plus(1 - first, [j, i], budget)?,
            }
            if a.is_flagged() || b.is_flagged() {
                return Ok(false);
            }
        }
    }

    /// The first one's token takes at least one of the other's, or is taken by it.
    fn plus(&mut self, first: usize, [i, j]: [usize; 2], budget: &mut Budget) -> Result<(), Limit> {
        let (one, other) = self.order(first);
        if let (Some(a), Some(b)) = (one.get(i), other.get(j))
            && a.meets(b)
        {
            if b.is_flagged() {
                self.add(Go::Plain, first, [i + 1, j], budget)?;
            }
            self.add(Go::Star, first, [i, j + 1], budget)?;
        }
        Ok(())
    }

    fn star(&mut self, Place { first, at: [i, j], .. }: Place, budget: &mut Budget) -> Result<bool, Limit> {
        let (one, other) = self.order(first);
        let (Some(star), next) = (one.get(i), one.get(i + 1)) else { return Ok(false) };
        let Some(token) = other.get(j) else { return Ok(next.is_none()) };
        budget.step(2 * token.cost() + star.cost())?;
        if star.meets(token) {
            self.add(Go::Star, first, [i, j + 1], budget)?;
        }
        if next.is_some_and(|next| next.meets(token)) {
            self.add(Go::Plain, first, [i + 1, j], budget)?;
        }
        Ok(false)
    }

    /// The first glob and the other one.
    fn order(&self, first: usize) -> (&'a [Token], &'a [Token]) {
        let [a, b] = self.globs;
        if first == 0 { (a, b) } else { (b, a) }
    }
}

/// A glob's tokens, those put together that repeat the same.
fn tokens(text: &str, budget: &mut Budget) -> Result<Vec<Token>, Failure> {
    budget.alloc(text.len().saturating_mul(size_of::<Token>()))?;
    let mut reader = Reader { text, chars: text.chars().collect(), at: 0 };
    let mut tokens: Vec<Token> = vec![];
    while let Some(token) = reader.token()? {
        match tokens.last_mut() {
            Some(last) if last.is_flagged() && token.is_flagged() && last.what == token.what => {
                if token.flag == Flag::Plus {
                    last.flag = Flag::Plus;
                }
            }
            _ => tokens.push(token),
        }
    }
    Ok(tokens)
}

struct Reader<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
}

impl Reader<'_> {
    fn token(&mut self) -> Result<Option<Token>, Failure> {
        let Some((c, escaped)) = self.next()? else { return Ok(None) };
        let what = match c {
            _ if escaped => What::Char(u32::from(c)),
            '.' => What::Any,
            '[' => self.set()?,
            ']' => return Err(self.invalid(self.at, "set-close ']' with no preceding '['")),
            '+' | '*' => {
                return Err(self.invalid(self.at, &format!("flag '{c}' must be preceded by a non-flag")));
            }
            c => What::Char(u32::from(c)),
        };
        let before = self.at;
        let flag = match self.next()? {
            Some(('+', false)) => Flag::Plus,
            Some(('*', false)) => Flag::Star,
            _ => {
                self.at = before;
                Flag::None
            }
        };
        Ok(Some(Token { what, flag }))
    }

    /// What follows a `[`.
    fn set(&mut self) -> Result<What, Failure> {
        let mut set = vec![];
        let mut before: Option<u32> = None;
        while let Some((c, escaped)) = self.next()? {
            match c {
                ']' if !escaped => {
                    set.sort_unstable();
                    set.dedup_by(|next: &mut (u32, u32), kept: &mut (u32, u32)| {
                        let joins = next.0 <= kept.1 + 1;
                        if joins {
                            kept.1 = kept.1.max(next.1);
                        }
                        joins
                    });
                    return Ok(What::Set(set));
                }
                '-' if !escaped => {
                    let Some(low) = before.take() else {
                        let why = "range character '-' must be preceded by a Unicode character";
                        return Err(self.invalid(self.at, why));
                    };
                    if self.at + 1 >= self.chars.len() {
                        let why = "range character '-' must be followed by a Unicode character";
                        return Err(self.invalid(self.at, why));
                    }
                    let Some((high, escaped)) = self.next()? else { break };
                    if !escaped && matches!(high, ']' | '-') {
                        let why = "range character '-' cannot be followed by a special symbol";
                        return Err(self.invalid(self.at, why));
                    }
                    if u32::from(high) < low {
                        let low = char::from_u32(low).unwrap_or_default();
                        let why = format!("range is out of order: '{high}' comes before '{low}' in Unicode");
                        return Err(self.invalid(self.at, &why));
                    }
                    set.push((low, u32::from(high)));
                }
                c => {
                    set.push((u32::from(c), u32::from(c)));
                    before = Some(u32::from(c));
                }
            }
        }
        Err(self.invalid(self.at, "found [ without matching ]"))
    }

    /// A character, and whether there was a backslash before it.
    fn next(&mut self) -> Result<Option<(char, bool)>, Failure> {
        match (self.chars.get(self.at), self.chars.get(self.at + 1)) {
            (None, _) => Ok(None),
            (Some('\\'), Some(c)) => {
                self.at += 2;
                Ok(Some((*c, true)))
            }
            (Some('\\'), None) => Err(self.invalid(self.at, "input ends with a \\ (escape) character")),
            (Some(c), _) => {
                self.at += 1;
                Ok(Some((*c, false)))
            }
        }
    }

    fn invalid(&self, at: usize, why: &str) -> Failure {
        Failure::error(format!("input:{}, pos:{at}, {why}: the input provided is invalid", self.text))
    }
}
