//! Bodies of an update under way. Only what the signed manifest lists gets in, so it is never larger than what was
//! admitted; nothing of it is visible to a decision.

use std::collections::HashMap;

use bytes::Bytes;
use meshguard_engine::bundle::FileEntry;
use meshguard_engine::{Digest, Engine, Refusal, Revision, Stage, VerifiedBundle, VerifiedManifest};

use crate::wire::{self, Body};

/// An update under way.
#[derive(Debug)]
pub(crate) struct Staging {
    manifest: VerifiedManifest,
    bodies: HashMap<Digest, Bytes>,
}

impl Staging {
    pub(crate) fn new(manifest: VerifiedManifest) -> Self {
        Self { manifest, bodies: HashMap::new() }
    }

    /// The revision to reach.
    pub(crate) fn revision(&self) -> Revision {
        self.manifest.revision()
    }

    /// Takes over the bodies of an attempt at the same revision that broke off.
    pub(crate) fn resume(&mut self, earlier: Self) {
        if earlier.revision() == self.revision() {
            self.bodies = earlier.bodies;
        }
    }

    /// Takes in what an event says about a file.
    ///
    /// # Errors
    /// The manifest doesn't list it so, or the body isn't what it lists.
    pub(crate) fn put(&mut self, file: &FileEntry, body: Body) -> Result<(), Refusal> {
        let refuse = |code, detail| Err(wire::refusal(Stage::Digest, code, Some(&file.path), detail));
        let files = &self.manifest.manifest().files;
        let listed = files.binary_search_by(|listed| listed.path.cmp(&file.path)).ok().and_then(|at| files.get(at));
        match listed {
            None => refuse("unlisted", "the manifest lists no such file"),
            Some(listed) if listed != file => refuse("digest", "announced otherwise than the manifest lists it"),
            Some(_) => match body {
                Body::Inline(bytes) => self.accept(file, bytes),
                Body::ByReference => Ok(()),
            },
        }
    }

    /// Takes in the body of a listed file.
    ///
    /// # Errors
    /// It isn't what the manifest lists.
    pub(crate) fn accept(&mut self, file: &FileEntry, body: Bytes) -> Result<(), Refusal> {
        if !is(&body, file) {
            let detail = "the body isn't what was signed";
            return Err(wire::refusal(Stage::Digest, "digest", Some(&file.path), detail));
        }
        self.bodies.insert(file.digest, body);
        Ok(())
    }

    /// Takes from the engine's store what is held already. Something that rotted there counts as not held.
    pub(crate) fn take_held(&mut self, engine: &Engine) {
        for file in &self.manifest.manifest().files {
            if !self.bodies.contains_key(&file.digest)
                && let Ok(Some(body)) = engine.body(&file.digest)
                && is(&body, file)
            {
                self.bodies.insert(file.digest, body);
            }
        }
    }

    /// What is still to be fetched, each body once.
    pub(crate) fn missing(&self) -> Vec<FileEntry> {
        let mut missing: Vec<FileEntry> = Vec::new();
        for file in &self.manifest.manifest().files {
            if !self.bodies.contains_key(&file.digest) && missing.iter().all(|m| m.digest != file.digest) {
                missing.push(file.clone());
            }
        }
        missing
    }

    /// The bundle, each body checked once more.
    ///
    /// # Errors
    /// A body is missing.
    pub(crate) fn assemble(&self) -> Result<VerifiedBundle, Refusal> {
        self.manifest.clone().assemble(|file| self.bodies.get(&file.digest).cloned())
    }
}

fn is(body: &Bytes, file: &FileEntry) -> bool {
    body.len() as u64 == file.size && Digest::of(body) == file.digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn staging(files: &[(&str, &str)]) -> Staging {
        let signed = testing::signed(files, 1);
        let manifest =
            VerifiedManifest::new(signed.envelope, &[testing::key().public().unwrap()], "acme", "default").unwrap();
        Staging::new(manifest)
    }

    fn entry(path: &str, body: &str) -> FileEntry {
        FileEntry { path: path.into(), size: body.len() as u64, digest: Digest::of(body.as_bytes()) }
    }

    fn inline(body: &str) -> Body {
        Body::Inline(Bytes::copy_from_slice(body.as_bytes()))
    }

    const POLICY: &str = "package meshguard\ndecision := false\n";

    #[test]
    fn only_what_is_listed_gets_in() {
        let mut staging = staging(&[("a.rego", POLICY), ("b.rego", "package b\n")]);
        let code = |result: Result<(), Refusal>| result.map_err(|refusal| refusal.code);
        assert_eq!(code(staging.put(&entry("evil.rego", "x"), inline("x"))), Err("unlisted".into()));
        assert_eq!(code(staging.put(&entry("a.rego", "x"), inline("x"))), Err("digest".into()));
        // Announced as signed, but another body: too long, too short, and of the right length.
        for body in ["package meshguard\n", "", "package meshguard\ndecision := fals \n"] {
            assert_eq!(code(staging.put(&entry("a.rego", POLICY), inline(body))), Err("digest".into()), "{body:?}");
        }
        assert_eq!(staging.missing().len(), 2, "nothing of it was kept");
        assert!(staging.assemble().is_err());

        staging.put(&entry("a.rego", POLICY), inline(POLICY)).unwrap();
        staging.put(&entry("a.rego", POLICY), inline(POLICY)).unwrap();
        staging.put(&entry("b.rego", "package b\n"), Body::ByReference).unwrap();
        assert_eq!(staging.missing(), [entry("b.rego", "package b\n")]);
        staging.accept(&entry("b.rego", "package b\n"), Bytes::from_static(b"package b\n")).unwrap();
        assert_eq!(staging.assemble().unwrap().bundle().files.len(), 2);
    }

    #[test]
    fn equal_bodies_are_fetched_once() {
        assert_eq!(staging(&[("a.rego", POLICY), ("b.rego", POLICY)]).missing(), [entry("a.rego", POLICY)]);
    }

    #[test]
    fn a_broken_attempt_is_resumed_for_the_same_revision_only() {
        let begun = || {
            let mut staging = staging(&[("a.rego", POLICY)]);
            staging.put(&entry("a.rego", POLICY), inline(POLICY)).unwrap();
            staging
        };
        let mut same = staging(&[("a.rego", POLICY)]);
        same.resume(begun());
        assert!(same.missing().is_empty());
        let mut other = staging(&[("a.rego", POLICY), ("b.rego", "package b\n")]);
        other.resume(begun());
        assert_eq!(other.missing().len(), 2);
    }

    #[test]
    fn what_is_held_is_not_fetched() {
        let engine = testing::engine(&[("a.rego", POLICY)], 1);
        let mut staging = staging(&[("a.rego", POLICY), ("b.rego", "package b\n")]);
        staging.take_held(&engine);
        assert_eq!(staging.missing(), [entry("b.rego", "package b\n")]);
    }
}
