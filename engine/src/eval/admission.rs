//! From a bundle's files to modules and data, or to a refusal that says what to write instead.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::compile::{CompileError, MAX_SIZE, compile};
use super::heads;
use super::machine::Entry;
use super::plan::{Plan, Reachable, reachable};
use super::program::RemoteData;
use super::syntax::ast::Module;
use super::syntax::{RegoVersion as Syntax, parse_module};
use super::value::{Value, json};
use crate::bundle::{Bundle, Defer, RegoVersion, Settings};
use crate::error::{Refusal, Stage};

/// Errors of one bundle that are told at once.
const MAX_TOLD: usize = 5;

/// Characters of one error that are told.
const MAX_MESSAGE: usize = 400;

/// Builtins whose answer depends on more than their arguments. Only entrypoints that are always deferred may reach them:
/// edges and control plane must not answer one question in two ways.
pub(super) const IMPURE: [&str; 2] = ["rand.intn", "uuid.rfc4122"];

/// A bundle that may be served.
pub(super) struct Admitted {
    pub(super) plan: Plan,
    pub(super) data: Value,
    pub(super) rules: usize,
    /// Each of the settings' entrypoints, and what it may reach.
    pub(super) entrypoints: Vec<(String, Entry, Reachable)>,
}

/// Reads, checks and compiles a bundle.
///
/// # Errors
/// Anything that OPA would refuse or that can't be answered as OPA answers it, named with its place.
pub(super) fn admit(bundle: &Bundle, remote_data: &RemoteData) -> Result<Admitted, Refusal> {
    let sources = Sources::read(bundle)?;
    let mut data = sources.data;
    let remote: Vec<Vec<Value>> = bundle.settings.remote_roots.iter().map(|root| path_of(root)).collect();
    for root in &remote {
        check_remote_root(root, &sources.modules, &sources.files, &data)?;
    }
    let unheld = match remote_data {
        RemoteData::Unheld => remote,
        RemoteData::Held(held) => {
            // A root nobody has filled yet is held, and empty: "no approvals" is an answer.
            for root in &remote {
                data = merged(data, at_root(root, held)?).map_err(|key| {
                    Refusal::new(Stage::Compile, "remote_data", format!("`{key}` is held and in the bundle as well"))
                })?;
            }
            vec![]
        }
    };
    let asked: Vec<Vec<Value>> = bundle.settings.entrypoints.keys().map(|dotted| path_of(dotted)).collect();
    let doubtful = heads::check(&sources.modules, &asked);
    if !doubtful.is_empty() {
        return Err(refusal(&sources.files, &doubtful));
    }
    let rules = sources.modules.iter().map(|module| module.rules.len()).sum();
    #[cfg(test)]
    super::fault::point();
    let plan = compile(sources.modules, &data, &unheld).map_err(|errors| refusal(&sources.files, &errors))?;
    let entrypoints = entrypoints(&plan, &bundle.settings)?;
    Ok(Admitted { plan, data, rules, entrypoints })
}

/// `data.a.b` as a path below `data`.
pub(super) fn path_of(dotted: &str) -> Vec<Value> {
    dotted.split('.').skip(1).map(Value::from).collect()
}

fn entrypoints(plan: &Plan, settings: &Settings) -> Result<Vec<(String, Entry, Reachable)>, Refusal> {
    let mut entrypoints = vec![];
    for (dotted, asked) in &settings.entrypoints {
        #[cfg(test)]
        super::fault::point();
        let path = path_of(dotted);
        let entry = Entry::new(plan, &path);
        if !entry.is_rule() {
            let detail = format!("`{dotted}` is no rule; define it, or name another entrypoint in the manifest");
            return Err(Refusal::new(Stage::Compile, "no_entrypoint", detail));
        }
        let reachable = reachable(plan, &entry);
        let impure = IMPURE.iter().find(|name| reachable.builtins.contains(*name));
        if let Some(name) = impure.filter(|_| asked.defer != Defer::Always) {
            let detail = format!(
                "`{dotted}` reaches `{name}`, which answers differently each time; pass such a value in the request's \
                 context, or set the entrypoint's `defer` to `always`"
            );
            return Err(Refusal::new(Stage::Compile, "impure_builtin", detail));
        }
        entrypoints.push((dotted.clone(), entry, reachable));
    }
    Ok(entrypoints)
}

