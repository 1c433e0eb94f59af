//! What the benchmarks share: policies with their requests, and engines whose records are shipped.
//!
//! See `README.md` beside this crate's manifest for the method.

mod case;
mod latencies;
mod peers;
mod served;

pub use self::case::{Ask, Case};
pub use self::latencies::Latencies;
pub use self::peers::{Interpreter, Rvm};
pub use self::served::{Publisher, Served, TENANT, acknowledge_all, builder};
