//! Agent tokens: JWTs (RFC 7519) signed with EdDSA (RFC 8037). The only user of `jsonwebtoken`.
//!
//! One table says which keys issue for whom. A token's header only names a row of it: one algorithm, no embedded keys, no
//! `crit`. Claims are read into types, because the library skips a check whose claim has another type, and times are
//! compared here, against the engine's clock.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::keys::{KeyError, PublicKey, SigningKey};
use crate::trust::Tier;

/// Whom every agent token is for.
pub const AUDIENCE: &str = "meshguard";

/// The longest token read, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far two clocks may differ, in seconds.
const LEEWAY_S: i64 = 30;

/// The longest life of a token, in seconds.
pub const MAX_LIFE_S: i64 = 24 * 60 * 60;

/// Why a key or a token isn't acceptable. Its text never holds any of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A key can't be read or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A token can't be made.
    #[error("token: {0}")]
    Signing(String),
    /// A token isn't acceptable; the code is stable.
    #[error("token refused ({code}): {detail}")]
    Refused {
        /// Lower snake case.
        code: &'static str,
        /// What to do.
        detail: String,
    },
}

/// What an agent token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The agent.
    pub sub: String,
    /// The agent's tenant.
    pub tenant: String,
    /// How far the issuer trusts it.
    #[serde(default)]
    pub tier: Tier,
    /// The same as a number, 0.0 to 1.0.
    #[serde(default)]
    pub score: f64,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// SPIFFE id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// From when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Until when it holds.
    pub exp: i64,
    /// Its own name, for revoking it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
}

impl Claims {
    /// The claims of a token for `agent`, from `now_ms` for `life_s` seconds.
    pub fn new(tenant: &str, agent: &str, tier: Tier, now_ms: i64, life_s: i64) -> Self {
        let iat = now_ms.div_euclid(1000);
        Self {
            iss: AUDIENCE.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: agent.to_owned(),
            tenant: tenant.to_owned(),
            tier,
            score: 0.0,
            tags: vec![],
            spiffe_id: None,
            iat,
            nbf: None,
            exp: iat.saturating_add(life_s),
            jti: String::new(),
        }
    }

    /// Signs them into a token.
    ///
    /// # Errors
    /// The life is too long, or the key can't be used.
    pub fn sign(&self, key: &SigningKey) -> Result<String, TokenError> {
        self.check_life()?;
        let header = Header { kid: Some(key.public()?.id()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, self, &EncodingKey::from_ed_der(&key.pkcs8_der()?))
            .map_err(|e| TokenError::Signing(e.to_string()))
    }

    fn check_life(&self) -> Result<(), TokenError> {
        let life = self.exp.checked_sub(self.iat);
        if !life.is_some_and(|life| (1..=MAX_LIFE_S).contains(&life)) {
            return Err(refused("life", format!("a token lives at most {MAX_LIFE_S} s; issue another")));
        }
        Ok(())
    }
}

/// The keys that may issue agent tokens.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

impl KeySet {
    /// Exactly these keys.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }

    /// Whether nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies `token` at `now_ms` and gives back whose it is.
    ///
    /// # Errors
    /// It isn't signed by one of these keys, isn't for us, or doesn't hold now.
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Identity, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refused("size", format!("longer than {MAX_TOKEN_BYTES} bytes")));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused("malformed", "no JWT".into()))?;
        if header.alg != Algorithm::EdDSA {
            return Err(refused("algorithm", "only EdDSA is accepted".into()));
        }
        if header.crit.is_some() {
            return Err(refused("crit", "critical header fields aren't understood".into()));
        }
        if header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some() {
            return Err(refused("embedded_key", "keys in a header are never used".into()));
        }
        let kid = header.kid.unwrap_or_default();
        let Some(key) = self.keys.iter().find(|key| key.id() == kid) else {
            return Err(refused("unknown_key", "signed by no key that is trusted here".into()));
        };
        let data = jsonwebtoken::decode::<Box<serde_json::value::RawValue>>(
            token,
            &DecodingKey::from_ed_der(key.as_bytes()),
            &signature_only(),
        )
        .map_err(|_| refused("signature", "the signature or the claims can't be read".into()))?;
        let text = data.claims.get();
        let claims: Claims = serde_json::from_str(text)
            .map_err(|e| refused("claims", format!("line {}, column {}", e.line(), e.column())))?;
        claims.check(now_ms.div_euclid(1000))?;
        Ok(Identity {
            tenant: claims.tenant,
            subject: claims.sub,
            tier: claims.tier,
            score: claims.score,
            tags: claims.tags,
            spiffe_id: claims.spiffe_id,
            claims_json: text.into(),
            expires_at_ms: claims.exp.saturating_add(LEEWAY_S).saturating_mul(1000),
        })
    }
}

impl Claims {
    fn check(&self, now_s: i64) -> Result<(), TokenError> {
        if self.aud != AUDIENCE {
            return Err(refused("audience", format!("not for `{AUDIENCE}`")));
        }
        if self.iss != AUDIENCE {
            return Err(refused("issuer", format!("not issued by `{AUDIENCE}`")));
        }
        if self.sub.is_empty() || self.tenant.is_empty() {
            return Err(refused("subject", "subject and tenant must be named".into()));
        }
        if !(0.0..=1.0).contains(&self.score) {
            return Err(refused("score", "a score lies between 0 and 1".into()));
        }
        self.check_life()?;
        if now_s.saturating_sub(LEEWAY_S) >= self.exp {
            return Err(refused("expired", "get a new token".into()));
        }
        let from = self.nbf.unwrap_or(self.iat).max(self.iat);
        if now_s.saturating_add(LEEWAY_S) < from {
            return Err(refused("not_yet", "issued in the future; check the clock".into()));
        }
        Ok(())
    }
}

