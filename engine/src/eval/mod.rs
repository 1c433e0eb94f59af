//! Deciding: a bundle made into a program, an input, a value, a verdict.
//!
//! Rego means OPA's Rego, so all of it is here: [`syntax`] reads modules, [`compile`] rewrites and checks them as OPA's
//! compiler does, [`plan`] makes a flat program of them, [`machine`] runs it with [`builtins`] over [`value`]s. Each of
//! these knows only those behind it. On top, [`program`] is a bundle's policy as the engine asks it, [`input`] makes the
//! document that it is asked about, and [`verdict`] maps what it says to an effect, where everything that isn't plainly an
//! allow is a deny.

mod admission;
mod builtins;
mod compile;
mod input;
mod machine;
mod plan;
mod program;
mod syntax;
mod value;
mod vectors;
mod verdict;

pub(crate) use self::input::{document, read_strict};
pub use self::program::RemoteData;
pub(crate) use self::program::{Evaluated, Program};
pub(crate) use self::verdict::{Judged, judge, verdict};
