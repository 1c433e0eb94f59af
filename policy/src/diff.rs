//! What changes when one bundle takes another's place.

use std::collections::BTreeSet;
use std::fmt;

use meshguard_engine::Bundle;
use serde::Serialize;

/// One file, or the settings, that two bundles don't have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file's path; `.manifest` for the settings.
    pub path: String,
    /// How it differs.
    #[serde(flatten)]
    pub kind: ChangeKind,
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum ChangeKind {
    /// Only the new bundle has it.
    Added,
    /// Only the old bundle has it.
    Removed,
    /// Both have it, with other content.
    Changed {
        /// Lines that only the new one has.
        added: usize,
        /// Lines that only the old one has.
        removed: usize,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ChangeKind::Added => write!(f, "+ {}", self.path),
            ChangeKind::Removed => write!(f, "- {}", self.path),
            ChangeKind::Changed { added, removed } => write!(f, "~ {} (+{added} -{removed} lines)", self.path),
        }
    }
}

/// What changes from `old` to `new`, sorted by path; empty when both decide alike.
///
/// ```
/// use meshguard_engine::Bundle;
/// use meshguard_policy::diff;
///
/// let bundle = |text: &'static str| Bundle::from_files([("a.rego".to_owned(), text.into())].into());
/// let changes = diff(&bundle("package a\nx := 1\n")?, &bundle("package a\nx := 2\n")?);
/// assert_eq!(changes[0].to_string(), "~ a.rego (+1 -1 lines)");
/// # Ok::<(), meshguard_engine::Refusal>(())
/// ```
pub fn diff(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.settings != new.settings {
        changes.push(Change { path: ".manifest".into(), kind: ChangeKind::Changed { added: 0, removed: 0 } });
    }
    let paths: BTreeSet<&String> = old.files.keys().chain(new.files.keys()).collect();
    for path in paths {
        let kind = match (old.files.get(path), new.files.get(path)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) => {
                ChangeKind::Changed { added: lines_only_in(new, old), removed: lines_only_in(old, new) }
            }
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
        };
        changes.push(Change { path: path.clone(), kind });
    }
    changes
}

/// How many lines of `a` have no equal in `b`; moved lines don't count.
fn lines_only_in(a: &[u8], b: &[u8]) -> usize {
    let lines = |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect() };
    let mut others = std::collections::BTreeMap::<Vec<u8>, usize>::new();
    for line in lines(b) {
        *others.entry(line).or_default() += 1;
    }
    lines(a)
        .into_iter()
        .filter(|line| match others.get_mut(line) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(files: &[(&str, &str)]) -> Bundle {
        let files =
            files.iter().map(|(path, body)| ((*path).to_owned(), bytes::Bytes::copy_from_slice(body.as_bytes())));
        Bundle::from_files(files.collect()).unwrap()
    }

    #[test]
    fn added_removed_changed_and_equal() {
        let old = bundle(&[("a.rego", "package a\nx := 1\n"), ("b.rego", "package b\n"), ("c.rego", "package c\n")]);
        let new =
            bundle(&[("a.rego", "package a\ny := 2\nz := 3\n"), ("c.rego", "package c\n"), ("d.rego", "package d\n")]);
        let text: Vec<_> = diff(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["~ a.rego (+2 -1 lines)", "- b.rego", "+ d.rego"]);
        assert!(diff(&old, &old).is_empty());
    }

    #[test]
    fn settings_count() {
        let old = bundle(&[("a.rego", "package a\n")]);
        let mut new = old.clone();
        new.settings.remote_roots.push("data.approvals".into());
        assert_eq!(diff(&old, &new)[0].path, ".manifest");
    }
}
