//! A buyer in the replies for admins.

use crate::shop::dashboard::BuyerIdentity;
use sale::BuyerId;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A buyer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Buyer)]
pub(super) struct BuyerJson {
    id: Uuid,
    /// Null when the account was deleted.
    email: Option<String>,
    /// Null when the account was deleted.
    username: Option<String>,
}

impl BuyerJson {
    pub(super) fn from_people(id: BuyerId, people: &HashMap<BuyerId, BuyerIdentity>) -> Self {
        let person = people.get(&id).cloned();
        let (email, username) = person.map(|person| (person.email, person.username)).unzip();
        Self { id: id.0, email, username }
    }

    /// All buyers, in the order of their ids.
    pub(super) fn list_people(people: &HashMap<BuyerId, BuyerIdentity>) -> Vec<Self> {
        let mut ids: Vec<BuyerId> = people.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| Self::from_people(id, people)).collect()
    }

    /// The e-mail address and the username, if the account exists.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.email.as_deref(), self.username.as_deref())
    }
}
