//! Chains of certificates: from the last one given up to the first one, which is trusted, by way of the others; built
//! and checked as Go's `Certificate.Verify` does it.

use super::super::crypto::der::{self, Der};
use super::super::crypto::keys::PublicKey;
use super::super::crypto::sign::{self, Hash, Padding};
use super::super::{Budget, Failure};
use super::certificate::{Certificate, SUBJECT_ALT_NAME};
use super::{names, policies};
use crate::eval::value::{Object, Value};

/// Signatures that are looked at before a chain is given up.
const MAX_SIGNATURES: usize = 100;

/// The usage of a key to sign certificates with.
const CERTIFICATE_SIGNING: i64 = 1 << 5;

const ANY_USAGE: i64 = 0;
const SERVER_AUTHENTICATION: i64 = 1;

/// What a chain is to be good for.
#[derive(Debug, Clone)]
pub(super) struct Options {
    now_ns: i64,
    /// Empty for any host.
    host: String,
    usages: Vec<i64>,
}

impl Options {
    pub(super) fn new(now_ns: i64) -> Self {
        Self { now_ns, host: String::new(), usages: vec![] }
    }

    pub(super) fn read(now_ns: i64, object: &Object) -> Result<Self, Failure> {
        let mut options = Self::new(now_ns);
        for (name, value) in object.iter() {
            let int = |what: &str| match value {
                Value::Number(number) => {
                    number.as_i64().ok_or_else(|| Failure::error(format!("'{name}' should be a valid {what}")))
                }
                _ => Err(Failure::error(format!("'{name}' should be a number"))),
            };
            match name.as_str() {
                // OPA passes over names that aren't strings.
                None => {}
                Some("DNSName") => match value {
                    Value::String(host) => options.host = host.trim_matches('"').to_owned(),
                    _ => return Err(Failure::error("'DNSName' should be a string")),
                },
                Some("CurrentTime") => options.now_ns = int("int64 number")?,
                // Go counts comparisons no longer.
                Some("MaxConstraintComparisons") => drop(int("number")?),
                Some("KeyUsages") => options.usages = usages(value)?,
                Some(_) => return Err(Failure::error("invalid key option")),
            }
        }
        Ok(options)
    }
}

fn usages(value: &Value) -> Result<Vec<i64>, Failure> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::Set(items) => items.as_slice(),
        _ => return Err(Failure::error("'KeyUsages' should be an Array or Set")),
    };
    let (mut usages, mut invalid) = (vec![], vec![]);
    for name in items.iter().filter_map(Value::as_str).map(|name| name.trim_matches('"')) {
        match USAGES.iter().zip(0..).find(|(usage, _)| **usage == name) {
            Some((_, number)) => usages.push(number),
            None => invalid.push(name),
        }
    }
    if invalid.is_empty() {
        return Ok(usages);
    }
    Err(Failure::error(format!("invalid entries for 'KeyUsages' found: [{}]", invalid.join(" "))))
}

/// By Go's numbers for them.
const USAGES: [&str; 14] = [
    "KeyUsageAny",
    "KeyUsageServerAuth",
    "KeyUsageClientAuth",
    "KeyUsageCodeSigning",
    "KeyUsageEmailProtection",
    "KeyUsageIPSECEndSystem",
    "KeyUsageIPSECTunnel",
    "KeyUsageIPSECUser",
    "KeyUsageTimeStamping",
    "KeyUsageOCSPSigning",
    "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto",
    "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning",
];

