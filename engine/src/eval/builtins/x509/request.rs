//! Requests for certificates (RFC 2986), read as Go's `encoding/asn1` and `crypto/x509` read them.

use std::collections::HashSet;

use super::super::Failure;
use super::super::crypto::der::{self, Der, OCTET_STRING, SEQUENCE, SET};
use super::super::crypto::keys::{Algorithm, PublicKey, object};
use super::certificate::{
    AlternativeNames, Attribute, Extension, Name, SUBJECT_ALT_NAME, SignatureAlgorithm, bit_string, public_key,
};
use super::show::{bytes, identifier, list};
use super::time::Time;
use crate::eval::value::Value;

const EXTENSION_REQUEST: &[u32] = &[1, 2, 840, 113_549, 1, 9, 14];

/// A request as Go's structure of it is shown in JSON.
///
/// # Errors
/// It isn't one.
pub(super) fn to_value(request: &[u8]) -> Result<Value, Failure> {
    let malformed = || Failure::error("asn1: structure error: malformed certificate request");
    let parts = Parts::read(request).ok_or_else(malformed)?;
    let signature_algorithm = Algorithm::read_elsewhere(parts.signature_algorithm)?;
    let (algorithm, key) = public_key(parts.public_key, Algorithm::read_elsewhere)?;
    let subject = subject(parts.subject).ok_or_else(malformed)?;
    let (mut extensions, mut seen) = (vec![], HashSet::new());
    for attribute in &parts.attributes {
        let Some(requested) = requested_extensions(attribute) else { continue };
        for extension in extension_list(requested).ok_or_else(malformed)? {
            if !seen.insert(extension.id.0.clone()) {
                return Err(Failure::error("x509: certificate request contains duplicate requested extensions"));
            }
            extensions.push(extension);
        }
    }
    let mut names = AlternativeNames::default();
    for extension in extensions.iter().filter(|extension| extension.id.is(SUBJECT_ALT_NAME)) {
        names = AlternativeNames::read(&extension.value)?;
    }
    let mut fields = vec![
        ("Raw", bytes(parts.raw)),
        ("RawTBSCertificateRequest", bytes(parts.raw_tbs)),
        ("RawSubjectPublicKeyInfo", bytes(parts.public_key)),
        ("RawSubject", bytes(parts.subject)),
        ("Version", Value::from(parts.version)),
        ("Signature", bytes(&parts.signature)),
        ("SignatureAlgorithm", Value::from(SignatureAlgorithm::of(&signature_algorithm).0)),
        ("PublicKeyAlgorithm", Value::from(algorithm)),
        ("PublicKey", key.as_ref().map_or(Ok(Value::Null), PublicKey::to_value)?),
        ("Subject", subject.to_value()),
        ("Attributes", list(parts.attributes.iter().filter_map(|attribute| attribute_value(attribute)))),
        ("Extensions", list(extensions.iter().map(Extension::to_value))),
        ("ExtraExtensions", Value::Null),
    ];
    fields.extend(names.fields());
    Ok(object(fields))
}

struct Parts<'a> {
    raw: &'a [u8],
    raw_tbs: &'a [u8],
    version: i64,
    subject: &'a [u8],
    public_key: &'a [u8],
    attributes: Vec<&'a [u8]>,
    signature_algorithm: Der<'a>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn read(request: &'a [u8]) -> Option<Self> {
        let mut outer = super::sequence(request)?;
        let raw_tbs = outer.element(SEQUENCE)?;
        let mut tbs = Der(raw_tbs).sequence()?;
        let version = tbs.int()?;
        let subject = tbs.any_tagged()?.full;
        let public_key = tbs.element(SEQUENCE)?;
        let mut rest = tbs.within(der::constructed(0))?;
        let mut attributes = vec![];
        while !rest.is_empty() {
            attributes.push(rest.any_tagged()?.full);
        }
        let signature_algorithm = outer.sequence()?;
        let signature = bit_string(&mut outer)?;
        Some(Self { raw: request, raw_tbs, version, subject, public_key, attributes, signature_algorithm, signature })
    }
}

fn subject(raw: &[u8]) -> Option<Name> {
    let mut sequence = super::sequence(raw)?;
    let mut attributes = vec![];
    while !sequence.is_empty() {
        let mut set = sequence.within(SET)?;
        while !set.is_empty() {
            let mut attribute = set.sequence()?;
            let kind = attribute.oid()?;
            let is_text = attribute.0.first().is_some_and(|tag| matches!(tag, 12 | 18 | 19 | 20 | 22 | 30));
            attributes.push(Attribute { kind, value: any_value(&mut attribute)?, is_text });
        }
    }
    Some(Name(attributes))
}

/// What an attribute asks for, if it asks for extensions.
fn requested_extensions(attribute: &[u8]) -> Option<&[u8]> {
    let mut attribute = super::sequence(attribute)?;
    let kind = attribute.oid()?;
    let mut values = attribute.within(SET)?;
    let mut first = None;
    while !values.is_empty() {
        let value = values.any_tagged()?.full;
        first = first.or(Some(value));
    }
    first.filter(|_| kind.is(EXTENSION_REQUEST))
}

fn extension_list(raw: &[u8]) -> Option<Vec<Extension>> {
    let mut sequence = Der(raw).sequence()?;
    let mut extensions = vec![];
    while !sequence.is_empty() {
        let mut extension = sequence.sequence()?;
        let id = extension.oid()?;
        let critical = if extension.peek(der::BOOLEAN) { extension.boolean()? } else { false };
        let value = extension.read(OCTET_STRING)?.to_vec();
        extensions.push(Extension { id, critical, value });
    }
    Some(extensions)
}

/// An attribute, if it has the form that Go reads: sets of sequences of an identifier and a value.
fn attribute_value(raw: &[u8]) -> Option<Value> {
    let mut attribute = super::sequence(raw)?;
    let kind = attribute.oid()?;
    let mut set = attribute.within(SET)?;
    let mut values = vec![];
    while !set.is_empty() {
        let mut sequence = set.sequence()?;
        let mut items = vec![];
        while !sequence.is_empty() {
            let mut item = sequence.sequence()?;
            let kind = item.oid()?;
            let value = any_value(&mut item)?;
            items.push(object(vec![("Type", identifier(&kind)), ("Value", value)]));
        }
        values.push(Value::array(items));
    }
    Some(object(vec![("Type", identifier(&kind)), ("Value", Value::array(values))]))
}

/// Whatever comes next, as Go's native value for it; what has none is `null`.
fn any_value(der: &mut Der<'_>) -> Option<Value> {
    let element = der.any_tagged()?;
    let mut whole = Der(element.full);
    Some(match element.tag {
        1 => Value::Bool(whole.boolean()?),
        2 => Value::from(whole.int()?),
        3 => {
            let bits = whole.bits()?;
            let length = (bits.bytes.len() * 8).saturating_sub(usize::from(bits.padding));
            object(vec![("Bytes", bytes(bits.bytes)), ("BitLength", Value::from(length))])
        }
        4 => bytes(element.content),
        6 => identifier(&whole.oid()?),
        12 | 18 | 19 | 20 | 22 | 30 => Value::from(super::text(element.tag, element.content)?),
        23 => Value::from(Time::utc(element.content)?.text().ok()?),
        24 => Value::from(Time::generalized(element.content)?.text().ok()?),
        _ => Value::Null,
    })
}
