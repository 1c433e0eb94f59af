//! The functions, in the order in which a host meets them. The comments are the header's.
//!
//! Each is a [`guard`] around: outputs cleared, then inputs checked, then the work, then outputs written.

#![expect(
    clippy::missing_safety_doc,
    reason = "README.md states what a caller owes, once for all functions: pointers that are valid for the length that \
              goes with them, and memory that nobody else changes during the call"
)]

use std::ffi::{c_char, c_int};
use std::ptr;
use std::time::Duration;

use meshguard_engine::Decision;
use meshguard_engine::bundle::BuiltinErrors;
use meshguard_sync::{Edge, EdgeConfig};

use crate::guard::{Failure, guard, guard_or, last_error};
use crate::pointers::{DecisionOut, Out, bytes, text};
use crate::table::Table;
use crate::types::{MG_ABI_VERSION, mg_buffer, mg_decision, mg_edge, mg_effect, mg_evaluate_flag, mg_result};
use crate::{answer, buffer};

static EDGES: Table<Edge> = Table::new();

/// The version of the interface that the library offers. Don't go on if it is lower than `MG_ABI_VERSION`, which is
/// what your program was compiled for.
#[unsafe(no_mangle)]
pub extern "C" fn mg_abi_version() -> u32 {
    guard_or(0, || MG_ABI_VERSION)
}

/// The library's version, e.g. `0.1.0`. Static: never freed.
#[unsafe(no_mangle)]
pub extern "C" fn mg_version() -> *const c_char {
    guard_or(ptr::null(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}

/// Opens an edge. Reads the state and the bundle that `config` names; never waits for the network.
///
/// `config` is one JSON object:
///
/// | field                    | type               | unless said                                            |
/// |--------------------------|--------------------|--------------------------------------------------------|
/// | `tenant`                 | text               | required                                               |
/// | `scope`                  | text               | `default`                                              |
/// | `gateway`                | URL                | none: decide with what is held here, start no network  |
/// | `agent_token`            | text, secret       | none                                                   |
/// | `agent_id`               | text               | the token's subject                                    |
/// | `state_dir`              | path               | kept in memory, forgotten at the end                   |
/// | `bundle_path`            | path               | none; a signed bundle to serve if nothing newer is held|
/// | `trusted_keys`           | texts, PEM         | none: no bundle is acceptable                          |
/// | `identity_keys`          | texts, PEM         | none: the token's claims aren't used here              |
/// | `ca_pem`                 | text, PEM          | the system's certificates                              |
/// | `allow_plaintext`        | boolean            | `false`                                                |
/// | `failure_mode`           | `closed` or `open` | `closed`; `open` needs a `state_dir`                   |
/// | `fail_open_hours`        | number             | 24                                                     |
/// | `defer_timeout_ms`       | number             | 50                                                     |
/// | `obligations`            | texts              | none: a decision that carries one is a deny            |
/// | `max_pending_records`    | number             | a million                                              |
/// | `heartbeat_interval_ms`  | number             | what the gateway announces                             |
/// | `reconnect_cap_ms`       | number             | 30000                                                  |
/// | `reconnect_first_ms`     | number             | 5000                                                   |
/// | `audit_interval_ms`      | number             | 1000                                                   |
/// | `report_interval_ms`     | number             | 60000                                                  |
///
/// An unknown field is refused, by name. An edge that holds no bundle opens, and denies everything; a `bundle_path`
/// whose bundle isn't acceptable is a failure.
///
/// Writes the edge's handle, to be given to `mg_close` once; 0 on failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_open(config: *const c_char, config_len: usize, edge: *mut mg_edge) -> mg_result {
    guard(|| {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let out = unsafe { Out::clear("edge", edge, 0) }?;
        // SAFETY: the caller of an export promises that `config_len` bytes can be read and don't change during the
        // call.
        let config = unsafe { text("config", config, config_len) }?;
        let opened = Edge::open(EdgeConfig::from_json(config.as_bytes())?)?;
        out.put(EDGES.insert(opened)?);
        Ok(())
    })
}

/// Decides upon a request, and records the decision.
///
/// `request` is one JSON object, the contract's `PolicyRequest`, for example
/// `{"actor":{"id":"agent-7"},"action":"files.read","resource":"file:/srv/a","context":{"bytes":100}}`. Hostile input
/// is no failure: a request that can't be read is `MG_OK` and a recorded deny with the reason `bad_input`.
///
/// Takes microseconds if the answer is certain here; otherwise, with a gateway, up to `defer_timeout_ms`.
/// If you registered obligations, use `mg_decide_json`: it also says what they are.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_decide(
    edge: mg_edge,
    request: *const c_char,
    request_len: usize,
    decision: *mut mg_decision,
) -> mg_result {
    guard(|| {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let out = unsafe { DecisionOut::deny(decision) }?;
        // SAFETY: the caller of an export promises that `request_len` bytes can be read and don't change during the
        // call.
        let decided = unsafe { decide(edge, request, request_len) }?;
        out.put(answer::decision(&decided));
        Ok(())
    })
}

