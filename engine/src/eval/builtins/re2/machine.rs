//! Running a program over a text, spending from the budget.
//!
//! Both ways are Go's. In short texts ([`Machine::backtrack`], after Go 1.26's `regexp/backtrack.go`) it goes back to
//! whatever else could be done, but never twice to the same. In longer ones ([`Machine::simulate`]) it is everywhere at
//! once, which Pike has thought of: <https://swtch.com/~rsc/regexp/regexp2.html>.

use super::program::{Does, Instruction, Pc, Program};
use super::tree::Op;
use crate::eval::builtins::{Budget, Limit};

/// What a slot holds that no group has set.
pub(super) const UNSET: usize = usize::MAX;

/// The instructions times the characters up to which a text is short.
const MAX_SEEN: usize = 1 << 16;

/// A program and a text, for any number of searches.
pub(super) struct Machine<'a> {
    program: &'a Program,
    text: &'a str,
    /// The ends of the match and of its groups, while one is looked for; empty if nobody wants to know.
    slots: Vec<usize>,
    todo: Vec<Todo>,
    /// For each character and instruction, whether it has been there.
    seen: Vec<u64>,
    now: Threads,
    next: Threads,
}

enum Todo {
    /// Go on with an instruction, at a place in the text.
    Go(Pc, usize),
    /// Set a slot to what it was.
    Restore(usize, usize),
}

/// Where the program has got to, in order of preference.
#[derive(Default)]
struct Threads {
    /// For an instruction, where in `seen` it is, if it is there.
    places: Vec<u32>,
    seen: Vec<Pc>,
    /// Instructions that wait for a character, with the slots of each.
    waiting: Vec<Pc>,
    slots: Vec<usize>,
}

// === impl Machine ===

impl<'a> Machine<'a> {
    /// A machine that finds the ends of the match and of `groups` groups, or only whether there is a match.
    ///
    /// # Errors
    /// It takes too much memory.
    pub(super) fn new(
        program: &'a Program,
        text: &'a str,
        groups: Option<usize>,
        budget: &mut Budget,
    ) -> Result<Self, Limit> {
        let slots = groups.map_or(0, |groups| 2 * (groups + 1));
        budget.alloc(slots * size_of::<usize>())?;
        Ok(Self {
            program,
            text,
            slots: vec![UNSET; slots],
            todo: vec![],
            seen: vec![],
            now: Threads::default(),
            next: Threads::default(),
        })
    }

    /// Looks for a match from `at` on, and gives the slots.
    ///
    /// # Errors
    /// The budget is spent.
    pub(super) fn search(&mut self, at: usize, budget: &mut Budget) -> Result<Option<&[usize]>, Limit> {
        let places = (self.text.len() - at + 1).saturating_mul(self.program.len());
        let found = if places <= MAX_SEEN { self.backtrack(at, places, budget)? } else { self.simulate(at, budget)? };
        Ok(found.then_some(&self.slots))
    }

    /// The steps for handling all slots.
    fn cost(&self) -> u64 {
        2 + self.slots.len() as u64 / 16
    }

    fn clear(&mut self) {
        // Filling nothing takes surprisingly long where it is done with masks.
        if !self.slots.is_empty() {
            self.slots.fill(UNSET);
        }
    }

    /// Sets a slot, if it is kept, and gives what it held.
    fn save(&mut self, slot: usize, value: usize) -> Option<usize> {
        self.slots.get_mut(slot).map(|slot| std::mem::replace(slot, value))
    }

    fn char_at(&self, at: usize) -> Option<char> {
        // Most are ASCII, and decoding takes longer than looking.
        match self.text.as_bytes().get(at) {
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            _ => self.text.get(at..)?.chars().next(),
        }
    }

    /// Where a match may begin, from `at` on.
    fn skip(&self, at: usize, budget: &mut Budget) -> Result<usize, Limit> {
        let skipped = self.program.skip(self.text, at);
        budget.read(skipped - at)?;
        Ok(skipped)
    }
}

// === impl Machine: going back ===

