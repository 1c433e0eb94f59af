//! From a bundle offered to a bundle served: verify the destination, not the journey.
//!
//! Signature, tenant, floor, expiry → bodies by digest → compile → smoke vectors → one synced batch → swap. Any failure:
//! what serves keeps serving, and the refusal says at which stage and why.

use std::collections::BTreeSet;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::audit::Event;
use crate::bundle::{AtLeast, Envelope, Manifest, Revision, VerifiedBundle, VerifiedManifest};
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Error, Refusal, Stage};
use crate::eval::{Program, RemoteData};
use crate::snapshot::{Origin, Snapshot};
use crate::store::{Batch, Durability, StoreError};

/// How often the process may end while a bundle compiles, before it isn't tried again.
const MAX_TRIES: u32 = 3;

/// The stack that a bundle is compiled on, in bytes; only what is used of it is ever memory.
const COMPILE_STACK: usize = 64 * 1024 * 1024;

/// What [`Engine::apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It serves now, in the place of `from`.
    Activated {
        /// What served before.
        from: Option<Revision>,
    },
    /// It served already.
    Unchanged,
}

/// The floor as the store holds it: the files hold the order only.
#[derive(Serialize, Deserialize)]
struct StoredFloor {
    at: AtLeast,
    manifest: Digest,
}

/// Why a manifest isn't tried, or how often compiling it was begun and not ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Quarantine {
    Refused { engine_version: String, refusal: Refusal },
    Tries(u32),
}

impl Engine {
    /// Checks a manifest before any body of it is fetched: signature, tenant, scope, sizes, expiry, floor, quarantine.
    ///
    /// # Errors
    /// Why it can't be served; nothing changed but the record of it.
    pub fn admit(&self, envelope: Envelope) -> Result<VerifiedManifest, Refusal> {
        let revision =
            Manifest::parse(&envelope.payload).ok().map(|manifest| manifest.revision(Digest::of(&envelope.payload)));
        self.check_manifest(envelope).inspect_err(|refusal| self.refused(revision, refusal))
    }

    /// Serves `bundle` from now on. When it returns, a restart serves it too.
    ///
    /// Waits for the compilation; decisions go on meanwhile, and none fails or waits for the swap.
    ///
    /// # Errors
    /// Why it isn't served. What served before still does.
    pub fn apply(&self, bundle: &VerifiedBundle) -> Result<Applied, Error> {
        let applying = self.applying();
        let result = self.try_apply(&applying, bundle);
        match &result {
            Ok(applied) => {
                *self.behind() = None;
                if let Applied::Activated { from } = *applied {
                    self.note(Event::Activated { revision: bundle.revision(), from });
                }
            }
            Err(error) => {
                let refusal = as_refusal(error);
                self.refused(Some(bundle.revision()), &refusal);
            }
        }
        result
    }

    /// Replaces the data held under remote roots. What serves is compiled anew with it; for the control plane.
    ///
    /// # Errors
    /// What serves can't be compiled with this data; the data before stays.
    pub fn set_remote_data(&self, data: RemoteData) -> Result<(), Error> {
        let mut applying = self.applying();
        if let Some(bundle) = self.stored_bundle(&self.layout.active())? {
            let program = compile(&bundle, &data)?;
            self.current.swap(self.snapshot(&bundle, program, Origin::Applied));
        }
        *applying = data;
        Ok(())
    }

    /// Serves what the store last held; at start. Nothing valid is no error: everything is denied until something is.
    pub(crate) fn restore(&self) -> Result<(), Error> {
        let applying = self.applying();
        self.restore_floor()?;
        for (slot, key) in [("active", self.layout.active()), ("previous", self.layout.previous())] {
            match self.try_restore(&applying, &key) {
                Ok(false) => {}
                Ok(true) => return self.restore_heard(),
                Err(error) => {
                    tracing::warn!(slot, %error, "a bundle in the store can't be served");
                    // The newest one's fault is what explains why an older one serves.
                    self.behind().get_or_insert(as_refusal(&error));
                }
            }
        }
        Ok(())
    }

    /// What an earlier process heard counts only for the bundle that it was about: an older one that serves in its place
    /// was confirmed by nobody.
    fn restore_heard(&self) -> Result<(), Error> {
        let Some(stored) = self.store.get(&self.layout.heard())? else { return Ok(()) };
        if let Some((ms, manifest)) = stored.split_first_chunk::<8>()
            && Digest::from_slice(manifest) == self.serving()
        {
            self.live.was_heard_before(i64::from_be_bytes(*ms), self.clock.as_ref());
        }
        Ok(())
    }

    /// The manifest that serves.
    fn serving(&self) -> Option<Digest> {
        self.current.load().as_ref().and_then(|snapshot| snapshot.revision).map(|revision| revision.manifest)
    }

    fn try_restore(&self, applying: &RemoteData, key: &[u8]) -> Result<bool, Error> {
        let Some(bundle) = self.stored_bundle(key)? else {
            return Ok(false);
        };
        let program = self.compile_marked(&bundle, applying)?;
        self.current.swap(self.snapshot(&bundle, program, Origin::Store));
        Ok(true)
    }

