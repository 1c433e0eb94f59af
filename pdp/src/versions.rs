//! Published versions: what was signed, since when it is here, and what differs between two of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use meshguard_engine::store::{Batch, Store, StoreError, end_of};
use meshguard_engine::{AtLeast, Digest, Envelope, Manifest, Revision, SignedBundle};

use crate::layout;

/// One published version of a scope. Its files are in the store, by digest.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) revision: Revision,
    pub(crate) manifest: Manifest,
    pub(crate) envelope: Envelope,
    pub(crate) published_at_ms: i64,
}

/// The versions kept of a scope, oldest first.
pub(crate) type History = BTreeMap<AtLeast, Arc<Version>>;

impl Version {
    /// A version whose envelope was verified by whoever calls.
    pub(crate) fn new(envelope: Envelope, published_at_ms: i64) -> Result<Self, meshguard_engine::Refusal> {
        let manifest = Manifest::parse(&envelope.payload)?;
        let revision = manifest.revision(Digest::of(&envelope.payload));
        Ok(Self { revision, manifest, envelope, published_at_ms })
    }

    /// Whether it names a file of this digest.
    pub(crate) fn names(&self, digest: &Digest) -> bool {
        self.manifest.files.iter().any(|file| file.digest == *digest)
    }

    /// Puts the version into a batch; the files' bytes are put beside it.
    pub(crate) fn put(&self, batch: &mut Batch) {
        let key = layout::version(&self.manifest.tenant, &self.manifest.scope, self.revision.order());
        batch.put(key, [&self.published_at_ms.to_be_bytes()[..], &self.envelope.to_json()].concat());
    }

    /// The whole of it, with its files.
    pub(crate) fn signed_bundle(&self, store: &dyn Store) -> Result<SignedBundle, StoreError> {
        let mut files = BTreeMap::new();
        for file in &self.manifest.files {
            files.insert(
                file.path.clone(),
                body(store, &self.manifest.tenant, &file.digest)?.ok_or_else(|| missing(&file.path))?,
            );
        }
        Ok(SignedBundle { envelope: self.envelope.clone(), files })
    }
}

/// Every version kept of a tenant, by scope.
pub(crate) fn load(store: &dyn Store, tenant: &str) -> Result<BTreeMap<String, History>, StoreError> {
    let mut scopes: BTreeMap<String, History> = BTreeMap::new();
    let prefix = layout::versions(tenant);
    for (_, value) in store.scan(&prefix, &end_of(&prefix), usize::MAX)? {
        let version = read(&value)?;
        let history = scopes.entry(version.manifest.scope.clone()).or_default();
        history.insert(version.revision.order(), Arc::new(version));
    }
    Ok(scopes)
}

/// A file's bytes.
pub(crate) fn body(store: &dyn Store, tenant: &str, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
    Ok(store.get(&layout::blob(tenant, digest))?.map(Bytes::from))
}

fn read(value: &[u8]) -> Result<Version, StoreError> {
    let corrupt = |detail: String| StoreError::Corrupt { what: "a published version".into(), detail };
    let (at, envelope) = value.split_first_chunk::<8>().ok_or_else(|| corrupt("too short".into()))?;
    Envelope::from_json(envelope)
        .and_then(|envelope| Version::new(envelope, i64::from_be_bytes(*at)))
        .map_err(|refusal| corrupt(refusal.to_string()))
}

fn missing(path: &str) -> StoreError {
    StoreError::Corrupt { what: format!("the file `{path}` of a published version"), detail: "it isn't there".into() }
}
