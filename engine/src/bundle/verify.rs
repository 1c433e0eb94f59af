//! From signed bytes to a bundle that may serve. Parse once, then pass the proof.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::limits::{MAX_BUNDLE_BYTES, MAX_FILE_BYTES};
use super::{Bundle, Envelope, FileEntry, MANIFEST_TYPE, Manifest, Revision, SignedBundle};
use crate::digest::Digest;
use crate::error::{Refusal, Stage};
use crate::keys::PublicKey;

/// A manifest that a trusted key signed for this tenant and scope.
#[derive(Debug, Clone)]
pub struct VerifiedManifest {
    envelope: Envelope,
    manifest: Manifest,
    revision: Revision,
}

impl VerifiedManifest {
    /// Verifies signature, type, tenant, scope and declared sizes. Expiry and floor depend on when and where it is used:
    /// [`Engine::admit`](crate::Engine::admit) checks them.
    ///
    /// # Errors
    /// It isn't signed by one of `trusted`, is another's, or promises too much.
    pub fn new(envelope: Envelope, trusted: &[PublicKey], tenant: &str, scope: &str) -> Result<Self, Refusal> {
        let payload = envelope.verify(MANIFEST_TYPE, trusted)?;
        let manifest = Manifest::parse(payload)?;
        let revision = manifest.revision(Digest::of(payload));
        if manifest.tenant != tenant {
            let detail = format!("signed for tenant `{}`; this is `{tenant}`", manifest.tenant);
            return Err(Refusal::new(Stage::Tenant, "tenant", detail));
        }
        if manifest.scope != scope {
            let detail = format!("signed for scope `{}`; this is `{scope}`", manifest.scope);
            return Err(Refusal::new(Stage::Tenant, "scope", detail));
        }
        if let Some(file) = manifest.files.iter().find(|file| file.size > MAX_FILE_BYTES) {
            let detail = format!("{} bytes; the limit is {MAX_FILE_BYTES}", file.size);
            return Err(Refusal::new(Stage::Limit, "file_size", detail).in_file(&file.path));
        }
        let total: u64 = manifest.files.iter().map(|file| file.size).sum();
        if total > MAX_BUNDLE_BYTES {
            let detail = format!("{total} bytes; the limit is {MAX_BUNDLE_BYTES}");
            return Err(Refusal::new(Stage::Limit, "bundle_size", detail));
        }
        Ok(Self { envelope, manifest, revision })
    }

    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its identity.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The signed bytes, for keeping.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Completes the bundle with the bodies that `body` finds by digest, each checked against the manifest.
    ///
    /// # Errors
    /// A body is missing, or isn't what was signed.
    pub fn assemble(self, mut body: impl FnMut(&FileEntry) -> Option<Bytes>) -> Result<VerifiedBundle, Refusal> {
        let mut files = BTreeMap::new();
        for file in &self.manifest.files {
            let Some(bytes) = body(file) else {
                return Err(Refusal::new(Stage::Digest, "missing", "the body wasn't sent").in_file(&file.path));
            };
            if bytes.len() as u64 != file.size || Digest::of(&bytes) != file.digest {
                return Err(Refusal::new(Stage::Digest, "digest", "the body isn't what was signed").in_file(&file.path));
            }
            files.insert(file.path.clone(), bytes);
        }
        let bundle = Bundle { settings: self.manifest.settings.clone(), files };
        Ok(VerifiedBundle { manifest: self, bundle })
    }
}

/// A bundle whose every byte is what a trusted key signed. The only thing that [`Engine::apply`](crate::Engine::apply)
/// takes.
#[derive(Debug, Clone)]
pub struct VerifiedBundle {
    manifest: VerifiedManifest,
    bundle: Bundle,
}

impl VerifiedBundle {
    /// Verifies a signed bundle held whole.
    ///
    /// # Errors
    /// See [`VerifiedManifest::new`] and [`VerifiedManifest::assemble`].
    pub fn new(signed: &SignedBundle, trusted: &[PublicKey], tenant: &str, scope: &str) -> Result<Self, Refusal> {
        VerifiedManifest::new(signed.envelope.clone(), trusted, tenant, scope)?
            .assemble(|file| signed.files.get(&file.path).cloned())
    }

    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        self.manifest.manifest()
    }

    /// Its identity.
    pub fn revision(&self) -> Revision {
        self.manifest.revision()
    }

    /// The signed bytes.
    pub fn envelope(&self) -> &Envelope {
        self.manifest.envelope()
    }

    /// What was signed, as files.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Target;
    use crate::keys::SigningKey;

    fn signed(key: &SigningKey) -> SignedBundle {
        let files = [("a.rego", "package meshguard\n"), ("x/data.json", "{}")];
        let files = files.map(|(path, body)| (path.to_owned(), Bytes::from_static(body.as_bytes())));
        let bundle = Bundle::from_files(files.into_iter().collect()).unwrap();
        bundle.sign(&Target::new("acme", 1, 1_000), key).unwrap()
    }

    fn code(signed: &SignedBundle, key: &SigningKey, tenant: &str, scope: &str) -> String {
        VerifiedBundle::new(signed, &[key.public().unwrap()], tenant, scope).map_or_else(|r| r.code, |_| "ok".into())
    }

    #[test]
    fn accepts_what_was_signed_and_nothing_else() {
        let key = SigningKey::generate().unwrap();
        let good = signed(&key);
        assert_eq!(code(&good, &key, "acme", "default"), "ok");
        assert_eq!(code(&good, &key, "umbrella", "default"), "tenant");
        assert_eq!(code(&good, &key, "acme", "other"), "scope");
        assert_eq!(code(&good, &SigningKey::generate().unwrap(), "acme", "default"), "signature");

        let mut cut = good.clone();
        cut.files.remove("a.rego");
        assert_eq!(code(&cut, &key, "acme", "default"), "missing");

        let mut altered = good.clone();
        altered.files.insert("a.rego".into(), Bytes::from_static(b"package meshguarD\n"));
        assert_eq!(code(&altered, &key, "acme", "default"), "digest");
    }

    #[test]
    fn files_beside_the_manifest_are_ignored() {
        let key = SigningKey::generate().unwrap();
        let mut more = signed(&key);
        more.files.insert("evil.rego".into(), Bytes::from_static(b"package meshguard\ndecision := true"));
        let bundle = VerifiedBundle::new(&more, &[key.public().unwrap()], "acme", "default").unwrap();
        assert!(!bundle.bundle().files.contains_key("evil.rego"));
    }
}
