//! The functions as C calls them, and as C shouldn't.

#![allow(unsafe_code, reason = "the functions under test are C's")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "every call passes pointers to its own locals, or what it tests")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

mod common;

use std::ffi::{CStr, c_char};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::Barrier;

use meshguard::mg_result::*;
use meshguard::*;
use serde_json::Value;

const READ: &str = r#"{"actor":{"id":"agent-7"},"action":"files.read"}"#;
const EXEC: &str = r#"{"actor":{"id":"agent-7"},"action":"shell.exec"}"#;
const PAY: &str = r#"{"actor":{"id":"agent-7"},"action":"payments.send"}"#;
const RULE: &str = "data.meshguard.decision";

// === the everyday ===

#[test]
fn three_answers() {
    let edge = Edge::open();
    let (result, decision) = edge.decide(READ);
    assert_eq!((result, decision.effect, reason(&decision)), (MG_OK, 1, "policy".into()));
    assert!(allowed(&decision));
    let (result, decision) = edge.decide(EXEC);
    assert_eq!((result, decision.effect, allowed(&decision)), (MG_OK, 2, false));
    let (result, decision) = edge.decide(PAY);
    assert_eq!((result, decision.effect, allowed(&decision)), (MG_OK, 3, false));
}

#[test]
fn a_decision_says_what_decided() {
    let edge = Edge::open();
    let (_, decision) = edge.decide(READ);
    let has = |flag: mg_flag| decision.flags & flag as u32 != 0;
    assert!(has(mg_flag::MG_FLAG_CERTAIN) && has(mg_flag::MG_FLAG_RECORDED) && has(mg_flag::MG_FLAG_REVISION));
    assert!(has(mg_flag::MG_FLAG_OFFLINE) && !has(mg_flag::MG_FLAG_DEFERRED) && !has(mg_flag::MG_FLAG_AUDIT_MODE));
    assert_eq!(decision.source, mg_source::MG_SOURCE_LOCAL as u32);
    assert_eq!((decision.key_epoch, decision.version, decision.obligations), (1, 3, 0));
    assert_ne!(decision.manifest, [0; 32]);
    assert_ne!(decision.decision_id, [0; 16]);
    assert!(decision.at_ms > 0 && decision.latency_ns > 0);
    assert_eq!(decision.struct_size as usize, size_of::<mg_decision>());
}

#[test]
fn the_json_is_the_same_decision() {
    let edge = Edge::open();
    let (mut decision, mut json) = (init(), empty());
    let request = r#"{"action":"mail.read","request_id":"r-1"}"#;
    let result = unsafe { mg_decide_json(edge.0, chars(request), request.len(), &mut decision, &mut json) };
    assert_eq!(result, MG_OK);
    let told = take(&mut json);
    let id: String = decision.decision_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["decision_id"], id);
    assert_eq!(told["request_id"], "r-1");
    assert_eq!((told["effect"].as_str(), decision.effect), (Some("allow"), 1));
    assert_eq!((&told["obligations"][0]["id"], decision.obligations), (&"redact".into(), 1));
    // Recorded once, though said twice.
    assert_eq!(edge.status()["engine"]["decisions"]["allow"], 1);
}

#[test]
fn a_rule_by_path() {
    let edge = Edge::open();
    let value = edge.evaluate(RULE, READ, 0).unwrap();
    assert_eq!((&value["defined"], &value["value"]["effect"]), (&true.into(), &"allow".into()));
    let value = edge.evaluate("data.meshguard.never", "{}", 0).unwrap();
    assert_eq!((&value["defined"], &value["certain"]), (&false.into(), &true.into()));
    let value = edge.evaluate("data.meshguard.fact", "{}", 1).unwrap();
    assert_eq!((&value["defined"], &value["value"]), (&true.into(), &Value::Null));
    assert_eq!(edge.evaluate(RULE, "{", 0), Err(MG_EVALUATION));
    assert_eq!(edge.evaluate(RULE, "{}", 2), Err(MG_BAD_FLAGS));
    assert!(last_error().contains("MG_EVALUATE_STRICT"), "{}", last_error());
}

