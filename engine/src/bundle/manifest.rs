//! What a publisher signs: which files, for whom, until when, and how they are to be asked.
//!
//! The format is JSON, version 1; the *bytes* are signed and digested, and never re-serialised. An unknown field is
//! refused: it may be a constraint that this version doesn't know how to honour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle::Revision;
use crate::bundle::limits::{MAX_FILES, MAX_MANIFEST_BYTES};
use crate::digest::Digest;
use crate::error::{Refusal, Stage};

/// The entrypoint asked when a request names none.
pub const DEFAULT_ENTRYPOINT: &str = "data.meshguard.decision";

/// The version of the manifest's format that this library writes and reads.
pub const FORMAT: u32 = 1;

/// One signed set of policies and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Whose bundle this is.
    pub tenant: String,
    /// Which of the tenant's bundles.
    pub scope: String,
    /// See [`Revision`].
    pub key_epoch: u64,
    /// See [`Revision`].
    pub version: u64,
    /// When it was signed, in milliseconds since the Unix epoch.
    pub issued_at_ms: i64,
    /// The hard TTL: from then on it allows nothing.
    pub expires_at_ms: i64,
    /// How long the control plane's last word is fresh, in milliseconds.
    pub soft_ttl_ms: u64,
    /// How the bundle is to be read and asked.
    pub settings: Settings,
    /// Every file, sorted by path; a file that isn't listed isn't part of the bundle.
    pub files: Vec<FileEntry>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the file's bytes.
    pub digest: Digest,
}

/// How a bundle is to be read and asked. In a source folder it stands in OPA's own `.manifest`, under
/// `metadata.meshguard`; in a manifest it is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The syntax of the `.rego` files.
    pub rego: RegoVersion,
    /// The rules that may be asked for a decision, by path.
    pub entrypoints: BTreeMap<String, Entrypoint>,
    /// Paths of data that only the control plane holds, e.g. `data.approvals`.
    pub remote_roots: Vec<String>,
    /// Fields of the input that an audit record may hold in the clear, as JSON pointers.
    pub plain: Vec<String>,
    /// Whether decisions bind.
    pub mode: Mode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rego: RegoVersion::default(),
            entrypoints: BTreeMap::from([(DEFAULT_ENTRYPOINT.to_owned(), Entrypoint::default())]),
            remote_roots: Vec::new(),
            plain: vec!["/action".to_owned(), "/actor/id".to_owned()],
            mode: Mode::default(),
        }
    }
}

/// The version of Rego's syntax.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegoVersion {
    /// `if` and `contains` are keywords; OPA 1.0 and later.
    #[default]
    V1,
    /// As OPA read it before 1.0.
    V0,
}

/// Whether decisions bind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// They are made and recorded, and the host is told to go ahead.
    Audit,
}

/// How one rule is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entrypoint {
    /// How bad a wrong answer is; for people and for grading alerts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub risk: String,
    /// An allow given longer than this after the control plane's last word is uncertain, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_ms: Option<u64>,
    /// When to ask the remote PDP.
    pub defer: Defer,
    /// How its records are classed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audit: String,
    /// Whether the masked input is kept, so that a new policy can be tried on it.
    pub replayable: bool,
    /// Whether the record must survive a power cut before the decision returns.
    pub durable: bool,
    /// What an error swallowed during evaluation does to an allow.
    pub builtin_errors: BuiltinErrors,
}

/// When to ask the remote PDP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defer {
    /// When the local answer isn't certain.
    #[default]
    Uncertain,
    /// Never: uncertain is deny.
    Never,
    /// Always: nothing is decided here.
    Always,
}

/// What an error swallowed during evaluation does to an allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltinErrors {
    /// It becomes a deny.
    #[default]
    Deny,
    /// It stands, as in OPA's default mode.
    Opa,
}

impl Manifest {
    /// Reads the bytes that were signed.
    ///
    /// # Errors
    /// They are too many, no manifest of this format, or contradict themselves.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            let detail = format!("{} bytes; the limit is {MAX_MANIFEST_BYTES}", bytes.len());
            return Err(Refusal::new(Stage::Limit, "manifest_size", detail));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| Refusal::new(Stage::Parse, "manifest", e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// The manifest contradicts itself.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        self.check()?;
        serde_json::to_vec(self).map_err(|e| Refusal::new(Stage::Parse, "manifest", e.to_string()))
    }

