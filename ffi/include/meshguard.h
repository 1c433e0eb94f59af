/*
 * meshguard.h: a policy decision point in your process.
 *
 * CONVENTIONS
 *
 * They hold for every function; a function's own comment only says what is special about it.
 *
 * The answer. `mg_is_allowed(&decision)` is the one predicate. A status says whether the *call* went well, never
 * whether the action may go ahead. Whatever goes wrong, the decision denies: every output is cleared, a decision to
 * a deny, before anything else is checked, and written only on success. So a struct that is used again never keeps
 * an old allow, and memory full of zeroes denies too. Hostile input is no failure: `mg_decide` gives `MG_OK` and a
 * deny with the reason `bad_input`. The reverse, a status that isn't `MG_OK`, is a mistake of the caller, of the
 * machine, or of this library.
 *
 * Statuses are numbers in groups of a hundred, never reused: 1xx misuse of this interface, 2xx what was passed
 * in isn't acceptable, 3xx the machine, 9xx a bug of this library. Compilers warn when one is ignored.
 * `mg_last_error` has the words.
 *
 * Handles. An `mg_edge` is a number, not a pointer, and holds a generation and check bits. One that was closed,
 * closed twice, made up, or that came from another process is `MG_BAD_HANDLE`, never a crash, also while other
 * threads still use it.
 *
 * Input is a pair `(pointer, length in bytes)` of UTF-8; no NUL is needed at its end, and one inside isn't
 * special. `(NULL, 0)` is an empty input; NULL with any other length is `MG_NULL_POINTER`. It is read during the
 * call only and never kept. What the pointer names must be readable for that length and must not change meanwhile:
 * that, no library can check.
 *
 * Output goes to memory of the caller: structs, or a buffer with its capacity, whose needed length is told. What
 * has no fixed size comes in an `mg_buffer`, which the caller frees with `mg_buffer_free`, and with nothing else:
 * `free` of another C library would corrupt its heap. An `mg_buffer` is overwritten, not freed, when it is passed in
 * again; of two copies of it only one may be freed. No output may be NULL unless its function says so.
 *
 * Ownership. Whoever calls `mg_open` calls `mg_close`, once. Whoever gets an `mg_buffer` frees it, once. There
 * is nothing else to free.
 *
 * Threads. Any function may be called from any thread at any time, `mg_close` included: a call under way on
 * another thread ends normally. Deciding starts no thread. Finding the edge takes no lock; a certain decision waits
 * for others only, and briefly, when more threads decide at once than evaluators are ready, or when records come
 * faster than they can be written. Texts of failures are kept per thread: a host whose tasks move between threads
 * (Go, async runtimes) asks `mg_last_error` before it can be moved. Nothing is ever called back.
 *
 * Panics of this library are caught, and become `MG_PANIC` and a deny. It can't be built with `panic = "abort"`.
 * Running out of stack or memory can't be caught, as in any library.
 *
 * Fork. A child inherits handles, but neither the library's threads nor the right to write the parent's records.
 * With an inherited handle it may decide, which is a deny with the reason `forked`, and close, which leaves all that
 * is the parent's alone; no other call. It opens an edge with a state folder of its own instead. In a child of a
 * process with threads, POSIX forbids nearly everything before `exec`; then call nothing here either.
 *
 * Signals. No handler is installed and no mask is changed. No function may be called from a handler.
 *
 * Process. Nothing global is changed: no allocator, no environment, no locale, no hook. The environment isn't
 * read. Only names that start with `mg_` are exported. The shared library stays loaded after `dlclose`. Records are
 * written by a thread of the library: call `mg_flush_audit` or `mg_close` before the process ends.
 *
 * Versions. `MG_ABI_VERSION` is raised whenever something is added, and a library serves every program that was
 * compiled for its own or a lower number; check `mg_abi_version() >= MG_ABI_VERSION` once. Structs that may grow
 * begin with `struct_size`, by which the library knows what the caller's has room for. Names, numbers, sizes and
 * meanings that exist don't change. If they had to, the number in the library's name would: it is
 * `libmeshguard.so.0`.
 *
 * Generated from ffi/src and ffi/README.md by `make header`. Don't edit it here.
 */

