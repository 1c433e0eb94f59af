//! Where the control plane's things lie in the store, beside those of its engines (which lie under `t/`).
//!
//! | key, after `pdp/` | value |
//! |---|---|
//! | `tenant/<tenant>` | its publishers' keys, as JSON |
//! | `data/<tenant>` | what is held for it under remote roots, as JSON |
//! | `version/<tenant>/<scope>/<key epoch><version>` | a published version: when it came (8 bytes, milliseconds), then its envelope (DSSE, JSON) |
//! | `blob/<tenant>/<digest>` | a file's bytes; kept while a version names it |
//! | `edge/<tenant>/<agent>/<instance>/<scope>` | what an edge last said, as JSON |
//! | `audit/chain/<tenant>/<chain>` | whose chain it is, and its next expected number, as JSON |
//! | `audit/record/<tenant>/<chain>/<seq>` | one record, as it came |
//! | `audit/arrival/<tenant>/<arrival>` | which record came as which, as JSON |
//! | `audit/next/<tenant>` | the number of the next arrival |
//!
//! Numbers are 8 bytes, big-endian; names are escaped, so that none runs into another. There is no key for a head: the
//! head of a scope is what the control plane's own engine serves.

use meshguard_engine::{AtLeast, Digest};

pub(crate) fn tenants() -> Vec<u8> {
    b"pdp/tenant/".to_vec()
}

pub(crate) fn tenant(tenant: &str) -> Vec<u8> {
    key("tenant", &[tenant])
}

pub(crate) fn data(tenant: &str) -> Vec<u8> {
    key("data", &[tenant])
}

/// Every version of every scope of a tenant.
pub(crate) fn versions(tenant: &str) -> Vec<u8> {
    prefix("version", &[tenant])
}

pub(crate) fn version(tenant: &str, scope: &str, at: AtLeast) -> Vec<u8> {
    let scope = prefix("version", &[tenant, scope]);
    [scope.as_slice(), &at.key_epoch.to_be_bytes(), &at.version.to_be_bytes()].concat()
}

pub(crate) fn blob(tenant: &str, digest: &Digest) -> Vec<u8> {
    key("blob", &[tenant, &digest.to_string()])
}

pub(crate) fn edges() -> Vec<u8> {
    b"pdp/edge/".to_vec()
}

pub(crate) fn edge(tenant: &str, agent: &str, instance: &str, scope: &str) -> Vec<u8> {
    key("edge", &[tenant, agent, instance, scope])
}

pub(crate) fn chains(tenant: &str) -> Vec<u8> {
    prefix("audit/chain", &[tenant])
}

pub(crate) fn chain(tenant: &str, chain: &Digest) -> Vec<u8> {
    key("audit/chain", &[tenant, &chain.to_string()])
}

pub(crate) fn record(tenant: &str, chain: &Digest, seq: u64) -> Vec<u8> {
    let chain = prefix("audit/record", &[tenant, &chain.to_string()]);
    [chain.as_slice(), &seq.to_be_bytes()].concat()
}

pub(crate) fn arrivals(tenant: &str) -> Vec<u8> {
    prefix("audit/arrival", &[tenant])
}

pub(crate) fn arrival(tenant: &str, number: u64) -> Vec<u8> {
    [arrivals(tenant).as_slice(), &number.to_be_bytes()].concat()
}

pub(crate) fn next_arrival(tenant: &str) -> Vec<u8> {
    key("audit/next", &[tenant])
}

/// A name that can stand in a key or a path: no `/` in it, and neither `.` nor `..`.
pub(crate) fn escape(name: &str) -> String {
    let escaped = name.replace('%', "%25").replace('/', "%2f");
    if escaped.bytes().all(|byte| byte == b'.') { escaped.replace('.', "%2e") } else { escaped }
}

fn key(kind: &str, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| escape(name)).collect();
    format!("pdp/{kind}/{}", names.join("/")).into_bytes()
}

fn prefix(kind: &str, names: &[&str]) -> Vec<u8> {
    [key(kind, names), b"/".to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_run_together() {
        let at = AtLeast { key_epoch: 1, version: 2 };
        assert_ne!(version("a/b", "c", at), version("a", "b/c", at));
        assert_ne!(version("a%2fb", "c", at), version("a/b", "c", at));
        assert!(!version("ab", "c", at).starts_with(&versions("a")));
        assert_eq!(escape(".."), "%2e%2e");
        assert_eq!(escape("a.b"), "a.b");
    }

    #[test]
    fn numbers_sort() {
        let at = |key_epoch, version_| version("a", "s", AtLeast { key_epoch, version: version_ });
        assert!(at(1, 255) < at(1, 256) && at(1, u64::MAX) < at(2, 0));
        assert!(arrival("a", 255) < arrival("a", 256));
    }
}
