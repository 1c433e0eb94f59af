//! From a bundle to a program, or to a refusal that says what to write instead.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use regorus::unstable::{Module, Ref};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, PolicyLengthConfig, Value};

use super::admission::{PolicyFacts, check_nesting};
use super::pool::Pool;
use super::remote::{self, UNHELD, check_remote, rewritten};
use super::syntax::Facts;
use super::{Program, RemoteData, read_strict};
use crate::bundle::{Bundle, RegoVersion, Settings};
use crate::error::{Refusal, Stage};

/// How long one evaluation may take. With its second chance that is less than twice a deferral's whole budget; beyond it
/// an answer is of no use to anybody.
const EVALUATION_BUDGET: Duration = Duration::from_millis(40);

/// How long the evaluation of a smoke vector may take: nobody waits, and a busy machine must not refuse a good bundle.
pub(super) const PATIENT_BUDGET: ExecutionTimerConfig =
    ExecutionTimerConfig { limit: Duration::from_secs(1), check_interval: BUDGET_CHECK_INTERVAL };

/// Work units between looks at the clock; a look costs about as much as a hundred.
const BUDGET_CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(128).unwrap();

const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: NonZeroU32::new(16 * 1024).unwrap(),
    max_file_bytes: NonZeroUsize::new(16 * 1024 * 1024).unwrap(),
    max_lines: NonZeroUsize::new(65_536).unwrap(),
};

impl Program {
    /// Compiles `bundle` and runs its smoke vectors.
    ///
    /// # Errors
    /// Anything that can't be served as OPA would answer it, or could hurt the host, named with its place.
    pub(crate) fn compile(bundle: &Bundle, remote_data: &RemoteData) -> Result<Self, Refusal> {
        let mut engine = new_engine(bundle.settings.rego);
        remote::register(&mut engine).map_err(|e| Refusal::new(Stage::Compile, "internal", e.to_string()))?;

        let mut documents = vec![];
        let mut facts = vec![];
        for (path, body) in &bundle.files {
            if path.ends_with(".rego") {
                let (text, module_facts) = read_policy(path, body, &bundle.settings, remote_data)?;
                engine.add_policy(path.clone(), text).map_err(|e| parse_refusal(path, &e))?;
                facts.push((path.as_str(), module_facts));
            } else if path.ends_with("data.json") {
                documents.push((path.as_str(), read_data(path, body)?));
            } else if path.ends_with(".yaml") || path.ends_with(".yml") {
                let detail = "data in YAML isn't read; write it as `data.json` in the same folder";
                return Err(Refusal::new(Stage::Parse, "yaml_data", detail).in_file(path));
            }
        }
        let facts = PolicyFacts { files: facts };
        facts.check_functions()?;
        facts.check_entrypoints(&bundle.settings)?;
        for (path, document) in documents {
            facts.check_overlap(path, &document, &bundle.settings.remote_roots)?;
            engine.add_data(document).map_err(|e| {
                Refusal::new(Stage::Compile, "data_overlap", format!("two data files disagree: {e}")).in_file(path)
            })?;
        }
        if let RemoteData::Held(held) = remote_data {
            // A root nobody has filled yet is held, and empty: "no approvals" is an answer.
            for root in &bundle.settings.remote_roots {
                let held = engine.add_data(at_root(root, held));
                held.map_err(|e| Refusal::new(Stage::Compile, "remote_data", format!("`{root}`: {e:#}")))?;
            }
        }
        let program = Self {
            reads_time: facts.calls("time.now_ns"),
            rules: facts.rule_count(),
            settings: bundle.settings.clone(),
            digest: bundle.digest(),
            strict: prepared(&engine, &bundle.settings, true)?,
            lenient: prepared(&engine, &bundle.settings, false)?,
        };
        program.run_vectors(bundle, remote_data)?;
        Ok(program)
    }
}

