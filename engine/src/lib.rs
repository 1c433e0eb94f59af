//! A policy decision point that lives in the process it decides for.
//!
//! Give it a signed bundle of Rego policies, ask it before every action, enforce what it says. It answers from memory,
//! needs no network, denies whatever it can't be sure of, and records every decision.
//!
//! ```
//! use meshguard_engine::{Bundle, Engine, Request, SigningKey, Target, VerifiedBundle};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A publisher signs a bundle …
//! let policy = "package meshguard\ndefault decision := false\ndecision if input.action == \"files.read\"\n";
//! let bundle = Bundle::from_files([("agent.rego".to_owned(), policy.into())].into())?;
//! let key = SigningKey::generate()?;
//! let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as i64;
//! let signed = bundle.sign(&Target::new("acme", 1, now_ms), &key)?;
//!
//! // … and whoever trusts the publisher's key decides by it.
//! let engine = Engine::builder("acme").trust(key.public()?).open()?;
//! engine.apply(&VerifiedBundle::new(&signed, &[key.public()?], "acme", "default")?)?;
//! assert!(engine.decide(&Request::new("agent-7", "files.read")).is_allowed());
//! assert!(!engine.decide(&Request::new("agent-7", "shell.exec")).is_allowed());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! | to know | see |
//! |---|---|
//! | how to ask | [`Request`], [`Engine::decide`] |
//! | what an answer says, and why | [`Decision`], [`ReasonCode`] |
//! | how policies travel | [`bundle`] |
//! | what survives a restart | [`store`] |
//! | what is recorded | [`audit`] |
//! | how current it is | [`Status`] |
//!
//! With a control plane, use `meshguard-sync`: its `Edge` is this engine kept current, with the uncertain deferred.
//!
//! # Features
//!
//! `rocksdb` (default): the store on disk. Without it only [`store::MemoryStore`] is there, and no C++ is built.

mod apply;
pub mod audit;
pub mod bundle;
mod clock;
mod config;
mod context;
mod counters;
mod decide;
mod decision;
mod desk;
mod digest;
mod engine;
mod error;
mod eval;
mod evaluate;
mod identity;
mod ids;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod keys;
mod live;
mod os;
mod outcome;
mod request;
mod snapshot;
mod status;
pub mod store;
pub mod token;
mod trust;

pub use self::apply::Applied;
pub use self::bundle::{
    AtLeast, Bundle, DEFAULT_ENTRYPOINT, Envelope, Manifest, Revision, SignedBundle, Target, VerifiedBundle,
    VerifiedManifest,
};
pub use self::clock::{Clock, ManualClock, Now, SystemClock};
pub use self::config::EngineBuilder;
pub use self::decision::{Approval, Decision, DecisionId, Effect, Obligation, Reason, ReasonCode, Source, Verdict};
pub use self::digest::{Digest, InvalidDigest};
pub use self::engine::Engine;
pub use self::error::{Error, Refusal, Stage};
pub use self::eval::{Analysis, Reads, RemoteData, RuleTier, RuleTierName};
pub use self::evaluate::Evaluation;
pub use self::identity::Identity;
pub use self::keys::{KeyError, PublicKey, SigningKey};
pub use self::outcome::Outcome;
pub use self::request::{Actor, BadInput, Context, MAX_NAME_BYTES, MAX_REQUEST_BYTES, Request};
pub use self::snapshot::Origin;
pub use self::status::{Counts, State, Status};
pub use self::trust::{Tier, UnknownTier};
