//! The `sales` table: which product a sale sells and under which name. What it promises is in the ledger, never here; what it shows
//! of its product is in `sale_products`, and the names that it had in `sale_slugs`.

use super::changes::{self, ChangeCounter};
use super::products::ProductId;
use super::sale_products::{self, SoldProduct};
use super::{Store, StoreError, StoreTransaction, admin_keys, integer_ids, sale_slugs};
use sale::{BuyerId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleRow {
    pub id: SaleId,
    pub slug: String,
    /// Grows with each edit of the row or of what it shows of its product.
    pub revision: u64,
    pub created_at: Timestamp,
    /// When its row, or what it shows of its product, was last edited; 0 before the first edit.
    pub edited_at: Timestamp,
    /// `None` until [`set_payment`] for a sale that was made before there was a column for it.
    pub payment: Option<PaymentMode>,
    /// The name of the provider through which its orders are paid.
    pub provider: String,
    pub limit_by: LimitScope,
    /// Whether only buyers with a confirmed address may buy.
    pub require_confirmed_email: bool,
    /// The dialect through which it was made; `None` for the native API.
    pub made_by: Option<String>,
}

/// Who is one buyer for the limit of a sale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitScope {
    /// Each account.
    #[default]
    Account,
    /// All accounts of one mailbox.
    Mailbox,
}

impl LimitScope {
    /// The word for it in the table and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Mailbox => "mailbox",
        }
    }
}

/// Whether the units of a sale are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMode {
    /// A unit is held until it is paid for.
    Required,
    /// A unit is sold at once, and no money is taken for it.
    Nothing,
}

impl PaymentMode {
    /// The word for it in the table and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nothing => "none",
        }
    }
}

/// An edit of a sale's row.
#[derive(Clone, Debug)]
pub struct SaleRowEdit<'a> {
    pub slug: &'a str,
    /// What the sale shows of its product from now on, if that changes.
    pub shown: Option<&'a SoldProduct>,
    pub edited_by: Option<BuyerId>,
    pub now: Timestamp,
}

/// A sale's row about to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSale<'a> {
    pub id: SaleId,
    pub product: ProductId,
    pub slug: &'a str,
    pub created_at: Timestamp,
    pub payment: PaymentMode,
    pub provider: &'a str,
    pub limit_by: LimitScope,
    /// Whether only buyers with a confirmed address may buy.
    pub require_confirmed_email: bool,
    /// The dialect through which it is made; `None` for the native API.
    pub made_by: Option<&'a str>,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    SET_ANNOUNCED,
    REMOVE,
    LIST_UNANNOUNCED,
    IS_UNANNOUNCED,
    SET_SLUG,
    SET_PRODUCT,
    BUMP_REVISION,
    DELETE,
    LIST,
    LIST_BY_PRODUCT,
    LIST_WITHOUT_PAYMENT,
    SET_PAYMENT,
    FIND_NAMES,
];

const INSERT: &str = "
INSERT INTO sales
    (id, product_id, slug, revision, created_at, announced_at, deleted_at, payment, provider, limit_by, made_by,
    require_confirmed_email)
