//! One file per command.

pub(crate) mod audit;
pub(crate) mod bundle;
pub(crate) mod demo;
pub(crate) mod edge;
pub(crate) mod eval;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod status;

use std::fs;
use std::path::Path;

use meshguard_engine::{Clock, PublicKey, SigningKey, SystemClock};

use crate::failure::Failure;

/// Reads a text file, naming it when it can't.
fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::general(format!("can't read `{}`: {e}", path.display())))
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read(path)?).map_err(|e| Failure::arguments(format!("`{}`: {e}", path.display())))
}

fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(&read(path)?).map_err(|e| Failure::arguments(format!("`{}`: {e}", path.display())))
}

/// Writes a secret so that only its owner can read it, and never over another.
fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |e: std::io::Error| Failure::general(format!("can't write `{}`: {e}", path.display()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    SystemClock::new().wall_ms()
}

/// Blocks until the process is asked to end (SIGINT or SIGTERM).
fn wait_for_end() -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let _ = signals.forever().next();
    Ok(())
}