/// As `mg_decide`, and also writes the whole decision as JSON: all reasons with their words, obligations, who may
/// approve. It is the same decision, recorded once.
///
/// Writes a buffer that the caller frees with `mg_buffer_free`; nothing on failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_decide_json(
    edge: mg_edge,
    request: *const c_char,
    request_len: usize,
    decision: *mut mg_decision,
    json: *mut mg_buffer,
) -> mg_result {
    guard(|| {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let (out, json) = unsafe { (DecisionOut::deny(decision), Out::clear("json", json, buffer::EMPTY)) };
        let (out, json) = (out?, json?);
        // SAFETY: the caller of an export promises that `request_len` bytes can be read and don't change during the
        // call.
        let decided = unsafe { decide(edge, request, request_len) }?;
        let text = answer::json(&decided)?;
        json.put(buffer::give(text));
        out.put(answer::decision(&decided));
        Ok(())
    })
}

/// Whether the action may go ahead: 1 or 0. The one predicate; NULL is 0, and so is everything but an allow.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_is_allowed(decision: *const mg_decision) -> c_int {
    guard_or(0, || {
        if decision.is_null() {
            return 0;
        }
        // SAFETY: not NULL, and the caller of an export promises that an `mg_decision` can be read. Only its number
        // is: any bits are a number, and it need not be aligned.
        let effect = unsafe { (&raw const (*decision).effect).read_unaligned() };
        c_int::from(effect == mg_effect::MG_EFFECT_ALLOW as u32)
    })
}

/// Evaluates a rule by path, e.g. `data.meshguard.decision`, over any JSON document as `input`, as OPA would. For hosts
/// that bring their own input. It isn't a decision: it isn't recorded, nor ever put to the remote PDP.
///
/// `flags` holds bits of `mg_evaluate_flag`, or 0.
///
/// Writes a buffer that the caller frees with `mg_buffer_free`:
/// `{"defined":true,"value":…,"verdict":{…},"certain":true,"revision":{…},"ns":900}`. `value` means something only if
/// `defined` is true. If `certain` isn't, it would depend on data that isn't held here.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_evaluate(
    edge: mg_edge,
    entrypoint: *const c_char,
    entrypoint_len: usize,
    input: *const c_char,
    input_len: usize,
    flags: u32,
    json: *mut mg_buffer,
) -> mg_result {
    guard(|| {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let out = unsafe { Out::clear("json", json, buffer::EMPTY) }?;
        // SAFETY: the caller of an export promises that `entrypoint_len` bytes can be read and don't change.
        let entrypoint = unsafe { text("entrypoint", entrypoint, entrypoint_len) }?;
        // SAFETY: the caller of an export promises that `input_len` bytes can be read and don't change during the call.
        let input = unsafe { text("input", input, input_len) }?;
        let errors = builtin_errors(flags)?;
        let evaluated = EDGES.with(edge, |edge| edge.evaluate(entrypoint, input, errors))??;
        out.put(buffer::give(answer::evaluation(&evaluated)?));
        Ok(())
    })
}

/// The edge's condition: what is served and how current it is, how the gateway is reached, how far records were
/// shipped. May wait for a change of policy under way; not for use before each decision.
///
/// Writes a buffer with JSON, `{"engine":{…},"sync":{…}}`, that the caller frees with `mg_buffer_free`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_status(edge: mg_edge, json: *mut mg_buffer) -> mg_result {
    guard(|| {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let out = unsafe { Out::clear("json", json, buffer::EMPTY) }?;
        let status = EDGES.with(edge, Edge::status)?;
        out.put(buffer::give(answer::json(&status)?));
        Ok(())
    })
}

