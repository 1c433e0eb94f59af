//! A policy in every language it can be said in, and what it is asked.

use std::fs;
use std::path::Path;

use anyhow::Context;
use meshguard_benches::Case;
use serde_json::{Map, Value};

/// A policy in a peer's own language; or why it can't be said there.
pub type Said = Result<String, &'static str>;

/// Why AGT's Python evaluator has no part in a row.
pub const AGT_ONE_CONDITION: &str = "AGT's rules have one condition each";
/// Why AGT's Rust crate has no part in a row.
pub const AGENTMESH_EQUALITY: &str = "agentmesh compares actions, and nothing else that this policy asks for";

/// What every contestant of a row is given.
pub struct Row {
    /// The policy as Rego, and the requests with their right answers.
    pub case: Case,
    /// For each request, the fields that peers without Rego see.
    pub flat: Vec<Map<String, Value>>,
    /// For Cedar.
    pub cedar: Said,
    /// Cedar's entities, as JSON.
    pub entities: Value,
    /// For AGT's Python evaluator, as YAML.
    pub agt: Said,
    /// For AGT's Rust crate, as YAML.
    pub agentmesh: Said,
    /// How it is measured.
    pub plan: Plan,
}

/// What is taken of a row besides the best of the means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each request by itself.
    pub percentiles: bool,
    /// The same request again and again, by a thread that keeps its core.
    pub pinned: bool,
    /// Instructions.
    pub counted: bool,
    /// Not by regorus' interpreter, which would take twenty minutes.
    pub no_interpreter: bool,
}

impl Row {
    /// The row's id.
    pub fn id(&self) -> &str {
        &self.case.name
    }

    /// Writes what contestants in processes of their own read.
    ///
    /// # Errors
    /// The folder can't be written.
    pub fn save(&self, folder: &Path, inputs: &[String]) -> anyhow::Result<()> {
        let write = |name: &str, text: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        for (name, body) in &self.case.bundle.files {
            write(name, body)?;
        }
        write("inputs.jsonl", inputs.join("\n").as_bytes())?;
        let flat: Vec<String> = self.flat.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write("flat.jsonl", flat.join("\n").as_bytes())?;
        for (name, said) in [("agt.yaml", &self.agt), ("agentmesh.yaml", &self.agentmesh)] {
            if let Ok(text) = said {
                write(name, text.as_bytes())?;
            }
        }
        Ok(())
    }
}
