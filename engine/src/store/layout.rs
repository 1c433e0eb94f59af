//! Where things lie in the store. Format 1.
//!
//! | key, after `t/<tenant>/<scope>/` | value |
//! |---|---|
//! | `active`, `previous` | the signed manifest (DSSE, JSON) last accepted, and the one before |
//! | `floor` | the floor, as JSON |
//! | `blob/<digest>` | a file's bytes |
//! | `quarantine/<digest of manifest>` | why it isn't tried again, or how often compiling it ended the process |
//! | `heard` | wall clock of the control plane's last word, milliseconds, big-endian, and the manifest's digest it was about |
//! | `withdrawn` | there while the control plane has withdrawn this edge's authorisation |
//! | `fail_open` | since when fail-open is in use, milliseconds, big-endian |
//! | `audit/chain/<ordinal>` | a chain of records: its id and how far it was acknowledged, as JSON |
//! | `audit/record/<ordinal><seq>` | one record; ordinal and sequence are 8 bytes, big-endian |

use crate::digest::Digest;

/// The keys of one tenant and scope.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    prefix: String,
}

impl Layout {
    pub(crate) fn new(tenant: &str, scope: &str) -> Self {
        // A `/` in a name would let one tenant's keys run into another's.
        let escape = |name: &str| name.replace('%', "%25").replace('/', "%2f");
        Self { prefix: format!("t/{}/{}/", escape(tenant), escape(scope)) }
    }

    pub(crate) fn active(&self) -> Vec<u8> {
        self.key("active")
    }

    pub(crate) fn previous(&self) -> Vec<u8> {
        self.key("previous")
    }

    pub(crate) fn floor(&self) -> Vec<u8> {
        self.key("floor")
    }

    pub(crate) fn heard(&self) -> Vec<u8> {
        self.key("heard")
    }

    pub(crate) fn withdrawn(&self) -> Vec<u8> {
        self.key("withdrawn")
    }

    pub(crate) fn fail_open(&self) -> Vec<u8> {
        self.key("fail_open")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Vec<u8> {
        self.key(&format!("blob/{digest}"))
    }

    pub(crate) fn quarantine(&self, manifest: &Digest) -> Vec<u8> {
        self.key(&format!("quarantine/{manifest}"))
    }

    pub(crate) fn chain(&self, ordinal: u64) -> Vec<u8> {
        [self.chains().as_slice(), &ordinal.to_be_bytes()].concat()
    }

    pub(crate) fn chains(&self) -> Vec<u8> {
        self.key("audit/chain/")
    }

    pub(crate) fn record(&self, ordinal: u64, seq: u64) -> Vec<u8> {
        [self.key("audit/record/").as_slice(), &ordinal.to_be_bytes(), &seq.to_be_bytes()].concat()
    }

    fn key(&self, name: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_bytes()].concat()
    }
}

/// The number at the end of a key, eight bytes big-endian.
pub(crate) fn trailing_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_do_not_run_together() {
        assert_ne!(Layout::new("a/b", "c").active(), Layout::new("a", "b/c").active());
        assert_ne!(Layout::new("a%2fb", "c").active(), Layout::new("a/b", "c").active());
    }

    #[test]
    fn records_sort_by_chain_then_sequence() {
        let layout = Layout::new("acme", "default");
        assert!(layout.record(1, 300) < layout.record(2, 0));
        assert!(layout.record(1, 255) < layout.record(1, 256));
        assert_eq!(trailing_number(&layout.record(1, 256)), Some(256));
    }
}
