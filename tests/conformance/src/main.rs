//! `make conformance`: all cases through ours and the engines beside it, as a table. Fails as the test does: if an answer of
//! ours is wrong, or if what is refused isn't what `refused.txt` says.

use std::process::ExitCode;

use meshguard_conformance::case::Case;
use meshguard_conformance::peer::Peer;
use meshguard_conformance::table::{Column, render};
use meshguard_conformance::verdict::Verdict;
use meshguard_conformance::{refused, run};

const USAGE: &str = "\
usage: conformance [--regorus PROGRAM] [--rego-cpp PYTHON] [--list] [--others]
  --regorus PROGRAM   tests/oracles/regorus, built: run its interpreter and its virtual machine as well
  --rego-cpp PYTHON   a Python that has the package in tests/oracles/rego-cpp/requirements.txt: run that as well
  --list              print what ours refuses as lines for refused.txt, instead of the table
  --others            print which cases the other engines refuse or answer wrongly";

/// What the numbers of the others don't say.
const NOTES: &str = "\
An error counts as refused where it came before the evaluation, as far as an engine tells. regorus has none of OPA's error
codes, so any error passes where one is expected; its virtual machine runs rules alone, so queries become rules, as for ours.
rego-cpp reads Rego v0 as v1, and gives no value for a builtin that it doesn't have.";

#[derive(Default)]
struct Options {
    peers: Vec<Peer>,
    list: bool,
    others: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => return failed(&[problem, USAGE.to_owned()]),
    };
    let cases = match Case::all() {
        Ok(cases) => cases,
        Err(why) => return failed(&[why]),
    };
    if options.list {
        print_refused(&run::ours(&cases));
        return ExitCode::SUCCESS;
    }
    let columns = match columns(&cases, &options.peers) {
        Ok(columns) => columns,
        Err(why) => return failed(&[why]),
    };
    print!("{}", render(&columns));
    let Some((ours, others)) = columns.split_first() else { return ExitCode::FAILURE };
    if !others.is_empty() {
        println!("\n{NOTES}");
    }
    if options.others {
        others.iter().for_each(print_failures);
    }
    match refused::read(refused::LIST).map(|refused| refused::problems(&ours.results, &refused)) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) | Err(problems) => failed(&problems),
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--regorus" => {
                let program = value()?;
                for (name, engine) in [("regorus", "interpreter"), ("regorus RVM", "rvm")] {
                    options.peers.push(Peer { name, command: vec![program.clone(), engine.to_owned()] });
                }
            }
            "--rego-cpp" => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../oracles/rego-cpp/oracle.py");
                options.peers.push(Peer { name: "rego-cpp", command: vec![value()?, script.to_owned()] });
            }
            "--list" => options.list = true,
            "--others" => options.others = true,
            other => return Err(format!("{other}?")),
        }
    }
    Ok(options)
}

fn columns<'a>(cases: &'a [Case], peers: &'a [Peer]) -> Result<Vec<Column<'a>>, String> {
    std::thread::scope(|scope| {
        let peers: Vec<_> = peers.iter().map(|peer| (peer, scope.spawn(|| peer.run(cases)))).collect();
        let mut columns = vec![Column { name: "meshguard", results: run::ours(cases) }];
        for (peer, running) in peers {
            let results = running.join().map_err(|_| format!("{}: panicked", peer.name))?;
            let results = results.map_err(|e| format!("{} ({}): {e}", peer.name, peer.command.join(" ")))?;
            columns.push(Column { name: peer.name, results });
        }
        Ok(columns)
    })
}

fn print_refused(results: &[(&Case, Verdict)]) {
    let lines = results.iter().filter_map(|(case, verdict)| match verdict {
        Verdict::Refused { code, message } => Some(refused::line(case, code, message)),
        _ => None,
    });
    let mut lines: Vec<_> = lines.collect();
    lines.dedup();
    lines.iter().for_each(|line| println!("{line}"));
}

fn print_failures(column: &Column<'_>) {
    for (case, verdict) in &column.results {
        let what = match verdict {
            Verdict::Passed => continue,
            Verdict::Refused { code, message } => format!("refused: {code}: {message}"),
            Verdict::Wrong(what) => format!("wrong: {what}"),
        };
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("{}: {} {:?}: {what}", column.name, case.topic(), case.case.note);
    }
}

fn failed(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("conformance: {problem}");
    }
    ExitCode::FAILURE
}
