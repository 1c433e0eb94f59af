//! `meshguard serve`: the control plane, one process, one port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use meshguard_pdp::{AdminToken, ServeConfig, Server, Tls};

use super::{public_key, read, wait_for_end};
use crate::Global;
use crate::failure::Failure;
use crate::output::note;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A file with the admin token to accept, instead of the generated one in DIR/admin.token
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
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
        config.tls = Some(Tls { cert_pem: read(cert)?.into_bytes(), key_pem: read(key)?.into_bytes() });
    }
    // Never `--token` or its variable: that is what a client shows, perhaps to another server.
    if let Some(file) = &args.admin_token_file {
        let token = AdminToken::new(read(file)?.trim());
        config.admin_token = Some(token.map_err(|e| Failure::arguments(format!("`{}`: {e}", file.display())))?);
    }
    for (tenant, file) in args.publisher {
        config.publishers.entry(tenant).or_default().push(public_key(&file)?);
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let server = Server::start(config)?;
    note(global, &introduction(scheme, server.addr(), &args.data, args.admin_token_file.as_deref()));
    wait_for_end()?;
    note(global, "stopping");
    server.stop();
    Ok(())
}

fn introduction(scheme: &str, addr: SocketAddr, data: &Path, token_file: Option<&Path>) -> String {
    let token_file = token_file.map_or_else(|| data.join("admin.token"), Path::to_owned);
    format!(
        "serving {scheme}://{addr} (gRPC and HTTP)\n  admin token   in {}\n  identity key  {} (agents' tokens), {} (for edges)",
        token_file.display(),
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
