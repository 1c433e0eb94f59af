//! Signatures: verified and made by aws-lc-rs. What it leaves out and Go does (RSA of other lengths than 2048 to 8192
//! bits, salts of any length in PSS) is verified here, with nothing secret in it: RFC 8017, sections 8.1.2, 8.2.2 and
//! 9.1.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::{hmac, rand, rsa, signature};
use num_bigint::BigUint;

use super::super::{Budget, Failure};
use super::keys::{Curve, EcPublic, PrivateKey, RsaPrivate, RsaPublic};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How an RSA signature is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Padding {
    Pkcs1,
    /// PSS with a salt as long as the digest.
    Pss,
    /// PSS with a salt of any length.
    PssAnySalt,
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    pub(in super::super) fn of(self, message: &[u8]) -> Digest {
        digest::digest(self.algorithm(), message)
    }

    fn size(self) -> usize {
        self.algorithm().output_len()
    }
}

pub(in super::super) fn mac(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hash.hmac(), key), message).as_ref().to_vec()
}

/// Whether two authentication codes are the same, in a time that doesn't tell how much of them is.
pub(in super::super) fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

// === RSA ===

/// # Errors
/// The budget ends.
pub(in super::super) fn verify_rsa(
    budget: &mut Budget,
    key: &RsaPublic,
    padding: Padding,
    hash: Hash,
    digest: &Digest,
    signature: &[u8],
) -> Result<bool, Failure> {
    let bits = key.n.bits();
    // Go takes no shorter keys since 1.24.
    if bits < 1024 || !key.is_sound() || signature.len() != key.size() {
        return Ok(false);
    }
    let words = bits.div_ceil(64);
    budget.step(words.saturating_mul(words).saturating_mul(4))?;
    let algorithm: Option<&'static signature::RsaParameters> = match (padding, hash, bits) {
        (Padding::Pkcs1, Hash::Sha1, 1024..=8192) => Some(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        (Padding::Pkcs1, Hash::Sha256, 1024..=8192) => Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        (Padding::Pkcs1, Hash::Sha384, 2048..=8192) => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        (Padding::Pkcs1, Hash::Sha512, 1024..=8192) => Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        (Padding::Pss | Padding::PssAnySalt, Hash::Sha256, 2048..=8192) => Some(&signature::RSA_PSS_2048_8192_SHA256),
        (Padding::Pss | Padding::PssAnySalt, Hash::Sha384, 2048..=8192) => Some(&signature::RSA_PSS_2048_8192_SHA384),
        (Padding::Pss | Padding::PssAnySalt, Hash::Sha512, 2048..=8192) => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    };
    if let Some(algorithm) = algorithm {
        let n = key.n.to_bytes_be();
        let e = key.e.unsigned_abs().to_be_bytes();
        let e: Vec<u8> = e.into_iter().skip_while(|byte| *byte == 0).collect();
        let components = signature::RsaPublicKeyComponents { n, e };
        let verified = components
            .to_parsed_public_key(algorithm)
            .is_ok_and(|key| key.verify_digest_sig(digest, signature).is_ok());
        if verified || padding != Padding::PssAnySalt {
            return Ok(verified);
        }
    }
    budget.step(words.saturating_mul(words).saturating_mul(32))?;
    let message = BigUint::from_bytes_be(signature);
    if message >= key.n {
        return Ok(false);
    }
    let message = message.modpow(&BigUint::from(key.e.unsigned_abs()), &key.n).to_bytes_be();
    let encoded = [vec![0; key.size().saturating_sub(message.len())], message].concat();
    Ok(match padding {
        Padding::Pkcs1 => {
            encode_pkcs1(hash, digest.as_ref(), encoded.len()).is_some_and(|expected| expected == encoded)
        }
        Padding::Pss => verify_pss(hash, digest.as_ref(), &encoded, bits, Some(hash.size())),
        Padding::PssAnySalt => verify_pss(hash, digest.as_ref(), &encoded, bits, None),
    })
}

/// EMSA-PKCS1-v1_5.
fn encode_pkcs1(hash: Hash, digest: &[u8], size: usize) -> Option<Vec<u8>> {
    let identifier: &[u8] = match hash {
        Hash::Sha1 => &[0x2b, 0x0e, 3, 2, 0x1a],
        Hash::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        Hash::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
        Hash::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
    };
    let algorithm = super::der::write_sequence(&[super::der::write(super::der::OID, identifier), vec![5, 0]]);
    let info = super::der::write_sequence(&[algorithm, super::der::write(super::der::OCTET_STRING, digest)]);
    let filling = size.checked_sub(info.len() + 3).filter(|filling| *filling >= 8)?;
    Some([vec![0, 1], vec![0xff; filling], vec![0], info].concat())
}

