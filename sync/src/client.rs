//! The channel to the gateway: who is spoken to, under which protection, with which credential.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::Uri;
use meshguard_proto::v1::mesh_guard_pdp_client::MeshGuardPdpClient;
use meshguard_proto::v1::mesh_guard_sync_client::MeshGuardSyncClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::config::EdgeConfig;
use crate::error::Error;

/// tonic sets none of these by itself; without them a connection that went dead is waited for forever.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_PATIENCE: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The largest event or chunk read: a manifest of the largest size, with room for its envelope.
const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// The largest answer read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The largest message sent: a batch of records, of which one may be large.
const MAX_SENT_BYTES: usize = 4 * 1024 * 1024;

/// Where systems keep the certificates they trust. Read by path: a library doesn't look at its host's environment.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Metadata that names the scope of a question.
const SCOPE: &str = "x-meshguard-scope";

/// The clients' channel: every call carries the token.
pub(crate) type Authorised = InterceptedService<Channel, Bearer>;

/// The control plane, connected to on first use and again whenever the connection is lost.
#[derive(Clone)]
pub(crate) struct Gateway {
    channel: Channel,
    bearer: Bearer,
    scope: MetadataValue<Ascii>,
}

impl Gateway {
    /// To be called inside the runtime that is to drive the connection.
    ///
    /// # Errors
    /// The scope can't be in a header.
    pub(crate) fn new(endpoint: &Endpoint, bearer: Bearer, scope: &str) -> Result<Self, Error> {
        let scope = scope.parse().map_err(|_| Error::Config("`scope` must be ASCII with a gateway".into()))?;
        Ok(Self { channel: endpoint.connect_lazy(), bearer, scope })
    }

    /// A question about this edge's scope. Metadata, because a request doesn't say which bundle is to be asked.
    pub(crate) fn question<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(SCOPE, self.scope.clone());
        request
    }

    /// For decisions and for the stream of changes.
    pub(crate) fn pdp(&self) -> MeshGuardPdpClient<Authorised> {
        MeshGuardPdpClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .max_encoding_message_size(MAX_SENT_BYTES)
    }

    /// The same, for messages that hold manifests.
    pub(crate) fn subscriber(&self) -> MeshGuardPdpClient<Authorised> {
        self.pdp().max_decoding_message_size(MAX_EVENT_BYTES)
    }

    /// For bodies, reports and records.
    pub(crate) fn sync(&self) -> MeshGuardSyncClient<Authorised> {
        MeshGuardSyncClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MAX_EVENT_BYTES)
            .max_encoding_message_size(MAX_SENT_BYTES)
    }
}

/// How the configured gateway is reached; none is configured: none.
///
/// # Errors
/// The URL can't be used, would send the token in the clear, or the certificates can't be read.
pub(crate) fn endpoint(config: &EdgeConfig) -> Result<Option<Endpoint>, Error> {
    let Some(url) = &config.gateway else { return Ok(None) };
    let refuse = |text: String| Err(Error::Config(text));
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("`gateway` is no URL; write e.g. `https://pdp.example.com:8443`".into());
    };
    let Some(host) = uri.host() else {
        return refuse("`gateway` names no host; write e.g. `https://pdp.example.com:8443`".into());
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refuse("`gateway` holds a user name or password; use `agent_token`".into());
    }
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return refuse("`gateway` has a path; only scheme, host and port are used".into());
    }
    let endpoint = Endpoint::from(uri.clone())
        .user_agent(concat!("meshguard-sync/", env!("CARGO_PKG_VERSION")))
        .map_err(|e| Error::Config(format!("`gateway`: {e}")))?
        .connect_timeout(CONNECT_PATIENCE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_PATIENCE)
        .keep_alive_while_idle(true)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .tcp_nodelay(true);
    match uri.scheme_str() {
        Some("https") => {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities(config)?));
            let endpoint = endpoint.tls_config(tls);
            endpoint.map(Some).map_err(|e| Error::Config(format!("`ca_pem` can't be used: {e}")))
        }
        Some("http") if is_loopback(host) || config.allow_plaintext => Ok(Some(endpoint)),
        Some("http") => refuse(format!(
            "`gateway` is plain http to `{host}`, where anybody on the way reads the token; use https, or say \
             `allow_plaintext`"
        )),
        _ => refuse("`gateway` must begin with `https://`, or with `http://` on loopback".into()),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // By name only `localhost` itself (RFC 6761); what other names resolve to is the resolver's word.
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The certificates that this system trusts, in PEM; none if they aren't at a usual place. For a program that calls the
/// same gateway by other means.
pub fn system_certificates() -> Option<String> {
    SYSTEM_CERTIFICATES.iter().find_map(|path| std::fs::read_to_string(path).ok())
}