/// What a bundle's files hold.
struct Sources {
    modules: Vec<Module>,
    /// What compiling more of them may take, in bytes.
    room: usize,
    /// The modules' paths, in the same order.
    files: Vec<String>,
    data: Value,
}

impl Sources {
    fn read(bundle: &Bundle) -> Result<Self, Refusal> {
        let syntax = match bundle.settings.rego {
            RegoVersion::V0 => Syntax::V0,
            RegoVersion::V1 => Syntax::V1,
        };
        let mut sources = Self { modules: vec![], room: MAX_SIZE, files: vec![], data: Value::object(vec![]) };
        for (path, body) in &bundle.files {
            #[cfg(test)]
            super::fault::point();
            if path.ends_with(".rego") {
                sources.policy(path, body, syntax)?;
            } else if path.ends_with("data.json") {
                let document = read_data(path, body)?;
                let data = std::mem::replace(&mut sources.data, Value::Null);
                sources.data = merged(data, document).map_err(|key| {
                    let detail = format!("`{key}` stands in two data files with different values; keep one of them");
                    Refusal::new(Stage::Compile, "data_overlap", detail).in_file(path)
                })?;
                if sources.data.weight() > json::MAX_DATA {
                    return Err(too_much_data("more values than one bundle may have").in_file(path));
                }
            } else if path.ends_with(".yaml") || path.ends_with(".yml") {
                let detail = "data in YAML isn't read; write it as `data.json` in the same folder";
                return Err(Refusal::new(Stage::Parse, "yaml_data", detail).in_file(path));
            }
        }
        Ok(sources)
    }

    fn policy(&mut self, path: &str, body: &[u8], syntax: Syntax) -> Result<(), Refusal> {
        let text = std::str::from_utf8(body)
            .map_err(|e| Refusal::new(Stage::Parse, "utf8", format!("not UTF-8: {e}")).in_file(path))?;
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(path.to_owned());
        let module = parse_module(file, text, syntax, self.room).map_err(|errors| {
            let errors: Vec<CompileError> =
                errors.into_iter().map(|error| CompileError::new(error.location, error.code, error.message)).collect();
            refusal(&self.files, &errors)
        })?;
        let has_schemas = |value: &Value| value.get_str("schemas").is_some();
        if let Some(annotation) = module.annotations.iter().find(|annotation| has_schemas(&annotation.value)) {
            let line = annotation.location.row;
            let detail =
                format!("line {line}: `schemas` in metadata isn't supported; remove it, types are checked without");
            return Err(Refusal::new(Stage::Compile, "schemas", detail).in_file(path));
        }
        self.room = self.room.saturating_sub(module.size);
        self.modules.push(module);
        Ok(())
    }
}

/// Data at `a/b/data.json` lies under `data.a.b`.
fn read_data(path: &str, body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |detail: String| Refusal::new(Stage::Parse, "data", detail).in_file(path);
    let text = std::str::from_utf8(body).map_err(|e| refuse(format!("not UTF-8: {e}")))?;
    let document = json::read(text, json::DATA).map_err(|e| match e.is_limit {
        true => too_much_data(&e.to_string()).in_file(path),
        false => refuse(e.to_string()),
    })?;
    if document.as_object().is_none() {
        return Err(refuse("the document must be an object".into()));
    }
    let folders = path.split('/').rev().skip(1);
    Ok(folders.fold(document, |inner, folder| Value::object(vec![(Value::from(folder), inner)])))
}

/// A remote root is the control plane's alone: nothing of the bundle may stand there.
fn check_remote_root(root: &[Value], modules: &[Module], files: &[String], data: &Value) -> Result<(), Refusal> {
    let name =
        || root.iter().fold("data".to_owned(), |name, part| format!("{name}.{}", part.as_str().unwrap_or_default()));
    for (module, file) in modules.iter().zip(files) {
        for rule in &module.rules {
            let package = module.package.path.iter().map(|part| Value::String(std::sync::Arc::clone(part)));
            let reference = rule.head.reference.iter().map_while(|term| {
                term.as_str().map(Value::from).or_else(|| term.as_var().map(|var| Value::from(var.as_str())))
            });
            let path: Vec<Value> = package.chain(reference).collect();
            if path.starts_with(root) || root.starts_with(&path) {
                let line = rule.location.row;
                let detail = format!("line {line}: a rule at or above the remote root `{}`; move one of them", name());
                return Err(Refusal::new(Stage::Compile, "remote_root", detail).in_file(file));
            }
        }
    }
    if root.iter().try_fold(data, |value, key| value.get(key)).is_some() {
        let detail = format!("the bundle has data at the remote root `{}`; leave it to the control plane", name());
        return Err(Refusal::new(Stage::Compile, "remote_root", detail));
    }
    Ok(())
}

