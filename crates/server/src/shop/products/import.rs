//! Imports products of another system. A product is known again by its key, whose digest is its id here. It never changes a product
//! that is there.

use super::{Product, ProductDraft, ProductId};
use crate::store::{Store, StoreError, products};
use sale::Timestamp;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// By what a product is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKey {
    /// The id that it had is one here.
    Id(Uuid),
    /// Another id, the number of a row, for example.
    ForeignId(String),
    Sku(String),
    Name(String),
}

/// A product as another system kept it.
pub struct ImportedProduct {
    pub key: ImportKey,
    pub draft: ProductDraft,
}

impl ImportKey {
    /// The id of the product here.
    #[must_use]
    pub fn product_id(&self) -> ProductId {
        let (kind, text) = match self {
            Self::Id(id) => return ProductId(*id),
            Self::ForeignId(text) => ("id", text),
            Self::Sku(text) => ("sku", text),
            Self::Name(text) => ("name", text),
        };
        let digest = Sha256::digest(format!("doorbuster imported product\0{kind}\0{text}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        ProductId(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// Imports products in one transaction. Returns for each whether it is new; one that is known, or was deleted here, stays as it is.
///
/// # Errors
/// When the database fails. Then none of them is imported.
pub async fn import_products(
    store: &Store,
    imported: Vec<ImportedProduct>,
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let mut writing = store.begin().await?;
    let mut are_new = Vec::with_capacity(imported.len());
    for ImportedProduct { key, draft } in imported {
        let product = Product { id: key.product_id(), ..draft.into_product(now) };
        let is_new = !products::exists(&mut writing, product.id).await?;
        if is_new {
            products::insert(&mut writing, &product).await?;
        }
        are_new.push(is_new);
    }
    writing.commit().await?;
    Ok(are_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_system_is_always_the_same_id_here() {
        let keys = [
            ImportKey::ForeignId("7".to_owned()),
            ImportKey::Sku("7".to_owned()),
            ImportKey::Name("7".to_owned()),
            ImportKey::ForeignId("8".to_owned()),
        ];
        let mut ids: Vec<ProductId> = keys.iter().map(ImportKey::product_id).collect();
        assert_eq!(ids, keys.iter().map(ImportKey::product_id).collect::<Vec<_>>());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), keys.len(), "each key has an id of its own");
        let id = "0190f3a4-0000-7000-8000-000000000000".parse().unwrap();
        assert_eq!(ImportKey::Id(id).product_id(), ProductId(id));
    }
}
