//! The server's own secrets in the data folder: made at the first start, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use meshguard_engine::SigningKey;

use crate::config::AdminToken;
use crate::error::Error;

/// The private key that signs agents' tokens.
pub(crate) const IDENTITY_KEY: &str = "identity.key";
/// Its public half, for edges.
pub(crate) const IDENTITY_PUB: &str = "identity.pub";
/// The admin token, if it was generated.
pub(crate) const ADMIN_TOKEN: &str = "admin.token";

/// The key that signs agents' tokens, made if there is none.
pub(crate) fn identity_key(dir: &Path) -> Result<SigningKey, Error> {
    let path = dir.join(IDENTITY_KEY);
    let key = match read(&path)? {
        Some(pem) => SigningKey::from_pem(&pem)?,
        None => {
            let key = SigningKey::generate()?;
            write(&path, &key.to_pem()?, 0o600)?;
            key
        }
    };
    write(&dir.join(IDENTITY_PUB), &key.public()?.to_pem(), 0o644)?;
    Ok(key)
}

/// The admin token that was generated at the first start without one.
pub(crate) fn admin_token(dir: &Path) -> Result<AdminToken, Error> {
    let path = dir.join(ADMIN_TOKEN);
    match read(&path)? {
        Some(text) => AdminToken::new(text.trim()),
        None => {
            let token = AdminToken::generate()?;
            write(&path, &format!("{}\n", token.expose()), 0o600)?;
            Ok(token)
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Whole or not at all: written beside and renamed, so that a crash leaves no half a key.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let io = |error| Error::io("write", path, error);
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&beside, path).map_err(io)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let key = identity_key(dir.path()).unwrap();
        let token = admin_token(dir.path()).unwrap();
        for name in [IDENTITY_KEY, ADMIN_TOKEN] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(identity_key(dir.path()).unwrap().public().unwrap(), key.public().unwrap());
        assert!(admin_token(dir.path()).unwrap().matches(token.expose()));
    }

    #[test]
    fn a_spoiled_key_is_an_error_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(IDENTITY_KEY), "rubbish").unwrap();
        assert!(identity_key(dir.path()).is_err());
        assert_eq!(fs::read_to_string(dir.path().join(IDENTITY_KEY)).unwrap(), "rubbish");
    }
}
