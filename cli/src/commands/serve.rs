//! `meshguard serve`: the control plane, one process, one port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use meshguard_pdp::{AdminToken, ServeConfig, Server, Tls};

use super::{public_key, wait_for_end};
use crate::Global;
use crate::failure::Failure;
use crate::output::note;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDR")]
    listen: SocketAddr,
    /// Accept policies of TENANT signed by this public key; may be repeated
    #[arg(long, value_name = "TENANT=FILE", value_parser = publisher)]
    publisher: Vec<(String, PathBuf)>,
    /// Certificate chain (PEM); with --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve plain text on an address other than loopback, because something in front encrypts
    #[arg(long)]
    allow_plaintext: bool,
    /// Seconds between heartbeats
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    heartbeat_seconds: u64,
}

pub(crate) fn run(global: &Global, args: Args) -> Result<(), Failure> {
    let mut config = ServeConfig::new(&args.data, args.listen);
    config.allow_plaintext = args.allow_plaintext;
    config.heartbeat_interval = std::time::Duration::from_secs(args.heartbeat_seconds);
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        config.tls = Some(Tls { cert_pem: std::fs::read(cert)?, key_pem: std::fs::read(key)? });
    }
    if let Some(token) = &global.token {
        config.admin_token = Some(AdminToken::new(token.as_str())?);
    }
    for (tenant, file) in args.publisher {
        config.publishers.entry(tenant).or_default().push(public_key(&file)?);
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let server = Server::start(config)?;
    note(global, &introduction(scheme, server.addr(), &args.data, global.token.is_some()));
    wait_for_end()?;
    note(global, "stopping");
    server.stop();
    Ok(())
}

fn introduction(scheme: &str, addr: SocketAddr, data: &Path, own_token: bool) -> String {
    let admin = match own_token {
        true => "as given".to_owned(),
        false => format!("in {}", data.join("admin.token").display()),
    };
    format!(
        "serving {scheme}://{addr} (gRPC and HTTP)\n  admin token   {admin}\n  identity key  {} (agents' tokens), {} (for edges)",
        data.join("identity.key").display(),
        data.join("identity.pub").display(),
    )
}

fn publisher(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((tenant, file)) if !tenant.is_empty() && !file.is_empty() => Ok((tenant.to_owned(), file.into())),
        _ => Err("write TENANT=FILE, e.g. acme=publisher.pub".to_owned()),
    }
}
