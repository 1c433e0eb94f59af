//! Signed bytes: DSSE v1 (<https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>) with Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bundle::limits::MAX_MANIFEST_BYTES;
use crate::error::{Refusal, Stage};
use crate::keys::{KeyError, PublicKey, SigningKey};

/// The payload type of a signed manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.meshguard.manifest.v1+json";

/// Bytes, what they are, and who vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is; signed together with it.
    pub payload_type: String,
    /// The exact bytes that were signed.
    pub payload: Bytes,
    /// At least one must be a trusted key's.
    pub signatures: Vec<Signature>,
}

/// One signature over an envelope's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint at the key; not authenticated and not relied upon.
    pub key_id: String,
    /// 64 bytes of Ed25519.
    pub sig: Bytes,
}

impl Envelope {
    /// Signs `payload`.
    ///
    /// # Errors
    /// The key can't be encoded.
    pub fn sign(payload_type: &str, payload: Bytes, key: &SigningKey) -> Result<Self, KeyError> {
        let sig = key.sign(&pre_authentication_encoding(payload_type, &payload)).into();
        let signatures = vec![Signature { key_id: key.public()?.id(), sig }];
        Ok(Self { payload_type: payload_type.to_owned(), payload, signatures })
    }

    /// The bytes that an external signer (a KMS, a command) must sign for this payload.
    pub fn to_be_signed(payload_type: &str, payload: &[u8]) -> Vec<u8> {
        pre_authentication_encoding(payload_type, payload)
    }

    /// Gives the payload back if one of `trusted` signed it as `payload_type`.
    ///
    /// # Errors
    /// The type is another, or no trusted key signed these bytes.
    pub fn verify(&self, payload_type: &str, trusted: &[PublicKey]) -> Result<&Bytes, Refusal> {
        if self.payload_type != payload_type {
            let detail = format!("payload type `{}` where `{payload_type}` is due", self.payload_type);
            return Err(Refusal::new(Stage::Signature, "payload_type", detail));
        }
        let message = pre_authentication_encoding(payload_type, &self.payload);
        let signed = self.signatures.iter().any(|s| trusted.iter().any(|key| key.verifies(&message, &s.sig)));
        if !signed {
            let ids: Vec<_> = self.signatures.iter().map(|s| s.key_id.as_str()).collect();
            let detail = format!("not signed by a trusted key (signatures by: {})", ids.join(", "));
            return Err(Refusal::new(Stage::Signature, "signature", detail));
        }
        Ok(&self.payload)
    }

    /// Reads DSSE's JSON form.
    ///
    /// # Errors
    /// The text is no envelope.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        let refuse = |detail: String| Refusal::new(Stage::Parse, "envelope", detail);
        if json.len() > 2 * MAX_MANIFEST_BYTES {
            return Err(Refusal::new(Stage::Limit, "envelope", format!("{} bytes", json.len())));
        }
        let json: Json = serde_json::from_slice(json).map_err(|e| refuse(e.to_string()))?;
        let decode = |text: &str| STANDARD.decode(text).map(Bytes::from).map_err(|e| refuse(e.to_string()));
        Ok(Self {
            payload: decode(&json.payload)?,
            payload_type: json.payload_type,
            signatures: json
                .signatures
                .into_iter()
                .map(|s| Ok(Signature { sig: decode(&s.sig)?, key_id: s.keyid }))
                .collect::<Result<_, Refusal>>()?,
        })
    }

    /// Writes DSSE's JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        let json = Json {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|s| JsonSignature { keyid: s.key_id.clone(), sig: STANDARD.encode(&s.sig) })
                .collect(),
        };
        serde_json::to_vec(&json).unwrap_or_default()
    }
}

/// DSSE's `PAE`: type and body, each preceded by its length, so that neither can be taken for the other.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
struct JsonSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_dsse() {
        // The example of the DSSE protocol document.
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let key = SigningKey::generate().unwrap();
        let trusted = [key.public().unwrap()];
        let good = Envelope::sign("t", Bytes::from_static(b"payload"), &key).unwrap();
        assert!(good.verify("t", &trusted).is_ok());
        for at in 0..good.payload.len() {
            let mut bytes = good.payload.to_vec();
            bytes[at] ^= 1;
            assert!(Envelope { payload: bytes.into(), ..good.clone() }.verify("t", &trusted).is_err());
        }
        for at in 0..64 {
            let mut bad = good.clone();
            let mut sig = bad.signatures[0].sig.to_vec();
            sig[at] ^= 1;
            bad.signatures[0].sig = sig.into();
            assert!(bad.verify("t", &trusted).is_err());
        }
    }

    #[test]
    fn wrong_type_wrong_key_no_signature() {
        let key = SigningKey::generate().unwrap();
        let envelope = Envelope::sign("t", Bytes::from_static(b"payload"), &key).unwrap();
        let stranger = SigningKey::generate().unwrap().public().unwrap();
        assert_eq!(envelope.verify("u", &[key.public().unwrap()]).unwrap_err().code, "payload_type");
        assert_eq!(envelope.verify("t", &[stranger]).unwrap_err().code, "signature");
        assert_eq!(envelope.verify("t", &[]).unwrap_err().code, "signature");
        let unsigned = Envelope { signatures: vec![], ..envelope };
        assert_eq!(unsigned.verify("t", &[key.public().unwrap()]).unwrap_err().code, "signature");
    }

    #[test]
    fn json_round_trip() {
        let envelope = Envelope::sign("t", Bytes::from_static(b"\x00\xff"), &SigningKey::generate().unwrap()).unwrap();
        assert_eq!(Envelope::from_json(&envelope.to_json()).unwrap(), envelope);
    }
}
