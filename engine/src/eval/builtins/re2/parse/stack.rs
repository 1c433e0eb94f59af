//! The parser's stack: the nodes of what has been read, and how they become one.

use super::{
    INVALID_REPEAT_OP, INVALID_REPEAT_SIZE, LARGE, MAX_HEIGHT, MAX_SIZE, MISSING_REPEAT_ARGUMENT, NESTING_DEPTH,
    Parsed, Parser, Repetition, UNEXPECTED_PAREN,
};
use crate::eval::builtins::re2::tree::{FOLD, Flags, Id, LAZY, Node, Op};
use crate::eval::builtins::re2::unicode::{self, Range};

impl Parser<'_> {
    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(id)
    }

    /// The node that is `depth` nodes below the top of the stack.
    pub(super) fn below(&self, depth: usize) -> Option<Id> {
        self.stack.len().checked_sub(depth + 1).and_then(|at| self.stack.get(at)).copied()
    }

    pub(super) fn op_below(&self, depth: usize) -> Option<Op> {
        self.below(depth).map(|id| self.node(id).op)
    }

    pub(super) fn set_below(&mut self, depth: usize, id: Id) {
        if let Some(slot) = self.stack.len().checked_sub(depth + 1).and_then(|at| self.stack.get_mut(at)) {
            *slot = id;
        }
    }

    pub(super) fn new_node(&mut self, op: Op) -> Id {
        match self.free.pop() {
            Some(id) => {
                let node = self.node_mut(id);
                *node = Node { op, size: node.size, ..Node::default() };
                id
            }
            None => self.nodes.push(Node { op, ..Node::default() }),
        }
    }

    pub(super) fn reuse(&mut self, id: Id) {
        self.node_mut(id).height = None;
        self.free.push(id);
    }

    pub(super) fn literal(&mut self, c: char) -> Parsed<()> {
        self.literal_rune(u32::from(c))
    }

    pub(super) fn literal_rune(&mut self, rune: u32) -> Parsed<()> {
        let rune = if self.has(FOLD) { unicode::orbit(rune).first().copied().unwrap_or(rune) } else { rune };
        let id = self.new_node(Op::Literal);
        let flags = self.flags;
        let node = self.node_mut(id);
        node.flags = flags;
        node.runes = vec![rune];
        self.push(id).map(|_| ())
    }

    pub(super) fn push_op(&mut self, op: Op) -> Parsed<Option<Id>> {
        let id = self.new_node(op);
        self.node_mut(id).flags = self.flags;
        self.push(id)
    }

    pub(super) fn push_class(&mut self, ranges: Vec<Range>) -> Parsed<()> {
        let id = self.new_node(Op::Class);
        let flags = self.flags;
        let node = self.node_mut(id);
        node.flags = flags;
        node.ranges = ranges;
        self.push(id).map(|_| ())
    }

    /// Pushes a node, a class of one letter as a literal. None if the literal went into the node below.
    pub(super) fn push(&mut self, id: Id) -> Parsed<Option<Id>> {
        let node = self.node(id);
        let literal = match (node.op, node.ranges.as_slice()) {
            (Op::Class, &[(low, high)]) if low == high => Some((low, self.flags & !FOLD)),
            (Op::Class, &[(a, a_high), (b, b_high)]) if a == a_high && b == b_high && unicode::orbit(a) == [a, b] => {
                Some((a, self.flags | FOLD))
            }
            (Op::Class, &[(low, high)]) if low + 1 == high && unicode::orbit(low) == [low, high] => {
                Some((low, self.flags | FOLD))
            }
            _ => None,
        };
        if self.maybe_concat(literal) {
            return Ok(None);
        }
        if let Some((rune, flags)) = literal {
            let node = self.node_mut(id);
            node.op = Op::Literal;
            node.ranges = vec![];
            node.runes = vec![rune];
            node.flags = flags;
        }
        self.stack.push(id);
        self.check_limits(id)?;
        Ok(Some(id))
    }

    /// Joins the two literals on top of the stack: nothing can repeat the upper one alone any more. Whether `literal`
    /// has taken the upper one's place.
    pub(super) fn maybe_concat(&mut self, literal: Option<(u32, Flags)>) -> bool {
        let (Some(top), Some(below)) = (self.below(0), self.below(1)) else { return false };
        let (upper, lower) = (self.node(top), self.node(below));
        if upper.op != Op::Literal || lower.op != Op::Literal || upper.folds() != lower.folds() {
            return false;
        }
        let runes = std::mem::take(&mut self.node_mut(top).runes);
        self.node_mut(below).runes.extend(runes);
        if let Some((rune, flags)) = literal {
            let upper = self.node_mut(top);
            upper.runes = vec![rune];
            upper.flags = flags;
            return true;
        }
        self.stack.pop();
        self.reuse(top);
        false
    }

    /// Puts a repetition around the top of the stack. A `?` after it makes it lazy.
    pub(super) fn repeat(&mut self, op: Op, repetition: &Repetition, last_repeat: Option<usize>) -> Parsed<()> {
        let start = self.at;
        self.at = repetition.end;
        let mut flags = self.flags;
        if self.rest().starts_with('?') {
            self.at += 1;
            flags ^= LAZY;
        }
        if let Some(last_repeat) = last_repeat {
            return Err(self.syntax(INVALID_REPEAT_OP, last_repeat, self.at));
        }
        let Some(sub) = self.below(0).filter(|id| !self.node(*id).is_pseudo()) else {
            return Err(self.syntax(MISSING_REPEAT_ARGUMENT, start, self.at));
        };
        let &Repetition { min, max, .. } = repetition;
        let id = self.new_node(op);
        let node = self.node_mut(id);
        (node.min, node.max, node.flags, node.subs) = (min, max, flags, vec![sub]);
        self.set_below(0, id);
        self.check_limits(id)?;
        if op == Op::Repeat && (min >= 2 || max >= 2) && !self.repeat_is_valid(id)? {
            return Err(self.syntax(INVALID_REPEAT_SIZE, start, self.at));
        }
        Ok(())
    }

    /// Whether nothing is repeated more than 1000 times, repetitions within repetitions counted.
    pub(super) fn repeat_is_valid(&mut self, id: Id) -> Parsed<bool> {
        let mut todo = vec![(id, 1_000)];
        while let Some((id, mut most)) = todo.pop() {
            self.budget.step(1)?;
            let node = self.nodes.get(id);
            if node.op == Op::Repeat {
                let times = if node.max < 0 { node.min } else { node.max };
                if node.max == 0 {
                    continue;
                }
                if times > most {
                    return Ok(false);
                }
                if times > 0 {
                    most /= times;
                }
            }
            todo.extend(node.subs.iter().map(|sub| (*sub, most)));
        }
        Ok(true)
    }

    /// Takes what is above the topmost `|` or `(` off the stack.
    pub(super) fn take_operands(&mut self) -> Vec<Id> {
        let operands = self.stack.iter().rev().take_while(|id| !self.node(**id).is_pseudo()).count();
        self.stack.split_off(self.stack.len() - operands)
    }

    pub(super) fn concat(&mut self) -> Parsed<()> {
        self.maybe_concat(None);
        let subs = self.take_operands();
        let id = if subs.is_empty() { self.new_node(Op::Empty) } else { self.collapse(subs, Op::Concat)? };
        self.push(id).map(|_| ())
    }

    pub(super) fn alternate(&mut self) -> Parsed<()> {
        let subs = self.take_operands();
        if let Some(last) = subs.last() {
            self.clean_alternative(*last);
        }
        let id = if subs.is_empty() { self.new_node(Op::NoMatch) } else { self.collapse(subs, Op::Alternate)? };
        self.push(id).map(|_| ())
    }

    /// At the end of the text or of a group.
    pub(super) fn end_alternation(&mut self) -> Parsed<()> {
        self.concat()?;
        if self.swap_vertical_bar() {
            self.stack.pop();
        }
        self.alternate()
    }

    pub(super) fn vertical_bar(&mut self) -> Parsed<()> {
        self.concat()?;
        if !self.swap_vertical_bar() {
            self.push_op(Op::VerticalBar)?;
        }
        Ok(())
    }

    pub(super) fn right_paren(&mut self) -> Parsed<()> {
        self.end_alternation()?;
        let (Some(inner), Some(paren)) = (self.below(0), self.below(1)) else {
            return Err(self.syntax(UNEXPECTED_PAREN, 0, self.text.len()));
        };
        self.stack.truncate(self.stack.len() - 2);
        let &Node { op, flags, group, .. } = self.node(paren);
        if op != Op::LeftParen {
            return Err(self.syntax(UNEXPECTED_PAREN, 0, self.text.len()));
        }
        self.flags = flags;
        if group == 0 {
            return self.push(inner).map(|_| ());
        }
        let node = self.node_mut(paren);
        node.op = Op::Group;
        node.subs = vec![inner];
        self.push(paren).map(|_| ())
    }

    /// Puts what is above a `|` below it, or into the class that is there. Whether there was a `|`.
    pub(super) fn swap_vertical_bar(&mut self) -> bool {
        if self.op_below(1) != Some(Op::VerticalBar) {
            return false;
        }
        let (Some(top), Some(bar)) = (self.below(0), self.below(1)) else { return false };
        if let Some(before) = self.below(2) {
            if self.node(top).is_class() && self.node(before).is_class() {
                let (into, from) = if self.node(top).op > self.node(before).op { (top, before) } else { (before, top) };
                self.set_below(2, into);
                self.merge_class(into, from);
                self.reuse(from);
                self.stack.pop();
                return true;
            }
            self.clean_alternative(before);
        }
        self.set_below(1, top);
        self.set_below(0, bar);
        true
    }

    /// Adds `from` to `into`, which is at least as complex a class.
    pub(super) fn merge_class(&mut self, into: Id, from: Id) {
        let source = self.node(from).clone();
        let target = self.node_mut(into);
        match target.op {
            Op::AnyButNewline if source.matches_newline() => target.op = Op::Any,
            Op::Class => {
                target.ranges.extend(letters(&source));
                target.ranges.extend_from_slice(&source.ranges);
            }
            Op::Literal if target.runes != source.runes || target.flags != source.flags => {
                target.op = Op::Class;
                target.ranges = letters(target);
                target.ranges.extend(letters(&source));
                target.runes = vec![];
            }
            _ => {}
        }
    }

    pub(super) fn clean_alternative(&mut self, id: Id) {
        let node = self.node_mut(id);
        if node.op != Op::Class {
            return;
        }
        unicode::clean(&mut node.ranges);
        let op = match node.ranges.as_slice() {
            [(0, unicode::MAX_RUNE)] => Op::Any,
            [(0, 9), (11, unicode::MAX_RUNE)] => Op::AnyButNewline,
            _ => return,
        };
        node.op = op;
        node.ranges = vec![];
    }

    /// The nodes as one, those that are of the same kind opened up.
    pub(super) fn collapse(&mut self, subs: Vec<Id>, op: Op) -> Parsed<Id> {
        if let &[only] = subs.as_slice() {
            return Ok(only);
        }
        let id = self.new_node(op);
        let mut flat = Vec::with_capacity(subs.len());
        for sub in subs {
            self.budget.step(1)?;
            if self.node(sub).op == op {
                flat.append(&mut self.node_mut(sub).subs);
                self.reuse(sub);
            } else {
                flat.push(sub);
            }
        }
        if op == Op::Alternate {
            flat = self.factor(flat)?;
            if let &[only] = flat.as_slice() {
                self.reuse(id);
                return Ok(only);
            }
        }
        self.node_mut(id).subs = flat;
        Ok(id)
    }
}

