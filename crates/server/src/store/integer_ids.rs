//! Integer ids of accounts, products and sales, for clients that know no UUIDs. Each kind is counted from 1 in the order of creation, and
//! an id never changes. It never gives an id outside the transaction that writes its row.

use super::{Store, StoreError, StoreTransaction, accounts};
use sale::{BuyerId, SaleId};
use sqlx::Row;
use sqlx::any::AnyRow;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerIdKind {
    Users,
    Products,
    Sales,
}

impl IntegerIdKind {
    pub const ALL: [Self; 3] = [Self::Users, Self::Products, Self::Sales];

    /// The name of its counter, which is its table.
    fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Sales => "sales",
        }
    }
}

/// The integer ids of a listed sale and of its product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleIntegerIds {
    pub sale: i64,
    pub product: i64,
}

pub(super) const STATEMENTS: &[&str] = &[
    TAKE,
    LOCK,
    ADVANCE,
    HAS_USERS_WITHOUT,
    HAS_PRODUCTS_WITHOUT,
    HAS_SALES_WITHOUT,
    FILL_USERS,
    FILL_PRODUCTS,
    FILL_SALES,
    SET_SALE,
    FIND_USER,
    LIST_SALES,
];

const TAKE: &str = "
UPDATE integer_id_counters SET last_id = last_id + 1 WHERE name = $1 RETURNING last_id";

// Writes what is there already: the row is locked until the transaction ends.
const LOCK: &str = "
UPDATE integer_id_counters SET last_id = last_id WHERE name = $1 RETURNING last_id";

const ADVANCE: &str = "
UPDATE integer_id_counters SET last_id = last_id + $1 WHERE name = $2";

const HAS_USERS_WITHOUT: &str = "
SELECT id FROM users WHERE integer_id IS NULL LIMIT 1";

const HAS_PRODUCTS_WITHOUT: &str = "
SELECT id FROM products WHERE integer_id IS NULL LIMIT 1";

const HAS_SALES_WITHOUT: &str = "
SELECT id FROM sales WHERE integer_id IS NULL AND announced_at IS NOT NULL LIMIT 1";

/// Numbers the rows of a table that have no id yet, in the order of creation, behind the id `$1`.
macro_rules! fill_statement {
    ($table:literal, $is_missing:literal) => {
        concat!(
            "\nUPDATE ",
            $table,
            " SET integer_id = numbered.number\nFROM (\n    SELECT id, CAST($1 AS BIGINT) + ROW_NUMBER() OVER (ORDER BY created_at, id) AS number\n    FROM ",
            $table,
            "\n    WHERE ",
            $is_missing,
            "\n) AS numbered\nWHERE numbered.id = ",
            $table,
            ".id"
        )
    };
}

const FILL_USERS: &str = fill_statement!("users", "integer_id IS NULL");
const FILL_PRODUCTS: &str = fill_statement!("products", "integer_id IS NULL");
const FILL_SALES: &str = fill_statement!("sales", "integer_id IS NULL AND announced_at IS NOT NULL");

const SET_SALE: &str = "
UPDATE sales SET integer_id = $1 WHERE id = $2 AND integer_id IS NULL";

const FIND_USER: &str = "
SELECT integer_id FROM users WHERE id = $1 AND integer_id IS NOT NULL";

const LIST_SALES: &str = "
SELECT sales.id AS sale_id, sales.integer_id AS sale_integer_id, products.integer_id AS product_integer_id
FROM sales
JOIN products ON products.id = sales.product_id
WHERE sales.deleted_at IS NULL AND sales.integer_id IS NOT NULL AND products.integer_id IS NOT NULL";

/// The next id of a kind, for a row that the same transaction writes.
///
/// # Errors
/// When the database fails.
pub(super) async fn take_next(
    writing: &mut StoreTransaction,
    kind: IntegerIdKind,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(TAKE).bind(kind.as_str()).fetch_one(writing.connection()).await?)
}

