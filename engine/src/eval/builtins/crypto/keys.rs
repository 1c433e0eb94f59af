//! Keys: read as Go's `crypto/x509` reads them, and shown as `encoding/json` shows Go's structures of them.

use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{agreement, signature};
use num_bigint::{BigInt, BigUint, Sign};

use super::super::Failure;
use super::super::encoding::base64;
use super::der::{self, Bits, Der, Element, OCTET_STRING, Oid};
use crate::eval::value::{Number, Value};

/// Bits of an RSA modulus. Nobody has longer ones, and time grows with their square.
const MAX_RSA_BITS: u64 = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Curve {
    P224,
    P256,
    P384,
    P521,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum PublicKey {
    Rsa(RsaPublic),
    Ec(EcPublic),
    Ed25519([u8; 32]),
    X25519,
    Dsa { p: BigInt, q: BigInt, g: BigInt, y: BigInt },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct RsaPublic {
    pub(in super::super) n: BigUint,
    pub(in super::super) e: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct EcPublic {
    pub(in super::super) curve: Curve,
    /// A four, and both coordinates.
    pub(in super::super) point: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(in super::super) enum PrivateKey {
    Rsa(RsaPrivate),
    Ec { public: EcPublic, d: Vec<u8> },
    Ed25519 { seed: [u8; 32], public: [u8; 32] },
    X25519 { d: [u8; 32], public: Vec<u8> },
}

#[derive(Debug, Clone)]
pub(in super::super) struct RsaPrivate {
    pub(in super::super) public: RsaPublic,
    pub(in super::super) d: BigUint,
    pub(in super::super) p: BigUint,
    pub(in super::super) q: BigUint,
    pub(in super::super) crt: Option<Crt>,
}

/// What speeds up the private operation.
#[derive(Debug, Clone)]
pub(in super::super) struct Crt {
    pub(in super::super) dp: BigUint,
    pub(in super::super) dq: BigUint,
    pub(in super::super) qinv: BigUint,
}

const RSA: &[u32] = &[1, 2, 840, 113_549, 1, 1, 1];
const DSA: &[u32] = &[1, 2, 840, 10_040, 4, 1];
const EC: &[u32] = &[1, 2, 840, 10_045, 2, 1];
const X25519: &[u32] = &[1, 3, 101, 110];
const ED25519: &[u32] = &[1, 3, 101, 112];

/// An algorithm, and its parameters as they are encoded, if there are any.
#[derive(Debug, Clone)]
pub(in super::super) struct Algorithm<'a> {
    pub(in super::super) oid: Oid,
    pub(in super::super) parameters: &'a [u8],
}

impl<'a> Algorithm<'a> {
    /// The content of an `AlgorithmIdentifier` of a certificate.
    pub(in super::super) fn read(der: Der<'a>) -> Result<Self, Failure> {
        Self::read_by(der, Der::any)
    }

    /// One of anything else, which Go reads by its `encoding/asn1`.
    pub(in super::super) fn read_elsewhere(der: Der<'a>) -> Result<Self, Failure> {
        Self::read_by(der, Der::any_tagged)
    }

    fn read_by(mut der: Der<'a>, any: fn(&mut Der<'a>) -> Option<Element<'a>>) -> Result<Self, Failure> {
        let oid = der.oid().ok_or_else(|| malformed("x509: malformed OID"))?;
        if der.is_empty() {
            return Ok(Self { oid, parameters: &[] });
        }
        let parameters = any(&mut der).ok_or_else(|| malformed("x509: malformed parameters"))?.full;
        Ok(Self { oid, parameters })
    }

    /// As Go's `x509.PublicKeyAlgorithm`, 0 for one that it doesn't know.
    pub(in super::super) fn of_public_key(&self) -> i64 {
        match self.oid.0.as_slice() {
            RSA => 1,
            DSA => 2,
            EC => 3,
            ED25519 => 4,
            _ => 0,
        }
    }

    /// Whether a key of this algorithm is read at all.
    pub(in super::super) fn is_known(&self) -> bool {
        matches!(self.oid.0.as_slice(), RSA | DSA | EC | ED25519)
    }
}

pub(super) fn malformed(what: &str) -> Failure {
    Failure::error(what)
}

// === impl Curve ===

impl Curve {
    fn of(oid: &Oid) -> Option<Self> {
        match oid.0.as_slice() {
            [1, 3, 132, 0, 33] => Some(Self::P224),
            [1, 2, 840, 10_045, 3, 1, 7] => Some(Self::P256),
            [1, 3, 132, 0, 34] => Some(Self::P384),
            [1, 3, 132, 0, 35] => Some(Self::P521),
            _ => None,
        }
    }

    /// Bytes of a coordinate.
    pub(in super::super) fn size(self) -> usize {
        match self {
            Self::P224 => 28,
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::P224 => "P-224",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// An algorithm whose parser looks whether a point is on the curve.
    fn algorithm(self) -> Option<&'static dyn signature::VerificationAlgorithm> {
        match self {
            Self::P224 => None,
            Self::P256 => Some(&signature::ECDSA_P256_SHA256_ASN1),
            Self::P384 => Some(&signature::ECDSA_P384_SHA384_ASN1),
            Self::P521 => Some(&signature::ECDSA_P521_SHA512_ASN1),
        }
    }

    fn agreement(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::P224 => None,
            Self::P256 => Some(&agreement::ECDH_P256),
            Self::P384 => Some(&agreement::ECDH_P384),
            Self::P521 => Some(&agreement::ECDH_P521),
        }
    }
}

// === impl EcPublic ===

impl EcPublic {
    /// The point, if it is one of the curve.
    pub(in super::super) fn new(curve: Curve, point: Vec<u8>) -> Option<Self> {
        if point.len() != 1 + 2 * curve.size() || point.first() != Some(&4) {
            return None;
        }
        let key = Self { curve, point };
        let on_curve = match curve.algorithm() {
            Some(algorithm) => signature::ParsedPublicKey::new(algorithm, &key.point).is_ok(),
            None => key.is_on_p224(),
        };
        on_curve.then_some(key)
    }

    pub(in super::super) fn coordinates(&self) -> (&[u8], &[u8]) {
        let coordinates = self.point.get(1..).unwrap_or_default();
        coordinates.split_at_checked(self.curve.size()).unwrap_or_default()
    }

    /// y² = x³ - 3x + b (SEC 2, secp224r1). aws-lc-rs doesn't have this curve.
    fn is_on_p224(&self) -> bool {
        const B: &[u8] = b"b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4";
        let one = BigUint::from(1_u32);
        let p = (&one << 224_u32) - (&one << 96_u32) + &one;
        let Some(b) = BigUint::parse_bytes(B, 16) else { return false };
        let (x, y) = self.coordinates();
        let (x, y) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y));
        if x >= p || y >= p {
            return false;
        }
        // Minus three is the prime minus three.
        let right = &x * &x * &x + (&p - 3_u32) * &x + b;
        (&y * &y) % &p == right % &p
    }
}

