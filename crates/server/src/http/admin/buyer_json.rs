//! A buyer as admins see them.

use crate::shop::board::Person;
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
    pub(super) fn of(id: BuyerId, people: &HashMap<BuyerId, Person>) -> Self {
        let person = people.get(&id).cloned();
        let (email, username) = person.map(|person| (person.email, person.username)).unzip();
        Self { id: id.0, email, username }
    }
}
