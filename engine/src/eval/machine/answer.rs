//! What an evaluation came to.

use std::borrow::Cow;
use std::fmt;

use crate::eval::builtins::Limit;
use crate::eval::syntax::ast::Location;
use crate::eval::value::Value;

/// What a query's value is, as far as it is known, and what was found on the way.
#[derive(Debug)]
pub(crate) struct Answer<'p> {
    pub(crate) value: Known<'p>,
    pub(crate) findings: Findings,
}

/// A value, or what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known<'p> {
    /// Borrowed if it is a constant of the plan, a part of the data or of the input.
    Value(Cow<'p, Value>),
    Undefined,
    /// It depends on what isn't held. If it is one of a few values, which; `undefined` if it may have none.
    Unknown {
        candidates: Option<Vec<Value>>,
        undefined: bool,
    },
    /// The evaluation raised an error, whatever isn't held.
    Halted(Halt),
    /// It was stopped.
    Stopped(Limit),
}

/// What else there is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The first error of a builtin that was taken for undefined.
    pub(crate) swallowed: Option<Swallowed>,
    /// Whether there may be one, depending on what isn't held.
    pub(crate) may_swallow: bool,
    /// Whether the evaluation may raise an error, depending on what isn't held.
    pub(crate) may_halt: bool,
    /// Which of the roots that aren't held was read first.
    pub(crate) remote: Option<usize>,
}

/// A builtin's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swallowed {
    pub(crate) location: Location,
    /// OPA's code: `eval_type_error` or `eval_builtin_error`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// An error that ends an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) location: Location,
    pub(crate) kind: HaltKind,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HaltKind {
    /// Two definitions disagree: OPA's `eval_conflict_error`.
    Conflict,
    /// OPA would have an answer, and we don't.
    Unsupported,
    /// Our own bug.
    Internal,
}

impl HaltKind {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Conflict => "eval_conflict_error",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

impl fmt::Display for Swallowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.location.row, self.message)
    }
}
