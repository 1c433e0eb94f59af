//! Making a case small, as long as what it shows stays.

use std::io;

use crate::case::Case;
use crate::tree::{Tree, text};

/// Constants that stand for an expression.
const CONSTANTS: [&str; 5] = ["true", "1", "\"a\"", "[]", "input.x"];

/// Makes `case` smaller while `shows` says that it still shows the same, at most so many tries.
///
/// # Errors
/// `shows` fails.
pub fn shrink(case: &Case, tries: usize, shows: &mut dyn FnMut(&Case) -> io::Result<bool>) -> io::Result<Case> {
    let mut shrinking = Shrinking { case: case.clone(), left: tries, shows };
    loop {
        let before = shrinking.case.size();
        shrinking.modules()?;
        for tree in 0..shrinking.trees() {
            shrinking.lists(tree)?;
            shrinking.terms(tree)?;
        }
        if shrinking.left == 0 || shrinking.case.size() >= before {
            return Ok(shrinking.case);
        }
    }
}

struct Shrinking<'a> {
    case: Case,
    left: usize,
    shows: &'a mut dyn FnMut(&Case) -> io::Result<bool>,
}

impl Shrinking<'_> {
    /// Takes a smaller case if it still shows what it is to show.
    fn take(&mut self, smaller: Case) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let shows = (self.shows)(&smaller)?;
        if shows {
            self.case = smaller;
        }
        Ok(shows)
    }

    fn modules(&mut self) -> io::Result<()> {
        let mut at = 0;
        while at < self.case.modules.len() {
            let mut smaller = self.case.clone();
            smaller.modules.remove(at);
            if !self.take(smaller)? {
                at += 1;
            }
        }
        Ok(())
    }

    /// Modules, the data, the inputs and what completes the data.
    fn trees(&self) -> usize {
        let completions: usize = self.case.remote.iter().map(|remote| remote.completions.len()).sum();
        self.case.modules.len() + 1 + self.case.inputs.len() + completions
    }

    /// Drops items: first all of a list, then halves, then one by one.
    fn lists(&mut self, tree: usize) -> io::Result<()> {
        let mut done = 0;
        loop {
            // Outer lists first: what goes with one of their items need not be looked at.
            let Some((path, count, least)) = self.list(tree, done) else { return Ok(()) };
            let mut size = count.saturating_sub(least).max(1);
            loop {
                let mut at = 0;
                let mut now = self.items(tree, &path);
                while at < now && now > least {
                    let size = size.min(now - least);
                    let smaller = self.changed(tree, &path, |list| {
                        if let Tree::List { items, .. } = list {
                            items.drain(at..(at + size).min(items.len()));
                        }
                    });
                    if self.take(smaller)? {
                        now = self.items(tree, &path);
                    } else {
                        at += size;
                    }
                }
                if size == 1 {
                    break;
                }
                size = size.div_ceil(2);
            }
            done += 1;
        }
    }

    /// The path, length and least length of the list with this number.
    fn list(&self, tree: usize, number: usize) -> Option<(Vec<usize>, usize, usize)> {
        let mut found = None;
        let mut seen = 0;
        tree_of(&self.case, tree)?.visit(&mut |path, piece| {
            if let Tree::List { items, least, .. } = piece {
                if seen == number {
                    found = Some((path.to_vec(), items.len(), *least));
                }
                seen += 1;
            }
        });
        found
    }

    fn items(&self, tree: usize, path: &[usize]) -> usize {
        tree_of(&self.case, tree).and_then(|tree| tree.at(path)).map_or(0, |list| list.children().len())
    }

    /// Puts a part of an expression, or a constant, in its place.
    fn terms(&mut self, tree: usize) -> io::Result<()> {
        let mut done = 0;
        loop {
            let mut found = None;
            let mut seen = 0;
            let Some(whole) = tree_of(&self.case, tree) else { return Ok(()) };
            whole.visit(&mut |path, piece| {
                if matches!(piece, Tree::Term(_)) {
                    if seen == done {
                        found = Some((path.to_vec(), piece.clone()));
                    }
                    seen += 1;
                }
            });
            let Some((path, term)) = found else { return Ok(()) };
            let mut parts = vec![];
            term.visit(&mut |inner, piece| {
                if !inner.is_empty() && matches!(piece, Tree::Term(_)) {
                    parts.push(piece.clone());
                }
            });
            parts.sort_by_key(|part| part.render().len());
            let size = term.render().len();
            let constants = CONSTANTS.iter().filter(|constant| constant.len() < size).map(|constant| text(*constant));
            let mut replaced = false;
            for part in constants.chain(parts) {
                let smaller = self.changed(tree, &path, |term| *term = part.clone());
                if self.take(smaller)? {
                    replaced = true;
                    break;
                }
            }
            // What stands there now may have smaller parts.
            if !replaced {
                done += 1;
            }
        }
    }

    fn changed(&self, tree: usize, path: &[usize], change: impl FnOnce(&mut Tree)) -> Case {
        let mut case = self.case.clone();
        if let Some(piece) = tree_of_mut(&mut case, tree).and_then(|tree| tree.at_mut(path)) {
            change(piece);
        }
        case
    }
}

fn tree_of(case: &Case, tree: usize) -> Option<&Tree> {
    let modules = case.modules.iter().map(|(_, module)| module);
    let completions = case.remote.iter().flat_map(|remote| &remote.completions);
    modules.chain([&case.data]).chain(&case.inputs).chain(completions).nth(tree)
}

fn tree_of_mut(case: &mut Case, tree: usize) -> Option<&mut Tree> {
    let modules = case.modules.iter_mut().map(|(_, module)| module);
    let completions = case.remote.iter_mut().flat_map(|remote| &mut remote.completions);
    modules.chain([&mut case.data]).chain(&mut case.inputs).chain(completions).nth(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{items, join, list, term};

    #[test]
    fn what_does_not_matter_goes() {
        let statement = |inner: Tree| term("f(~)", [inner]);
        let body = items("{ ", vec![text("a"), statement(term("g(~)", [text("x")])), text("b")], "; ", " }", 1);
        let module = |rules| join("package p\n~", [items("", rules, "\n", "", 0)]);
        let case = Case {
            v0: false,
            modules: vec![
                ("a.rego".into(), module(vec![text("one"), body.clone(), text("two")])),
                ("b.rego".into(), module(vec![text("three")])),
            ],
            data: list("{", vec![text("\"a\": 1")], "}"),
            query: "data.p.x".into(),
            inputs: vec![list("[", vec![text("1"), text("2")], "]")],
            remote: vec![],
        };
        let mut shows = |case: &Case| {
            let policy: String = case.texts().into_values().collect();
            Ok(policy.contains("g(x)") && case.inputs[0].render().contains('2'))
        };
        let small = shrink(&case, 1000, &mut shows).unwrap();
        assert_eq!(small.modules.len(), 1);
        assert_eq!(small.modules[0].1.render(), "package p\n{ g(x) }");
        assert_eq!(small.data.render(), "{}");
        assert_eq!(small.inputs[0].render(), "[2]");
    }
}