// === impl PublicKey ===

impl PublicKey {
    /// The key of a `SubjectPublicKeyInfo` whose algorithm is known.
    pub(in super::super) fn read(algorithm: &Algorithm<'_>, key: Bits<'_>) -> Result<Self, Failure> {
        let data = key.right_aligned();
        match algorithm.oid.0.as_slice() {
            RSA => {
                if algorithm.parameters != [5, 0] {
                    return Err(malformed("x509: RSA key missing NULL parameters"));
                }
                let mut der = Der(&data).sequence().ok_or_else(|| malformed("x509: invalid RSA public key"))?;
                let n = der.integer().ok_or_else(|| malformed("x509: invalid RSA modulus"))?;
                let e = der.int().ok_or_else(|| malformed("x509: invalid RSA public exponent"))?;
                let n = positive(&n).ok_or_else(|| malformed("x509: RSA modulus is not a positive number"))?;
                if e <= 0 {
                    return Err(malformed("x509: RSA public exponent is not a positive number"));
                }
                RsaPublic::new(n, e).map(Self::Rsa)
            }
            EC => {
                let curve =
                    Der(algorithm.parameters).oid().ok_or_else(|| malformed("x509: invalid ECDSA parameters"))?;
                let curve = Curve::of(&curve).ok_or_else(|| malformed("x509: unsupported elliptic curve"))?;
                let key = EcPublic::new(curve, data);
                key.map(Self::Ec).ok_or_else(|| malformed("ecdsa: invalid uncompressed public key"))
            }
            ED25519 => {
                if !algorithm.parameters.is_empty() {
                    return Err(malformed("x509: Ed25519 key encoded with illegal parameters"));
                }
                let key = data.try_into().map_err(|_| malformed("x509: wrong Ed25519 public key size"))?;
                Ok(Self::Ed25519(key))
            }
            X25519 => {
                if !algorithm.parameters.is_empty() {
                    return Err(malformed("x509: X25519 key encoded with illegal parameters"));
                }
                if data.len() != 32 {
                    return Err(malformed("crypto/ecdh: invalid public key"));
                }
                Ok(Self::X25519)
            }
            DSA => {
                let y = Der(&data).integer().ok_or_else(|| malformed("x509: invalid DSA public key"))?;
                let parameters = || {
                    let mut der = Der(algorithm.parameters).sequence()?;
                    Some((der.integer()?, der.integer()?, der.integer()?))
                };
                let (p, q, g) = parameters().ok_or_else(|| malformed("x509: invalid DSA parameters"))?;
                if [&p, &q, &g, &y].into_iter().any(|number| number.sign() != Sign::Plus) {
                    return Err(malformed("x509: zero or negative DSA parameter"));
                }
                Ok(Self::Dsa { p, q, g, y })
            }
            _ => Err(malformed("x509: unknown public key algorithm")),
        }
    }

