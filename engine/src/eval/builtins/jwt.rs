//! JSON Web Tokens: decoded, verified and signed by OPA's rules (`topdown/tokens.go`), which decide more than the RFCs
//! do about what is an error and what is merely not verified.

mod headers;
mod jwk;

use self::headers::Headers;
use self::jwk::{Key, Material, within};
use super::crypto::keys::{EcPublic, PrivateKey, PublicKey, RsaPublic};
use super::crypto::sign::{self, Hash, Padding};
use super::encoding::{base64, go_float, go_json, hex};
use super::operand::{self, operand};
use super::{Budget, Context, Failure, Function};
use crate::eval::value::{Number, Object, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("io.jwt.decode", decode),
    ("io.jwt.decode_verify", decode_verify),
    ("io.jwt.encode_sign", encode_sign),
    ("io.jwt.encode_sign_raw", encode_sign_raw),
    ("io.jwt.verify_eddsa", |ctx, args| verify(ctx, args, Check::Ed25519)),
    ("io.jwt.verify_es256", |ctx, args| verify(ctx, args, Check::Ecdsa(Hash::Sha256))),
    ("io.jwt.verify_es384", |ctx, args| verify(ctx, args, Check::Ecdsa(Hash::Sha384))),
    ("io.jwt.verify_es512", |ctx, args| verify(ctx, args, Check::Ecdsa(Hash::Sha512))),
    ("io.jwt.verify_hs256", |ctx, args| verify_secret(ctx, args, Hash::Sha256)),
    ("io.jwt.verify_hs384", |ctx, args| verify_secret(ctx, args, Hash::Sha384)),
    ("io.jwt.verify_hs512", |ctx, args| verify_secret(ctx, args, Hash::Sha512)),
    ("io.jwt.verify_ps256", |ctx, args| verify(ctx, args, Check::Rsa(Padding::PssAnySalt, Hash::Sha256))),
    ("io.jwt.verify_ps384", |ctx, args| verify(ctx, args, Check::Rsa(Padding::PssAnySalt, Hash::Sha384))),
    ("io.jwt.verify_ps512", |ctx, args| verify(ctx, args, Check::Rsa(Padding::PssAnySalt, Hash::Sha512))),
    ("io.jwt.verify_rs256", |ctx, args| verify(ctx, args, Check::Rsa(Padding::Pkcs1, Hash::Sha256))),
    ("io.jwt.verify_rs384", |ctx, args| verify(ctx, args, Check::Rsa(Padding::Pkcs1, Hash::Sha384))),
    ("io.jwt.verify_rs512", |ctx, args| verify(ctx, args, Check::Rsa(Padding::Pkcs1, Hash::Sha512))),
];

// === The functions ===

fn decode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let mut text = operand::string(args, 1)?.to_string();
    loop {
        ctx.budget.alloc(text.len().saturating_mul(3))?;
        let token = Token::split(&text)?;
        let header = token.decoded_header(ctx.budget)?;
        let payload = token.decoded_payload()?;
        match header.get_str("cty") {
            // A token within a token may be in quotes.
            Some(Value::String(cty)) if &**cty == "JWT" => {
                text = payload.trim_matches(['"', '\'']).to_owned();
                continue;
            }
            Some(Value::String(_)) | None => {}
            // OPA doesn't survive this.
            Some(_) => return Err(Failure::error("cty: must be a string")),
        }
        let payload = json_object(ctx.budget, &payload)?;
        let signature = base64::decode_url_lax(token.signature);
        let signature = signature.map_err(|failure| within("JWT signature had invalid encoding", failure))?;
        return Ok(Value::array(vec![Value::Object(header), Value::Object(payload), Value::from(hex(&signature))]));
    }
}

fn verify_secret(ctx: &mut Context<'_>, args: &[&Value], hash: Hash) -> Result<Value, Failure> {
    let (text, secret) = (operand::string(args, 1)?, operand::string(args, 2)?);
    ctx.budget.read(text.len().saturating_add(secret.len()).saturating_mul(4))?;
    let token = Token::split(text)?;
    let signature = base64::decode_url_lax(token.signature)?;
    let mac = sign::mac(hash, secret.as_bytes(), token.signed.as_bytes());
    Ok(Value::Bool(sign::same(&signature, &mac)))
}

/// How a signature is looked at.
#[derive(Debug, Clone, Copy)]
enum Check {
    Rsa(Padding, Hash),
    Ecdsa(Hash),
    Ed25519,
}

