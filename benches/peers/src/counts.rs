//! Instructions of a decision: the only figure that a busy neighbour doesn't change. valgrind's callgrind counts them, of
//! the deciding thread alone, in two runs that differ in the number of decisions.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::contestant::Who;

/// Whose are counted: one row of the interpreter would take minutes.
pub const COUNTED: [Who; 5] = [Who::OursBuilt, Who::OursJson, Who::RvmParsed, Who::RvmJson, Who::Cedar];

/// Decisions of the shorter and of the longer run.
const DECISIONS: [u64; 2] = [64, 192];

/// The function inside which instructions are counted; `counted.rs` has it.
const COUNTING: &str = "*counted_decisions*";

/// Why nothing can be counted here, if so.
pub fn missing() -> Option<String> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => None,
        _ => Some("no valgrind".to_owned()),
    }
}

/// Instructions of one decision of `who` on the row `id`, by the program `counted`.
///
/// # Errors
/// It doesn't run under valgrind.
pub fn count(counted: &Path, id: &str, who: Who, scratch: &Path) -> anyhow::Result<u64> {
    let [few, many] = DECISIONS;
    let (less, more) = (total(counted, id, who, few, scratch)?, total(counted, id, who, many, scratch)?);
    Ok(more.saturating_sub(less) / (many - few))
}

fn total(counted: &Path, id: &str, who: Who, decisions: u64, scratch: &Path) -> anyhow::Result<u64> {
    let profile = scratch.join("callgrind.out");
    let name = serde_json::to_string(&who)?;
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--quiet"])
        .arg(format!("--toggle-collect={COUNTING}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(counted)
        .args([id, name.trim_matches('"'), &decisions.to_string()])
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = std::fs::read_to_string(&profile)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind gave no totals")?;
    Ok(totals.trim().parse()?)
}
