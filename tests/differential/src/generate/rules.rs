//! Rules and functions.

use super::Generator;
use super::scope::{Function, Root};
use crate::shape::Shape;
use crate::tree::{Tree, items, join, list, maybe, term, text};
use crate::words::any_shape;

/// One `else`: its value and its conditions.
type Else = (Option<Tree>, Vec<Tree>);

impl Generator {
    /// A rule with all its definitions, and what it is from then on.
    pub(super) fn rule(&mut self, name: &str) -> Vec<Tree> {
        match self.rng.weighted(&[44, 14, 16, 26]) {
            0 => {
                let shape = match self.rng.weighted(&[40, 45, 15]) {
                    0 => Shape::Bool,
                    1 => any_shape(&mut self.rng, 1),
                    _ => Shape::word(),
                };
                self.complete(name, &shape)
            }
            1 => self.partial_set(name),
            2 => self.partial_object(name),
            _ => self.function(name),
        }
    }

    /// A rule with one value.
    pub(super) fn complete(&mut self, name: &str, shape: &Shape) -> Vec<Tree> {
        let mut rules = vec![];
        // A reference as the head: `name.a`.
        let below: &[&str] = if self.rng.percent(10) { &["a"] } else { &[] };
        let head = below.iter().fold(name.to_owned(), |head, part| format!("{head}.{part}"));
        let definitions = self.rng.weighted(&[0, 55, 30, 15]);
        let default = self.rng.percent(if *shape == Shape::Bool { 45 } else { 30 });
        // Definitions that agree, or perhaps not.
        let agreed = self.rng.percent(70).then(|| self.head_constant(shape));
        if default {
            let value = if self.rng.percent(8) { self.constant_comprehension() } else { self.head_constant(shape) };
            rules.push(join("default ~ := ~", [text(head.clone()), value]));
        }
        for _ in 0..definitions {
            self.start_rule();
            let mut body = self.body(4, 2);
            let value = match &agreed {
                Some(value) if definitions > 1 && self.rng.percent(85) => value.clone(),
                _ => self.head_value(shape),
            };
            self.use_all(0, &mut body, &value.render());
            let implied = *shape == Shape::Bool && value.render() == "true";
            // In v0 a reference without a value would be a set.
            let implied = implied && (below.is_empty() || !self.module.style.v0);
            let value = if implied && self.rng.percent(75) { None } else { Some(value) };
            let bodiless = self.rng.percent(4) && value.is_some();
            let body = if bodiless { vec![] } else { body };
            let elses = if bodiless { vec![] } else { self.elses(shape) };
            rules.push(self.definition(text(head.clone()), value, body, elses));
        }
        self.rng.shuffle(&mut rules);
        let path = self.path_of(name, below);
        self.add_source(Root::Rule, &path, shape);
        if !below.is_empty() {
            self.sources.push(super::Source {
                root: Root::Rule,
                path: self.path_of(name, &[]),
                shape: Shape::Record(vec![("a", shape.clone())]),
            });
        }
        rules
    }

    fn partial_set(&mut self, name: &str) -> Vec<Tree> {
        let item = if self.rng.percent(70) { Shape::word() } else { any_shape(&mut self.rng, 1) };
        let style = self.module.style;
        let mut rules = vec![];
        for _ in 0..self.rng.between(1, 3) {
            self.start_rule();
            let constant = self.rng.percent(15);
            let mut body = vec![];
            if !constant && self.rng.percent(70) {
                self.iteration(&mut body, 1);
            }
            let more = self.body(2, 1);
            body.extend(more);
            let member = if constant { self.literal(&item) } else { self.term(&item, 1) };
            self.use_all(0, &mut body, &member.render());
            let template = if style.contains && !(style.v0 && self.rng.percent(30)) { "~ contains ~" } else { "~[~]" };
            let head = join(template, [text(name.to_owned()), member]);
            let body = if constant && template != "~[~]" && self.rng.percent(40) { vec![] } else { body };
            rules.push(self.definition(head, None, body, vec![]));
        }
        let path = self.path_of(name, &[]);
        self.add_source(Root::Rule, &path, &Shape::set(item));
        rules
    }