fn verify(ctx: &mut Context<'_>, args: &[&Value], check: Check) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len().saturating_mul(2))?;
    let token = Token::split(text)?;
    let keys = jwk::verification_keys(ctx.budget, operand::string(args, 2)?)?;
    let signature = base64::decode_url_lax(token.signature)?;
    let header = Header::read(&token.decoded_header(ctx.budget)?)?;
    let mut verified = false;
    for key in header.candidates(&keys) {
        verified = check.holds(ctx.budget, key, token.signed, &signature)?;
        if verified {
            break;
        }
    }
    Ok(Value::Bool(verified))
}

fn decode_verify(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let unverified = || Ok(Value::array(vec![Value::Bool(false), Value::object(vec![]), Value::object(vec![])]));
    let constraints = Constraints::read(ctx, operand::object(args, 2)?)?;
    let mut text = operand::string(args, 1)?.to_string();
    let (header, payload) = loop {
        ctx.budget.alloc(text.len().saturating_mul(3))?;
        let token = Token::split(&text)?;
        let decoded = token.decoded_header(ctx.budget)?;
        let header = Header::read(&decoded)?;
        if !header.is_valid() || constraints.alg.is_some_and(|alg| alg != header.alg) {
            return unverified();
        }
        let signature = base64::decode_url_lax(token.signature)?;
        if !constraints.hold_signature(ctx.budget, &header, token.signed, &signature)? {
            return unverified();
        }
        let payload = token.decoded_payload()?;
        if !header.cty.eq_ignore_ascii_case("JWT") {
            break (decoded, json_object(ctx.budget, &payload)?);
        }
        text = payload;
    };
    if !constraints.hold_claims(&payload)? {
        return unverified();
    }
    Ok(Value::array(vec![Value::Bool(true), Value::Object(header), Value::Object(payload)]))
}

fn encode_sign(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let header = go_json::marshal(ctx.budget, operand(args, 1)?, None)
        .map_err(|failure| within("failed to marshal JWT headers", failure))?;
    let payload = go_json::marshal(ctx.budget, operand(args, 2)?, None)
        .map_err(|failure| within("failed to marshal JWT payload", failure))?;
    let key = go_json::marshal(ctx.budget, operand(args, 3)?, None)
        .map_err(|failure| within("failed to marshal JWT signature", failure))?;
    sign_token(ctx, &header, &payload, &key)
}

fn encode_sign_raw(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let key = operand::string(args, 3)?;
    sign_token(ctx, operand::string(args, 1)?, operand::string(args, 2)?, key)
}

fn sign_token(ctx: &mut Context<'_>, header: &str, payload: &str, key: &str) -> Result<Value, Failure> {
    let budget = &mut *ctx.budget;
    let key = jwk::signing_key(budget, key)?;
    budget.alloc(header.len().saturating_add(payload.len()).saturating_mul(3))?;
    let fields = Headers::read(header);
    let field = |name: &str| fields.as_ref().map_err(String::clone).and_then(|fields| fields.string(name));
    let alg = field("alg").map_err(|what| Failure::error(format!("missing or invalid 'alg' header: {what}")))?;
    let algorithm = Algorithm::of_policy(&alg);
    let algorithm = algorithm.ok_or_else(|| Failure::error(format!("unknown JWS algorithm: {alg}")))?;
    if field("typ").is_ok_and(|typ| typ != "JWT") {
    } else if !go_json::is_valid(payload) {
        return Err(Failure::error("type is JWT but payload is not JSON"));
    }
    let signed =
        format!("{}.{}", base64::encode_url_no_pad(header.as_bytes()), base64::encode_url_no_pad(payload.as_bytes()));
    let message = signed.as_bytes();
    budget.read(message.len().saturating_mul(4))?;
    let signature = match algorithm {
        Algorithm::Hmac(hash) => sign::mac(hash, &key.secret()?, message),
        Algorithm::Rsa(padding, hash) => {
            let key = key.rsa_private()?;
            // Whether its numbers fit each other is looked at after its size.
            if key.public.n.bits() < 1024 {
                sign::sign_rsa(budget, &key, padding, hash, message)?
            } else {
                sign::sign_rsa(budget, &key.checked()?, padding, hash, message)?
            }
        }
        Algorithm::Ecdsa(hash) => {
            let (public, d) = key.ec_private()?;
            sign::sign_ecdsa(budget, &public, &d, &hash.of(message))?
        }
        Algorithm::Ed25519 => sign::sign_ed25519(budget, &key.ed25519_private()?, message)?,
    };
    Ok(Value::from(format!("{signed}.{}", base64::encode_url_no_pad(&signature))))
}

