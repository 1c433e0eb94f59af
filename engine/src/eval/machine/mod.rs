//! Runs a plan: a loop over its operations, with a stack of called rules of its own.
//!
//! Nothing here recurses on the host's stack, and every operation is paid for from a [`Budget`].
//!
//! # What isn't known
//!
//! A document under a root that isn't held has a value nobody here knows, or none. Evaluation goes on with it
//! (`rego-semantics`, "Unknowns, precisely"): a slot may hold [`Slot::Unknown`], and *doubt* says under which conditions
//! something holds:
//!
//! - `maybe`: whether this solution exists depends on what isn't known. A statement about an unknown sets it; the next turn
//!   of a loop restores what it was when the loop began.
//! - `within`: whether this place is reached does, though what holds here may not: the body around this one is in doubt, or
//!   something before may have ended the search (a frame's `may_end`).
//! - a frame's `doubted`: so is the call that led here.
//! - `many`: this turn of a loop stands for any number of turns.
//!
//! A solution without doubt exists whatever the unknowns are. [`gather`] keeps those with and without apart, and its
//! results say what is certain. An error in doubt doesn't end the evaluation: it leaves the mark
//! [`Findings::may_halt`], and what it would have ended is unknown.

mod answer;
mod buffers;
mod context;
mod document;
mod gather;
mod guard;
mod run;
mod select;
mod slot;
mod step;

pub(crate) use self::answer::{Answer, Findings, Halt, HaltKind, Known, Swallowed};
pub(crate) use self::buffers::{Buffers, emptied};
pub(crate) use self::run::{Entry, Query};
