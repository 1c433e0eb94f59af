//! Keys to verify and sign tokens with: JSON Web Keys and sets of them (RFC 7517), as OPA's library (lestrrat-go/jwx
//! v3) takes them, certificates, and public keys in PEM.

use num_bigint::BigUint;

use super::super::crypto::keys::{Crt, Curve, EcPublic, PrivateKey, PublicKey, RsaPrivate, RsaPublic};
use super::super::crypto::pem;
use super::super::encoding::{base64, go_json};
use super::super::x509::Certificate;
use super::super::{Budget, Failure};
use super::headers::Headers;
use crate::eval::value::Value;

/// Keys that a set may have.
const MAX_KEYS: usize = 1000;

/// Certificates that may stand beside a key, and the size of each.
const MAX_CHAIN: usize = 10;
const MAX_CERTIFICATE: usize = 256 * 1024;

/// One key, and what is said of it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Empty if nothing is said.
    pub(super) alg: String,
    pub(super) kid: String,
    pub(super) material: Material,
}

#[derive(Debug, Clone)]
pub(super) enum Material {
    Secret(Vec<u8>),
    Public(PublicKey),
    Private(PrivateKey),
    /// The numbers of an RSA key, not looked at yet.
    RsaPrivate(RsaPrivate),
    /// A point and a number that may not belong together.
    EcPrivate {
        public: EcPublic,
        d: Vec<u8>,
    },
    /// A certificate's key of an unknown algorithm.
    None,
}

/// The keys that verify: those of a certificate, a public key or a set.
///
/// # Errors
/// It is none of these.
pub(super) fn verification_keys(budget: &mut Budget, text: &str) -> Result<Vec<Key>, Failure> {
    budget.read(text.len().saturating_mul(8))?;
    if let Some((block, rest)) = pem::decode(text.as_bytes()) {
        if !rest.is_empty() {
            return Err(Failure::error("extra data after a PEM certificate block"));
        }
        let named = |what: &'static str| move |failure| within(what, failure);
        let material = match block.label {
            b"CERTIFICATE" => {
                let certificate = Certificate::parse(&block.bytes);
                match certificate.map_err(named("failed to parse a PEM certificate"))?.public_key {
                    Some(key) => Material::Public(key),
                    None => Material::None,
                }
            }
            b"PUBLIC KEY" => {
                let key = PublicKey::from_pkix(&block.bytes);
                Material::Public(key.map_err(named("failed to parse a PEM public key"))?)
            }
            _ => return Err(Failure::error("failed to extract a Key from the PEM certificate")),
        };
        return Ok(vec![Key { alg: String::new(), kid: String::new(), material }]);
    }
    let set = parse(budget, text).map_err(|failure| within("failed to parse a JWK key (set)", failure))?;
    let known = |jwk: &Jwk| jwk.alg.is_empty() || super::Algorithm::of_policy(&jwk.alg).is_some();
    let mut keys = vec![];
    for jwk in set {
        // Keys of algorithms that no token has are passed over, but they have to be keys.
        let material = jwk.material()?;
        if known(&jwk) {
            keys.push(Key { alg: jwk.alg, kid: jwk.kid, material });
        }
    }
    Ok(keys)
}

/// The key that signs: the first one of a set, or the only one.
///
/// # Errors
/// It isn't one.
pub(super) fn signing_key(budget: &mut Budget, text: &str) -> Result<Jwk, Failure> {
    budget.read(text.len().saturating_mul(8))?;
    let first = parse(budget, text)?.into_iter().next();
    first.ok_or_else(|| Failure::error("no keys found in JWK set"))
}

pub(super) fn within(what: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Error(reason) => Failure::Error(format!("{what}: {reason}")),
        other => other,
    }
}

