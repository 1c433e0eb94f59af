//! regorus by itself: what a host reaches that links it and no more.

use std::num::NonZero;

use anyhow::{anyhow, bail};
use meshguard_engine::{Bundle, DEFAULT_ENTRYPOINT};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{PolicyLengthConfig, Value};

/// regorus' interpreter, prepared.
pub struct Interpreter(regorus::Engine);

impl Interpreter {
    /// Loads `bundle` and evaluates once, which prepares the interpreter.
    ///
    /// # Errors
    /// The bundle doesn't load, or holds data elsewhere than at its root.
    pub fn new(bundle: &Bundle) -> anyhow::Result<Self> {
        let mut interpreter = Self(loaded(bundle)?);
        interpreter.ask(Value::new_object())?;
        Ok(interpreter)
    }

    /// Evaluates the default entrypoint.
    ///
    /// # Errors
    /// The evaluation raised one.
    pub fn ask(&mut self, input: Value) -> anyhow::Result<Value> {
        self.0.set_input(input);
        self.0.eval_rule(DEFAULT_ENTRYPOINT.to_owned())
    }
}

/// regorus' register machine with a policy compiled for one rule. Its input is set anew each time, as a host must.
pub struct Rvm {
    vm: RegoVM,
    rule: String,
}

impl Rvm {
    /// Compiles `bundle` for `rule`, such as `data.meshguard.decision`.
    ///
    /// # Errors
    /// The bundle doesn't load or compile, or holds data elsewhere than at its root.
    pub fn new(bundle: &Bundle, rule: &str) -> anyhow::Result<Self> {
        let mut engine = loaded(bundle)?;
        engine.set_strict_builtin_errors(false);
        let policy = engine.compile_with_entrypoint(&rule.into())?;
        let program = Compiler::compile_from_policy(&policy, &[rule]).map_err(|error| anyhow!("{error}"))?;
        let mut vm = RegoVM::new();
        vm.load_program(program);
        vm.set_max_instructions(100_000_000);
        vm.set_data(engine.get_data()).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { vm, rule: rule.to_owned() })
    }

    /// Evaluates the rule; regorus' `Undefined` if it has no value.
    ///
    /// # Errors
    /// The evaluation raised one.
    pub fn ask(&mut self, input: Value) -> anyhow::Result<Value> {
        self.vm.set_input(input);
        self.vm.execute_entry_point_by_name(&self.rule).map_err(|error| anyhow!("{error}"))
    }
}

fn loaded(bundle: &Bundle) -> anyhow::Result<regorus::Engine> {
    let mut engine = regorus::Engine::new();
    // What a bundle may hold is bounded when it is read.
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZero::<u32>::MAX,
        max_file_bytes: NonZero::<usize>::MAX,
        max_lines: NonZero::<usize>::MAX,
    });
    for (path, body) in &bundle.files {
        let text = || Ok::<_, anyhow::Error>(std::str::from_utf8(body)?.to_owned());
        match path.as_str() {
            "data.json" => engine.add_data(Value::from_json_str(&text()?)?)?,
            "vectors.json" => {}
            path if path.ends_with(".rego") => {
                engine.add_policy(path.to_owned(), text()?)?;
            }
            path => bail!("`{path}`: only data at the root is loaded here"),
        }
    }
    Ok(engine)
}
