//! Terms of a wanted shape.

use super::Generator;
use super::calls::{Operand, call_for};
use super::scope::Function;
use crate::shape::{Flavor, Shape};
use crate::tree::{Tree, items, join, list, term, text};
use crate::words::{any_shape, constant};

impl Generator {
    /// A term, with others up to `depth` within each other.
    pub(super) fn term(&mut self, want: &Shape, depth: usize) -> Tree {
        let other;
        let mut want = want;
        if self.rng.below(1000) < self.wrong {
            other = any_shape(&mut self.rng, 1);
            want = &other;
        }
        if depth == 0 {
            return self.leaf(want);
        }
        match self.rng.weighted(&[45, 18, 27, 10]) {
            0 => self.leaf(want),
            1 => self.call(want, depth),
            2 => self.built(want, depth),
            _ => self.user_call(want, depth).unwrap_or_else(|| self.leaf(want)),
        }
    }

    /// A variable, a reference or a constant.
    pub(super) fn leaf(&mut self, want: &Shape) -> Tree {
        let found = match self.rng.weighted(&[35, 45, 20]) {
            0 => self.local(want).or_else(|| self.source(want)),
            1 => self.source(want),
            _ => None,
        };
        found.unwrap_or_else(|| self.literal(want))
    }

    /// A call of a builtin.
    pub(super) fn call(&mut self, want: &Shape, depth: usize) -> Tree {
        match call_for(&mut self.rng, want, self.module.style.v0) {
            Some(call) => {
                // OPA has no bounds of its own: what may take long gets its constants.
                let bounded =
                    !matches!(call.name, "numbers.range" | "numbers.range_step" | "net.cidr_expand" | "bits.lsh");
                let mut operands: Vec<Tree> =
                    call.operands.iter().map(|operand| self.operand(operand, depth, bounded)).collect();
                // Rarely one too many or too few.
                if self.rng.below(2000) < self.wrong {
                    operands.pop();
                }
                Tree::Term(vec![text(call.name), items("(", operands, ", ", ")", usize::MAX)])
            }
            None => self.leaf(want),
        }
    }

    fn operand(&mut self, operand: &Operand, depth: usize, bounded: bool) -> Tree {
        match operand {
            Operand::OneOf(texts) if !(bounded && self.rng.percent(3)) => constant(self.rng.one(texts)),
            Operand::OneOf(_) => self.leaf(&Shape::Any),
            Operand::Term(shape) => self.term(shape, depth.saturating_sub(1)),
        }
    }

    /// A call of a function of the policy.
    pub(super) fn user_call(&mut self, want: &Shape, depth: usize) -> Option<Tree> {
        let fitting: Vec<&Function> = self.functions.iter().filter(|function| function.result.fits(want)).collect();
        let function = (*self.rng.pick(&fitting)?).clone();
        Some(self.call_of(&function, depth))
    }

    pub(super) fn call_of(&mut self, function: &Function, depth: usize) -> Tree {
        let name = self.reference(&function.path);
        let operands = function.params.iter().map(|param| self.term(param, depth.saturating_sub(1))).collect();
        Tree::Term(vec![name, items("(", operands, ", ", ")", usize::MAX)])
    }

    /// A term with parts of its own.
    fn built(&mut self, want: &Shape, depth: usize) -> Tree {
        let below = depth - 1;
        match want {
            Shape::Any => {
                let shape = any_shape(&mut self.rng, 1);
                self.term(&shape, depth)
            }
            Shape::Null => text("null"),
            Shape::Bool => self.condition(below),
            Shape::Num => self.arithmetic(below),
            Shape::Str(flavor) => self.template(*flavor, below),
            Shape::Array(item) => match self.rng.below(3) {
                0 => self.comprehension('[', item, below),
                1 => {
                    let count = self.rng.below(4);
                    Tree::Term(vec![list("[", (0..count).map(|_| self.term(item, below)).collect(), "]")])
                }
                _ => self.call(want, depth),
            },
            Shape::Set(item) => match self.rng.below(4) {
                0 => self.comprehension('{', item, below),
                1 => {
                    let operator = self.rng.one(&["(~ | ~)", "(~ & ~)", "(~ - ~)", "~ | ~", "~ & ~"]);
                    term(operator, [self.term(want, below), self.term(want, below)])
                }
                2 => {
                    let count = self.rng.between(1, 3);
                    Tree::Term(vec![items("{", (0..count).map(|_| self.term(item, below)).collect(), ", ", "}", 1)])
                }
                _ => self.call(want, depth),
            },
            Shape::Map(key, value) => match self.rng.below(3) {
                0 => self.object_comprehension(key, value, below),
                1 => {
                    let count = self.rng.below(3);
                    let entries = (0..count).map(|_| {
                        let key = self.term(key, 0);
                        join("~: ~", [key, self.term(value, below)])
                    });
                    Tree::Term(vec![list("{", entries.collect(), "}")])
                }
                _ => self.call(want, depth),
            },
            Shape::Record(fields) => {
                let entries = fields.iter().map(|(name, shape)| {
                    join("~: ~", [text(serde_json::Value::from(*name).to_string()), self.term(shape, below)])
                });
                Tree::Term(vec![list("{", entries.collect(), "}")])
            }
        }
    }

