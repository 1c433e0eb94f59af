//! The statements of bodies.

use super::Generator;
use super::scope::{Root, Source};
use crate::shape::{Flavor, Shape};
use crate::tree::{Tree, items, join, list, maybe, term, text};
use crate::words::any_shape;

impl Generator {
    /// Some statements, at least one.
    pub(super) fn body(&mut self, most: usize, depth: usize) -> Vec<Tree> {
        let mut statements = vec![];
        for _ in 0..self.rng.between(1, most) {
            self.statement(&mut statements, depth);
        }
        // Order matters to no one: who needs what comes first is found out by safety.
        if self.rng.percent(4) {
            let mut order = std::mem::take(&mut statements);
            self.rng.shuffle(&mut order);
            statements = order;
        }
        statements
    }

    /// One more statement, or two that belong together.
    pub(super) fn statement(&mut self, out: &mut Vec<Tree>, depth: usize) {
        match self.rng.weighted(&[52, 9, 9, 5, 5, 5, 9, 2, 1]) {
            0 => {
                let atom = self.guarded(depth);
                out.push(atom);
            }
            1 => self.iteration(out, depth),
            2 => {
                let shape = if self.rng.percent(40) { any_shape(&mut self.rng, 1) } else { self.comparable() };
                let value = self.term(&shape, depth);
                let name = self.bind(shape);
                out.push(join("~ := ~", [text(name), value]));
            }
            3 => self.destructuring(out, depth),
            4 => self.unification(out, depth),
            5 => {
                let every = self.every(depth);
                out.push(every);
            }
            6 => {
                let atom = self.helper(depth);
                let with = self.withs(depth);
                out.push(join("~~", [atom, with]));
            }
            7 => {
                let collection = self.collection(depth);
                let (path, value) = (self.bind(Shape::array(Shape::Any)), self.bind(Shape::Any));
                out.push(join("walk(~, [~, ~])", [collection, text(path), text(value)]));
            }
            _ => out.push(join("print(~)", [self.term(&Shape::Any, depth)])),
        }
    }

    /// A condition, perhaps negated, joined with another or under `with`.
    fn guarded(&mut self, depth: usize) -> Tree {
        let logical = self.module.style.logical && self.rng.percent(25);
        if logical {
            return self.joined(depth);
        }
        let mut atom = self.atom(depth);
        if self.rng.percent(22) {
            let plain = self.module.style.plain_not && self.rng.percent(25);
            let several = std::mem::replace(&mut self.several, self.rng.percent(5));
            atom = if plain {
                let scope = self.locals.len();
                let mut body = self.body(2, depth.saturating_sub(1));
                self.use_all(scope, &mut body, "");
                self.locals.truncate(scope);
                join("not ~", [items("{", body, "; ", "}", 1)])
            } else {
                // A variable that only the negation would bind is unsafe: leave that to the broken ones.
                let negated = self.atom(depth);
                join("~~", [maybe(Some(text("not "))), negated])
            };
            self.several = several;
        }
        let with = self.withs(depth);
        join("~~", [atom, with])
    }

    /// `a and b`, `{ … } or not c`.
    fn joined(&mut self, depth: usize) -> Tree {
        let mut operands = vec![];
        for _ in 0..self.rng.between(2, 3) {
            let scope = self.locals.len();
            let operand = match self.rng.below(6) {
                0 => {
                    let mut body = self.body(2, depth);
                    self.use_all(scope, &mut body, "");
                    items("{", body, "; ", "}", 1)
                }
                1 => join("not ~", [self.atom(depth)]),
                2 => join("(~)", [self.atom(depth)]),
                3 if depth > 0 => join("(~)", [self.joined(depth - 1)]),
                _ => self.atom(depth),
            };
            self.locals.truncate(scope);
            operands.push(operand);
        }
        let mut operands = operands.into_iter();
        let first = operands.next().unwrap_or_else(Self::nothing);
        operands.fold(first, |left, right| {
            let operator = self.rng.one(&["~ and ~", "~ or ~", "~ or ~"]);
            term(operator, [left, right])
        })
    }

    /// One condition.
    pub(super) fn atom(&mut self, depth: usize) -> Tree {
        match self.rng.weighted(&[34, 12, 12, 14, 10, 8, 10]) {
            0 => self.comparison(depth),
            1 => {
                let shape = if self.rng.percent(60) { Shape::Bool } else { Shape::Any };
                self.source(&shape).unwrap_or_else(|| text("true"))
            }
            2 if self.module.style.is_in => self.membership(depth),
            2 => self.comparison(depth),
            3 | 4 => self.call(&Shape::Bool, depth.max(1)),
            5 => self.condition(depth),
            _ => self.helper(depth),
        }
    }

