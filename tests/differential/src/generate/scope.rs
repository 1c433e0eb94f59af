//! What a term may refer to, and how it is written where it stands.

use super::Generator;
use crate::shape::Shape;
use crate::tree::{Tree, join, term, text};

/// Where a document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Input,
    Data,
    /// Data that isn't held.
    Remote,
    Rule,
}

/// A document that can be referred to.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) root: Root,
    pub(super) path: Vec<String>,
    pub(super) shape: Shape,
}

/// A function that can be called.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) path: Vec<String>,
    pub(super) params: Vec<Shape>,
    pub(super) result: Shape,
}

/// A variable.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) name: String,
    pub(super) shape: Shape,
}

impl Generator {
    /// Adds a document and, if it has known keys, all below it.
    pub(super) fn add_source(&mut self, root: Root, path: &[String], shape: &Shape) {
        self.sources.push(Source { root, path: path.to_vec(), shape: shape.clone() });
        if let Shape::Record(fields) = shape {
            for (name, field) in fields {
                let below = [path, &[(*name).to_owned()]].concat();
                self.add_source(root, &below, field);
            }
        }
    }

    /// A variable that no other statement has.
    pub(super) fn fresh(&mut self) -> String {
        self.variables += 1;
        // Now and then a name that may be one already, so that scopes matter.
        if self.rng.percent(3) {
            return self.rng.one(&["x", "y", "k", "item"]).to_owned();
        }
        format!("v{}", self.variables)
    }

    /// A new variable in scope.
    pub(super) fn bind(&mut self, shape: Shape) -> String {
        let name = self.fresh();
        self.locals.push(Local { name: name.clone(), shape });
        name
    }

    /// A variable in scope that can stand for `want`.
    pub(super) fn local(&mut self, want: &Shape) -> Option<Tree> {
        let fitting: Vec<&Local> = self.locals.iter().filter(|local| local.shape.fits(want)).collect();
        self.rng.pick(&fitting).map(|local| term("~", [text(local.name.clone())]))
    }

    /// A reference to a document that can stand for `want`, or to a part of one.
    pub(super) fn source(&mut self, want: &Shape) -> Option<Tree> {
        self.source_where(want, |_| true).map(|(tree, _)| tree)
    }

    /// The same of documents that satisfy a condition; with the path, if it is all of it.
    pub(super) fn source_where(
        &mut self,
        want: &Shape,
        allowed: fn(&Source) -> bool,
    ) -> Option<(Tree, Option<String>)> {
        let mut choices: Vec<(usize, bool)> = vec![];
        let mut weights = vec![];
        for (at, source) in self.sources.iter().enumerate().filter(|(_, source)| allowed(source)) {
            let weight: usize = match source.root {
                Root::Input => 4,
                Root::Data => 3,
                Root::Rule => 8,
                Root::Remote => 12,
            };
            let vague = source.shape == Shape::Any && *want != Shape::Any;
            if source.shape.fits(want) || vague {
                choices.push((at, true));
                weights.push(if vague { 1 } else { weight });
            }
            if let Some((_, value)) = source.shape.entries().filter(|_| source.shape.is_collection())
                && value.fits(want)
                && !matches!(source.shape, Shape::Set(_))
            {
                choices.push((at, false));
                weights.push(weight.div_ceil(2));
            }
        }
        let (at, whole) = *choices.get(self.rng.weighted(&weights))?;
        let source = self.sources.get(at)?.clone();
        let reference = self.reference(&source.path);
        if whole {
            return Some((reference, Some(source.path.join("."))));
        }
        let (key, _) = source.shape.entries()?;
        let key = self.key(&key);
        Some((term("~[~]", [reference, key]), None))
    }

    /// The key of a collection: one, or any.
    fn key(&mut self, shape: &Shape) -> Tree {
        if self.several && self.rng.percent(40) {
            return text("_");
        }
        match self.rng.below(4) {
            0 => self.local(shape).unwrap_or_else(|| self.literal(shape)),
            1 if *shape == Shape::Num => text(self.rng.one(&["0", "1", "2"])),
            1 => self.source(shape).unwrap_or_else(|| self.literal(shape)),
            _ if *shape == Shape::Num => text(self.rng.one(&["0", "1"])),
            _ => self.literal(shape),
        }
    }

    /// Adds conditions on variables that nothing else mentions: OPA refuses what `some` and `every` declare in vain.
    pub(super) fn use_all(&mut self, scope: usize, statements: &mut Vec<Tree>, head: &str) {
        let locals: Vec<Local> = self.locals.get(scope..).unwrap_or_default().to_vec();
        for Local { name, shape } in locals {
            let found: usize = statements.iter().map(|statement| mentions(&statement.render(), &name)).sum();
            let declared = statements.iter().any(|statement| statement.render().starts_with("some "));
            let needed = if declared { 2 } else { 1 };
            if found + mentions(head, &name) < needed && !self.rng.percent(2) {
                let value = self.literal(&shape);
                statements.push(join(self.rng.one(&["~ != ~", "~ == ~", "~ != ~", "~ = ~"]), [text(name), value]));
            }
        }
    }

    /// A path as this module may write it.
    pub(super) fn reference(&mut self, path: &[String]) -> Tree {
        let mut parts: &[String] = path;
        let package = self.module.package.clone();
        let own = |rest: &&[String]| rest.first().is_some_and(|name| self.module.own.contains(name));
        let local = path.strip_prefix(package.as_slice()).filter(own);
        let alias = self.module.aliases.iter().find_map(|(prefix, alias)| {
            let rest = path.strip_prefix(prefix.as_slice())?;
            Some((alias.clone(), rest))
        });
        let mut out = String::new();
        match (local, alias) {
            (Some(rest), _) if !self.rng.percent(12) => parts = rest,
            (_, Some((alias, rest))) if self.rng.percent(70) => {
                out = alias;
                parts = rest;
            }
            _ => {}
        }
        for part in parts {
            if out.is_empty() {
                out.push_str(part);
            } else if is_name(part) && !self.rng.percent(6) {
                out.push('.');
                out.push_str(part);
            } else {
                out.push_str(&format!("[{}]", serde_json::Value::from(part.as_str())));
            }
        }
        term("~", [text(out)])
    }
}

/// How often a text mentions a variable.
fn mentions(text: &str, name: &str) -> usize {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| *word == name).count()
}

/// Whether a key can stand behind a dot.
fn is_name(key: &str) -> bool {
    let mut chars = key.chars();
    let word = chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let keyword = [
        "not", "package", "import", "as", "default", "else", "with", "null", "true", "false", "some", "if", "contains",
        "in", "every", "and", "or",
    ];
    word && !keyword.contains(&key)
}