    /// A whole `SubjectPublicKeyInfo` (`x509.ParsePKIXPublicKey`).
    pub(in super::super) fn from_pkix(bytes: &[u8]) -> Result<Self, Failure> {
        let mut outer = Der(bytes);
        let mut parts = || {
            let mut info = outer.sequence()?;
            Some((info.sequence()?, info.bits()?, outer.is_empty()))
        };
        let (algorithm, key, whole) = parts().ok_or_else(|| malformed("asn1: structure error"))?;
        if !whole {
            return Err(malformed("x509: trailing data after ASN.1 of public-key"));
        }
        Self::read(&Algorithm::read_elsewhere(algorithm)?, key)
    }

    /// As Go shows it in JSON.
    pub(in super::super) fn to_value(&self) -> Result<Value, Failure> {
        Ok(match self {
            Self::Rsa(key) => object(vec![("N", natural(&key.n)?), ("E", Value::from(key.e))]),
            Self::Ec(key) => object(key.fields()?),
            Self::Ed25519(key) => Value::from(base64::encode(key)),
            Self::X25519 => object(vec![]),
            Self::Dsa { p, q, g, y } => {
                object(vec![("P", integer(p)?), ("Q", integer(q)?), ("G", integer(g)?), ("Y", integer(y)?)])
            }
        })
    }
}

impl EcPublic {
    fn fields(&self) -> Result<Vec<(&'static str, Value)>, Failure> {
        let (x, y) = self.coordinates();
        let coordinate = |bytes| natural(&BigUint::from_bytes_be(bytes));
        Ok(vec![("Curve", object(vec![])), ("X", coordinate(x)?), ("Y", coordinate(y)?)])
    }
}

// === impl RsaPublic ===

impl RsaPublic {
    pub(in super::super) fn new(n: BigUint, e: i64) -> Result<Self, Failure> {
        let is_fit = n.bits() <= MAX_RSA_BITS;
        if is_fit { Ok(Self { n, e }) } else { Err(super::unsupported("an RSA key of more than 16384 bits")) }
    }

    /// Whether Go's `crypto/rsa` computes with it.
    pub(in super::super) fn is_sound(&self) -> bool {
        self.n.bit(0) && self.e >= 2 && self.e % 2 == 1 && self.e <= i64::from(i32::MAX)
    }

