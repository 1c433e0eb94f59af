//! What a document is, where the index alone can tell.

use super::{Cell, Index, Otherwise, Scratch, Verified};
use crate::eval::plan::Subject;

/// The value of a document of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    /// The constant of this number.
    Constant(u32),
    Undefined,
}

/// Steps after which the plan decides, which counts them against a budget.
const MAX_COST: u64 = 20_000;

impl Index {
    /// The document's value, if no definition has to be run. What the plan would have to say is left to it: a conflict too,
    /// since it names the place.
    pub(crate) fn decide<'a>(
        &self,
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        scratch: &mut Scratch,
    ) -> Option<Decided> {
        if self.otherwise == Otherwise::Other {
            return None;
        }
        let mut candidates = std::mem::take(&mut scratch.candidates);
        candidates.clear();
        let cost = self.select(cell, scratch, &mut candidates);
        let decided = self.first_of(&candidates, cell, cost);
        scratch.candidates = candidates;
        decided
    }

    fn first_of<'a>(
        &self,
        candidates: &[u32],
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        mut cost: u64,
    ) -> Option<Decided> {
        let mut value = None;
        let mut held = None;
        for unit in candidates.iter().filter_map(|id| self.unit(*id)) {
            // Of a definition and its `else` branches the first that holds counts.
            if held == Some(unit.chain) {
                continue;
            }
            match self.verify(unit, cell, &mut |more| cost += u64::from(more)) {
                Verified::No => {}
                Verified::Run => return None,
                Verified::Sure(_) => {
                    held = Some(unit.chain);
                    let given = unit.value?;
                    if value.get_or_insert(given) != &given {
                        return None;
                    }
                    if self.agrees {
                        break;
                    }
                }
            }
            cost += 1;
            if cost > MAX_COST {
                return None;
            }
        }
        match (value, self.otherwise) {
            (Some(value), _) => Some(Decided::Constant(value)),
            (None, Otherwise::Constant(value)) => Some(Decided::Constant(value)),
            (None, Otherwise::Undefined) => Some(Decided::Undefined),
            (None, Otherwise::Other) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::eval::value::{Value, json};
    use crate::eval::{Program, RemoteData};
    use crate::{Bundle, DEFAULT_ENTRYPOINT};

    const POLICY: &str = r#"package meshguard
default decision := "deny"
decision := "allow" if { input.action == "read"; input.context.trust >= 5 }
decision := "allow" if { input.action == "list"; not startswith(input.resource, "/etc/") }
decision := "allow" if { input.action == "move"; input.context.n + 1 > 2 }
"#;

    fn decided(policy: &str, input: &str) -> Option<String> {
        let files = BTreeMap::from([("p.rego".to_owned(), policy.to_owned().into())]);
        let program = Program::compile(&Bundle::from_files(files).unwrap(), &RemoteData::Unheld).unwrap();
        let input = json::read(input, json::STRICT).unwrap();
        let decided = program.decided_about(DEFAULT_ENTRYPOINT, Some(&input))?;
        Some(match decided {
            Decided::Constant(constant) => program.constant(constant).map_or_else(String::new, Value::to_string),
            Decided::Undefined => "undefined".to_owned(),
        })
    }

    #[test]
    fn what_conditions_say_needs_no_run() {
        for (input, expected) in [
            (r#"{"action":"read","context":{"trust":5}}"#, Some(r#""allow""#)),
            (r#"{"action":"read","context":{"trust":4}}"#, Some(r#""deny""#)),
            (r#"{"action":"read","context":{"trust":"4"}}"#, Some(r#""allow""#)),
            // OPA looks for what is negated before it negates.
            (r#"{"action":"list"}"#, Some(r#""deny""#)),
            (r#"{"action":"list","resource":"/srv"}"#, Some(r#""allow""#)),
            (r#"{"action":"list","resource":"/etc/passwd"}"#, Some(r#""deny""#)),
            (r#"{"action":"nothing"}"#, Some(r#""deny""#)),
            (r#"{}"#, Some(r#""deny""#)),
            // An error is raised about what is no text, and arithmetic isn't for an index.
            (r#"{"action":"list","resource":7}"#, None),
            (r#"{"action":"move","context":{"n":7}}"#, None),
        ] {
            assert_eq!(decided(POLICY, input).as_deref(), expected, "{input}");
        }
    }
}