#ifndef MESHGUARD_H
#define MESHGUARD_H

#include <stddef.h>
#include <stdint.h>

/* The version of the library that this header came with. */
#define MG_VERSION "0.1.0"

#if defined(__GNUC__) || defined(__clang__)
#define MG_MUST_USE __attribute__((warn_unused_result))
#else
#define MG_MUST_USE
#endif

/* How an mg_decision and an mg_buffer begin: `mg_decision decision = MG_DECISION_INIT;` */
#define MG_DECISION_INIT { sizeof(mg_decision), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, { 0 }, { 0 } }
#define MG_BUFFER_INIT { NULL, 0, 0 }

/**
 * The version of this interface: raised whenever something is added. What is built against a lower number keeps
 * working.
 */
#define MG_ABI_VERSION 1

/**
 * The longest input, in bytes. `mg_decide` denies a longer request with the reason `bad_input`; any other call refuses
 * a longer input with `MG_BAD_LENGTH`.
 */
#define MG_MAX_INPUT_BYTES 1048576

/**
 * How long a reason code may be, its NUL included.
 */
#define MG_REASON_BYTES 32

/**
 * How a call ended. Not an answer: whether an action may go ahead is asked with `mg_is_allowed`, and only with that.
 *
 * 1xx: the caller used this interface wrongly. 2xx: what was passed in isn't acceptable. 3xx: the machine.
 * 9xx: a bug of this library; please report it with the text of `mg_last_error`.
 *
 * New numbers may be added; treat one that you don't know as a failure.
 */
enum mg_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Done; the outputs are written.
     */
    MG_OK = 0,
    /**
     * A pointer is NULL that must not be.
     */
    MG_NULL_POINTER = 100,
    /**
     * No such edge: closed already, or never opened in this process.
     */
    MG_BAD_HANDLE = 101,
    /**
     * A length that no input can have.
     */
    MG_BAD_LENGTH = 102,
    /**
     * `struct_size` isn't the size of the struct: begin with `MG_DECISION_INIT`.
     */
    MG_BAD_STRUCT = 103,
    /**
     * A flag that this version doesn't know.
     */
    MG_BAD_FLAGS = 104,
    /**
     * The caller's buffer is too short; the length that it needs is written.
     */
    MG_SHORT_BUFFER = 105,
    /**
     * 4096 edges are open; close some.
     */
    MG_TOO_MANY_EDGES = 106,
    /**
     * The configuration can't work; the text says what to change.
     */
    MG_BAD_CONFIG = 200,
    /**
     * An input isn't UTF-8.
     */
    MG_BAD_UTF8 = 201,
    /**
     * A bundle isn't acceptable; the text says at which stage and why.
     */
    MG_BUNDLE_REFUSED = 202,
    /**
     * A token or a key isn't acceptable.
     */
    MG_BAD_TOKEN = 203,
    /**
     * An evaluation raised an error, its input can't be read, or no valid bundle is held.
     */
    MG_EVALUATION = 204,
    /**
     * The state can't be opened, read or written.
     */
    MG_STORE = 300,
    /**
     * A file that the configuration names can't be read or written.
     */
    MG_IO = 301,
    /**
     * Threads can't be started.
     */
    MG_THREADS = 302,
    /**
     * It didn't happen in the time allowed.
     */
    MG_TIMEOUT = 303,
    /**
     * This library contradicted itself.
     */
    MG_INTERNAL = 900,
    /**
     * This library panicked; the next call works.
     */
    MG_PANIC = 901,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mg_result mg_result;
#else
typedef uint32_t mg_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a decision says. For reading and logging: to enforce, ask `mg_is_allowed`.
 */
