//! Tenants and what each has: publishers' keys, remote data, and for each scope an engine and the versions published.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use meshguard_engine::audit::JournalLimit;
use meshguard_engine::store::{Batch, Durability, FloorFiles, Store, StoreError, end_of};
use meshguard_engine::{Clock, Digest, Engine, PublicKey, RemoteData};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Limits;
use crate::error::Error;
use crate::heads::Heads;
use crate::layout;
use crate::locks::{lock, read, write};
use crate::versions::{self, History, Version};

/// The scope asked when nobody names one.
pub(crate) const DEFAULT_SCOPE: &str = "default";

/// Records of the control plane's own decisions that may wait to be filed; they are filed at once, unless the disk refuses.
const PENDING_RECORDS: u64 = 1_000_000;

/// The longest name of a tenant, scope, agent or instance, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// Every tenant.
pub(crate) struct Tenants {
    pub(crate) parts: Parts,
    pub(crate) heads: Arc<Heads>,
    map: RwLock<BTreeMap<String, Arc<Tenant>>>,
}

/// What engines are made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) floors: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
}

/// One tenant. Nothing of it is ever shared with another.
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) settings: RwLock<Settings>,
    pub(crate) scopes: RwLock<BTreeMap<String, Arc<Scope>>>,
    /// Held while anything of the tenant is changed; never by what only asks.
    pub(crate) changing: Mutex<()>,
}

/// What an administrator set for a tenant.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) publishers: Vec<PublicKey>,
    pub(crate) data: Value,
}

/// One scope of a tenant: an engine that holds everything, and the versions kept for edges.
pub(crate) struct Scope {
    pub(crate) name: String,
    /// None while it is opened anew, or if that failed.
    engine: RwLock<Option<Engine>>,
    pub(crate) history: RwLock<History>,
}

#[derive(Serialize, Deserialize)]
struct StoredTenant {
    tenant: String,
    publishers: Vec<String>,
}

