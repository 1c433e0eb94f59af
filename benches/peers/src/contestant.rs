//! Whoever decides.

use std::fmt;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use meshguard_engine::Effect;
use serde::{Deserialize, Serialize};

use crate::cedar::Cedar;
use crate::child::Child;
use crate::ours::Ours;
use crate::regorus::{Interpreter, Rvm};
use crate::row::Row;

/// Contestants, in the order in which they take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// `Engine::decide` of a request that is built.
    OursBuilt,
    /// `Engine::decide_json` of bytes.
    OursJson,
    /// `Engine::outcome` of a request that is built: no id, no record.
    OursOutcome,
    /// regorus' interpreter, the input parsed before.
    InterpreterParsed,
    /// regorus' interpreter, from text.
    InterpreterJson,
    /// regorus' register machine, the input parsed before.
    RvmParsed,
    /// regorus' register machine, from text.
    RvmJson,
    /// cedar-policy, request and entities built before.
    Cedar,
    /// OPA in Go, the input parsed before.
    OpaParsed,
    /// OPA in Go, from JSON bytes to JSON bytes.
    OpaJson,
    /// AGT's Python evaluator, the context a dict.
    Agt,
    /// AGT's Rust crate, the action a string.
    Agentmesh,
}

/// A policy loaded, and its requests at hand in the form that this contestant takes.
pub trait Contestant {
    /// What it says to each request, in order.
    ///
    /// # Errors
    /// An evaluation failed, or what it gave is no effect.
    fn effects(&mut self) -> anyhow::Result<Vec<Effect>>;

    /// How long this many decisions take, upon the requests in turn, from the first one on.
    ///
    /// # Errors
    /// The contestant is gone.
    fn run(&mut self, decisions: u64) -> anyhow::Result<Duration>;

    /// The same, but how long each takes by itself. The look at the clock is included.
    ///
    /// # Errors
    /// The contestant is gone.
    fn each(&mut self, decisions: u64) -> anyhow::Result<Vec<Duration>>;

    /// Ends it, and says how many records it left.
    ///
    /// # Errors
    /// Some are missing.
    fn finish(self: Box<Self>) -> anyhow::Result<u64> {
        Ok(0)
    }
}

/// What contestants in other processes are started with; the reason where one can't be had.
pub struct Tools {
    /// OPA's program.
    pub opa: Result<PathBuf, String>,
    /// A Python that has AGT.
    pub python: Result<PathBuf, String>,
    /// The program around AGT's Rust crate.
    pub agentmesh: Result<PathBuf, String>,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OursBuilt,
        Self::OursJson,
        Self::OursOutcome,
        Self::InterpreterParsed,
        Self::InterpreterJson,
        Self::RvmParsed,
        Self::RvmJson,
        Self::Cedar,
        Self::OpaParsed,
        Self::OpaJson,
        Self::Agt,
        Self::Agentmesh,
    ];

    /// Its name in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::OursBuilt => "ours, built",
            Self::OursJson => "ours, JSON",
            Self::OursOutcome => "ours, built, no audit",
            Self::InterpreterParsed => "regorus interpreter, parsed",
            Self::InterpreterJson => "regorus interpreter, JSON",
            Self::RvmParsed => "regorus RVM, parsed",
            Self::RvmJson => "regorus RVM, JSON",
            Self::Cedar => "Cedar, built",
            Self::OpaParsed => "OPA (Go), parsed",
            Self::OpaJson => "OPA (Go), JSON",
            Self::Agt => "AGT PolicyEvaluator (Python)",
            Self::Agentmesh => "AGT agentmesh (Rust)",
        }
    }

    /// Whether it is this project's.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::OursBuilt | Self::OursJson | Self::OursOutcome)
    }

    /// The one of ours that is given as much: bytes against bytes, and what was read before against the same.
    pub const fn counterpart(self) -> Self {
        match self {
            Self::OursJson | Self::InterpreterJson | Self::RvmJson | Self::OpaJson => Self::OursJson,
            _ => Self::OursBuilt,
        }
    }

    /// Whether it runs in this process, where its instructions can be counted.
    pub const fn is_here(self) -> bool {
        !matches!(self, Self::OpaParsed | Self::OpaJson | Self::Agt | Self::Agentmesh)
    }

    /// Loads `row`.
    ///
    /// # Errors
    /// It can't serve this row, and why.
    pub fn open<'a>(self, given: &Given<'a>) -> anyhow::Result<Box<dyn Contestant + 'a>> {
        let Given { row, inputs, .. } = *given;
        let child = |tool: &Result<PathBuf, String>, arguments: &[&str]| -> anyhow::Result<Box<dyn Contestant + 'a>> {
            let program = tool.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
            Ok(Box::new(Child::start(program, arguments, given.folder)?))
        };
        Ok(match self {
            Self::OursBuilt | Self::OursJson | Self::OursOutcome => Box::new(Ours::open(self, &row.case)?),
            Self::InterpreterParsed => Box::new(Interpreter::parsed(row, inputs)?),
            Self::InterpreterJson => Box::new(Interpreter::json(row, inputs)?),
            Self::RvmParsed => Box::new(Rvm::parsed(row, inputs)?),
            Self::RvmJson => Box::new(Rvm::json(row, inputs)?),
            Self::Cedar => Box::new(Cedar::open(row)?),
            Self::OpaParsed => child(&given.tools.opa, &["parsed"])?,
            Self::OpaJson => child(&given.tools.opa, &["json"])?,
            Self::Agt => {
                said(&row.agt)?;
                child(&given.tools.python, &[concat!(env!("CARGO_MANIFEST_DIR"), "/agt/peer.py")])?
            }
            Self::Agentmesh => {
                said(&row.agentmesh)?;
                child(&given.tools.agentmesh, &[])?
            }
        })
    }
}

/// What a contestant may look at to load a row.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The row.
    pub row: &'a Row,
    /// The documents that are `input` in Rego, one for each request.
    pub inputs: &'a [String],
    /// Where [`Row::save`] wrote it.
    pub folder: &'a std::path::Path,
    /// How to start the others.
    pub tools: &'a Tools,
}

fn said(said: &crate::row::Said) -> anyhow::Result<()> {
    said.as_ref().map(|_| ()).map_err(|why| anyhow::anyhow!("{why}"))
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

// === In this process ===

/// Decides upon requests by their number.
pub trait Numbered {
    /// What a decision gives.
    type Answer;

    /// How many requests there are.
    fn requests(&self) -> usize;

    /// Decides upon the request with this number.
    fn ask(&mut self, number: usize) -> Self::Answer;

    /// What an answer means.
    ///
    /// # Errors
    /// It is an error, or no effect.
    fn effect(answer: Self::Answer) -> anyhow::Result<Effect>;
}

impl<N: Numbered> Contestant for N {
    fn effects(&mut self) -> anyhow::Result<Vec<Effect>> {
        (0..self.requests()).map(|number| N::effect(self.ask(number))).collect()
    }

    fn run(&mut self, decisions: u64) -> anyhow::Result<Duration> {
        let turns = (0..self.requests()).cycle().take(usize::try_from(decisions)?);
        let started = Instant::now();
        for number in turns {
            black_box(self.ask(number));
        }
        Ok(started.elapsed())
    }

    fn each(&mut self, decisions: u64) -> anyhow::Result<Vec<Duration>> {
        let turns = (0..self.requests()).cycle().take(usize::try_from(decisions)?);
        let one = |number| {
            let started = Instant::now();
            black_box(self.ask(number));
            started.elapsed()
        };
        Ok(turns.map(one).collect())
    }
}
