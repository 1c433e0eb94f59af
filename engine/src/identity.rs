//! Who a request is verified to come from.

use std::sync::Arc;

use crate::trust::Tier;

/// An actor whose credential was verified. Made by [`KeySet::verify`](crate::token::KeySet::verify); nothing a caller
/// writes into a request can make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub(crate) tenant: String,
    pub(crate) subject: String,
    pub(crate) tier: Tier,
    pub(crate) score: f64,
    pub(crate) tags: Vec<String>,
    pub(crate) spiffe_id: Option<String>,
    pub(crate) claims_json: Arc<str>,
    pub(crate) expires_at_ms: i64,
}

impl Identity {
    /// The tenant that the credential belongs to.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The actor's id.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The tier that the issuer vouched for.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// When the credential ends, the clocks' leeway included, in milliseconds since the Unix epoch.
    pub fn expires_at_ms(&self) -> i64 {
        self.expires_at_ms
    }

    /// Whether these claims apply to the actor that a request names: it names nobody or this subject, in this tenant, and
    /// the credential still holds. Else none apply, and the actor is a hint with the lowest tier.
    pub(crate) fn applies_to(&self, tenant: &str, actor_id: &str, now_ms: i64) -> bool {
        self.tenant == tenant && (actor_id.is_empty() || actor_id == self.subject) && now_ms < self.expires_at_ms
    }
}
