//! What can go wrong when an edge is opened or asked for something that isn't a decision.

/// Why a call failed. A decision never fails: it denies, with a reason. No text of it holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller configured something impossible; the text says what to change.
    #[error("configuration: {0}")]
    Config(String),
    /// The engine refused: a bundle, a token, the store, an evaluation.
    #[error(transparent)]
    Engine(#[from] meshguard_engine::Error),
    /// The threads that talk to the gateway can't be started.
    #[error("can't start the network threads: {0}; raise the process's limit of threads or memory")]
    Threads(std::io::Error),
}

impl From<meshguard_engine::Refusal> for Error {
    fn from(refusal: meshguard_engine::Refusal) -> Self {
        Self::Engine(refusal.into())
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