VALUES ($1, $2, $3, 1, $4, NULL, NULL, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING id";

const SET_ANNOUNCED: &str = "
UPDATE sales SET announced_at = $1 WHERE id = $2 AND announced_at IS NULL";

const REMOVE: &str = "
DELETE FROM sales WHERE id = $1 AND announced_at IS NULL";

const LIST_UNANNOUNCED: &str = "
SELECT id FROM sales WHERE announced_at IS NULL AND created_at < $1";

const IS_UNANNOUNCED: &str = "
SELECT id FROM sales WHERE id = $1 AND announced_at IS NULL AND deleted_at IS NULL";

const SET_SLUG: &str = "
UPDATE sales SET slug = $1 WHERE id = $2 AND deleted_at IS NULL";

const SET_PRODUCT: &str = "
UPDATE sales SET product_id = $1 WHERE id = $2 AND deleted_at IS NULL";

const BUMP_REVISION: &str = "
UPDATE sales SET revision = revision + 1, edited_at = $1 WHERE id = $2";

const DELETE: &str = "
UPDATE sales SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL";

const LIST: &str = "
SELECT id, slug, revision, created_at, edited_at, payment, provider, limit_by, made_by, require_confirmed_email
FROM sales
WHERE deleted_at IS NULL AND announced_at IS NOT NULL
ORDER BY created_at DESC, id DESC";

const LIST_BY_PRODUCT: &str = "
SELECT id FROM sales WHERE product_id = $1 AND deleted_at IS NULL";

const LIST_WITHOUT_PAYMENT: &str = "
SELECT id FROM sales WHERE payment IS NULL AND announced_at IS NOT NULL";

const SET_PAYMENT: &str = "
UPDATE sales SET payment = $1 WHERE id = $2 AND payment IS NULL";

const FIND_NAMES: &str = "
SELECT sales.slug AS slug, sale_products.product_id AS product_id, sale_products.name AS name
FROM sales
JOIN sale_products ON sale_products.sale_id = sales.id
WHERE sales.id = $1
ORDER BY sale_products.version DESC
LIMIT 1";

/// Adds a sale's row, unannounced until [`set_announced`], with its slug and its product as it is. False when another sale has or had
/// the slug.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, sale: NewSale<'_>) -> Result<bool, StoreError> {
    if !sale_slugs::insert(writing, sale.slug, sale.id, sale.created_at).await? {
        return Ok(false);
    }
    let inserted = sqlx::query(INSERT)
        .bind(sale.id.to_string())
        .bind(sale.product.to_string())
        .bind(sale.slug)
        .bind(sale.created_at.0)
        .bind(sale.payment.as_str())
        .bind(sale.provider)
        .bind(sale.limit_by.as_str())
        .bind(sale.made_by)
        .bind(i64::from(sale.require_confirmed_email))
        .fetch_optional(writing.connection())
        .await?;
    if inserted.is_none() {
        return Ok(false);
    }
    sale_products::insert_first(writing, sale.id, sale.product).await?;
    Ok(true)
}

/// Marks a sale as announced: from now on it is listed and has an integer id.
///
/// # Errors
/// When the database fails.
pub async fn set_announced(store: &Store, id: SaleId, now: Timestamp) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    let query = sqlx::query(SET_ANNOUNCED).bind(now.0).bind(id.to_string());
    if query.execute(writing.connection()).await?.rows_affected() > 0 {
        integer_ids::number_sale(&mut writing, id).await?;
    }
    changes::increment(&mut writing, ChangeCounter::Catalogue).await?;
    writing.commit().await
}

/// Removes an unannounced sale's row and frees its slug and the key of the request that made it; leaves any other sale alone.
///
/// # Errors
/// When the database fails.
pub async fn remove_unannounced(store: &Store, id: SaleId) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    let removed = sqlx::query(REMOVE).bind(id.to_string()).execute(writing.connection()).await?;
    if removed.rows_affected() > 0 {
        sale_products::remove_unannounced(&mut writing, id).await?;
        sale_slugs::remove_unannounced(&mut writing, id).await?;
        admin_keys::delete_by_subject(&mut writing, id.0).await?;
    }
    writing.commit().await
}

/// The sales whose rows were made before `before` and never finished.
///
/// # Errors
/// When the database fails.
pub async fn list_unannounced(store: &Store, before: Timestamp) -> Result<Vec<SaleId>, StoreError> {
    sqlx::query(LIST_UNANNOUNCED)
        .bind(before.0)
        .fetch_all(store.writer())
        .await?
        .iter()
        .map(|row| sale_id(row, "id"))
        .collect()
}

/// Whether a sale has a row that was never finished.
///
/// # Errors
/// When the database fails.
pub async fn is_unannounced(store: &Store, id: SaleId) -> Result<bool, StoreError> {
    Ok(sqlx::query(IS_UNANNOUNCED).bind(id.to_string()).fetch_optional(store.reader()).await?.is_some())
}

/// Writes an edited sale's row. It keeps the slugs that it had.
///
/// # Errors
/// When the database fails, also when another sale took the slug meanwhile.
pub async fn update(store: &Store, id: SaleId, edit: SaleRowEdit<'_>) -> Result<(), StoreError> {
    let SaleRowEdit { slug, shown, edited_by, now } = edit;
    let mut writing = store.begin().await?;
    sale_slugs::insert(&mut writing, slug, id, now).await?;
    sqlx::query(SET_SLUG).bind(slug).bind(id.to_string()).execute(writing.connection()).await?;
    if let Some(shown) = shown {
        write_shown(&mut writing, id, shown, edited_by).await?;
    }
    bump_revision(&mut writing, id, now).await?;
    writing.commit().await
}

/// The announced sales that were made before there was a column for their payment.
///
/// # Errors
/// When the database fails.
pub async fn list_without_payment(store: &Store) -> Result<Vec<SaleId>, StoreError> {
    let rows = sqlx::query(LIST_WITHOUT_PAYMENT).fetch_all(store.writer()).await?;
    rows.iter().map(|row| sale_id(row, "id")).collect()
}

