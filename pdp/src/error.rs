//! Why the server can't run.

use std::net::SocketAddr;
use std::path::Path;

/// Why [`Server::start`](crate::Server::start) failed, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(String),
    /// The address can't be listened on.
    #[error("can't listen on {addr}: {source}; choose another address, or stop what uses it")]
    Listen {
        /// Which address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the data folder can't be read or written.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key can't be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The store, a key, or a policy in the store.
    #[error(transparent)]
    Engine(#[from] meshguard_engine::Error),
    /// Our own bug: please report it with the text.
    #[error("internal: {0} (this is a bug in meshguard; please report it)")]
    Internal(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.display().to_string(), source }
    }
}

impl From<meshguard_engine::store::StoreError> for Error {
    fn from(error: meshguard_engine::store::StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<meshguard_engine::token::TokenError> for Error {
    fn from(error: meshguard_engine::token::TokenError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<meshguard_engine::KeyError> for Error {
    fn from(error: meshguard_engine::KeyError) -> Self {
        Self::Engine(error.into())
    }
}
