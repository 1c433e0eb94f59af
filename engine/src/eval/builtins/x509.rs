//! X.509: certificates, requests for them and key pairs, as the JSON of Go's structures, and chains of certificates.

mod certificate;
mod names;
mod policies;
mod request;
mod show;
mod time;
mod url;
mod verify;

pub(super) use self::certificate::Certificate;

use self::verify::Options;
use super::crypto::der::{self, Der};
use super::crypto::keys::{PrivateKey, PublicKey, object};
use super::crypto::{self, pem};
use super::encoding::base64;
use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("crypto.x509.parse_and_verify_certificates", parse_and_verify),
    ("crypto.x509.parse_and_verify_certificates_with_options", parse_and_verify_with_options),
    ("crypto.x509.parse_certificate_request", parse_request),
    ("crypto.x509.parse_certificates", parse_certificates),
    ("crypto.x509.parse_keypair", parse_key_pair),
    ("crypto.x509.parse_rsa_private_key", parse_private_key),
];

// === The functions ===

fn parse_certificates(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let certificates = certificates(ctx, operand::string(args, 1)?)?;
    let shown = certificates.iter().map(Certificate::to_value_with_uris).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::array(shown))
}

fn parse_and_verify(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    let options = Options::new(ctx.now_ns);
    verified(ctx, text, |_| Ok(options), Certificate::to_value_with_uris)
}

fn parse_and_verify_with_options(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, options) = (operand::string(args, 1)?, operand::object(args, 2)?);
    verified(ctx, text, |now| Options::read(now, options), Certificate::to_value)
}

/// The chain from the last certificate up to the first one, if it holds.
fn verified(
    ctx: &mut Context<'_>,
    text: &str,
    options: impl FnOnce(i64) -> Result<Options, Failure>,
    show: fn(&Certificate) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    let (holds, chain) = match certificates(ctx, text) {
        Ok(certificates) => {
            let chain = verify::chain(ctx.budget, &certificates, &options(ctx.now_ns)?)?;
            (chain.is_some(), chain.unwrap_or_default().into_iter().map(show).collect::<Result<Vec<_>, _>>()?)
        }
        Err(Failure::Error(_)) => (false, vec![]),
        Err(failure) => return Err(failure),
    };
    Ok(Value::array(vec![Value::Bool(holds), Value::array(chain)]))
}

fn parse_request(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    charge(ctx, text.len())?;
    let decoded = if text.starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
        text.as_bytes().to_vec()
    } else {
        base64::decode(text, base64::STANDARD)?
    };
    match pem::decode(&decoded) {
        Some((block, _)) if block.label == b"CERTIFICATE REQUEST" => request::to_value(&block.bytes),
        Some(_) => Err(Failure::error("invalid PEM-encoded certificate signing request")),
        None => request::to_value(&decoded),
    }
}

fn parse_private_key(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    charge(ctx, text.len())?;
    if text.is_empty() {
        return Err(Failure::error("input PEM data was empty"));
    }
    let decoded;
    let text = if text.starts_with("-----BEGIN") {
        &**text
    } else {
        decoded = String::from_utf8(base64::decode(text, base64::STANDARD)?);
        // What isn't text is no PEM either.
        decoded.as_deref().unwrap_or_default()
    };
    match crypto::private_keys(ctx, text)?.first() {
        Some(key) => key.to_jwk(),
        None => Ok(Value::Null),
    }
}

/// The certificates of a text, and the key of another, if they belong together (Go's `tls.X509KeyPair`).
fn parse_key_pair(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let certificates = operand::string(args, 1)?;
    // OPA says that it is the first one here too.
    let key = operand::string(args, 2).map_err(|failure| match failure {
        Failure::Operand(what) => Failure::Operand(what.replacen("operand 2", "operand 1", 1)),
        other => other,
    })?;
    charge(ctx, certificates.len().saturating_add(key.len()))?;
    let (certificates, key) = (pem_or_base64(certificates)?, pem_or_base64(key)?);
    let certificates = if certificates.starts_with(b"-----BEGIN ") {
        let blocks = std::iter::successors(pem::decode(&certificates), |(_, rest)| pem::decode(rest));
        blocks.filter(|(block, _)| block.label == b"CERTIFICATE").map(|(block, _)| block.bytes).collect()
    } else {
        vec![certificates]
    };
    let leaf = certificates.first().ok_or_else(|| {
        Failure::error("tls: failed to find any PEM data in certificate input")
    })?;
    let key = if key.starts_with(b"-----BEGIN") {
        let is_key = |label: &[u8]| label == b"PRIVATE KEY" || label.ends_with(b" PRIVATE KEY");
        let mut blocks = std::iter::successors(pem::decode(&key), |(_, rest)| pem::decode(rest));
        let block = blocks.find(|(block, _)| is_key(block.label));
        block.ok_or_else(|| Failure::error("tls: failed to find any PEM data in key input"))?.0.bytes
    } else {
        key
    };
    let leaf = Certificate::parse(leaf)?;
    let key = match any_private_key(&key)? {
        PrivateKey::X25519 { .. } => return Err(Failure::error("tls: found unknown private key type in PKCS#8 wrapping")),
        key => key,
    };
    match &leaf.public_key {
        Some(PublicKey::Rsa(_) | PublicKey::Ec(_) | PublicKey::Ed25519(_)) => {}
        _ => return Err(Failure::error("tls: unknown public key algorithm")),
    }
    if leaf.public_key.as_ref() != Some(&key.public()) {
        return Err(Failure::error("tls: private key does not match public key"));
    }
    let certificates = certificates.iter().map(|der| Value::from(base64::encode(der))).collect();
    Ok(object(vec![
        ("Certificate", Value::array(certificates)),
        ("PrivateKey", key.to_value()?),
        ("SupportedSignatureAlgorithms", Value::Null),
        ("OCSPStaple", Value::Null),
        ("SignedCertificateTimestamps", Value::Null),
        ("Leaf", leaf.to_value()?),
    ]))
}

