//! Modules: which syntax they may use, what they import, which rules they hold.

use super::Generator;
use crate::shape::Shape;
use crate::tree::{Tree, items, join, maybe, text};
use crate::words::any_shape;

/// The module that is being made.
#[derive(Debug, Clone, Default)]
pub(super) struct Module {
    /// Its path, with `data`.
    pub(super) package: Vec<String>,
    pub(super) style: Style,
    /// Names of its rules so far.
    pub(super) own: Vec<String>,
    /// Imports by path.
    pub(super) aliases: Vec<(Vec<String>, String)>,
}

/// What a module's syntax is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// v0, without an import that makes it v1.
    pub(super) v0: bool,
    pub(super) must_if: bool,
    pub(super) may_if: bool,
    pub(super) contains: bool,
    pub(super) is_in: bool,
    pub(super) every: bool,
    pub(super) plain_not: bool,
    pub(super) logical: bool,
    pub(super) templates: bool,
}

const NAMES: [&str; 14] =
    ["allow", "deny", "r", "s", "f", "g", "helper", "is_ok", "users_of", "names", "level", "reasons", "t", "found"];

impl Generator {
    /// All modules, and the document to ask for.
    pub(super) fn modules(&mut self, v0: bool) -> (Vec<(String, Tree)>, String) {
        let layouts: [&[&str]; 6] =
            [&["p"], &["p"], &["lib", "p"], &["lib.util", "p"], &["p.q", "p"], &["lib", "p.q", "p"]];
        let packages = self.rng.one(&layouts);
        let mut modules = vec![];
        let mut rules_asked: Vec<String> = vec![];
        for (at, package) in packages.iter().enumerate() {
            let last = at + 1 == packages.len();
            let imports = self.start_module(package, v0);
            let mut rules = vec![];
            let mut names: Vec<&str> = NAMES.to_vec();
            self.rng.shuffle(&mut names);
            // A package `p.q` is where a rule `q` of `p` would be.
            for name in names.iter().take(self.rng.between(1, if packages.len() == 1 { 4 } else { 3 })) {
                let functions = self.functions.len();
                rules.extend(self.rule(name));
                self.module.own.push((*name).to_owned());
                if self.functions.len() == functions {
                    rules_asked.push(format!("data.{package}.{name}"));
                }
            }
            if last {
                let shape = if self.options.decisions {
                    if self.rng.percent(50) { Shape::Bool } else { Shape::Any }
                } else if self.rng.percent(45) {
                    Shape::Bool
                } else {
                    any_shape(&mut self.rng, 2)
                };
                rules.extend(self.main(&shape));
            }
            if self.rng.percent(10) {
                self.rng.shuffle(&mut rules);
            }
            // A package may be more than one module.
            if rules.len() > 2 && self.rng.percent(15) {
                let other = rules.split_off(rules.len() / 2);
                modules.push((format!("m{at}b.rego"), self.module_of(package, &imports, other)));
            }
            modules.push((format!("m{at}.rego"), self.module_of(package, &imports, rules)));
        }
        let package = packages.last().copied().unwrap_or("p");
        let query = match self.rng.weighted(&[60, 25, 15]) {
            1 if !rules_asked.is_empty() && !self.options.decisions => {
                self.rng.pick(&rules_asked).cloned().unwrap_or_default()
            }
            2 if !self.options.decisions => format!("data.{package}"),
            _ => format!("data.{package}.main.value"),
        };
        // `main` may be a rule of that name, or stand below it.
        let query = if query.ends_with(".main.value") { format!("data.{package}.main") } else { query };
        (modules, query)
    }

    /// The rule that is asked: like any other, but made of the others.
    fn main(&mut self, shape: &Shape) -> Vec<Tree> {
        self.complete("main", shape)
    }

    fn module_of(&mut self, package: &str, imports: &[Tree], rules: Vec<Tree>) -> Tree {
        let comment = match self.rng.below(12) {
            0 => "# é comment\n",
            1 => "# METADATA\n# title: made\n# custom:\n#   a: 1\n",
            _ => "",
        };
        let package = format!("{comment}package {package}\n");
        join("~~\n~\n", [text(package), items("\n", imports.to_vec(), "\n", "\n", 0), items("", rules, "\n\n", "", 0)])
    }

    fn start_module(&mut self, package: &str, v0: bool) -> Vec<Tree> {
        let mut imports: Vec<Tree> = vec![];
        let style = if v0 { self.old_style(&mut imports) } else { self.new_style(&mut imports) };
        let package: Vec<String> = ["data"].into_iter().chain(package.split('.')).map(str::to_owned).collect();
        self.module = Module { package, style, own: vec![], aliases: vec![] };
        self.import_some(&mut imports);
        imports
    }

    fn new_style(&mut self, imports: &mut Vec<Tree>) -> Style {
        let mut style = Style {
            must_if: true,
            may_if: true,
            contains: true,
            is_in: true,
            every: true,
            templates: true,
            ..Style::default()
        };
        match self.rng.weighted(&[64, 6, 8, 8, 6, 4, 4]) {
            1 => imports.push(text("import rego.v1")),
            2 => {
                imports.push(text("import future.keywords.not"));
                style.plain_not = true;
            }
            3 => {
                imports.push(text("import future.keywords.and"));
                imports.push(text("import future.keywords.or"));
                style.logical = true;
            }
            4 => {
                imports.push(text(self.rng.one(&["import future.keywords", "import rego.v2"])));
                style.plain_not = true;
                style.logical = true;
            }
            5 => {
                for name in ["not", "and", "or"] {
                    imports.push(text(format!("import future.keywords.{name}")));
                }
                style.plain_not = true;
                style.logical = true;
            }
            6 => imports.push(text("import future.keywords.in")),
            _ => {}
        }
        style
    }

    fn old_style(&mut self, imports: &mut Vec<Tree>) -> Style {
        let mut style = Style { v0: true, ..Style::default() };
        match self.rng.weighted(&[40, 25, 20, 15]) {
            0 => {}
            1 => {
                imports.push(text("import rego.v1"));
                style =
                    Style { v0: false, must_if: true, may_if: true, contains: true, is_in: true, every: true, ..style };
            }
            2 => {
                for name in ["in", "every", "if", "contains"] {
                    imports.push(text(format!("import future.keywords.{name}")));
                }
                style = Style { may_if: true, contains: true, is_in: true, every: true, ..style };
            }
            _ => {
                imports.push(text("import future.keywords"));
                let (plain_not, logical) = (true, true);
                style = Style { may_if: true, contains: true, is_in: true, every: true, plain_not, logical, ..style };
            }
        }
        style
    }

    /// Imports of documents, some with another name.
    fn import_some(&mut self, imports: &mut Vec<Tree>) {
        for _ in 0..self.rng.weighted(&[60, 25, 15]) {
            let Some(source) = self.rng.pick(&self.sources).cloned() else { return };
            let own = source.path.starts_with(&self.module.package);
            let name = source.path.last().cloned().unwrap_or_default();
            if own || source.path.len() < 2 || source.path.iter().any(|part| part.contains(' ')) {
                continue;
            }
            let as_other = self.rng.percent(45);
            let alias = if as_other { format!("{name}_a") } else { name };
            if self.module.aliases.iter().any(|(_, other)| *other == alias) || NAMES.contains(&alias.as_str()) {
                continue;
            }
            let path = text(source.path.join("."));
            let tail = as_other.then(|| text(format!(" as {alias}")));
            imports.push(join("import ~~", [path, maybe(tail)]));
            self.module.aliases.push((source.path.clone(), alias));
        }
    }
}
