//! Policies that are wrong in a known way: OPA refuses most of them, and so must we, with its code.

use super::Generator;
use crate::case::Case;
use crate::shape::Shape;
use crate::tree::{Tree, join, text};

/// Rules that can't stand in a module of v1, each with something wrong; `~` isn't replaced.
const RULES: [&str; 34] = [
    "broken if x",
    "broken := x",
    "broken if not x == 1",
    "broken contains x if input.n == 1",
    "broken(x) := x + y",
    "broken if nope(1)",
    "broken if startswith(\"a\")",
    "broken if startswith(\"a\", \"b\", \"c\", \"d\")",
    "broken := count(1)",
    "broken if \"a\" == 1",
    "broken if { some x; true }",
    "broken if { some input; input == 1 }",
    "broken if { x := 1; x := 2 }",
    "broken if { y := x; x := 1 }",
    "broken if broken",
    "broken(x) := broken(x + 1)",
    "broken if { broken2 }\nbroken2 if { broken }",
    "broken if { data.p[input.x].broken }",
    "default broken := true\ndefault broken := false",
    "default broken := input.x",
    "broken := 1\nbroken(x) := 2",
    "broken := 1\nbroken contains 2",
    "broken.a := 1\nbroken contains 2",
    "broken.a := 1\nbroken.a.b := 2",
    "broken if any([true])",
    "broken if { every x in [1] { x == y } }",
    "broken if { input := 1; true }",
    "data := 1",
    "broken if { some x in [1] with input as 2 }",
    "broken if { true with foo as 1 }",
    "broken if { count([1]) == 1 with count as startswith }",
    "broken contains x if { x := 1 } else := 2",
    "broken if { f := 1; f(2) }",
    "broken := [x | y := 1]",
];

impl Generator {
    /// Breaks a few policies.
    pub(super) fn break_sometimes(&mut self, case: &mut Case) {
        match self.rng.weighted(&[1000, 22, 12, 8, 4]) {
            1 => self.add_rule(case),
            2 => self.garble(case),
            3 => self.put_data_over_a_rule(case),
            4 => {
                // A module twice, under another name.
                if let Some((_, module)) = case.modules.last().cloned() {
                    case.modules.push(("z.rego".to_owned(), module));
                }
            }
            _ => {}
        }
    }

    fn add_rule(&mut self, case: &mut Case) {
        let rule = self.rng.one(&RULES);
        let module = case.modules.last_mut();
        if let Some((_, tree)) = module {
            *tree = join("~\n~\n", [tree.clone(), text(rule)]);
        }
    }

    /// Takes a character away, or puts one in.
    fn garble(&mut self, case: &mut Case) {
        let module = case.modules.last_mut();
        let Some((_, tree)) = module else { return };
        let mut chars: Vec<char> = tree.render().chars().collect();
        let at = self.rng.below(chars.len().max(1));
        let other = self.rng.one(&[
            '(', ')', '{', '}', '[', ']', '"', ',', ';', ':', '=', '.', '|', 'x', '1', ' ', '\n', '`', '#', '$',
        ]);
        match self.rng.below(3) {
            0 if at < chars.len() => {
                chars.remove(at);
            }
            1 => chars.insert(at, other),
            _ => {
                if let Some(place) = chars.get_mut(at) {
                    *place = other;
                }
            }
        }
        *tree = Tree::Text(chars.into_iter().collect::<String>().into());
    }

    /// Data where a rule is, or above or below it.
    fn put_data_over_a_rule(&mut self, case: &mut Case) {
        let parts: Vec<&str> = case.query.split('.').skip(1).collect();
        let kept = self.rng.between(1, parts.len());
        let value = if self.rng.percent(70) { Shape::Bool } else { Shape::map(Shape::Any) };
        let mut document = self.words.literal(&mut self.rng, &value, crate::words::Notation::Json).render();
        for part in parts.iter().take(kept).rev() {
            document = format!("{{\"{part}\": {document}}}");
        }
        case.data = text(document);
    }
}
