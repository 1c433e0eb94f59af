//! Deciding: a bundle made into a program, an input, a value, a verdict.
//!
//! Rego means OPA's Rego, so all of it is here: [`syntax`] reads modules, [`compile`] rewrites and checks them as OPA's
//! compiler does, [`plan`] makes a flat program of them, [`index`] finds which of a plan's definitions have to be run, and
//! [`machine`] runs those with [`builtins`] over [`value`]s. [`input`] reads what they are asked about: the whole of it, or
//! the fields that can be read. On top, [`program`] is a bundle's policy as the engine asks it, and [`verdict`] maps what it
//! says to an effect, where everything that isn't plainly an allow is a deny.

mod admission;
mod analysis;
mod builtins;
mod compile;
#[cfg(test)]
pub(crate) mod fault;
mod heads;
mod index;
mod input;
mod machine;
mod plan;
mod program;
mod syntax;
mod value;
mod vectors;
mod verdict;
#[cfg(any(test, feature = "internals"))]
mod ways;

pub use self::analysis::{Analysis, Reads, RuleTier, RuleTierName};
pub(crate) use self::input::fields::{Field, Wanted};
pub(crate) use self::input::parts::{Parts, Sources};
pub(crate) use self::input::request::Scanned;
pub(crate) use self::input::scratch::Scratch;
pub(crate) use self::input::{built, document, read_strict, request, scan};
pub(crate) use self::machine::{Buffers, emptied};
pub use self::program::RemoteData;
pub(crate) use self::program::{Entrypoint, Evaluated, Program};
pub(crate) use self::value::Value;
pub(crate) use self::verdict::{Judged, Verdicts, judge};
#[cfg(feature = "internals")]
pub(crate) use self::{input::agree, program::Evaluation};

/// Reads a document as data is read.
#[cfg(feature = "internals")]
pub(crate) fn read_data(text: &str) -> Result<Value, String> {
    value::json::read(text, value::json::DATA).map_err(|e| e.to_string())
}

/// The variables of a query, those that OPA gives values for.
#[cfg(feature = "internals")]
pub(crate) fn variables(query: &str, v0: bool) -> Result<Vec<String>, String> {
    let version = if v0 { syntax::RegoVersion::V0 } else { syntax::RegoVersion::V1 };
    let body = syntax::parse_query(0, query, version)
        .map_err(|errors| errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "))?;
    let vars = compile::walk::vars_of_body(&body, compile::walk::SAFETY);
    let named = vars.iter().filter(|var| !var.is_wildcard() && !matches!(var.as_str(), "data" | "input"));
    Ok(named.map(|var| var.as_str().to_owned()).collect())
}