/// Waits until every record so far is written and, with a gateway, acknowledged; `MG_TIMEOUT` when `timeout_ms`
/// passed first. The records are still there then, and are shipped later.
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn mg_flush_audit(edge: mg_edge, timeout_ms: u64) -> mg_result {
    guard(|| {
        let patience = Duration::from_millis(timeout_ms);
        let flush = |edge: &Edge| match edge.status().sync.gateway {
            Some(_) => edge.flush_audit(patience),
            // Nobody is there to acknowledge anything.
            None => edge.engine().flush(patience),
        };
        if EDGES.with(edge, flush)? {
            return Ok(());
        }
        let text = format!("not every record was written and acknowledged within {timeout_ms} ms; see the status");
        Err(Failure::new(mg_result::MG_TIMEOUT, text))
    })
}

/// Closes an edge: ends its network, writes what is pending, frees it. Calls under way on other threads end normally;
/// if there are any, the last of them frees it. From then on the handle is `MG_BAD_HANDLE`. 0 is no edge, and
/// `MG_OK`.
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn mg_close(edge: mg_edge) -> mg_result {
    guard(|| {
        if edge != 0 {
            EDGES.remove(edge)?.close();
        }
        Ok(())
    })
}

/// Frees a buffer's text and clears the struct, so that freeing the same struct again does nothing. NULL and an empty
/// buffer are nothing to free. What isn't a buffer of this library isn't freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_buffer_free(buffer: *mut mg_buffer) {
    let _ = guard(|| {
        if buffer.is_null() {
            return Ok(());
        }
        // SAFETY: not NULL, and the caller of an export promises that an `mg_buffer` can be read; any bits are one.
        let given = unsafe { buffer.read_unaligned() };
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        unsafe { Out::clear("buffer", buffer, buffer::EMPTY) }?;
        // SAFETY: this struct was just cleared, so it gives its text back once; of copies the caller promises the same.
        unsafe { buffer::take_back(given) }
    });
}

/// Why the last call of this thread that failed did, in words. Empty if none has. A call that succeeds changes nothing.
///
/// Copies the text with its NUL into `text`, which has room for `capacity` bytes, and writes the number of bytes that
/// takes to `needed`, which may be NULL. If the room is too small: `MG_SHORT_BUFFER`, an empty text, and the number.
/// To ask for the number alone, pass NULL and 0.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_last_error(text: *mut c_char, capacity: usize, needed: *mut usize) -> mg_result {
    guard_or(mg_result::MG_PANIC, || {
        // SAFETY: the caller of an export promises that an output can be written and is nobody else's during the call.
        let needed = unsafe { Out::clear("needed", needed, 0) };
        if capacity > 0 {
            // SAFETY: the same; there is room for at least one byte.
            if unsafe { Out::clear("text", text, 0) }.is_err() {
                return mg_result::MG_NULL_POINTER;
            }
        }
        let message = last_error();
        let length = message.len() + 1;
        if let Ok(needed) = needed {
            needed.put(length);
        }
        if length > capacity {
            return mg_result::MG_SHORT_BUFFER;
        }
        // SAFETY: `capacity` is at least 1, so `text` isn't NULL, as checked above, and has room for `capacity` bytes
        // by the caller's promise, which are `length`, the message and one NUL, or more. The message is a local, so
        // the two don't overlap.
        unsafe {
            ptr::copy_nonoverlapping(message.as_ptr().cast(), text, message.len());
            text.add(message.len()).write(0);
        }
        mg_result::MG_OK
    })
}

/// # Safety
/// As for [`bytes`].
unsafe fn decide(edge: mg_edge, request: *const c_char, request_len: usize) -> Result<Decision, Failure> {
    // SAFETY: the condition is the same. The engine refuses what is longer than `MG_MAX_INPUT_BYTES` by its length
    // alone.
    let request = unsafe { bytes("request", request, request_len) }?;
    EDGES.with(edge, |edge| edge.decide_json(request))
}

fn builtin_errors(flags: u32) -> Result<BuiltinErrors, Failure> {
    match flags {
        0 => Ok(BuiltinErrors::Opa),
        _ if flags == mg_evaluate_flag::MG_EVALUATE_STRICT as u32 => Ok(BuiltinErrors::Deny),
        _ => {
            let text = format!("`flags` is {flags:#x}, and this version knows only MG_EVALUATE_STRICT (0x1)");
            Err(Failure::new(mg_result::MG_BAD_FLAGS, text))
        }
    }
}
