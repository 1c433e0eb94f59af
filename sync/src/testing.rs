//! What unit tests share: one publisher, bundles it signed, engines that serve them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use meshguard_engine::{Bundle, Engine, SignedBundle, SigningKey, Target, VerifiedBundle};

/// The publisher's key.
pub(crate) fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap())
}

/// A bundle of tenant `acme`. Signed at a fixed moment of this process, so that equal files make equal manifests.
pub(crate) fn signed(files: &[(&str, &str)], version: u64) -> SignedBundle {
    static NOW_MS: OnceLock<i64> = OnceLock::new();
    let now_ms = *NOW_MS.get_or_init(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64);
    let files = files.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
    Bundle::from_files(files.collect()).unwrap().sign(&Target::new("acme", version, now_ms), key()).unwrap()
}

/// An engine in memory that serves the files, if there are any.
pub(crate) fn engine(files: &[(&str, &str)], version: u64) -> Arc<Engine> {
    let engine = Engine::builder("acme").trust(key().public().unwrap()).open().unwrap();
    if !files.is_empty() {
        apply(&engine, &signed(files, version));
    }
    Arc::new(engine)
}

/// Serves `bundle`.
pub(crate) fn apply(engine: &Engine, bundle: &SignedBundle) {
    let verified = VerifiedBundle::new(bundle, &[key().public().unwrap()], "acme", "default").unwrap();
    engine.apply(&verified).unwrap();
}

/// A policy whose `meshguard.approved` depends on data that only the control plane holds.
pub(crate) const REMOTE: [(&str, &str); 2] = [
    (
        ".manifest",
        r#"{"roots":["meshguard"],"metadata":{"meshguard":{"remote_roots":["data.approvals"],
            "entrypoints":{"data.meshguard.decision":{},"data.meshguard.approved":{}}}}}"#,
    ),
    ("a.rego", "package meshguard\ndefault decision := true\napproved if data.approvals[input.actor.id]\n"),
];

/// A question that needs that data.
pub(crate) fn uncertain() -> meshguard_engine::Request {
    meshguard_engine::Request::new("agent-7", "pay").entrypoint("data.meshguard.approved")
}