/// Everything an interpreter computes once, computed now and not inside the first decision.
fn prepared(engine: &Engine, settings: &Settings, strict: bool) -> Result<Pool, Refusal> {
    let mut engine = engine.clone();
    engine.set_strict_builtin_errors(strict);
    if let Some(entrypoint) = settings.entrypoints.keys().next() {
        engine
            .compile_with_entrypoint(&entrypoint.as_str().into())
            .map_err(|e| Refusal::new(Stage::Compile, "compile", format!("{e:#}")))?;
    }
    Ok(Pool::new(engine))
}

fn new_engine(rego: RegoVersion) -> Engine {
    let mut engine = Engine::new();
    engine.set_rego_v0(rego == RegoVersion::V0);
    engine.set_policy_length_config(LENGTHS);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: EVALUATION_BUDGET,
        check_interval: BUDGET_CHECK_INTERVAL,
    });
    engine
}

/// The text to load, with references to unheld data rewritten, and what the module touches.
fn read_policy(
    path: &str,
    body: &[u8],
    settings: &Settings,
    remote_data: &RemoteData,
) -> Result<(String, Facts), Refusal> {
    let text = std::str::from_utf8(body)
        .map_err(|e| Refusal::new(Stage::Parse, "utf8", format!("not UTF-8: {e}")).in_file(path))?;
    check_nesting(text).map_err(|refusal| refusal.in_file(path))?;
    let module = parse(path, text, settings.rego)?;
    let facts = Facts::of(&module);
    if facts.package.first().is_some_and(|name| UNHELD.starts_with(name.as_str())) {
        let detail = "packages that start with `__meshguard` are the engine's own; choose another name";
        return Err(Refusal::new(Stage::Compile, "reserved_package", detail).in_file(path));
    }
    let rewrites = check_remote(&facts, &settings.remote_roots).map_err(|refusal| refusal.in_file(path))?;
    let text = match remote_data {
        RemoteData::Unheld => rewritten(text, rewrites).map_err(|refusal| refusal.in_file(path))?,
        RemoteData::Held(_) => text.to_owned(),
    };
    Ok((text, facts))
}

/// The syntax tree of one module. An engine of its own parses it, because only an engine takes our limits.
fn parse(path: &str, text: &str, rego: RegoVersion) -> Result<Ref<Module>, Refusal> {
    let mut engine = new_engine(rego);
    engine.add_policy(path.to_owned(), text.to_owned()).map_err(|e| parse_refusal(path, &e))?;
    engine
        .get_modules()
        .first()
        .cloned()
        .ok_or_else(|| Refusal::new(Stage::Parse, "internal", "the parser gave no module").in_file(path))
}

fn parse_refusal(path: &str, error: &anyhow::Error) -> Refusal {
    Refusal::new(Stage::Parse, "rego", format!("{error:#}").trim().to_owned()).in_file(path)
}

/// Data at `a/b/data.json` lies under `data.a.b`.
fn read_data(path: &str, body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |detail: String| Refusal::new(Stage::Parse, "data", detail).in_file(path);
    let text = std::str::from_utf8(body).map_err(|e| refuse(format!("not UTF-8: {e}")))?;
    let document = read_strict(text).map_err(|e| refuse(e.to_string()))?;
    if document.as_object().is_err() {
        return Err(refuse("the document must be an object".into()));
    }
    let folders = path.split('/').rev().skip(1);
    Ok(folders.fold(document, |inner, folder| object([(folder, inner)])))
}

