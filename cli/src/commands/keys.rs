//! `meshguard keys`: the publisher's signing key.

use std::path::PathBuf;

use meshguard_engine::SigningKey;
use serde_json::json;

use super::{public_key, signing_key, write_secret};
use crate::Global;
use crate::failure::Failure;
use crate::output::print;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key: NAME.key (secret, PKCS #8 PEM) and NAME.pub
    Generate {
        /// Where, without the ending
        #[arg(short, long, default_value = "publisher", value_name = "NAME")]
        out: PathBuf,
    },
    /// Show a key's id, and its public half
    Show {
        /// A .key or a .pub file
        file: PathBuf,
    },
}

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate { out } => {
            let key = SigningKey::generate()?;
            let (secret, public) = (out.with_added_extension("key"), out.with_added_extension("pub"));
            write_secret(&secret, &key.to_pem()?)?;
            std::fs::write(&public, key.public()?.to_pem())?;
            let id = key.public()?.id();
            print(global, &json!({ "id": id, "secret": secret, "public": public }), || {
                format!(
                    "key {id}\n  secret  {}   keep it where publishing happens, and nowhere else\n  public  {}   give it to every edge and control plane",
                    secret.display(),
                    public.display()
                )
            })
        }
        Command::Show { file } => {
            let key = match signing_key(&file) {
                Ok(key) => key.public()?,
                Err(_) => public_key(&file)?,
            };
            print(global, &json!({ "id": key.id(), "public": key.to_pem() }), || {
                format!("key {}\n{}", key.id(), key.to_pem().trim_end())
            })
        }
    }
}
