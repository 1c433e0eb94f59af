//! Other engines, each in a process of its own, for they may crash or never end: `tests/oracles/regorus` and `rego-cpp`.
//! A process gets a case a line, with the variables of its query, and writes what it came to, an [`Observed`] a line.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use meshguard_engine::internals::variables;
use serde::Serialize;

use crate::case::Case;
use crate::verdict::{Observed, Verdict, judge};

/// How long an engine may take for one case.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine beside ours.
pub struct Peer {
    /// As the table calls it.
    pub name: &'static str,
    /// The program and its arguments.
    pub command: Vec<String>,
}

#[derive(Serialize)]
struct Question<'a> {
    variables: Vec<String>,
    case: &'a Case,
}

struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Peer {
    /// What the engine makes of each case, in the order of the cases.
    ///
    /// # Errors
    /// Its process can't be started.
    pub fn run<'a>(&self, cases: &'a [Case]) -> io::Result<Vec<(&'a Case, Verdict)>> {
        let mut process = None;
        let mut results = vec![];
        for case in cases {
            let mut running = match process.take() {
                Some(running) => running,
                None => self.start()?,
            };
            let verdict = match running.ask(case) {
                Ok(observed) => {
                    process = Some(running);
                    judge(case, observed)
                }
                // Over with this one; the next case gets another.
                Err(e) => {
                    let _ = running.child.kill();
                    let ended = running.child.wait()?;
                    Verdict::Wrong(format!("{e}; the process ended: {ended}"))
                }
            };
            results.push((case, verdict));
        }
        if let Some(Process { mut child, questions, .. }) = process {
            drop(questions);
            child.wait()?;
        }
        Ok(results)
    }

    fn start(&self) -> io::Result<Process> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What they print is about policies, and of no use here.
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(questions), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process { child, questions, answers })
    }
}

impl Process {
    fn ask(&mut self, case: &Case) -> io::Result<Observed> {
        let question = Question { variables: variables(&case.case.query, false).unwrap_or_default(), case };
        let mut line = serde_json::to_vec(&question)?;
        line.push(b'\n');
        self.questions.write_all(&line)?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => Ok(serde_json::from_str(&line?)?),
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other(format!("no answer after {PATIENCE:?}"))),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("no answer")),
        }
    }
}
