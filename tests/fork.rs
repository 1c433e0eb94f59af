//! A child forked from a process that decides: it denies, says why, and waits for nothing that only its parent has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use harness::{Scene, bundle};
use meshguard_engine::{ReasonCode, Request};

#[test]
fn a_forked_child_denies_and_may_open_an_engine_of_its_own() {
    let engine = Scene::new().serving(bundle("decision := true"));
    let ask = || engine.decide(&Request::new("a", "b"));
    assert!(ask().is_allowed());
    // SAFETY: the child only decides, allocates (which glibc keeps working across `fork`), and leaves by `_exit`.
    #[expect(unsafe_code, reason = "forking has no safe interface")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let decision = ask();
        let denies = !decision.is_allowed() && decision.has_reason(ReasonCode::Forked) && !decision.recorded;
        let status = engine.status();
        let own = Scene::new().serving(bundle("decision := true"));
        let own_decides = own.decide(&Request::new("a", "b")).is_allowed();
        let held = denies && status.audit.pending == 0 && own_decides;
        // SAFETY: ends the child at once, without the parent's destructors.
        #[expect(unsafe_code, reason = "leaving a forked child has no safe interface")]
        unsafe {
            libc::_exit(i32::from(!held))
        }
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` outlives the call, and `child` is this process's child.
    #[expect(unsafe_code, reason = "waiting for a child by number has no safe interface")]
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (child, true, 0));
    assert!(ask().is_allowed());
}
