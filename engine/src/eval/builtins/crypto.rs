//! Digests, authentication codes, and private keys; below it what certificates and tokens need as well.

pub(super) mod der;
pub(super) mod keys;
pub(super) mod pem;
pub(super) mod sign;

use md5::{Digest as _, Md5};

use super::encoding::{base64, hex};
use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;
use keys::PrivateKey;
use sign::Hash;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("crypto.hmac.equal", hmac_equal),
    ("crypto.hmac.md5", hmac_md5),
    ("crypto.hmac.sha1", |ctx, args| hmac(ctx, args, Hash::Sha1)),
    ("crypto.hmac.sha256", |ctx, args| hmac(ctx, args, Hash::Sha256)),
    ("crypto.hmac.sha512", |ctx, args| hmac(ctx, args, Hash::Sha512)),
    ("crypto.md5", md5),
    ("crypto.parse_private_keys", parse_private_keys),
    ("crypto.sha1", |ctx, args| sha(ctx, args, Hash::Sha1)),
    ("crypto.sha256", |ctx, args| sha(ctx, args, Hash::Sha256)),
];

/// What OPA does and this engine doesn't.
pub(super) fn unsupported(what: &str) -> Failure {
    Failure::Unsupported(what.to_owned())
}

fn md5(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    charge(ctx, text.len())?;
    Ok(Value::from(hex(&Md5::digest(text.as_bytes()))))
}

fn sha(ctx: &mut Context<'_>, args: &[&Value], hash: Hash) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    charge(ctx, text.len())?;
    Ok(Value::from(hex(hash.of(text.as_bytes()).as_ref())))
}

fn hmac(ctx: &mut Context<'_>, args: &[&Value], hash: Hash) -> Result<Value, Failure> {
    let (message, key) = (operand::string(args, 1)?, operand::string(args, 2)?);
    charge(ctx, message.len().saturating_add(key.len()))?;
    Ok(Value::from(hex(&sign::mac(hash, key.as_bytes(), message.as_bytes()))))
}

/// RFC 2104, with blocks of 64 bytes.
fn hmac_md5(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (message, key) = (operand::string(args, 1)?, operand::string(args, 2)?);
    charge(ctx, message.len().saturating_add(key.len()))?;
    let key = if key.len() > 64 { Md5::digest(key.as_bytes()).to_vec() } else { key.as_bytes().to_vec() };
    let padded = |with: u8| -> Vec<u8> { key.iter().copied().chain(std::iter::repeat(0)).take(64).map(|byte| byte ^ with).collect() };
    let inner = Md5::new().chain_update(padded(0x36)).chain_update(message.as_bytes()).finalize();
    Ok(Value::from(hex(&Md5::new().chain_update(padded(0x5c)).chain_update(inner).finalize())))
}

fn hmac_equal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::string(args, 1)?, operand::string(args, 2)?);
    ctx.budget.read(a.len().min(b.len()))?;
    Ok(Value::Bool(sign::same(a.as_bytes(), b.as_bytes())))
}

/// Hashing a byte takes about as long as a step takes for eight.
fn charge(ctx: &mut Context<'_>, bytes: usize) -> Result<(), Failure> {
    Ok(ctx.budget.read(bytes.saturating_mul(4))?)
}

fn parse_private_keys(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let keys = private_keys(ctx, text)?;
    Ok(Value::array(keys.iter().map(PrivateKey::to_value).collect::<Result<Vec<_>, _>>()?))
}

/// The private keys among the PEM blocks of a text, which may be in base64.
pub(super) fn private_keys(ctx: &mut Context<'_>, text: &str) -> Result<Vec<PrivateKey>, Failure> {
    ctx.budget.read(text.len().saturating_mul(4))?;
    let decoded = base64::decode(text, base64::STANDARD);
    let mut rest = decoded.as_deref().unwrap_or(text.as_bytes());
    let mut keys = vec![];
    while let Some((block, after)) = pem::decode(rest) {
        rest = after;
        let key = match block.label {
            b"RSA PRIVATE KEY" => PrivateKey::from_pkcs1(&block.bytes)?,
            b"PRIVATE KEY" => PrivateKey::from_pkcs8(&block.bytes)?,
            b"EC PRIVATE KEY" => PrivateKey::from_ec(&block.bytes, None)?,
            _ => continue,
        };
        key.charge(ctx.budget)?;
        keys.push(key);
    }
    Ok(keys)
}