enum mg_effect
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nothing was decided: deny.
     */
    MG_EFFECT_UNSET = 0,
    /**
     * Go ahead.
     */
    MG_EFFECT_ALLOW = 1,
    /**
     * Don't.
     */
    MG_EFFECT_DENY = 2,
    /**
     * Not without a person's consent.
     */
    MG_EFFECT_REQUIRE_APPROVAL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mg_effect mg_effect;
#else
typedef uint32_t mg_effect;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where an answer came from.
 */
enum mg_source
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * There is no answer.
     */
    MG_SOURCE_UNSET = 0,
    /**
     * Evaluated here.
     */
    MG_SOURCE_LOCAL = 1,
    /**
     * Answered by the remote PDP.
     */
    MG_SOURCE_REMOTE = 2,
    /**
     * Nobody could answer; the failure mode did.
     */
    MG_SOURCE_FAILURE_MODE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mg_source mg_source;
#else
typedef uint32_t mg_source;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Bits of `mg_decision.flags`. A bit that you don't know means nothing to you.
 */
enum mg_flag
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The answer would be the same whatever the data not held here; a remote answer is certain.
     */
    MG_FLAG_CERTAIN = 1,
    /**
     * Its record is in the journal's queue. Missing only in a forked child, or when the decision is a deny because
     * recording failed.
     */
    MG_FLAG_RECORDED = 2,
    /**
     * Made without reaching the control plane.
     */
    MG_FLAG_OFFLINE = 4,
    /**
     * The answer wasn't certain here, so the remote PDP was to be asked; `source` says whether it answered.
     */
    MG_FLAG_DEFERRED = 8,
    /**
     * The policy has no value for this input.
     */
    MG_FLAG_UNDEFINED = 16,
    /**
     * `key_epoch`, `version` and `manifest` say which bundle decided. Missing when no signed bundle is held.
     */
    MG_FLAG_REVISION = 32,
    /**
     * The control plane has confirmed that bundle; `policy_age_ms` says how long ago.
     */
    MG_FLAG_CONFIRMED = 64,
    /**
     * The bundle is in mode `audit`: `would_be_effect` says what would have been enforced.
     */
    MG_FLAG_AUDIT_MODE = 128,
    /**
     * The policy raises an alert; the decision's JSON says which.
     */
    MG_FLAG_ALERT = 256,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mg_flag mg_flag;
#else
typedef uint32_t mg_flag;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Bits of the parameter `flags` of `mg_evaluate`.
 */
enum mg_evaluate_flag
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * An error inside a builtin function fails the evaluation, instead of making the expression undefined as in OPA.
     */
    MG_EVALUATE_STRICT = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mg_evaluate_flag mg_evaluate_flag;
#else
typedef uint32_t mg_evaluate_flag;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An open edge: a policy decision point with its state. Not a pointer. 0 is never an edge.
 */
typedef uint64_t mg_edge;

/**
 * The answer to one request. Begin with `MG_DECISION_INIT`; the same struct may be used again and again.
 *
 * When a call fails, everything but `struct_size` is 0, and `effect` is `MG_EFFECT_DENY`.
 */
