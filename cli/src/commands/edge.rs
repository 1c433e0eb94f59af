//! `meshguard edge`: a headless edge, for trying things and for hosts that speak JSON lines.

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use meshguard_engine::State;
use meshguard_sync::{Edge, EdgeConfig, EdgeStatus, FailureMode};

use super::read;
use crate::Global;
use crate::admin::advice;
use crate::failure::{Failure, Kind};
use crate::output::{note, print_line};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose policies to serve
    #[arg(long, env = "MESHGUARD_TENANT_ID")]
    tenant: String,
    /// Which of the tenant's bundles
    #[arg(long, default_value = "default")]
    scope: String,
    /// Where bundles and records are kept
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The publisher's public key; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    trust_key: Vec<PathBuf>,
    /// The control plane's identity.pub, so that the agent's own token counts for its tier
    #[arg(long, value_name = "FILE")]
    identity_key: Vec<PathBuf>,
    /// The agent's token; needed with a control plane
    #[arg(long, env = "MESHGUARD_AGENT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    agent_token: Option<String>,
    /// An obligation that whoever reads the decisions enforces; may be repeated
    #[arg(long, value_name = "ID")]
    obligation: Vec<String>,
    /// Allow what can't be decided while the control plane can't be reached, for at most this many hours from first use
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=24))]
    fail_open_hours: Option<u64>,
    /// Milliseconds that asking the control plane may take
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    defer_timeout_ms: u64,
    /// Wait up to this many seconds to be in touch with the control plane. After that, decide from what is held, or fail if
    /// nothing is
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Stay subscribed after the end of standard input, until told to end
    #[arg(long)]
    stay: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Failure> {
    let edge = Edge::open(config(global, args)?)?;
    if let Some(seconds) = args.wait
        && !edge.wait_until_live(Duration::from_secs(seconds))
    {
        go_on_without(global, &edge.status())?;
    }
    let status = edge.status().engine;
    let revision = status.revision.map_or_else(|| "nothing yet".to_owned(), |revision| revision.to_string());
    note(
        global,
        &format!("deciding lines of JSON from standard input; state {}, serving {revision}", status.state.as_str()),
    );
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        if !line.trim_ascii().is_empty() {
            print_line(&serde_json::to_string(&edge.decide_json(&line))?)?;
        }
    }
    if args.stay {
        super::wait_for_end()?;
    }
    if global.gateway.is_some() && !edge.flush_audit(Duration::from_secs(5)) {
        note(global, "some records aren't shipped yet; they are kept, and shipped next time");
    }
    let status = edge.status();
    edge.close();
    match refused_token(&status) {
        Some(error) => Err(Failure::new(Kind::Authentication, error)),
        None => Ok(()),
    }
}

/// The control plane's last word, if it was that it doesn't accept the agent's token.
fn refused_token(status: &EdgeStatus) -> Option<String> {
    let error = status.sync.last_error.as_deref()?;
    let judged = ["Unauthenticated: ", "PermissionDenied: "].iter().any(|code| error.starts_with(code));
    judged.then(|| format!("the control plane refuses the agent's token: {error}"))
}

/// The control plane didn't confirm what is served: says why, and whether what is held is enough to decide.
fn go_on_without(global: &Global, status: &EdgeStatus) -> Result<(), Failure> {
    if status.sync.gateway.is_none() {
        note(
            global,
            "no control plane is named, so there is none to wait for: --gateway URL, or MESHGUARD_GATEWAY_URL",
        );
        return Ok(());
    }
    let error = status.sync.last_error.as_deref().unwrap_or("no answer yet");
    let (kind, why) = if let Some(refusal) = &status.engine.behind {
        (Kind::Denied, format!("what the control plane serves is refused here: {refusal}"))
    } else if let Some(refusal) = refused_token(status) {
        (Kind::Authentication, refusal)
    } else {
        let gateway = status.sync.gateway.as_deref().unwrap_or_default();
        (Kind::Network, format!("not in touch with the control plane: {error}; {}", advice(gateway, error)))
    };
    match (kind, status.engine.state) {
        (Kind::Authentication, _) | (_, State::Empty) => Err(Failure::new(kind, why)),
        _ => {
            note(global, &format!("{why}\ndeciding from what is held"));
            Ok(())
        }
    }
}

/// The token that a control plane asks for. Its signature is checked there; that it is none can be said here.
fn token(args: &Args) -> Result<&str, Failure> {
    let refuse = |text| Err(Failure::new(Kind::Authentication, text));
    match args.agent_token.as_deref() {
        None => refuse("an agent's token is needed: --agent-token or MESHGUARD_AGENT_TOKEN"),
        Some(token) if token.split('.').filter(|part| !part.is_empty()).count() != 3 => refuse(
            "what --agent-token or MESHGUARD_AGENT_TOKEN holds is no token; `meshguard identity issue` makes one",
        ),
        Some(token) => Ok(token),
    }
}

fn config(global: &Global, args: &Args) -> Result<EdgeConfig, Failure> {
    let mut config = EdgeConfig::new(args.tenant.as_str())
        .scope(args.scope.as_str())
        .state_dir(&args.state)
        .defer_timeout(Duration::from_millis(args.defer_timeout_ms));
    if let Some(gateway) = global.gateway()? {
        config = config.gateway(gateway).agent_token(token(args)?);
    } else if let Some(token) = &args.agent_token {
        config = config.agent_token(token.as_str());
    }
    if let Some(ca) = global.ca_pem()? {
        config = config.ca_pem(ca);
    }
    if let Some(hours) = args.fail_open_hours {
        config = config.failure_mode(FailureMode::Open).fail_open_for(Duration::from_secs(hours * 3600));
    }
    for key in &args.trust_key {
        config = config.trusted_key(read(key)?);
    }
    for key in &args.identity_key {
        config = config.identity_key(read(key)?);
    }
    for obligation in &args.obligation {
        config = config.obligation(obligation.as_str());
    }
    Ok(config)
}
