//! Answers OPA's conformance cases with regorus: `regorus-oracle interpreter`, or `regorus-oracle rvm` for its virtual
//! machine. Reads a case a line and writes what it came to, a line as well; see `tests/conformance/src/peer.rs`.

use std::io::{BufRead, Write};
use std::num::{NonZeroU32, NonZeroUsize};

use anyhow::{Context, Result, bail};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::{Engine, PolicyLengthConfig, Rc, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Question {
    /// Of the query.
    variables: Vec<String>,
    case: Case,
}

#[derive(Deserialize)]
struct Case {
    rego: String,
    case: Body,
}

#[derive(Deserialize)]
struct Body {
    query: String,
    #[serde(default)]
    modules: Vec<String>,
    data: Option<Box<RawValue>>,
    input: Option<Box<RawValue>>,
    input_term: Option<String>,
    #[serde(default)]
    strict_error: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Observed {
    Solutions(String),
    Error { code: Option<String>, message: String },
    Refused { code: String, message: String },
}

fn main() -> Result<()> {
    let evaluate = match std::env::args().nth(1).as_deref() {
        Some("interpreter") => interpret,
        Some("rvm") => run,
        _ => bail!("usage: regorus-oracle interpreter | rvm"),
    };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let observed = match prepare(&question.case) {
            Ok(prepared) => evaluate(&question, prepared),
            Err(e) => refused(&e),
        };
        writeln!(out, "{}", serde_json::to_string(&observed)?)?;
        out.flush()?;
    }
    Ok(())
}

/// An engine with everything but the input, and the input.
fn prepare(case: &Case) -> Result<(Engine, Value)> {
    let Body { modules, data, input, input_term, strict_error, .. } = &case.case;
    let mut engine = Engine::new();
    // The defaults are too small for some cases.
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    });
    engine.set_rego_v0(case.rego == "v0");
    engine.set_strict_builtin_errors(*strict_error);
    let input = match (input_term, input) {
        // In an engine without the policy: a term is a value by itself.
        (Some(term), _) => {
            let result = engine.clone().eval_query(term.clone(), false)?.result;
            let expression = result.last().and_then(|result| result.expressions.last());
            expression.context("the input isn't a value")?.value.clone()
        }
        (None, Some(input)) => Value::from_json_str(input.get())?,
        (None, None) => Value::Undefined,
    };
    if let Some(data) = data {
        engine.add_data(Value::from_json_str(data.get())?)?;
    }
    for (i, module) in modules.iter().enumerate() {
        engine.add_policy(format!("test-{i}.rego"), module.clone())?;
    }
    Ok((engine, input))
}

/// The interpreter takes queries as they are.
fn interpret(question: &Question, (mut engine, input): (Engine, Value)) -> Observed {
    engine.set_input(input);
    let results = match engine.eval_query(question.case.case.query.clone(), false) {
        Ok(results) => results.result,
        Err(e) => return failed(&e),
    };
    let holds = |value: &Value| !matches!(value, Value::Undefined | Value::Bool(false));
    let rows = results.iter().filter(|row| row.expressions.iter().all(|expression| holds(&expression.value)));
    let rows: Vec<String> = rows.map(|row| row.bindings.to_string()).collect();
    Observed::Solutions(format!("[{}]", rows.join(",")))
}

/// The virtual machine runs entrypoints: the rule that the query names, or one made of the query.
fn run(question: &Question, (engine, input): (Engine, Value)) -> Observed {
    let case = &question.case.case;
    if let (Some((path, variable)), [name]) = (case.query.trim().split_once(" = "), question.variables.as_slice())
        && variable == name
        && path.starts_with("data.")
        && let Ok(machine) = compile(engine.clone(), path, case)
    {
        return execute(machine, input, |value| format!("[{{{name:?}: {value}}}]"));
    }
    let names = question.variables.iter().map(|name| format!("{name:?}: {name}")).collect::<Vec<_>>().join(", ");
    let query = &case.query;
    let module = format!("package conformance\nimport rego.v1\nsolutions contains {{{names}}} if {{\n{query}\n}}\n");
    let mut engine = engine;
    let added = engine.add_policy("conformance.rego".to_owned(), module);
    match added.and_then(|_| compile(engine, "data.conformance.solutions", case)) {
        Ok(machine) => execute(machine, input, |value| value.to_string()),
        Err(e) => refused(&e),
    }
}

fn compile(mut engine: Engine, path: &str, case: &Body) -> Result<RegoVM> {
    let compiled = engine.compile_with_entrypoint(&Rc::from(path))?;
    let program = Compiler::compile_from_policy(&compiled, &[path])?;
    let mut machine = RegoVM::new();
    machine.load_program(program);
    // Likewise.
    machine.set_max_instructions(10_000_000);
    machine.set_strict_builtin_errors(case.strict_error);
    let data = case.data.as_ref().map_or_else(|| Ok(Value::new_object()), |data| Value::from_json_str(data.get()))?;
    machine.set_data(data)?;
    Ok(machine)
}

fn execute(mut machine: RegoVM, input: Value, solutions: impl Fn(&Value) -> String) -> Observed {
    machine.set_input(input);
    match machine.execute() {
        Ok(Value::Undefined) => Observed::Solutions("[]".to_owned()),
        Ok(value) => Observed::Solutions(solutions(&value)),
        Err(e) => Observed::Error { code: None, message: e.to_string() },
    }
}

/// The interpreter compiles while it evaluates; what it would have refused is told by the message.
fn failed(error: &anyhow::Error) -> Observed {
    let message = format!("{error:#}");
    let refusals =
        ["could not find function", "is unsafe", "expecting", "invalid character", "not supported", "recursi"];
    if refusals.iter().any(|refusal| message.contains(refusal)) {
        return refused(error);
    }
    Observed::Error { code: None, message }
}

fn refused(error: &anyhow::Error) -> Observed {
    Observed::Refused { code: "load".to_owned(), message: format!("{error:#}") }
}