    /// The bundle's identity, given the digest of the manifest's bytes.
    pub const fn revision(&self, digest: Digest) -> Revision {
        Revision { key_epoch: self.key_epoch, version: self.version, manifest: digest }
    }

    fn check(&self) -> Result<(), Refusal> {
        let refuse = |code: &str, detail: String| Err(Refusal::new(Stage::Parse, code, detail));
        if self.format != FORMAT {
            return refuse("format", format!("format {}; this version reads {FORMAT}", self.format));
        }
        if self.tenant.is_empty() || self.scope.is_empty() {
            return refuse("tenant", "tenant and scope must be named".into());
        }
        if self.version == 0 {
            return refuse("version", "versions start at 1".into());
        }
        if self.expires_at_ms <= self.issued_at_ms {
            return refuse("expires_at", "the hard TTL ends before it begins".into());
        }
        if self.files.len() > MAX_FILES {
            let detail = format!("{} files; the limit is {MAX_FILES}", self.files.len());
            return Err(Refusal::new(Stage::Limit, "file_count", detail));
        }
        for file in &self.files {
            super::read::check_path(&file.path)?;
        }
        if !self.files.is_sorted_by(|a, b| a.path < b.path) {
            return refuse("file_order", "files must be sorted by path, each once".into());
        }
        self.settings.check()
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let refuse = |code: &str, detail: String| Err(Refusal::new(Stage::Parse, code, detail));
        if self.entrypoints.is_empty() {
            return refuse("entrypoints", "a bundle without an entrypoint can't be asked anything".into());
        }
        for path in self.entrypoints.keys().chain(&self.remote_roots) {
            if !path.strip_prefix("data.").is_some_and(|rest| rest.split('.').all(is_identifier)) {
                return refuse("path", format!("`{path}` isn't `data.` and identifiers"));
            }
        }
        if let Some(pointer) = self.plain.iter().find(|pointer| !pointer.starts_with('/')) {
            return refuse("plain", format!("`{pointer}` is no JSON pointer; write `/{pointer}`"));
        }
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            tenant: "acme".into(),
            scope: "default".into(),
            key_epoch: 1,
            version: 3,
            issued_at_ms: 1,
            expires_at_ms: 2,
            soft_ttl_ms: 60_000,
            settings: Settings::default(),
            files: vec![FileEntry { path: "a.rego".into(), size: 1, digest: Digest::of(b"a") }],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = manifest().to_bytes().unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest());
    }

    #[test]
    fn contradictions_are_refused() {
        let file = |path: &str| FileEntry { path: path.into(), size: 0, digest: Digest::of(b"") };
        let cases: [(&str, Manifest); 9] = [
            ("format", Manifest { format: 2, ..manifest() }),
            ("tenant", Manifest { tenant: String::new(), ..manifest() }),
            ("version", Manifest { version: 0, ..manifest() }),
            ("expires_at", Manifest { expires_at_ms: 1, ..manifest() }),
            ("file_order", Manifest { files: vec![file("b"), file("a")], ..manifest() }),
            ("file_order", Manifest { files: vec![file("a"), file("a")], ..manifest() }),
            ("path", Manifest { files: vec![file("../a")], ..manifest() }),
            (
                "path",
                Manifest {
                    settings: Settings { remote_roots: vec!["approvals".into()], ..Settings::default() },
                    ..manifest()
                },
            ),
            (
                "entrypoints",
                Manifest { settings: Settings { entrypoints: BTreeMap::new(), ..Settings::default() }, ..manifest() },
            ),
        ];
        for (code, manifest) in cases {
            assert_eq!(manifest.to_bytes().unwrap_err().code, code);
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = String::from_utf8(manifest().to_bytes().unwrap()).unwrap();
        let altered = text.replacen('{', r#"{"only_on":"monday","#, 1);
        assert!(Manifest::parse(altered.as_bytes()).unwrap_err().detail.contains("only_on"));
    }
}