// === What they have in common ===

/// Parsing copies each byte a few times, and shows some of them in base64.
fn charge(ctx: &mut Context<'_>, bytes: usize) -> Result<(), Failure> {
    Ok(ctx.budget.alloc(bytes.saturating_mul(8))?)
}

/// Certificates in PEM, or in base64 of PEM or of DER.
fn certificates(ctx: &mut Context<'_>, text: &str) -> Result<Vec<Certificate>, Failure> {
    charge(ctx, text.len())?;
    if text.starts_with("-----BEGIN") {
        return certificates_in_pem(text.as_bytes());
    }
    let decoded = base64::decode(text, base64::STANDARD)?;
    if decoded.starts_with(b"-----BEGIN") { certificates_in_pem(&decoded) } else { Certificate::parse_all(&decoded) }
}

fn certificates_in_pem(mut rest: &[u8]) -> Result<Vec<Certificate>, Failure> {
    let mut ders = vec![];
    while let Some((block, after)) = pem::decode(rest) {
        if block.label != b"CERTIFICATE" {
            let label = lossy(block.label);
            return Err(Failure::error(format!("PEM block type is '{label}', expected CERTIFICATE")));
        }
        ders.extend(block.bytes);
        rest = after;
    }
    Certificate::parse_all(&ders)
}

fn pem_or_base64(text: &str) -> Result<Vec<u8>, Failure> {
    if text.starts_with("-----BEGIN ") { Ok(text.as_bytes().to_vec()) } else { base64::decode(text, base64::STANDARD) }
}

/// A key in whichever form it has.
fn any_private_key(bytes: &[u8]) -> Result<PrivateKey, Failure> {
    let mut unsupported = None;
    let forms = [PrivateKey::from_pkcs1, PrivateKey::from_pkcs8, |bytes: &[u8]| PrivateKey::from_ec(bytes, None)];
    for form in forms {
        match form(bytes) {
            Ok(key) => return Ok(key),
            Err(failure @ (Failure::Limit(_) | Failure::Unsupported(_))) => unsupported = unsupported.or(Some(failure)),
            Err(_) => {}
        }
    }
    Err(unsupported.unwrap_or_else(|| Failure::error("tls: failed to parse private key")))
}

/// Text as Go's JSON writer takes bytes: each one that isn't UTF-8 as U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The text of one of ASN.1's string types.
fn text(tag: u8, bytes: &[u8]) -> Option<String> {
    let ascii = |is_fit: fn(u8) -> bool| {
        bytes.iter().all(|byte| is_fit(*byte)).then(|| bytes.iter().copied().map(char::from).collect())
    };
    match tag {
        // UTF8String.
        12 => String::from_utf8(bytes.to_vec()).ok(),
        // NumericString.
        18 => ascii(|byte| byte.is_ascii_digit() || byte == b' '),
        // PrintableString, and two characters that some certificates have in one.
        19 => ascii(|byte| byte.is_ascii_alphanumeric() || b"'()+,-./ :=?*&".contains(&byte)),
        // T61String, taken for Latin-1.
        20 => ascii(|_| true),
        // IA5String.
        22 => ascii(|byte| byte.is_ascii()),
        // BMPString, perhaps with a zero at its end.
        30 => {
            let (units, []) = bytes.as_chunks::<2>() else { return None };
            let units = units.strip_suffix(&[[0, 0]]).unwrap_or(units);
            let char = |unit: &[u8; 2]| match u16::from_be_bytes(*unit) {
                0xfffe | 0xffff | 0xfdd0..=0xfdef => None,
                unit => char::from_u32(u32::from(unit)),
            };
            units.iter().map(char).collect()
        }
        _ => None,
    }
}

/// A whole sequence's content.
fn sequence(bytes: &[u8]) -> Option<Der<'_>> {
    let mut outer = Der(bytes);
    outer.within(der::SEQUENCE).filter(|_| outer.is_empty())
}
