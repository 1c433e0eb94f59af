//! Certificates as `encoding/json` shows Go's structures of them: empty lists are `null`, bytes are base64, identifiers
//! are lists of numbers, and times are in RFC 3339.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::Failure;
use super::super::crypto::der::{self, Oid};
use super::super::crypto::keys::{PublicKey, integer, object};
use super::super::encoding::base64;
use super::certificate::{AlternativeNames, Attribute, Certificate, Extension, Name, Subtrees, policy_text};
use crate::eval::value::Value;

impl Certificate {
    pub(super) fn to_value(&self) -> Result<Value, Failure> {
        Ok(object(self.fields()?))
    }

    /// With the names that are URIs also as texts.
    pub(super) fn to_value_with_uris(&self) -> Result<Value, Failure> {
        let mut fields = self.fields()?;
        let uris = self.known.names.uris.iter().map(|uri| Value::from(super::lossy(&uri.text())));
        fields.push(("URIStrings", list(uris)));
        Ok(object(fields))
    }

    fn fields(&self) -> Result<Vec<(&'static str, Value)>, Failure> {
        let known = &self.known;
        let constraints = &known.constraints;
        let (permitted, excluded) = (&constraints.permitted, &constraints.excluded);
        let texts = |texts: &[Vec<u8>]| list(texts.iter().map(|text| Value::from(super::lossy(text))));
        let limit = |limit: Option<i64>| (Value::from(limit.unwrap_or(0)), Value::Bool(limit == Some(0)));
        let (inhibit_any_policy, inhibit_any_policy_zero) = limit(known.inhibit_any_policy);
        let (inhibit_policy_mapping, inhibit_policy_mapping_zero) = limit(known.inhibit_policy_mapping);
        let (require_explicit_policy, require_explicit_policy_zero) = limit(known.require_explicit_policy);
        let max_path_len = known.basic_constraints.map(|constraints| constraints.max_path_len);
        let mut fields = vec![
            ("Raw", bytes(&self.raw)),
            ("RawTBSCertificate", bytes(&self.raw_tbs)),
            ("RawSubjectPublicKeyInfo", bytes(&self.raw_public_key)),
            ("RawSubject", bytes(&self.raw_subject)),
            ("RawIssuer", bytes(&self.raw_issuer)),
            ("Signature", bytes(&self.signature)),
            ("SignatureAlgorithm", Value::from(self.signature_algorithm.0)),
            ("PublicKeyAlgorithm", Value::from(self.public_key_algorithm)),
            ("PublicKey", self.public_key.as_ref().map_or(Ok(Value::Null), PublicKey::to_value)?),
            ("Version", Value::from(self.version)),
            ("SerialNumber", integer(&self.serial_number)?),
            ("Issuer", self.issuer.to_value()),
            ("Subject", self.subject.to_value()),
            ("NotBefore", Value::from(self.not_before.text()?)),
            ("NotAfter", Value::from(self.not_after.text()?)),
            ("KeyUsage", Value::from(known.key_usage)),
            ("Extensions", list(self.extensions.iter().map(Extension::to_value))),
            ("ExtraExtensions", Value::Null),
            ("UnhandledCriticalExtensions", list(known.unhandled_critical.iter().map(identifier))),
            ("ExtKeyUsage", list(known.ext_key_usage.iter().map(|usage| Value::from(*usage)))),
            ("UnknownExtKeyUsage", list(known.unknown_ext_key_usage.iter().map(identifier))),
            ("BasicConstraintsValid", Value::Bool(known.basic_constraints.is_some())),
            ("IsCA", Value::Bool(known.basic_constraints.is_some_and(|constraints| constraints.is_ca))),
            ("MaxPathLen", Value::from(max_path_len.unwrap_or(0))),
            ("MaxPathLenZero", Value::Bool(max_path_len == Some(0))),
            ("SubjectKeyId", known.subject_key_id.as_deref().map_or(Value::Null, bytes)),
            ("AuthorityKeyId", known.authority_key_id.as_deref().map_or(Value::Null, bytes)),
            ("OCSPServer", texts(&known.ocsp_servers)),
            ("IssuingCertificateURL", texts(&known.issuing_certificate_urls)),
            ("PermittedDNSDomainsCritical", Value::Bool(constraints.critical)),
            ("PermittedDNSDomains", strings(&permitted.dns)),
            ("ExcludedDNSDomains", strings(&excluded.dns)),
            ("PermittedIPRanges", networks(permitted)),
            ("ExcludedIPRanges", networks(excluded)),
            ("PermittedEmailAddresses", strings(&permitted.emails)),
            ("ExcludedEmailAddresses", strings(&excluded.emails)),
            ("PermittedURIDomains", strings(&permitted.uris)),
            ("ExcludedURIDomains", strings(&excluded.uris)),
            ("CRLDistributionPoints", texts(&known.crl_distribution_points)),
            ("InhibitAnyPolicy", inhibit_any_policy),
            ("InhibitAnyPolicyZero", inhibit_any_policy_zero),
            ("InhibitPolicyMapping", inhibit_policy_mapping),
            ("InhibitPolicyMappingZero", inhibit_policy_mapping_zero),
            ("RequireExplicitPolicy", require_explicit_policy),
            ("RequireExplicitPolicyZero", require_explicit_policy_zero),
        ];
        fields.extend(known.names.fields());
        fields.extend(self.policy_fields());
        Ok(fields)
    }

