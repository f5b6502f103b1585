//! A buyer as admins see them.

use crate::shop::dashboard::BuyerIdentity;
use sale::BuyerId;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who a buyer is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Buyer)]
pub(super) struct BuyerJson {
    /// The account's id.
    id: Uuid,
    /// The address; null when there is no account of this id any more.
    email: Option<String>,
    /// The name; null when there is no account of this id any more.
    username: Option<String>,
}

impl BuyerJson {
    pub(super) fn from_people(id: BuyerId, people: &HashMap<BuyerId, BuyerIdentity>) -> Self {
        let person = people.get(&id).cloned();
        let (email, username) = person.map(|person| (person.email, person.username)).unzip();
        Self { id: id.0, email, username }
    }

    /// All of these people, in the order of their ids.
    pub(super) fn list_people(people: &HashMap<BuyerId, BuyerIdentity>) -> Vec<Self> {
        let mut ids: Vec<BuyerId> = people.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| Self::from_people(id, people)).collect()
    }

    /// The address and the name, if there is an account.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.email.as_deref(), self.username.as_deref())
    }
}