    /// Bytes of the modulus, and so of a signature.
    pub(in super::super) fn size(&self) -> usize {
        usize::try_from(self.n.bits().div_ceil(8)).unwrap_or(usize::MAX)
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    /// A key in the form of `RSA PRIVATE KEY`.
    pub(in super::super) fn from_pkcs1(bytes: &[u8]) -> Result<Self, Failure> {
        let mut outer = Der(bytes);
        let mut key = outer.sequence().ok_or_else(|| malformed("asn1: structure error"))?;
        if !outer.is_empty() {
            return Err(malformed("asn1: syntax error: trailing data"));
        }
        let structure = || malformed("asn1: structure error");
        let version = key.int().ok_or_else(structure)?;
        let n = key.integer().ok_or_else(structure)?;
        let e = key.int().ok_or_else(structure)?;
        let [d, p, q] = [key.integer(), key.integer(), key.integer()].map(|number| number.ok_or_else(structure));
        let (d, p, q) = (d?, p?, q?);
        let mut optional = || match key.may_have(der::INTEGER) {
            Some(true) => key.integer().map(Some).ok_or_else(structure),
            Some(false) => Ok(None),
            None => Err(structure()),
        };
        let crt = [optional()?, optional()?, optional()?];
        if version > 1 {
            return Err(malformed("x509: unsupported private key version"));
        }
        let positive = |number: &BigInt| {
            positive(number).ok_or_else(|| malformed("x509: private key contains zero or negative value"))
        };
        let (n, d, p, q) = (positive(&n)?, positive(&d)?, positive(&p)?, positive(&q)?);
        let crt = crt.iter().map(|number| number.as_ref().map(positive).transpose()).collect::<Result<Vec<_>, _>>()?;
        let crt = match crt.as_slice() {
            [Some(dp), Some(dq), Some(qinv)] => Some(Crt { dp: dp.clone(), dq: dq.clone(), qinv: qinv.clone() }),
            _ => None,
        };
        let more = key.may_have(der::SEQUENCE).ok_or_else(structure)?;
        if more && !key.sequence().ok_or_else(structure)?.is_empty() {
            // Keys of three and more primes are read by Go, and used by no one.
            return Err(super::unsupported("an RSA key of more than two primes"));
        }
        RsaPrivate { public: RsaPublic::new(n, e)?, d, p, q, crt }.checked().map(Self::Rsa)
    }

    /// A key in the form of `PRIVATE KEY`.
    pub(in super::super) fn from_pkcs8(bytes: &[u8]) -> Result<Self, Failure> {
        let mut outer = Der(bytes);
        let mut parts = || {
            let mut info = outer.sequence()?;
            info.int()?;
            Some((info.sequence()?, info.read(OCTET_STRING)?))
        };
        let (algorithm, key) = parts().ok_or_else(|| malformed("asn1: structure error"))?;
        let algorithm = Algorithm::read_elsewhere(algorithm)?;
        let embedded = |kind: &str, failure: Failure| match failure {
            Failure::Error(what) => {
                Failure::error(format!("x509: failed to parse {kind} private key embedded in PKCS#8: {what}"))
            }
            other => other,
        };
        let seed = |name: &str| {
            if !algorithm.parameters.is_empty() {
                return Err(malformed(&format!("x509: invalid {name} private key parameters")));
            }
            let seed = Der(key).read(OCTET_STRING).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
            seed.ok_or_else(|| malformed(&format!("x509: invalid {name} private key")))
        };
        match algorithm.oid.0.as_slice() {
            RSA => Self::from_pkcs1(key).map_err(|failure| embedded("RSA", failure)),
            EC => {
                let curve = Der(algorithm.parameters).oid();
                Self::from_ec(key, curve.as_ref()).map_err(|failure| embedded("EC", failure))
            }
            ED25519 => Self::ed25519(seed("Ed25519")?),
            X25519 => Self::x25519(seed("X25519")?),
            _ => {
                let what = "x509: PKCS#8 wrapping contained private key with unknown algorithm";
                Err(Failure::error(format!("{what}: {}", algorithm.oid)))
            }
        }
    }

    /// A key in the form of `EC PRIVATE KEY`, or one that a container names the curve of.
    pub(in super::super) fn from_ec(bytes: &[u8], curve: Option<&Oid>) -> Result<Self, Failure> {
        let mut outer = Der(bytes);
        let mut parts = || {
            let mut key = outer.sequence()?;
            let (version, d) = (key.int()?, key.read(OCTET_STRING)?);
            let named = match key.explicit(der::constructed(0), der::OID)? {
                Some(named) => Some(der::oid(named)?),
                None => None,
            };
            if let Some(public) = key.explicit(der::constructed(1), der::BIT_STRING)? {
                Bits::read(public)?;
            }
            Some((version, d, named))
        };
        let (version, d, named) =
            parts().ok_or_else(|| malformed("x509: failed to parse EC private key: asn1: structure error"))?;
        if version != 1 {
            return Err(malformed(&format!("x509: unknown EC private key version {version}")));
        }
        let curve = curve.or(named.as_ref()).and_then(Curve::of);
        let curve = curve.ok_or_else(|| malformed("x509: unknown elliptic curve"))?;
        // Zeros in front may be too many or too few.
        let zeros = d.iter().take_while(|byte| **byte == 0).count();
        let significant = d.get(zeros..).unwrap_or_default();
        let missing = curve.size().checked_sub(significant.len());
        let missing = missing.ok_or_else(|| malformed("x509: invalid private key length"))?;
        let d = [vec![0; missing], significant.to_vec()].concat();
        Self::ec(curve, d)
    }

    /// A key of a number as long as the curve's order.
    pub(in super::super) fn ec(curve: Curve, d: Vec<u8>) -> Result<Self, Failure> {
        let agreement = curve.agreement().ok_or_else(|| super::unsupported("a private key on the curve P-224"))?;
        let invalid = || malformed("crypto/ecdsa: invalid private key");
        let key = agreement::PrivateKey::from_private_key(agreement, &d).map_err(|_| invalid())?;
        let point = key.compute_public_key().map_err(|_| invalid())?.as_ref().to_vec();
        Ok(Self::Ec { public: EcPublic::new(curve, point).ok_or_else(invalid)?, d })
    }

    pub(in super::super) fn ed25519(seed: [u8; 32]) -> Result<Self, Failure> {
        let invalid = || malformed("ed25519: invalid private key");
        let pair = signature::Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| invalid())?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| invalid())?;
        Ok(Self::Ed25519 { seed, public })
    }

    pub(in super::super) fn x25519(d: [u8; 32]) -> Result<Self, Failure> {
        let invalid = || malformed("crypto/ecdh: invalid private key");
        let key = agreement::PrivateKey::from_private_key(&agreement::X25519, &d).map_err(|_| invalid())?;
        let public = key.compute_public_key().map_err(|_| invalid())?.as_ref().to_vec();
        Ok(Self::X25519 { d, public })
    }

    pub(in super::super) fn public(&self) -> PublicKey {
        match self {
            Self::Rsa(key) => PublicKey::Rsa(key.public.clone()),
            Self::Ec { public, .. } => PublicKey::Ec(public.clone()),
            Self::Ed25519 { public, .. } => PublicKey::Ed25519(*public),
            Self::X25519 { .. } => PublicKey::X25519,
        }
    }

    /// As a JSON Web Key (RFC 7517).
    pub(in super::super) fn to_jwk(&self) -> Result<Value, Failure> {
        let bytes = |bytes: &[u8]| Value::from(base64::encode_url_no_pad(bytes));
        let number = |number: &BigUint| bytes(&number.to_bytes_be());
        Ok(match self {
            Self::Rsa(key) => {
                let mut fields = vec![
                    ("kty", Value::from("RSA")),
                    ("n", number(&key.public.n)),
                    ("e", number(&BigUint::from(key.public.e.unsigned_abs()))),
                    ("d", number(&key.d)),
                    ("p", number(&key.p)),
                    ("q", number(&key.q)),
                ];
                if let Some(crt) = &key.crt {
                    fields.extend([("dp", number(&crt.dp)), ("dq", number(&crt.dq)), ("qi", number(&crt.qinv))]);
                }
                object(fields)
            }
            Self::Ec { public, d } => {
                let (x, y) = public.coordinates();
                let name = Value::from(public.curve.name());
                object(vec![
                    ("kty", Value::from("EC")),
                    ("crv", name),
                    ("x", bytes(x)),
                    ("y", bytes(y)),
                    ("d", bytes(d)),
                ])
            }
            Self::Ed25519 { seed, public } => octet_pair("Ed25519", bytes(public), bytes(seed)),
            Self::X25519 { d, public } => octet_pair("X25519", bytes(public), bytes(d)),
        })
    }

    /// As Go shows it in JSON.
    pub(in super::super) fn to_value(&self) -> Result<Value, Failure> {
        Ok(match self {
            Self::Rsa(key) => {
                let crt = match &key.crt {
                    Some(crt) => [natural(&crt.dp)?, natural(&crt.dq)?, natural(&crt.qinv)?],
                    None => [Value::Null, Value::Null, Value::Null],
                };
                let [dp, dq, qinv] = crt;
                let precomputed = vec![("Dp", dp), ("Dq", dq), ("Qinv", qinv), ("CRTValues", Value::array(vec![]))];
                object(vec![
                    ("N", natural(&key.public.n)?),
                    ("E", Value::from(key.public.e)),
                    ("D", natural(&key.d)?),
                    ("Primes", Value::array(vec![natural(&key.p)?, natural(&key.q)?])),
                    ("Precomputed", object(precomputed)),
                ])
            }
            Self::Ec { public, d } => {
                let mut fields = public.fields()?;
                fields.push(("D", natural(&BigUint::from_bytes_be(d))?));
                object(fields)
            }
            Self::Ed25519 { seed, public } => Value::from(base64::encode(&[*seed, *public].concat())),
            Self::X25519 { .. } => object(vec![]),
        })
    }
}