/// Gives a sale that was announced in this transaction its id.
///
/// # Errors
/// When the database fails.
pub(super) async fn number_sale(writing: &mut StoreTransaction, sale: SaleId) -> Result<(), StoreError> {
    let id = take_next(writing, IntegerIdKind::Sales).await?;
    sqlx::query(SET_SALE).bind(id).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Gives ids to all rows of a kind that have none, in the order of creation: rows of an older version, of an import or of a restored
/// dump. Returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn fill_missing(store: &Store, kind: IntegerIdKind) -> Result<u64, StoreError> {
    let (find, fill) = match kind {
        IntegerIdKind::Users => (HAS_USERS_WITHOUT, FILL_USERS),
        IntegerIdKind::Products => (HAS_PRODUCTS_WITHOUT, FILL_PRODUCTS),
        IntegerIdKind::Sales => (HAS_SALES_WITHOUT, FILL_SALES),
    };
    if sqlx::query(find).fetch_optional(store.reader()).await?.is_none() {
        return Ok(0);
    }
    let mut writing = store.begin().await?;
    let last: i64 = sqlx::query_scalar(LOCK).bind(kind.as_str()).fetch_one(writing.connection()).await?;
    let filled = sqlx::query(fill).bind(last).execute(writing.connection()).await?.rows_affected();
    sqlx::query(ADVANCE).bind(filled.cast_signed()).bind(kind.as_str()).execute(writing.connection()).await?;
    writing.commit().await?;
    Ok(filled)
}

/// The integer id of an account; `None` when there is no such account, or it has none yet.
///
/// # Errors
/// When the database fails.
pub async fn find_user(store: &Store, user: BuyerId) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(FIND_USER).bind(user.to_string()).fetch_optional(store.reader()).await?)
}

/// The integer id of an account, which is given now if an import or a restored dump brought the account without one; `None` when there is
/// no such account.
///
/// # Errors
/// When the database fails.
pub async fn number_user(store: &Store, user: BuyerId) -> Result<Option<i64>, StoreError> {
    if let Some(id) = find_user(store, user).await? {
        return Ok(Some(id));
    }
    if accounts::find(store, user).await?.is_none() {
        return Ok(None);
    }
    fill_missing(store, IntegerIdKind::Users).await?;
    find_user(store, user).await
}

