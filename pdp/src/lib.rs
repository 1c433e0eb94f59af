//! MeshGuard's control plane: one process, one port, gRPC and HTTP.
//!
//! It keeps the policies that publishers signed and sends them to edges, decides what edges defer to it, and keeps their
//! audit records. Nothing here signs a policy: a manifest is the publisher's, checked before it is stored and sent on as
//! it came.
//!
//! ```no_run
//! use meshguard_pdp::{ServeConfig, Server};
//!
//! let config = ServeConfig::new("/var/lib/meshguard", "127.0.0.1:8443".parse()?);
//! let server = Server::start(config)?;
//! println!("listening on {}", server.addr());
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod config;
mod error;
mod evaluate;
mod failure;
mod feed;
mod fleet;
mod grpc;
mod heads;
mod http;
mod ingest;
mod layout;
mod ledger;
mod limits;
mod listener;
mod locks;
mod metrics;
mod publish;
mod secrets;
mod server;
mod state;
mod tenants;
mod tls;
mod versions;
mod wire;

pub use self::config::{AdminToken, Limits, ServeConfig, Tls};
pub use self::error::Error;
pub use self::server::Server;
