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
    let leaf =
        certificates.first().ok_or_else(|| Failure::error("tls: failed to find any PEM data in certificate input"))?;
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
        PrivateKey::X25519 { .. } => {
            return Err(Failure::error("tls: found unknown private key type in PKCS#8 wrapping"));
        }
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

#[cfg(test)]
mod tests {
    use super::super::order::testing::{check, text_of, value};
    use super::*;

    /// A certificate and its issuer's in front.
    const CA_AND_LEAF: &str = "\
        \"MIHiMIGVoAMCAQICAQEwBQYDK2VwMA8xDTALBgNVBAMMBFJvb3QwHhcNNjAwMTAxMDAwMDAwWhcNNDkwMTAxMDAwMDAwWjAPMQ0wCwYDVQ\
        QDDARSb290MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1yjFjAUMBIGA1UdEwEB/wQIMAYBAf8CAQEwBQYDK2\
        VwA0EAhu7XDZYEUzLDujN9nLIXTu1egcnsnYrqWfYKLRRZw52qUAr7ARp6Dpav0X59KgrMONUZNKn0ize1zfYI+oUQCDCCAS0wgeCgAwIBAg\
        IBBzAFBgMrZXAwDzENMAsGA1UEAwwEUm9vdDAeFw02MDAxMDEwMDAwMDBaFw00OTAxMDEwMDAwMDBaMCExEDAOBgNVBAoMB0V4YW1wbGUxDT\
        ALBgNVBAMMBGxlYWYwKjAFBgMrZXADIQCBOXcOqH0XX1ajVGbDTH7My42KkbTuN6Jd9g9bj8mzlKNPME0wNgYDVR0RBC8wLYINYS5leGFtcG\
        xlLmNvbYcECgAAAYYWc3BpZmZlOi8vZXhhbXBsZS5jb20vYTATBgNVHSUEDDAKBggrBgEFBQcDATAFBgMrZXADQQClwQz6/6XtekDWKnGc/s\
        Ky7c/BOxuomGHq3VodHSSDZcLd8qFceWphOYAXW5rYnNnmr27DOIWgt24L5aWcwzwC\"";

    /// The first of them alone.
    const LEAF: &str = "\
        \"MIIBLTCB4KADAgECAgEHMAUGAytlcDAPMQ0wCwYDVQQDDARSb290MB4XDTYwMDEwMTAwMDAwMFoXDTQ5MDEwMTAwMDAwMFowITEQMA4GA1\
        UECgwHRXhhbXBsZTENMAsGA1UEAwwEbGVhZjAqMAUGAytlcAMhAIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOUo08wTTA2BgNVHR\
        EELzAtgg1hLmV4YW1wbGUuY29thwQKAAABhhZzcGlmZmU6Ly9leGFtcGxlLmNvbS9hMBMGA1UdJQQMMAoGCCsGAQUFBwMBMAUGAytlcANBAK\
        XBDPr/pe16QNYqcZz+wrLtz8E7G6iYYerdWh0dJINlwt3yoVx5amE5gBdbmtic2eavbsM4haC3bgvlpZzDPAI=\"";

    /// A request.
    const REQUEST: &str = "\
        \"MIG5MG0CAQAwDzENMAsGA1UEAwwEbGVhZjAqMAUGAytlcAMhAIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOUoCswKQYJKoZIhv\
        cNAQkOMRwwGjAYBgNVHREEETAPgg1hLmV4YW1wbGUuY29tMAUGAytlcANBAMbskMW40SOBFebGE8nWLwvYcxIOQq3jIIaObhzNSams3Vzdci\
        DVwaVuORBxrObifDdnDMSAxr8IjR2S01SeRwQ=\"";