/// The ids of all listed sales.
///
/// # Errors
/// When the database fails.
pub async fn list_sales(store: &Store) -> Result<Vec<(SaleId, SaleIntegerIds)>, StoreError> {
    let read = |row: &AnyRow| {
        let id: String = row.try_get("sale_id")?;
        let ids = SaleIntegerIds {
            sale: row.try_get("sale_integer_id")?,
            product: row.try_get("product_integer_id")?,
        };
        match id.parse() {
            Ok(sale) => Ok((sale, ids)),
            Err(_) => Err(StoreError::Damaged { table: "sales", id, reason: "its id is not a UUID" }),
        }
    };
    sqlx::query(LIST_SALES).fetch_all(store.reader()).await?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use crate::store::MIGRATOR;
    use crate::store::accounts::UserRow;
    use sale::Timestamp;
    use sqlx::migrate::Migrator;
    use std::borrow::Cow;
    use test_servers::postgres::PostgresServer;
    use uuid::Uuid;

    fn user(number: u128) -> UserRow {
        UserRow {
            id: BuyerId(Uuid::from_u128(number)),
            email: format!("{number}@example.com"),
            username: format!("user-{number}"),
            password_hash: String::new(),
            role: Role::Buyer,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
            session_epoch: 0,
            integer_id: None,
            full_name: None,
            language: "en".to_owned(),
        }
    }

    async fn insert(store: &Store, number: u128) -> i64 {
        let mut writing = store.begin().await.unwrap();
        assert!(accounts::insert(&mut writing, &user(number)).await.unwrap());
        writing.commit().await.unwrap();
        find_user(store, user(number).id).await.unwrap().unwrap()
    }

    async fn ids_are_counted_without_gaps(store: Store) {
        store.migrate().await.unwrap();
        assert_eq!(insert(&store, 9).await, 1);
        // A registration that is undone takes no id.
        let mut undone = store.begin().await.unwrap();
        accounts::insert(&mut undone, &user(8)).await.unwrap();
        undone.rollback().await.unwrap();
        assert_eq!(insert(&store, 7).await, 2);
        let mut together = futures::future::join_all((20..40).map(|number| insert(&store, number))).await;
        together.sort_unstable();
        assert_eq!(together, (3..23).collect::<Vec<_>>());
        for (number, created_at) in [(3, 5), (2, 6), (1, 6)] {
            let text = format!(
                "INSERT INTO users (id, email, username, username_key, password_hash, role, created_at) \
                 VALUES ('{}', '{number}', '{number}', '{number}', '', 'buyer', {created_at})",
                user(number).id
            );
            sqlx::query(sqlx::AssertSqlSafe(text)).execute(store.writer()).await.unwrap();
        }
        assert_eq!(fill_missing(&store, IntegerIdKind::Users).await.unwrap(), 3);
        assert_eq!(fill_missing(&store, IntegerIdKind::Users).await.unwrap(), 0);
        let mut filled = Vec::new();
        for number in [3, 1, 2] {
            filled.push(find_user(&store, user(number).id).await.unwrap().unwrap());
        }
        assert_eq!(filled, [23, 24, 25], "in the order of creation");
        assert_eq!(insert(&store, 50).await, 26);
        let late = format!(
            "INSERT INTO users (id, email, username, username_key, password_hash, role, created_at) \
             VALUES ('{}', 'late', 'late', 'late', '', 'buyer', 7)",
            user(60).id
        );
        sqlx::query(sqlx::AssertSqlSafe(late)).execute(store.writer()).await.unwrap();
        assert_eq!(find_user(&store, user(60).id).await.unwrap(), None);
        assert_eq!(number_user(&store, user(60).id).await.unwrap(), Some(27));
        assert_eq!(number_user(&store, user(60).id).await.unwrap(), Some(27));
        assert_eq!(number_user(&store, user(61).id).await.unwrap(), None, "no account");
    }

    /// The tables as they were before there were integer ids, with rows.
    async fn rows_from_before_are_numbered(store: Store) {
        let earlier = MIGRATOR.iter().filter(|migration| migration.version < 16).cloned().collect();
        let earlier = Migrator { migrations: Cow::Owned(earlier), ..Migrator::DEFAULT };
        earlier.run(&mut *store.writer.acquire().await.unwrap()).await.unwrap();
        for (id, created_at) in [(3, 5), (1, 7), (2, 7)] {
            let id = BuyerId(Uuid::from_u128(id));
            for text in [
                format!(
                    "INSERT INTO users (id, email, username, username_key, password_hash, role, created_at) \
                     VALUES ('{id}', '{id}', '{id}', '{id}', '', 'buyer', {created_at})"
                ),
                format!(
                    "INSERT INTO products (id, name, description, price_minor, currency, created_at, updated_at) \
                     VALUES ('{id}', '{id}', '', 1, 'EUR', {created_at}, {created_at})"
                ),
                format!(
                    "INSERT INTO sales (id, product_id, slug, revision, created_at, announced_at) \
                     VALUES ('{id}', '{id}', '{id}', 1, {created_at}, NULLIF({created_at}, 5))"
                ),
            ] {
                sqlx::query(sqlx::AssertSqlSafe(text)).execute(store.writer()).await.unwrap();
            }
        }
        store.migrate().await.unwrap();
        let ids = async |table: &str| -> Vec<(i64, i64)> {
            let text = format!(
                "SELECT integer_id, created_at FROM {table} WHERE integer_id IS NOT NULL ORDER BY integer_id"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(store.reader()).await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        };
        assert_eq!(ids("users").await, [(1, 5), (2, 7), (3, 7)]);
        assert_eq!(ids("products").await, [(1, 5), (2, 7), (3, 7)]);
        assert_eq!(ids("sales").await, [(1, 7), (2, 7)], "a half-made sale has none yet");
        assert_eq!(insert(&store, 9).await, 4);
        let half_made = SaleId(Uuid::from_u128(3));
        crate::store::sales::set_announced(&store, half_made, Timestamp(9)).await.unwrap();
        crate::store::sales::set_announced(&store, half_made, Timestamp(9)).await.unwrap();
        assert_eq!(ids("sales").await, [(1, 7), (2, 7), (3, 5)]);
    }

    #[tokio::test]
    async fn rows_from_before_are_numbered_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        rows_from_before_are_numbered(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn rows_from_before_are_numbered_in_postgres() {
        let url = PostgresServer::shared().create_database();
        rows_from_before_are_numbered(Store::connect_without_timeout(&url).await.unwrap()).await;
    }

    #[tokio::test]
    async fn ids_are_counted_without_gaps_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        ids_are_counted_without_gaps(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn ids_are_counted_without_gaps_in_postgres() {
        let url = PostgresServer::shared().create_database();
        ids_are_counted_without_gaps(Store::connect(&url).await.unwrap()).await;
    }
}