/// EMSA-PSS-VERIFY, for a modulus of so many bits; without a length, a salt may have any.
fn verify_pss(hash: Hash, digest: &[u8], encoded: &[u8], bits: u64, salt: Option<usize>) -> bool {
    let bits = bits.saturating_sub(1);
    let size = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
    // A modulus of one bit more than whole bytes has a byte in front that isn't part of it.
    let Some((front, encoded)) = encoded.len().checked_sub(size).and_then(|front| encoded.split_at_checked(front))
    else {
        return false;
    };
    let Some((0xbc, encoded)) = encoded.split_last() else { return false };
    let length = hash.size();
    let Some((masked, h)) = encoded.len().checked_sub(length).and_then(|at| encoded.split_at_checked(at)) else {
        return false;
    };
    let unused = u32::try_from((size as u64).saturating_mul(8).saturating_sub(bits)).unwrap_or(0);
    let used = 0xff_u8.checked_shr(unused).unwrap_or(0);
    if front.iter().any(|byte| *byte != 0) || masked.first().is_none_or(|byte| byte & !used != 0) {
        return false;
    }
    let mask = (0_u32..).flat_map(|counter| hash.of(&[h, &counter.to_be_bytes()].concat()).as_ref().to_vec());
    let mut block: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    if let Some(first) = block.first_mut() {
        *first &= used;
    }
    let Some(one) = block.iter().position(|byte| *byte != 0) else { return false };
    let Some((1, found)) = block.get(one..).and_then(<[u8]>::split_first) else { return false };
    if salt.is_some_and(|salt| salt != found.len()) {
        return false;
    }
    hash.of(&[&[0; 8][..], digest, found].concat()).as_ref() == h
}

/// # Errors
/// The key isn't one that aws-lc-rs signs with, or the budget ends.
pub(in super::super) fn sign_rsa(
    budget: &mut Budget,
    key: &RsaPrivate,
    padding: Padding,
    hash: Hash,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    let bits = key.public.n.bits();
    if bits < 1024 {
        let what = "keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)";
        return Err(Failure::error(format!("crypto/rsa: {bits}-bit {what}")));
    }
    let unfit = || super::unsupported("to sign with this RSA key");
    let words = bits.div_ceil(64);
    budget.step(words.saturating_mul(words).saturating_mul(words).saturating_mul(4))?;
    if !(2048..=8192).contains(&bits) {
        return Err(super::unsupported("to sign with an RSA key of less than 2048 bits or more than 8192"));
    }
    let Some(crt) = &key.crt else { return Err(unfit()) };
    let pair = signature::RsaKeyPair::from_components(&rsa::KeyPairComponents {
        public_key: signature::RsaPublicKeyComponents {
            n: key.public.n.to_bytes_be(),
            e: BigUint::from(key.public.e.unsigned_abs()).to_bytes_be(),
        },
        d: key.d.to_bytes_be(),
        p: key.p.to_bytes_be(),
        q: key.q.to_bytes_be(),
        dP: crt.dp.to_bytes_be(),
        dQ: crt.dq.to_bytes_be(),
        qInv: crt.qinv.to_bytes_be(),
    });
    let pair = pair.map_err(|_| unfit())?;
    let encoding: &'static signature::RsaSignatureEncoding = match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha256) => &signature::RSA_PKCS1_SHA256,
        (Padding::Pkcs1, Hash::Sha384) => &signature::RSA_PKCS1_SHA384,
        (Padding::Pkcs1, Hash::Sha512) => &signature::RSA_PKCS1_SHA512,
        (_, Hash::Sha256) => &signature::RSA_PSS_SHA256,
        (_, Hash::Sha384) => &signature::RSA_PSS_SHA384,
        (_, Hash::Sha512) => &signature::RSA_PSS_SHA512,
        (_, Hash::Sha1) => return Err(unfit()),
    };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &rand::SystemRandom::new(), message, &mut signature).map_err(|_| unfit())?;
    Ok(signature)
}

// === ECDSA ===

/// The one curve of Go's that aws-lc-rs doesn't have.
const P224: &str = "ECDSA on the curve P-224";