    /// A document against a constant, or against another.
    fn comparison(&mut self, depth: usize) -> Tree {
        let shape = self.comparable();
        let (left, path) = self.compared(&shape, depth);
        let right = match self.rng.below(10) {
            0..6 => self.hit(path.as_deref(), &shape),
            6 => self.literal(&shape),
            7 => self.source(&shape).unwrap_or_else(|| self.literal(&shape)),
            _ => self.term(&shape, depth),
        };
        let operator = match self.rng.below(12) {
            0 => "~ = ~",
            _ => self.operator(),
        };
        if self.rng.percent(10) { term(operator, [right, left]) } else { term(operator, [left, right]) }
    }

    /// A rule or function of the policy.
    fn helper(&mut self, depth: usize) -> Tree {
        if self.rng.percent(35)
            && let Some(call) = self.user_call(&Shape::Any, depth)
        {
            return call;
        }
        let rules = |source: &Source| matches!(source.root, Root::Rule | Root::Remote);
        match self.source_where(&Shape::Any, rules) {
            Some((rule, _)) => rule,
            None => self.comparison(depth),
        }
    }

    /// A collection to go through.
    fn collection(&mut self, depth: usize) -> Tree {
        self.collection_of(depth).0
    }

    fn collection_of(&mut self, depth: usize) -> (Tree, Shape) {
        let of: Vec<Source> = self.sources.iter().filter(|source| source.shape.is_collection()).cloned().collect();
        if !self.rng.percent(15)
            && let Some(source) = self.rng.pick(&of).cloned()
        {
            return (self.reference(&source.path), source.shape);
        }
        let item = any_shape(&mut self.rng, 0);
        let shape = match self.rng.below(3) {
            0 => Shape::array(item),
            1 => Shape::set(item),
            _ => Shape::map(item),
        };
        (self.term(&shape, depth), shape)
    }

    /// Statements that go through a collection and bind what is found.
    pub(super) fn iteration(&mut self, out: &mut Vec<Tree>, depth: usize) {
        let (collection, shape) = self.collection_of(depth);
        let (key, value) = shape.entries().unwrap_or((Shape::Any, Shape::Any));
        let set = matches!(shape, Shape::Set(_));
        let style = self.module.style;
        match self.rng.weighted(&[30, 14, 8, 12, 12, 6]) {
            0 if style.is_in => {
                let value = text(self.bind(value));
                out.push(join("some ~ in ~", [value, collection]));
            }
            1 if style.is_in => {
                let (key, value) = (text(self.bind(key)), text(self.bind(value)));
                let key = if self.rng.percent(15) { text("_") } else { key };
                out.push(join("some ~, ~ in ~", [key, value, collection]));
            }
            2 if style.is_in => {
                let pattern = self.pattern(&value, 2);
                out.push(join("some ~ in ~", [pattern, collection]));
            }
            3 => {
                let name = text(self.bind(value));
                if set {
                    out.push(join("some ~", [name.clone()]));
                    out.push(join("~[~]", [collection, name]));
                } else {
                    out.push(join("~ := ~[_]", [name, collection]));
                }
            }
            4 if !set => {
                let (key, value) = (text(self.bind(key)), text(self.bind(value)));
                out.push(join("some ~, ~", [key.clone(), value.clone()]));
                out.push(if self.rng.percent(50) {
                    join("~[~] = ~", [collection, key, value])
                } else {
                    join("~ = ~[~]", [value, collection, key])
                });
            }
            _ => {
                let key = text(self.bind(key));
                out.push(join("some ~", [key.clone()]));
                out.push(join(self.rng.one(&["~[~]", "~[~]", "_ = ~[~]"]), [collection, key]));
            }
        }
    }

    /// A pattern that binds what is in a value.
    pub(super) fn pattern(&mut self, shape: &Shape, depth: usize) -> Tree {
        if depth == 0 {
            return text(self.bind(shape.clone()));
        }
        if self.rng.percent(if self.assigning { 1 } else { 12 }) {
            return self.literal(shape);
        }
        match shape {
            Shape::Array(item) if self.rng.percent(70) => {
                let count = self.rng.between(1, 3);
                let parts = (0..count).map(|_| self.pattern(item, depth - 1)).collect();
                Tree::Term(vec![list("[", parts, "]")])
            }
            Shape::Record(fields) if self.rng.percent(70) => {
                let fields = fields.clone();
                let mut entries = vec![];
                for (name, field) in &fields {
                    if !self.rng.percent(8) {
                        let name = text(serde_json::Value::from(*name).to_string());
                        entries.push(join("~: ~", [name, self.pattern(field, depth - 1)]));
                    }
                }
                Tree::Term(vec![list("{", entries, "}")])
            }
            Shape::Map(key, value) if self.rng.percent(50) => {
                let key = self.literal(key);
                let value = self.pattern(value, depth - 1);
                term("{~: ~}", [key, value])
            }
            _ if self.rng.percent(10) => text("_"),
            _ => text(self.bind(shape.clone())),
        }
    }

