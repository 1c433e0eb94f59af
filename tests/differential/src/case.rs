//! A question for two engines: a policy, data, and inputs to ask about.

use std::collections::BTreeMap;

use crate::tree::Tree;

/// A policy with what it is asked.
#[derive(Debug, Clone)]
pub struct Case {
    /// Whether its syntax is Rego v0.
    pub v0: bool,
    /// Modules by file name.
    pub modules: Vec<(String, Tree)>,
    /// The document under `data`.
    pub data: Tree,
    /// The document that is asked for, `data.a.b`.
    pub query: String,
    /// JSON documents; an empty text is no input at all.
    pub inputs: Vec<Tree>,
    /// Paths under `data` that aren't held, and documents they may turn out to be.
    pub remote: Vec<Remote>,
}

/// Data that isn't held.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its path, `data.a.b`.
    pub root: String,
    /// What may be there: JSON, or an empty text for nothing.
    pub completions: Vec<Tree>,
}

impl Case {
    /// The modules' texts.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.modules.iter().map(|(name, module)| (name.clone(), module.render())).collect()
    }

    /// Bytes of policy, data and inputs.
    pub fn size(&self) -> usize {
        let modules: usize = self.modules.iter().map(|(_, module)| module.render().len()).sum();
        let inputs: usize = self.inputs.iter().map(|input| input.render().len()).sum();
        modules + self.data.render().len() + inputs
    }
}
