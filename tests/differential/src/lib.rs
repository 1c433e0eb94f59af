//! Generated policies, asked of this engine and of OPA's own library: every answer must be the same.
//!
//! [`generate`] makes a [`case`](mod@case): a policy, data, and inputs bent toward the policy's constants. [`run`] asks both
//! and [`compare`]s; what differs is made as small as it gets by [`shrink`] and written down by [`report`]. [`unknowns`]
//! does the same for data that isn't held: what the engine calls certain must hold for whatever that data turns out to be.
//! [`fuzz`] is what takes arbitrary bytes. See `README.md` for the commands.

pub mod case;
#[path = "../../harness/oracle.rs"]
pub mod client;
pub mod compare;
pub mod engines;
pub mod fuzz;
pub mod generate;
pub mod notation;
pub mod oracle;
pub mod outcome;
pub mod pool;
pub mod regorus;
pub mod report;
pub mod rng;
pub mod run;
pub mod shape;
pub mod shrink;
pub mod tree;
pub mod unknowns;
pub mod unknowns_run;
pub mod vector;
pub mod words;

/// A line for people about a test that can't run here; with `CI=true`, where nothing may be left out unseen, a failure.
///
/// # Panics
/// With `CI=true`.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what} can't be left out in CI: {why}");
    println!("skipped: {what} ({why})");
}
