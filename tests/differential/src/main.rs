//! The command: see `README.md`.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use meshguard_differential::compare::compare;
use meshguard_differential::engines::Engine;
use meshguard_differential::generate::{Options, generate};
use meshguard_differential::oracle::Oracle;
use meshguard_differential::run::{self, Found};
use meshguard_differential::{report, unknowns, unknowns_run, vector};

/// Generated policies, asked of this engine and of OPA: every answer must be the same.
#[derive(Parser)]
struct Args {
    /// Answers to compare.
    #[arg(long, default_value_t = 100_000)]
    evaluations: usize,
    /// Which policies: the same seed gives the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Inputs for each policy.
    #[arg(long, default_value_t = 100)]
    inputs: usize,
    /// The engine that is held against OPA.
    #[arg(long, value_enum, default_value = "ours")]
    engine: Asked,
    /// A difference in the strict mode alone is a mismatch, too.
    #[arg(long)]
    strict: bool,
    /// Checks certain answers about data that isn't held instead, so many of them.
    #[arg(long, value_name = "CERTAIN")]
    unknowns: Option<usize>,
    /// Documents that the data may turn out to be, for each certain answer.
    #[arg(long, default_value_t = 200)]
    completions: usize,
    /// Runs one policy only, by its own seed, and prints it.
    #[arg(long)]
    policy: Option<u64>,
    /// How many oracles run at once.
    #[arg(long, default_value_t = 2)]
    oracles: usize,
    /// Mismatches to make small.
    #[arg(long, default_value_t = 20)]
    shrink: usize,
    /// Tries to make one smaller.
    #[arg(long, default_value_t = 3000)]
    tries: usize,
    /// Says what policies were refused for.
    #[arg(long)]
    reasons: bool,
    /// Appends mismatches to this file, one JSON object a line.
    #[arg(long)]
    lines: Option<PathBuf>,
    /// Writes mismatches as vectors into this folder, e.g. tests/vectors.
    #[arg(long)]
    vectors: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Asked {
    Ours,
    Regorus,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (args.policy, args.unknowns) {
        (Some(seed), Some(_)) => args.one_with_unknowns(seed),
        (Some(seed), None) => args.one(seed),
        (None, Some(certain)) => args.unknowns(certain),
        (None, None) => args.compare(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&why.to_string());
            ExitCode::from(2)
        }
    }
}

impl Args {
    fn engine(&self) -> Engine {
        match self.engine {
            Asked::Ours => Engine::Ours,
            Asked::Regorus => Engine::Regorus,
        }
    }

    fn compare(&self) -> io::Result<bool> {
        let started = Instant::now();
        let plan = run::Plan {
            engine: self.engine(),
            oracles: self.oracles,
            seed: self.seed,
            evaluations: self.evaluations,
            inputs: self.inputs,
            strict: self.strict,
            shrunk: self.shrink,
            tries: self.tries,
        };
        let summary = run::run(&plan, &|found| self.tell(found))?;
        summary.lost.iter().take(5).for_each(|lost| say(&format!("lost: {lost}")));
        if self.reasons {
            say(&report::reasons(&summary));
        }
        say(&report::summary(&summary, started.elapsed().as_secs_f64()));
        let problems = summary.problems();
        problems.iter().for_each(|problem| say(problem));
        Ok(problems.is_empty())
    }

    fn unknowns(&self, certain: usize) -> io::Result<bool> {
        let started = Instant::now();
        let plan = unknowns_run::Plan {
            oracles: self.oracles,
            seed: self.seed,
            certain,
            // Each is asked about with all completions.
            inputs: self.inputs.min(20),
            completions: self.completions,
            shrunk: self.shrink,
            tries: self.tries,
        };
        let tell = |found: &unknowns_run::Found| {
            say(&report::uncertain(found));
            self.keep(&report::uncertain_line(found));
        };
        let summary = unknowns_run::run(&plan, &tell)?;
        summary.lost.iter().take(5).for_each(|lost| say(&format!("lost: {lost}")));
        say(&report::unknowns(&summary, started.elapsed().as_secs_f64()));
        Ok(summary.mismatched == 0)
    }

    fn one(&self, seed: u64) -> io::Result<bool> {
        let case = generate(seed, Options { inputs: self.inputs, completions: 0, decisions: false });
        say(&report::case(&case));
        let mut oracle = Oracle::default();
        let mut compared = compare(self.engine(), &mut oracle, &case)?;
        compared.mismatches.retain(|mismatch| self.strict || !mismatch.strict);
        let fine = compared.mismatches.is_empty();
        for mismatch in compared.mismatches.into_iter().take(1) {
            let mismatch = run::smallest(self.engine(), &mut oracle, mismatch, self.tries)?;
            self.tell(&Found { seed, mismatch });
        }
        say(if fine { "no mismatch" } else { "mismatch" });
        Ok(fine)
    }

    fn one_with_unknowns(&self, seed: u64) -> io::Result<bool> {
        let options = Options { inputs: self.inputs.min(20), completions: self.completions, decisions: true };
        let case = generate(seed, options);
        let mut oracle = Oracle::default();
        let found = unknowns::check(&mut oracle, &case)?.mismatches.into_iter().next();
        say(&report::case(&case));
        let fine = found.is_none();
        if let Some(found) = found {
            let mismatch = unknowns::smallest(&mut oracle, found, self.tries)?;
            say(&report::uncertain(&unknowns_run::Found { seed, mismatch }));
        }
        say(if fine { "no mismatch" } else { "mismatch" });
        Ok(fine)
    }

    fn tell(&self, found: &Found) {
        say(&report::text(found));
        self.keep(&report::line(found));
        if let Some(folder) = &self.vectors {
            match vector::write(found, folder) {
                Ok(Some(path)) => say(&format!("written: {}", path.display())),
                Ok(None) => say("not written: a vector has no place for it"),
                Err(why) => say(&format!("not written: {why}")),
            }
        }
    }

    fn keep(&self, line: &str) {
        let Some(path) = &self.lines else { return };
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(why) = file.and_then(|mut file| writeln!(file, "{line}")) {
            say(&format!("not kept: {why}"));
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
