//! Buyers' names for admins: of many accounts at once, and accounts by a part of a name.

use super::{Store, StoreError, like_pattern};
use sale::BuyerId;
use sqlx::Row;
use std::collections::HashMap;
use std::sync::OnceLock;

/// What an admin sees of a buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerIdentity {
    pub email: String,
    pub username: String,
}

/// Ids a statement; a question for fewer repeats its last one.
const IDS: usize = 50;

pub(super) const STATEMENTS: &[&str] = &[SEARCH];

// Each inner half reads one index of names and no row of the table, which is many times as long for its password hashes.
const SEARCH: &str = "
SELECT id FROM users WHERE email IN (SELECT email FROM users WHERE email LIKE $1 ESCAPE '\\' LIMIT $2)
UNION
SELECT id FROM users
WHERE username_key IN (SELECT username_key FROM users WHERE username_key LIKE $1 ESCAPE '\\' LIMIT $2)";

static FIND: OnceLock<String> = OnceLock::new();

pub(super) fn find_statement() -> &'static str {
    FIND.get_or_init(|| {
        let ids: Vec<String> = (1..=IDS).map(|n| format!("${n}")).collect();
        format!("SELECT id, email, username FROM users WHERE id IN ({})", ids.join(", "))
    })
}

/// At least `limit` accounts, in no order, with `part` in their addresses or names; all of them when there are fewer. `part`
/// is in lower case.
///
/// # Errors
/// When the database fails.
pub async fn search_buyers(store: &Store, part: &str, limit: u32) -> Result<Vec<BuyerId>, StoreError> {
    let query = sqlx::query_scalar(SEARCH).bind(like_pattern(part)).bind(i64::from(limit));
    let ids: Vec<String> = query.fetch_all(store.reader()).await?;
    ids.into_iter().map(parse_buyer_id).collect()
}

fn parse_buyer_id(id: String) -> Result<BuyerId, StoreError> {
    match id.parse() {
        Ok(buyer) => Ok(buyer),
        Err(_) => Err(StoreError::Damaged { table: "users", id, reason: "its id is not a UUID" }),
    }
}

/// The people behind these ids; ids without an account are left out.
///
/// # Errors
/// When the database fails.
pub async fn find_identities(
    store: &Store,
    ids: &[BuyerId],
) -> Result<HashMap<BuyerId, BuyerIdentity>, StoreError> {
    let mut people = HashMap::new();
    for ids in ids.chunks(IDS) {
        let mut query = sqlx::query(find_statement());
        for n in 0..IDS {
            query = query.bind(ids.get(n).or(ids.last()).map(BuyerId::to_string));
        }
        for row in query.fetch_all(store.reader()).await? {
            let person = BuyerIdentity { email: row.try_get("email")?, username: row.try_get("username")? };
            people.insert(parse_buyer_id(row.try_get("id")?)?, person);
        }
    }
    Ok(people)
}
