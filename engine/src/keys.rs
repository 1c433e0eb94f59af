//! Ed25519 keys: PEM in, signatures out. The only user of `aws-lc-rs`.
//!
//! Private keys are PKCS #8 (RFC 8410), public keys SubjectPublicKeyInfo, both in PEM, so that `openssl` reads them.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Digest;

/// SubjectPublicKeyInfo of an Ed25519 key, up to the 32 key bytes (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that can't be read, made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key: {0}")]
pub struct KeyError(String);

/// A private Ed25519 key. Never printed, never logged.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, KeyError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| KeyError("the system gave no randomness".into()))
    }

    /// Reads a PKCS #8 PEM.
    ///
    /// # Errors
    /// The text is no Ed25519 private key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = read_pem(pem, "PRIVATE KEY")?;
        Ed25519KeyPair::from_pkcs8(&der)
            .map(Self)
            .map_err(|_| KeyError("no Ed25519 private key; make one with `meshguard keys generate`".into()))
    }

    /// The key as PKCS #8 PEM, in version 1, which `openssl` reads.
    ///
    /// # Errors
    /// The key can't be encoded; only a broken crypto library does that.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        Ok(write_pem(&self.pkcs8_der()?, "PRIVATE KEY"))
    }

    /// Its public half.
    ///
    /// # Errors
    /// The key can't be encoded; only a broken crypto library does that.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        self.0
            .public_key()
            .as_ref()
            .try_into()
            .map(PublicKey)
            .map_err(|_| KeyError("an Ed25519 public key has 32 bytes".into()))
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    pub(crate) fn pkcs8_der(&self) -> Result<Vec<u8>, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|_| KeyError("the key can't be encoded".into()))?;
        Ok(der.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

/// A public Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// The text is no Ed25519 public key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = read_pem(pem, "PUBLIC KEY")?;
        der.strip_prefix(&SPKI_PREFIX)
            .and_then(|raw| raw.try_into().ok())
            .map(Self)
            .ok_or_else(|| KeyError("no Ed25519 public key".into()))
    }

    /// The key as SubjectPublicKeyInfo PEM.
    pub fn to_pem(&self) -> String {
        write_pem(&[&SPKI_PREFIX[..], &self.0].concat(), "PUBLIC KEY")
    }

    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name used in envelopes and tokens: the first 16 hex digits of the key's digest. A hint only: whoever verifies
    /// tries the keys it trusts.
    pub fn id(&self) -> String {
        Digest::of(&self.0).to_string().chars().take(16).collect()
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

fn read_pem(pem: &str, label: &str) -> Result<Vec<u8>, KeyError> {
    let wrong = || KeyError(format!("no PEM block `{label}`"));
    let body = pem
        .split_once(&format!("-----BEGIN {label}-----"))
        .and_then(|(_, rest)| rest.split_once(&format!("-----END {label}-----")))
        .map(|(body, _)| body.split_ascii_whitespace().collect::<String>())
        .ok_or_else(wrong)?;
    STANDARD.decode(body).map_err(|_| wrong())
}

fn write_pem(der: &[u8], label: &str) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_round_trip() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        let public = PublicKey::from_pem(&key.public().unwrap().to_pem()).unwrap();
        assert!(public.verifies(b"message", &again.sign(b"message")));
        assert!(!public.verifies(b"massage", &again.sign(b"message")));
    }

    #[test]
    fn reads_what_openssl_writes() {
        // `openssl genpkey -algorithm ed25519`, the key of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(SigningKey::from_pem(pem).unwrap().public().unwrap(), PublicKey::from_pem(public).unwrap());
    }

    #[test]
    fn rubbish_is_refused() {
        for pem in ["", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
            assert!(SigningKey::from_pem(pem).is_err());
            assert!(PublicKey::from_pem(pem).is_err());
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", SigningKey::generate().unwrap()), "SigningKey(secret)");
    }
}