// === Tokens ===

/// A token's three parts, undecoded.
struct Token<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// What the signature is of: the first two parts and the point between them.
    signed: &'a str,
}

impl<'a> Token<'a> {
    fn split(text: &'a str) -> Result<Self, Failure> {
        if !text.contains('.') {
            return Err(Failure::error("encoded JWT had no period separators"));
        }
        let mut parts = text.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature), None) => {
                let signed = text.get(..header.len() + payload.len() + 1).unwrap_or_default();
                Ok(Self { header, payload, signature, signed })
            }
            _ => {
                let found = text.split('.').count();
                Err(Failure::error(format!("encoded JWT must have 3 sections, found {found}")))
            }
        }
    }

    fn decoded_header(&self, budget: &mut Budget) -> Result<Object, Failure> {
        let header = base64::decode_url_lax(self.header);
        let header = header.map_err(|failure| within("JWT header had invalid encoding", failure))?;
        let header = json_object(budget, &lossy(&header)).map_err(|failure| within("bad JWT header", failure))?;
        if header.get_str("enc").is_some() {
            return Err(Failure::error("JWT is a JWE object, which is not supported"));
        }
        Ok(header)
    }

    fn decoded_payload(&self) -> Result<String, Failure> {
        let payload = base64::decode_url_lax(self.payload);
        Ok(lossy(&payload.map_err(|failure| within("JWT payload had invalid encoding", failure))?))
    }
}

/// Text as Go's JSON reader takes bytes: each one that isn't UTF-8 as U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

fn json_object(budget: &mut Budget, text: &str) -> Result<Object, Failure> {
    match go_json::unmarshal(budget, text).map_err(|failure| within("invalid JSON", failure))? {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::error("decoded JSON type was not an Object")),
    }
}

/// What a header says about its token (RFC 7515, section 4.1).
#[derive(Default)]
struct Header {
    alg: String,
    kid: String,
    cty: String,
    /// Whether it asks for something that isn't known.
    is_beyond: bool,
}

impl Header {
    fn read(object: &Object) -> Result<Self, Failure> {
        let (mut header, mut crit, mut unknown) = (Self::default(), vec![], vec![]);
        for (name, value) in object.iter() {
            let name = name.as_str().unwrap_or_default();
            let text = || match value {
                Value::String(text) => Ok(text.to_string()),
                _ => Err(Failure::error(format!("{name}: must be a string"))),
            };
            match name {
                "alg" => header.alg = text()?,
                "kid" => header.kid = text()?,
                "typ" => drop(text()?),
                "cty" => header.cty = text()?,
                "crit" => {
                    let Value::Array(names) = value else { return Err(Failure::error("crit: must be a list")) };
                    // Names up to the first one that isn't a string count.
                    crit = names.iter().map_while(Value::as_str).collect();
                    if crit.is_empty() {
                        return Err(Failure::error("crit: must be a nonempty list"));
                    }
                }
                name => unknown.push(name),
            }
        }
        crit.sort_unstable();
        header.is_beyond = unknown.iter().any(|name| crit.binary_search(name).is_ok());
        Ok(header)
    }

    fn is_valid(&self) -> bool {
        !self.alg.is_empty() && !self.is_beyond
    }

    /// The keys to try: the one that the token names, if there is one; else those that don't say another algorithm.
    fn candidates<'k>(&self, keys: &'k [Key]) -> impl Iterator<Item = &'k Key> {
        let named = keys.iter().find(|key| !self.kid.is_empty() && key.kid == self.kid);
        let fit = |key: &&Key| key.alg.is_empty() || key.alg == self.alg;
        let others = if named.is_some() { vec![] } else { keys.iter().filter(fit).collect() };
        named.into_iter().chain(others)
    }
}

// === Constraints ===

struct Constraints<'a> {
    keys: Option<Vec<Key>>,
    secret: &'a str,
    alg: Option<&'a str>,
    iss: Option<&'a str>,
    aud: &'a str,
    /// Nanoseconds.
    time: f64,
}

