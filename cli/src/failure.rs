//! How a command fails: a text that says what to do, and an exit code that a script can act on.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as published. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    General = 1,
    Arguments = 2,
    Authentication = 3,
    Denied = 4,
    Network = 5,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    text: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl fmt::Display) -> Self {
        Self { kind, text: text.to_string() }
    }

    pub(crate) fn general(text: impl fmt::Display) -> Self {
        Self::new(Kind::General, text)
    }

    pub(crate) fn arguments(text: impl fmt::Display) -> Self {
        Self::new(Kind::Arguments, text)
    }

    /// Prints it to standard error.
    pub(crate) fn print(&self, json: bool) {
        if json {
            eprintln!("{}", serde_json::json!({ "error": { "code": self.kind as u8, "message": self.text } }));
        } else {
            eprintln!("meshguard: {}", self.text);
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<meshguard_engine::Error> for Failure {
    fn from(error: meshguard_engine::Error) -> Self {
        let kind = match &error {
            meshguard_engine::Error::Refused(_) => Kind::Denied,
            meshguard_engine::Error::Key(_) | meshguard_engine::Error::Token(_) => Kind::Authentication,
            meshguard_engine::Error::Config(_) => Kind::Arguments,
            _ => Kind::General,
        };
        Self::new(kind, error)
    }
}

impl From<meshguard_engine::Refusal> for Failure {
    fn from(refusal: meshguard_engine::Refusal) -> Self {
        Self::new(Kind::Denied, refusal)
    }
}

impl From<meshguard_engine::token::TokenError> for Failure {
    fn from(error: meshguard_engine::token::TokenError) -> Self {
        Self::new(Kind::Authentication, error)
    }
}

impl From<meshguard_sync::Error> for Failure {
    fn from(error: meshguard_sync::Error) -> Self {
        match error {
            meshguard_sync::Error::Engine(error) => error.into(),
            meshguard_sync::Error::Config(text) if text.starts_with("`agent_token`") => {
                Self::new(Kind::Authentication, text)
            }
            meshguard_sync::Error::Config(_) => Self::arguments(error),
            _ => Self::general(error),
        }
    }
}

impl From<meshguard_pdp::Error> for Failure {
    fn from(error: meshguard_pdp::Error) -> Self {
        Self::general(error)
    }
}

impl From<meshguard_engine::KeyError> for Failure {
    fn from(error: meshguard_engine::KeyError) -> Self {
        Self::new(Kind::Authentication, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::general(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::general(error)
    }
}