    /// `pattern := term` or `pattern = term`.
    fn destructuring(&mut self, out: &mut Vec<Tree>, depth: usize) {
        let of: Vec<Source> = self
            .sources
            .iter()
            .filter(|source| matches!(source.shape, Shape::Array(_) | Shape::Record(_)))
            .cloned()
            .collect();
        let (value, shape) = match self.rng.pick(&of).cloned() {
            Some(source) if self.rng.percent(70) => (self.reference(&source.path), source.shape),
            _ => {
                let shape = Shape::array(any_shape(&mut self.rng, 0));
                (self.term(&shape, depth), shape)
            }
        };
        let operator = self.rng.one(&["~ := ~", "~ = ~"]);
        self.assigning = operator == "~ := ~";
        let pattern = self.pattern(&shape, 2);
        self.assigning = false;
        out.push(join(operator, [pattern, value]));
    }

    /// `a = b` where either side may have variables.
    fn unification(&mut self, out: &mut Vec<Tree>, depth: usize) {
        let shape = any_shape(&mut self.rng, 1);
        let right = self.term(&shape, depth);
        let left = match self.rng.below(3) {
            0 => text(self.bind(shape.clone())),
            1 => self.pattern(&shape, 1),
            _ => self.term(&shape, depth),
        };
        out.push(if self.rng.percent(25) { join("~ = ~", [right, left]) } else { join("~ = ~", [left, right]) });
    }

    fn every(&mut self, depth: usize) -> Tree {
        if !self.module.style.every {
            return self.guarded(depth);
        }
        let (collection, shape) = self.collection_of(depth);
        let (key, value) = shape.entries().unwrap_or((Shape::Any, Shape::Any));
        let scope = self.locals.len();
        let head = if self.rng.percent(25) {
            let (key, value) = (text(self.bind(key)), text(self.bind(value)));
            join("~, ~", [key, value])
        } else {
            text(self.bind(value))
        };
        let mut body = self.body(2, depth.saturating_sub(1));
        self.use_all(scope, &mut body, "");
        self.locals.truncate(scope);
        join("every ~ in ~ ~", [head, collection, items("{ ", body, "; ", " }", 1)])
    }

    /// `with` what now and then stands behind a condition.
    fn withs(&mut self, depth: usize) -> Tree {
        if !self.rng.percent(7) {
            return maybe(None);
        }
        let count = self.rng.weighted(&[0, 80, 20]);
        let modifiers = (0..count).map(|_| self.with(depth)).collect();
        items(" ", modifiers, " ", "", 0)
    }

    fn with(&mut self, depth: usize) -> Tree {
        let depth = depth.saturating_sub(1);
        match self.rng.weighted(&[10, 40, 14, 16, 12, 10]) {
            0 => {
                let shape = self.sources.first().map_or(Shape::Any, |input| input.shape.clone());
                join("with input as ~", [self.literal(&shape)])
            }
            5 => {
                let target = self.rng.one(&[
                    "count",
                    "lower",
                    "to_number",
                    "time.now_ns",
                    "startswith",
                    "is_string",
                    "json.unmarshal",
                ]);
                let value = if self.rng.percent(50) {
                    self.term(&Shape::Any, depth)
                } else {
                    text(self.rng.one(&["upper", "is_null", "contains", "abs", "type_name"]))
                };
                join("with ~ as ~", [text(target), value])
            }
            4 if !self.functions.is_empty() => {
                let target = self.rng.pick(&self.functions).cloned();
                let value = if self.rng.percent(50) { self.rng.pick(&self.functions).cloned() } else { None };
                let target = target.map_or_else(Self::nothing, |function| self.reference(&function.path));
                let value = match value {
                    Some(function) => self.reference(&function.path),
                    None => self.term(&Shape::Any, depth),
                };
                join("with ~ as ~", [target, value])
            }
            at => {
                let wanted = match at {
                    2 => [Root::Data, Root::Remote],
                    3 => [Root::Rule, Root::Remote],
                    _ => [Root::Input, Root::Input],
                };
                let of: Vec<Source> =
                    self.sources.iter().filter(|source| wanted.contains(&source.root)).cloned().collect();
                let source = self.rng.pick(&of).cloned();
                let Some(source) = source else { return join("with input.user as ~", [self.leaf(&Shape::word())]) };
                let mut path = source.path.clone();
                // Sometimes a path that isn't there.
                if self.rng.percent(12) {
                    path.push(self.rng.one(&["a", "nope", "user"]).to_owned());
                }
                let shape = if self.rng.percent(85) { source.shape } else { Shape::Str(Flavor::Word) };
                join("with ~ as ~", [self.reference(&path), self.term(&shape, depth)])
            }
        }
    }
}