impl<'a> Constraints<'a> {
    fn read(ctx: &mut Context<'_>, object: &'a Object) -> Result<Self, Failure> {
        let mut constraints = Self { keys: None, secret: "", alg: None, iss: None, aud: "", time: -1.0 };
        for (name, value) in object.iter() {
            let name = name.as_str().ok_or_else(|| Failure::error("unknown token validation constraint"))?;
            let text = || match value {
                Value::String(text) => Ok(&**text),
                _ => Err(Failure::error(format!("{name} constraint: must be a string"))),
            };
            let some = |text: &'a str| (!text.is_empty()).then_some(text);
            match name {
                "cert" => constraints.keys = Some(jwk::verification_keys(ctx.budget, text()?)?),
                "secret" => constraints.secret = text()?,
                "alg" => constraints.alg = some(text()?),
                "iss" => constraints.iss = some(text()?),
                "aud" => constraints.aud = text()?,
                "time" => constraints.time = time(value)?,
                _ => return Err(Failure::error(format!("unknown token validation constraint: {name}"))),
            }
        }
        if constraints.time < 0.0 {
            constraints.time = time(&Value::from(ctx.now_ns))?;
        }
        match (&constraints.keys, constraints.secret) {
            (Some(_), "") => Ok(constraints),
            (Some(_), _) => Err(Failure::error("duplicate key constraints")),
            (None, "") => Err(Failure::error("no key constraint")),
            (None, _) => Ok(constraints),
        }
    }

