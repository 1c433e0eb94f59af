//! Policies, mostly well-typed, with data and inputs that meet their constants. The same for the same seed.
//!
//! A policy is made from the bottom up: a shape for the input and for the data, then rule by rule, each of which may refer
//! to what was made before it. [`terms`] and [`body`] are the language, [`rules`] its rules, [`module`] what stands around
//! them, [`inputs`] the documents to ask about; [`broken`] makes some policies wrong in a known way, because refusals have
//! to agree as well.

mod body;
mod broken;
mod calls;
mod catalog;
mod inputs;
mod module;
mod rules;
mod scope;
mod terms;

use std::collections::BTreeMap;

use self::module::Module;
use self::scope::{Function, Local, Root, Source};
use crate::case::{Case, Remote};
use crate::rng::Rng;
use crate::shape::Shape;
use crate::tree::{Tree, text};
use crate::words::{Notation, Words};

/// How policies are to be.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Inputs for each policy.
    pub inputs: usize,
    /// Documents for data that isn't held; none means that all data is held.
    pub completions: usize,
    /// Whether each rule that is asked gives a decision.
    pub decisions: bool,
}

/// Makes one policy.
struct Generator {
    rng: Rng,
    words: Words,
    options: Options,
    /// Of a thousand terms, how many are of a shape that wasn't asked for.
    wrong: usize,
    sources: Vec<Source>,
    functions: Vec<Function>,
    /// Constants that each path was compared with.
    hits: BTreeMap<String, Vec<Tree>>,
    /// The module that is being made.
    module: Module,
    /// Variables in scope.
    locals: Vec<Local>,
    variables: usize,
    /// Whether a term may have several values.
    several: bool,
    /// Whether a pattern is assigned to, and may not have constants.
    assigning: bool,
}

/// The case of a seed.
pub fn generate(seed: u64, options: Options) -> Case {
    let mut rng = Rng::new(seed);
    let words = Words::new(&mut rng);
    let wrong = if rng.percent(75) { 0 } else { rng.between(5, 40) };
    let generator = Generator {
        rng,
        words,
        options,
        wrong,
        sources: vec![],
        functions: vec![],
        hits: BTreeMap::new(),
        module: Module::default(),
        locals: vec![],
        variables: 0,
        several: true,
        assigning: false,
    };
    generator.case()
}

impl Generator {
    fn case(mut self) -> Case {
        let input = catalog::input(&mut self.rng);
        let data = catalog::data(&mut self.rng);
        let remote = (self.options.completions > 0).then(|| catalog::remote(&mut self.rng));
        self.add_source(Root::Input, &["input".to_owned()], &input);
        self.add_source(Root::Data, &["data".to_owned()], &data);
        // `data` as a whole would hold the rules, too: that is recursion.
        self.sources.retain(|source| source.path.len() > 1 || source.root == Root::Input);
        if let Some((root, shape)) = &remote {
            self.add_source(Root::Remote, root, shape);
        }
        let v0 = self.rng.percent(22);
        let (modules, query) = self.modules(v0);
        let mut case = Case {
            v0,
            modules,
            data: self.words.literal(&mut self.rng, &data, Notation::Json),
            query,
            inputs: (0..self.options.inputs).map(|_| self.input(&input)).collect(),
            remote: vec![],
        };
        if let Some((root, shape)) = remote {
            let completions = (0..self.options.completions).map(|at| self.completion(&root, &shape, at)).collect();
            case.remote.push(Remote { root: root.join("."), completions });
        }
        self.break_sometimes(&mut case);
        case
    }

    fn literal(&mut self, shape: &Shape) -> Tree {
        self.words.literal(&mut self.rng, shape, Notation::Rego)
    }

    /// Something to compare with the document at `path`, remembered so that an input can have it.
    fn hit(&mut self, path: Option<&str>, shape: &Shape) -> Tree {
        let constant = self.words.literal(&mut self.rng, shape, Notation::Json);
        if let Some(path) = path {
            self.hits.entry(path.to_owned()).or_default().push(constant.clone());
        }
        constant
    }

    fn nothing() -> Tree {
        text("")
    }
}