/// Whether `r` and `s` sign the digest. Both are numbers of any length, the highest byte first.
///
/// # Errors
/// It is the one curve that aws-lc-rs doesn't have, or the budget ends.
pub(in super::super) fn verify_ecdsa(
    budget: &mut Budget,
    key: &EcPublic,
    digest: &Digest,
    r: &[u8],
    s: &[u8],
) -> Result<bool, Failure> {
    charge_ec(budget, key.curve)?;
    let size = key.curve.size();
    let is_fit = |number: &[u8]| {
        let significant = number.len() - number.iter().take_while(|byte| **byte == 0).count();
        (1..=size).contains(&significant)
    };
    if !is_fit(r) || !is_fit(s) {
        return Ok(false);
    }
    // Which algorithm it is follows from the curve: the digest is cut or filled up to what that one takes.
    let (algorithm, hash): (&'static dyn signature::VerificationAlgorithm, _) = match key.curve {
        Curve::P224 => return Err(super::unsupported(P224)),
        Curve::P256 => (&signature::ECDSA_P256_SHA256_ASN1, Hash::Sha256),
        Curve::P384 => (&signature::ECDSA_P384_SHA384_ASN1, Hash::Sha384),
        Curve::P521 => (&signature::ECDSA_P521_SHA512_ASN1, Hash::Sha512),
    };
    let signature = super::der::write_sequence(&[super::der::write_integer(r), super::der::write_integer(s)]);
    let Some(digest) = fitted(digest, hash) else { return Ok(false) };
    Ok(signature::UnparsedPublicKey::new(algorithm, &key.point).verify_digest(&digest, &signature).is_ok())
}

/// # Errors
/// The key doesn't fit, or the budget ends.
pub(in super::super) fn sign_ecdsa(
    budget: &mut Budget,
    key: &EcPublic,
    d: &[u8],
    digest: &Digest,
) -> Result<Vec<u8>, Failure> {
    charge_ec(budget, key.curve)?;
    let (algorithm, hash) = match key.curve {
        Curve::P224 => return Err(super::unsupported(P224)),
        Curve::P256 => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, Hash::Sha256),
        Curve::P384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, Hash::Sha384),
        Curve::P521 => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, Hash::Sha512),
    };
    let invalid = || Failure::error("failed to sign payload using ecdsa: invalid private key");
    let pair = signature::EcdsaKeyPair::from_private_key_and_public_key(algorithm, d, &key.point);
    let digest = fitted(digest, hash).ok_or_else(invalid)?;
    let signature = pair.map_err(|_| invalid())?.sign_digest(&digest).map_err(|_| invalid())?;
    Ok(signature.as_ref().to_vec())
}

/// The same number to sign, as a digest of another length: ECDSA takes the highest bits that its order has, and none of
/// these orders is longer than the digest that goes with it, but that of P-521, which takes all of any digest.
fn fitted(digest: &Digest, hash: Hash) -> Option<Digest> {
    let (bytes, size) = (digest.as_ref(), hash.size());
    let bytes = match size.checked_sub(bytes.len()) {
        Some(missing) => [vec![0; missing], bytes.to_vec()].concat(),
        None => bytes.get(..size)?.to_vec(),
    };
    Digest::import_less_safe(&bytes, hash.algorithm()).ok()
}

fn charge_ec(budget: &mut Budget, curve: Curve) -> Result<(), Failure> {
    Ok(budget.step(match curve {
        Curve::P224 | Curve::P256 => 10_000,
        Curve::P384 => 60_000,
        Curve::P521 => 100_000,
    })?)
}

// === Ed25519 ===

/// # Errors
/// The budget ends.
pub(in super::super) fn verify_ed25519(
    budget: &mut Budget,
    key: &[u8; 32],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Failure> {
    budget.step(10_000)?;
    Ok(signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).is_ok())
}

/// # Errors
/// The budget ends.
pub(in super::super) fn sign_ed25519(budget: &mut Budget, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, Failure> {
    budget.step(10_000)?;
    let pair = signature::Ed25519KeyPair::from_seed_unchecked(seed);
    let pair = pair.map_err(|_| Failure::error("ed25519: bad private key"))?;
    Ok(pair.sign(message).as_ref().to_vec())
}

impl PrivateKey {
    /// What making its public key costs.
    pub(in super::super) fn charge(&self, budget: &mut Budget) -> Result<(), Failure> {
        match self {
            Self::Ec { public, .. } => charge_ec(budget, public.curve),
            _ => Ok(budget.step(10_000)?),
        }
    }
}
