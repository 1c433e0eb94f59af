//! Ours beside its peers: the same policies and requests, in one run, on one machine.
//!
//! `rows` has what is asked, `contestant` what answers; `measure` takes the times, `bars` says what was promised, and
//! `report` and `chart` write it down. The method is in `benches/README.md`.

pub mod atr;
pub mod bars;
pub mod cedar;
pub mod chart;
pub mod child;
pub mod cold;
pub mod contestant;
pub mod counts;
pub mod machine;
pub mod measure;
pub mod ours;
pub mod question;
pub mod regorus;
pub mod report;
pub mod row;
pub mod rows;
pub mod rule;
pub mod threads;
