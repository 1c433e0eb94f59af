//! The tree of a pattern.

use super::unicode::Range;

/// A pattern's tree.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Nodes,
    pub(super) root: Id,
    /// The names of the groups, from the first on.
    pub(super) names: Vec<Option<Box<str>>>,
    /// Whether the pattern names a surrogate, which no text has.
    pub(super) surrogates: bool,
}

/// A node's place in its tree.
pub(super) type Id = usize;

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) flags: Flags,
    pub(super) subs: Vec<Id>,
    /// Of a literal.
    pub(super) runes: Vec<u32>,
    /// Of a class.
    pub(super) ranges: Vec<Range>,
    /// Of a repetition; a maximum of -1 is none.
    pub(super) min: i64,
    pub(super) max: i64,
    /// Of a group: its number, 0 if it captures nothing.
    pub(super) group: usize,
    /// Instructions it would compile to, as far as anyone has asked. Go keeps it when a node is used again.
    pub(super) size: Option<i64>,
    pub(super) height: Option<u32>,
}

/// What a node is, in Go's order, which says of two classes which one takes in the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    #[default]
    NoMatch,
    Empty,
    Literal,
    Class,
    AnyButNewline,
    Any,
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    WordBoundary,
    NoWordBoundary,
    Group,
    Star,
    Plus,
    Quest,
    Repeat,
    Concat,
    Alternate,
    // Only on the parser's stack.
    LeftParen,
    VerticalBar,
}

/// All nodes ever made.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    /// What stands where no node is; there is no such place.
    none: Node,
}

/// Whether a letter is any letter but for case, `^` the beginning of a line, and so on.
pub(super) type Flags = u16;

pub(super) const FOLD: Flags = 1;
pub(super) const DOT_NEWLINE: Flags = 8;
pub(super) const ONE_LINE: Flags = 16;
pub(super) const LAZY: Flags = 32;

// === impl Tree ===

impl Tree {
    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id)
    }

    /// Whether the first thing is `^`.
    pub(super) fn begins_with_text(&self) -> bool {
        let root = self.node(self.root);
        root.op == Op::Concat && root.subs.first().is_some_and(|first| self.node(*first).op == Op::TextStart)
    }

    /// Nodes within each other.
    pub(super) fn height(&self) -> usize {
        let mut height = 0;
        let mut todo = vec![(self.root, 1)];
        while let Some((id, depth)) = todo.pop() {
            height = height.max(depth);
            todo.extend(self.node(id).subs.iter().map(|sub| (*sub, depth + 1)));
        }
        height
    }
}

impl Node {
    pub(super) fn folds(&self) -> bool {
        self.flags & FOLD != 0
    }

    pub(super) fn is_lazy(&self) -> bool {
        self.flags & LAZY != 0
    }

    /// Whether it matches one character, whichever it may be.
    pub(super) fn is_class(&self) -> bool {
        match self.op {
            Op::Literal => self.runes.len() == 1,
            op => matches!(op, Op::Class | Op::AnyButNewline | Op::Any),
        }
    }

    pub(super) fn is_pseudo(&self) -> bool {
        self.op >= Op::LeftParen
    }

    /// How much Go's list of runes holds.
    pub(super) fn runes_len(&self) -> usize {
        self.runes.len() + self.ranges.len()
    }

    pub(super) fn matches_newline(&self) -> bool {
        let newline = u32::from('\n');
        match self.op {
            Op::Literal => self.runes == [newline],
            Op::Class => self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&newline)),
            op => op == Op::Any,
        }
    }
}

// === impl Nodes ===

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn push(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&self.none)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(id).unwrap_or(&mut self.none)
    }

    /// A node's size, from what its parts' sizes were when they were measured.
    pub(super) fn measure_size(&mut self, id: Id) -> i64 {
        self.measure(
            id,
            |node| node.size.is_some(),
            |nodes, id| {
                let node = nodes.get(id);
                let sub = |sub: &Id| nodes.get(*sub).size.unwrap_or(0);
                let all: i64 = node.subs.iter().map(sub).sum();
                let size = match node.op {
                    Op::Literal => node.runes.len() as i64,
                    Op::Group | Op::Star => 2 + all,
                    Op::Plus | Op::Quest => 1 + all,
                    Op::Concat => all,
                    Op::Alternate => all + (node.subs.len() as i64 - 1).max(0),
                    Op::Repeat if node.max == -1 && node.min == 0 => 2 + all,
                    Op::Repeat if node.max == -1 => 1 + node.min * all,
                    Op::Repeat => node.max * all + (node.max - node.min),
                    _ => 0,
                };
                nodes.get_mut(id).size = Some(size.max(1));
            },
        );
        self.get(id).size.unwrap_or(0)
    }

    pub(super) fn measure_height(&mut self, id: Id) -> u32 {
        self.measure(
            id,
            |node| node.height.is_some(),
            |nodes, id| {
                let sub = |sub: &Id| nodes.get(*sub).height.unwrap_or(0);
                let height = nodes.get(id).subs.iter().map(sub).max().unwrap_or(0) + 1;
                nodes.get_mut(id).height = Some(height);
            },
        );
        self.get(id).height.unwrap_or(0)
    }

    /// Calls `set` for the node, and before that for those below it that aren't `known`.
    fn measure(&mut self, id: Id, known: fn(&Node) -> bool, set: fn(&mut Self, Id)) {
        let mut todo = vec![id];
        while let Some(&top) = todo.last() {
            let before = todo.len();
            todo.extend(self.get(top).subs.iter().copied().filter(|sub| !known(self.get(*sub))));
            if todo.len() == before {
                set(self, top);
                todo.pop();
            }
        }
    }
}