    /// The certificate again.
    const LEAF_PEM: &str = "\
        \"-----BEGIN CERTIFICATE-----\\nMIIBLTCB4KADAgECAgEHMAUGAytlcDAPMQ0wCwYDVQQDDARSb290MB4XDTYwMDEw\\nMTAwMDAwM\
        FoXDTQ5MDEwMTAwMDAwMFowITEQMA4GA1UECgwHRXhhbXBsZTENMAsG\\nA1UEAwwEbGVhZjAqMAUGAytlcAMhAIE5dw6ofRdfVqNUZsNMfs\
        zLjYqRtO43ol32\\nD1uPybOUo08wTTA2BgNVHREELzAtgg1hLmV4YW1wbGUuY29thwQKAAABhhZzcGlm\\nZmU6Ly9leGFtcGxlLmNvbS9h\
        MBMGA1UdJQQMMAoGCCsGAQUFBwMBMAUGAytlcANB\\nAKXBDPr/pe16QNYqcZz+wrLtz8E7G6iYYerdWh0dJINlwt3yoVx5amE5gBdbmtic\
        \\n2eavbsM4haC3bgvlpZzDPAI=\\n-----END CERTIFICATE-----\\n\"";

    /// Its key.
    const KEY: &str = "\
        \"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC\\n-----END \
        PRIVATE KEY-----\\n\"";

    /// Another key.
    const OTHER_KEY: &str = "\
        \"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\\n-----END \
        PRIVATE KEY-----\\n\"";