    /// What is stored is verified like what is received: the disk is no more trusted than the network, only the floor is
    /// not asked again, because it binds what is offered and not what was accepted here.
    fn stored_bundle(&self, key: &[u8]) -> Result<Option<VerifiedBundle>, Error> {
        let Some(json) = self.store.get(key)? else {
            return Ok(None);
        };
        let manifest = VerifiedManifest::new(Envelope::from_json(&json)?, &self.trusted, &self.tenant, &self.scope)?;
        let mut unreadable = None;
        let bundle = manifest.assemble(|file| match self.body(&file.digest) {
            Ok(body) => body,
            Err(error) => {
                unreadable = Some(error);
                None
            }
        });
        unreadable.map_or_else(|| Ok(Some(bundle?)), Err)
    }

    fn try_apply(&self, applying: &RemoteData, bundle: &VerifiedBundle) -> Result<Applied, Error> {
        let manifest = self.check_manifest(bundle.envelope().clone())?;
        let from = self.current.load().as_ref().and_then(|snapshot| snapshot.revision);
        if from == Some(manifest.revision()) {
            return Ok(Applied::Unchanged);
        }
        let program = self.compile_marked(bundle, applying)?;
        // The floor first: a crash between the two leaves a floor without its bundle, which the next offer mends; the
        // other way round leaves a bundle that an older offer could undo.
        let store = |e: StoreError| Refusal::new(Stage::Store, "store", e.to_string());
        self.floors.raise(bundle.revision().order()).map_err(store)?;
        self.persist(bundle).map_err(|error| match error {
            Error::Store(error) => store(error).into(),
            other => other,
        })?;
        self.current.swap(self.snapshot(bundle, program, Origin::Applied));
        Ok(Applied::Activated { from })
    }

    /// Bodies, manifest and floor, in one synced batch. What served becomes the one before, and bodies that neither of the
    /// two needs go out.
    fn persist(&self, bundle: &VerifiedBundle) -> Result<(), Error> {
        let mut batch = Batch::new();
        let stored = [self.store.get(&self.layout.active())?, self.store.get(&self.layout.previous())?];
        // What served is kept as the one before; after a restart that isn't always what was active.
        let served = stored
            .iter()
            .flatten()
            .find(|json| manifest_of(json).is_some_and(|(digest, _)| Some(digest) == self.serving()));
        let mut needed: BTreeSet<Vec<u8>> = served.map(|json| self.blobs_of(json)).unwrap_or_default();
        needed.extend(bundle.manifest().files.iter().map(|file| self.layout.blob(&file.digest)));
        for blob in stored.iter().flatten().flat_map(|json| self.blobs_of(json)) {
            if !needed.contains(&blob) {
                batch.delete(blob);
            }
        }
        for file in &bundle.manifest().files {
            if let Some(body) = bundle.bundle().files.get(&file.path) {
                batch.put(self.layout.blob(&file.digest), body.as_ref());
            }
        }
        match served {
            Some(served) => batch.put(self.layout.previous(), served.as_slice()),
            None => batch.delete(self.layout.previous()),
        };
        let revision = bundle.revision();
        let floor = StoredFloor { at: revision.order(), manifest: revision.manifest };
        batch.put(self.layout.active(), bundle.envelope().to_json());
        batch.put(self.layout.floor(), to_json(&floor)?);
        Ok(self.store.write(batch, Durability::Power)?)
    }

    /// The keys of the bodies that a stored manifest lists; none if it can't be read.
    fn blobs_of(&self, envelope: &[u8]) -> BTreeSet<Vec<u8>> {
        let files = manifest_of(envelope).map(|(_, manifest)| manifest.files).unwrap_or_default();
        files.iter().map(|file| self.layout.blob(&file.digest)).collect()
    }

    fn snapshot(&self, bundle: &VerifiedBundle, program: Program, origin: Origin) -> Snapshot {
        let (wall, boot) = (self.clock.wall_ms(), self.clock.boot_ms());
        let plain = self.recorder.plain_list(&program.settings().plain);
        Snapshot::signed(bundle.manifest(), bundle.revision(), program, plain, origin, wall, boot)
    }

    fn check_manifest(&self, envelope: Envelope) -> Result<VerifiedManifest, Refusal> {
        let manifest = VerifiedManifest::new(envelope, &self.trusted, &self.tenant, &self.scope)?;
        let revision = manifest.revision();
        if manifest.manifest().expires_at_ms <= self.clock.wall_ms() {
            let detail = format!("{revision} expired; publish a new version");
            return Err(Refusal::new(Stage::Expired, "expired", detail));
        }
        let store = |e: Error| Refusal::new(Stage::Store, "store", e.to_string());
        let floor = self.floors.get();
        if revision.order() < floor {
            let detail = format!("{revision} is older than {floor}, which was accepted here; publish a newer version");
            return Err(Refusal::new(Stage::Version, "rollback", detail));
        }
        let stored: Option<StoredFloor> = self.read_json(&self.layout.floor()).map_err(store)?;
        if stored.is_some_and(|stored| stored.at == revision.order() && stored.manifest != revision.manifest) {
            let detail = format!("another bundle is known as version {}; versions are never reused", revision.order());
            return Err(Refusal::new(Stage::Version, "equivocation", detail));
        }
        match self.read_json(&self.layout.quarantine(&revision.manifest)).map_err(store)? {
            Some(Quarantine::Refused { engine_version, refusal }) if engine_version == env!("CARGO_PKG_VERSION") => {
                Err(refusal)
            }
            _ => Ok(manifest),
        }
    }