/// What of `held` lies under `root`, in its place; an empty object if nothing does.
fn at_root(root: &str, held: &serde_json::Value) -> Value {
    let names: Vec<&str> = root.split('.').skip(1).collect();
    let part = names.iter().try_fold(held, |value, name| value.get(name));
    let part = part.map_or_else(Value::new_object, |part| Value::from(part.clone()));
    names.iter().rev().fold(part, |inner, name| object([(*name, inner)]))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::from(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn bundle(files: &[(&str, &str)], roots: &[&str]) -> Bundle {
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
        let mut bundle = Bundle::from_files(files.collect()).unwrap();
        bundle.settings.remote_roots = roots.iter().map(|root| (*root).to_owned()).collect();
        bundle
    }

    fn code(policy: &str, roots: &[&str]) -> String {
        let policy = format!("package meshguard\n{policy}\n");
        Program::compile(&bundle(&[("p.rego", &policy)], roots), &RemoteData::Unheld)
            .map_or_else(|refusal| refusal.code, |_| "ok".to_owned())
    }

    #[test]
    fn refusals() {
        for (policy, expected) in [
            ("decision := true", "ok"),
            ("decision := tru e", "rego"),
            ("other := true", "no_entrypoint"),
            ("decision := nope(1)", "unknown_function"),
            ("decision if http.send({\"url\": \"http://x\"})", "impure_builtin"),
            ("decision if count(1) with count as http.send", "impure_builtin"),
            ("f(x) := f(x + 1)\ndecision := f(1)", "recursion"),
            ("f(x) := g(x)\ng(x) := f(x)\ndecision := f(1)", "recursion"),
            ("decision if true\nx := [[[[[[[[[[[[[1]]]]]]]]]]]]]", "nesting"),
            ("decision := is_string(upper(\"x\"))", "ok"),
        ] {
            assert_eq!(code(policy, &[]), expected, "{policy}");
        }
    }

    #[test]
    fn references_to_remote_data_must_be_plain() {
        for (policy, expected) in [
            ("decision if data.live.approvals[input.id]", "ok"),
            ("decision if data.live[\"approvals\"].x", "ok"),
            ("decision if data.live.other", "ok"),
            ("decision if data.live", "remote_root"),
            ("decision if data.live[input.x]", "remote_root"),
            ("decision if data[input.x]", "remote_root"),
            ("decision if count(data) > 0", "remote_root"),
            ("decision if { x := data; x.live }", "remote_root"),
            ("decision if input.x with data.live.approvals as {}", "remote_root"),
            ("decision if input.x with data.live as {}", "remote_root"),
        ] {
            assert_eq!(code(policy, &["data.live.approvals"]), expected, "{policy}");
        }
        assert_eq!(code("import data.live\ndecision if live.approvals", &["data.live.approvals"]), "remote_root");
    }

    #[test]
    fn data_may_not_decide_in_a_rules_place() {
        let policy = ("p.rego", "package meshguard\ndecision := false\n");
        for (path, data, expected) in [
            ("data.json", r#"{"meshguard":{"decision":true}}"#, "data_overlap"),
            ("data.json", r#"{"meshguard":1}"#, "data_overlap"),
            ("meshguard/data.json", r#"{"decision":true}"#, "data_overlap"),
            ("meshguard/data.json", r#"{"beside":true}"#, "ok"),
            ("data.json", r#"{"a":1,"a":2}"#, "data"),
            ("data.json", "[1]", "data"),
            ("data.yaml", "a: 1", "yaml_data"),
        ] {
            let result = Program::compile(&bundle(&[policy, (path, data)], &[]), &RemoteData::Unheld);
            let code = result.map_or_else(|refusal| refusal.code, |_| "ok".to_owned());
            assert_eq!(code, expected, "{path}: {data}");
        }
    }

    #[test]
    fn rewriting_keeps_lines() {
        let text =
            "package meshguard\ndecision if data.live.approvals[input.id].ok\nother := data.live[\"approvals\"]\n";
        let module = parse("p.rego", text, RegoVersion::V1).unwrap();
        let roots = ["data.live.approvals".to_owned()];
        let rewrites = check_remote(&Facts::of(&module), &roots).unwrap();
        assert_eq!(
            rewritten(text, rewrites).unwrap(),
            "package meshguard\ndecision if __meshguard.unheld(\"data.live.approvals\")[input.id].ok\nother := __meshguard.unheld(\"data.live.approvals\")\n"
        );
    }
}