impl Machine<'_> {
    fn backtrack(&mut self, from: usize, places: usize, budget: &mut Budget) -> Result<bool, Limit> {
        self.seen.clear();
        self.seen.resize(places.div_ceil(64), 0);
        budget.step(self.cost() + places as u64 / 1_024)?;
        let mut at = from;
        loop {
            if self.program.anchored {
                if at > 0 {
                    return Ok(false);
                }
            } else {
                at = self.skip(at, budget)?;
            }
            self.clear();
            if self.matches_at(at, from, budget)? {
                return Ok(true);
            }
            match self.char_at(at) {
                Some(c) => at += c.len_utf8(),
                None => return Ok(false),
            }
        }
    }

    /// Whether there is a match that begins at `at`; if so, the slots have it.
    fn matches_at(&mut self, at: usize, from: usize, budget: &mut Budget) -> Result<bool, Limit> {
        let mut steps = 0;
        self.todo.clear();
        self.todo.push(Todo::Go(self.program.start, at));
        while let Some(todo) = self.todo.pop() {
            let (mut pc, mut at) = match todo {
                Todo::Go(pc, at) => (pc, at),
                Todo::Restore(slot, value) => {
                    self.save(slot, value);
                    continue;
                }
            };
            while self.is_new(pc, at, from) {
                steps += 1;
                let Instruction { does, next } = self.program.instruction(pc);
                pc = next;
                match does {
                    Does::Match => {
                        budget.step(steps)?;
                        return Ok(true);
                    }
                    Does::Fail => break,
                    Does::Assert(assertion) if holds_at(assertion, self.text, at) => {}
                    Does::Assert(_) => break,
                    Does::Save(slot) => {
                        let slot = slot as usize;
                        if let Some(old) = self.save(slot, at) {
                            self.todo.push(Todo::Restore(slot, old));
                        }
                    }
                    Does::Split(other) => self.todo.push(Todo::Go(other, at)),
                    Does::SplitTo(first) => {
                        self.todo.push(Todo::Go(next, at));
                        pc = first;
                    }
                    Does::Rune(_) | Does::Class(_) | Does::AnyButNewline | Does::Any => {
                        let Some(c) = self.char_at(at).filter(|c| self.program.takes(does, *c)) else { break };
                        at += c.len_utf8();
                    }
                }
            }
        }
        budget.step(steps)?;
        Ok(false)
    }

    fn is_new(&mut self, pc: Pc, at: usize, from: usize) -> bool {
        let place = (at - from) * self.program.len() + pc as usize;
        let Some(seen) = self.seen.get_mut(place / 64) else { return false };
        let bit = 1 << (place % 64);
        let is_new = *seen & bit == 0;
        *seen |= bit;
        is_new
    }
}

// === impl Machine: being everywhere at once ===

