//! The policy and the requests of `examples/agent-tools`, carried in the command.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use meshguard_engine::{Bundle, Effect, Request};
use serde::Deserialize;

use crate::failure::Failure;

static EXAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../examples/agent-tools");

/// A request, and what OPA answered to it under both versions of the policy.
pub(super) struct Case {
    pub(super) request: Request,
    pub(super) v1: Effect,
    pub(super) v2: Effect,
}

/// One of the two versions, by its folder's name.
pub(super) fn policy(folder: &str) -> Result<Bundle, Failure> {
    let dir = EXAMPLES.get_dir(folder).ok_or_else(|| Failure::general(format!("no example `{folder}`")))?;
    let mut files = BTreeMap::new();
    collect(dir, dir, &mut files);
    Ok(Bundle::from_files(files)?)
}

/// The requests, with the answers expected.
pub(super) fn cases() -> Result<Vec<Case>, Failure> {
    #[derive(Deserialize)]
    struct Expected {
        request_id: String,
        v1: Answer,
        v2: Answer,
    }
    #[derive(Deserialize)]
    struct Answer {
        effect: Effect,
    }
    let mut expected = BTreeMap::new();
    for line in lines("expected.jsonl")? {
        let Expected { request_id, v1, v2 } = serde_json::from_str(line)?;
        expected.insert(request_id, (v1.effect, v2.effect));
    }
    lines("requests.jsonl")?
        .map(|line| {
            let request = Request::from_json(line.as_bytes()).map_err(Failure::general)?;
            let (v1, v2) = expected
                .remove(&request.request_id)
                .ok_or_else(|| Failure::general(format!("no answer expected for `{}`", request.request_id)))?;
            Ok(Case { request, v1, v2 })
        })
        .collect()
}

/// The request whose answer needs what only the control plane holds.
pub(super) fn uncertain() -> Result<Request, Failure> {
    Request::from_json(text("uncertain.json")?.as_bytes()).map_err(Failure::general)
}

/// What the control plane holds.
pub(super) fn remote_data() -> Result<Vec<u8>, Failure> {
    Ok(text("approvals.json")?.as_bytes().to_vec())
}

fn lines(file: &str) -> Result<impl Iterator<Item = &'static str>, Failure> {
    Ok(text(file)?.lines().filter(|line| !line.trim().is_empty()))
}

fn text(file: &str) -> Result<&'static str, Failure> {
    EXAMPLES
        .get_file(file)
        .and_then(include_dir::File::contents_utf8)
        .ok_or_else(|| Failure::general(format!("no example `{file}`")))
}

fn collect(root: &Dir<'static>, dir: &Dir<'static>, files: &mut BTreeMap<String, bytes::Bytes>) {
    for file in dir.files() {
        if let Some(path) = file.path().strip_prefix(root.path()).ok().and_then(|path| path.to_str()) {
            files.insert(path.to_owned(), bytes::Bytes::from_static(file.contents()));
        }
    }
    for inner in dir.dirs() {
        collect(root, inner, files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshguard_engine::Engine;

    /// The demo's expectations are OPA's answers; the engine must give them too, and be uncertain where it says.
    #[test]
    fn the_engine_answers_as_opa_does() {
        for (folder, pick) in [("policy", 1), ("policy-v2", 2)] {
            let bundle = policy(folder).unwrap();
            let engine = Engine::builder("acme").unsigned_bundle(bundle).open().unwrap();
            assert!(engine.status().rules >= 40);
            for case in cases().unwrap() {
                let outcome = engine.outcome(&case.request);
                let expected = if pick == 1 { case.v1 } else { case.v2 };
                let reasons = &outcome.verdict().reasons;
                assert_eq!(
                    outcome.verdict().effect,
                    expected,
                    "{} under {folder}: {reasons:?}",
                    case.request.request_id
                );
                assert!(outcome.is_certain(), "{}", case.request.request_id);
            }
            assert!(!engine.outcome(&uncertain().unwrap()).is_certain());
        }
    }
}