    fn hold_signature(
        &self,
        budget: &mut Budget,
        header: &Header,
        signed: &str,
        signature: &[u8],
    ) -> Result<bool, Failure> {
        budget.read(signed.len().saturating_mul(4))?;
        let Some(algorithm) = Algorithm::of_token(&header.alg) else { return Ok(false) };
        let Some(keys) = &self.keys else {
            return algorithm.verifies_with_secret(self.secret.as_bytes(), signed, signature);
        };
        for key in header.candidates(keys) {
            if algorithm.verifies(budget, key, signed, signature)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn hold_claims(&self, payload: &Object) -> Result<bool, Failure> {
        if let Some(expected) = self.iss {
            match payload.get_str("iss") {
                Some(Value::String(iss)) if &**iss == expected => {}
                Some(Value::String(_)) | None => return Ok(false),
                // OPA doesn't survive this.
                Some(_) => return Err(Failure::error("iss: must be a string")),
            }
        }
        let for_us = match payload.get_str("aud") {
            Some(Value::String(aud)) => &**aud == self.aud,
            Some(Value::Array(auds)) => auds.iter().any(|aud| aud.as_str() == Some(self.aud)),
            Some(_) => false,
            None => self.aud.is_empty(),
        };
        if !for_us {
            return Ok(false);
        }
        let now = go_number(self.time / 1e9)?;
        match payload.get_str("exp") {
            Some(Value::Number(exp)) if now >= *exp => return Ok(false),
            Some(Value::Number(_)) | None => {}
            Some(_) => return Err(Failure::error("exp value must be a number")),
        }
        match payload.get_str("nbf") {
            Some(Value::Number(nbf)) if now < *nbf => Ok(false),
            Some(Value::Number(_)) | None => Ok(true),
            Some(_) => Err(Failure::error("nbf value must be a number")),
        }
    }
}

fn time(value: &Value) -> Result<f64, Failure> {
    let Value::Number(number) = value else { return Err(Failure::error("token time constraint: must be a number")) };
    let time = number.to_f64();
    if !time.is_finite() {
        return Err(Failure::error("token time constraint: unvalid float64"));
    }
    if time < 0.0 {
        return Err(Failure::error("token time constraint: must not be negative"));
    }
    Ok(time)
}

/// A float in the form that Go gives it, since OPA compares some forms loosely.
fn go_number(value: f64) -> Result<Number, Failure> {
    Ok(go_float::general(value).parse()?)
}

// === Algorithms ===

/// What signs a token.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Hmac(Hash),
    Rsa(Padding, Hash),
    Ecdsa(Hash),
    Ed25519,
}

impl Algorithm {
    /// One that policies may name.
    fn of_policy(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hmac(Hash::Sha256),
            "HS384" => Self::Hmac(Hash::Sha384),
            "HS512" => Self::Hmac(Hash::Sha512),
            "RS256" => Self::Rsa(Padding::Pkcs1, Hash::Sha256),
            "RS384" => Self::Rsa(Padding::Pkcs1, Hash::Sha384),
            "RS512" => Self::Rsa(Padding::Pkcs1, Hash::Sha512),
            "PS256" => Self::Rsa(Padding::Pss, Hash::Sha256),
            "PS384" => Self::Rsa(Padding::Pss, Hash::Sha384),
            "PS512" => Self::Rsa(Padding::Pss, Hash::Sha512),
            "ES256" => Self::Ecdsa(Hash::Sha256),
            "ES384" => Self::Ecdsa(Hash::Sha384),
            "ES512" => Self::Ecdsa(Hash::Sha512),
            "EdDSA" => Self::Ed25519,
            _ => return None,
        })
    }

    /// One that a token may name. OPA's library takes its own long names too.
    fn of_token(name: &str) -> Option<Self> {
        Self::of_policy(match name {
            "HMAC_WITH_SHA256" => "HS256",
            "HMAC_WITH_SHA384" => "HS384",
            "HMAC_WITH_SHA512" => "HS512",
            "RSA_PKCS1v15_WITH_SHA256" => "RS256",
            "RSA_PKCS1v15_WITH_SHA384" => "RS384",
            "RSA_PKCS1v15_WITH_SHA512" => "RS512",
            "RSA_PSS_WITH_SHA256" => "PS256",
            "RSA_PSS_WITH_SHA384" => "PS384",
            "RSA_PSS_WITH_SHA512" => "PS512",
            "ECDSA_WITH_P256_AND_SHA256" => "ES256",
            "ECDSA_WITH_P384_AND_SHA384" => "ES384",
            "ECDSA_WITH_P521_AND_SHA512" => "ES512",
            "Ed25519" => "EdDSA",
            name => name,
        })
    }

    fn verifies_with_secret(self, secret: &[u8], signed: &str, signature: &[u8]) -> Result<bool, Failure> {
        let Self::Hmac(hash) = self else { return Ok(false) };
        Ok(sign::same(signature, &sign::mac(hash, secret, signed.as_bytes())))
    }

    fn verifies(self, budget: &mut Budget, key: &Key, signed: &str, signature: &[u8]) -> Result<bool, Failure> {
        // Of a private key the public part counts.
        match (self, &key.material) {
            (_, Material::Secret(secret)) => self.verifies_with_secret(secret, signed, signature),
            (Self::Rsa(padding, hash), Material::Public(PublicKey::Rsa(key))) => {
                verify_rsa(budget, key, padding, hash, signed, signature)
            }
            (Self::Rsa(padding, hash), Material::RsaPrivate(key)) => {
                verify_rsa(budget, &key.public, padding, hash, signed, signature)
            }
            (Self::Ecdsa(hash), Material::Public(PublicKey::Ec(key)) | Material::EcPrivate { public: key, .. })
                if signature.len() == 2 * key.curve.size() =>
            {
                verify_ecdsa(budget, key, hash, signed, signature)
            }
            (Self::Ed25519, Material::Public(PublicKey::Ed25519(key)))
            | (Self::Ed25519, Material::Private(PrivateKey::Ed25519 { public: key, .. })) => {
                sign::verify_ed25519(budget, key, signed.as_bytes(), signature)
            }
            _ => Ok(false),
        }
    }
}

impl Check {
    /// Unlike with an algorithm that the token names, private keys don't count, and ECDSA's numbers have any length.
    fn holds(self, budget: &mut Budget, key: &Key, signed: &str, signature: &[u8]) -> Result<bool, Failure> {
        budget.read(signed.len().saturating_mul(4))?;
        match (self, &key.material) {
            (Self::Rsa(padding, hash), Material::Public(PublicKey::Rsa(key))) => {
                verify_rsa(budget, key, padding, hash, signed, signature)
            }
            (Self::Ecdsa(hash), Material::Public(PublicKey::Ec(key))) => {
                verify_ecdsa(budget, key, hash, signed, signature)
            }
            (Self::Ed25519, Material::Public(PublicKey::Ed25519(key))) => {
                sign::verify_ed25519(budget, key, signed.as_bytes(), signature)
            }
            _ => Ok(false),
        }
    }
}

fn verify_rsa(
    budget: &mut Budget,
    key: &RsaPublic,
    padding: Padding,
    hash: Hash,
    signed: &str,
    signature: &[u8],
) -> Result<bool, Failure> {
    sign::verify_rsa(budget, key, padding, hash, &hash.of(signed.as_bytes()), signature)
}