/// Writes whether the units of a sale are paid for, unless that is written already.
///
/// # Errors
/// When the database fails.
pub async fn set_payment(store: &Store, id: SaleId, payment: PaymentMode) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query(SET_PAYMENT)
        .bind(payment.as_str())
        .bind(id.to_string())
        .execute(writing.connection())
        .await?;
    changes::increment(&mut writing, ChangeCounter::Catalogue).await?;
    writing.commit().await
}

/// Writes what a sale shows of its product.
///
/// # Errors
/// When the database fails.
pub async fn write_shown(
    writing: &mut StoreTransaction,
    id: SaleId,
    shown: &SoldProduct,
    edited_by: Option<BuyerId>,
) -> Result<(), StoreError> {
    sale_products::put(writing, id, shown, edited_by).await?;
    let product = shown.id.to_string();
    sqlx::query(SET_PRODUCT).bind(product).bind(id.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Counts an edit of a sale's listing.
///
/// # Errors
/// When the database fails.
pub async fn bump_revision(
    writing: &mut StoreTransaction,
    id: SaleId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(BUMP_REVISION).bind(now.0).bind(id.to_string()).execute(writing.connection()).await?;
    changes::increment(writing, ChangeCounter::Catalogue).await?;
    Ok(())
}

/// Marks a sale as deleted.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, id: SaleId, now: Timestamp) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query(DELETE).bind(now.0).bind(id.to_string()).execute(writing.connection()).await?;
    changes::increment(&mut writing, ChangeCounter::Catalogue).await?;
    writing.commit().await
}

/// All sales that are neither deleted nor unannounced, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store) -> Result<Vec<SaleRow>, StoreError> {
    sqlx::query(LIST).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// The sales of a product, unannounced ones included.
///
/// # Errors
/// When the database fails.
pub async fn list_by_product(store: &Store, product: ProductId) -> Result<Vec<SaleId>, StoreError> {
    let rows = sqlx::query(LIST_BY_PRODUCT).bind(product.to_string()).fetch_all(store.writer()).await?;
    rows.iter().map(|row| sale_id(row, "id")).collect()
}

/// The slug of a sale, and the id and name of its product; also of a sale that is unannounced or deleted.
///
/// # Errors
/// When the database fails.
pub async fn find_names(
    store: &Store,
    sale: SaleId,
) -> Result<Option<(String, ProductId, String)>, StoreError> {
    let found = sqlx::query(FIND_NAMES).bind(sale.to_string()).fetch_optional(store.reader()).await?;
    let Some(row) = found else { return Ok(None) };
    let product: String = row.try_get("product_id")?;
    let Ok(id) = product.parse() else {
        let (table, reason) = ("sale_products", "its product is not a UUID");
        return Err(StoreError::Damaged { table, id: sale.to_string(), reason });
    };
    Ok(Some((row.try_get("slug")?, id, row.try_get("name")?)))
}

fn read(row: &AnyRow) -> Result<SaleRow, StoreError> {
    let revision: i64 = row.try_get("revision")?;
    let id = sale_id(row, "id")?;
    let payment = match row.try_get::<Option<String>, _>("payment")?.as_deref() {
        None => None,
        Some("required") => Some(PaymentMode::Required),
        Some("none") => Some(PaymentMode::Nothing),
        Some(_) => {
            let (table, reason) = ("sales", "its payment is unknown");
            return Err(StoreError::Damaged { table, id: id.to_string(), reason });
        }
    };
    let limit_by = match row.try_get::<String, _>("limit_by")?.as_str() {
        "account" => LimitScope::Account,
        "mailbox" => LimitScope::Mailbox,
        _ => {
            let (table, reason) = ("sales", "whom its limit counts is unknown");
            return Err(StoreError::Damaged { table, id: id.to_string(), reason });
        }
    };
    Ok(SaleRow {
        id,
        slug: row.try_get("slug")?,
        revision: revision.unsigned_abs(),
        created_at: Timestamp(row.try_get("created_at")?),
        edited_at: Timestamp(row.try_get("edited_at")?),
        payment,
        provider: row.try_get("provider")?,
        limit_by,
        require_confirmed_email: row.try_get::<i64, _>("require_confirmed_email")? != 0,
        made_by: row.try_get("made_by")?,
    })
}

fn sale_id(row: &AnyRow, column: &'static str) -> Result<SaleId, StoreError> {
    let id: String = row.try_get(column)?;
    id.parse().map_err(|_| StoreError::Damaged { table: "sales", id, reason: "its id is not a UUID" })
}