    fn arithmetic(&mut self, depth: usize) -> Tree {
        let operator = self.rng.one(&[
            "(~ + ~)",
            "(~ - ~)",
            "(~ * ~)",
            "(~ / ~)",
            "(~ % ~)",
            "~ + ~",
            "~ * ~",
            "~ - ~",
            "count(~) + ~",
        ]);
        let left = if operator.starts_with("count") { Shape::array(Shape::Any) } else { Shape::Num };
        term(operator, [self.term(&left, depth), self.term(&Shape::Num, depth)])
    }

    /// A boolean in the place of a term.
    pub(super) fn condition(&mut self, depth: usize) -> Tree {
        if self.module.style.is_in && self.rng.percent(35) {
            return term("(~)", [self.membership(depth)]);
        }
        let shape = self.comparable();
        let operator = self.operator();
        term("(~)", [term(operator, [self.term(&shape, depth), self.term(&shape, depth)])])
    }

    /// `x in xs` or `k, v in xs`.
    pub(super) fn membership(&mut self, depth: usize) -> Tree {
        let shape = self.comparable();
        let (element, path) = self.compared(&shape, depth);
        let collection = match self.rng.below(4) {
            0 => {
                let count = self.rng.between(1, 4);
                let members = (0..count).map(|_| self.hit(path.as_deref(), &shape)).collect();
                if self.rng.percent(50) {
                    Tree::Term(vec![items("{", members, ", ", "}", 1)])
                } else {
                    Tree::Term(vec![list("[", members, "]")])
                }
            }
            1 => self.term(&Shape::map(shape), depth),
            2 => self.term(&Shape::set(shape), depth),
            _ => self.term(&Shape::array(shape), depth),
        };
        if self.rng.percent(12) {
            let key = self.leaf(&Shape::Any);
            return term("~, ~ in ~", [key, element, collection]);
        }
        term("~ in ~", [element, collection])
    }

    /// A document that is worth comparing, with its path if it is one.
    pub(super) fn compared(&mut self, shape: &Shape, depth: usize) -> (Tree, Option<String>) {
        let found = if self.rng.percent(75) { self.source_where(shape, |_| true) } else { None };
        found.unwrap_or_else(|| (self.term(shape, depth), None))
    }

    pub(super) fn comparable(&mut self) -> Shape {
        match self.rng.weighted(&[40, 15, 6, 30, 9]) {
            0 => Shape::word(),
            1 => Shape::Str(Flavor::Path),
            2 => Shape::Bool,
            3 => Shape::Num,
            _ => any_shape(&mut self.rng, 1),
        }
    }

    pub(super) fn operator(&mut self) -> &'static str {
        match self.rng.weighted(&[40, 14, 12, 12, 11, 11]) {
            0 => "~ == ~",
            1 => "~ != ~",
            2 => "~ < ~",
            3 => "~ <= ~",
            4 => "~ > ~",
            _ => "~ >= ~",
        }
    }

    /// A string with expressions in it, or something else that makes a string.
    fn template(&mut self, flavor: Flavor, depth: usize) -> Tree {
        if !self.module.style.templates || self.rng.percent(50) {
            return self.call(&Shape::Str(flavor), depth + 1);
        }
        let quote = if self.rng.percent(85) { "\"" } else { "`" };
        // What a template holds has one value.
        let several = std::mem::replace(&mut self.several, self.rng.percent(3));
        let mut pieces = vec![text(format!("${quote}"))];
        for _ in 0..self.rng.between(1, 3) {
            pieces.push(text(self.rng.one(&["", "a", "x ", "é", ":", "\\{", "%s "])));
            pieces.push(join("{~}", [self.term(&Shape::Any, depth)]));
        }
        pieces.push(text(quote));
        self.several = several;
        Tree::Term(pieces)
    }

    /// `[head | body]` or `{head | body}`.
    fn comprehension(&mut self, open: char, item: &Shape, depth: usize) -> Tree {
        let scope = self.locals.len();
        let mut body = self.closure(depth);
        let head = self.closure_head(scope, item, depth);
        self.use_all(scope, &mut body, &head.render());
        self.locals.truncate(scope);
        let body = items("", body, "; ", "", 1);
        term(if open == '[' { "[~ | ~]" } else { "{~ | ~}" }, [head, body])
    }

    fn object_comprehension(&mut self, key: &Shape, value: &Shape, depth: usize) -> Tree {
        let scope = self.locals.len();
        let mut body = self.closure(depth);
        let key = self.closure_head(scope, key, 0);
        let value = self.closure_head(scope, value, depth);
        self.use_all(scope, &mut body, &format!("{} {}", key.render(), value.render()));
        self.locals.truncate(scope);
        let body = items("", body, "; ", "", 1);
        term("{~: ~ | ~}", [key, value, body])
    }

    /// Rather one of the closure's own variables than anything else.
    fn closure_head(&mut self, scope: usize, want: &Shape, depth: usize) -> Tree {
        let own: Vec<_> = self.locals.iter().skip(scope).filter(|local| local.shape.fits(want)).collect();
        match self.rng.pick(&own) {
            Some(local) if self.rng.below(10) < 7 => term("~", [text(local.name.clone())]),
            _ => self.term(want, depth),
        }
    }

    /// The body of a comprehension: something to go through, and conditions.
    fn closure(&mut self, depth: usize) -> Vec<Tree> {
        let mut statements = vec![];
        if self.rng.percent(85) {
            self.iteration(&mut statements, depth);
        }
        for _ in 0..self.rng.weighted(&[45, 40, 15]) {
            self.statement(&mut statements, depth);
        }
        if statements.is_empty() {
            statements.push(text("true"));
        }
        statements
    }
}
