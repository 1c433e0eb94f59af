//! Bundles as `.tar.gz`: OPA's layout, with the signed manifest beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::limits::{MAX_BUNDLE_BYTES, MAX_FILE_BYTES, MAX_FILES, MAX_MANIFEST_BYTES};
use super::read::OPA_MANIFEST;
use super::{Bundle, ENVELOPE_FILE, Envelope, RegoVersion, Settings, SignedBundle};
use crate::error::{Error, Refusal, Stage};

impl Bundle {
    /// Reads an OPA bundle, signed by us or not; a signature isn't looked at.
    ///
    /// # Errors
    /// The bytes are no such archive, or too large.
    pub fn from_tar_gz(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut files = unpack(bytes)?;
        match files.remove(ENVELOPE_FILE) {
            Some(envelope) => SignedBundle::from_parts(&envelope, files)?.bundle(),
            None => Self::from_files(files),
        }
    }

    /// The archive, unsigned, in OPA's layout.
    ///
    /// # Errors
    /// Writing to memory failed.
    pub fn to_tar_gz(&self) -> Result<Vec<u8>, Error> {
        pack("", &self.settings, &self.files, None)
    }

    /// Reads whatever `path` is: a folder, or an archive.
    ///
    /// # Errors
    /// There is no such thing, or it is no bundle.
    pub fn from_path(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Self::from_dir(path);
        }
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Ok(Self::from_tar_gz(&bytes)?)
    }
}

impl SignedBundle {
    /// Reads a signed bundle's archive.
    ///
    /// # Errors
    /// The bytes are no archive, too large, or hold no envelope.
    pub fn from_tar_gz(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut files = unpack(bytes)?;
        let Some(envelope) = files.remove(ENVELOPE_FILE) else {
            let detail = "the archive isn't signed; sign it with `meshguard bundle sign`";
            return Err(Refusal::new(Stage::Signature, "unsigned", detail));
        };
        Self::from_parts(&envelope, files)
    }

    /// The archive: readable by us with its signature, and by plain OPA without it.
    ///
    /// # Errors
    /// The payload is no manifest, or writing to memory failed.
    pub fn to_tar_gz(&self) -> Result<Vec<u8>, Error> {
        let manifest = self.manifest()?;
        let revision = format!("{}.{}", manifest.key_epoch, manifest.version);
        pack(&revision, &manifest.settings, &self.files, Some(&self.envelope))
    }

    fn from_parts(envelope: &[u8], mut files: BTreeMap<String, Bytes>) -> Result<Self, Refusal> {
        let envelope = Envelope::from_json(envelope)?;
        let manifest = super::Manifest::parse(&envelope.payload)?;
        // What the manifest doesn't list isn't part of the bundle, whatever the archive holds.
        files.retain(|path, _| manifest.files.iter().any(|file| file.path == *path));
        Ok(Self { envelope, files })
    }
}

fn pack(
    revision: &str,
    settings: &Settings,
    files: &BTreeMap<String, Bytes>,
    envelope: Option<&Envelope>,
) -> Result<Vec<u8>, Error> {
    let opa = serde_json::json!({
        "revision": revision,
        "rego_version": u8::from(settings.rego == RegoVersion::V1),
        "metadata": { "meshguard": settings },
    });
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut append = |path: &str, body: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, body)
    };
    let io = |e: std::io::Error| Error::Internal(format!("writing an archive to memory: {e}"));
    if let Some(envelope) = envelope {
        append(ENVELOPE_FILE, &envelope.to_json()).map_err(io)?;
    }
    append(OPA_MANIFEST, opa.to_string().as_bytes()).map_err(io)?;
    for (path, body) in files {
        append(path, body).map_err(io)?;
    }
    archive.into_inner().and_then(GzEncoder::finish).map_err(io)
}

fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Bytes>, Refusal> {
    let bad = |e: std::io::Error| Refusal::new(Stage::Parse, "archive", format!("no `.tar.gz` archive: {e}"));
    let too_large = |what: &str| Refusal::new(Stage::Limit, "archive", format!("{what} over the limit"));
    // A cap on what comes out, not on what goes in: a bomb is small.
    let cap = MAX_BUNDLE_BYTES + MAX_MANIFEST_BYTES as u64 * 2 + MAX_FILES as u64 * 1024;
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(cap));
    let mut files = BTreeMap::new();
    for (count, entry) in archive.entries().map_err(bad)?.enumerate() {
        if count > 2 * MAX_FILES {
            return Err(too_large("number of entries"));
        }
        let mut entry = entry.map_err(bad)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Refusal::new(Stage::Parse, "path", "an entry's name isn't UTF-8"))?;
        // OPA writes `/data.json`, tar writes `./data.json`.
        let path = path.trim_start_matches("./").trim_start_matches('/').to_owned();
        if !(super::read::is_part(&path) || path == ENVELOPE_FILE || path == OPA_MANIFEST) {
            continue;
        }
        if entry.size() > MAX_FILE_BYTES {
            return Err(too_large("a file").in_file(&path));
        }
        let mut body = Vec::new();
        entry.read_to_end(&mut body).map_err(bad)?;
        if files.insert(path.clone(), Bytes::from(body)).is_some() {
            return Err(Refusal::new(Stage::Parse, "archive", "two entries of one name").in_file(&path));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Target;
    use crate::keys::SigningKey;

    fn signed() -> SignedBundle {
        let files = [("a.rego", "package meshguard\n"), ("x/data.json", "{}")];
        let files = files.map(|(path, body)| (path.to_owned(), Bytes::from_static(body.as_bytes())));
        let bundle = Bundle::from_files(files.into_iter().collect()).unwrap();
        bundle.sign(&Target::new("acme", 1, 1_000), &SigningKey::generate().unwrap()).unwrap()
    }

    #[test]
    fn round_trip() {
        let signed = signed();
        let archive = signed.to_tar_gz().unwrap();
        assert_eq!(SignedBundle::from_tar_gz(&archive).unwrap(), signed);
        assert_eq!(Bundle::from_tar_gz(&archive).unwrap(), signed.bundle().unwrap());
        let unsigned = signed.bundle().unwrap().to_tar_gz().unwrap();
        assert_eq!(Bundle::from_tar_gz(&unsigned).unwrap(), signed.bundle().unwrap());
        assert_eq!(SignedBundle::from_tar_gz(&unsigned).unwrap_err().code, "unsigned");
    }

    #[test]
    fn broken_archives_are_refused() {
        let archive = signed().to_tar_gz().unwrap();
        assert!(Bundle::from_tar_gz(b"").is_err());
        assert!(Bundle::from_tar_gz(b"not gzip").is_err());
        for cut in [1, 10, archive.len() / 2] {
            assert!(SignedBundle::from_tar_gz(&archive[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        for part in 0..6 {
            let mut header = tar::Header::new_gnu();
            header.set_size(MAX_FILE_BYTES);
            header.set_mode(0o644);
            let body = std::io::repeat(b' ').take(MAX_FILE_BYTES);
            builder.append_data(&mut header, format!("{part}/data.json"), body).unwrap();
        }
        let bomb = builder.into_inner().unwrap().finish().unwrap();
        assert!(bomb.len() < 200_000);
        let refusal = Bundle::from_tar_gz(&bomb).unwrap_err();
        assert!(matches!(refusal.stage, Stage::Limit | Stage::Parse), "{refusal}");
    }
}
