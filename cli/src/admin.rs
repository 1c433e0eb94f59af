//! The control plane's administration, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::Global;
use crate::failure::{Failure, Kind};

/// A control plane, and the right to administer it.
pub(crate) struct Admin {
    agent: Agent,
    gateway: String,
    token: String,
}

impl Admin {
    /// From `--gateway` and `--token`, or their variables.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let gateway = global
            .gateway
            .as_deref()
            .ok_or_else(|| Failure::arguments("name the control plane: --gateway URL, or MESHGUARD_GATEWAY_URL"))?;
        let token = global.token.as_deref().ok_or_else(|| {
            Failure::new(Kind::Authentication, "an admin token is needed: --token, or MESHGUARD_ADMIN_TOKEN")
        })?;
        let ca = global.ca.as_ref().map(std::fs::read).transpose()?;
        Self::connect(gateway, token, ca.as_deref())
    }

    /// To this control plane.
    pub(crate) fn connect(gateway: &str, token: &str, ca_pem: Option<&[u8]>) -> Result<Self, Failure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if let Some(pem) = ca_pem {
            let certificate = Certificate::from_pem(pem).map_err(|e| Failure::arguments(format!("CA: {e}")))?;
            tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .tls_config(tls.build())
            .build()
            .into();
        Ok(Self { agent, gateway: gateway.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// Publishes a signed bundle's archive.
    pub(crate) fn publish(&self, archive: &[u8]) -> Result<Value, Failure> {
        self.send("POST", "/api/v1/admin/policies", "application/gzip", archive.to_vec())
    }

    /// Says whose signatures the control plane accepts for `tenant`.
    pub(crate) fn set_publishers(&self, tenant: &str, pems: &[String]) -> Result<Value, Failure> {
        let body = serde_json::to_vec(&serde_json::json!({ "keys": pems }))?;
        self.send("PUT", &format!("/api/v1/admin/tenants/{}/publishers", escape(tenant)), "application/json", body)
    }

    /// Replaces the data that only the control plane holds for `tenant`.
    pub(crate) fn set_data(&self, tenant: &str, json: Vec<u8>) -> Result<Value, Failure> {
        self.send("PUT", &format!("/api/v1/admin/tenants/{}/data", escape(tenant)), "application/json", json)
    }

    /// Reads something, by path and query.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let separator = if query.is_empty() { "" } else { "?" };
        self.send("GET", &format!("/api/v1/admin/{path}{separator}{}", query.join("&")), "", vec![])
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.gateway))
            .header("authorization", format!("Bearer {}", self.token));
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(body).map_err(Failure::arguments)?;
        let response = self.agent.run(request).map_err(|e| {
            Failure::new(
                Kind::Network,
                format!("`{}` can't be reached: {e}; is `meshguard serve` running?", self.gateway),
            )
        })?;
        read(response)
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Value, Failure> {
    let status = response.status();
    let text = response.body_mut().with_config().limit(256 << 20).read_to_string().map_err(Failure::general)?;
    if status.is_success() {
        return if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) };
    }
    let kind = match status.as_u16() {
        401 | 403 => Kind::Authentication,
        409 | 422 => Kind::Denied,
        502..=504 => Kind::Network,
        _ => Kind::General,
    };
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = match serde_json::from_value::<meshguard_engine::Refusal>(value.clone()) {
        Ok(refusal) => refusal.to_string(),
        Err(_) => value.pointer("/error/message").and_then(Value::as_str).unwrap_or(&text).to_owned(),
    };
    Err(Failure::new(kind, format!("the control plane answered {}: {message}", status.as_u16())))
}

/// Percent-encodes what isn't unreserved (RFC 3986, section 2.3).
fn escape(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn only_unreserved_characters_pass() {
        assert_eq!(escape("acme-1/ä?&"), "acme-1%2F%C3%A4%3F%26");
    }
}
