//! OPA's answers, from `tests/oracles/opa`.

use std::io;

use serde::Deserialize;

use crate::client;
pub use crate::client::{Failure, Question};
use crate::outcome::{Outcome, Outcomes};

/// What became of a question.
#[derive(Debug)]
pub enum Asked {
    /// The policy is none.
    Refused(Failure),
    /// What came of each input.
    Answered(Vec<Outcomes>),
    /// OPA crashed.
    Lost(String),
}

/// The program, started when it is needed.
#[derive(Default)]
pub struct Oracle(Option<client::Oracle>);

#[derive(Deserialize)]
struct Reply {
    error: Option<Failure>,
    #[serde(default)]
    results: Vec<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    error: Option<Failure>,
    swallowed: Option<Failure>,
    #[serde(default)]
    solutions: Vec<std::collections::BTreeMap<String, String>>,
}

impl Oracle {
    /// Ends the process; the next question starts another, which remembers nothing.
    pub fn restart(&mut self) {
        self.0 = None;
    }

    /// Asks one question.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn ask(&mut self, question: &Question) -> io::Result<Asked> {
        self.ask_during(question, || ()).map(|(asked, ())| asked)
    }

    /// Asks one question, and does something else meanwhile.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn ask_during<T>(&mut self, question: &Question, meanwhile: impl FnOnce() -> T) -> io::Result<(Asked, T)> {
        let oracle = match &mut self.0 {
            Some(oracle) => oracle,
            none => none.insert(client::Oracle::start().map_err(io::Error::other)?),
        };
        let sent = oracle.send(question);
        let done = meanwhile();
        let reply =
            sent.and_then(|()| oracle.receive_line()).and_then(|line| Ok(serde_json::from_str::<Reply>(&line)?));
        let asked = match reply {
            Ok(Reply { error: Some(failure), .. }) => Asked::Refused(failure),
            Ok(Reply { results, .. }) => Asked::Answered(results.into_iter().map(outcomes).collect()),
            Err(why) => {
                self.restart();
                Asked::Lost(why.to_string())
            }
        };
        Ok((asked, done))
    }
}

fn outcomes(answered: Answered) -> Outcomes {
    let error = |failure: Failure| Outcome::Error { code: failure.code, message: failure.message };
    let value = answered.solutions.into_iter().next().and_then(|mut solution| solution.remove(""));
    let lenient = match (answered.error, value) {
        (Some(failure), _) => error(failure),
        (None, Some(value)) => Outcome::Value(value),
        (None, None) => Outcome::Undefined,
    };
    Outcomes { strict: answered.swallowed.map_or_else(|| lenient.clone(), error), lenient }
}