    fn partial_object(&mut self, name: &str) -> Vec<Tree> {
        let key = if self.rng.percent(85) { Shape::word() } else { any_shape(&mut self.rng, 0) };
        let value = any_shape(&mut self.rng, 1);
        let kind = self.rng.weighted(&[52, 14, 12, 10, 12]);
        let members = kind == 3 && self.module.style.contains;
        let mut rules = vec![];
        for _ in 0..self.rng.between(1, 3) {
            self.start_rule();
            let mut body = vec![];
            if self.rng.percent(65) {
                self.iteration(&mut body, 1);
            }
            let more = self.body(2, 1);
            body.extend(more);
            let keys = [self.term(&key, 0), self.term(&key, 0)];
            let constant = self.literal(&Shape::word());
            let name = text(name.to_owned());
            let [first, second] = keys;
            let used = format!("{} {}", first.render(), if kind == 1 { second.render() } else { String::new() });
            let head = match kind {
                1 => join("~[~][~]", [name, first, second]),
                2 => join("~.b[~]", [name, first]),
                4 => join("~[~].c", [name, first]),
                _ if self.rng.percent(25) => join("~[~]", [name, constant]),
                _ => join("~[~]", [name, first]),
            };
            if members {
                let member = self.term(&value, 1);
                self.use_all(0, &mut body, &format!("{used} {}", member.render()));
                rules.push(self.definition(join("~ contains ~", [head, member]), None, body, vec![]));
            } else {
                let value = self.head_value(&value);
                self.use_all(0, &mut body, &format!("{used} {}", value.render()));
                rules.push(self.definition(head, Some(value), body, vec![]));
            }
        }
        let inner = |key: Shape, value: Shape| Shape::Map(Box::new(key), Box::new(value));
        let shape = match kind {
            1 => inner(key.clone(), inner(key, value)),
            2 => Shape::Record(vec![("b", inner(key, value))]),
            4 => inner(key, Shape::Record(vec![("c", value)])),
            _ if members => inner(key, Shape::set(value)),
            _ => inner(key, value),
        };
        let path = self.path_of(name, &[]);
        self.add_source(Root::Rule, &path, &shape);
        rules
    }

    fn function(&mut self, name: &str) -> Vec<Tree> {
        let arity = self.rng.weighted(&[4, 66, 30]);
        let params: Vec<Shape> = (0..arity).map(|_| any_shape(&mut self.rng, 1)).collect();
        let result = if self.rng.percent(45) { Shape::Bool } else { any_shape(&mut self.rng, 1) };
        let mut rules = vec![];
        if arity > 0 && self.rng.percent(20) {
            let wildcards = params.iter().map(|_| text("_")).collect();
            let value = self.head_constant(&result);
            rules.push(join(
                "default ~~ := ~",
                [text(name.to_owned()), items("(", wildcards, ", ", ")", usize::MAX), value],
            ));
        }
        let agreed = self.rng.percent(70).then(|| self.head_constant(&result));
        for _ in 0..self.rng.weighted(&[0, 55, 30, 15]) {
            self.start_rule();
            let patterns = params.iter().map(|param| self.parameter(param)).collect();
            let head = join("~~", [text(name.to_owned()), items("(", patterns, ", ", ")", usize::MAX)]);
            let params = self.locals.len();
            let mut body = if self.rng.percent(30) { vec![] } else { self.body(3, 1) };
            let value = match &agreed {
                Some(value) if self.rng.percent(70) => value.clone(),
                _ => self.head_value(&result),
            };
            self.use_all(params, &mut body, &value.render());
            let bare = result == Shape::Bool && !body.is_empty() && self.rng.percent(60);
            let elses = if body.is_empty() { vec![] } else { self.elses(&result) };
            rules.push(self.definition(head, (!bare).then_some(value), body, elses));
        }
        let path = self.path_of(name, &[]);
        self.functions.push(Function { path, params, result });
        rules
    }

    fn parameter(&mut self, shape: &Shape) -> Tree {
        match self.rng.weighted(&[66, 14, 14, 6]) {
            0 => text(self.bind(shape.clone())),
            1 => self.literal(shape),
            2 => self.pattern(shape, 2),
            _ => text("_"),
        }
    }

    fn start_rule(&mut self) {
        self.locals.clear();
        self.variables = 0;
        self.several = self.rng.percent(80);
    }

