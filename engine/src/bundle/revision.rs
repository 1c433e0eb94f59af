//! Which bundle, and which of two is newer.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;

/// A bundle's ordered identity.
///
/// `(key_epoch, version)` orders; the manifest's digest tells two bundles of one version apart, which never both exist
/// unless somebody equivocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// Raised by a change of root keys, so that a version number spoiled by a stolen key can be left behind.
    pub key_epoch: u64,
    /// Raised by each publication.
    pub version: u64,
    /// What was signed.
    pub manifest: Digest,
}

impl Revision {
    /// What orders it.
    pub const fn order(&self) -> AtLeast {
        AtLeast { key_epoch: self.key_epoch, version: self.version }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.key_epoch, self.version, self.manifest.short())
    }
}

/// A lower bound on revisions: a floor, or what a caller asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtLeast {
    /// See [`Revision::key_epoch`].
    #[serde(alias = "keyEpoch", deserialize_with = "number_or_text", default)]
    pub key_epoch: u64,
    /// See [`Revision::version`].
    #[serde(deserialize_with = "number_or_text", default)]
    pub version: u64,
}

impl fmt::Display for AtLeast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key_epoch, self.version)
    }
}

/// proto3 JSON writes 64-bit numbers as strings and reads both.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_goes_before_version() {
        let old = AtLeast { key_epoch: 1, version: 900 };
        let new = AtLeast { key_epoch: 2, version: 1 };
        assert!(old < new);
    }

    #[test]
    fn proto_json_numbers() {
        let read: AtLeast = serde_json::from_str(r#"{"keyEpoch":"1","version":7}"#).unwrap();
        assert_eq!(read, AtLeast { key_epoch: 1, version: 7 });
    }
}
