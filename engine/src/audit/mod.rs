//! The record of every decision.
//!
//! ```text
//! each deciding thread ── its ring ──▶ one writer thread: mask, number, append ── Journal (store)
//! uplink ── next_batch ──▶ control plane ── ack ──▶ trim
//! ```
//!
//! Each opening of an engine starts a *chain*, named by a random id; a record is named by its chain and its number in it,
//! so that a batch sent twice is kept once. What needs masking exists in memory only: a record on disk holds the fields
//! that the bundle's manifest lists as plain, and a digest of the rest.

mod journal;
mod local;
mod question;
mod record;
mod recorder;
mod ring;
mod shared;
mod writer;

pub use self::journal::{AuditBatch, ChainId, Journal, Progress};
pub(crate) use self::question::Question;
pub(crate) use self::record::{Asked, PlainId};
pub use self::record::{Event, Record};
pub use self::recorder::JournalLimit;
pub(crate) use self::recorder::Recorder;
pub(crate) use self::shared::NotRecorded;
pub(crate) use self::writer::Sink;