/// A key as it is written, with the fields that it must have.
#[derive(Debug)]
pub(super) struct Jwk {
    kty: Kty,
    private: bool,
    alg: String,
    kid: String,
    curve: Option<Crv>,
    numbers: Numbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kty {
    Ec,
    Okp,
    Oct,
    Rsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crv {
    Nist(Curve),
    Ed25519,
    X25519,
    /// One that is known by name only.
    Other,
}

/// The fields that are bytes.
#[derive(Debug, Default)]
struct Numbers {
    d: Option<Vec<u8>>,
    dp: Option<Vec<u8>>,
    dq: Option<Vec<u8>>,
    e: Option<Vec<u8>>,
    k: Option<Vec<u8>>,
    n: Option<Vec<u8>>,
    p: Option<Vec<u8>>,
    q: Option<Vec<u8>>,
    qi: Option<Vec<u8>>,
    x: Option<Vec<u8>>,
    y: Option<Vec<u8>>,
}

fn parse(budget: &mut Budget, text: &str) -> Result<Vec<Jwk>, Failure> {
    if !Headers::read(text).is_ok_and(|fields| fields.has("keys")) {
        return Ok(vec![Jwk::parse(budget, text)?]);
    }
    let (start, end) = go_json::first_value(text).map_err(|malformed| Failure::error(go_json::message(&malformed)))?;
    let fields = go_json::fields(text.get(start..end).unwrap_or_default()).unwrap_or_default();
    let mut keys = vec![];
    for (_, items) in fields.iter().filter(|(name, _)| name == "keys") {
        let items = go_json::items(items).ok_or_else(|| Failure::error("failed to decode \"keys\": expected '['"))?;
        for (index, item) in items.into_iter().enumerate() {
            if index >= MAX_KEYS {
                return Err(Failure::error(format!("too many keys in \"keys\" array: max {MAX_KEYS}")));
            }
            let key = Jwk::parse(budget, item);
            keys.push(key.map_err(|failure| within(&format!("failed to decode key #{index} in \"keys\""), failure))?);
        }
    }
    Ok(keys)
}

// === impl Jwk ===

impl Jwk {
    /// Reads the first value of a text.
    fn parse(budget: &mut Budget, text: &str) -> Result<Self, Failure> {
        let malformed = |malformed| Failure::error(go_json::message(&malformed));
        let (start, end) = go_json::first_value(text).map_err(malformed)?;
        let text = text.get(start..end).unwrap_or_default();
        let fields = match go_json::fields(text) {
            Some(fields) => fields,
            None if text == "null" => vec![],
            None => return Err(Failure::error("probe: failed to unmarshal data")),
        };
        // The kind of the key is looked for without regard to case, the fields themselves with it.
        let (mut kty, mut private) = (String::new(), false);
        for (name, value) in &fields {
            match name.to_lowercase().as_str() {
                "kty" if *value != "null" => kty = string(value)?,
                "d" => private = true,
                _ => {}
            }
        }
        let mut key = Self {
            kty: match kty.as_str() {
                "EC" => Kty::Ec,
                "OKP" => Kty::Okp,
                "oct" => Kty::Oct,
                "RSA" => Kty::Rsa,
                other => return Err(Failure::error(format!("invalid key type from JSON ({other})"))),
            },
            private,
            alg: String::new(),
            kid: String::new(),
            curve: None,
            numbers: Numbers::default(),
        };
        for (name, value) in &fields {
            key.field(budget, &kty, name, value)
                .map_err(|failure| within(&format!("failed to decode value for key {name}"), failure))?;
        }
        key.check_fields()?;
        key.validate()?;
        Ok(key)
    }

    fn field(&mut self, budget: &mut Budget, kty: &str, name: &str, value: &str) -> Result<(), Failure> {
        let numbers = &mut self.numbers;
        match (self.kty, name) {
            (_, "kty") => {
                let named = string(value)?;
                if named != kty {
                    return Err(Failure::error(format!("invalid kty value for {kty} ({named})")));
                }
            }
            (_, "alg") => {
                self.alg = string(value)?;
                if !ALGORITHMS.contains(&self.alg.as_str()) {
                    return Err(Failure::error(format!("invalid key value: {}: invalid key algorithm", self.alg)));
                }
            }
            (_, "kid") => self.kid = string(value)?,
            (_, "use" | "x5t" | "x5t#S256" | "x5u") => drop(string(value)?),
            (_, "key_ops") if value == "null" => {}
            (_, "key_ops") => {
                let operations = go_json::items(value).ok_or_else(|| Failure::error("not a list"))?;
                operations.into_iter().try_for_each(|operation| string(operation).map(drop))?;
            }
            (_, "x5c") => check_chain(budget, value)?,
            (Kty::Ec | Kty::Okp, "crv") => {
                self.curve = Some(match string(value)?.as_str() {
                    "P-256" => Crv::Nist(Curve::P256),
                    "P-384" => Crv::Nist(Curve::P384),
                    "P-521" => Crv::Nist(Curve::P521),
                    "Ed25519" => Crv::Ed25519,
                    "X25519" => Crv::X25519,
                    "Ed448" | "X448" => Crv::Other,
                    other => return Err(Failure::error(format!("unknown EllipticCurveAlgorithm: {other}"))),
                });
            }
            (Kty::Ec | Kty::Okp, "x") => numbers.x = Some(bytes(value)?),
            (Kty::Ec, "y") => numbers.y = Some(bytes(value)?),
            (Kty::Ec | Kty::Okp | Kty::Rsa, "d") if self.private => numbers.d = Some(bytes(value)?),
            (Kty::Oct, "k") => numbers.k = Some(bytes(value)?),
            (Kty::Rsa, "n") => numbers.n = Some(bytes(value)?),
            (Kty::Rsa, "e") => numbers.e = Some(bytes(value)?),
            (Kty::Rsa, "p") if self.private => numbers.p = Some(bytes(value)?),
            (Kty::Rsa, "q") if self.private => numbers.q = Some(bytes(value)?),
            (Kty::Rsa, "dp") if self.private => numbers.dp = Some(bytes(value)?),
            (Kty::Rsa, "dq") if self.private => numbers.dq = Some(bytes(value)?),
            (Kty::Rsa, "qi") if self.private => numbers.qi = Some(bytes(value)?),
            _ => {}
        }
        Ok(())
    }

    fn check_fields(&self) -> Result<(), Failure> {
        let numbers = &self.numbers;
        let private = [("d", !self.private || numbers.d.is_some())];
        let required: &[(&str, bool)] = match self.kty {
            Kty::Ec => &[("crv", self.curve.is_some()), ("x", numbers.x.is_some()), ("y", numbers.y.is_some())],
            Kty::Okp => &[("crv", self.curve.is_some()), ("x", numbers.x.is_some())],
            Kty::Oct => return required_field(&[("k", numbers.k.is_some())]),
            Kty::Rsa => &[("e", numbers.e.is_some()), ("n", numbers.n.is_some())],
        };
        required_field(&private)?;
        required_field(required)
    }

    fn validate(&self) -> Result<(), Failure> {
        let invalid = |what: &str| Err(Failure::error(format!("jwk.Parse: key validation failed: {what}")));
        let empty = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_none_or(Vec::is_empty);
        let numbers = &self.numbers;
        match (self.kty, self.curve) {
            (Kty::Oct, _) if empty(&numbers.k) => invalid("missing \"k\" field"),
            (Kty::Oct, _) => Ok(()),
            (Kty::Rsa, _) => {
                self.rsa_public()?;
                if self.private && empty(&numbers.d) { invalid("missing \"d\" value") } else { Ok(()) }
            }
            (Kty::Ec, Some(Crv::Nist(curve))) => {
                self.ec_public(curve)?;
                let length = numbers.d.as_ref().map(Vec::len);
                if self.private && length != Some(curve.size()) { invalid("invalid \"d\" length") } else { Ok(()) }
            }
            (Kty::Ec, _) => invalid("invalid curve algorithm"),
            (Kty::Okp, curve) => {
                let wrong = |bytes: &Option<Vec<u8>>| match curve {
                    Some(Crv::Ed25519 | Crv::X25519) => bytes.as_ref().is_none_or(|bytes| bytes.len() != 32),
                    _ => empty(bytes),
                };
                if wrong(&numbers.x) || (self.private && wrong(&numbers.d)) {
                    return invalid("wrong key size");
                }
                Ok(())
            }
        }
    }

    /// The key itself (`jwk.Export`).
    fn material(&self) -> Result<Material, Failure> {
        let missing =
            |name: &str| Failure::error(format!("jwk.Export: failed to export jwk.Key: missing \"{name}\" value"));
        let numbers = &self.numbers;
        let fixed = |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        match (self.kty, self.curve, self.private) {
            (Kty::Oct, ..) => Ok(Material::Secret(numbers.k.clone().unwrap_or_default())),
            (Kty::Rsa, _, false) => Ok(Material::Public(PublicKey::Rsa(self.rsa_public()?))),
            (Kty::Rsa, _, true) => {
                let number = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(BigUint::from_bytes_be);
                let crt = match (number(&numbers.dp), number(&numbers.dq), number(&numbers.qi)) {
                    (Some(dp), Some(dq), Some(qinv)) => Some(Crt { dp, dq, qinv }),
                    _ => None,
                };
                Ok(Material::RsaPrivate(RsaPrivate {
                    public: self.rsa_public()?,
                    d: number(&numbers.d).ok_or_else(|| missing("d"))?,
                    q: number(&numbers.q).ok_or_else(|| missing("q"))?,
                    p: number(&numbers.p).ok_or_else(|| missing("p"))?,
                    crt,
                }))
            }
            (Kty::Ec, Some(Crv::Nist(curve)), false) => Ok(Material::Public(PublicKey::Ec(self.ec_public(curve)?))),
            (Kty::Ec, Some(Crv::Nist(curve)), true) => {
                let d = numbers.d.clone().ok_or_else(|| missing("d"))?;
                Ok(Material::EcPrivate { public: self.ec_public(curve)?, d })
            }
            (Kty::Okp, Some(Crv::Ed25519), false) => {
                Ok(Material::Public(PublicKey::Ed25519(fixed(&numbers.x).ok_or_else(|| missing("x"))?)))
            }
            (Kty::Okp, Some(Crv::Ed25519), true) => {
                let key = PrivateKey::ed25519(fixed(&numbers.d).ok_or_else(|| missing("d"))?)?;
                let named = fixed(&numbers.x).map(PublicKey::Ed25519);
                if named != Some(key.public()) {
                    return Err(Failure::error("ed25519: invalid x value given d value"));
                }
                Ok(Material::Private(key))
            }
            (Kty::Okp, Some(Crv::X25519), _) => Ok(Material::Public(PublicKey::X25519)),
            (Kty::Ec | Kty::Okp, ..) => {
                Err(Failure::error("jwk.Export: failed to export jwk.Key: invalid curve algorithm"))
            }
        }
    }

    fn rsa_public(&self) -> Result<RsaPublic, Failure> {
        let number = |bytes: &Option<Vec<u8>>| BigUint::from_bytes_be(bytes.as_deref().unwrap_or_default());
        let (n, e) = (number(&self.numbers.n), number(&self.numbers.e));
        if n == BigUint::ZERO {
            return Err(Failure::error("missing \"n\" value"));
        }
        if e == BigUint::ZERO {
            return Err(Failure::error("missing \"e\" value"));
        }
        if !e.bit(0) {
            return Err(Failure::error("invalid rsa public exponent: must be a positive odd integer"));
        }
        let e = i64::try_from(e).map_err(|_| Failure::error("rsa public exponent too large for this platform"))?;
        RsaPublic::new(n, e)
    }

    fn ec_public(&self, curve: Curve) -> Result<EcPublic, Failure> {
        let coordinate = |bytes: &Option<Vec<u8>>| bytes.clone().filter(|bytes| bytes.len() == curve.size());
        let point = coordinate(&self.numbers.x)
            .zip(coordinate(&self.numbers.y))
            .and_then(|(x, y)| EcPublic::new(curve, [vec![4], x, y].concat()));
        point.ok_or_else(|| Failure::error(format!("invalid ECDSA public key for curve \"{}\"", curve.name())))
    }

    /// The secret, if this is one. The library takes the bytes of Ed25519's keys for one too.
    pub(super) fn secret(&self) -> Result<Vec<u8>, Failure> {
        match self.material()? {
            Material::Secret(secret) => Ok(secret),
            Material::Public(PublicKey::Ed25519(key)) => Ok(key.to_vec()),
            Material::Private(PrivateKey::Ed25519 { seed, public }) => Ok([seed, public].concat()),
            _ => Err(unfit("[]byte")),
        }
    }

    pub(super) fn rsa_private(&self) -> Result<RsaPrivate, Failure> {
        match self.material()? {
            Material::RsaPrivate(key) => Ok(key),
            _ => Err(unfit("*rsa.PrivateKey")),
        }
    }

    /// The curve's own point for the number; the one in the key may be another.
    pub(super) fn ec_private(&self) -> Result<(EcPublic, Vec<u8>), Failure> {
        match self.material()? {
            Material::EcPrivate { public, d } => match PrivateKey::ec(public.curve, d)? {
                PrivateKey::Ec { public, d } => Ok((public, d)),
                _ => Err(unfit("*ecdsa.PrivateKey")),
            },
            _ => Err(unfit("*ecdsa.PrivateKey")),
        }
    }

    pub(super) fn ed25519_private(&self) -> Result<[u8; 32], Failure> {
        match self.material()? {
            Material::Private(PrivateKey::Ed25519 { seed, .. }) => Ok(seed),
            _ => Err(unfit("ed25519.PrivateKey")),
        }
    }
}

fn unfit(wanted: &str) -> Failure {
    Failure::error(format!("jwsbb.Sign: invalid key type. {wanted} is required"))
}

fn required_field(fields: &[(&str, bool)]) -> Result<(), Failure> {
    match fields.iter().find(|(_, present)| !present) {
        Some((name, _)) => Err(Failure::error(format!("required field {name} is missing"))),
        None => Ok(()),
    }
}

/// A string, or nothing for `null`.
fn string(text: &str) -> Result<String, Failure> {
    match crate::eval::value::json::read(text, crate::eval::value::json::GO) {
        Ok(Value::String(text)) => Ok(text.to_string()),
        Ok(Value::Null) => Ok(String::new()),
        _ => Err(Failure::error("json: cannot unmarshal value into Go value of type string")),
    }
}

/// Base64 in any of its alphabets, guessed.
fn bytes(text: &str) -> Result<Vec<u8>, Failure> {
    let text = string(text)?;
    let alphabet = match (text.ends_with('='), text.contains(['+', '/'])) {
        (false, false) => base64::URL_NO_PAD,
        (true, false) => base64::URL,
        (false, true) => base64::STANDARD_NO_PAD,
        (true, true) => base64::STANDARD,
    };
    base64::decode(&text, alphabet).map_err(|_| Failure::error("expected base64 encoded []byte (string)"))
}

/// Certificates beside a key are used by nobody, and have to be certificates.
fn check_chain(budget: &mut Budget, text: &str) -> Result<(), Failure> {
    let items = go_json::items(text);
    let items = items.ok_or_else(|| Failure::error("failed to unmarshal certificate chain: expected JSON array"))?;
    for (index, item) in items.into_iter().enumerate() {
        if index >= MAX_CHAIN {
            return Err(Failure::error("certificate chain length exceeds maximum allowed length of 10"));
        }
        budget.read(item.len().saturating_mul(4))?;
        let mut encoded = string(item)?;
        encoded.retain(|char| !matches!(char, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}'));
        let der = base64::decode(&encoded, base64::STANDARD)?;
        if der.len() > MAX_CERTIFICATE {
            return Err(Failure::error("certificate size exceeds maximum allowed size of 262144 bytes"));
        }
        Certificate::parse(&der)?;
    }
    Ok(())
}

/// What `alg` may say (RFC 7518, section 3.1, 4.1 and 5.1, and RFC 8037).
const ALGORITHMS: &[&str] = &[
    "ES256",
    "ES256K",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "HS256",
    "HS384",
    "HS512",
    "none",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
    "A128GCMKW",
    "A128KW",
    "A192GCMKW",
    "A192KW",
    "A256GCMKW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
    "PBES2-HS256+A128KW",
    "PBES2-HS384+A192KW",
    "PBES2-HS512+A256KW",
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
    "A128CBC-HS256",
    "A128GCM",
    "A192CBC-HS384",
    "A192GCM",
    "A256CBC-HS512",
    "A256GCM",
];
