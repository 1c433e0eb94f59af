//! Encrypted, both protocols.

use std::sync::Arc;

use meshguard_pdp::{Error, Server, Tls};
use meshguard_proto::v1::Effect;
use meshguard_proto::v1::mesh_guard_pdp_client::MeshGuardPdpClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::common::{Bearer, World, request, within};

const CERT: &[u8] = include_bytes!("../data/localhost.pem");
const KEY: &[u8] = include_bytes!("../data/localhost.key");

#[tokio::test]
async fn grpc_and_http_over_tls() {
    let world = World::with(|config| config.tls = Some(Tls { cert_pem: CERT.to_vec(), key_pem: KEY.to_vec() }));
    let url = format!("https://localhost:{}", world.server().addr().port());
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(CERT));
    let endpoint = Channel::from_shared(url.clone()).unwrap().tls_config(tls).unwrap();
    let channel = within(endpoint.connect()).await.unwrap();
    let token = world.token("acme", "agent-7");
    let mut pdp = MeshGuardPdpClient::with_interceptor(channel, Bearer(token));
    let answer = within(pdp.evaluate(request("files.read"))).await.unwrap().into_inner();
    assert_eq!(answer.effect(), Effect::Error, "nothing is published");

    let health = tokio::task::spawn_blocking(move || {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = ureq::tls::RootCerts::new_with_certs(&[ureq::tls::Certificate::from_pem(CERT).unwrap()]);
        let tls =
            ureq::tls::TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(roots).build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
        agent.get(format!("{url}/health")).call().map(|response| response.status().as_u16())
    });
    assert_eq!(within(health).await.unwrap().unwrap(), 200);
    // Plain text to a TLS port is no HTTP.
    let plain = Channel::from_shared(format!("http://{}", world.server().addr())).unwrap();
    let mut pdp = MeshGuardPdpClient::new(plain.connect_lazy());
    assert!(within(pdp.evaluate(request("files.read"))).await.is_err());
}

#[test]
fn a_bad_certificate_is_said_to_be() {
    let world = World::new();
    let other = tempfile::tempdir().unwrap();
    for (cert, key) in [(&b""[..], KEY), (CERT, b""), (b"rubbish", KEY)] {
        let mut config = world.config.clone();
        config.data_dir = other.path().to_owned();
        config.tls = Some(Tls { cert_pem: cert.to_vec(), key_pem: key.to_vec() });
        assert!(matches!(Server::start(config), Err(Error::Tls(_))));
    }
}