typedef struct mg_decision {
    /**
     * The size of this struct as the caller knows it, in bytes; set by the caller, never changed here.
     */
    uint32_t struct_size;
    /**
     * A number of `mg_effect`.
     */
    uint32_t effect;
    /**
     * Bits of `mg_flag`.
     */
    uint32_t flags;
    /**
     * A number of `mg_source`.
     */
    uint32_t source;
    /**
     * In mode `audit`, the number of `mg_effect` that would have been enforced; else 0.
     */
    uint32_t would_be_effect;
    /**
     * How many obligations come with it; the decision's JSON says which. On anything but a deny, the configuration
     * registered all of them.
     */
    uint32_t obligations;
    /**
     * How long it took, in nanoseconds.
     */
    uint64_t latency_ns;
    /**
     * When, in milliseconds since the Unix epoch.
     */
    int64_t at_ms;
    /**
     * How long ago the control plane last confirmed this bundle, in milliseconds; see `MG_FLAG_CONFIRMED`.
     */
    uint64_t policy_age_ms;
    /**
     * The bundle that decided, first part of its order; see `MG_FLAG_REVISION`.
     */
    uint64_t key_epoch;
    /**
     * The bundle that decided, second part of its order.
     */
    uint64_t version;
    /**
     * The bundle that decided: BLAKE3-256 of its signed manifest.
     */
    uint8_t manifest[32];
    /**
     * This decision's name, also in the audit record; its text form is these bytes as 32 hex digits.
     */
    uint8_t decision_id[16];
    /**
     * The code of the first reason, e.g. `policy` or `bad_input`, with a NUL at its end. Empty when the call failed.
     */
    char reason[MG_REASON_BYTES];
} mg_decision;

/**
 * Text from this library, to be given back with `mg_buffer_free`. Begin with `MG_BUFFER_INIT`.
 */
typedef struct mg_buffer {
    /**
     * UTF-8, with a NUL after the end; NULL when there is nothing.
     */
    char *data;
    /**
     * In bytes, without the NUL.
     */
    size_t len;
    /**
     * Not for callers. It tells a buffer of this library from anything else.
     */
    uint64_t seal;
} mg_buffer;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface that the library offers. Don't go on if it is lower than `MG_ABI_VERSION`, which is
 * what your program was compiled for.
 */
uint32_t mg_abi_version(void);

/**
 * The library's version, e.g. `0.1.0`. Static: never freed.
 */
const char *mg_version(void);

/**
 * Opens an edge. Reads the state and the bundle that `config` names; never waits for the network.
 *
 * `config` is one JSON object:
 *
 * | field                    | type               | unless said                                            |
 * |--------------------------|--------------------|--------------------------------------------------------|
 * | `tenant`                 | text               | required                                               |
 * | `scope`                  | text               | `default`                                              |
 * | `gateway`                | URL                | none: decide with what is held here, start no network  |
 * | `agent_token`            | text, secret       | none                                                   |
 * | `agent_id`               | text               | the token's subject                                    |
 * | `state_dir`              | path               | kept in memory, forgotten at the end                   |
 * | `bundle_path`            | path               | none; a signed bundle to serve if nothing newer is held|
 * | `trusted_keys`           | texts, PEM         | none: no bundle is acceptable                          |
 * | `identity_keys`          | texts, PEM         | none: the token's claims aren't used here              |
 * | `ca_pem`                 | text, PEM          | the system's certificates                              |
 * | `allow_plaintext`        | boolean            | `false`                                                |
 * | `failure_mode`           | `closed` or `open` | `closed`; `open` needs a `state_dir`                   |
 * | `fail_open_hours`        | number             | 24                                                     |
 * | `defer_timeout_ms`       | number             | 50                                                     |
 * | `obligations`            | texts              | none: a decision that carries one is a deny            |
 * | `max_pending_records`    | number             | a million                                              |
 * | `heartbeat_interval_ms`  | number             | what the gateway announces                             |
 * | `reconnect_cap_ms`       | number             | 30000                                                  |
 * | `reconnect_first_ms`     | number             | 5000                                                   |
 * | `audit_interval_ms`      | number             | 1000                                                   |
 * | `report_interval_ms`     | number             | 60000                                                  |
 *
 * An unknown field is refused, by name. An edge that holds no bundle opens, and denies everything; a `bundle_path`
 * whose bundle isn't acceptable is a failure.
 *
 * Writes the edge's handle, to be given to `mg_close` once; 0 on failure.
 */
MG_MUST_USE
mg_result mg_open(const char *config,
                  size_t config_len,
                  mg_edge *edge);

