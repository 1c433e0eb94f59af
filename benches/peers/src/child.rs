//! A contestant in a process of its own, spoken to by lines of JSON. It loads a row from the folder that its last argument
//! names, and says so; then it answers one line for each line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use meshguard_engine::Effect;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;

/// The process; it ends with its standard input.
pub struct Child {
    process: process::Child,
    // Taken to close it.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// From the texts of policy and data to the first decision.
    first_decision: Duration,
}

/// What it can be told to do.
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    /// Decide upon each request once.
    Effects,
    /// Decide so often, upon the requests in turn, and take the time of all together.
    Run { decisions: u64 },
    /// Decide so often, from the first request on, and take the time of each.
    Each { decisions: u64 },
}

/// What it says. Only the fields that were asked for.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Report {
    error: Option<String>,
    first_decision_ns: u64,
    effects: Vec<String>,
    ns: u64,
    latencies_ns: Vec<u64>,
}

impl Child {
    /// Starts `program`, which loads the row in `folder`.
    ///
    /// # Errors
    /// It can't be started, or can't serve the row: then with what it says.
    pub fn start(program: &Path, arguments: &[&str], folder: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let asks = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("no pipe")?);
        let mut child = Self { process, asks, answers, first_decision: Duration::ZERO };
        child.first_decision = Duration::from_nanos(child.read()?.first_decision_ns);
        Ok(child)
    }

    /// From the texts of policy and data to the first decision.
    pub fn first_decision(&self) -> Duration {
        self.first_decision
    }

    fn ask(&mut self, order: &Order) -> anyhow::Result<Report> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let asks = self.asks.as_mut().context("it was ended")?;
        asks.write_all(&line).context("it doesn't listen")?;
        self.read()
    }

    fn read(&mut self) -> anyhow::Result<Report> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "it ended; its message is above");
        let report: Report = serde_json::from_str(&line).with_context(|| format!("it said {line:?}"))?;
        match report.error {
            Some(error) => bail!("{error}"),
            None => Ok(report),
        }
    }
}

impl Contestant for Child {
    fn effects(&mut self) -> anyhow::Result<Vec<Effect>> {
        let effect = |text: &String| Effect::from_policy(text).with_context(|| format!("{text:?} is no effect"));
        self.ask(&Order::Effects)?.effects.iter().map(effect).collect()
    }

    fn run(&mut self, decisions: u64) -> anyhow::Result<Duration> {
        Ok(Duration::from_nanos(self.ask(&Order::Run { decisions })?.ns))
    }

    fn each(&mut self, decisions: u64) -> anyhow::Result<Vec<Duration>> {
        let report = self.ask(&Order::Each { decisions })?;
        Ok(report.latencies_ns.into_iter().map(Duration::from_nanos).collect())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.asks.take());
        // It has nothing left to say; how it ended doesn't matter.
        let _ = self.process.wait();
    }
}
