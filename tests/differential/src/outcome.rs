//! What an evaluation came to.

use std::fmt;

/// What one query gave for one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A value, in Rego's notation.
    Value(String),
    /// No value.
    Undefined,
    /// An error with its code.
    Error {
        /// OPA's code for it, or the engine's own.
        code: String,
        /// For people; never compared.
        message: String,
    },
}

/// One input's outcomes.
#[derive(Debug, Clone)]
pub struct Outcomes {
    /// As OPA answers by default.
    pub lenient: Outcome,
    /// With errors of builtins as errors.
    pub strict: Outcome,
}

/// The code of conflicting definitions.
pub const CONFLICT: &str = "eval_conflict_error";

impl Outcome {
    /// An error.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::Error { code: code.to_owned(), message: message.into() }
    }

    /// Whether it is an error of this code.
    pub fn is_error(&self, code: &str) -> bool {
        matches!(self, Self::Error { code: own, .. } if own == code)
    }

    /// Whether both are the same answer.
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Error { code, .. }, Self::Error { code: other, .. }) => code == other,
            _ => self == other,
        }
    }

    /// Which kind of answer it is; errors by code.
    pub fn kind(&self) -> &str {
        match self {
            Self::Value(value) if value == "true" || value == "false" => value,
            Self::Value(_) => "value",
            Self::Undefined => "undefined",
            Self::Error { code, .. } => code,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(value),
            Self::Undefined => f.write_str("undefined"),
            Self::Error { code, message } => write!(f, "{code}: {message}"),
        }
    }
}
