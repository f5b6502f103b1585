//! The `sale_products` table: what each sale has shown of its product, version by version. An order is of the version that was
//! shown when it was made, so a version that buyers may have seen is never changed.

use super::products::{Product, ProductId};
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Money, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A product as a sale shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoldProduct {
    /// The product's id.
    pub id: ProductId,
    /// Counts from 1 within the sale.
    pub version: u32,
    pub name: String,
    /// May be empty.
    pub description: String,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub list_price: Money,
    /// The moment of the edit; 0 for the first version.
    pub shown_from: Timestamp,
}

impl SoldProduct {
    /// The version that shows a product as it is, in place of `self`.
    #[must_use]
    pub fn with_product(&self, product: Product) -> Self {
        Self {
            id: product.id,
            name: product.name,
            description: product.description,
            category: product.category,
            image_url: product.image_url,
            list_price: product.price,
            version: self.version,
            shown_from: self.shown_from,
        }
    }
}

pub(super) const STATEMENTS: &[&str] = &[INSERT_FIRST, PUT, REMOVE, LIST];

const INSERT_FIRST: &str = "
INSERT INTO sale_products
    (sale_id, version, product_id, name, description, category, image_url, list_price_minor, currency, shown_from, edited_by)
SELECT $1, 1, id, name, description, category, image_url, price_minor, currency, 0, NULL
FROM products
WHERE id = $2";

const PUT: &str = "
INSERT INTO sale_products
    (sale_id, version, product_id, name, description, category, image_url, list_price_minor, currency, shown_from, edited_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (sale_id, version) DO UPDATE SET
    product_id = excluded.product_id,
    name = excluded.name,
    description = excluded.description,
    category = excluded.category,
    image_url = excluded.image_url,
    list_price_minor = excluded.list_price_minor,
    currency = excluded.currency,
    edited_by = excluded.edited_by";

const REMOVE: &str = "
DELETE FROM sale_products WHERE sale_id = $1";

const LIST: &str = "
SELECT
    sale_products.sale_id AS sale_id,
    sale_products.version AS version,
    sale_products.product_id AS product_id,
    sale_products.name AS name,
    sale_products.description AS description,
    sale_products.category AS category,
    sale_products.image_url AS image_url,
    sale_products.list_price_minor AS list_price_minor,
    sale_products.currency AS currency,
    sale_products.shown_from AS shown_from
FROM sale_products
JOIN sales ON sales.id = sale_products.sale_id
WHERE sales.deleted_at IS NULL AND sales.announced_at IS NOT NULL
ORDER BY sale_products.sale_id, sale_products.version";

/// Writes the first version of a new sale: its product as it is.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert_first(
    writing: &mut StoreTransaction,
    sale: SaleId,
    product: ProductId,
) -> Result<(), StoreError> {
    let query = sqlx::query(INSERT_FIRST).bind(sale.to_string()).bind(product.to_string());
    query.execute(writing.connection()).await?;
    Ok(())
}

/// Writes a version: a new one, or the current one of a sale that no buyer relies on.
///
/// # Errors
/// When the database fails.
pub async fn put(
    writing: &mut StoreTransaction,
    sale: SaleId,
    shown: &SoldProduct,
    edited_by: Option<BuyerId>,
) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(sale.to_string())
        .bind(i64::from(shown.version))
        .bind(shown.id.to_string())
        .bind(shown.name.as_str())
        .bind(shown.description.as_str())
        .bind(shown.category.as_deref())
        .bind(shown.image_url.as_deref())
        .bind(shown.list_price.minor)
        .bind(shown.list_price.currency.as_str())
        .bind(shown.shown_from.0)
        .bind(edited_by.map(|admin| admin.to_string()))
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Removes what an unannounced sale would have shown.
pub(super) async fn remove_unannounced(
    writing: &mut StoreTransaction,
    sale: SaleId,
) -> Result<(), StoreError> {
    sqlx::query(REMOVE).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// All versions of the sales that are neither deleted nor unannounced: sale by sale, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store) -> Result<Vec<(SaleId, SoldProduct)>, StoreError> {
    sqlx::query(LIST).fetch_all(store.reader()).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<(SaleId, SoldProduct), StoreError> {
    let sale: String = row.try_get("sale_id")?;
    let damaged = |reason| StoreError::Damaged { table: "sale_products", id: sale.clone(), reason };
    let (product, currency): (String, String) = (row.try_get("product_id")?, row.try_get("currency")?);
    let shown = SoldProduct {
        id: product.parse().map_err(|_| damaged("its product is not a UUID"))?,
        version: u32::try_from(row.try_get::<i64, _>("version")?)
            .map_err(|_| damaged("its version is out of range"))?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        category: row.try_get("category")?,
        image_url: row.try_get("image_url")?,
        list_price: Money {
            minor: row.try_get("list_price_minor")?,
            currency: currency.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        shown_from: Timestamp(row.try_get("shown_from")?),
    };
    Ok((sale.parse().map_err(|_| damaged("its sale is not a UUID"))?, shown))
}
