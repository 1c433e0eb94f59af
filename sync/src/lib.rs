//! MeshGuard's network edge: an engine that keeps itself current, asks where it isn't sure, and ships its records.
//!
//! ```
//! use meshguard_sync::engine::Request;
//! use meshguard_sync::{Edge, EdgeConfig};
//!
//! // With a gateway: `.gateway("https://pdp.example.com").agent_token(…)`. Without one it decides from what it holds.
//! let edge = Edge::open(EdgeConfig::new("acme"))?;
//! let decision = edge.decide(&Request::new("agent-7", "shell.exec"));
//! assert!(!decision.is_allowed(), "nothing is held yet, so everything is denied");
//! # Ok::<(), meshguard_sync::Error>(())
//! ```
//!
//! # How it works
//!
//! - Opening and deciding never wait for the network. The one exception is an answer that isn't certain: then the remote
//!   PDP is asked, within a budget (50 ms), and if it gives no answer the [`FailureMode`] decides.
//! - One stream of changes keeps the engine current. The signed manifest is checked before any body is taken in; trouble on
//!   the way never lowers what serves.
//! - Records are shipped at least once, in order, and trimmed when acknowledged.
//! - Without a gateway no thread is started.
//!
//! # Threads and forks
//!
//! An edge with a gateway has a tokio runtime of its own, with two threads. It may be used and dropped on any thread, a
//! worker of the host's own runtime included; there, an uncertain decision blocks the worker for at most its budget. In a
//! process forked after opening, an edge denies; open another one there.

mod backoff;
mod breaker;
mod client;
mod config;
mod defer;
mod edge;
mod error;
mod failure;
mod fetch;
mod report;
mod runtime;
mod shared;
mod staging;
mod status;
mod supervisor;
#[cfg(test)]
mod testing;
mod uplink;
mod watch;
mod wire;

pub use meshguard_engine as engine;

pub use self::client::system_certificates;
pub use self::config::{EdgeConfig, FailureMode, Reconnect};
pub use self::edge::Edge;
pub use self::error::Error;
pub use self::status::{AppliedOutcome, Deferred, EdgeStatus, SyncStatus};

/// README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