#[test]
fn without_a_gateway_flushing_waits_for_the_store_alone() {
    let edge = Edge::open();
    let _ = edge.decide(READ);
    assert_eq!(mg_flush_audit(edge.0, 60_000), MG_OK, "{}", last_error());
    // One for the bundle that was applied, one for the decision.
    assert!(edge.status()["engine"]["audit"]["next_seq"].as_u64() >= Some(1));
}

#[test]
fn a_gateway_that_never_answers_times_out() {
    let edge = Edge::open_with(r#"{"tenant":"acme","gateway":"http://127.0.0.1:1"}"#);
    let _ = edge.decide(READ);
    assert_eq!(mg_flush_audit(edge.0, 1), MG_TIMEOUT);
}

// === opening ===

#[test]
fn a_configuration_that_cannot_work_opens_nothing() {
    let cases: [(&[u8], mg_result); 6] = [
        (b"", MG_BAD_CONFIG),
        (b"{}", MG_BAD_CONFIG),
        (br#"{"tenant":"acme","fail_open":true}"#, MG_BAD_CONFIG),
        (b"{\"tenant\":\"\xff\"}", MG_BAD_UTF8),
        (br#"{"tenant":"acme","bundle_path":"/nowhere/b.tar.gz"}"#, MG_BAD_CONFIG),
        (br#"{"tenant":"acme","trusted_keys":["no key"]}"#, MG_BAD_CONFIG),
    ];
    for (config, expected) in cases {
        let mut edge = 7;
        let result = unsafe { mg_open(config.as_ptr().cast(), config.len(), &mut edge) };
        assert_eq!((result, edge), (expected, 0), "{}: {}", String::from_utf8_lossy(config), last_error());
        assert!(!last_error().is_empty());
    }
    let mut edge = 7;
    assert_eq!(unsafe { mg_open(ptr::null(), 5, &mut edge) }, MG_NULL_POINTER);
    assert_eq!(edge, 0);
    assert_eq!(unsafe { mg_open(chars("{}"), usize::MAX, &mut edge) }, MG_BAD_LENGTH);
    assert_eq!(unsafe { mg_open(chars("{}"), MG_MAX_INPUT_BYTES + 1, &mut edge) }, MG_BAD_LENGTH);
    assert_eq!(unsafe { mg_open(chars("{}"), 2, ptr::null_mut()) }, MG_NULL_POINTER);
}

#[test]
fn a_bundle_signed_by_somebody_else_is_refused() {
    let mut config: Value = serde_json::from_str(&common::fixture().config).unwrap();
    let ours = common::fixture();
    config["bundle_path"] = ours.dir.path().join("bundle.tar.gz").to_str().unwrap().into();
    let config = config.to_string();
    let mut edge = 7;
    let result = unsafe { mg_open(chars(&config), config.len(), &mut edge) };
    assert_eq!((result, edge), (MG_BUNDLE_REFUSED, 0), "{}", last_error());
}

#[test]
fn an_edge_without_a_bundle_opens_and_denies() {
    let edge = Edge::open_with(r#"{"tenant":"acme"}"#);
    let (result, decision) = edge.decide(READ);
    assert_eq!((result, allowed(&decision), reason(&decision)), (MG_OK, false, "no_bundle".into()));
    assert_eq!(decision.flags & mg_flag::MG_FLAG_REVISION as u32, 0);
}

// === hostile input ===

#[test]
fn hostile_requests_are_denied_and_are_no_failure() {
    let edge = Edge::open();
    let deep = format!("{{\"action\":\"files.read\",\"context\":{}", "[".repeat(100_000));
    let long = format!("{{\"action\":\"files.read\",\"context\":\"{}\"}}", "x".repeat(MG_MAX_INPUT_BYTES));
    let cases: [&[u8]; 12] = [
        b"",
        b"\0",
        b"{",
        b"null",
        b"{\"action\":\"files.read\"}x",
        b"{\"action\":\"files.read\",\"action\":\"files.read\"}",
        b"{\"action\":\"files.read\",\"if\":1}",
        b"{\"action\":\"\xff\xfe\"}",
        b"{\"action\":\"files.read\",\"context\":\"\xc3\"}",
        b"{\"action\":\"\\ud800\"}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for request in cases {
        let mut decision = init();
        let result = unsafe { mg_decide(edge.0, request.as_ptr().cast(), request.len(), &mut decision) };
        let shown = String::from_utf8_lossy(request.get(..40).unwrap_or(request));
        assert_eq!((result, decision.effect, reason(&decision)), (MG_OK, 2, "bad_input".into()), "{shown}");
        assert_ne!(decision.flags & mg_flag::MG_FLAG_RECORDED as u32, 0, "{shown}");
    }
    // (NULL, 0) is an empty request.
    let mut decision = init();
    assert_eq!(unsafe { mg_decide(edge.0, ptr::null(), 0, &mut decision) }, MG_OK);
    assert_eq!(reason(&decision), "bad_input");
}

#[test]
fn strings_with_nul_are_strings() {
    let edge = Edge::open();
    let (result, decision) = edge.decide("{\"action\":\"files.read\\u0000\"}");
    assert_eq!((result, allowed(&decision)), (MG_OK, false));
}

// === misuse ===

#[test]
fn a_struct_that_is_used_again_never_keeps_an_allow() {
    let edge = Edge::open();
    let mut decision = init();
    let mut json = empty();
    type Call<'a> = (&'a str, mg_result, &'a dyn Fn(*mut mg_decision) -> mg_result);
    let json = &raw mut json;
    let calls: [Call<'_>; 7] = [
        ("no edge", MG_BAD_HANDLE, &|d| unsafe { mg_decide(0, chars(READ), READ.len(), d) }),
        ("forged edge", MG_BAD_HANDLE, &|d| unsafe { mg_decide(edge.0 ^ 1 << 50, chars(READ), READ.len(), d) }),
        ("NULL request", MG_NULL_POINTER, &|d| unsafe { mg_decide(edge.0, ptr::null(), 1, d) }),
        ("huge length", MG_BAD_LENGTH, &|d| unsafe { mg_decide(edge.0, chars(READ), usize::MAX, d) }),
        ("NULL json", MG_NULL_POINTER, &|d| unsafe {
            mg_decide_json(edge.0, chars(READ), READ.len(), d, ptr::null_mut())
        }),
        ("no edge, json", MG_BAD_HANDLE, &|d| unsafe { mg_decide_json(1, chars(READ), READ.len(), d, json) }),
        ("bad input", MG_OK, &|d| unsafe { mg_decide(edge.0, chars("{"), 1, d) }),
    ];
    for (name, expected, call) in calls {
        assert_eq!(unsafe { mg_decide(edge.0, chars(READ), READ.len(), &mut decision) }, MG_OK);
        assert!(allowed(&decision), "{name}");
        assert_eq!(call(&mut decision), expected, "{name}");
        assert!(!allowed(&decision), "{name}");
        assert_eq!(decision.effect, mg_effect::MG_EFFECT_DENY as u32, "{name}");
        if expected != MG_OK {
            assert_eq!(decision, mg_decision { effect: 2, ..init() }, "{name}");
        }
    }
    let no_output = unsafe { mg_decide_json(edge.0, chars(READ), READ.len(), ptr::null_mut(), json) };
    assert_eq!((no_output, unsafe { *json }), (MG_NULL_POINTER, empty()));
}

#[test]
fn a_struct_of_another_size() {
    let edge = Edge::open();
    for size in [0, 4, size_of::<mg_decision>() as u32 - 1] {
        let (_, mut decision) = edge.decide(READ);
        decision.struct_size = size;
        let result = unsafe { mg_decide(edge.0, chars(READ), READ.len(), &mut decision) };
        assert_eq!((result, allowed(&decision), decision.struct_size), (MG_BAD_STRUCT, false, size));
    }
    // A caller compiled for a later version: what this version doesn't know stays as it was.
    #[repr(C)]
    struct Later {
        known: mg_decision,
        unknown: u64,
    }
    let mut later = Later { known: init(), unknown: 5 };
    later.known.struct_size = size_of::<Later>() as u32;
    assert_eq!(unsafe { mg_decide(edge.0, chars(READ), READ.len(), (&raw mut later).cast()) }, MG_OK);
    assert!(allowed(&later.known));
    assert_eq!((later.unknown, later.known.struct_size as usize), (5, size_of::<Later>()));
}

#[test]
fn memory_that_is_not_aligned() {
    let edge = Edge::open();
    let mut memory = vec![0_u8; size_of::<mg_decision>() + 1];
    let at = memory.as_mut_ptr().wrapping_add(1).cast::<mg_decision>();
    unsafe { at.write_unaligned(init()) };
    assert_eq!(unsafe { mg_decide(edge.0, chars(READ), READ.len(), at) }, MG_OK);
    assert_eq!(unsafe { mg_is_allowed(at) }, 1);
}

#[test]
fn only_an_allow_is_allowed() {
    assert_eq!(unsafe { mg_is_allowed(ptr::null()) }, 0);
    for effect in [0, 2, 3, 4, 5, 1 << 8 | 1, u32::MAX] {
        assert_eq!(unsafe { mg_is_allowed(&mg_decision { effect, ..init() }) }, 0, "{effect}");
    }
    assert_eq!(unsafe { mg_is_allowed(&mg_decision { effect: 1, ..init() }) }, 1);
}

#[test]
fn every_call_refuses_null_and_wrong_edges() {
    let edge = Edge::open();
    let stale = Edge::open().0;
    let mut decision = init();
    for wrong in [0, 1, u64::MAX, stale, edge.0 + 1, edge.0 ^ 1 << 20, edge.0.swap_bytes()] {
        let mut json = mg_buffer { len: 9, ..empty() };
        let calls = [
            unsafe { mg_decide(wrong, chars(READ), READ.len(), &mut decision) },
            unsafe { mg_decide_json(wrong, chars(READ), READ.len(), &mut decision, &mut json) },
            unsafe { mg_evaluate(wrong, chars(RULE), RULE.len(), chars(READ), READ.len(), 0, &mut json) },
            unsafe { mg_status(wrong, &mut json) },
            mg_flush_audit(wrong, 0),
            if wrong == 0 { MG_BAD_HANDLE } else { mg_close(wrong) },
        ];
        assert_eq!(calls, [MG_BAD_HANDLE; 6], "{wrong:#x}");
        assert_eq!(json, empty());
    }
    let null = ptr::null_mut::<()>();
    let mut json = empty();
    assert_eq!(unsafe { mg_decide(edge.0, chars(READ), READ.len(), null.cast()) }, MG_NULL_POINTER);
    assert_eq!(unsafe { mg_status(edge.0, null.cast()) }, MG_NULL_POINTER);
    let evaluate = |rule, rule_len, input, input_len, out| unsafe {
        mg_evaluate(edge.0, rule, rule_len, input, input_len, 0, out)
    };
    assert_eq!(evaluate(chars(RULE), RULE.len(), chars(READ), READ.len(), null.cast()), MG_NULL_POINTER);
    assert_eq!(evaluate(ptr::null(), 4, chars(READ), READ.len(), &mut json), MG_NULL_POINTER);
    assert_eq!(evaluate(chars(RULE), RULE.len(), ptr::null(), 4, &mut json), MG_NULL_POINTER);
    assert_eq!(evaluate(chars(RULE), 1 << 40, chars(READ), READ.len(), &mut json), MG_BAD_LENGTH);
    assert_eq!(evaluate(chars(RULE), RULE.len(), chars(READ), 1 << 40, &mut json), MG_BAD_LENGTH);
    assert_eq!(evaluate(b"\xff".as_ptr().cast(), 1, chars(READ), READ.len(), &mut json), MG_BAD_UTF8);
    assert_eq!(evaluate(chars(RULE), RULE.len(), b"\"\xff\"".as_ptr().cast(), 3, &mut json), MG_BAD_UTF8);
    assert_eq!(json, empty());
}

#[test]
fn closing_twice_and_closing_nothing() {
    let edge = Edge::open();
    assert_eq!(mg_close(edge.0), MG_OK);
    assert_eq!(mg_close(edge.0), MG_BAD_HANDLE);
    assert_eq!(mg_close(0), MG_OK);
    // A new edge in the same place is another edge.
    let next = Edge::open();
    assert_eq!(edge.decide(READ).0, MG_BAD_HANDLE);
    assert_eq!(next.decide(READ).0, MG_OK);
}

#[test]
fn buffers_are_freed_once_and_only_if_ours() {
    let edge = Edge::open();
    let mut json = empty();
    assert_eq!(unsafe { mg_status(edge.0, &mut json) }, MG_OK);
    assert_eq!(unsafe { *json.data.add(json.len) }, 0);
    unsafe { mg_buffer_free(&mut json) };
    assert_eq!(json, empty());
    unsafe { mg_buffer_free(&mut json) };
    unsafe { mg_buffer_free(ptr::null_mut()) };
    let mut own = *b"not from the library";
    let mut forged = mg_buffer { data: own.as_mut_ptr().cast(), len: own.len(), seal: 1 };
    unsafe { mg_buffer_free(&mut forged) };
    assert_eq!((forged, &own), (empty(), b"not from the library"));
}

#[test]
fn the_last_error_fits_or_says_what_it_needs() {
    assert_eq!(mg_close(1), MG_BAD_HANDLE);
    let whole = last_error();
    let mut needed = 0;
    assert_eq!(unsafe { mg_last_error(ptr::null_mut(), 0, &mut needed) }, MG_SHORT_BUFFER);
    assert_eq!(needed, whole.len() + 1);
    for capacity in [1, 2, whole.len()] {
        let mut text = vec![b'x' as c_char; capacity];
        needed = 0;
        assert_eq!(unsafe { mg_last_error(text.as_mut_ptr(), capacity, &mut needed) }, MG_SHORT_BUFFER);
        assert_eq!((text[0], needed), (0, whole.len() + 1));
    }
    let mut text = vec![b'x' as c_char; whole.len() + 2];
    assert_eq!(unsafe { mg_last_error(text.as_mut_ptr(), whole.len() + 1, ptr::null_mut()) }, MG_OK);
    assert_eq!(text[whole.len()..], [0, b'x' as c_char]);
    assert_eq!(unsafe { mg_last_error(ptr::null_mut(), 5, &mut needed) }, MG_NULL_POINTER);
    // Asking for the text doesn't replace it.
    assert_eq!(last_error(), whole);
}

// === threads ===

#[test]
fn eight_threads_decide() {
    let edge = Edge::open();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(allowed(&edge.decide(READ).1));
                    assert!(!allowed(&edge.decide(EXEC).1));
                }
            });
        }
    });
    let counts = &edge.status()["engine"]["decisions"];
    assert_eq!((&counts["allow"], &counts["deny"]), (&1600.into(), &1600.into()));
}

