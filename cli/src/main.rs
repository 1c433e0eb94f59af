//! The `meshguard` command.

mod admin;
mod commands;
mod failure;
mod output;

use std::io::IsTerminal;

use clap::{Parser, Subcommand};

use crate::commands::{audit, bundle, demo, edge, eval, identity, keys, policy, serve, status};
use crate::failure::Failure;

/// Policy decisions for AI agents: decide locally, stay current, record everything.
#[derive(Parser)]
#[command(name = "meshguard", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Print data as JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but results
    #[arg(long, short, global = true)]
    quiet: bool,
    /// The control plane, http://… or https://…, e.g. http://127.0.0.1:7420
    #[arg(long, global = true, env = "MESHGUARD_GATEWAY_URL", value_name = "URL")]
    gateway: Option<String>,
    /// The admin token, for commands that administer
    #[arg(long, global = true, env = "MESHGUARD_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The certificates (PEM) to trust for https, instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
}

impl Global {
    /// The control plane's URL, if one is named.
    fn gateway(&self) -> Result<Option<&str>, Failure> {
        match self.gateway.as_deref() {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                Err(Failure::arguments(format!("`{url}` is no gateway: a gateway is http://… or https://…")))
            }
            gateway => Ok(gateway),
        }
    }

    /// What `--ca` names, if it is given.
    fn ca_pem(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.ca else { return Ok(None) };
        let pem = std::fs::read_to_string(path)
            .map_err(|e| Failure::arguments(format!("--ca: can't read `{}`: {e}", path.display())))?;
        match pem.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(Some(pem)),
            false => Err(Failure::arguments(format!("--ca: `{}` holds no PEM certificate", path.display()))),
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// The whole story on one machine, in under a minute
    Demo(demo::Args),
    /// Run a control plane
    Serve(serve::Args),
    /// Make and show signing keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Build, sign, verify and inspect bundles
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Publish policies to a control plane, and see what it holds
    #[command(subcommand)]
    Policy(policy::Command),
    /// Ask a bundle, offline
    Eval(eval::Args),
    /// Run a headless edge: decide lines of JSON from standard input
    Edge(edge::Args),
    /// See what was recorded
    #[command(subcommand)]
    Audit(audit::Command),
    /// Issue agents their tokens
    #[command(subcommand)]
    Identity(identity::Command),
    /// An edge's state folder, or a control plane with every edge
    Status(status::Args),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    start_logging();
    let result = match cli.command {
        Command::Demo(args) => demo::run(&cli.global, &args),
        Command::Serve(args) => serve::run(&cli.global, args),
        Command::Keys(command) => keys::run(&cli.global, command),
        Command::Bundle(command) => bundle::run(&cli.global, command),
        Command::Policy(command) => policy::run(&cli.global, command),
        Command::Eval(args) => eval::run(&cli.global, &args),
        Command::Edge(args) => edge::run(&cli.global, &args),
        Command::Audit(command) => audit::run(&cli.global, command),
        Command::Identity(command) => identity::run(&cli.global, command),
        Command::Status(args) => status::run(&cli.global, &args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(cli.global.json);
            failure.code()
        }
    }
}

/// Logs go to standard error, and only where `MESHGUARD_LOG` asks for more than warnings.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MESHGUARD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_definition_holds() {
        super::Cli::command().debug_assert();
    }
}
