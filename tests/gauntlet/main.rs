//! The gauntlet: hostile policies and hostile inputs, each in a process of its own, on a thread with a stack of 128 KiB and
//! with 2 GiB of address space. None may end the process, answer later than 100 ms, take longer than a second to be decided
//! upon at load, or grow the process by 64 MiB; and a benign bundle loaded before must still allow and deny what it should.
//! Beside them stand their benign twins, which must be accepted and allowed.
//!
//! Times are the CPU time that the answering thread, or for a load the process, spends: a machine that is busy with other
//! work makes both wait, and that is no fault of the engine's.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod case;
mod child;
mod controls;
mod inputs;
mod measure;
mod policies;
mod run;
mod texts;
mod twins;

use std::collections::BTreeSet;

use crate::case::Case;
use crate::run::{run, wrongs};

#[test]
fn hostile_policies() {
    run("hostile policies", &named("policy", policies::cases()), 40);
}

#[test]
fn hostile_texts() {
    run("hostile texts", &named("text", texts::cases()), 40);
}

#[test]
fn hostile_inputs() {
    run("hostile inputs", &named("input", inputs::cases()), 40);
}

#[test]
fn benign_twins() {
    run("benign twins", &named("twin", twins::cases()), 20);
}

/// That the judge sees what no engine may do.
#[test]
fn misdeeds_are_seen() {
    for (case, what) in controls::cases() {
        let wrongs = wrongs(&case);
        assert!(wrongs.iter().any(|wrong| wrong.contains(what)), "{}: {what:?} is due, not {wrongs:?}", case.name);
    }
    for case in controls::innocent() {
        assert_eq!(wrongs(&case), Vec::<String>::new(), "{}", case.name);
    }
}

/// What runs in the child process: the case that the environment names. Nothing, where it names none.
#[test]
fn child() {
    let Ok(name) = std::env::var(child::NAME) else { return };
    let all = [
        named("policy", policies::cases()),
        named("text", texts::cases()),
        named("input", inputs::cases()),
        named("twin", twins::cases()),
        controls::cases().into_iter().map(|(case, _)| case).chain(controls::innocent()).collect(),
    ];
    let case = all.into_iter().flatten().find(|case| case.name == name);
    child::run(&case.unwrap_or_else(|| panic!("no case `{name}`")));
}

fn named(kind: &str, mut cases: Vec<Case>) -> Vec<Case> {
    let mut names = BTreeSet::new();
    for case in &mut cases {
        case.name = format!("{kind}: {}", case.name);
        assert!(names.insert(case.name.clone()), "two cases `{}`", case.name);
    }
    cases
}