/// The library checks the signature; everything else is checked on typed claims.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refused(code: &'static str, detail: String) -> TokenError {
    TokenError::Refused { code, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn claims() -> Claims {
        Claims::new("acme", "agent-7", Tier::Trusted, NOW_MS, 3600)
    }

    /// Signs any header and claims, as an attacker with the key's help could.
    fn forge(key: &SigningKey, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn code(result: Result<Identity, TokenError>) -> &'static str {
        match result {
            Ok(_) => "ok",
            Err(TokenError::Refused { code, .. }) => code,
            Err(TokenError::Key(_) | TokenError::Signing(_)) => "key",
        }
    }

    #[test]
    fn issue_and_verify() {
        let key = SigningKey::generate().unwrap();
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let identity = keys.verify(&claims().sign(&key).unwrap(), NOW_MS).unwrap();
        assert_eq!((identity.tenant(), identity.subject(), identity.tier()), ("acme", "agent-7", Tier::Trusted));
        assert_eq!(identity.expires_at_ms(), NOW_MS + 3_600_000 + LEEWAY_S * 1000);
    }

    #[test]
    fn times() {
        let key = SigningKey::generate().unwrap();
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let token = claims().sign(&key).unwrap();
        let at = |now_s: i64| code(keys.verify(&token, now_s * 1000));
        let issued = NOW_MS / 1000;
        assert_eq!(at(issued - LEEWAY_S), "ok");
        assert_eq!(at(issued - LEEWAY_S - 1), "not_yet");
        assert_eq!(at(issued + 3600 + LEEWAY_S - 1), "ok");
        assert_eq!(at(issued + 3600 + LEEWAY_S), "expired");
        assert_eq!(at(i64::MAX / 1000), "expired");
        assert_eq!(at(i64::MIN / 1000), "not_yet");
        assert!(Claims { exp: issued + MAX_LIFE_S + 1, ..claims() }.sign(&key).is_err());
    }

    #[test]
    fn keys_and_headers() {
        let key = SigningKey::generate().unwrap();
        let kid = key.public().unwrap().id();
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let body = serde_json::to_string(&claims()).unwrap();
        for (header, expected) in [
            (format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), "ok"),
            (r#"{"alg":"EdDSA"}"#.to_owned(), "unknown_key"),
            (r#"{"alg":"EdDSA","kid":"0000000000000000"}"#.to_owned(), "unknown_key"),
            (format!(r#"{{"alg":"none","kid":"{kid}"}}"#), "malformed"),
            (format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), "algorithm"),
            (format!(r#"{{"alg":"EdDSA","kid":"{kid}","crit":["exp"]}}"#), "crit"),
            (format!(r#"{{"alg":"EdDSA","kid":"{kid}","jku":"http://x"}}"#), "embedded_key"),
            (format!(r#"{{"alg":"EdDSA","kid":"{kid}","x5c":["AA"]}}"#), "embedded_key"),
        ] {
            assert_eq!(code(keys.verify(&forge(&key, &header, &body), NOW_MS)), expected, "{header}");
        }
        let stranger = SigningKey::generate().unwrap();
        let impostor = forge(&stranger, &format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), &body);
        assert_eq!(code(keys.verify(&impostor, NOW_MS)), "signature");
        assert_eq!(code(KeySet::default().verify(&claims().sign(&key).unwrap(), NOW_MS)), "unknown_key");
    }

    #[test]
    fn claims_of_every_wrong_type_are_refused() {
        let key = SigningKey::generate().unwrap();
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, key.public().unwrap().id());
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let good = serde_json::to_value(claims()).unwrap();
        for name in ["iss", "aud", "sub", "tenant", "iat", "exp"] {
            for wrong in [
                serde_json::json!(null),
                serde_json::json!([]),
                serde_json::json!({}),
                serde_json::json!(true),
                serde_json::json!(1.5),
                serde_json::json!("x"),
                serde_json::json!(-1),
            ] {
                let mut bad = good.clone();
                bad[name] = wrong.clone();
                // A subject or tenant of another name is another agent's token, which is that agent's affair.
                if matches!(name, "sub" | "tenant") && wrong == "x" {
                    continue;
                }
                let token = forge(&key, &header, &bad.to_string());
                assert_ne!(code(keys.verify(&token, NOW_MS)), "ok", "{name}: {wrong}");
            }
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(name);
            assert_ne!(code(keys.verify(&forge(&key, &header, &without.to_string()), NOW_MS)), "ok", "no {name}");
        }
        let twice = good.to_string().replacen('{', r#"{"tenant":"umbrella","#, 1);
        assert_eq!(code(keys.verify(&forge(&key, &header, &twice), NOW_MS)), "claims");
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let key = SigningKey::generate().unwrap();
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let token = claims().sign(&key).unwrap();
        // The last character of unpadded base64 has bits that no byte uses; strict decoding refuses those too.
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let Ok(altered) = String::from_utf8(bytes) else {
                continue;
            };
            assert_ne!(code(keys.verify(&altered, NOW_MS)), "ok", "byte {at}");
        }
    }

    #[test]
    fn errors_hold_nothing_of_the_token() {
        let key = SigningKey::generate().unwrap();
        let keys = KeySet::new(vec![key.public().unwrap()]);
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, key.public().unwrap().id());
        let token = forge(&key, &header, r#"{"iss":"canary-4711"}"#);
        let error = keys.verify(&token, NOW_MS).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}