impl Machine<'_> {
    fn simulate(&mut self, mut at: usize, budget: &mut Budget) -> Result<bool, Limit> {
        let anchored = self.program.anchored;
        self.now.begin(self.program.len(), budget)?;
        self.next.begin(self.program.len(), budget)?;
        let mut found: Option<Vec<usize>> = None;
        loop {
            if self.now.waiting.is_empty() && found.is_none() && !anchored {
                at = self.skip(at, budget)?;
            }
            let current = self.char_at(at);
            if found.is_none() && (at == 0 || !anchored) {
                self.clear();
                self.add(self.program.start, at, budget)?;
            } else if self.now.waiting.is_empty() {
                break;
            }
            self.step(at, current, &mut found, budget)?;
            if found.is_some() && self.slots.is_empty() {
                return Ok(true);
            }
            match current {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
        let is_found = found.is_some();
        if let Some(found) = found {
            self.slots = found;
        }
        Ok(is_found)
    }

    /// Takes one character, or the end of the text.
    fn step(
        &mut self,
        at: usize,
        current: Option<char>,
        found: &mut Option<Vec<usize>>,
        budget: &mut Budget,
    ) -> Result<(), Limit> {
        let now = std::mem::take(&mut self.now);
        // What `add` adds to from here on is what comes next.
        self.now = std::mem::take(&mut self.next);
        self.now.clear();
        budget.step(1 + self.cost() * now.waiting.len() as u64)?;
        let after = at + current.map_or(0, char::len_utf8);
        let rows = now.slots.chunks(self.slots.len().max(1)).chain(std::iter::repeat(&[][..]));
        for (pc, row) in now.waiting.iter().zip(rows) {
            let Instruction { does, next } = self.program.instruction(*pc);
            if matches!(does, Does::Match) {
                *found = Some(row.to_vec());
                break;
            }
            if current.is_some_and(|c| self.program.takes(does, c)) {
                self.slots.copy_from_slice(row);
                self.add(next, after, budget)?;
            }
        }
        self.next = now;
        Ok(())
    }

    /// Adds what can be reached from `pc` without taking a character.
    fn add(&mut self, pc: Pc, at: usize, budget: &mut Budget) -> Result<(), Limit> {
        let mut steps = 0;
        self.todo.push(Todo::Go(pc, at));
        while let Some(todo) = self.todo.pop() {
            let mut pc = match todo {
                Todo::Go(pc, _) => pc,
                Todo::Restore(slot, value) => {
                    self.save(slot, value);
                    continue;
                }
            };
            while self.now.is_new(pc) {
                steps += 2;
                let Instruction { does, next } = self.program.instruction(pc);
                match does {
                    Does::Fail => break,
                    Does::Assert(assertion) if holds_at(assertion, self.text, at) => pc = next,
                    Does::Assert(_) => break,
                    Does::Save(slot) => {
                        let slot = slot as usize;
                        if let Some(old) = self.save(slot, at) {
                            self.todo.push(Todo::Restore(slot, old));
                        }
                        pc = next;
                    }
                    Does::Split(other) => {
                        self.todo.push(Todo::Go(other, at));
                        pc = next;
                    }
                    Does::SplitTo(first) => {
                        self.todo.push(Todo::Go(next, at));
                        pc = first;
                    }
                    Does::Rune(_) | Does::Class(_) | Does::AnyButNewline | Does::Any | Does::Match => {
                        steps += self.cost();
                        self.now.wait(pc, &self.slots, budget)?;
                        break;
                    }
                }
            }
        }
        budget.step(steps)
    }
}

fn holds_at(assertion: Op, text: &str, at: usize) -> bool {
    let (before, after) = text.split_at_checked(at).unwrap_or_default();
    let (before, after) = (before.as_bytes().last(), after.as_bytes().first());
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match assertion {
        Op::LineStart => before.is_none_or(|byte| *byte == b'\n'),
        Op::LineEnd => after.is_none_or(|byte| *byte == b'\n'),
        Op::TextStart => before.is_none(),
        Op::TextEnd => after.is_none(),
        Op::WordBoundary => is_word(before) != is_word(after),
        Op::NoWordBoundary => is_word(before) == is_word(after),
        _ => false,
    }
}

// === impl Threads ===

impl Threads {
    /// Makes room for a program of `len` instructions.
    fn begin(&mut self, len: usize, budget: &mut Budget) -> Result<(), Limit> {
        self.clear();
        if self.places.len() != len {
            budget.alloc(len.saturating_mul(3 * size_of::<u32>()))?;
            self.places = vec![0; len];
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.seen.clear();
        self.waiting.clear();
        self.slots.clear();
    }

    /// Whether the instruction hasn't been here, which it has then.
    fn is_new(&mut self, pc: Pc) -> bool {
        let Some(place) = self.places.get_mut(pc as usize) else { return false };
        if self.seen.get(*place as usize) == Some(&pc) {
            return false;
        }
        // Fewer than there are instructions.
        *place = self.seen.len() as u32;
        self.seen.push(pc);
        true
    }

    fn wait(&mut self, pc: Pc, slots: &[usize], budget: &mut Budget) -> Result<(), Limit> {
        let len = self.slots.len() + slots.len();
        if len > self.slots.capacity() {
            budget.alloc(2 * len * size_of::<usize>())?;
        }
        self.waiting.push(pc);
        self.slots.extend_from_slice(slots);
        Ok(())
    }
}