// === impl RsaPrivate ===

impl RsaPrivate {
    /// The key with what speeds it up, if its numbers fit each other (Go's `rsa.checkPrivateKey`).
    pub(in super::super) fn checked(mut self) -> Result<Self, Failure> {
        let one = BigUint::from(1_u32);
        let (n, p, q) = (&self.public.n, &self.p, &self.q);
        if [n, p, q].into_iter().any(|number| *number <= one) {
            return Err(malformed("modulus must be > 1"));
        }
        if self.d >= *n {
            return Err(malformed("input overflows the modulus"));
        }
        if p >= n || q >= n {
            return Err(malformed("crypto/rsa: invalid prime"));
        }
        let (p1, q1) = (p - &one, q - &one);
        if p1 <= one || q1 <= one {
            return Err(malformed("crypto/rsa: invalid prime"));
        }
        let crt = match &self.crt {
            Some(crt) if crt.qinv >= *p => return Err(malformed("input overflows the modulus")),
            Some(crt) => crt.clone(),
            None if !p.bit(0) => return Err(malformed("crypto/rsa: p is even")),
            // The inverse, if `p` is a prime.
            None => Crt { dp: &self.d % &p1, dq: &self.d % &q1, qinv: (q % p).modpow(&(&p1 - &one), p) },
        };
        if !n.bit(0) {
            return Err(malformed("crypto/rsa: public modulus is even"));
        }
        if !self.public.is_sound() {
            return Err(malformed("crypto/rsa: public exponent is even or out of range"));
        }
        if (p * q) % n != BigUint::ZERO {
            return Err(malformed("crypto/rsa: p * q != n"));
        }
        let e = BigUint::from(self.public.e.unsigned_abs());
        let inverse = |exponent: &BigUint, modulus: &BigUint| exponent < modulus && exponent * &e % modulus == one;
        if !inverse(&crt.dp, &p1) || !inverse(&crt.dq, &q1) {
            return Err(malformed("crypto/rsa: invalid CRT exponent"));
        }
        if &crt.qinv * q % p != one {
            return Err(malformed("crypto/rsa: invalid CRT coefficient"));
        }
        if &self.d % &p1 != crt.dp || &self.d % &q1 != crt.dq {
            return Err(malformed("crypto/rsa: d does not match dP or dQ"));
        }
        let difference = if p > q { p - q } else { q - p };
        let half = n.bits() / 2;
        if difference == BigUint::ZERO || difference.bits().saturating_add(100) <= half {
            return Err(malformed("crypto/rsa: |p - q| too small"));
        }
        if self.d.bits() <= half {
            return Err(malformed("crypto/rsa: d too small"));
        }
        self.crt = Some(crt);
        Ok(self)
    }
}

fn octet_pair(curve: &str, x: Value, d: Value) -> Value {
    object(vec![("kty", Value::from("OKP")), ("crv", Value::from(curve)), ("x", x), ("d", d)])
}

fn positive(number: &BigInt) -> Option<BigUint> {
    (number.sign() == Sign::Plus).then(|| number.magnitude().clone())
}

pub(in super::super) fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::object(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

pub(in super::super) fn natural(number: &BigUint) -> Result<Value, Failure> {
    integer(&BigInt::from(number.clone()))
}

pub(in super::super) fn integer(number: &BigInt) -> Result<Value, Failure> {
    Ok(Value::Number(Number::from_bigint(number)?))
}
