//! Built-in functions, equal to OPA's in value and in what they refuse.
//!
//! [`table`] lists every builtin OPA has, and says of each whether it is here or refused, and why. A function gets its
//! operands, all of them defined, and gives a value or a [`Failure`]. Each is bounded: whatever takes more than a step for
//! each byte it reads charges the [`Budget`] first.

mod aggregates;
mod arrays;
pub(crate) mod budget;
mod compare;
mod crypto;
mod documents;
pub(crate) mod encoding;
pub(crate) mod glob;
mod graph;
mod jwt;
mod net;
mod numbers;
mod objects;
pub(crate) mod operand;
mod order;
pub(crate) mod patterns;
mod rand;
mod re2;
mod regex;
mod schema;
mod semver;
mod sets;
mod sprintf;
mod strings;
pub(crate) mod table;
mod template;
mod time;
mod types;
mod units;
pub(crate) mod uri;
mod uuid;
mod x509;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use self::budget::{Budget, Limit};
pub(crate) use self::graph::walk;
use self::patterns::Patterns;
use super::value::Value;

/// One builtin's implementation.
pub(crate) type Function = fn(&mut Context<'_>, &[&Value]) -> Result<Value, Failure>;

/// What a builtin may use besides its operands.
pub(crate) struct Context<'a> {
    /// What the evaluation may still spend.
    pub(crate) budget: &'a mut Budget,
    /// The wall clock when the evaluation began, in nanoseconds since 1970: `time.now_ns` doesn't move within one.
    pub(crate) now_ns: i64,
    /// Results that must not change within an evaluation, by function and operands (`rand.intn`, `uuid.rfc4122`).
    pub(crate) memo: &'a mut HashMap<(&'static str, Value), Value>,
    /// The program's compiled patterns.
    pub(crate) patterns: &'a Patterns,
}

/// The implementation of a builtin, if it has one here.
pub(crate) fn function(name: &str) -> Option<Function> {
    static ALL: LazyLock<HashMap<&'static str, Function>> = LazyLock::new(|| {
        [
            aggregates::FUNCTIONS,
            arrays::FUNCTIONS,
            compare::FUNCTIONS,
            crypto::FUNCTIONS,
            documents::FUNCTIONS,
            encoding::FUNCTIONS,
            glob::FUNCTIONS,
            graph::FUNCTIONS,
            jwt::FUNCTIONS,
            net::FUNCTIONS,
            numbers::FUNCTIONS,
            objects::FUNCTIONS,
            rand::FUNCTIONS,
            regex::FUNCTIONS,
            schema::FUNCTIONS,
            semver::FUNCTIONS,
            sets::FUNCTIONS,
            sprintf::FUNCTIONS,
            strings::FUNCTIONS,
            template::FUNCTIONS,
            time::FUNCTIONS,
            types::FUNCTIONS,
            units::FUNCTIONS,
            uri::FUNCTIONS,
            uuid::FUNCTIONS,
            x509::FUNCTIONS,
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect()
    });
    ALL.get(name).copied()
}

/// Why a builtin has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It has none for these operands; the statement is undefined, and that is no error.
    Undefined,
    /// An operand has the wrong type: OPA's `eval_type_error`. Undefined unless errors are strict.
    Operand(String),
    /// Anything else it can't do: OPA's `eval_builtin_error`. Undefined unless errors are strict.
    Error(String),
    /// OPA has an answer that can't be given here. The evaluation ends with that error.
    Unsupported(String),
    /// The evaluation has to stop.
    Limit(Limit),
}

impl Failure {
    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }
}

impl From<Limit> for Failure {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

/// A number too large to hold isn't an error in OPA, so it stops the evaluation instead of being undefined.
impl From<super::value::number::NumberError> for Failure {
    fn from(_: super::value::number::NumberError) -> Self {
        Self::Limit(Limit::Size)
    }
}
