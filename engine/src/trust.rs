//! Trust tiers: how far an actor is trusted, lowest first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far an actor is trusted. Ordered: `Unverified < Verified < Trusted < Privileged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Nobody vouched for this actor. What anyone unknown gets.
    #[default]
    Unverified,
    /// Its identity was checked.
    Verified,
    /// It has a good record.
    Trusted,
    /// It may do what few may.
    Privileged,
}

impl Tier {
    /// The name used in tokens, policies and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Trusted => "trusted",
            Self::Privileged => "privileged",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, UnknownTier> {
        [Self::Unverified, Self::Verified, Self::Trusted, Self::Privileged]
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| UnknownTier(text.to_owned()))
    }
}

/// A text that names no tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no trust tier; use unverified, verified, trusted or privileged")]
pub struct UnknownTier(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_names() {
        assert!(Tier::Unverified < Tier::Verified && Tier::Trusted < Tier::Privileged);
        assert_eq!("trusted".parse(), Ok(Tier::Trusted));
        assert_eq!(Tier::default(), Tier::Unverified);
        assert!("root".parse::<Tier>().is_err());
    }
}