#[test]
fn closing_while_others_decide() {
    for _ in 0..20 {
        let edge = Edge::open();
        let start = Barrier::new(5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    loop {
                        let (result, decision) = edge.decide(READ);
                        assert_eq!(allowed(&decision), result == MG_OK);
                        if result != MG_OK {
                            assert_eq!(result, MG_BAD_HANDLE);
                            break;
                        }
                    }
                });
            }
            start.wait();
            assert_eq!(mg_close(edge.0), MG_OK);
        });
    }
}

#[test]
fn a_state_folder_can_be_opened_again_after_closing() {
    let fixture = common::fixture();
    let mut config: Value = serde_json::from_str(&fixture.config).unwrap();
    config["state_dir"] = fixture.dir.path().join("state").to_str().unwrap().into();
    for _ in 0..3 {
        let edge = Edge::open_with(&config.to_string());
        assert!(allowed(&edge.decide(READ).1));
        assert_eq!(mg_close(edge.0), MG_OK);
        config.as_object_mut().unwrap().remove("bundle_path");
    }
}

// === versions ===

#[test]
fn versions_agree() {
    assert_eq!(mg_abi_version(), MG_ABI_VERSION);
    assert_eq!(unsafe { CStr::from_ptr(mg_version()) }.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_first_version_of_the_layout_stays() {
    let layout = [
        offset_of!(mg_decision, struct_size),
        offset_of!(mg_decision, effect),
        offset_of!(mg_decision, flags),
        offset_of!(mg_decision, source),
        offset_of!(mg_decision, would_be_effect),
        offset_of!(mg_decision, obligations),
        offset_of!(mg_decision, latency_ns),
        offset_of!(mg_decision, at_ms),
        offset_of!(mg_decision, policy_age_ms),
        offset_of!(mg_decision, key_epoch),
        offset_of!(mg_decision, version),
        offset_of!(mg_decision, manifest),
        offset_of!(mg_decision, decision_id),
        offset_of!(mg_decision, reason),
    ];
    assert_eq!(layout, [0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 112]);
    assert_eq!(size_of::<mg_decision>(), 144);
}

// === helpers ===

/// An open edge, closed in the end if the test didn't.
struct Edge(mg_edge);

impl Edge {
    fn open() -> Self {
        Self::open_with(&common::fixture().config)
    }

    fn open_with(config: &str) -> Self {
        let mut edge = 0;
        let result = unsafe { mg_open(chars(config), config.len(), &mut edge) };
        assert_eq!(result, MG_OK, "{}", last_error());
        assert_ne!(edge, 0);
        Self(edge)
    }

    fn decide(&self, request: &str) -> (mg_result, mg_decision) {
        let mut decision = init();
        let result = unsafe { mg_decide(self.0, chars(request), request.len(), &mut decision) };
        (result, decision)
    }

    fn evaluate(&self, rule: &str, input: &str, flags: u32) -> Result<Value, mg_result> {
        let mut json = empty();
        let (rule_at, input_at) = (chars(rule), chars(input));
        match unsafe { mg_evaluate(self.0, rule_at, rule.len(), input_at, input.len(), flags, &mut json) } {
            MG_OK => Ok(take(&mut json)),
            other => Err(other),
        }
    }

    fn status(&self) -> Value {
        let mut json = empty();
        assert_eq!(unsafe { mg_status(self.0, &mut json) }, MG_OK);
        take(&mut json)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = mg_close(self.0);
    }
}

/// What `MG_DECISION_INIT` is in C.
fn init() -> mg_decision {
    mg_decision {
        struct_size: size_of::<mg_decision>() as u32,
        effect: 0,
        flags: 0,
        source: 0,
        would_be_effect: 0,
        obligations: 0,
        latency_ns: 0,
        at_ms: 0,
        policy_age_ms: 0,
        key_epoch: 0,
        version: 0,
        manifest: [0; 32],
        decision_id: [0; 16],
        reason: [0; MG_REASON_BYTES],
    }
}

/// What `MG_BUFFER_INIT` is in C.
fn empty() -> mg_buffer {
    mg_buffer { data: ptr::null_mut(), len: 0, seal: 0 }
}

fn chars(text: &str) -> *const c_char {
    text.as_ptr().cast()
}

fn allowed(decision: &mg_decision) -> bool {
    unsafe { mg_is_allowed(decision) == 1 }
}

fn reason(decision: &mg_decision) -> String {
    unsafe { CStr::from_ptr(decision.reason.as_ptr()) }.to_str().unwrap().to_owned()
}

fn take(json: &mut mg_buffer) -> Value {
    let text = unsafe { std::slice::from_raw_parts(json.data.cast::<u8>(), json.len) };
    let value = serde_json::from_slice(text).unwrap();
    unsafe { mg_buffer_free(json) };
    value
}

fn last_error() -> String {
    let mut text = vec![0; 4096];
    assert_eq!(unsafe { mg_last_error(text.as_mut_ptr(), text.len(), ptr::null_mut()) }, MG_OK);
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned()
}
