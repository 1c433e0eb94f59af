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
    let padded = |with: u8| -> Vec<u8> {
        key.iter().copied().chain(std::iter::repeat(0)).take(64).map(|byte| byte ^ with).collect()
    };
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

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    /// An Ed25519 key and one on P-256.
    const KEYS: &str = "\
        \"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC\\n-----END \
        PRIVATE KEY-----\\n-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIAAAAAAAAAAAAAAAAAAAAAASNFZ4kKvN7xI0VniQq83voAoG\
        CCqGSM49\\nAwEHoUQDQgAE+evkZBR8wQLZIyTQmdknwaUOQtV6CKEW/+wKKYGdjGVwuvfRKIiQ\\nKmoMHWet0QMSPIWatpv46UMck4STDU\
        t+7g==\\n-----END EC PRIVATE KEY-----\\n\"";

    /// The first of them.
    const KEY_IN_BASE64: &str = "\
        \"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVndCQ0lFSUFJQ0FnSUNBZ0lDQWdJQ0FnSUNBZ0lDQWdJQ0FnSU\
        NBZ0lDQWdJQ0FnSUMKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=\"";

    #[test]
    fn digests() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("crypto.md5", &[r#""hello""#], r#""5d41402abc4b2a76b9719d911017c592""#),
            ("crypto.sha1", &[r#""hello""#], r#""aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d""#),
            ("crypto.sha256", &[r#""""#], r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#),
            ("crypto.sha256", &["1"], "operand: operand 1 must be string but got number"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn authentication_codes() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("crypto.hmac.md5", &[r#""message""#, r#""key""#], r#""4e4748e62b463521f6775fbf921234b5""#),
            ("crypto.hmac.sha1", &[r#""message""#, r#""key""#], r#""2088df74d5f2146b48146caf4965377e9d0be3a4""#),
            (
                "crypto.hmac.sha256",
                &[r#""message""#, r#""key""#],
                r#""6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a""#,
            ),
            (
                "crypto.hmac.sha512",
                &[r#""""#, r#""kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk""#],
                r#""6a279182490528059694bd17ced84a22f4761015e7c93a3646f33c8ab4a91dc56545da41be2168e1d7dcf4a96d12b2c932d47e4183d6eb33135eade0fe77becd""#,
            ),
            ("crypto.hmac.equal", &[r#""ab""#, r#""ab""#], "true"),
            ("crypto.hmac.equal", &[r#""ab""#, r#""aB""#], "false"),
            ("crypto.hmac.equal", &[r#""ab""#, r#""abc""#], "false"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn private_keys() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "crypto.parse_private_keys",
                &[KEYS],
                r#"["AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgKBOXcOqH0XX1ajVGbDTH7My42KkbTuN6Jd9g9bj8mzlA==", {"Curve": {}, "D": 24197857200151252728969465429440056815, "X": 113042684653775552617586342594182756080025019985341994663622957232395718069349, "Y": 50989382965619796173862140211412875962104512190605617615950617265300572962542}]"#,
            ),
            (
                "crypto.parse_private_keys",
                &[KEY_IN_BASE64],
                r#"["AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgKBOXcOqH0XX1ajVGbDTH7My42KkbTuN6Jd9g9bj8mzlA=="]"#,
            ),
            ("crypto.parse_private_keys", &[r#""""#], "null"),
            ("crypto.parse_private_keys", &[r#""x""#], "[]"),
            (
                "crypto.parse_private_keys",
                &[r#""-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n""#],
                "error",
            ),
        ];
        check(FUNCTIONS, cases);
    }
}