/**
 * Decides upon a request, and records the decision.
 *
 * `request` is one JSON object, the contract's `PolicyRequest`, for example
 * `{"actor":{"id":"agent-7"},"action":"files.read","resource":"file:/srv/a","context":{"bytes":100}}`. Hostile input
 * is no failure: a request that can't be read is `MG_OK` and a recorded deny with the reason `bad_input`.
 *
 * Takes microseconds if the answer is certain here; otherwise, with a gateway, up to `defer_timeout_ms`.
 * If you registered obligations, use `mg_decide_json`: it also says what they are.
 */
MG_MUST_USE
mg_result mg_decide(mg_edge edge,
                    const char *request,
                    size_t request_len,
                    struct mg_decision *decision);

/**
 * As `mg_decide`, and also writes the whole decision as JSON: all reasons with their words, obligations, who may
 * approve. It is the same decision, recorded once.
 *
 * Writes a buffer that the caller frees with `mg_buffer_free`; nothing on failure.
 */
MG_MUST_USE
mg_result mg_decide_json(mg_edge edge,
                         const char *request,
                         size_t request_len,
                         struct mg_decision *decision,
                         struct mg_buffer *json);

/**
 * Whether the action may go ahead: 1 or 0. The one predicate; NULL is 0, and so is everything but an allow.
 */
MG_MUST_USE int mg_is_allowed(const struct mg_decision *decision);

/**
 * Evaluates a rule by path, e.g. `data.meshguard.decision`, over any JSON document as `input`, as OPA would. For hosts
 * that bring their own input. It isn't a decision: it isn't recorded, nor ever put to the remote PDP.
 *
 * `flags` holds bits of `mg_evaluate_flag`, or 0.
 *
 * Writes a buffer that the caller frees with `mg_buffer_free`:
 * `{"defined":true,"value":…,"verdict":{…},"certain":true,"revision":{…},"ns":900}`. `value` means something only if
 * `defined` is true. If `certain` isn't, it would depend on data that isn't held here.
 */
MG_MUST_USE
mg_result mg_evaluate(mg_edge edge,
                      const char *entrypoint,
                      size_t entrypoint_len,
                      const char *input,
                      size_t input_len,
                      uint32_t flags,
                      struct mg_buffer *json);

/**
 * The edge's condition: what is served and how current it is, how the gateway is reached, how far records were
 * shipped. May wait for a change of policy under way; not for use before each decision.
 *
 * Writes a buffer with JSON, `{"engine":{…},"sync":{…}}`, that the caller frees with `mg_buffer_free`.
 */
MG_MUST_USE
mg_result mg_status(mg_edge edge,
                    struct mg_buffer *json);

/**
 * Waits until every record so far is written and, with a gateway, acknowledged; `MG_TIMEOUT` when `timeout_ms`
 * passed first. The records are still there then, and are shipped later.
 */
MG_MUST_USE
mg_result mg_flush_audit(mg_edge edge,
                         uint64_t timeout_ms);

/**
 * Closes an edge: ends its network, writes what is pending, frees it. Calls under way on other threads end normally;
 * if there are any, the last of them frees it. From then on the handle is `MG_BAD_HANDLE`. 0 is no edge, and
 * `MG_OK`.
 */
MG_MUST_USE
mg_result mg_close(mg_edge edge);

/**
 * Frees a buffer's text and clears the struct, so that freeing the same struct again does nothing. NULL and an empty
 * buffer are nothing to free. What isn't a buffer of this library isn't freed.
 */
void mg_buffer_free(struct mg_buffer *buffer);

/**
 * Why the last call of this thread that failed did, in words. Empty if none has. A call that succeeds changes nothing.
 *
 * Copies the text with its NUL into `text`, which has room for `capacity` bytes, and writes the number of bytes that
 * takes to `needed`, which may be NULL. If the room is too small: `MG_SHORT_BUFFER`, an empty text, and the number.
 * To ask for the number alone, pass NULL and 0.
 */
MG_MUST_USE
mg_result mg_last_error(char *text,
                        size_t capacity,
                        size_t *needed);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MESHGUARD_H */
