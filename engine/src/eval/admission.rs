//! What a bundle must not contain, whatever it would decide.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::BUILTINS;

use super::syntax::{Facts, Reference, recursive_function};
use crate::bundle::Settings;
use crate::error::{Refusal, Stage};

/// Brackets within brackets. The parser's time more than doubles with each nested literal (17 ms at ten, 15 s at
/// twenty); people write four.
const MAX_NESTING: usize = 12;

/// Builtins whose answer depends on more than their arguments. Those that regorus was built without are unknown anyway;
/// they are named for the sake of the message.
const IMPURE: [&str; 6] =
    ["http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "uuid.rfc4122", "rego.parse_module"];

/// Brackets are counted before the parser sees them, outside strings and comments.
pub(super) fn check_nesting(text: &str) -> Result<(), Refusal> {
    let mut depth = 0_usize;
    let mut line = 1_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'#' => line += usize::from(bytes.by_ref().any(|b| b == b'\n')),
            b'"' => {
                while let Some(b) = bytes.next() {
                    match b {
                        b'\\' => {
                            bytes.next();
                        }
                        // A string ends with its line; the parser will say so.
                        b'\n' => {
                            line += 1;
                            break;
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'`' => line += bytes.by_ref().take_while(|b| *b != b'`').filter(|b| *b == b'\n').count(),
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > MAX_NESTING {
                    let detail =
                        format!("line {line}: brackets nested deeper than {MAX_NESTING}; name the inner parts");
                    return Err(Refusal::new(Stage::Limit, "nesting", detail));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// What all modules of a bundle declare and touch.
pub(super) struct PolicyFacts<'a> {
    pub(super) files: Vec<(&'a str, Facts)>,
}

impl PolicyFacts<'_> {
    pub(super) fn rule_count(&self) -> usize {
        self.files.iter().map(|(_, facts)| facts.rules.len()).sum()
    }

    fn declared(&self) -> BTreeSet<String> {
        self.files.iter().flat_map(|(_, facts)| &facts.rules).map(|rule| rule.path.join(".")).collect()
    }

    pub(super) fn calls(&self, builtin: &str) -> bool {
        let calls = self.files.iter().flat_map(|(_, facts)| &facts.rules).flat_map(|rule| rule.calls.iter());
        calls.into_iter().any(|call| call.names().join(".") == builtin)
    }

    /// Every called function exists, is pure, and never calls itself: the evaluator finds out only when it gets there,
    /// and a recursion ends the process.
    pub(super) fn check_functions(&self) -> Result<(), Refusal> {
        let declared = self.declared();
        let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, facts) in &self.files {
            for rule in &facts.rules {
                // Also as what `with` puts in another's place (CVE-2022-36085 of OPA).
                for function in rule.calls.iter().chain(&rule.replaced).chain(&rule.references) {
                    let name = function.names().join(".");
                    if IMPURE.contains(&name.as_str()) {
                        let line = function.span.line;
                        let detail = format!(
                            "line {line}: `{name}` depends on more than its arguments; pass what it would find out in the request's context, or as data"
                        );
                        return Err(Refusal::new(Stage::Compile, "impure_builtin", detail).in_file(path));
                    }
                }
                for call in &rule.calls {
                    let name = call.names().join(".");
                    match facts.resolve(call, &declared) {
                        Some(function) => {
                            calls.entry(rule.path.join(".")).or_default().insert(function);
                        }
                        None if BUILTINS.contains_key(name.as_str()) || name == "print" => {}
                        None => {
                            let line = call.span.line;
                            let detail =
                                format!("line {line}: no function `{name}`; define it, or use another builtin");
                            return Err(Refusal::new(Stage::Compile, "unknown_function", detail).in_file(path));
                        }
                    }
                }
            }
        }
        match recursive_function(&calls) {
            None => Ok(()),
            Some(function) => {
                let detail = format!("`data.{function}` calls itself; Rego has no recursion");
                Err(Refusal::new(Stage::Compile, "recursion", detail))
            }
        }
    }

    pub(super) fn check_entrypoints(&self, settings: &Settings) -> Result<(), Refusal> {
        let declared = self.declared();
        for entrypoint in settings.entrypoints.keys() {
            if !entrypoint.strip_prefix("data.").is_some_and(|path| declared.contains(path)) {
                let detail =
                    format!("no rule `{entrypoint}`; define it, or name the bundle's entrypoints in `.manifest`");
                return Err(Refusal::new(Stage::Compile, "no_entrypoint", detail));
            }
        }
        Ok(())
    }

    /// Data at or above a rule's path would decide in the rule's place.
    pub(super) fn check_overlap(&self, path: &str, document: &Value, remote_roots: &[String]) -> Result<(), Refusal> {
        for rule in self.declared() {
            if occupied(document, rule.split('.')) {
                let detail = format!("there is data at or above the rule `data.{rule}`; move one of them");
                return Err(Refusal::new(Stage::Compile, "data_overlap", detail).in_file(path));
            }
        }
        for root in remote_roots {
            if occupied(document, root.split('.').skip(1)) {
                let detail = format!("the bundle holds data at `{root}`, which it declares remote; choose one");
                return Err(Refusal::new(Stage::Compile, "data_overlap", detail).in_file(path));
            }
        }
        Ok(())
    }
}

impl Facts {
    /// The declared function that `call` means: through an import, in full, or of its own package.
    fn resolve(&self, call: &Reference, declared: &BTreeSet<String>) -> Option<String> {
        if !call.is_constant() {
            return None;
        }
        let names = call.names();
        let (base, rest) = names.split_first()?;
        let full = if *base == "data" {
            rest.join(".")
        } else if let Some(import) = self.imports.get(*base) {
            import.iter().skip(1).map(String::as_str).chain(rest.iter().copied()).collect::<Vec<_>>().join(".")
        } else {
            self.package.iter().map(String::as_str).chain(names.iter().copied()).collect::<Vec<_>>().join(".")
        };
        declared.contains(&full).then_some(full)
    }
}

/// Whether `document` has a value at `path`, or one on the way that can't have anything under it.
fn occupied<'a>(document: &Value, path: impl Iterator<Item = &'a str>) -> bool {
    let mut at = document;
    for name in path {
        let Ok(object) = at.as_object() else { return true };
        match object.get(&Value::from(name)) {
            Some(inner) => at = inner,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let deep = "[".repeat(40);
        assert!(check_nesting(&format!("x := \"{deep}\\\"\" # {deep}\ny := `{deep}`\n")).is_ok());
        let refusal = check_nesting(&format!("# {deep}\n\nx := {deep}")).unwrap_err();
        assert!(refusal.detail.starts_with("line 3:"), "{refusal}");
    }
}
