//! An edge without a gateway.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::time::Duration;

use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::{Bundle, ReasonCode, Request, SignedBundle, SigningKey, Target};
use meshguard_sync::{Edge, EdgeConfig, Error, FailureMode};

const POLICY: [(&str, &str); 1] = [("a.rego", "package meshguard\ndecision if input.action == \"read\"\n")];

struct Publisher(SigningKey);

impl Publisher {
    fn new() -> Self {
        Self(SigningKey::generate().unwrap())
    }

    fn pem(&self) -> String {
        self.0.public().unwrap().to_pem()
    }

    fn sign(&self, version: u64, files: &[(&str, &'static str)]) -> SignedBundle {
        let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), (*body).into()));
        let bundle = Bundle::from_files(files.collect()).unwrap();
        bundle.sign(&Target::new("acme", version, now_ms), &self.0).unwrap()
    }
}

fn write(dir: &tempfile::TempDir, name: &str, signed: &SignedBundle) -> std::path::PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, signed.to_tar_gz().unwrap()).unwrap();
    path
}

#[test]
fn decides_from_a_file_and_starts_no_thread() {
    let publisher = Publisher::new();
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "one.tar.gz", &publisher.sign(1, &POLICY));
    let edge = Edge::open(EdgeConfig::new("acme").trusted_key(publisher.pem()).bundle_path(path)).unwrap();
    assert!(edge.decide(&Request::new("a", "read")).is_allowed());
    assert!(!edge.decide(&Request::new("a", "write")).is_allowed());
    assert!(edge.decide_json(br#"{"actor":{"id":"a"},"action":"read"}"#).is_allowed());
    assert!(edge.decide_json(b"rubbish").has_reason(ReasonCode::BadInput));
    let raw = edge.evaluate("data.meshguard.decision", r#"{"action":"read"}"#, BuiltinErrors::Opa).unwrap();
    assert_eq!(raw.value.as_deref().map(serde_json::value::RawValue::get), Some("true"));
    let status = edge.status();
    assert_eq!((status.sync.gateway, status.sync.streams), (None, 0));
    assert!(!edge.wait_until_live(Duration::from_secs(60)) && !edge.flush_audit(Duration::from_secs(60)));
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    assert!(!names.map(|name| name.trim().to_owned()).any(|name| name.starts_with("meshguard-sync")));
}

#[test]
fn what_is_held_is_not_replaced_by_an_older_file() {
    let publisher = Publisher::new();
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let new = write(&dir, "two.tar.gz", &publisher.sign(2, &POLICY));
    let old = write(&dir, "one.tar.gz", &publisher.sign(1, &POLICY));
    let open = |path| {
        Edge::open(EdgeConfig::new("acme").trusted_key(publisher.pem()).state_dir(state.path()).bundle_path(path))
            .unwrap()
    };
    assert_eq!(open(&new).status().engine.revision.unwrap().version, 2);
    let status = open(&old).status().engine;
    assert_eq!((status.revision.unwrap().version, status.behind), (2, None));
}

#[test]
fn nothing_is_uncertain_enough_to_fail_open_without_a_gateway() {
    let config = || EdgeConfig::new("acme").failure_mode(FailureMode::Open);
    assert!(matches!(Edge::open(config()), Err(Error::Config(_))), "nor without a place to keep when it ends");
    let state = tempfile::tempdir().unwrap();
    let edge = Edge::open(config().state_dir(state.path())).unwrap();
    let decision = edge.decide(&Request::new("a", "read"));
    assert!(!decision.is_allowed() && decision.has_reason(ReasonCode::NoBundle));
}

#[test]
fn what_cannot_work_is_refused_at_opening() {
    let publisher = Publisher::new();
    let dir = tempfile::tempdir().unwrap();
    let stranger = write(&dir, "stranger.tar.gz", &Publisher::new().sign(1, &POLICY));
    let config = || EdgeConfig::new("acme");
    let cases = [
        config().trusted_key("rubbish"),
        config().identity_key("rubbish"),
        config().gateway("http://pdp.example.com"),
        config().gateway("http://localhost:1").agent_token("two words"),
        config().bundle_path("/nowhere/at/all"),
    ];
    for config in cases {
        assert!(matches!(Edge::open(config), Err(Error::Config(_))));
    }
    let forged = config().trusted_key(publisher.pem()).bundle_path(stranger);
    assert!(matches!(Edge::open(forged), Err(Error::Engine(meshguard_engine::Error::Refused(_)))));
}
