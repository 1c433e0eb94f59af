//! Documents to ask about: bent toward the policy's constants, and away from them.

use super::Generator;
use crate::shape::{Flavor, Shape};
use crate::tree::{Tree, join, list, text};
use crate::words::{Notation, any_shape, near};

impl Generator {
    /// An input. Some are of another shape altogether, or aren't there.
    pub(super) fn input(&mut self, shape: &Shape) -> Tree {
        match self.rng.below(60) {
            0 => Self::nothing(),
            1 => text("{}"),
            2 => text(self.rng.one(&["null", "false", "\"alice\"", "[1]", "7"])),
            _ => {
                // How far from what the policy expects.
                let wild = self.rng.one(&[0, 5, 15, 30, 60]);
                self.document("input", shape, wild)
            }
        }
    }

    /// What data that isn't held may turn out to be. The first ones are what is likeliest to make a difference.
    pub(super) fn completion(&mut self, root: &[String], shape: &Shape, at: usize) -> Tree {
        match at {
            0 => Self::nothing(),
            1 => text("null"),
            2 => text("false"),
            3 => text("{}"),
            4 => text("[]"),
            5 => text("\"alice\""),
            6 => text("7"),
            _ => {
                let wild = self.rng.one(&[0, 0, 10, 30, 70]);
                self.document(&root.join("."), shape, wild)
            }
        }
    }

    fn document(&mut self, path: &str, shape: &Shape, wild: usize) -> Tree {
        if self.rng.percent(wild / 3) && path.contains('.') {
            return self.strange();
        }
        match shape {
            Shape::Record(fields) => {
                let fields = fields.clone();
                let mut entries = vec![];
                for (name, field) in &fields {
                    if self.rng.percent(4 + wild / 3) {
                        continue;
                    }
                    let value = self.document(&format!("{path}.{name}"), field, wild);
                    entries.push(join("~: ~", [text(serde_json::Value::from(*name).to_string()), value]));
                }
                if self.rng.percent(3) {
                    entries.push(join("\"other\": ~", [self.strange()]));
                }
                list("{", entries, "}")
            }
            _ => self.value(path, shape, wild),
        }
    }

    fn value(&mut self, path: &str, shape: &Shape, wild: usize) -> Tree {
        let hit = self.hits.get(path).and_then(|hits| self.rng.pick(hits)).cloned();
        if let Some(hit) = hit
            && self.rng.percent(70)
        {
            return if self.rng.percent(8 + wild / 2) { text(near(&mut self.rng, &hit.render())) } else { hit };
        }
        if self.rng.percent(wild / 2) {
            return self.strange();
        }
        // Keys and items meet the constants of their kind by themselves.
        let shape = match shape {
            Shape::Any => any_shape(&mut self.rng, 2),
            Shape::Str(_) if self.rng.percent(8) => Shape::Str(crate::words::flavor(&mut self.rng)),
            shape => shape.clone(),
        };
        self.words.literal(&mut self.rng, &shape, Notation::Json)
    }

    /// Anything but what is expected.
    fn strange(&mut self) -> Tree {
        match self.rng.below(10) {
            0 => text("null"),
            1 => text("false"),
            2 => text(self.rng.one(&["\"\"", "0", "[]", "{}", "true", "\"é\""])),
            3 => self.words.literal(&mut self.rng, &Shape::Str(Flavor::Digits), Notation::Json),
            4 => self.words.literal(&mut self.rng, &Shape::Num, Notation::Json),
            5 => list("[", vec![text("1"), text("[2]")], "]"),
            _ => {
                let shape = any_shape(&mut self.rng, 2);
                self.words.literal(&mut self.rng, &shape, Notation::Json)
            }
        }
    }
}
