//! Taking out what neighbouring alternatives begin with.

use super::{MAX_FACTORING, ParseError, Parsed, Parser};
use crate::eval::builtins::Limit;
use crate::eval::builtins::re2::tree::{FOLD, Id, Node, Op};

impl Parser<'_> {
    /// Takes out what neighbouring alternatives begin with: `abc|abd` is `ab[cd]`.
    pub(super) fn factor(&mut self, subs: Vec<Id>) -> Parsed<Vec<Id>> {
        if subs.len() < 2 {
            return Ok(subs);
        }
        self.factoring += 1;
        if self.factoring > MAX_FACTORING {
            return Err(ParseError::Limit(Limit::Size));
        }
        let subs = self.factor_strings(subs)?;
        let subs = self.factor_classes(subs)?;
        let subs = self.merge_letters(subs);
        self.factoring -= 1;
        let empty = |id: &Id| self.node(*id).op == Op::Empty;
        let keep = |(at, id): (usize, &Id)| (!(empty(id) && subs.get(at + 1).is_some_and(empty))).then_some(*id);
        Ok(subs.iter().enumerate().filter_map(keep).collect())
    }

    /// Takes out common literals.
    pub(super) fn factor_strings(&mut self, mut subs: Vec<Id>) -> Parsed<Vec<Id>> {
        let mut factored = Vec::with_capacity(subs.len());
        let mut start = 0;
        let mut prefix: Vec<u32> = vec![];
        let mut prefix_folds = false;
        for end in 0..=subs.len() {
            let mut string: &[u32] = &[];
            let mut folds = false;
            if let Some(sub) = subs.get(end) {
                self.budget.step(1)?;
                (string, folds) = self.leading_string(*sub);
                if folds == prefix_folds {
                    let same = prefix.iter().zip(string).take_while(|(a, b)| a == b).count();
                    if same > 0 {
                        prefix.truncate(same);
                        continue;
                    }
                }
            }
            let next_prefix = string.to_vec();
            self.budget.step(next_prefix.len() as u64 / 16)?;
            match subs.get_mut(start..end).unwrap_or_default() {
                [] => {}
                [only] => factored.push(*only),
                several => {
                    let literal = self.new_node(Op::Literal);
                    let node = self.node_mut(literal);
                    node.flags = if prefix_folds { FOLD } else { 0 };
                    node.runes.clone_from(&prefix);
                    for sub in &mut *several {
                        *sub = self.remove_leading_string(*sub, prefix.len());
                        self.check_limits(*sub)?;
                    }
                    let suffix = self.collapse(several.to_vec(), Op::Alternate)?;
                    let concat = self.new_node(Op::Concat);
                    self.node_mut(concat).subs = vec![literal, suffix];
                    factored.push(concat);
                }
            }
            start = end;
            prefix = next_prefix;
            prefix_folds = folds;
        }
        Ok(factored)
    }

    pub(super) fn leading_string(&self, id: Id) -> (&[u32], bool) {
        let mut node = self.node(id);
        if node.op == Op::Concat
            && let Some(first) = node.subs.first()
        {
            node = self.node(*first);
        }
        if node.op == Op::Literal { (&node.runes, node.folds()) } else { (&[], false) }
    }

    pub(super) fn remove_leading_string(&mut self, id: Id, len: usize) -> Id {
        let node = self.node(id);
        if node.op == Op::Concat
            && let Some(&first) = node.subs.first()
        {
            self.shorten(first, len);
            if self.node(first).op == Op::Empty {
                self.reuse(first);
                return self.drop_first(id);
            }
            return id;
        }
        self.shorten(id, len);
        id
    }

    pub(super) fn shorten(&mut self, id: Id, len: usize) {
        let node = self.node_mut(id);
        if node.op == Op::Literal {
            node.runes.drain(..len.min(node.runes.len()));
            if node.runes.is_empty() {
                node.op = Op::Empty;
            }
        }
    }

    /// A concatenation without its first part.
    pub(super) fn drop_first(&mut self, id: Id) -> Id {
        let node = self.node_mut(id);
        if !node.subs.is_empty() {
            node.subs.remove(0);
        }
        match *node.subs.as_slice() {
            [] => node.op = Op::Empty,
            [only] => {
                self.reuse(id);
                return only;
            }
            _ => {}
        }
        id
    }

    /// Takes out common classes, repeated or not. Anything else must stay: an alternative is tried as a whole.
    pub(super) fn factor_classes(&mut self, mut subs: Vec<Id>) -> Parsed<Vec<Id>> {
        let mut factored = Vec::with_capacity(subs.len());
        let mut start = 0;
        let mut prefix = None;
        for end in 0..=subs.len() {
            let mut first = None;
            if let Some(sub) = subs.get(end) {
                self.budget.step(1)?;
                first = self.leading_node(*sub);
                if let (Some(prefix), Some(first)) = (prefix, first)
                    && self.are_same_class(prefix, first)
                {
                    continue;
                }
            }
            match (subs.get_mut(start..end).unwrap_or_default(), prefix) {
                ([], _) => {}
                ([only], _) => factored.push(*only),
                (several, prefix) => {
                    for (at, sub) in several.iter_mut().enumerate() {
                        *sub = self.remove_leading_node(*sub, at > 0);
                        self.check_limits(*sub)?;
                    }
                    let suffix = self.collapse(several.to_vec(), Op::Alternate)?;
                    let concat = self.new_node(Op::Concat);
                    self.node_mut(concat).subs = prefix.into_iter().chain([suffix]).collect();
                    factored.push(concat);
                }
            }
            start = end;
            prefix = first;
        }
        Ok(factored)
    }

    pub(super) fn leading_node(&self, id: Id) -> Option<Id> {
        let node = self.node(id);
        let first = match (node.op, node.subs.first()) {
            (Op::Concat, Some(first)) => *first,
            _ => id,
        };
        (self.node(first).op != Op::Empty).then_some(first)
    }

    /// Whether both are the same class, or the same class repeated a fixed number of times.
    pub(super) fn are_same_class(&self, a: Id, b: Id) -> bool {
        let (a, b) = (self.node(a), self.node(b));
        if a.op == Op::Repeat && b.op == Op::Repeat && a.min == a.max {
            let (Some(a_sub), Some(b_sub)) = (a.subs.first(), b.subs.first()) else { return false };
            let same = (a.min, a.max, a.is_lazy()) == (b.min, b.max, b.is_lazy());
            return same && self.node(*a_sub).is_class() && same_class(self.node(*a_sub), self.node(*b_sub));
        }
        a.is_class() && same_class(a, b)
    }

    pub(super) fn remove_leading_node(&mut self, id: Id, reuse: bool) -> Id {
        let node = self.node(id);
        if node.op == Op::Concat
            && let Some(&first) = node.subs.first()
        {
            if reuse {
                self.reuse(first);
            }
            return self.drop_first(id);
        }
        if reuse {
            self.reuse(id);
        }
        self.new_node(Op::Empty)
    }

    /// Makes classes of neighbouring letters and classes.
    pub(super) fn merge_letters(&mut self, subs: Vec<Id>) -> Vec<Id> {
        let mut merged = Vec::with_capacity(subs.len());
        for run in subs
            .chunk_by(|a, b| self.node(*a).is_class() && self.node(*b).is_class())
            .map(<[Id]>::to_vec)
            .collect::<Vec<_>>()
        {
            let mut run = run;
            if run.len() > 1 {
                let rank = |id: Id| (self.node(id).op, self.node(id).runes_len());
                let mut most = 0;
                for at in 1..run.len() {
                    if let (Some(a), Some(b)) = (run.get(most), run.get(at))
                        && rank(*a) < rank(*b)
                    {
                        most = at;
                    }
                }
                run.swap(0, most);
                let mut rest = run.split_off(1);
                if let Some(&into) = run.first() {
                    for from in rest.drain(..) {
                        self.merge_class(into, from);
                        self.reuse(from);
                    }
                    self.clean_alternative(into);
                }
            }
            merged.append(&mut run);
        }
        merged
    }
}

fn same_class(a: &Node, b: &Node) -> bool {
    a.op == b.op
        && (!matches!(a.op, Op::Literal | Op::Class)
            || a.folds() == b.folds() && a.runes == b.runes && a.ranges == b.ranges)
}
