//! What the tests share: a publisher, bundles made of text, a control plane in the process.

#![expect(clippy::unwrap_used, reason = "a test that can't set up its scene has failed")]
#![allow(missing_docs, reason = "names say it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use meshguard_engine::bundle::Settings;
use meshguard_engine::store::{FloorFiles, MemoryStore, Store};
use meshguard_engine::{
    Bundle, Engine, EngineBuilder, ManualClock, PublicKey, SignedBundle, SigningKey, Target, VerifiedBundle,
};

pub mod oracle;
pub mod vectors;
pub mod world;

/// When tests happen, unless they say otherwise: milliseconds since the Unix epoch.
pub const NOW_MS: i64 = 1_800_000_000_000;

pub const TENANT: &str = "acme";

/// A bundle of one policy in `package meshguard`.
pub fn bundle(rules: &str) -> Bundle {
    files(&[("policy.rego", &format!("package meshguard\n{rules}\n"))])
}

pub fn files(files: &[(&str, &str)]) -> Bundle {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), bytes::Bytes::copy_from_slice(text.as_bytes())));
    Bundle::from_files(files.collect::<BTreeMap<_, _>>()).unwrap()
}

/// The same bundle, asked otherwise.
pub fn with(mut bundle: Bundle, change: impl FnOnce(&mut Settings)) -> Bundle {
    change(&mut bundle.settings);
    bundle
}

/// Whoever signs.
pub struct Publisher {
    pub key: SigningKey,
}

impl Publisher {
    #[expect(clippy::new_without_default, reason = "a new key each time is no default")]
    pub fn new() -> Self {
        Self { key: SigningKey::generate().unwrap() }
    }

    pub fn public(&self) -> PublicKey {
        self.key.public().unwrap()
    }

    pub fn sign(&self, bundle: Bundle, version: u64) -> SignedBundle {
        self.sign_for(bundle, &Target::new(TENANT, version, NOW_MS))
    }

    pub fn sign_for(&self, bundle: Bundle, target: &Target) -> SignedBundle {
        bundle.sign(target, &self.key).unwrap()
    }

    pub fn verified(&self, bundle: Bundle, version: u64) -> VerifiedBundle {
        self.verify(&self.sign(bundle, version))
    }

    pub fn verify(&self, signed: &SignedBundle) -> VerifiedBundle {
        let manifest = signed.manifest().unwrap();
        VerifiedBundle::new(signed, &[self.public()], &manifest.tenant, &manifest.scope).unwrap()
    }
}

/// An engine whose clock and store the test holds.
pub struct Scene {
    pub publisher: Publisher,
    pub clock: Arc<ManualClock>,
    pub store: Arc<MemoryStore>,
}

impl Scene {
    #[expect(clippy::new_without_default, reason = "a new key each time is no default")]
    pub fn new() -> Self {
        Self {
            publisher: Publisher::new(),
            clock: Arc::new(ManualClock::at(NOW_MS)),
            store: Arc::new(MemoryStore::new()),
        }
    }

    pub fn builder(&self) -> EngineBuilder {
        Engine::builder(TENANT)
            .trust(self.publisher.public())
            .clock(Arc::clone(&self.clock) as _)
            .store(Arc::clone(&self.store) as Arc<dyn Store>, FloorFiles::in_memory())
    }

    pub fn open(&self) -> Engine {
        self.builder().open().unwrap()
    }

    /// An engine that serves `bundle` as version 1.
    pub fn serving(&self, bundle: Bundle) -> Engine {
        let engine = self.open();
        engine.apply(&self.publisher.verified(bundle, 1)).unwrap();
        engine
    }
}
