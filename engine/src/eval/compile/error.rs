//! Why a policy doesn't compile.

use crate::eval::syntax::ast::Location;

/// An error with OPA's code for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompileError {
    pub(crate) location: Location,
    /// OPA's (`rego_type_error` and its like), or one of ours for what we refuse.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

pub(crate) const COMPILE: &str = "rego_compile_error";
pub(crate) const TYPE: &str = "rego_type_error";
pub(crate) const UNSAFE: &str = "rego_unsafe_var_error";
pub(crate) const RECURSION: &str = "rego_recursion_error";

impl CompileError {
    pub(crate) fn new(location: Location, code: &'static str, message: impl Into<String>) -> Self {
        Self { location, code, message: message.into() }
    }

    pub(crate) fn compile(location: Location, message: impl Into<String>) -> Self {
        Self::new(location, COMPILE, message)
    }
}

impl From<crate::eval::plan::PlanError> for CompileError {
    fn from(error: crate::eval::plan::PlanError) -> Self {
        Self { location: error.location, code: error.code, message: error.message }
    }
}