impl Tenants {
    /// Opens every tenant that the store holds; each scope serves what it served.
    pub(crate) fn open(parts: Parts, heads: Arc<Heads>) -> Result<Self, Error> {
        let mut map = BTreeMap::new();
        let prefix = layout::tenants();
        for (_, value) in parts.store.scan(&prefix, &end_of(&prefix), usize::MAX)? {
            let stored: StoredTenant = from_json("a tenant", &value)?;
            let publishers = stored.publishers.iter().map(|pem| PublicKey::from_pem(pem)).collect::<Result<_, _>>()?;
            let data = match parts.store.get(&layout::data(&stored.tenant))? {
                Some(json) => from_json("a tenant's data", &json)?,
                None => Value::Object(serde_json::Map::new()),
            };
            let tenant = Tenant::new(stored.tenant.clone(), Settings { publishers, data });
            for (name, history) in versions::load(parts.store.as_ref(), &stored.tenant)? {
                let engine = parts.open_engine(&tenant, &name)?;
                let scope = Arc::new(Scope {
                    name: name.clone(),
                    engine: RwLock::new(Some(engine)),
                    history: RwLock::new(history),
                });
                scope.complete(&parts, &tenant.name)?;
                heads.publish(&tenant.name, &name, scope.served());
                write(&tenant.scopes).insert(name, scope);
            }
            map.insert(stored.tenant, Arc::new(tenant));
        }
        Ok(Self { parts, heads, map: RwLock::new(map) })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Tenant>> {
        read(&self.map).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Tenant>> {
        read(&self.map).values().cloned().collect()
    }

    /// The scope of a tenant, if something was published to it.
    pub(crate) fn scope(&self, tenant: &str, scope: &str) -> Option<Arc<Scope>> {
        read(&self.get(tenant)?.scopes).get(scope).cloned()
    }

    /// Makes exactly these keys the tenant's publishers. What a key that is gone has signed isn't served any more.
    pub(crate) fn set_publishers(&self, name: &str, publishers: Vec<PublicKey>) -> Result<(), Error> {
        check_name("tenant", name).map_err(Error::Config)?;
        let tenant = self.get_or_add(name);
        let _changing = lock(&tenant.changing);
        let known = read(&tenant.settings).publishers.clone();
        let stored =
            StoredTenant { tenant: name.to_owned(), publishers: publishers.iter().map(PublicKey::to_pem).collect() };
        let mut batch = Batch::new();
        batch.put(layout::tenant(name), to_json(&stored)?);
        self.parts.store.write(batch, Durability::Power)?;
        write(&tenant.settings).publishers.clone_from(&publishers);
        if known == publishers {
            return Ok(());
        }
        tracing::info!(tenant = name, keys = publishers.len(), "publishers registered");
        // All of them, whatever becomes of one: none may go on by the old keys.
        let mut result = Ok(());
        for scope in tenant.all_scopes() {
            result = result.and(scope.reopen(&self.parts, &tenant));
            self.heads.publish(name, &scope.name, scope.served());
        }
        result
    }

    /// Adds keys to the tenant's publishers.
    pub(crate) fn add_publishers(&self, name: &str, publishers: &[PublicKey]) -> Result<(), Error> {
        let mut all = self.get(name).map(|tenant| read(&tenant.settings).publishers.clone()).unwrap_or_default();
        all.extend(publishers.iter().filter(|key| !all.contains(key)).copied().collect::<Vec<_>>());
        self.set_publishers(name, all)
    }

    /// Replaces what is held under the tenant's remote roots.
    ///
    /// # Errors
    /// There is no such tenant, or a policy that serves can't be compiled with this data; then nothing has changed.
    pub(crate) fn set_data(&self, name: &str, data: Value) -> Result<bool, Error> {
        let Some(tenant) = self.get(name) else { return Ok(false) };
        let _changing = lock(&tenant.changing);
        let before = read(&tenant.settings).data.clone();
        let apply = |data: &Value| {
            tenant.all_scopes().iter().try_for_each(|scope| {
                scope.ask(|engine| engine.set_remote_data(RemoteData::Held(data.clone()))).unwrap_or(Ok(()))
            })
        };
        let stored = apply(&data).map_err(Error::from).and_then(|()| {
            let mut batch = Batch::new();
            batch.put(layout::data(name), to_json(&data)?);
            Ok(self.parts.store.write(batch, Durability::Power)?)
        });
        match stored {
            Ok(()) => write(&tenant.settings).data = data,
            Err(error) => {
                if let Err(error) = apply(&before) {
                    tracing::error!(tenant = name, %error, "the data before can't be put back");
                }
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Writes down what every engine has recorded.
    pub(crate) fn flush(&self, patience: std::time::Duration) {
        for scope in self.all().iter().flat_map(|tenant| tenant.all_scopes()) {
            if scope.ask(|engine| engine.flush(patience)) == Some(false) {
                tracing::warn!(scope = scope.name, "records wait that can't be written");
            }
        }
    }

    fn get_or_add(&self, name: &str) -> Arc<Tenant> {
        let empty = Settings { publishers: vec![], data: Value::Object(serde_json::Map::new()) };
        let mut map = write(&self.map);
        Arc::clone(map.entry(name.to_owned()).or_insert_with(|| Arc::new(Tenant::new(name.to_owned(), empty))))
    }
}

// === impl Tenant ===

impl Tenant {
    fn new(name: String, settings: Settings) -> Self {
        Self { name, settings: RwLock::new(settings), scopes: RwLock::default(), changing: Mutex::default() }
    }

    pub(crate) fn all_scopes(&self) -> Vec<Arc<Scope>> {
        read(&self.scopes).values().cloned().collect()
    }
}

// === impl Scope ===

impl Scope {
    /// A scope to which nothing was published yet.
    pub(crate) fn open(parts: &Parts, tenant: &Tenant, name: &str) -> Result<Self, Error> {
        let engine = parts.open_engine(tenant, name)?;
        Ok(Self { name: name.to_owned(), engine: RwLock::new(Some(engine)), history: RwLock::default() })
    }

    /// Asks the engine; none while it is opened anew.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Engine) -> T) -> Option<T> {
        read(&self.engine).as_ref().map(question)
    }

    /// What edges should have: what the engine here serves.
    pub(crate) fn served(&self) -> Option<Arc<Version>> {
        let revision = self.ask(|engine| engine.status().revision)??;
        let history = read(&self.history);
        history.get(&revision.order()).filter(|version| version.revision == revision).cloned()
    }

    /// The version kept with this identity.
    pub(crate) fn version(&self, revision: &meshguard_engine::Revision) -> Option<Arc<Version>> {
        read(&self.history).get(&revision.order()).filter(|version| version.revision == *revision).cloned()
    }

    /// Opens the engine anew, with the tenant's settings as they are now. Questions wait until it is done.
    fn reopen(&self, parts: &Parts, tenant: &Tenant) -> Result<(), Error> {
        let mut slot = write(&self.engine);
        // The old one first: two would number one journal.
        *slot = None;
        *slot = Some(parts.open_engine(tenant, &self.name)?);
        Ok(())
    }

    /// A crash between the engine's batch and ours leaves a version that is served and not kept: it is kept now.
    fn complete(&self, parts: &Parts, tenant: &str) -> Result<(), Error> {
        let active = self.ask(|engine| engine.active_envelope()).transpose()?.flatten();
        let served = self.ask(|engine| engine.status().revision).flatten();
        let (Some(envelope), Some(revision)) = (active, served) else { return Ok(()) };
        if read(&self.history).contains_key(&revision.order()) || Digest::of(&envelope.payload) != revision.manifest {
            return Ok(());
        }
        let version = Version::new(envelope, parts.clock.wall_ms()).map_err(meshguard_engine::Error::from)?;
        let mut batch = Batch::new();
        for file in &version.manifest.files {
            if let Some(body) = self.ask(|engine| engine.body(&file.digest)).transpose()?.flatten() {
                batch.put(layout::blob(tenant, &file.digest), body.as_ref());
            }
        }
        version.put(&mut batch);
        parts.store.write(batch, Durability::Power)?;
        tracing::info!(tenant, scope = self.name, %revision, "a publication that a crash interrupted is complete");
        write(&self.history).insert(revision.order(), Arc::new(version));
        Ok(())
    }
}

// === impl Parts ===

impl Parts {
    fn open_engine(&self, tenant: &Tenant, scope: &str) -> Result<Engine, Error> {
        let settings = read(&tenant.settings).clone();
        let floors = self.floors.join(layout::escape(&tenant.name)).join(layout::escape(scope));
        let mut builder = Engine::builder(&tenant.name)
            .scope(scope)
            .store(Arc::clone(&self.store), FloorFiles::open(&floors)?)
            .remote_data(RemoteData::Held(settings.data))
            .clock(Arc::clone(&self.clock))
            .journal_limit(JournalLimit::Deny(PENDING_RECORDS))
            .authority();
        for key in settings.publishers {
            builder = builder.trust(key);
        }
        Ok(builder.open()?)
    }
}

/// Whether a name can be one, for what it is said to be.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("a {what}'s name has 1 to {MAX_NAME} bytes and no control characters"));
    }
    Ok(())
}

fn from_json<T: serde::de::DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|e| StoreError::Corrupt { what: what.to_owned(), detail: e.to_string() })
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use meshguard_engine::store::MemoryStore;
    use meshguard_engine::{Bundle, ManualClock, SigningKey, Target};

    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn open(store: &Arc<MemoryStore>, dir: &std::path::Path) -> Tenants {
        let parts = Parts {
            store: Arc::clone(store) as Arc<dyn Store>,
            floors: dir.to_owned(),
            clock: Arc::new(ManualClock::at(NOW_MS)),
            limits: Limits::default(),
        };
        Tenants::open(parts, Arc::default()).unwrap()
    }