    /// Remembers a refusal: for `status`, for the record, and, where it can't go otherwise next time, for not trying it
    /// again.
    fn refused(&self, revision: Option<Revision>, refusal: &Refusal) {
        if self.behind().replace(refusal.clone()).as_ref() == Some(refusal) {
            return;
        }
        tracing::warn!(%refusal, "a bundle was refused; what serves keeps serving");
        self.note(Event::Refused { revision, stage: refusal.stage, code: refusal.code.clone() });
        if let (true, Some(revision)) = (refusal.is_lasting(), revision) {
            let entry =
                Quarantine::Refused { engine_version: env!("CARGO_PKG_VERSION").into(), refusal: refusal.clone() };
            self.write_quarantine(revision, &entry, Durability::Process);
        }
    }

    /// A bundle that ends the process while it compiles would end it again at every start, or whenever it is offered: a
    /// mark is left before and removed after, and [`MAX_TRIES`] of them keep it from being tried.
    fn compile_marked(&self, bundle: &VerifiedBundle, remote_data: &RemoteData) -> Result<Program, Error> {
        let revision = bundle.revision();
        let tries = self.unfinished_tries(revision)?;
        self.write_quarantine(revision, &Quarantine::Tries(tries + 1), Durability::Power);
        let program = compile(bundle, remote_data);
        let mut batch = Batch::new();
        batch.delete(self.layout.quarantine(&revision.manifest));
        if let Err(error) = self.store.write(batch, Durability::Process) {
            // A mark too many is better than a good bundle too few.
            tracing::warn!(%error, "can't take back the mark of a compilation");
        }
        Ok(program?)
    }

    /// How often compiling it was begun and not ended.
    fn unfinished_tries(&self, revision: Revision) -> Result<u32, Error> {
        match self.read_json(&self.layout.quarantine(&revision.manifest))? {
            Some(Quarantine::Tries(tries)) if tries >= MAX_TRIES => {
                let detail = format!(
                    "{revision} ended the process {tries} times and isn't tried again; publish a newer version"
                );
                Err(Refusal::new(Stage::Compile, "ends_process", detail).into())
            }
            Some(Quarantine::Tries(tries)) => Ok(tries),
            _ => Ok(0),
        }
    }

    fn write_quarantine(&self, revision: Revision, entry: &Quarantine, durability: Durability) {
        let written = to_json(entry).and_then(|json| {
            let mut batch = Batch::new();
            batch.put(self.layout.quarantine(&revision.manifest), json);
            Ok(self.store.write(batch, durability)?)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "can't write down that a bundle is quarantined");
        }
    }

    /// The higher of what files and store hold.
    fn restore_floor(&self) -> Result<(), Error> {
        if let Some(stored) = self.read_json::<StoredFloor>(&self.layout.floor())? {
            self.floors.raise(stored.at)?;
        }
        Ok(())
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        // Something unreadable counts as absent: each of these values is a second line of defence, or made again.
        Ok(self.store.get(key)?.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}

/// Compiling is where a hostile bundle would show what it can do: it gets a stack of its own, because parsers recurse and
/// the caller's stack may be small, and a panic is one more refusal.
fn compile(bundle: &VerifiedBundle, remote_data: &RemoteData) -> Result<Program, Refusal> {
    let compiled = thread::scope(|scope| {
        let thread = thread::Builder::new().name("meshguard-compile".into()).stack_size(COMPILE_STACK);
        thread.spawn_scoped(scope, || Program::compile(bundle.bundle(), remote_data)).map(|thread| thread.join())
    });
    match compiled {
        Ok(Ok(program)) => program,
        Ok(Err(_)) => {
            Err(Refusal::new(Stage::Compile, "panic", "the compiler panicked on this bundle; please report it"))
        }
        Err(error) => Err(Refusal::new(Stage::Store, "thread", format!("can't start a thread to compile on: {error}"))),
    }
}

/// A stored manifest and its digest, unverified.
fn manifest_of(envelope: &[u8]) -> Option<(Digest, Manifest)> {
    let envelope = Envelope::from_json(envelope).ok()?;
    Some((Digest::of(&envelope.payload), Manifest::parse(&envelope.payload).ok()?))
}

fn as_refusal(error: &Error) -> Refusal {
    match error {
        Error::Refused(refusal) => refusal.clone(),
        other => Refusal::new(Stage::Store, "store", other.to_string()),
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))
}
