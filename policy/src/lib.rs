//! For those who write policies. Never linked into an edge: it depends on the engine, and the engine doesn't know it.
//!
//! So far it tells two bundles apart, for whoever is about to publish one in place of the other. Readers of YAML dialects,
//! the lifter, lint and tests belong here too.

mod diff;

pub use self::diff::{Change, ChangeKind, diff};
