//! The record of every decision.
//!
//! ```text
//! deciding thread ── Recorder (bounded queue) ──▶ one writer thread: mask, number, append ── Journal (store)
//! uplink ── next_batch ──▶ control plane ── ack ──▶ trim
//! ```
//!
//! Each opening of an engine starts a *chain*, named by a random id; a record is named by its chain and its number in it,
//! so that a batch sent twice is kept once. What needs masking exists in memory only: a record on disk holds the fields
//! that the bundle's manifest lists as plain, and a digest of the rest.

mod journal;
mod record;
mod recorder;

pub use self::journal::{AuditBatch, ChainId, Journal, Progress};
pub(crate) use self::record::Asked;
pub use self::record::{Event, Record};
pub use self::recorder::JournalLimit;
pub(crate) use self::recorder::{NotRecorded, Recorder, Recording};
