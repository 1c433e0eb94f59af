//! Text with its structure kept, so that what was generated can be made smaller.

use std::borrow::Cow;

type Text = Cow<'static, str>;

/// A piece of a policy or of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Text that stays as it is.
    Text(Text),
    /// Pieces one after the other.
    Join(Vec<Tree>),
    /// An expression: any part that is one can stand in its place, or a constant.
    Term(Vec<Tree>),
    /// Items of which any may go, as long as `least` are left.
    List {
        /// Before the first item, unless there is none and `close` is empty.
        open: Text,
        /// The items.
        items: Vec<Tree>,
        /// Between two of them.
        between: Text,
        /// After the last one.
        close: Text,
        /// How many have to stay.
        least: usize,
    },
}

/// Text as a tree.
pub fn text(text: impl Into<Text>) -> Tree {
    Tree::Text(text.into())
}

/// An expression from a template: each `~` stands for the next of `parts`.
pub fn term(template: &'static str, parts: impl IntoIterator<Item = Tree>) -> Tree {
    Tree::Term(filled(template, parts))
}

/// Anything else from a template.
pub fn join(template: &'static str, parts: impl IntoIterator<Item = Tree>) -> Tree {
    Tree::Join(filled(template, parts))
}

fn filled(template: &'static str, parts: impl IntoIterator<Item = Tree>) -> Vec<Tree> {
    let mut parts = parts.into_iter();
    let mut pieces = vec![];
    for (at, piece) in template.split('~').enumerate() {
        if at > 0 {
            pieces.extend(parts.next());
        }
        if !piece.is_empty() {
            pieces.push(text(piece));
        }
    }
    pieces
}

/// Items between brackets, separated by commas.
pub fn list(open: &'static str, items: Vec<Tree>, close: &'static str) -> Tree {
    Tree::List { open: text_of(open), items, between: text_of(", "), close: text_of(close), least: 0 }
}

/// Items of which at least some have to stay.
pub fn items(open: &'static str, items: Vec<Tree>, between: &'static str, close: &'static str, least: usize) -> Tree {
    Tree::List { open: text_of(open), items, between: text_of(between), close: text_of(close), least }
}

/// Something that may go.
pub fn maybe(item: Option<Tree>) -> Tree {
    items("", item.into_iter().collect(), "", "", 0)
}

const fn text_of(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

impl Tree {
    /// The text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Join(pieces) | Self::Term(pieces) => pieces.iter().for_each(|piece| piece.write(out)),
            Self::List { open, items, between, close, .. } => {
                if items.is_empty() && close.is_empty() {
                    return;
                }
                out.push_str(open);
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(between);
                    }
                    item.write(out);
                }
                out.push_str(close);
            }
        }
    }

    /// What it consists of.
    pub fn children(&self) -> &[Self] {
        match self {
            Self::Text(_) => &[],
            Self::Join(pieces) | Self::Term(pieces) => pieces,
            Self::List { items, .. } => items,
        }
    }

    fn children_mut(&mut self) -> &mut [Self] {
        match self {
            Self::Text(_) => &mut [],
            Self::Join(pieces) | Self::Term(pieces) => pieces,
            Self::List { items, .. } => items,
        }
    }

    /// The piece at a path of positions.
    pub fn at(&self, path: &[usize]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, at| tree.children().get(*at))
    }

    /// The piece at a path of positions, to be changed.
    pub fn at_mut(&mut self, path: &[usize]) -> Option<&mut Self> {
        path.iter().try_fold(self, |tree, at| tree.children_mut().get_mut(*at))
    }

    /// Calls `visit` with the path of every piece, outer ones first.
    pub fn visit(&self, visit: &mut dyn FnMut(&[usize], &Self)) {
        let mut path = vec![];
        self.visit_below(&mut path, visit);
    }

    fn visit_below(&self, path: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize], &Self)) {
        visit(path, self);
        for (at, child) in self.children().iter().enumerate() {
            path.push(at);
            child.visit_below(path, visit);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_lists() {
        let call = term("f(~, ~)", [text("1"), list("[", vec![text("2"), text("3")], "]")]);
        assert_eq!(call.render(), "f(1, [2, 3])");
        assert_eq!(items(" with ", vec![], " with ", "", 0).render(), "");
        assert_eq!(list("[", vec![], "]").render(), "[]");
        assert_eq!(call.at(&[3, 1]).map(Tree::render).as_deref(), Some("3"));
    }
}