fn authorities(config: &EdgeConfig) -> Result<String, Error> {
    if let Some(pem) = &config.ca_pem {
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(Error::Config("`ca_pem` holds no PEM certificate".into()));
        }
        return Ok(pem.clone());
    }
    system_certificates().ok_or_else(|| {
        Error::Config("this system has no list of certificates at a usual place; name the authority in `ca_pem`".into())
    })
}

// === impl Bearer ===

/// Puts the agent's token into every call. The token can be replaced, and is never shown.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Arc<RwLock<Option<MetadataValue<Ascii>>>>);

impl Bearer {
    /// # Errors
    /// The text can't be in a header.
    pub(crate) fn set(&self, token: &str) -> Result<(), Error> {
        let refuse =
            || Error::Config("`agent_token` is no token: it is empty, or holds characters that no token has".into());
        if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(refuse());
        }
        let mut value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| refuse())?;
        value.set_sensitive(true);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: EdgeConfig) -> Option<String> {
        endpoint(&config).err().map(|error| error.to_string())
    }

    fn edge(gateway: &str) -> EdgeConfig {
        EdgeConfig::new("acme").gateway(gateway)
    }

    #[test]
    fn plain_text_goes_nowhere_but_loopback() {
        for gateway in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.9.9.9"] {
            assert_eq!(refusal(edge(gateway)), None, "{gateway}");
        }
        for gateway in ["http://10.0.0.1:9", "http://pdp.example.com", "http://localhost.example.com", "http://[::2]:9"]
        {
            assert!(refusal(edge(gateway)).unwrap().contains("allow_plaintext"), "{gateway}");
            assert_eq!(refusal(edge(gateway).allow_plaintext(true)), None, "{gateway}");
        }
    }

    #[test]
    fn what_is_no_gateway_is_refused_without_showing_a_password() {
        for gateway in ["", "pdp.example.com:80", "ftp://localhost", "/path", "http://localhost:9/path"] {
            assert!(refusal(edge(gateway)).is_some(), "{gateway}");
        }
        let text = refusal(edge("https://user:hunter2@pdp.example.com")).unwrap();
        assert!(!text.contains("hunter2") && text.contains("agent_token"), "{text}");
        assert!(endpoint(&EdgeConfig::new("acme")).unwrap().is_none());
    }

    #[test]
    fn tls_wants_certificates() {
        assert!(refusal(edge("https://pdp.example.com").ca_pem("rubbish")).unwrap().contains("ca_pem"));
    }

    #[test]
    fn the_token_is_sent_replaced_and_never_shown() {
        let mut bearer = Bearer::default();
        assert!(bearer.call(Request::new(())).unwrap().metadata().is_empty());
        for token in ["first.token", "second.token"] {
            bearer.set(token).unwrap();
            let request = bearer.call(Request::new(())).unwrap();
            let sent = request.metadata().get("authorization").unwrap();
            assert_eq!(sent, &format!("Bearer {token}"));
            assert!(!format!("{sent:?} {bearer:?} {request:?}").contains("token"));
        }
        for token in ["", "with space", "new\nline", "ünicode"] {
            assert!(bearer.set(token).is_err(), "{token:?}");
        }
    }
}