    fn policy_fields(&self) -> [(&'static str, Value); 3] {
        let policies = self.known.policies.as_deref();
        let identifiers = policies.map_or(Value::Null, |policies| {
            let identifiers = policies.iter().filter_map(|policy| der::oid(policy));
            Value::array(identifiers.map(|policy| identifier(&policy)).collect())
        });
        let policy = |id: &[u8]| Value::from(policy_text(id));
        let mappings = self.known.policy_mappings.iter().map(|(issuer, subject)| {
            object(vec![("IssuerDomainPolicy", policy(issuer)), ("SubjectDomainPolicy", policy(subject))])
        });
        [
            ("PolicyIdentifiers", identifiers),
            ("Policies", list(policies.into_iter().flatten().map(|id| policy(id)))),
            ("PolicyMappings", list(mappings)),
        ]
    }
}

impl AlternativeNames {
    pub(super) fn fields(&self) -> [(&'static str, Value); 4] {
        [
            ("DNSNames", strings(&self.dns)),
            ("EmailAddresses", strings(&self.emails)),
            ("IPAddresses", list(self.addresses.iter().map(|address| Value::from(address_text(address))))),
            ("URIs", list(self.uris.iter().map(super::url::Uri::to_value))),
        ]
    }
}

impl Extension {
    pub(super) fn to_value(&self) -> Value {
        let (id, value) = (identifier(&self.id), bytes(&self.value));
        object(vec![("Id", id), ("Critical", Value::Bool(self.critical)), ("Value", value)])
    }
}

impl Name {
    pub(super) fn to_value(&self) -> Value {
        // Attributes of 2.5.4 with a text have a field of their own.
        let of = |number: u32| {
            let is_of = move |attribute: &&Attribute| attribute.is_text && attribute.kind.is(&[2, 5, 4, number]);
            self.0.iter().filter(is_of).map(|attribute| attribute.value.clone())
        };
        let last = |number: u32| of(number).next_back().unwrap_or_else(|| Value::from(""));
        let attribute = |attribute: &Attribute| {
            object(vec![("Type", identifier(&attribute.kind)), ("Value", attribute.value.clone())])
        };
        object(vec![
            ("CommonName", last(3)),
            ("SerialNumber", last(5)),
            ("Country", list(of(6))),
            ("Locality", list(of(7))),
            ("Province", list(of(8))),
            ("StreetAddress", list(of(9))),
            ("Organization", list(of(10))),
            ("OrganizationalUnit", list(of(11))),
            ("PostalCode", list(of(17))),
            ("Names", list(self.0.iter().map(attribute))),
            ("ExtraNames", Value::Null),
        ])
    }
}

pub(super) fn list(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.collect();
    if items.is_empty() { Value::Null } else { Value::array(items) }
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::from(base64::encode(bytes))
}

pub(super) fn identifier(id: &Oid) -> Value {
    Value::array(id.0.iter().map(|part| Value::from(i64::from(*part))).collect())
}

fn strings(texts: &[String]) -> Value {
    list(texts.iter().map(|text| Value::from(text.as_str())))
}

fn networks(subtrees: &Subtrees) -> Value {
    let network = |(address, mask): &(Vec<u8>, Vec<u8>)| {
        object(vec![("IP", Value::from(address_text(address))), ("Mask", bytes(mask))])
    };
    list(subtrees.networks.iter().map(network))
}

/// An address of version 6 that maps one of version 4 is shown as that one.
fn address_text(address: &[u8]) -> String {
    match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(address), _) => Ipv4Addr::from(address).to_string(),
        (_, Ok(address)) => {
            let address = Ipv6Addr::from(address);
            address.to_ipv4_mapped().map_or_else(|| address.to_string(), |address| address.to_string())
        }
        _ => String::new(),
    }
}
