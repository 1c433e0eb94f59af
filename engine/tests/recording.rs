//! What it costs a deciding thread to record: no allocation, once its ring is as large as it needs to be.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use meshguard_engine::internals::Records;
use meshguard_engine::{Engine, Request};

/// The system's allocator, with a count of each thread's allocations.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no count any more; nothing is measured there.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: each call goes on to the system's allocator as it came.
#[expect(unsafe_code, reason = "an allocator has no safe interface")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread during `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn recording_allocates_nothing() {
    let json = br#"{"actor":{"id":"agent-7","tags":["a","b"]},"action":"files.read","context":{"path":"/srv/app"}}"#;
    let request = Request::from_json(json).unwrap();
    let mut decision = Engine::builder("acme").open().unwrap().decide(&request);
    Arc::make_mut(&mut decision.verdict).rule = Some("secrets".to_owned());
    let records = Records::start().unwrap();
    let turn = || {
        assert!(records.record(&decision, &request) && records.record_json(&decision, json));
        let _ = records.name_and_count(&decision);
    };
    assert!(allocations(turn) > 0, "the first record makes the ring; if that isn't seen, nothing is");
    // More than the ring holds, so that it goes round.
    for _ in 0..50 {
        assert_eq!(allocations(|| (0..100).for_each(|_| turn())), 0);
        records.arrived();
    }
    assert_eq!(records.arrived(), 2 + 50 * 200);
}
