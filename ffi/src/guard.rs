//! Between C and everything else: failures become numbers, and no panic passes.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::types::mg_result;

/// Why a call failed: a number for programs, a text for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: mg_result,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(code: mg_result, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Runs the body of an export.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> mg_result {
    let failure = match catch(body) {
        Ok(Ok(())) => return mg_result::MG_OK,
        Ok(Err(failure)) => failure,
        Err(text) => Failure::new(mg_result::MG_PANIC, text),
    };
    remember(failure.text);
    failure.code
}

/// Runs the body of an export that gives a plain value, and `fallback` if it panics.
pub(crate) fn guard_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or_else(|text| {
        remember(text);
        fallback
    })
}

/// This thread's last failure, in words; empty before the first.
pub(crate) fn last_error() -> String {
    // A thread that is ending may have lost its text already.
    LAST_ERROR.try_with(|last| last.try_borrow().map(|text| text.clone()).unwrap_or_default()).unwrap_or_default()
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

fn remember(text: String) {
    // C would read a text only up to its first NUL, and a text may quote its input.
    let text = text.replace('\0', "\u{fffd}");
    let _ = LAST_ERROR.try_with(|last| last.try_borrow_mut().map(|mut last| *last = text));
}

// INVARIANT (unwind safety): a body writes its outputs last, and the engine's own state is behind locks that don't
// poison and atomics; so what a panic leaves behind is an output that denies.
fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = format!("panic: {} (this is a bug in meshguard; please report it)", words(payload.as_ref()));
        // Dropping a payload may panic again, and there is nobody left to catch it.
        std::mem::forget(payload);
        text
    })
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_number_and_the_next_call_works() {
        assert_eq!(guard(|| panic!("on purpose")), mg_result::MG_PANIC);
        assert!(last_error().contains("on purpose"), "{}", last_error());
        assert_eq!(guard_or(7, || panic!("{} purpose", "other")), 7);
        assert!(last_error().contains("other purpose"), "{}", last_error());
        assert_eq!(guard(|| Ok(())), mg_result::MG_OK);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_caught_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard(|| std::panic::panic_any(Bomb)), mg_result::MG_PANIC);
    }

    #[test]
    fn success_keeps_the_last_failure_and_other_threads_have_their_own() {
        let _ = guard(|| Err(Failure::new(mg_result::MG_IO, "a\0b")));
        let _ = guard(|| Ok(()));
        assert_eq!(last_error(), "a\u{fffd}b");
        assert_eq!(std::thread::spawn(last_error).join().unwrap(), "");
    }
}