/// A literal's first letter as ranges.
fn letters(node: &Node) -> Vec<Range> {
    let Some(&rune) = node.runes.first() else { return vec![] };
    let letters = if node.folds() { unicode::orbit(rune) } else { vec![rune] };
    letters.into_iter().map(|rune| (rune, rune)).collect()
}

// === impl Parser: limits ===

impl Parser<'_> {
    pub(super) fn check_limits(&mut self, id: Id) -> Parsed<()> {
        self.check_size(id)?;
        self.check_height(id)
    }

    pub(super) fn check_size(&mut self, id: Id) -> Parsed<()> {
        if !self.sizes {
            // Go begins to look when the number of nodes times all repetitions would be too large.
            let node = self.node(id);
            if node.op == Op::Repeat {
                let times = if node.max == -1 { node.min } else { node.max }.max(1);
                self.repeats = if times > MAX_SIZE / self.repeats { MAX_SIZE } else { self.repeats * times };
            }
            if (self.nodes.len() as u64) < (MAX_SIZE / self.repeats) as u64 {
                return Ok(());
            }
            self.sizes = true;
            for id in self.stack.clone() {
                self.check_size(id)?;
            }
        }
        self.budget.step(1)?;
        if self.nodes.measure_size(id) > MAX_SIZE {
            return Err(self.syntax(LARGE, 0, self.text.len()));
        }
        Ok(())
    }

    pub(super) fn check_height(&mut self, id: Id) -> Parsed<()> {
        if self.nodes.len() < MAX_HEIGHT as usize {
            return Ok(());
        }
        if !self.heights {
            self.heights = true;
            for id in self.stack.clone() {
                self.check_height(id)?;
            }
        }
        self.budget.step(1)?;
        if self.nodes.measure_height(id) > MAX_HEIGHT {
            return Err(self.syntax(NESTING_DEPTH, 0, self.text.len()));
        }
        Ok(())
    }
}