/// What of `held` lies under `root`, in its place; an empty object if nothing does.
fn at_root(root: &[Value], held: &serde_json::Value) -> Result<Value, Refusal> {
    let part = root.iter().try_fold(held, |value, name| value.get(name.as_str()?));
    let part = match part {
        None => Value::object(vec![]),
        Some(part) => json::read(&part.to_string(), json::DATA)
            .map_err(|e| Refusal::new(Stage::Compile, "remote_data", format!("can't be held: {e}")))?,
    };
    Ok(root.iter().rev().fold(part, |inner, name| Value::object(vec![(name.clone(), inner)])))
}

/// Two documents as one.
///
/// # Errors
/// A path has two values; the last key of it.
fn merged(a: Value, b: Value) -> Result<Value, String> {
    let (Value::Object(x), Value::Object(y)) = (&a, &b) else { return Ok(b) };
    let mut entries = x.entries().to_vec();
    for (key, value) in y.iter() {
        let own = match x.get(key) {
            None => value.clone(),
            Some(own) if own == value => continue,
            Some(own) if own.as_object().is_some() && value.as_object().is_some() => {
                let inner = merged(own.clone(), value.clone())?;
                entries.retain(|(other, _)| other != key);
                inner
            }
            Some(_) => return Err(key.as_str().unwrap_or_default().to_owned()),
        };
        entries.push((key.clone(), own));
    }
    Ok(Value::object(entries))
}

fn too_much_data(what: &str) -> Refusal {
    let detail = format!("{what}; split the bundle, or leave a part to the control plane with `remote_roots`");
    Refusal::new(Stage::Limit, "size", detail)
}

/// The errors of a bundle's modules as one refusal.
fn refusal(files: &[String], errors: &[CompileError]) -> Refusal {
    let Some(first) = errors.first() else {
        return Refusal::new(Stage::Compile, "internal", "refused without a reason");
    };
    let stage = match first.code {
        "rego_parse_error" => Stage::Parse,
        "nesting" | "size" | "types_too_complex" => Stage::Limit,
        _ => Stage::Compile,
    };
    let file = |error: &CompileError| files.get(error.location.file as usize).map_or("", String::as_str);
    let mut detail = String::new();
    let mut told = BTreeSet::new();
    for error in errors {
        if told.len() == MAX_TOLD {
            let _ = write!(detail, "; and {} more", errors.len() - MAX_TOLD);
            break;
        }
        let at = (file(error), error.location.row, &error.message);
        if !told.insert(at) {
            continue;
        }
        let separator = if detail.is_empty() { "" } else { "; " };
        let other = if file(error) == file(first) { String::new() } else { format!("`{}` ", file(error)) };
        let _ = write!(detail, "{separator}{other}line {}: {}", error.location.row, clipped(&error.message));
    }
    Refusal::new(stage, first.code, detail).in_file(file(first))
}

