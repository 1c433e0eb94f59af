//! What crosses the boundary. The names are C's, and the comments are the header's.
//!
//! Numbers are only ever added. A number that is retired stays here as a comment.

#![expect(non_camel_case_types, reason = "one name for one thing: Rust's is C's")]

use std::ffi::c_char;

/// The version of this interface: raised whenever something is added. What is built against a lower number keeps
/// working.
pub const MG_ABI_VERSION: u32 = 1;

/// The longest input, in bytes. `mg_decide` denies a longer request with the reason `bad_input`; any other call refuses
/// a longer input with `MG_BAD_LENGTH`.
pub const MG_MAX_INPUT_BYTES: usize = 1_048_576;

/// How long a reason code may be, its NUL included.
pub const MG_REASON_BYTES: usize = 32;

/// An open edge: a policy decision point with its state. Not a pointer. 0 is never an edge.
pub type mg_edge = u64;

/// How a call ended. Not an answer: whether an action may go ahead is asked with `mg_is_allowed`, and only with that.
///
/// 1xx: the caller used this interface wrongly. 2xx: what was passed in isn't acceptable. 3xx: the machine.
/// 9xx: a bug of this library; please report it with the text of `mg_last_error`.
///
/// New numbers may be added; treat one that you don't know as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum mg_result {
    /// Done; the outputs are written.
    MG_OK = 0,

    /// A pointer is NULL that must not be.
    MG_NULL_POINTER = 100,
    /// No such edge: closed already, or never opened in this process.
    MG_BAD_HANDLE = 101,
    /// A length that no input can have.
    MG_BAD_LENGTH = 102,
    /// `struct_size` isn't the size of the struct: begin with `MG_DECISION_INIT`.
    MG_BAD_STRUCT = 103,
    /// A flag that this version doesn't know.
    MG_BAD_FLAGS = 104,
    /// The caller's buffer is too short; the length that it needs is written.
    MG_SHORT_BUFFER = 105,
    /// 4096 edges are open; close some.
    MG_TOO_MANY_EDGES = 106,

    /// The configuration can't work; the text says what to change.
    MG_BAD_CONFIG = 200,
    /// An input isn't UTF-8.
    MG_BAD_UTF8 = 201,
    /// A bundle isn't acceptable; the text says at which stage and why.
    MG_BUNDLE_REFUSED = 202,
    /// A token or a key isn't acceptable.
    MG_BAD_TOKEN = 203,
    /// An evaluation raised an error, its input can't be read, or no valid bundle is held.
    MG_EVALUATION = 204,

    /// The state can't be opened, read or written.
    MG_STORE = 300,
    /// A file that the configuration names can't be read or written.
    MG_IO = 301,
    /// Threads can't be started.
    MG_THREADS = 302,
    /// It didn't happen in the time allowed.
    MG_TIMEOUT = 303,

    /// This library contradicted itself.
    MG_INTERNAL = 900,
    /// This library panicked; the next call works.
    MG_PANIC = 901,
}

/// What a decision says. For reading and logging: to enforce, ask `mg_is_allowed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum mg_effect {
    /// Nothing was decided: deny.
    MG_EFFECT_UNSET = 0,
    /// Go ahead.
    MG_EFFECT_ALLOW = 1,
    /// Don't.
    MG_EFFECT_DENY = 2,
    /// Not without a person's consent.
    MG_EFFECT_REQUIRE_APPROVAL = 3,
    // 4 is the wire's ERROR. An edge gives its host a deny instead.
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum mg_source {
    /// There is no answer.
    MG_SOURCE_UNSET = 0,
    /// Evaluated here.
    MG_SOURCE_LOCAL = 1,
    /// Answered by the remote PDP.
    MG_SOURCE_REMOTE = 2,
    /// Nobody could answer; the failure mode did.
    MG_SOURCE_FAILURE_MODE = 3,
}

/// Bits of `mg_decision.flags`. A bit that you don't know means nothing to you.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum mg_flag {
    /// The answer would be the same whatever the data not held here; a remote answer is certain.
    MG_FLAG_CERTAIN = 1,
    /// Its record is in the journal's queue. Missing only in a forked child, or when the decision is a deny because
    /// recording failed.
    MG_FLAG_RECORDED = 2,
    /// Made without reaching the control plane.
    MG_FLAG_OFFLINE = 4,
    /// The answer wasn't certain here, so the remote PDP was to be asked; `source` says whether it answered.
    MG_FLAG_DEFERRED = 8,
    /// The policy has no value for this input.
    MG_FLAG_UNDEFINED = 16,
    /// `key_epoch`, `version` and `manifest` say which bundle decided. Missing when no signed bundle is held.
    MG_FLAG_REVISION = 32,
    /// The control plane has confirmed that bundle; `policy_age_ms` says how long ago.
    MG_FLAG_CONFIRMED = 64,
    /// The bundle is in mode `audit`: `would_be_effect` says what would have been enforced.
    MG_FLAG_AUDIT_MODE = 128,
    /// The policy raises an alert; the decision's JSON says which.
    MG_FLAG_ALERT = 256,
}

/// Bits of the parameter `flags` of `mg_evaluate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum mg_evaluate_flag {
    /// An error inside a builtin function fails the evaluation, instead of making the expression undefined as in OPA.
    MG_EVALUATE_STRICT = 1,
}

/// The answer to one request. Begin with `MG_DECISION_INIT`; the same struct may be used again and again.
///
/// When a call fails, everything but `struct_size` is 0, and `effect` is `MG_EFFECT_DENY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct mg_decision {
    /// The size of this struct as the caller knows it, in bytes; set by the caller, never changed here.
    pub struct_size: u32,
    /// A number of `mg_effect`.
    pub effect: u32,
    /// Bits of `mg_flag`.
    pub flags: u32,
    /// A number of `mg_source`.
    pub source: u32,
    /// In mode `audit`, the number of `mg_effect` that would have been enforced; else 0.
    pub would_be_effect: u32,
    /// How many obligations come with it; the decision's JSON says which. On anything but a deny, the configuration
    /// registered all of them.
    pub obligations: u32,
    /// How long it took, in nanoseconds.
    pub latency_ns: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How long ago the control plane last confirmed this bundle, in milliseconds; see `MG_FLAG_CONFIRMED`.
    pub policy_age_ms: u64,
    /// The bundle that decided, first part of its order; see `MG_FLAG_REVISION`.
    pub key_epoch: u64,
    /// The bundle that decided, second part of its order.
    pub version: u64,
    /// The bundle that decided: BLAKE3-256 of its signed manifest.
    pub manifest: [u8; 32],
    /// This decision's name, also in the audit record; its text form is these bytes as 32 hex digits.
    pub decision_id: [u8; 16],
    /// The code of the first reason, e.g. `policy` or `bad_input`, with a NUL at its end. Empty when the call failed.
    pub reason: [c_char; MG_REASON_BYTES],
}

/// Text from this library, to be given back with `mg_buffer_free`. Begin with `MG_BUFFER_INIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct mg_buffer {
    /// UTF-8, with a NUL after the end; NULL when there is nothing.
    pub data: *mut c_char,
    /// In bytes, without the NUL.
    pub len: usize,
    /// Not for callers. It tells a buffer of this library from anything else.
    pub seal: u64,
}
