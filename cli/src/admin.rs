//! The control plane's administration, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

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
            .gateway()?
            .ok_or_else(|| Failure::arguments("name the control plane: --gateway URL, or MESHGUARD_GATEWAY_URL"))?;
        let token = global.token.as_deref().ok_or_else(|| {
            Failure::new(Kind::Authentication, "an admin token is needed: --token, or MESHGUARD_ADMIN_TOKEN")
        })?;
        Self::connect(gateway, token, global.ca_pem()?.as_deref())
    }

    /// To this control plane, trusting these certificates (PEM) for https, or the system's.
    pub(crate) fn connect(gateway: &str, token: &str, ca_pem: Option<&str>) -> Result<Self, Failure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Always set: ureq's own default panics in a build without its list of certificates.
        let roots = match ca_pem {
            Some(pem) => certificates(pem)?,
            None if gateway.starts_with("https://") => system_certificates()?,
            None => vec![],
        };
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::new_with_certs(&roots));
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
                format!("`{}` can't be reached: {e}; {}", self.gateway, advice(&self.gateway, &e.to_string())),
            )
        })?;
        read(response)
    }
}

/// What to look at when `gateway` can't be reached, judged by the words of the failure.
pub(crate) fn advice(gateway: &str, error: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["CaUsedAsEndEntity"]) {
        "the server's certificate must not be a CA certificate (make it with basicConstraints=CA:FALSE)"
    } else if says(&["UnknownIssuer"]) {
        "nobody trusted here has issued the server's certificate; name who did with --ca"
    } else if gateway.starts_with("https://") && says(&["InvalidContentType"]) {
        "does it speak http?"
    } else if gateway.starts_with("http://") && says(NOT_HTTP) {
        "does it speak https?"
    } else {
        "is `meshguard serve` running?"
    }
}

/// What clients say of a server that answers plain HTTP with a TLS alert.
const NOT_HTTP: &[&str] = &["protocol: ", "http2 error", "stream closed", "UnexpectedEof", "disconnected"];

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::arguments(format!("the certificates to trust: {e}"));
    let mut found = vec![];
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| refuse(&e))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(refuse(&"no PEM certificate found")) } else { Ok(found) }
}

fn system_certificates() -> Result<Vec<Certificate<'static>>, Failure> {
    let pem = meshguard_sync::system_certificates().ok_or_else(|| {
        Failure::arguments("this system has no list of certificates at a usual place; name whom to trust: --ca FILE")
    })?;
    certificates(&pem)
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
    use super::{advice, escape};

    #[test]
    fn advice_fits_the_failure() {
        let tls = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        assert!(advice("https://localhost", tls).contains("basicConstraints=CA:FALSE"));
        assert!(advice("http://localhost", "protocol: http parse fail: invalid token").contains("https?"));
        assert!(advice("http://localhost", "io: Connection refused").contains("meshguard serve"));
    }

    #[test]
    fn only_unreserved_characters_pass() {
        assert_eq!(escape("acme-1/ä?&"), "acme-1%2F%C3%A4%3F%26");
    }
}
