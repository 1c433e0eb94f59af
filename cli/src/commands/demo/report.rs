//! What the demo found, as a table and as data.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meshguard_engine::Decision;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Global;
use crate::commands::eval::percentile;
use crate::failure::Failure;
use crate::output::{duration, table};

/// Everything the demo found.
#[derive(Serialize)]
pub(super) struct Report {
    ok: bool,
    steps: Vec<Step>,
    decisions: Decisions,
    audit: Audit,
    #[serde(skip)]
    quiet: bool,
    #[serde(skip)]
    started: Instant,
}

/// One step: whether it held, and the figure that shows it.
#[derive(Serialize)]
struct Step {
    name: String,
    ok: bool,
    value: Value,
    unit: &'static str,
}

#[derive(Default, Serialize)]
struct Decisions {
    n: u64,
    by_effect: BTreeMap<&'static str, u64>,
    by_source: BTreeMap<&'static str, u64>,
    p50_ns: u64,
    p99_ns: u64,
    #[serde(skip)]
    times: Vec<u64>,
}

/// Records on both sides.
#[derive(Default, Serialize)]
struct Audit {
    edge: u64,
    server: u64,
}

impl Report {
    pub(super) fn new(global: &Global) -> Self {
        Self {
            ok: true,
            steps: vec![],
            decisions: Decisions::default(),
            audit: Audit::default(),
            quiet: global.quiet || global.json,
            started: Instant::now(),
        }
    }

    /// Notes a step. One that didn't hold spoils the whole.
    pub(super) fn step(&mut self, name: &str, ok: bool, value: impl Into<Value>, unit: &'static str) {
        let step = Step { name: name.to_owned(), ok, value: value.into(), unit };
        self.say(&step.line());
        self.ok &= ok;
        self.steps.push(step);
    }

    /// Notes a step that took a time.
    pub(super) fn timed(&mut self, name: &str, ok: bool, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds with three digits")]
        self.step(name, ok, json!(micros as f64 / 1000.0), "ms");
    }

    /// Counts a decision among the measured ones.
    pub(super) fn count(&mut self, decision: &Decision, time: Duration) {
        self.decisions.n += 1;
        *self.decisions.by_effect.entry(decision.effect().as_str()).or_default() += 1;
        *self.decisions.by_source.entry(decision.source.as_str()).or_default() += 1;
        self.decisions.times.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All measured decisions are counted.
    pub(super) fn measured(&mut self) {
        self.decisions.times.sort_unstable();
        self.decisions.p50_ns = percentile(&self.decisions.times, 0.50);
        self.decisions.p99_ns = percentile(&self.decisions.times, 0.99);
        let counts = |counts: &BTreeMap<&str, u64>| {
            counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        self.say(&format!("          {}", counts(&self.decisions.by_effect)));
        self.say(&format!("          answered by: {}", counts(&self.decisions.by_source)));
        self.say(&format!(
            "          p50 {}, p99 {}",
            duration(self.decisions.p50_ns),
            duration(self.decisions.p99_ns)
        ));
    }

    pub(super) fn audit(&mut self, edge: u64, server: u64) {
        self.audit = Audit { edge, server };
        self.step(
            "audit: records of the edge that the control plane has",
            edge == server && edge > 0,
            server,
            "records",
        );
    }

    /// The story ended early.
    pub(super) fn broke_off(&mut self, failure: &Failure) {
        self.step("the story goes on", false, failure.to_string(), "");
    }

    pub(super) fn holds(&self) -> bool {
        self.ok
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    pub(super) fn render(&self, as_json: bool) -> Result<String, Failure> {
        if as_json {
            return Ok(serde_json::to_string(self)?);
        }
        let mut rows: Vec<Vec<String>> = self.steps.iter().map(Step::row).collect();
        let row = |name: &str, value: String| vec!["".to_owned(), name.to_owned(), value];
        rows.push(row("decision, half of all faster than", duration(self.decisions.p50_ns)));
        rows.push(row("decision, 99 of 100 faster than", duration(self.decisions.p99_ns)));
        let verdict = if self.ok { "every step held" } else { "NOT every step held" };
        let took = self.started.elapsed().as_secs_f64();
        Ok(format!("\n{}\n\n{verdict}, in {took:.1} s", table(&["", "step", "measured"], &rows)))
    }
}

// === impl Step ===

impl Step {
    fn row(&self) -> Vec<String> {
        let mark = if self.ok { "ok" } else { "FAILED" };
        vec![mark.to_owned(), self.name.clone(), self.measured()]
    }

    fn line(&self) -> String {
        let mark = if self.ok { "  ok" } else { "  FAILED" };
        format!("{mark:8}  {}: {}", self.name, self.measured())
    }

    fn measured(&self) -> String {
        let value = match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{value} {}", self.unit).trim_end().to_owned()
    }
}

/// Says how far a long step is, to a person who watches.
pub(super) struct ProgressBar {
    shown: bool,
}

impl ProgressBar {
    pub(super) fn new(report: &Report) -> Self {
        Self { shown: !report.quiet && std::io::IsTerminal::is_terminal(&std::io::stderr()) }
    }

    pub(super) fn show(&self, done: u32, of: u32) {
        if self.shown {
            let filled = (u64::from(done) * 30 / u64::from(of.max(1))) as usize;
            eprint!("\r          [{:30}] {done}/{of}", "#".repeat(filled));
        }
    }

    pub(super) fn clear(&self) {
        if self.shown {
            eprint!("\r{:60}\r", "");
        }
    }
}
