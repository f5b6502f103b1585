//! Buyers' names for admins: of many buyers at once, and buyers by a part of a name. A buyer has an account, or is a guest who is known by
//! a text alone.

use super::{Store, StoreError, like_pattern};
use sale::BuyerId;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// What an admin sees of a buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerIdentity {
    /// The account's address, or the text by which a guest is known.
    pub email: String,
    /// The account's name; a guest has none.
    pub username: Option<String>,
    /// The language in which the person reads the shop.
    pub language: String,
}

/// Ids a statement; a question for fewer repeats its last one.
const IDS: usize = 50;

pub(super) const STATEMENTS: &[&str] = &[SEARCH];

// Each inner half reads one index of names and no row of the table, which is many times as long for its password hashes.
const SEARCH: &str = "
SELECT id FROM users WHERE email IN (SELECT email FROM users WHERE email LIKE $1 ESCAPE '\\' LIMIT $2)
UNION
SELECT id FROM users
WHERE username_key IN (SELECT username_key FROM users WHERE username_key LIKE $1 ESCAPE '\\' LIMIT $2)
UNION
SELECT buyer_id FROM guests
WHERE name IN (SELECT name FROM guests WHERE LOWER(name) LIKE $1 ESCAPE '\\' LIMIT $2)";

static FIND: OnceLock<[String; 2]> = OnceLock::new();

/// The statements that find names by ids: those of accounts, and those of guests.
pub(super) fn find_statements() -> &'static [String; 2] {
    FIND.get_or_init(|| {
        let ids: Vec<String> = (1..=IDS).map(|n| format!("${n}")).collect();
        let ids = ids.join(", ");
        [
            format!("SELECT id, email, username, language FROM users WHERE id IN ({ids})"),
            format!("SELECT buyer_id, name, language FROM guests WHERE buyer_id IN ({ids})"),
        ]
    })
}

/// At least `limit` buyers, in no order, with `part` in their addresses or names; all of them when there are fewer. `part` is in
/// lower case.
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

/// The people behind these ids: accounts, and guests. Other ids are left out.
///
/// # Errors
/// When the database fails.
pub async fn find_identities(
    store: &Store,
    ids: &[BuyerId],
) -> Result<HashMap<BuyerId, BuyerIdentity>, StoreError> {
    let [find_accounts, find_guests] = find_statements();
    let mut people = HashMap::new();
    for ids in ids.chunks(IDS) {
        for row in find_rows(store, find_accounts.as_str(), ids).await? {
            let (email, username) = (row.try_get("email")?, Some(row.try_get("username")?));
            let person = BuyerIdentity { email, username, language: row.try_get("language")? };
            people.insert(parse_buyer_id(row.try_get("id")?)?, person);
        }
        let unknown: Vec<BuyerId> = ids.iter().filter(|id| !people.contains_key(id)).copied().collect();
        if unknown.is_empty() {
            continue;
        }
        for row in find_rows(store, find_guests.as_str(), &unknown).await? {
            let email = row.try_get("name")?;
            let buyer = parse_buyer_id(row.try_get("buyer_id")?)?;
            people.insert(buyer, BuyerIdentity { email, username: None, language: row.try_get("language")? });
        }
    }
    Ok(people)
}

/// The rows of at most [`IDS`] ids, which are not none.
async fn find_rows(
    store: &Store,
    statement: &'static str,
    ids: &[BuyerId],
) -> Result<Vec<AnyRow>, StoreError> {
    let mut query = sqlx::query(statement);
    for n in 0..IDS {
        query = query.bind(ids.get(n).or(ids.last()).map(BuyerId::to_string));
    }
    Ok(query.fetch_all(store.reader()).await?)
}
