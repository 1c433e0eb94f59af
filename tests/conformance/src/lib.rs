//! OPA's own conformance cases through the engine, and through others beside it.
//!
//! [`case`] reads the cases, [`ours`] and [`peer`] answer them, [`verdict`] judges the answers as OPA's tests do, [`table`]
//! counts, and [`refused`] holds what the engine refuses against the list of what it may refuse.

#![allow(missing_docs, reason = "names say it")]

pub mod case;
pub mod json;
#[path = "../../harness/oracle.rs"]
pub mod oracle;
pub mod ours;
pub mod peer;
pub mod refused;
pub mod run;
pub mod table;
pub mod verdict;

/// A line for people about a test that can't run here; with `CI=true`, where nothing may be left out unseen, a failure.
///
/// # Panics
/// With `CI=true`.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what} can't be left out in CI: {why}");
    println!("skipped: {what} ({why})");
}
