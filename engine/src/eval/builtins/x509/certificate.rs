//! Certificates and what is in them, read as strictly and as leniently as Go 1.26's `crypto/x509` reads them
//! (`parser.go`; RFC 5280).

use std::collections::HashSet;

use num_bigint::{BigInt, BigUint, Sign};

use super::super::Failure;
use super::super::crypto::der::{self, BIT_STRING, Bits, Der, INTEGER, OCTET_STRING, Oid, SEQUENCE, SET};
use super::super::crypto::keys::{Algorithm, PublicKey};
use super::names;
use super::time::Time;
use super::url::Uri;
use crate::eval::value::Value;

/// A certificate. Fields are named as in Go, whose structure is what policies see.
#[derive(Debug, Clone)]
pub(in super::super) struct Certificate {
    pub(super) raw: Vec<u8>,
    pub(super) raw_tbs: Vec<u8>,
    pub(super) raw_public_key: Vec<u8>,
    pub(super) raw_subject: Vec<u8>,
    pub(super) raw_issuer: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) signature_algorithm: SignatureAlgorithm,
    pub(super) public_key_algorithm: i64,
    /// None if its algorithm is unknown.
    pub(in super::super) public_key: Option<PublicKey>,
    pub(super) version: i64,
    pub(super) serial_number: BigInt,
    pub(super) issuer: Name,
    pub(super) subject: Name,
    pub(super) not_before: Time,
    pub(super) not_after: Time,
    pub(super) extensions: Vec<Extension>,
    pub(super) known: Known,
}

