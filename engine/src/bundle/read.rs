//! Reading a bundle from a folder: `*.rego`, `data.json`, `vectors.json` and OPA's `.manifest`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

use super::limits::{MAX_BUNDLE_BYTES, MAX_FILE_BYTES, MAX_FILES, MAX_PATH_BYTES};
use super::{Bundle, Settings};
use crate::error::{Error, Refusal, Stage};

/// OPA's own settings file.
pub(super) const OPA_MANIFEST: &str = ".manifest";

impl Bundle {
    /// Reads a folder. Other files (READMEs, tests' fixtures) are left out; a `data.yaml` is refused, because leaving it
    /// out would change what the policy says.
    ///
    /// # Errors
    /// The folder can't be read, or what it holds is no bundle.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        collect(dir, dir, &mut files)?;
        Ok(Self::from_files(files)?)
    }

    /// Makes a bundle of files by path, `.manifest` among them or not.
    ///
    /// # Errors
    /// The files are no bundle.
    pub fn from_files(mut files: BTreeMap<String, Bytes>) -> Result<Self, Refusal> {
        let settings = match files.remove(OPA_MANIFEST) {
            Some(bytes) => read_settings(&bytes)?,
            None => Settings::default(),
        };
        settings.check()?;
        files.retain(|path, _| is_part(path));
        check_sizes(&files)?;
        if !files.keys().any(|path| path.ends_with(".rego")) {
            return Err(Refusal::new(Stage::Parse, "no_policy", "no `.rego` file; is this the right folder?"));
        }
        Ok(Self { settings, files })
    }
}

pub(super) fn check_sizes(files: &BTreeMap<String, Bytes>) -> Result<(), Refusal> {
    if files.len() > MAX_FILES {
        let detail = format!("{} files; the limit is {MAX_FILES}", files.len());
        return Err(Refusal::new(Stage::Limit, "file_count", detail));
    }
    let mut total = 0;
    for (path, body) in files {
        check_path(path)?;
        total += body.len() as u64;
        if body.len() as u64 > MAX_FILE_BYTES {
            let detail = format!("{} bytes; the limit is {MAX_FILE_BYTES}", body.len());
            return Err(Refusal::new(Stage::Limit, "file_size", detail).in_file(path));
        }
    }
    if total > MAX_BUNDLE_BYTES {
        let detail = format!("{total} bytes; the limit is {MAX_BUNDLE_BYTES}");
        return Err(Refusal::new(Stage::Limit, "bundle_size", detail));
    }
    Ok(())
}

/// Paths are names inside a bundle, never on a disk; still nothing that could be mistaken for another place passes.
pub(super) fn check_path(path: &str) -> Result<(), Refusal> {
    let refuse =
        |detail: &str| Err(Refusal::new(Stage::Parse, "path", detail).in_file(&path.escape_debug().to_string()));
    if path.len() > MAX_PATH_BYTES {
        return refuse("longer than 255 bytes");
    }
    if path.chars().any(|c| c.is_control() || c == '\\' || c == ':') {
        return refuse("control characters, `\\` and `:` aren't allowed");
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("must be relative, with no empty, `.` or `..` part");
    }
    Ok(())
}

/// Which files are part of a bundle.
pub(super) fn is_part(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    (path.ends_with(".rego") && !name.ends_with("_test.rego"))
        || name == "data.json"
        || name == "data.yaml"
        || name == "data.yml"
        || path == "vectors.json"
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Bytes>) -> Result<(), Error> {
    let io = |source| Error::io("read", dir, source);
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        // Symbolic links aren't followed: a bundle holds what its folder holds.
        let kind = entry.file_type().map_err(io)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let Some(name) = relative_name(root, &path) else {
                let refusal = Refusal::new(Stage::Parse, "path", "the file's name isn't UTF-8");
                return Err(refusal.in_file(&path.to_string_lossy()).into());
            };
            if name == OPA_MANIFEST || (is_part(&name) && !hidden) {
                let size = entry.metadata().map_err(io)?.len();
                if size > MAX_FILE_BYTES {
                    let detail = format!("{size} bytes; the limit is {MAX_FILE_BYTES}");
                    return Err(Refusal::new(Stage::Limit, "file_size", detail).in_file(&name).into());
                }
                let body = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
                files.insert(name, body.into());
            }
        }
    }
    Ok(())
}

fn relative_name(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(root).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// Our settings in OPA's `.manifest`: `{"metadata": {"meshguard": {…}}}`; `rego_version: 0` is OPA's own.
fn read_settings(bytes: &[u8]) -> Result<Settings, Refusal> {
    #[derive(Deserialize, Default)]
    struct OpaManifest {
        #[serde(default)]
        rego_version: Option<u8>,
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Deserialize, Default)]
    struct Metadata {
        meshguard: Option<Settings>,
    }
    let refuse = |detail: String| Refusal::new(Stage::Parse, "opa_manifest", detail).in_file(OPA_MANIFEST);
    let manifest: OpaManifest = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
    let mut settings = manifest.metadata.meshguard.unwrap_or_default();
    match manifest.rego_version {
        None => {}
        Some(1) => settings.rego = super::RegoVersion::V1,
        Some(0) => settings.rego = super::RegoVersion::V0,
        Some(other) => return Err(refuse(format!("rego_version {other}; use 0 or 1"))),
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
        list.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes()))).collect()
    }

    #[test]
    fn a_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/.git")).unwrap();
        for (path, body) in [
            ("a.rego", "package a"),
            ("a_test.rego", "package a"),
            ("sub/data.json", "{}"),
            ("sub/.git/b.rego", "package b"),
            ("README.md", "#"),
            (".manifest", r#"{"roots":["a"],"metadata":{"meshguard":{"remote_roots":["data.approvals"]}}}"#),
        ] {
            fs::write(dir.path().join(path), body).unwrap();
        }
        let bundle = Bundle::from_dir(dir.path()).unwrap();
        assert_eq!(bundle.files.keys().collect::<Vec<_>>(), ["a.rego", "sub/data.json"]);
        assert_eq!(bundle.settings.remote_roots, ["data.approvals"]);
        assert!(bundle.settings.entrypoints.contains_key("data.meshguard.decision"));
    }

    #[test]
    fn no_policy_no_bundle() {
        let refusal = Bundle::from_files(files(&[("data.json", "{}")])).unwrap_err();
        assert_eq!(refusal.code, "no_policy");
    }

    #[test]
    fn paths_that_point_elsewhere() {
        for path in ["../a.rego", "/a.rego", "a//b.rego", "./a.rego", "a\\b.rego", "c:a.rego", "a\0.rego", ""] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        assert!(check_path("a/b-c/d_e.rego").is_ok());
    }

    #[test]
    fn settings_with_unknown_words_are_refused() {
        let manifest = r#"{"metadata":{"meshguard":{"remote_root":["data.x"]}}}"#;
        let refusal = Bundle::from_files(files(&[("a.rego", "package a"), (".manifest", manifest)])).unwrap_err();
        assert!(refusal.detail.contains("remote_root"), "{refusal}");
    }
}