/// The first chain that holds, the leaf in front.
///
/// # Errors
/// The budget ends, or a key can't be verified with here.
pub(super) fn chain<'a>(
    budget: &mut Budget,
    certificates: &'a [Certificate],
    options: &Options,
) -> Result<Option<Vec<&'a Certificate>>, Failure> {
    let [root, between @ .., leaf] = certificates else { return Ok(None) };
    if !is_valid(leaf, Role::Leaf, &[], options) {
        return Ok(None);
    }
    if !options.host.is_empty() && !names::is_for_host(leaf, &options.host) {
        return Ok(None);
    }
    let chains = if root.raw == leaf.raw {
        vec![vec![leaf]]
    } else {
        let mut builder = Builder { budget: &mut *budget, root, between: distinct(between), options, signatures: 0 };
        let mut chains = vec![];
        builder.build(&mut vec![leaf], &mut chains)?;
        chains
    };
    for chain in chains {
        budget.read(chain.iter().map(|certificate| certificate.raw.len()).sum::<usize>().saturating_mul(8))?;
        if policies::are_valid(&chain) && has_usages(&chain, &options.usages) && names::are_permitted(&chain) {
            return Ok(Some(chain));
        }
    }
    Ok(None)
}

fn distinct(certificates: &[Certificate]) -> Vec<&Certificate> {
    let mut seen = std::collections::HashSet::new();
    certificates.iter().filter(|certificate| seen.insert(certificate.raw.as_slice())).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Leaf,
    Intermediate,
    Root,
}

struct Builder<'b, 'a> {
    budget: &'b mut Budget,
    root: &'a Certificate,
    between: Vec<&'a Certificate>,
    options: &'b Options,
    signatures: usize,
}

impl<'a> Builder<'_, 'a> {
    /// Adds the chains that go on from the last certificate. Says whether too many signatures were looked at.
    ///
    /// Recurses once for each certificate of a chain, and so no deeper than there may be signatures.
    fn build(
        &mut self,
        chain: &mut Vec<&'a Certificate>,
        chains: &mut Vec<Vec<&'a Certificate>>,
    ) -> Result<bool, Failure> {
        let Some(child) = chain.last().copied() else { return Ok(false) };
        self.budget.step(self.between.len() as u64 + 1)?;
        let roots = parents(child, std::slice::from_ref(&self.root)).into_iter().map(|parent| (Role::Root, parent));
        let others = parents(child, &self.between).into_iter().map(|parent| (Role::Intermediate, parent));
        let before = chains.len();
        for (role, parent) in roots.chain(others).collect::<Vec<_>>() {
            self.signatures += 1;
            if self.signatures > MAX_SIGNATURES {
                return Ok(chains.len() == before);
            }
            self.budget.read(parent.raw.len().saturating_add(child.raw.len()).saturating_mul(4))?;
            if parent.public_key.is_none()
                || is_in_chain(parent, chain)
                || !is_signed_by(self.budget, child, parent)?
                || !is_valid(parent, role, chain, self.options)
            {
                continue;
            }
            chain.push(parent);
            let ended = match role {
                Role::Intermediate => self.build(chain, chains)?,
                _ => {
                    chains.push(chain.clone());
                    false
                }
            };
            chain.pop();
            if ended {
                return Ok(chains.len() == before);
            }
        }
        Ok(false)
    }
}

/// Who may have issued a certificate, those first whose key it names.
fn parents<'a>(child: &Certificate, candidates: &[&'a Certificate]) -> Vec<&'a Certificate> {
    let authority = child.known.authority_key_id.as_deref().unwrap_or_default();
    let rank = |candidate: &&Certificate| {
        let subject = candidate.known.subject_key_id.as_deref().unwrap_or_default();
        match subject == authority {
            true => 0,
            false if subject.is_empty() != authority.is_empty() => 1,
            false => 2,
        }
    };
    let is_issuer = |candidate: &&&Certificate| candidate.raw_subject == child.raw_issuer;
    let mut found: Vec<_> = candidates.iter().filter(is_issuer).copied().collect();
    found.sort_by_key(rank);
    found
}

/// The same subject, key and alternative names as one that is there.
fn is_in_chain(candidate: &Certificate, chain: &[&Certificate]) -> bool {
    for certificate in chain {
        if candidate.raw_subject != certificate.raw_subject || candidate.raw_public_key != certificate.raw_public_key {
            continue;
        }
        match (candidate.extension(SUBJECT_ALT_NAME), certificate.extension(SUBJECT_ALT_NAME)) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b => return true,
            (Some(_), Some(_)) => {}
            _ => return false,
        }
    }
    false
}

