//! regorus, by its interpreter and by its register machine.

use std::hint::black_box;

use anyhow::Context;
use meshguard_engine::{DEFAULT_ENTRYPOINT, Effect};
use regorus::Value;

use crate::contestant::Numbered;
use crate::row::Row;

/// Inputs parsed before, or to be parsed each time.
enum Inputs {
    Parsed(Vec<Value>),
    Json(Vec<String>),
}

impl Inputs {
    fn parsed(texts: &[String]) -> anyhow::Result<Self> {
        Ok(Self::Parsed(texts.iter().map(|text| Value::from_json_str(text)).collect::<Result<_, _>>()?))
    }

    fn len(&self) -> usize {
        match self {
            Self::Parsed(values) => values.len(),
            Self::Json(texts) => texts.len(),
        }
    }

    fn get(&self, number: usize) -> anyhow::Result<Value> {
        match self {
            Self::Parsed(values) => values.get(number).cloned().context("no such request"),
            Self::Json(texts) => Value::from_json_str(black_box(texts.get(number).context("no such request")?)),
        }
    }
}

fn effect(answer: anyhow::Result<Value>) -> anyhow::Result<Effect> {
    let value = answer?;
    let text = value.as_string().context("the value is no text")?;
    Effect::from_policy(text).context("the value is no effect")
}

/// The interpreter, prepared.
pub struct Interpreter {
    engine: meshguard_benches::Interpreter,
    inputs: Inputs,
}

impl Interpreter {
    /// Given values.
    ///
    /// # Errors
    /// The policy doesn't load.
    pub fn parsed(row: &Row, inputs: &[String]) -> anyhow::Result<Self> {
        Self::open(row, Inputs::parsed(inputs)?)
    }

    /// Given text.
    ///
    /// # Errors
    /// The policy doesn't load.
    pub fn json(row: &Row, inputs: &[String]) -> anyhow::Result<Self> {
        Self::open(row, Inputs::Json(inputs.to_vec()))
    }

    fn open(row: &Row, inputs: Inputs) -> anyhow::Result<Self> {
        Ok(Self { engine: meshguard_benches::Interpreter::new(&row.case.bundle)?, inputs })
    }
}

impl Numbered for Interpreter {
    type Answer = anyhow::Result<Value>;

    fn requests(&self) -> usize {
        self.inputs.len()
    }

    fn ask(&mut self, number: usize) -> Self::Answer {
        self.engine.ask(self.inputs.get(number)?)
    }

    fn effect(answer: Self::Answer) -> anyhow::Result<Effect> {
        effect(answer)
    }
}

/// The register machine, hot.
pub struct Rvm {
    machine: meshguard_benches::Rvm,
    inputs: Inputs,
}

impl Rvm {
    /// Given values.
    ///
    /// # Errors
    /// The policy doesn't load or compile.
    pub fn parsed(row: &Row, inputs: &[String]) -> anyhow::Result<Self> {
        Self::open(row, Inputs::parsed(inputs)?)
    }

    /// Given text.
    ///
    /// # Errors
    /// The policy doesn't load or compile.
    pub fn json(row: &Row, inputs: &[String]) -> anyhow::Result<Self> {
        Self::open(row, Inputs::Json(inputs.to_vec()))
    }

    fn open(row: &Row, inputs: Inputs) -> anyhow::Result<Self> {
        Ok(Self { machine: meshguard_benches::Rvm::new(&row.case.bundle, DEFAULT_ENTRYPOINT)?, inputs })
    }
}

impl Numbered for Rvm {
    type Answer = anyhow::Result<Value>;

    fn requests(&self) -> usize {
        self.inputs.len()
    }

    fn ask(&mut self, number: usize) -> Self::Answer {
        self.machine.ask(self.inputs.get(number)?)
    }

    fn effect(answer: Self::Answer) -> anyhow::Result<Effect> {
        effect(answer)
    }
}
