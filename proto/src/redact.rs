//! `Debug` of the messages that carry a secret: everything but the secret.

use std::fmt::{Debug, Formatter, Result};

use crate::v1::{AgentToken, ExchangeRequest};

const HIDDEN: &str = "[hidden]";

impl Debug for AgentToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { token: _, token_id, key_id, issued_at_unix_ms, expires_at_unix_ms } = self;
        f.debug_struct("AgentToken")
            .field("token", &HIDDEN)
            .field("token_id", token_id)
            .field("key_id", key_id)
            .field("issued_at_unix_ms", issued_at_unix_ms)
            .field("expires_at_unix_ms", expires_at_unix_ms)
            .finish()
    }
}

impl Debug for ExchangeRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { tenant_id, jwt_svid: _, audience, ttl_ms } = self;
        f.debug_struct("ExchangeRequest")
            .field("tenant_id", tenant_id)
            .field("jwt_svid", &HIDDEN)
            .field("audience", audience)
            .field("ttl_ms", ttl_ms)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_holds_a_secret() {
        let token = AgentToken { token: "s3cret".into(), token_id: "jti-1".into(), ..Default::default() };
        let exchange = ExchangeRequest { jwt_svid: "s3cret".into(), tenant_id: "acme".into(), ..Default::default() };
        let shown = format!("{token:?} {exchange:#?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("jti-1") && shown.contains("acme"), "{shown}");
    }
}
