//! What the tests of the C interface share: a signed bundle, and a configuration that serves it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use meshguard_engine::{Bundle, SigningKey, Target};
use tempfile::TempDir;

const POLICY: &str = r#"package meshguard

default decision := {"effect": "deny", "reason": "no rule allows it"}

decision := {"effect": "allow"} if input.action == "files.read"

decision := {"effect": "require_approval", "approval": {"approvers": ["finance"]}} if input.action == "payments.send"

decision := {"effect": "allow", "obligations": [{"id": "redact"}]} if input.action == "mail.read"

fact := null

never := 1 if input.action == "nothing"
"#;

/// A folder with a signed bundle, and what an edge must be told to serve it. Everything is deleted in the end.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) config: String,
}

/// A bundle for the tenant `acme`, version 3, signed now.
pub(crate) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let files = BTreeMap::from([("agent.rego".to_owned(), POLICY.into())]);
    let signed = Bundle::from_files(files).unwrap().sign(&Target::new("acme", 3, now_ms), &key).unwrap();
    let path = dir.path().join("bundle.tar.gz");
    std::fs::write(&path, signed.to_tar_gz().unwrap()).unwrap();
    let config = serde_json::json!({
        "tenant": "acme",
        "bundle_path": path,
        "trusted_keys": [key.public().unwrap().to_pem()],
        "obligations": ["redact"],
    });
    Fixture { dir, config: config.to_string() }
}
