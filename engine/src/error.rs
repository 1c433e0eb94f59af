//! What can go wrong, for whoever has to act on it.
//!
//! Three kinds never mix: the caller's misuse ([`Error::Config`]), hostile or broken input ([`Refusal`],
//! [`Error::Token`]), and our own bug ([`Error::Internal`]).

use std::fmt;

use crate::keys::KeyError;
use crate::store::StoreError;
use crate::token::TokenError;

/// Why a call that isn't a decision failed. A decision never fails: it denies, with a reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A bundle isn't acceptable; the last accepted one keeps serving.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store can't be opened, read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can't be read or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A token isn't acceptable.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A file or folder that the caller named can't be read or written.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller configured something impossible.
    #[error("configuration: {0}")]
    Config(String),
    /// An evaluation asked for by path failed.
    #[error("evaluation: {code}: {detail}")]
    Evaluation {
        /// OPA's (`eval_conflict_error`, `eval_type_error`, `eval_builtin_error`) where OPA fails as well, else the reason
        /// for which a decision would be denied.
        code: &'static str,
        /// What happened, with its line.
        detail: String,
    },
    /// Our own bug: please report it with the text.
    #[error("internal: {0} (this is a bug in meshguard; please report it)")]
    Internal(String),
}

impl Error {
    pub(crate) fn evaluation(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Evaluation { code, detail: detail.into() }
    }

    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.display().to_string(), source }
    }
}

/// Where a bundle failed on its way to being served; what a NACK carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The signature, its key or its payload type.
    Signature,
    /// Tenant or scope is another's.
    Tenant,
    /// Older than the floor, or the same version with another content.
    Version,
    /// Its hard TTL has passed.
    Expired,
    /// A body isn't what the manifest says.
    Digest,
    /// Too large, too many, too deep.
    Limit,
    /// The manifest, a policy or a data file can't be read.
    Parse,
    /// It reads, but can't be compiled.
    Compile,
    /// Its own smoke vectors fail.
    Smoke,
    /// It couldn't be persisted.
    Store,
}

impl Stage {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Tenant => "tenant",
            Self::Version => "version",
            Self::Expired => "expired",
            Self::Digest => "digest",
            Self::Limit => "limit",
            Self::Parse => "parse",
            Self::Compile => "compile",
            Self::Smoke => "smoke",
            Self::Store => "store",
        }
    }
}

/// Why a bundle isn't served: the stage, a stable code, the place, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// Where it failed.
    pub stage: Stage,
    /// Stable, lower snake case.
    pub code: String,
    /// The file concerned, if it is one file's fault.
    pub path: Option<String>,
    /// For a person: what is wrong, and what to do next.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(stage: Stage, code: &str, detail: impl Into<String>) -> Self {
        Self { stage, code: code.to_owned(), path: None, detail: detail.into() }
    }

    /// Whether trying the same bundle again, with the same engine, would end the same way. A smoke vector that ran out of
    /// time may only have met a busy machine.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self.stage, Stage::Parse | Stage::Compile | Stage::Smoke | Stage::Limit) && self.code != "out_of_time"
    }

    pub(crate) fn in_file(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bundle refused at {} ({})", self.stage.as_str(), self.code)?;
        if let Some(path) = &self.path {
            write!(f, ", `{path}`")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Refusal {}
