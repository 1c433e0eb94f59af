//! Policies and data as they travel: read, built, signed, verified.
//!
//! ```text
//! folder or .tar.gz ── read ──▶ Bundle ── sign ──▶ SignedBundle ── archive ──▶ .tar.gz, also readable by plain OPA
//! Envelope ── verify ──▶ VerifiedManifest ── assemble ──▶ VerifiedBundle ── Engine::apply ──▶ served
//! ```
//!
//! Only a [`VerifiedBundle`] can be applied; the type is the proof.

mod archive;
mod envelope;
mod limits;
mod manifest;
mod read;
mod revision;
mod verify;

use std::collections::BTreeMap;

use bytes::Bytes;

pub use self::envelope::{Envelope, MANIFEST_TYPE, Signature};
pub use self::manifest::{
    BuiltinErrors, DEFAULT_ENTRYPOINT, Defer, Entrypoint, FORMAT, FileEntry, Manifest, Mode, RegoVersion, Settings,
};
pub use self::revision::{AtLeast, Revision};
pub use self::verify::{VerifiedBundle, VerifiedManifest};
use crate::digest::Digest;
use crate::error::{Error, Refusal};
use crate::keys::SigningKey;

/// The name of the envelope inside a signed bundle's archive. OPA ignores it.
pub const ENVELOPE_FILE: &str = ".meshguard.dsse.json";

/// The hard TTL given when a publisher names none: 24 hours, in milliseconds.
pub const DEFAULT_HARD_TTL_MS: i64 = 24 * 60 * 60 * 1000;

/// The soft TTL given when a publisher names none: one minute, in milliseconds.
pub const DEFAULT_SOFT_TTL_MS: u64 = 60_000;

/// Policies and data as read, not yet trusted by anybody.
///
/// ```no_run
/// let bundle = meshguard_engine::Bundle::from_dir("examples/agent-tools/policy".as_ref())?;
/// println!("{} files", bundle.files.len());
/// # Ok::<(), meshguard_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// How it is to be read and asked.
    pub settings: Settings,
    /// Bytes by path: `*.rego`, `data.json` in any folder, `vectors.json`.
    pub files: BTreeMap<String, Bytes>,
}

/// For whom and until when a bundle is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose bundle.
    pub tenant: String,
    /// Which of the tenant's bundles.
    pub scope: String,
    /// See [`Revision`].
    pub key_epoch: u64,
    /// See [`Revision`].
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    pub issued_at_ms: i64,
    /// Hard TTL, in milliseconds from `issued_at_ms`.
    pub hard_ttl_ms: i64,
    /// Soft TTL, in milliseconds.
    pub soft_ttl_ms: u64,
}

impl Target {
    /// The first epoch, the usual TTLs, the scope `default`.
    pub fn new(tenant: impl Into<String>, version: u64, issued_at_ms: i64) -> Self {
        Self {
            tenant: tenant.into(),
            scope: "default".to_owned(),
            key_epoch: 1,
            version,
            issued_at_ms,
            hard_ttl_ms: DEFAULT_HARD_TTL_MS,
            soft_ttl_ms: DEFAULT_SOFT_TTL_MS,
        }
    }
}

impl Bundle {
    /// The manifest that describes this bundle for `target`.
    pub fn manifest(&self, target: &Target) -> Manifest {
        Manifest {
            format: FORMAT,
            tenant: target.tenant.clone(),
            scope: target.scope.clone(),
            key_epoch: target.key_epoch,
            version: target.version,
            issued_at_ms: target.issued_at_ms,
            expires_at_ms: target.issued_at_ms.saturating_add(target.hard_ttl_ms),
            soft_ttl_ms: target.soft_ttl_ms,
            settings: self.settings.clone(),
            files: self
                .files
                .iter()
                .map(|(path, body)| FileEntry { path: path.clone(), size: body.len() as u64, digest: Digest::of(body) })
                .collect(),
        }
    }

    /// Describes and signs this bundle for `target`.
    ///
    /// # Errors
    /// The settings contradict themselves, or the key can't be used.
    pub fn sign(self, target: &Target, key: &SigningKey) -> Result<SignedBundle, Error> {
        let manifest = self.manifest(target).to_bytes()?;
        let envelope = Envelope::sign(MANIFEST_TYPE, manifest.into(), key)?;
        Ok(SignedBundle { envelope, files: self.files })
    }

    /// The digest of everything that decides: two bundles with equal digests answer alike.
    pub fn digest(&self) -> Digest {
        let settings = serde_json::to_vec(&self.settings).unwrap_or_default();
        let files = self.files.iter().flat_map(|(path, body)| [path.as_bytes(), body.as_ref()]);
        Digest::of_parts(std::iter::once(settings.as_slice()).chain(files))
    }
}

/// A bundle with its signed manifest: what is published, stored and sent. Not yet verified by whoever holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedBundle {
    /// The signed manifest.
    pub envelope: Envelope,
    /// Bytes by path.
    pub files: BTreeMap<String, Bytes>,
}

impl SignedBundle {
    /// The manifest, unverified: for looking at, not for trusting.
    ///
    /// # Errors
    /// The payload is no manifest.
    pub fn manifest(&self) -> Result<Manifest, Refusal> {
        Manifest::parse(&self.envelope.payload)
    }

    /// The bundle, unverified: for looking at, not for serving.
    ///
    /// # Errors
    /// The payload is no manifest.
    pub fn bundle(&self) -> Result<Bundle, Refusal> {
        Ok(Bundle { settings: self.manifest()?.settings, files: self.files.clone() })
    }
}