/// Names in a message may be as long as a line.
fn clipped(message: &str) -> Cow<'_, str> {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => Cow::Owned(format!("{}…", message.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::Program;
    use super::*;
    use bytes::Bytes;

    fn refused(files: &[(&str, &str)], roots: &[&str]) -> Option<Refusal> {
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
        let mut bundle = Bundle::from_files(files.collect()).unwrap();
        bundle.settings.remote_roots = roots.iter().map(|root| (*root).to_owned()).collect();
        Program::compile(&bundle, &RemoteData::Unheld).err()
    }

    fn refused_policy(policy: &str, roots: &[&str]) -> Option<Refusal> {
        refused(&[("p.rego", &format!("package meshguard\n{policy}\n"))], roots)
    }

    /// Each refusal: its code, and what its message must say.
    #[test]
    fn refusals_name_the_place_and_what_to_write() {
        for (policy, code, said) in [
            ("decision := tru e", "rego_parse_error", "line 2: "),
            ("other := true", "no_entrypoint", "`data.meshguard.decision` is no rule; define it"),
            ("decision := nope(1)", "rego_type_error", "line 2: undefined function nope"),
            ("decision := x", "rego_unsafe_var_error", "line 2: var x is unsafe"),
            ("decision if \"a\" == 1", "rego_type_error", "line 2: match error"),
            ("decision if { some x; true }", "rego_compile_error", "line 2: declared var x unused"),
            ("decision if http.send({\"url\": \"http://x\"})", "builtin", "line 2: `http.send` isn't available"),
            ("f(x) := x\ndecision if f({}) with data.meshguard.f as http.send", "builtin", "line 3: `http.send` isn't"),
            ("decision if rand.intn(\"x\", 2) == 1", "impure_builtin", "set the entrypoint's `defer` to `always`"),
            (
                "f(x) := f(x + 1)\ndecision := f(1)",
                "rego_recursion_error",
                "line 2: rule data.meshguard.f is recursive",
            ),
            ("f(x) := g(x)\ng(x) := f(x)\ndecision := f(1)", "rego_recursion_error", "-> data.meshguard.g ->"),
            ("# METADATA\n# schemas:\n#   - input: {type: object}\ndecision := true", "schemas", "line 2: `schemas`"),
        ] {
            let refusal = refused_policy(policy, &[]).unwrap_or_else(|| panic!("{policy}"));
            assert_eq!(refusal.code, code, "{policy}: {refusal}");
            assert!(refusal.detail.contains(said), "{policy}: {refusal}");
        }
        assert_eq!(refused_policy("decision := is_string(upper(\"x\"))", &[]), None);
    }

    #[test]
    fn too_deep_and_too_long() {
        let deep = format!("decision := true\nx := {}1{}", "[".repeat(300), "]".repeat(300));
        let refusal = refused_policy(&deep, &[]).unwrap();
        assert_eq!((refusal.stage, refusal.code.as_str()), (Stage::Limit, "nesting"));
        assert!(refusal.detail.contains("line 3"), "{refusal}");

        let long = format!("decision := true\nx := 1{}", " + 1".repeat(15_000));
        assert_eq!(refused_policy(&long, &[]).map(|refusal| refusal.stage), Some(Stage::Limit));

        let fine = format!("decision := true\nx := {}1{}", "[".repeat(8), "]".repeat(8));
        assert_eq!(refused_policy(&fine, &[]), None);
    }

    #[test]
    fn data_that_would_be_a_rule() {
        let policy = "package meshguard\ndecision if { data.t.allow }\n";
        for (file, data, code, said) in [
            ("data.json", r#"{"meshguard":{"decision":true}}"#, "rego_compile_error", "conflicting rule for data path"),
            (
                "meshguard/data.json",
                r#"{"decision":{"x":1}}"#,
                "rego_compile_error",
                "rename the rule or move the data",
            ),
            ("data.json", r#"{"meshguard":1}"#, "rego_compile_error", "isn't an object"),
            ("data.json", r#"{"a":1,"a":2}"#, "data", "the key `a` stands twice"),
            ("data.json", "[]", "data", "must be an object"),
            ("data.yaml", "a: 1", "yaml_data", "write it as `data.json`"),
        ] {
            let refusal = refused(&[("p.rego", policy), (file, data)], &[]).unwrap_or_else(|| panic!("{data}"));
            assert_eq!(refusal.code, code, "{data}: {refusal}");
            assert!(refusal.detail.contains(said), "{data}: {refusal}");
        }
        assert_eq!(refused(&[("p.rego", policy), ("data.json", r#"{"meshguard":{"other":1}}"#)], &[]), None);
        let twice = [("p.rego", policy), ("a/data.json", r#"{"x":1}"#), ("data.json", r#"{"a":{"x":2}}"#)];
        assert_eq!(refused(&twice, &[]).unwrap().code, "data_overlap");
    }

    #[test]
    fn remote_roots_are_the_control_planes() {
        let root = ["data.live.approvals"];
        assert_eq!(refused_policy("decision if data.live.approvals[input.id]", &root), None);
        let policy = "package live.approvals\nx := 1\n";
        let decision = ("d.rego", "package meshguard\ndecision := true\n");
        assert_eq!(refused(&[("p.rego", policy), decision], &root).unwrap().code, "remote_root");
        let data = ("data.json", r#"{"live":{"approvals":{}}}"#);
        assert_eq!(refused(&[data, decision], &root).unwrap().code, "remote_root");
    }
}
