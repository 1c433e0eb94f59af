//! A mismatch as a vector, with OPA's answer as what is expected: `tests/vectors/README.md` has the format.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::compare::{Mismatch, Said};
use crate::notation::{self, Doc};
use crate::outcome::Outcome;
use crate::run::Found;

/// Digits of a number that every reader of a vector keeps.
const DIGITS: usize = 15;

/// Writes the vector's file into a folder, and says where it is. Nothing is written if a vector has no place for it: each has
/// an input, and none asks a package that isn't there.
///
/// # Errors
/// The file can't be written.
pub fn write(found: &Found, folder: &Path) -> io::Result<Option<PathBuf>> {
    let Some(vector) = vector(found) else { return Ok(None) };
    let path = folder.join(format!("found-{:016x}.yaml", found.seed));
    fs::write(&path, vector)?;
    Ok(Some(path))
}

fn vector(found: &Found) -> Option<String> {
    let Mismatch { case, strict, opa, .. } = &found.mismatch;
    let mut out = format!("- name: found-{:016x}\n  from: differential fuzzing\n  modules:\n", found.seed);
    for (name, module) in case.texts() {
        add_module(&mut out, &name, &module);
    }
    let mut query = case.query.as_str();
    let mut expected = String::new();
    match opa {
        Said::Accepted(None) => return None,
        Said::Refused { code, .. } => {
            let _ = writeln!(expected, "  refused:\n    code: {code}");
        }
        Said::Accepted(Some(outcome)) | Said::Outcome(outcome) => {
            let value = match outcome {
                Outcome::Value(value) => Some((value, notation::read(value)?)),
                _ => None,
            };
            let value = match value {
                // What a vector can't ask for is compared in Rego.
                Some((text, value)) if !is_a_rule(query) || !is_short(&value) => {
                    add_module(&mut out, "asked.rego", &format!("package asked\nsame := {query} == {text}\n"));
                    query = "data.asked.same";
                    Some("true".to_owned())
                }
                value => value.map(|(_, value)| value.to_json()),
            };
            if !is_a_rule(query) {
                return None;
            }
            let _ = writeln!(expected, "  requests:\n    - evaluate: {query}\n      input: {}", single(&input(case)?));
            if *strict {
                let _ = writeln!(expected, "      builtin_errors: deny");
            }
            let _ = match (outcome, value) {
                (Outcome::Error { code, .. }, _) => writeln!(expected, "      error: {code}"),
                (_, Some(value)) => writeln!(expected, "      value: {}", single(&value)),
                (_, None) => writeln!(expected, "      undefined: true"),
            };
        }
    }
    let _ = writeln!(out, "  data: {}", single(&case.data.render()));
    if case.v0 {
        let _ = writeln!(out, "  settings: '{{\"rego\": \"v0\"}}'");
    }
    Some(out + &expected)
}

fn add_module(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "    {name}: |");
    for line in text.trim_end().lines() {
        let indent = if line.is_empty() { "" } else { "      " };
        let _ = writeln!(out, "{indent}{line}");
    }
}

fn input(case: &Case) -> Option<String> {
    case.inputs.first().map(crate::tree::Tree::render).filter(|input| !input.is_empty())
}

/// `data.p.x`, not a package.
fn is_a_rule(query: &str) -> bool {
    query.matches('.').count() >= 2
}

/// Whether all numbers in it are short.
fn is_short(doc: &Doc) -> bool {
    match doc {
        Doc::Number { digits, .. } => digits.len() <= DIGITS,
        Doc::Array(items) | Doc::Set(items) => items.iter().all(is_short),
        Doc::Object(entries) => entries.iter().all(|(key, value)| is_short(key) && is_short(value)),
        Doc::Word(_) | Doc::Text(_) => true,
    }
}

/// A single-quoted string of YAML.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engines::{Engine, NOW_NS};
    use crate::tree::text;
    use meshguard_engine::bundle::Settings;
    use meshguard_engine::internals::{Answer, Input, Policy};

    #[test]
    fn an_answer_of_opa_s_is_expected() {
        let mut found = found("data.p.main", Outcome::Value("{\"it's\", 1}".to_owned()));
        assert_eq!(
            read_back(&found),
            r#"[{"data": "{\"n\": 1}", "from": "differential fuzzing", "modules": {"p.rego": "package p\nmain := {\"it's\", 1} if input.x == `a\n  b`\n"}, "name": "found-00000000000000ff", "requests": [{"evaluate": "data.p.main", "input": "{\"x\": \"it's\"}", "value": "[\"it's\", 1]"}]}]"#
        );
        found.mismatch.opa = Said::Outcome(Outcome::Undefined);
        assert!(read_back(&found).contains(r#""undefined": true"#));
        found.mismatch.opa = Said::Outcome(Outcome::error("eval_conflict_error", "…"));
        found.mismatch.strict = true;
        let written = read_back(&found);
        assert!(
            written.contains(r#""builtin_errors": "deny""#) && written.contains(r#""error": "eval_conflict_error""#),
            "{written}"
        );
        found.mismatch.opa = Said::Refused { code: "rego_type_error".to_owned(), message: String::new() };
        assert!(read_back(&found).contains(r#""refused": {"code": "rego_type_error"}"#));
    }

    /// A vector asks for one rule, and a reader may make doubles of its numbers.
    #[test]
    fn a_package_and_a_long_number_are_compared_in_rego() {
        for (query, value) in [("data.p", "{\"main\": 1}"), ("data.p.main", "9007199254740993")] {
            let written = read_back(&found(query, Outcome::Value(value.to_owned())));
            let module = serde_json::Value::from(format!("package asked\nsame := {query} == {value}\n"));
            assert!(written.contains(&format!(r#""asked.rego": {module}"#)), "{written}");
            assert!(
                written.contains(r#""evaluate": "data.asked.same""#) && written.contains(r#""value": "true""#),
                "{written}"
            );
        }
    }

    fn found(query: &str, opa: Outcome) -> Found {
        let case = Case {
            v0: false,
            modules: vec![("p.rego".to_owned(), text("package p\nmain := {\"it's\", 1} if input.x == `a\n  b`\n"))],
            data: text(r#"{"n": 1}"#),
            query: query.to_owned(),
            inputs: vec![text(r#"{"x": "it's"}"#)],
            remote: vec![],
        };
        assert!(Engine::Ours.compile(&case).is_ok());
        Found {
            seed: 255,
            mismatch: Mismatch { case, strict: false, ours: Said::Accepted(None), opa: Said::Outcome(opa) },
        }
    }

    /// The file's content, as a reader of YAML has it.
    fn read_back(found: &Found) -> String {
        let folder = std::env::temp_dir().join(format!(
            "meshguard-vectors-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::create_dir_all(&folder).unwrap();
        let path = write(found, &folder).unwrap().unwrap();
        assert_eq!(path.file_name().unwrap(), "found-00000000000000ff.yaml");
        let yaml = fs::read_to_string(&path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let module = "package t\nread := yaml.unmarshal(input)\n";
        let files = BTreeMap::from([("t.rego".to_owned(), module.into())]);
        let policy = Policy::new(files, Settings { entrypoints: BTreeMap::new(), ..Settings::default() }).unwrap();
        let input = Input::data(&serde_json::Value::from(yaml.as_str()).to_string()).unwrap();
        match policy.evaluate("data.t.read", Some(&input), NOW_NS).answer {
            Answer::Value { rego, .. } => rego,
            other => panic!("{other:?}: {yaml}"),
        }
    }
}