    /// A value for a head: a constant, or made from what the body has.
    fn head_value(&mut self, shape: &Shape) -> Tree {
        if self.options.decisions && *shape == Shape::Any {
            return self.decision();
        }
        if self.rng.percent(45) {
            return self.literal(shape);
        }
        // Several values of one definition would conflict most of the time.
        let several = std::mem::replace(&mut self.several, self.rng.percent(8));
        let value = self.term(shape, 1);
        self.several = several;
        value
    }

    fn head_constant(&mut self, shape: &Shape) -> Tree {
        match shape {
            Shape::Any if self.options.decisions => self.decision(),
            Shape::Bool => text(self.rng.one(&["true", "true", "false"])),
            _ => self.literal(shape),
        }
    }

    /// Something that decides.
    fn decision(&mut self) -> Tree {
        let simple = ["true", "false", "\"allow\"", "\"deny\"", "\"require_approval\"", "\"other\""];
        match self.rng.weighted(&[50, 14, 12, 12, 12]) {
            0 => text(self.rng.one(&simple)),
            1 => term("{\"effect\": \"allow\"}", []),
            2 => term("{\"effect\": \"deny\", \"reason\": ~}", [self.term(&Shape::word(), 1)]),
            3 => term(
                "{\"effect\": \"require_approval\", \"approval\": {\"approvers\": [~]}}",
                [self.leaf(&Shape::word())],
            ),
            _ => {
                let obligations =
                    (0..self.rng.below(3)).map(|_| text(self.rng.one(&["\"log\"", "\"redact\""]))).collect();
                term("{\"effect\": \"allow\", \"obligations\": ~}", [list("[", obligations, "]")])
            }
        }
    }

    /// Defaults may be comprehensions, if they need nothing.
    fn constant_comprehension(&mut self) -> Tree {
        let literal = self.literal(&Shape::array(Shape::word()));
        term(self.rng.one(&["[x | x := ~[_]]", "{x | x := ~[_]}"]), [literal])
    }

    fn elses(&mut self, shape: &Shape) -> Vec<Else> {
        let count = self.rng.weighted(&[82, 12, 6]);
        let mut elses = vec![];
        for at in 0..count {
            self.locals.clear();
            let value = self.head_value(shape);
            let mut body = if at + 1 == count && self.rng.percent(30) { vec![] } else { self.body(2, 1) };
            self.use_all(0, &mut body, &value.render());
            let bare = *shape == Shape::Bool && !body.is_empty() && self.rng.percent(30);
            elses.push(((!bare).then_some(value), body));
        }
        elses
    }

    fn path_of(&self, name: &str, below: &[&str]) -> Vec<String> {
        let parts = [name].into_iter().chain(below.iter().copied()).map(str::to_owned);
        self.module.package.iter().cloned().chain(parts).collect()
    }

    /// One definition, in the module's syntax.
    fn definition(&mut self, head: Tree, value: Option<Tree>, body: Vec<Tree>, elses: Vec<Else>) -> Tree {
        let body = if body.is_empty() && value.is_none() && !head.render().contains(" contains ") {
            vec![text("true")]
        } else {
            body
        };
        let mut pieces = vec![self.head_and_body(head, value, body)];
        let elses = elses.into_iter().map(|(value, body)| self.head_and_body(text(" else"), value, body)).collect();
        pieces.push(items("", elses, "", "", 0));
        Tree::Join(pieces)
    }

    fn head_and_body(&mut self, head: Tree, value: Option<Tree>, body: Vec<Tree>) -> Tree {
        let style = self.module.style;
        let assign = if self.rng.percent(if style.v0 { 40 } else { 10 }) { " = ~" } else { " := ~" };
        let value = maybe(value.map(|value| join(assign, [value])));
        let with_if = style.must_if || style.may_if && self.rng.percent(60);
        let body = match body.len() {
            0 => maybe(None),
            1 if with_if && self.rng.percent(50) => join(" if ~", body),
            _ if self.rng.percent(12) => items(if with_if { " if { " } else { " { " }, body, "; ", " }", 1),
            _ => items(if with_if { " if {\n  " } else { " {\n  " }, body, "\n  ", "\n}", 1),
        };
        join("~~~", [head, value, body])
    }
}
