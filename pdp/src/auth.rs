//! Who is calling: an agent by its token, or an administrator by theirs. Neither credential opens the other's door.

use std::sync::Arc;

use meshguard_engine::token::KeySet;
use meshguard_engine::{Clock, Identity};

use crate::config::AdminToken;
use crate::failure::Failure;

/// Checks credentials.
pub(crate) struct Auth {
    agents: KeySet,
    admin: AdminToken,
    clock: Arc<dyn Clock>,
}

impl Auth {
    pub(crate) fn new(agents: KeySet, admin: AdminToken, clock: Arc<dyn Clock>) -> Self {
        Self { agents, admin, clock }
    }

    /// The agent whose token the `Authorization` header carries.
    pub(crate) fn agent(&self, authorization: Option<&str>) -> Result<Arc<Identity>, Failure> {
        let token = bearer(authorization)?;
        self.agents
            .verify(token, self.clock.wall_ms())
            .map(Arc::new)
            .map_err(|error| Failure::unauthenticated(error.to_string()))
    }

    /// Whether the `Authorization` header carries the admin token.
    pub(crate) fn admin(&self, authorization: Option<&str>) -> Result<(), Failure> {
        let token = bearer(authorization)?;
        if self.admin.matches(token) {
            return Ok(());
        }
        if self.agents.verify(token, self.clock.wall_ms()).is_ok() {
            return Err(Failure::denied("not_admin", "an agent's token doesn't administer; use the admin token"));
        }
        Err(Failure::unauthenticated("not the admin token; see `admin.token` in the server's data folder"))
    }

    /// Whether a credential that was good when the call began still is.
    pub(crate) fn still(&self, identity: &Identity) -> Result<(), Failure> {
        if self.clock.wall_ms() < identity.expires_at_ms() {
            return Ok(());
        }
        Err(Failure::unauthenticated("the token has expired; get a new one"))
    }
}

/// A message's `tenant_id` is a cross-check: it names the credential's tenant, or nothing.
pub(crate) fn same_tenant(identity: &Identity, named: &str) -> Result<(), Failure> {
    if named.is_empty() || named == identity.tenant() {
        return Ok(());
    }
    Err(Failure::denied("tenant", "the message names another tenant than the token"))
}

fn bearer(authorization: Option<&str>) -> Result<&str, Failure> {
    let (scheme, token) = authorization
        .and_then(|value| value.split_once(' '))
        .ok_or_else(|| Failure::unauthenticated("send `Authorization: Bearer <token>`"))?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Failure::unauthenticated("send `Authorization: Bearer <token>`"));
    }
    Ok(token.trim())
}

#[cfg(test)]
mod tests {
    use meshguard_engine::token::Claims;
    use meshguard_engine::{ManualClock, SigningKey, Tier};

    use super::*;

    #[test]
    fn each_credential_opens_its_own_door() {
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let key = SigningKey::generate().unwrap();
        let admin = AdminToken::generate().unwrap();
        let auth = Auth::new(KeySet::new(vec![key.public().unwrap()]), admin.clone(), clock.clone());
        let token = Claims::new("acme", "agent-7", Tier::Trusted, clock.wall_ms(), 60).sign(&key).unwrap();
        let (agent, admin) = (format!("Bearer {token}"), format!("bearer {}", admin.expose()));

        let identity = auth.agent(Some(&agent)).unwrap();
        assert_eq!((identity.tenant(), identity.subject()), ("acme", "agent-7"));
        assert!(auth.admin(Some(&admin)).is_ok());
        assert_eq!(auth.admin(Some(&agent)).unwrap_err().code(), "not_admin");
        assert_eq!(auth.agent(Some(&admin)).unwrap_err().code(), "bad_token");
        for nothing in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic eDp5"), Some(token.as_str())] {
            assert_eq!(auth.agent(nothing).unwrap_err().code(), "bad_token", "{nothing:?}");
            assert_eq!(auth.admin(nothing).unwrap_err().code(), "bad_token", "{nothing:?}");
        }

        assert!(auth.still(&identity).is_ok());
        clock.advance_ms(120_000);
        assert!(auth.still(&identity).is_err());
        assert!(auth.agent(Some(&agent)).is_err());
        assert!(same_tenant(&identity, "").is_ok() && same_tenant(&identity, "acme").is_ok());
        assert_eq!(same_tenant(&identity, "umbrella").unwrap_err().code(), "tenant");
    }
}