    fn archive(key: &SigningKey, version: u64) -> Vec<u8> {
        let policy = format!("package meshguard\n\ndecision := true\n\n# {version}\n");
        let bundle = Bundle::from_files([("a.rego".to_owned(), policy.into())].into()).unwrap();
        bundle.sign(&Target::new("acme", version, NOW_MS), key).unwrap().to_tar_gz().unwrap()
    }

    #[test]
    fn a_publication_that_a_crash_interrupted_is_completed() {
        let (store, dir) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
        let key = SigningKey::generate().unwrap();
        let tenants = open(&store, dir.path());
        tenants.add_publishers("acme", &[key.public().unwrap()]).unwrap();
        tenants.publish(&archive(&key, 1)).unwrap();
        let second = tenants.publish(&archive(&key, 2)).unwrap();
        drop(tenants);
        // As if the process had died after the engine's batch and before ours.
        let mut batch = Batch::new();
        batch.delete(layout::version("acme", "default", second.revision.order()));
        let file = second.manifest.files.first().unwrap().digest;
        batch.delete(layout::blob("acme", &file));
        store.write(batch, Durability::Power).unwrap();

        let tenants = open(&store, dir.path());
        let scope = tenants.scope("acme", "default").unwrap();
        assert_eq!(scope.served().unwrap().revision, second.revision);
        assert_eq!(read(&scope.history).len(), 2);
        assert!(versions::body(store.as_ref(), "acme", &file).unwrap().is_some());
        assert_eq!(tenants.heads.watch("acme", "default").borrow().as_ref().unwrap().revision, second.revision);
    }

    #[test]
    fn names_are_checked() {
        let tenants = open(&Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap().path());
        for name in ["", "a\nb", &"x".repeat(256)] {
            assert!(matches!(tenants.set_publishers(name, vec![]), Err(Error::Config(_))), "{name:?}");
        }
    }
}
