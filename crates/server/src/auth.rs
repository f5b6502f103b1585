//! Passwords, access tokens and refresh tokens. It never reads a table and never speaks HTTP.

pub mod passwords;
pub mod refresh;
pub mod revocation;
pub mod tokens;

use sale::id::BuyerId;
use sale::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Buyer,
    /// Manages the shop, and may buy too.
    Admin,
}

impl Role {
    /// The role as the tables and tokens write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Admin => "admin",
        }
    }
}

/// The text is not a role.
#[derive(Debug, thiserror::Error)]
#[error("a role is buyer or admin")]
pub struct RoleError;

impl std::str::FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "buyer" => Ok(Self::Buyer),
            "admin" => Ok(Self::Admin),
            _ => Err(RoleError),
        }
    }
}

/// What a valid access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub buyer: BuyerId,
    pub role: Role,
    /// The family of refresh tokens that it came with; revoking it voids the token.
    pub id: Uuid,
    pub expires_at: Timestamp,
}
