//! Publishing: everything is checked before anything is kept, then one synced batch, then subscribers are told.

use std::sync::Arc;

use meshguard_engine::store::{Batch, Durability};
use meshguard_engine::{Digest, Refusal, SignedBundle, Stage, VerifiedBundle};

use crate::error::Error;
use crate::layout;
use crate::locks::{lock, read, write};
use crate::tenants::{Scope, Tenant, Tenants, check_name};
use crate::versions::{self, History, Version};

/// Why a bundle wasn't published.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// The bundle's fault.
    Refused(Refusal),
    /// Ours, or the disk's.
    Failed(Error),
}

impl From<Refusal> for PublishError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for PublishError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<meshguard_engine::Error> for PublishError {
    fn from(error: meshguard_engine::Error) -> Self {
        match error {
            meshguard_engine::Error::Refused(refusal) => Self::Refused(refusal),
            other => Self::Failed(other.into()),
        }
    }
}

impl Tenants {
    /// Publishes a signed bundle's archive. When it returns, edges are being told, and a restart serves it too.
    ///
    /// The same bundle again is no error.
    pub(crate) fn publish(&self, archive: &[u8]) -> Result<Arc<Version>, PublishError> {
        let signed = SignedBundle::from_tar_gz(archive)?;
        // Whose it says to be; that it is, the signature says.
        let manifest = signed.manifest()?;
        check_name("scope", &manifest.scope).map_err(|detail| refusal(Stage::Parse, "scope", detail))?;
        let Some(tenant) = self.get(&manifest.tenant) else {
            let detail = format!("no publisher is registered for tenant `{}`; register its key", manifest.tenant);
            return Err(refusal(Stage::Signature, "no_publisher", detail).into());
        };
        let _changing = lock(&tenant.changing);
        let publishers = read(&tenant.settings).publishers.clone();
        let bundle = VerifiedBundle::new(&signed, &publishers, &tenant.name, &manifest.scope)?;
        let (scope, is_new) = self.scope_for(&tenant, &manifest.scope)?;
        // Floor, expiry, compilation, smoke vectors: what an edge will check is checked by an engine of the same kind.
        scope
            .ask(|engine| engine.apply(&bundle))
            .ok_or_else(|| Error::Internal("the scope has no engine".into()))??;
        let version = match scope.version(&bundle.revision()) {
            Some(known) => known,
            None => self.keep(&tenant, &scope, &bundle)?,
        };
        if is_new {
            write(&tenant.scopes).insert(scope.name.clone(), Arc::clone(&scope));
        }
        self.heads.publish(&tenant.name, &scope.name, Some(Arc::clone(&version)));
        tracing::info!(tenant = tenant.name, scope = scope.name, revision = %version.revision, "published");
        Ok(version)
    }

    fn scope_for(&self, tenant: &Tenant, name: &str) -> Result<(Arc<Scope>, bool), PublishError> {
        let scopes = read(&tenant.scopes);
        if let Some(scope) = scopes.get(name) {
            return Ok((Arc::clone(scope), false));
        }
        let limit = self.parts.limits.scopes_per_tenant;
        if scopes.len() >= limit {
            return Err(refusal(Stage::Limit, "scopes", format!("the tenant has {limit} scopes already")).into());
        }
        drop(scopes);
        Ok((Arc::new(Scope::open(&self.parts, tenant, name)?), true))
    }

    /// Stores version and files, and lets go of what is too old, in one synced batch.
    fn keep(&self, tenant: &Tenant, scope: &Scope, bundle: &VerifiedBundle) -> Result<Arc<Version>, PublishError> {
        let store = self.parts.store.as_ref();
        let version = Arc::new(Version::new(bundle.envelope().clone(), self.parts.clock.wall_ms())?);
        let mut batch = Batch::new();
        for file in &version.manifest.files {
            let held = versions::body(store, &tenant.name, &file.digest).map_err(Error::from)?.is_some();
            if let (false, Some(body)) = (held, bundle.bundle().files.get(&file.path)) {
                batch.put(layout::blob(&tenant.name, &file.digest), body.as_ref());
            }
        }
        version.put(&mut batch);
        let mut history = read(&scope.history).clone();
        history.insert(version.revision.order(), Arc::clone(&version));
        for old in outgrown(&mut history, self.parts.limits.history) {
            batch.delete(layout::version(&tenant.name, &scope.name, old.revision.order()));
            for file in &old.manifest.files {
                if !is_named(tenant, scope, &history, &file.digest) {
                    batch.delete(layout::blob(&tenant.name, &file.digest));
                }
            }
        }
        store.write(batch, Durability::Power).map_err(Error::from)?;
        *write(&scope.history) = history;
        Ok(version)
    }
}

/// Takes the oldest versions out, so that `keep` are left.
fn outgrown(history: &mut History, keep: usize) -> Vec<Arc<Version>> {
    let mut out = vec![];
    while history.len() > keep.max(1) {
        out.extend(history.pop_first().map(|(_, version)| version));
    }
    out
}

/// Whether any version that is kept names the file: of this scope as it will be, of the others as they are.
fn is_named(tenant: &Tenant, scope: &Scope, history: &History, digest: &Digest) -> bool {
    history.values().any(|version| version.names(digest))
        || tenant
            .all_scopes()
            .iter()
            .filter(|other| other.name != scope.name)
            .any(|other| read(&other.history).values().any(|version| version.names(digest)))
}

fn refusal(stage: Stage, code: &str, detail: String) -> Refusal {
    Refusal { stage, code: code.to_owned(), path: None, detail }
}
