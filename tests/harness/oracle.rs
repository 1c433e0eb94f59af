//! A client of `tests/oracles/opa`, which answers for OPA. It knows nothing of the engine, and nothing else here.
//!
//! One question is one policy and one query, asked about any number of inputs: compiling is what costs, so ask about many.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A policy, a query and what to ask about.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Question {
    /// By file name.
    pub modules: BTreeMap<String, String>,
    /// Modules and query are Rego v0.
    #[serde(skip_serializing_if = "is_false")]
    pub v0: bool,
    /// The document `data`, as JSON; for none, there is an empty one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// `data.p.allow`, which has a value, or `x = data.p.allow; ..`, which has variables.
    pub query: String,
    /// Each as JSON text; "" is no input at all. An empty list asks once, without an input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Documents `data` to put in its place, the first for the first input and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datas: Vec<Box<RawValue>>,
    /// Errors of builtins are errors of the query.
    #[serde(skip_serializing_if = "is_false")]
    pub strict: bool,
    /// What the clock says: nanoseconds since the Unix epoch; 0 leaves the process its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub now_ns: i64,
}

/// What OPA says to a question.
pub type Reply = Result<Vec<Answer>, Failure>;

/// What the query gives for one input: its solutions, in no particular order. Each has the values of the query's variables
/// in Rego's own notation, so that sets stay sets and numbers keep their text; a query without variables has its value
/// under "". No solution is undefined.
pub type Answer = Result<Vec<BTreeMap<String, String>>, Failure>;

/// An error of OPA's: of the modules, the query or the data in a [`Reply`], of one evaluation in an [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// `rego_parse_error`, `eval_conflict_error`..; the oracle's own are `question`, `input`, `timeout` and `other`.
    pub code: String,
    /// As OPA prints it, with file and line.
    pub message: String,
}

/// A running oracle. It ends when this is dropped.
pub struct Oracle {
    process: Child,
    questions: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    waiting: bool,
}

impl Oracle {
    /// Starts the oracle that `make oracles` has built.
    ///
    /// # Errors
    /// It isn't there, in words for the line that says why a test is skipped; see [`folder`].
    pub fn start() -> Result<Self, String> {
        let program = folder()?.join("opa");
        Self::start_program(&program).map_err(|e| format!("{} does not start: {e}", program.display()))
    }

    fn start_program(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program).arg("eval").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(questions), Some(replies)) => {
                Ok(Self { process, questions: Some(questions), replies: BufReader::new(replies), waiting: false })
            }
            _ => Err(io::Error::other("no pipes")),
        }
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// The process is gone, or answers what isn't an answer: never OPA's errors, which are in the reply.
    pub fn ask(&mut self, question: &Question) -> io::Result<Reply> {
        self.send(question)?;
        self.receive()
    }

    /// Asks without waiting, so that both sides can work. One question at a time: the next is sent when the reply to this
    /// one has been received.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); or the reply to another question hasn't been received.
    pub fn send(&mut self, question: &Question) -> io::Result<()> {
        if self.waiting {
            // Both sides could be stuck in writing then.
            return Err(io::Error::other("the reply to the last question is still to be received"));
        }
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        let questions = self.questions.as_mut().ok_or_else(|| io::Error::other("ended"))?;
        questions.write_all(&line)?;
        self.waiting = true;
        Ok(())
    }

    /// Waits for the reply to what was sent.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); or nothing was sent.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let reply: WireReply = serde_json::from_str(&self.receive_line()?)?;
        Ok(match reply.error {
            Some(failure) => Err(failure),
            None => Ok(reply.results.into_iter().map(WireAnswer::into_answer).collect()),
        })
    }

    /// The reply as the oracle gives it, for those who want to know more: a [`Reply`] leaves out what was swallowed.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_line(&mut self) -> io::Result<String> {
        if !std::mem::take(&mut self.waiting) {
            return Err(io::Error::other("no question was sent"));
        }
        let mut line = String::new();
        if self.replies.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("ended: {}", self.process.wait()?)));
        }
        Ok(line)
    }
}

impl Drop for Oracle {
    /// It ends by itself when there are no more questions, but not while it works on one.
    fn drop(&mut self) {
        self.questions.take();
        if self.waiting {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The folder where `make oracles` has put the program `opa` and OPA's conformance cases, `opa-cases.jsonl`.
///
/// # Errors
/// Nothing has been built from the sources as they are now. With `CI=true` that has to fail a test, otherwise to skip it.
pub fn folder() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/oracles.sh"));
    let script = script.into_iter().find(|script| script.is_file()).ok_or("no scripts/oracles.sh")?;
    let found = Command::new(&script).arg("--find").output();
    let found = found.map_err(|e| format!("{}: {e}", script.display()))?;
    if !found.status.success() {
        return Err(String::from_utf8_lossy(&found.stderr).trim().to_owned());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&found.stdout).trim()))
}

#[derive(Deserialize)]
struct WireReply {
    error: Option<Failure>,
    #[serde(default)]
    results: Vec<WireAnswer>,
}

#[derive(Deserialize)]
struct WireAnswer {
    error: Option<Failure>,
    #[serde(default)]
    solutions: Vec<BTreeMap<String, String>>,
}

impl WireAnswer {
    fn into_answer(self) -> Answer {
        match self.error {
            Some(failure) => Err(failure),
            None => Ok(self.solutions),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}
