//! What takes arbitrary bytes: the fuzz targets under `fuzz/` call these, and so does a test, with bent vectors. Whatever
//! comes in is answered or refused, and what is accepted means the same when it is read again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use meshguard_engine::bundle::{Bundle, Envelope, MANIFEST_TYPE, Manifest, RegoVersion, Settings, SignedBundle};
use meshguard_engine::internals::{Answer, Input, Policy, readers_agree};
use meshguard_engine::{SigningKey, VerifiedManifest};

use crate::engines::NOW_NS;

/// An input for policies.
const INPUT: &str = r#"{"user": "alice", "roles": ["admin"], "n": 1, "x": {"a": null}}"#;

/// A policy for inputs, which goes through all of them.
const WALK: &str = "package p
texts contains text if { walk(input, [_, value]); text := sprintf(\"%v\", [value]) }
same := json.unmarshal(json.marshal(input)) == input
";

/// A module's text, after a byte that chooses the version of Rego.
///
/// # Panics
/// The engine does.
pub fn policy(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let rego = if first % 2 == 0 { RegoVersion::V1 } else { RegoVersion::V0 };
    let Ok(policy) = compile(text, rego) else { return };
    ask(&policy, "data", INPUT);
}

/// A request's document, or a request.
///
/// # Panics
/// The engine does, its readers differ, or another document comes back.
pub fn input(bytes: &[u8]) {
    assert_eq!(readers_agree(bytes), Ok(()));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if Input::strict(text).is_err() {
        return;
    }
    assert!(Input::data(text).is_ok(), "what a request may hold, data may hold");
    static POLICY: OnceLock<Option<Policy>> = OnceLock::new();
    let policy = POLICY.get_or_init(|| compile(WALK.as_bytes(), RegoVersion::V1).ok()).as_ref();
    assert!(policy.is_some(), "a policy of this file is refused");
    if let Some(policy) = policy {
        ask(policy, "data.p.texts", text);
        if let Some(Answer::Value { rego, .. }) = ask(policy, "data.p.same", text) {
            assert_eq!(rego, "true", "another document comes back");
        }
    }
}

/// An archive, signed or not, or the same before it is compressed.
///
/// # Panics
/// The engine does, or an archive that it wrote reads as something else.
pub fn bundle(bytes: &[u8]) {
    let mut archive = bytes.to_vec();
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
        archive = written.unwrap_or_default();
    }
    // Neither is verified here, so that what is read needn't be whole; but written and read again it is the same.
    if let Ok(signed) = SignedBundle::from_tar_gz(&archive)
        && let Ok(written) = signed.to_tar_gz()
        && let Ok(again) = SignedBundle::from_tar_gz(&written)
    {
        assert_eq!(again, signed);
    }
    let Ok(bundle) = Bundle::from_tar_gz(&archive) else { return };
    if let Ok(written) = bundle.to_tar_gz()
        && let Ok(again) = Bundle::from_tar_gz(&written)
    {
        assert_eq!(again, bundle);
    }
    let Bundle { files, settings } = bundle;
    let asked: Vec<String> = settings.entrypoints.keys().cloned().collect();
    let Ok(policy) = Policy::new(files, settings) else { return };
    for path in asked {
        ask(&policy, &path, INPUT);
    }
}

/// A manifest, by itself, signed, and in the envelope that it is sent in.
///
/// # Panics
/// The engine does, or a manifest that it wrote reads as another one.
pub fn manifest(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::from_json(bytes) {
        let again = Envelope::from_json(&envelope.to_json());
        assert!(again.is_ok_and(|again| again == envelope), "another envelope");
        let _ = Manifest::parse(&envelope.payload);
    }
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let written = manifest.to_bytes();
    assert!(
        written.is_ok_and(|written| Manifest::parse(&written).is_ok_and(|again| again == manifest)),
        "another manifest"
    );
    static KEY: OnceLock<Option<SigningKey>> = OnceLock::new();
    let Some(key) = KEY.get_or_init(|| SigningKey::generate().ok()) else { return };
    let envelope = Envelope::sign(MANIFEST_TYPE, Bytes::copy_from_slice(bytes), key);
    let (Ok(envelope), Ok(public)) = (envelope, key.public()) else { return };
    if let Ok(verified) = VerifiedManifest::new(envelope, &[public], &manifest.tenant, &manifest.scope) {
        // Nobody has the files; whoever promises some gets no bundle.
        assert!(verified.assemble(|_| None).is_err() || manifest.files.is_empty(), "a bundle without its files");
    }
}

fn compile(text: &[u8], rego: RegoVersion) -> Result<Policy, meshguard_engine::Refusal> {
    let files = BTreeMap::from([("p.rego".to_owned(), Bytes::copy_from_slice(text))]);
    Policy::new(files, Settings { rego, entrypoints: BTreeMap::new(), ..Settings::default() })
}

/// The answer, if it isn't that the engine gave up.
fn ask(policy: &Policy, path: &str, input: &str) -> Option<Answer> {
    let input = Input::data(input).ok()?;
    let answer = policy.evaluate(path, Some(&input), NOW_NS).answer;
    if let Answer::Error { code, message } = &answer {
        assert_ne!(code, "panic", "{message}");
        return None;
    }
    Some(answer)
}