fn verify_ecdsa(
    budget: &mut Budget,
    key: &EcPublic,
    hash: Hash,
    signed: &str,
    signature: &[u8],
) -> Result<bool, Failure> {
    let (r, s) = signature.split_at_checked(signature.len() / 2).unwrap_or_default();
    sign::verify_ecdsa(budget, key, &hash.of(signed.as_bytes()), r, s)
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    /// `{"sub": "x"}`, by HS256 with the key `secret`.
    const PLAIN: &str = "\"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.s-j4haezxh6wrOeRmpuRS-Rw8jJk0bExcSPOJv4OfXE\"";

    /// The same token within another one.
    const NESTED: &str = "\
        \"eyJhbGciOiJIUzI1NiIsImN0eSI6IkpXVCJ9.ZXlKaGJHY2lPaUpJVXpJMU5pSjkuZXlKemRXSWlPaUo0SW4wLnMtajRoYWV6eGg2d3JPZ\
        VJtcHVSUy1SdzhqSmswYkV4Y1NQT0p2NE9mWEU.1ke0nUbrvnyFZ-9g26gevNJjrCIOgWBNmLC8-g7t0v8\"";

    /// `{"iss": "me", "aud": ["a", "b"], "nbf": 5, "exp": 10}`, likewise.
    const GOOD: &str = "\
        \"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSIsImF1ZCI6WyJhIiwiYiJdLCJuYmYiOjUsImV4cCI6MTB9.0LzhtbPI\
        BwYVXbxqgxiJG2E7EyTAJDVeckOmviS6y4Q\"";

    /// `[1]`, likewise.
    const NO_OBJECT: &str = "\"eyJhbGciOiJIUzI1NiJ9.WzFd.ynTFibx3DIcriBAdBIdEQAGZd4hGzcmAGvUe5YWZ8iI\"";

    /// With a header that has to be understood and is not.
    const CRITICAL: &str =
        "\"eyJhbGciOiJIUzI1NiIsImNyaXQiOlsieCJdLCJ4IjoxfQ.e30.kGF-79PcHCwJlbN9FmD62cSdeZvKWqJJyRgs21kCA1o\"";

    /// `{"exp": "10"}`, likewise.
    const LATE: &str = "\"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOiIxMCJ9.WCMx0dXQjfM_2TK3QvhyeSEMML54PHi5agfoSZpB1iU\"";

    /// Its header says HS512, and HS256 it is.
    const OTHER: &str = "\"eyJhbGciOiJIUzUxMiJ9.e30.F-N_v3AvrQ2ev8Oqmsfdo_tj4u-YNnIZGCM2l46dntw\"";

    /// `{"sub": "x"}`, by EdDSA.
    const ED: &str = "\
        \"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.drCKl7jKuFTApRA3KDJUFNzfHdorak7tGbvwUcs_3xzkVUNnozYu6YydidoczFji_zMC4\
        RktKDwtfFe5ryypDw\"";

    /// The key of that.
    const ED_KEYS: &str = "\
        \"{\\\"keys\\\": [{\\\"kty\\\": \\\"OKP\\\", \\\"crv\\\": \\\"Ed25519\\\", \\\"x\\\": \\\"gTl3Dqh9F19Wo1Rmw0\
        x-zMuNipG07jeiXfYPW4_Js5Q\\\"}]}\"";

    /// A certificate of the same key.
    const ED_CERTIFICATE: &str = "\
        \"-----BEGIN CERTIFICATE-----\\nMIIBLTCB4KADAgECAgEHMAUGAytlcDAPMQ0wCwYDVQQDDARSb290MB4XDTYwMDEw\\nMTAwMDAwM\
        FoXDTQ5MDEwMTAwMDAwMFowITEQMA4GA1UECgwHRXhhbXBsZTENMAsG\\nA1UEAwwEbGVhZjAqMAUGAytlcAMhAIE5dw6ofRdfVqNUZsNMfs\
        zLjYqRtO43ol32\\nD1uPybOUo08wTTA2BgNVHREELzAtgg1hLmV4YW1wbGUuY29thwQKAAABhhZzcGlm\\nZmU6Ly9leGFtcGxlLmNvbS9h\
        MBMGA1UdJQQMMAoGCCsGAQUFBwMBMAUGAytlcANB\\nAKXBDPr/pe16QNYqcZz+wrLtz8E7G6iYYerdWh0dJINlwt3yoVx5amE5gBdbmtic\
        \\n2eavbsM4haC3bgvlpZzDPAI=\\n-----END CERTIFICATE-----\\n\"";

    /// The key it was signed with.
    const ED_PRIVATE: &str = "\
        {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q\", \"d\": \"Ag\
        ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"}";

    /// RFC 7515's example A.3.
    const ES: &str = "\
        \"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290I\
        jp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q\"";

    /// The key of that.
    const ES_KEY: &str = "\
        \"{\\\"kty\\\": \\\"EC\\\", \\\"crv\\\": \\\"P-256\\\", \\\"x\\\": \\\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uP\
        HvRVEU\\\", \\\"y\\\": \\\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\\\"}\"";

    /// The same without one of its characters.
    const ES_CHANGED: &str = "\
        \"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0ICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ij\
        p0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q\"";

    #[test]
    fn decoded() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "io.jwt.decode",
                &[PLAIN],
                r#"[{"alg": "HS256"}, {"sub": "x"}, "b3e8f885a7b3c61eb0ace7919a9b914be470f23264d1b1317123ce26fe0e7d71"]"#,
            ),
            (
                "io.jwt.decode",
                &[NESTED],
                r#"[{"alg": "HS256"}, {"sub": "x"}, "b3e8f885a7b3c61eb0ace7919a9b914be470f23264d1b1317123ce26fe0e7d71"]"#,
            ),
            ("io.jwt.decode", &[r#""a.b""#], "error"),
            ("io.jwt.decode", &[r#""a.b.c""#], "error"),
            ("io.jwt.decode", &["1"], "operand: operand 1 must be string but got number"),
            (
                "io.jwt.decode",
                &[r#""eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.s-j4haezxh6wrOeRmpuRS-Rw8jJk0bExcSPOJv4Of==""#],
                "error",
            ),
            ("io.jwt.decode", &[NO_OBJECT], "error"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn decoded_and_verified() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "secret"}"#], r#"[true, {"alg": "HS256"}, {"sub": "x"}]"#),
            ("io.jwt.decode_verify", &[NESTED, r#"{"secret": "secret"}"#], r#"[true, {"alg": "HS256"}, {"sub": "x"}]"#),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "other"}"#], "[false, {}, {}]"),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "secret", "alg": "HS512"}"#], "[false, {}, {}]"),
            (
                "io.jwt.decode_verify",
                &[PLAIN, r#"{"secret": "secret", "alg": "HS256"}"#],
                r#"[true, {"alg": "HS256"}, {"sub": "x"}]"#,
            ),
            ("io.jwt.decode_verify", &[PLAIN, "{}"], "error"),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "secret", "what": 1}"#], "error"),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": 1}"#], "error"),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "secret", "iss": "me"}"#], "[false, {}, {}]"),
            ("io.jwt.decode_verify", &[PLAIN, r#"{"secret": "secret", "aud": "a"}"#], "[false, {}, {}]"),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "a", "time": 5000000000}"#],
                r#"[true, {"alg": "HS256", "typ": "JWT"}, {"aud": ["a", "b"], "exp": 10, "iss": "me", "nbf": 5}]"#,
            ),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "a", "iss": "me", "time": 9999999999}"#],
                r#"[true, {"alg": "HS256", "typ": "JWT"}, {"aud": ["a", "b"], "exp": 10, "iss": "me", "nbf": 5}]"#,
            ),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "a", "time": 10000000000}"#],
                "[false, {}, {}]",
            ),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "a", "time": 4999999999}"#],
                "[false, {}, {}]",
            ),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "c", "time": 5000000000}"#],
                "[false, {}, {}]",
            ),
            ("io.jwt.decode_verify", &[GOOD, r#"{"secret": "secret", "time": 5000000000}"#], "[false, {}, {}]"),
            (
                "io.jwt.decode_verify",
                &[GOOD, r#"{"secret": "secret", "aud": "a", "iss": "you", "time": 5000000000}"#],
                "[false, {}, {}]",
            ),
            ("io.jwt.decode_verify", &[GOOD, r#"{"secret": "secret", "aud": "a", "time": "5"}"#], "error"),
            ("io.jwt.decode_verify", &[GOOD, r#"{"secret": "secret", "aud": "a", "time": -1}"#], "error"),
            ("io.jwt.decode_verify", &[CRITICAL, r#"{"secret": "secret"}"#], "[false, {}, {}]"),
            ("io.jwt.decode_verify", &[LATE, r#"{"secret": "secret"}"#], "error"),
            ("io.jwt.decode_verify", &[NO_OBJECT, r#"{"secret": "secret"}"#], "error"),
            ("io.jwt.decode_verify", &[OTHER, r#"{"secret": "secret"}"#], "[false, {}, {}]"),
            (
                "io.jwt.decode_verify",
                &[
                    ED,
                    r#"{"cert": "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q\"}"}"#,
                ],
                r#"[true, {"alg": "EdDSA"}, {"sub": "x"}]"#,
            ),
            ("io.jwt.decode_verify", &[r#""a.b""#, r#"{"secret": "secret"}"#], "error"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn verified() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("io.jwt.verify_eddsa", &[ED, ED_KEYS], "true"),
            ("io.jwt.verify_eddsa", &[ED, ED_CERTIFICATE], "true"),
            ("io.jwt.verify_eddsa", &[ED, r#""x""#], "error"),
            ("io.jwt.verify_es256", &[ES, ES_KEY], "true"),
            ("io.jwt.verify_es256", &[ES, ES_KEY], "true"),
            ("io.jwt.verify_es256", &[ES_CHANGED, ES_KEY], "false"),
            ("io.jwt.verify_es384", &[ES, ES_KEY], "false"),
            ("io.jwt.verify_rs256", &[ES, ES_KEY], "false"),
            ("io.jwt.verify_hs256", &[PLAIN, r#""secret""#], "true"),
            ("io.jwt.verify_hs256", &[PLAIN, r#""Secret""#], "false"),
            ("io.jwt.verify_hs384", &[PLAIN, r#""secret""#], "false"),
            ("io.jwt.verify_hs256", &[r#""x""#, r#""secret""#], "error"),
            ("io.jwt.verify_hs256", &[PLAIN, "1"], "operand: operand 2 must be string but got number"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn signed() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "io.jwt.encode_sign",
                &[r#"{"alg": "HS256", "typ": "JWT"}"#, r#"{"sub": "x"}"#, r#"{"kty": "oct", "k": "c2VjcmV0"}"#],
                r#""eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.TKECX_pF_bzlcgrzGibhwL3tklDD4LdEEzXVQCw00qY""#,
            ),
            (
                "io.jwt.encode_sign",
                &[r#"{"alg": "EdDSA"}"#, r#"{"sub": "x"}"#, ED_PRIVATE],
                r#""eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.drCKl7jKuFTApRA3KDJUFNzfHdorak7tGbvwUcs_3xzkVUNnozYu6YydidoczFji_zMC4RktKDwtfFe5ryypDw""#,
            ),
            ("io.jwt.encode_sign", &[r#"{"alg": "HS256"}"#, r#"{"sub": "x"}"#, r#"{"kty": "what"}"#], "error"),
            (
                "io.jwt.encode_sign",
                &[r#"{"typ": "JWT"}"#, r#"{"sub": "x"}"#, r#"{"kty": "oct", "k": "c2VjcmV0"}"#],
                "error",
            ),
            ("io.jwt.encode_sign", &[r#"{"alg": "none"}"#, "{}", r#"{"kty": "oct", "k": "c2VjcmV0"}"#], "error"),
            ("io.jwt.encode_sign", &[r#"{"alg": "ES256"}"#, "{}", r#"{"kty": "oct", "k": "c2VjcmV0"}"#], "error"),
            (
                "io.jwt.encode_sign_raw",
                &[r#""{\"alg\": \"HS256\"}""#, r#""{\"sub\":\"x\"}""#, r#""{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}""#],
                r#""eyJhbGciOiAiSFMyNTYifQ.eyJzdWIiOiJ4In0.UjYOd9Dn9e6lWbUIT9cbmKbQ8TrvAWrtjjTRlneZNuE""#,
            ),
            (
                "io.jwt.encode_sign_raw",
                &[r#""{\"typ\":\"JWT\",\"alg\":\"HS256\"}""#, r#""x""#, r#""{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}""#],
                "error",
            ),
            (
                "io.jwt.encode_sign_raw",
                &[r#""{\"alg\":\"HS256\"}""#, r#""x""#, r#""{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}""#],
                "error",
            ),
            ("io.jwt.encode_sign_raw", &[r#""x""#, r#""x""#, r#""x""#], "error"),
        ];
        check(FUNCTIONS, cases);
    }
}
