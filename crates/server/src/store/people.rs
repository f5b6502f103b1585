//! Who buyers are, for admins: names of many accounts at once.

use super::{Store, StoreError};
use sale::BuyerId;
use sqlx::Row;
use std::collections::HashMap;
use std::sync::OnceLock;

/// What an admin sees of a buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The name.
    pub username: String,
}

/// Ids a statement; a question for fewer repeats its last one.
const IDS: usize = 50;

static FIND: OnceLock<String> = OnceLock::new();

pub(super) fn find_text() -> &'static str {
    FIND.get_or_init(|| {
        let ids: Vec<String> = (1..=IDS).map(|n| format!("${n}")).collect();
        format!("SELECT id, email, username FROM users WHERE id IN ({})", ids.join(", "))
    })
}

/// The people behind these ids; ids without an account are left out.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, ids: &[BuyerId]) -> Result<HashMap<BuyerId, Person>, StoreError> {
    let mut people = HashMap::new();
    for ids in ids.chunks(IDS) {
        let mut query = sqlx::query(find_text());
        for n in 0..IDS {
            query = query.bind(ids.get(n).or(ids.last()).map(BuyerId::to_string));
        }
        for row in query.fetch_all(store.reader()).await? {
            let id: String = row.try_get("id")?;
            let person = Person { email: row.try_get("email")?, username: row.try_get("username")? };
            match id.parse() {
                Ok(buyer) => people.insert(buyer, person),
                Err(_) => {
                    return Err(StoreError::Damaged { table: "users", id, reason: "its id is not a UUID" });
                }
            };
        }
    }
    Ok(people)
}