    #[test]
    fn refused() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("crypto.x509.parse_certificates", &[r#""""#], "[]"),
            ("crypto.x509.parse_certificates", &[r#""x""#], "error"),
            ("crypto.x509.parse_certificates", &[r#""MAA=""#], "error"),
            ("crypto.x509.parse_certificates", &["1"], "operand: operand 1 must be string but got number"),
            ("crypto.x509.parse_and_verify_certificates", &[LEAF], "[false, []]"),
            ("crypto.x509.parse_and_verify_certificates", &[KEY], "[false, []]"),
            ("crypto.x509.parse_and_verify_certificates", &[r#""x""#], "[false, []]"),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"DNSName": "b.example.com"}"#],
                "[false, []]",
            ),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"KeyUsages": ["KeyUsageClientAuth"]}"#],
                "[false, []]",
            ),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"CurrentTime": 2540000000000000000}"#],
                "[false, []]",
            ),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"CurrentTime": -400000000000000000}"#],
                "[false, []]",
            ),
            ("crypto.x509.parse_and_verify_certificates_with_options", &[CA_AND_LEAF, r#"{"what": 1}"#], "error"),
            ("crypto.x509.parse_and_verify_certificates_with_options", &[CA_AND_LEAF, r#"{"DNSName": 1}"#], "error"),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"MaxConstraintComparisons": "x"}"#],
                "error",
            ),
            (
                "crypto.x509.parse_and_verify_certificates_with_options",
                &[CA_AND_LEAF, r#"{"KeyUsages": ["what"]}"#],
                "error",
            ),
            ("crypto.x509.parse_certificate_request", &[r#""x""#], "error"),
            ("crypto.x509.parse_certificate_request", &[r#""MAA=""#], "error"),
            ("crypto.x509.parse_certificate_request", &[r#""""#], "error"),
            ("crypto.x509.parse_keypair", &[LEAF_PEM, OTHER_KEY], "error"),
            ("crypto.x509.parse_keypair", &[r#""""#, r#""""#], "error"),
            ("crypto.x509.parse_rsa_private_key", &[r#""""#], "error"),
            (
                "crypto.x509.parse_rsa_private_key",
                &[KEY],
                r#"{"crv": "Ed25519", "d": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI", "kty": "OKP", "x": "gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q"}"#,
            ),
        ];
        check(FUNCTIONS, cases);
    }

    /// Fields of a certificate and of a request.
    #[test]
    fn fields() {
        let cases: &[(&str, &str, &str)] = &[
            (LEAF, "DNSNames", r#"["a.example.com"]"#),
            (LEAF, "IPAddresses", r#"["10.0.0.1"]"#),
            (LEAF, "ExtKeyUsage", "[1]"),
            (
                LEAF,
                "Issuer",
                r#"{"CommonName": "Root", "Country": null, "ExtraNames": null, "Locality": null, "Names": [{"Type": [2, 5, 4, 3], "Value": "Root"}], "Organization": null, "OrganizationalUnit": null, "PostalCode": null, "Province": null, "SerialNumber": "", "StreetAddress": null}"#,
            ),
            (LEAF, "NotAfter", r#""2049-01-01T00:00:00Z""#),
            (LEAF, "NotBefore", r#""1960-01-01T00:00:00Z""#),
            (LEAF, "PublicKey", r#""gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=""#),
            (LEAF, "PublicKeyAlgorithm", "4"),
            (LEAF, "SerialNumber", "7"),
            (LEAF, "SignatureAlgorithm", "16"),
            (
                LEAF,
                "Subject",
                r#"{"CommonName": "leaf", "Country": null, "ExtraNames": null, "Locality": null, "Names": [{"Type": [2, 5, 4, 10], "Value": "Example"}, {"Type": [2, 5, 4, 3], "Value": "leaf"}], "Organization": ["Example"], "OrganizationalUnit": null, "PostalCode": null, "Province": null, "SerialNumber": "", "StreetAddress": null}"#,
            ),
            (LEAF, "URIStrings", r#"["spiffe://example.com/a"]"#),
            (LEAF, "Version", "3"),
            (
                LEAF,
                "URIs",
                r#"[{"ForceQuery": false, "Fragment": "", "Host": "example.com", "OmitHost": false, "Opaque": "", "Path": "/a", "RawFragment": "", "RawPath": "", "RawQuery": "", "Scheme": "spiffe", "User": null}]"#,
            ),
            (LEAF, "IsCA", "false"),
            (LEAF, "MaxPathLen", "0"),
            (
                REQUEST,
                "Attributes",
                r#"[{"Type": [1, 2, 840, 113549, 1, 9, 14], "Value": [[{"Type": [2, 5, 29, 17], "Value": "MA+CDWEuZXhhbXBsZS5jb20="}]]}]"#,
            ),
            (REQUEST, "DNSNames", r#"["a.example.com"]"#),
            (
                REQUEST,
                "Extensions",
                r#"[{"Critical": false, "Id": [2, 5, 29, 17], "Value": "MA+CDWEuZXhhbXBsZS5jb20="}]"#,
            ),
            (REQUEST, "PublicKeyAlgorithm", "4"),
            (
                REQUEST,
                "Subject",
                r#"{"CommonName": "leaf", "Country": null, "ExtraNames": null, "Locality": null, "Names": [{"Type": [2, 5, 4, 3], "Value": "leaf"}], "Organization": null, "OrganizationalUnit": null, "PostalCode": null, "Province": null, "SerialNumber": "", "StreetAddress": null}"#,
            ),
            (REQUEST, "Version", "0"),
        ];
        for (operand, name, expected) in cases {
            let function: Function = if *operand == LEAF { parse_certificates } else { parse_request };
            let operand = value(operand);
            let got = text_of(|ctx| {
                let parsed = function(ctx, &[&operand])?;
                let first = parsed.get(&Value::from(0_i64));
                Ok(first.unwrap_or(&parsed).get(&Value::from(*name)).cloned().unwrap_or(Value::Null))
            });
            assert_eq!(got, *expected, "{name}");
        }
    }

    #[test]
    fn verified() {
        let options = |text: &str| {
            text_of(|ctx| {
                let verified = parse_and_verify_with_options(ctx, &[&value(CA_AND_LEAF), &value(text)])?;
                Ok(verified.get(&Value::from(0_i64)).cloned().unwrap_or(Value::Null))
            })
        };
        for text in [
            r#"{"DNSName": "a.example.com", "CurrentTime": 0}"#,
            r#"{"DNSName": "10.0.0.1"}"#,
            r#"{"KeyUsages": ["KeyUsageServerAuth"]}"#,
            r#"{"KeyUsages": {"$set": ["KeyUsageAny"]}}"#,
        ] {
            assert_eq!(options(text), "true", "{text}");
        }
    }

    #[test]
    fn pairs() {
        let pair = text_of(|ctx| parse_key_pair(ctx, &[&value(LEAF_PEM), &value(KEY)]));
        assert!(pair.starts_with(&format!("{{\"Certificate\": [{LEAF}], \"Leaf\": {{")), "{pair}");
    }
}