fn is_valid(certificate: &Certificate, role: Role, below: &[&Certificate], options: &Options) -> bool {
    if !certificate.known.unhandled_critical.is_empty() {
        return false;
    }
    if below.last().is_some_and(|child| child.raw_issuer != certificate.raw_subject) {
        return false;
    }
    let ns = |seconds: i64| i128::from(seconds) * 1_000_000_000;
    let now = i128::from(options.now_ns);
    if now < ns(certificate.not_before.unix()) || now > ns(certificate.not_after.unix()) {
        return false;
    }
    let constraints = certificate.known.basic_constraints;
    if role == Role::Intermediate && !constraints.is_some_and(|constraints| constraints.is_ca) {
        return false;
    }
    let between = i64::try_from(below.len()).unwrap_or(i64::MAX) - 1;
    constraints.is_none_or(|constraints| constraints.max_path_len < 0 || between <= constraints.max_path_len)
}

fn is_signed_by(budget: &mut Budget, child: &Certificate, parent: &Certificate) -> Result<bool, Failure> {
    let is_ca = match parent.known.basic_constraints {
        Some(constraints) => constraints.is_ca,
        None => parent.version != 3,
    };
    let usage = parent.known.key_usage;
    if !is_ca || (usage != 0 && usage & CERTIFICATE_SIGNING == 0) {
        return Ok(false);
    }
    // SHA-1 and what is older don't count any more.
    let (signed, signature) = (&child.raw_tbs, &child.signature);
    match (&parent.public_key, child.signature_algorithm.0) {
        (Some(PublicKey::Rsa(key)), algorithm @ (4..=6 | 13..=15)) => {
            let (padding, hash) = match algorithm {
                4 => (Padding::Pkcs1, Hash::Sha256),
                5 => (Padding::Pkcs1, Hash::Sha384),
                6 => (Padding::Pkcs1, Hash::Sha512),
                13 => (Padding::Pss, Hash::Sha256),
                14 => (Padding::Pss, Hash::Sha384),
                _ => (Padding::Pss, Hash::Sha512),
            };
            sign::verify_rsa(budget, key, padding, hash, &hash.of(signed), signature)
        }
        (Some(PublicKey::Ec(key)), algorithm @ 10..=12) => {
            let hash = match algorithm {
                10 => Hash::Sha256,
                11 => Hash::Sha384,
                _ => Hash::Sha512,
            };
            let Some((r, s)) = ecdsa_signature(signature) else { return Ok(false) };
            sign::verify_ecdsa(budget, key, &hash.of(signed), r, s)
        }
        (Some(PublicKey::Ed25519(key)), 16) => sign::verify_ed25519(budget, key, signed, signature),
        _ => Ok(false),
    }
}

/// Both numbers of a signature; none of them is negative.
fn ecdsa_signature(signature: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut numbers = super::sequence(signature)?;
    let number = |der: &mut Der<'_>| {
        let mut ahead = *der;
        let sign = ahead.integer()?.sign();
        (sign != num_bigint::Sign::Minus).then_some(())
    };
    number(&mut numbers)?;
    let r = numbers.read(der::INTEGER)?;
    number(&mut numbers)?;
    let s = numbers.read(der::INTEGER)?;
    numbers.is_empty().then_some((r, s))
}

/// Whether one of the usages asked for is common to all certificates that name usages.
fn has_usages(chain: &[&Certificate], asked: &[i64]) -> bool {
    if asked.contains(&ANY_USAGE) {
        return true;
    }
    let mut remaining = if asked.is_empty() { vec![SERVER_AUTHENTICATION] } else { asked.to_vec() };
    for certificate in chain.iter().rev() {
        let known = &certificate.known;
        let names_none = known.ext_key_usage.is_empty() && known.unknown_ext_key_usage.is_empty();
        if names_none || known.ext_key_usage.contains(&ANY_USAGE) {
            continue;
        }
        remaining.retain(|usage| known.ext_key_usage.contains(usage));
        if remaining.is_empty() {
            return false;
        }
    }
    true
}
