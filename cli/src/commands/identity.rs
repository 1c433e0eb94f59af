//! `meshguard identity`: tokens for agents.

use std::path::PathBuf;

use meshguard_engine::Tier;
use meshguard_engine::token::{Claims, MAX_LIFE_S};
use serde_json::json;

use super::{now_ms, signing_key};
use crate::Global;
use crate::failure::Failure;
use crate::output::print;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Issue a token, with the control plane's identity key at hand
    Issue {
        /// The agent
        agent: String,
        /// The agent's tenant
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: String,
        /// The control plane's identity.key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// How far the agent is trusted: unverified, verified, trusted or privileged
        #[arg(long, default_value_t = Tier::Verified)]
        tier: Tier,
        /// How long it holds
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i64).range(1..=MAX_LIFE_S / 3600))]
        hours: i64,
    },
}

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let Command::Issue { agent, tenant, key, tier, hours } = command;
    let claims = Claims::new(&tenant, &agent, tier, now_ms(), hours * 3600);
    let token = claims.sign(&signing_key(&key)?)?;
    print(global, &json!({ "token": token, "expires_at_ms": claims.exp.saturating_mul(1000) }), || token.clone())
}