/// What the extensions say that are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) unhandled_critical: Vec<Oid>,
    pub(super) key_usage: i64,
    pub(super) ext_key_usage: Vec<i64>,
    pub(super) unknown_ext_key_usage: Vec<Oid>,
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) ocsp_servers: Vec<Vec<u8>>,
    pub(super) issuing_certificate_urls: Vec<Vec<u8>>,
    pub(super) names: AlternativeNames,
    pub(super) constraints: NameConstraints,
    pub(super) crl_distribution_points: Vec<Vec<u8>>,
    pub(super) policies: Option<Vec<Vec<u8>>>,
    pub(super) inhibit_any_policy: Option<i64>,
    pub(super) inhibit_policy_mapping: Option<i64>,
    pub(super) require_explicit_policy: Option<i64>,
    /// An issuer's policy and the subject's that is as good.
    pub(super) policy_mappings: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct BasicConstraints {
    pub(super) is_ca: bool,
    /// -1 if there is no limit.
    pub(super) max_path_len: i64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct AlternativeNames {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    /// Four or sixteen bytes each.
    pub(super) addresses: Vec<Vec<u8>>,
    pub(super) uris: Vec<Uri>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct NameConstraints {
    pub(super) critical: bool,
    pub(super) permitted: Subtrees,
    pub(super) excluded: Subtrees,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Subtrees {
    pub(super) dns: Vec<String>,
    /// Networks: an address and a mask, of one length.
    pub(super) networks: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Extension {
    pub(super) id: Oid,
    pub(super) critical: bool,
    pub(super) value: Vec<u8>,
}

/// The attributes of a distinguished name, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Name(pub(super) Vec<Attribute>);

#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) kind: Oid,
    pub(super) value: Value,
    /// Whether it is a string where it comes from; all sorts of things are strings in JSON.
    pub(super) is_text: bool,
}

pub(super) const SUBJECT_ALT_NAME: &[u32] = &[2, 5, 29, 17];
pub(super) const NAME_CONSTRAINTS: &[u32] = &[2, 5, 29, 30];

fn bad(what: &str) -> Failure {
    Failure::error(format!("x509: {what}"))
}

// === impl Certificate ===

impl Certificate {
    /// One certificate and nothing behind it.
    ///
    /// # Errors
    /// It isn't one.
    pub(in super::super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let (certificate, rest) = Self::parse_first(bytes)?;
        if rest.is_empty() { Ok(certificate) } else { Err(bad("trailing data")) }
    }

    /// Certificates one behind the other.
    ///
    /// # Errors
    /// One of them isn't one.
    pub(super) fn parse_all(mut bytes: &[u8]) -> Result<Vec<Self>, Failure> {
        let mut certificates = vec![];
        while !bytes.is_empty() {
            let (certificate, rest) = Self::parse_first(bytes)?;
            certificates.push(certificate);
            bytes = rest;
        }
        Ok(certificates)
    }

    fn parse_first(bytes: &[u8]) -> Result<(Self, &[u8]), Failure> {
        let mut outer = Der(bytes);
        let raw = outer.element(SEQUENCE).ok_or_else(|| bad("malformed certificate"))?;
        let rest = outer.0;
        let mut input = Der(raw).sequence().ok_or_else(|| bad("malformed certificate"))?;
        let raw_tbs = input.element(SEQUENCE).ok_or_else(|| bad("malformed tbs certificate"))?;
        let mut tbs = Der(raw_tbs).sequence().ok_or_else(|| bad("malformed tbs certificate"))?;
        let version = version(&mut tbs).ok_or_else(|| bad("malformed version"))?;
        if version > 3 {
            return Err(bad("invalid version"));
        }
        let serial_number = tbs.integer().ok_or_else(|| bad("malformed serial number"))?;
        if serial_number.sign() == Sign::Minus {
            return Err(bad("negative serial number"));
        }
        let inner = tbs.read(SEQUENCE).ok_or_else(|| bad("malformed signature algorithm identifier"))?;
        let outer = input.read(SEQUENCE).ok_or_else(|| bad("malformed algorithm identifier"))?;
        if inner != outer {
            return Err(bad("inner and outer signature algorithm identifiers don't match"));
        }
        let signature_algorithm = SignatureAlgorithm::of(&Algorithm::read(Der(inner))?);
        let raw_issuer = tbs.element(SEQUENCE).ok_or_else(|| bad("malformed issuer"))?;
        let issuer = Name::parse(raw_issuer)?;
        let mut validity = tbs.sequence().ok_or_else(|| bad("malformed validity"))?;
        let (not_before, not_after) = (Time::read(&mut validity)?, Time::read(&mut validity)?);
        let raw_subject = tbs.element(SEQUENCE).ok_or_else(|| bad("malformed issuer"))?;
        let subject = Name::parse(raw_subject)?;
        let raw_public_key = tbs.element(SEQUENCE).ok_or_else(|| bad("malformed spki"))?;
        let (public_key_algorithm, public_key) = public_key(raw_public_key, Algorithm::read)?;
        let mut certificate = Self {
            raw: raw.to_vec(),
            raw_tbs: raw_tbs.to_vec(),
            raw_public_key: raw_public_key.to_vec(),
            raw_subject: raw_subject.to_vec(),
            raw_issuer: raw_issuer.to_vec(),
            signature: vec![],
            signature_algorithm,
            public_key_algorithm,
            public_key,
            version,
            serial_number,
            issuer,
            subject,
            not_before,
            not_after,
            extensions: vec![],
            known: Known::default(),
        };
        if version > 1 {
            tbs.optional(der::context(1)).ok_or_else(|| bad("malformed issuerUniqueID"))?;
            tbs.optional(der::context(2)).ok_or_else(|| bad("malformed subjectUniqueID"))?;
        }
        if version == 3 {
            certificate.read_extensions(&mut tbs)?;
        }
        certificate.signature = input.bits().ok_or_else(|| bad("malformed signature"))?.right_aligned();
        Ok((certificate, rest))
    }

    fn read_extensions(&mut self, tbs: &mut Der<'_>) -> Result<(), Failure> {
        let extensions = tbs.optional(der::constructed(3)).ok_or_else(|| bad("malformed extensions"))?;
        let Some(extensions) = extensions else { return Ok(()) };
        let mut extensions = Der(extensions).sequence().ok_or_else(|| bad("malformed extensions"))?;
        let mut seen = HashSet::new();
        while !extensions.is_empty() {
            let extension = extensions.sequence().ok_or_else(|| bad("malformed extension"))?;
            let extension = Extension::read(extension)?;
            if !seen.insert(extension.id.0.clone()) {
                let id = &extension.id;
                return Err(bad(&format!("certificate contains duplicate extension with OID \"{id}\"")));
            }
            self.extensions.push(extension);
        }
        for extension in &self.extensions {
            let handled = self.known.read(extension)?;
            if extension.critical && !handled {
                self.known.unhandled_critical.push(extension.id.clone());
            }
        }
        Ok(())
    }

    pub(super) fn has_extension(&self, id: &[u32]) -> bool {
        self.extension(id).is_some()
    }

    pub(super) fn extension(&self, id: &[u32]) -> Option<&[u8]> {
        self.extensions.iter().find(|extension| extension.id.is(id)).map(|extension| extension.value.as_slice())
    }
}

fn version(tbs: &mut Der<'_>) -> Option<i64> {
    let version = match tbs.optional(der::constructed(0))? {
        None => 0,
        Some(version) => {
            let mut version = Der(version);
            let number = version.int()?;
            version.is_empty().then_some(number)?
        }
    };
    (version >= 0).then(|| version.saturating_add(1))
}

/// A key and the number of its algorithm, of a whole `SubjectPublicKeyInfo`.
pub(super) fn public_key<'a>(
    info: &'a [u8],
    algorithm: fn(Der<'a>) -> Result<Algorithm<'a>, Failure>,
) -> Result<(i64, Option<PublicKey>), Failure> {
    let mut info = Der(info).sequence().ok_or_else(|| bad("malformed spki"))?;
    let identifier = info.sequence().ok_or_else(|| bad("malformed public key algorithm identifier"))?;
    let algorithm = algorithm(identifier)?;
    let key: Bits<'_> = info.bits().ok_or_else(|| bad("malformed subjectPublicKey"))?;
    let key = if algorithm.is_known() { Some(PublicKey::read(&algorithm, key)?) } else { None };
    Ok((algorithm.of_public_key(), key))
}

// === impl Extension ===

impl Extension {
    fn read(mut der: Der<'_>) -> Result<Self, Failure> {
        let id = der.oid().ok_or_else(|| bad("malformed extension OID field"))?;
        let critical = if der.peek(der::BOOLEAN) {
            der.boolean().ok_or_else(|| bad("malformed extension critical field"))?
        } else {
            false
        };
        let value = der.read(OCTET_STRING).ok_or_else(|| bad("malformed extension value field"))?;
        Ok(Self { id, critical, value: value.to_vec() })
    }
}

// === impl Known ===

impl Known {
    /// Whether this is an extension that is known and has been understood.
    fn read(&mut self, extension: &Extension) -> Result<bool, Failure> {
        let value = extension.value.as_slice();
        match extension.id.0.as_slice() {
            [2, 5, 29, 14] => {
                if extension.critical {
                    return Err(bad("subject key identifier incorrectly marked critical"));
                }
                let id = Der(value).read(OCTET_STRING).ok_or_else(|| bad("invalid subject key identifier"))?;
                self.subject_key_id = Some(id.to_vec());
            }
            [2, 5, 29, 15] => {
                let bits = Der(value).bits().ok_or_else(|| bad("invalid key usage"))?;
                self.key_usage = (0..9).filter(|bit| bits.at(*bit)).map(|bit| 1_i64 << bit).sum();
            }
            [2, 5, 29, 17] => {
                self.names = AlternativeNames::read(value)?;
                return Ok(!self.names.is_empty());
            }
            [2, 5, 29, 19] => {
                let constraints = BasicConstraints::read(value).ok_or_else(|| bad("invalid basic constraints"))?;
                self.basic_constraints = Some(constraints);
            }
            [2, 5, 29, 30] => return self.read_name_constraints(extension),
            [2, 5, 29, 31] => self.read_distribution_points(value)?,
            [2, 5, 29, 32] => {
                let policies = policies(value).ok_or_else(|| bad("invalid certificate policies"))?;
                self.policies = Some(policies);
            }
            [2, 5, 29, 33] => {
                let mappings = policy_mappings(value).ok_or_else(|| bad("invalid policy mappings extension"))?;
                self.policy_mappings = mappings;
            }
            [2, 5, 29, 35] => {
                if extension.critical {
                    return Err(bad("authority key identifier incorrectly marked critical"));
                }
                let invalid = || bad("invalid authority key identifier");
                let mut id = Der(value).sequence().ok_or_else(invalid)?;
                self.authority_key_id = id.optional(der::context(0)).ok_or_else(invalid)?.map(<[u8]>::to_vec);
            }
            [2, 5, 29, 36] => {
                let invalid = || bad("invalid policy constraints extension");
                let mut constraints = Der(value).sequence().ok_or_else(invalid)?;
                let mut number = |tag: u8| match constraints.peek(tag) {
                    true => constraints.int_tagged(tag).map(Some).ok_or_else(invalid),
                    false => Ok(None),
                };
                self.require_explicit_policy = number(der::context(0))?;
                self.inhibit_policy_mapping = number(der::context(1))?;
            }
            [2, 5, 29, 37] => self.read_ext_key_usage(value).ok_or_else(|| bad("invalid extended key usages"))?,
            [2, 5, 29, 54] => {
                let skip = Der(value).int().ok_or_else(|| bad("invalid inhibit any policy extension"))?;
                self.inhibit_any_policy = Some(skip);
            }
            [1, 3, 6, 1, 5, 5, 7, 1, 1] => {
                if extension.critical {
                    return Err(bad("authority info access incorrectly marked critical"));
                }
                self.read_authority_info(value).ok_or_else(|| bad("invalid authority info access"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_name_constraints(&mut self, extension: &Extension) -> Result<bool, Failure> {
        let parts = || {
            let mut outer = Der(&extension.value);
            let mut subtrees = outer.sequence().filter(|_| outer.is_empty())?;
            let permitted = subtrees.optional(der::constructed(0))?;
            let excluded = subtrees.optional(der::constructed(1))?;
            subtrees.is_empty().then_some((permitted.unwrap_or_default(), excluded.unwrap_or_default()))
        };
        let (permitted, excluded) = parts().ok_or_else(|| bad("invalid NameConstraints extension"))?;
        if permitted.is_empty() && excluded.is_empty() {
            return Err(bad("empty name constraints extension"));
        }
        let (permitted, first) = Subtrees::read(permitted)?;
        let (excluded, second) = Subtrees::read(excluded)?;
        self.constraints = NameConstraints { critical: extension.critical, permitted, excluded };
        Ok(first && second)
    }

    fn read_distribution_points(&mut self, value: &[u8]) -> Result<(), Failure> {
        let mut points = Der(value).sequence().ok_or_else(|| bad("invalid CRL distribution points"))?;
        while !points.is_empty() {
            let mut names = || {
                let mut point = points.sequence()?;
                let Some(name) = point.optional(der::constructed(0))? else { return Some(vec![]) };
                let mut names = Der(name).within(der::constructed(0))?;
                let mut found = vec![];
                while names.peek(der::context(6)) {
                    found.push(names.read(der::context(6))?.to_vec());
                }
                Some(found)
            };
            let names = names().ok_or_else(|| bad("invalid CRL distribution point"))?;
            self.crl_distribution_points.extend(names);
        }
        Ok(())
    }

    fn read_ext_key_usage(&mut self, value: &[u8]) -> Option<()> {
        let mut usages = Der(value).sequence()?;
        while !usages.is_empty() {
            let usage = usages.oid()?;
            match EXT_KEY_USAGES.iter().zip(0..).find(|(known, _)| usage.is(known)) {
                Some((_, number)) => self.ext_key_usage.push(number),
                None => self.unknown_ext_key_usage.push(usage),
            }
        }
        Some(())
    }

    fn read_authority_info(&mut self, value: &[u8]) -> Option<()> {
        let mut descriptions = Der(value).sequence()?;
        while !descriptions.is_empty() {
            let mut description = descriptions.sequence()?;
            let method = description.oid()?;
            if !description.peek(der::context(6)) {
                continue;
            }
            let uri = description.read(der::context(6))?.to_vec();
            match method.0.as_slice() {
                [1, 3, 6, 1, 5, 5, 7, 48, 1] => self.ocsp_servers.push(uri),
                [1, 3, 6, 1, 5, 5, 7, 48, 2] => self.issuing_certificate_urls.push(uri),
                _ => {}
            }
        }
        Some(())
    }
}

/// By Go's numbers for them.
const EXT_KEY_USAGES: [&[u32]; 14] = [
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 3],
    &[1, 3, 6, 1, 5, 5, 7, 3, 4],
    &[1, 3, 6, 1, 5, 5, 7, 3, 5],
    &[1, 3, 6, 1, 5, 5, 7, 3, 6],
    &[1, 3, 6, 1, 5, 5, 7, 3, 7],
    &[1, 3, 6, 1, 5, 5, 7, 3, 8],
    &[1, 3, 6, 1, 5, 5, 7, 3, 9],
    &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
    &[2, 16, 840, 1, 113_730, 4, 1],
    &[1, 3, 6, 1, 4, 1, 311, 2, 1, 22],
    &[1, 3, 6, 1, 4, 1, 311, 61, 1, 1],
];

fn policies(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut sequence = Der(value).sequence()?;
    let (mut policies, mut seen) = (vec![], HashSet::new());
    while !sequence.is_empty() {
        let id = sequence.sequence()?.read(der::OID)?;
        if !seen.insert(id) || !is_policy(id) {
            return None;
        }
        policies.push(id.to_vec());
    }
    Some(policies)
}

/// Whether these are the bytes of an identifier, whose numbers may have any size here.
fn is_policy(id: &[u8]) -> bool {
    let ends = id.last().is_some_and(|last| last & 0x80 == 0);
    let padded = id.first() == Some(&0x80) || id.windows(2).any(|pair| matches!(pair, [0..0x80, 0x80]));
    ends && !padded
}

fn policy_mappings(value: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut sequence = Der(value).sequence()?;
    let mut mappings = vec![];
    while !sequence.is_empty() {
        let mut mapping = sequence.sequence()?;
        mappings.push((mapping.read(der::OID)?.to_vec(), mapping.read(der::OID)?.to_vec()));
    }
    Some(mappings)
}

/// An identifier of numbers of any size, as text.
pub(super) fn policy_text(id: &[u8]) -> String {
    let mut parts = vec![];
    let mut part = BigUint::ZERO;
    for byte in id {
        part = (part << 7_u32) + (byte & 0x7f);
        if byte & 0x80 == 0 {
            if parts.is_empty() {
                let first = BigUint::from(if part < BigUint::from(40_u32) {
                    0_u32
                } else if part < BigUint::from(80_u32) {
                    1
                } else {
                    2
                });
                part -= &first * 40_u32;
                parts.push(first.to_string());
            }
            parts.push(part.to_string());
            part = BigUint::ZERO;
        }
    }
    parts.join(".")
}

// === impl BasicConstraints ===

impl BasicConstraints {
    fn read(value: &[u8]) -> Option<Self> {
        let mut der = Der(value).sequence()?;
        let is_ca = if der.peek(der::BOOLEAN) { der.boolean()? } else { false };
        let max_path_len = if der.peek(INTEGER) { der.int().filter(|length| *length >= 0)? } else { -1 };
        Some(Self { is_ca, max_path_len })
    }
}

// === impl AlternativeNames ===

impl AlternativeNames {
    pub(super) fn read(value: &[u8]) -> Result<Self, Failure> {
        let mut sequence = Der(value).sequence().ok_or_else(|| bad("invalid subject alternative names"))?;
        let mut names = Self::default();
        while !sequence.is_empty() {
            let name = sequence.any().ok_or_else(|| bad("invalid subject alternative name"))?;
            let text = |what: &str| ascii(name.content).ok_or_else(|| bad(&format!("SAN {what} is malformed")));
            match name.tag ^ 0x80 {
                1 => names.emails.push(text("rfc822Name")?),
                2 => names.dns.push(text("dNSName")?),
                6 => {
                    let text = text("uniformResourceIdentifier")?;
                    let uri = Uri::parse(text.as_bytes())?;
                    if !uri.host.is_empty() && !names::is_domain(&uri.host, false) {
                        return Err(bad(&format!("cannot parse URI \"{text}\": invalid domain")));
                    }
                    names.uris.push(uri);
                }
                7 => match name.content.len() {
                    4 | 16 => names.addresses.push(name.content.to_vec()),
                    length => return Err(bad(&format!("cannot parse IP address of length {length}"))),
                },
                _ => {}
            }
        }
        Ok(names)
    }

    fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.emails.is_empty() && self.addresses.is_empty() && self.uris.is_empty()
    }
}

// === impl Subtrees ===

impl Subtrees {
    /// And whether all of them are of kinds that are known.
    fn read(value: &[u8]) -> Result<(Self, bool), Failure> {
        let (mut subtrees, mut known) = (Self::default(), true);
        let mut rest = Der(value);
        while !rest.is_empty() {
            let base = rest.sequence().and_then(|mut subtree| subtree.any());
            let base = base.ok_or_else(|| bad("invalid NameConstraints extension"))?;
            let text = || ascii(base.content).ok_or_else(|| bad("invalid constraint value"));
            let checked = |kind: &str, text: String, is_valid: bool| match is_valid {
                true => Ok(text),
                false => Err(bad(&format!("failed to parse {kind} constraint \"{text}\""))),
            };
            match base.tag {
                0x81 => {
                    let text = text()?;
                    let is_valid = match text.contains('@') {
                        true => names::Mailbox::parse(&text).is_some(),
                        false => names::is_domain(text.as_bytes(), true),
                    };
                    subtrees.emails.push(checked("rfc822Name", text, is_valid)?);
                }
                0x82 => {
                    let text = text()?;
                    let is_valid = names::is_domain(text.as_bytes(), true);
                    subtrees.dns.push(checked("dnsName", text, is_valid)?);
                }
                0x86 => {
                    let text = text()?;
                    let is_address = text.parse::<std::net::IpAddr>().is_ok();
                    let is_valid = !is_address && names::is_domain(text.as_bytes(), true);
                    subtrees.uris.push(checked("URI", text, is_valid)?);
                }
                0x87 => {
                    let half = base.content.len() / 2;
                    let network = base.content.split_at_checked(half).filter(|_| matches!(base.content.len(), 8 | 32));
                    let (address, mask) =
                        network.ok_or_else(|| bad("IP constraint contained value of wrong length"))?;
                    if !is_mask(mask) {
                        return Err(bad("IP constraint contained invalid mask"));
                    }
                    subtrees.networks.push((address.to_vec(), mask.to_vec()));
                }
                _ => known = false,
            }
        }
        Ok((subtrees, known))
    }
}

/// Ones and then zeros.
fn is_mask(mask: &[u8]) -> bool {
    let bits = mask.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.is_sorted_by(|a, b| a >= b)
}

fn ascii(bytes: &[u8]) -> Option<String> {
    if bytes.is_ascii() { String::from_utf8(bytes.to_vec()).ok() } else { None }
}

// === impl Name ===

impl Name {
    fn parse(raw: &[u8]) -> Result<Self, Failure> {
        let invalid = |what: &str| bad(&format!("invalid RDNSequence{what}"));
        let mut sequence = Der(raw).sequence().ok_or_else(|| invalid(""))?;
        let mut attributes = vec![];
        while !sequence.is_empty() {
            let mut set = sequence.within(SET).ok_or_else(|| invalid(""))?;
            while !set.is_empty() {
                let mut attribute = set.sequence().ok_or_else(|| invalid(": invalid attribute"))?;
                let kind = attribute.oid().ok_or_else(|| invalid(": invalid attribute type"))?;
                let value = attribute.any().ok_or_else(|| invalid(": invalid attribute value"))?;
                let text = super::text(value.tag, value.content);
                let text = text.ok_or_else(|| invalid(": invalid attribute value: unsupported or invalid string"))?;
                attributes.push(Attribute { kind, value: Value::from(text), is_text: true });
            }
        }
        Ok(Self(attributes))
    }
}

// === Signature algorithms ===

/// By Go's numbers for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignatureAlgorithm(pub(super) i64);

impl SignatureAlgorithm {
    pub(super) fn of(algorithm: &Algorithm<'_>) -> Self {
        Self(match algorithm.oid.0.as_slice() {
            [1, 2, 840, 113_549, 1, 1, 4] => 2,
            [1, 2, 840, 113_549, 1, 1, 5] | [1, 3, 14, 3, 2, 29] => 3,
            [1, 2, 840, 113_549, 1, 1, 11] => 4,
            [1, 2, 840, 113_549, 1, 1, 12] => 5,
            [1, 2, 840, 113_549, 1, 1, 13] => 6,
            [1, 2, 840, 10_040, 4, 3] => 7,
            [2, 16, 840, 1, 101, 3, 4, 3, 2] => 8,
            [1, 2, 840, 10_045, 4, 1] => 9,
            [1, 2, 840, 10_045, 4, 3, 2] => 10,
            [1, 2, 840, 10_045, 4, 3, 3] => 11,
            [1, 2, 840, 10_045, 4, 3, 4] => 12,
            [1, 2, 840, 113_549, 1, 1, 10] => pss(algorithm.parameters).unwrap_or(0),
            [1, 3, 101, 112] if algorithm.parameters.is_empty() => 16,
            _ => 0,
        })
    }
}

/// One of three usual sets of parameters: the same hash twice, a salt as long as its digest.
fn pss(parameters: &[u8]) -> Option<i64> {
    const SHA_2: [u32; 8] = [2, 16, 840, 1, 101, 3, 4, 2];
    let mut parameters = Der(parameters).sequence()?;
    let algorithm = |content| Algorithm::read_elsewhere(Der(content)).ok();
    let hash = algorithm(parameters.explicit(der::constructed(0), SEQUENCE)??)?;
    let mask = algorithm(parameters.explicit(der::constructed(1), SEQUENCE)??)?;
    let salt = der::int(parameters.explicit(der::constructed(2), INTEGER)??)?;
    let trailer = match parameters.explicit(der::constructed(3), INTEGER)? {
        Some(trailer) => der::int(trailer)?,
        None => 1,
    };
    let mask_hash = algorithm(Der(mask.parameters).read(SEQUENCE)?)?;
    let no_parameters = |algorithm: &Algorithm<'_>| algorithm.parameters.is_empty() || algorithm.parameters == [5, 0];
    let usual = mask.oid.is(&[1, 2, 840, 113_549, 1, 1, 8])
        && mask_hash.oid == hash.oid
        && no_parameters(&hash)
        && no_parameters(&mask_hash)
        && trailer == 1;
    match (hash.oid.0.strip_prefix(&SHA_2)?, salt) {
        ([1], 32) if usual => Some(13),
        ([2], 48) if usual => Some(14),
        ([3], 64) if usual => Some(15),
        _ => None,
    }
}

/// The bytes of a `BIT STRING` with the padding before them.
pub(super) fn bit_string(der: &mut Der<'_>) -> Option<Vec<u8>> {
    if der.peek(BIT_STRING) { der.bits().map(|bits| bits.right_aligned()) } else { None }
}
