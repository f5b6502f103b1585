//! Makes a sale and announces it. A crash at any point leaves something that the same request, or [`super::finish_unannounced`],
//! brings to its end.

use super::unannounced::{abandoned_before, settle_rows};
use super::{LimitScope, ListedSale, PaymentMode, find_or_refresh};
use crate::shop::catalogue::{CatalogueRefusal, CatalogueResult};
use crate::shop::catalogue_text::Slug;
use crate::shop::idempotency_keys::{KeyOperation, KeyRefusal, OwnedKey, content_digest};
use crate::shop::products::{self as products_of_shop, ProductDraft};
use crate::shop::{Shop, ids};
use crate::store::admin_keys::{self, AdminKeyRow};
use crate::store::products::{self, ProductId};
use crate::store::sales::{self, NewSale};
use crate::store::{StoreError, StoreTransaction};
use engine::EngineError;
use sale::{Policy, SaleId};
use uuid::Uuid;

/// What a new sale needs. The policy is one without [`Policy::problems`].
#[derive(Clone, Debug)]
pub struct SaleDraft {
    pub product: ProductId,
    /// Made from the product's name when absent.
    pub slug: Option<Slug>,
    pub policy: Policy,
    /// Who is one buyer for the limit.
    pub limit_by: LimitScope,
    /// Whether only buyers with a confirmed address may buy.
    pub require_confirmed_email: bool,
    /// The dialect through which it is made. A sale of a dialect may be over when it is announced.
    pub made_by: Option<&'static str>,
}

/// Slugs that are tried for a sale without one, before the slug gets the random part of the sale's id.
const SLUG_TRIES: u32 = 20;

/// Makes a sale and announces it: writes its row, unannounced, with the request's key; records it in the ledger; marks the row as
/// announced. A repeat with the same key finds the sale that was made, or announces the unannounced one.
///
/// # Errors
/// When the tables or the engine do not answer. The sale may exist all the same (see [`super::finish_unannounced`]).
pub async fn create(shop: &Shop, draft: SaleDraft, key: Option<OwnedKey>) -> CatalogueResult<ListedSale> {
    let content = (draft.product.0, draft.slug.as_ref().map(Slug::as_str), &draft.policy);
    // Keys from before there was a scope, or a need for confirmed addresses, have a digest without it.
    let content = match (draft.limit_by, draft.require_confirmed_email) {
        (LimitScope::Account, false) => content_digest(&content),
        (scope @ LimitScope::Mailbox, false) => content_digest(&(content, scope.as_str())),
        (scope, true) => content_digest(&(content, scope.as_str(), "confirmed")),
    };
    let (fingerprint, now) = (shop.keys.fingerprint(&content), (shop.now)());
    // The sale's id is set when it is known.
    let row = key.map(|key| key.create_row(KeyOperation::CreateSale, content, Uuid::nil(), now));
    shop.keys.run((key, KeyOperation::CreateSale), fingerprint, now, create_once(shop, draft, row)).await
}

/// Makes a product and a sale of it in one call, for callers that do not know products. After a failure the product may be there alone.
///
/// # Errors
/// As [`create`].
pub async fn create_with_product(
    shop: &Shop,
    product: ProductDraft,
    sale: ProductSaleDraft,
) -> CatalogueResult<ListedSale> {
    let product = match products_of_shop::create(shop, product, None).await? {
        Ok(product) => product.id,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let ProductSaleDraft { policy, made_by } = sale;
    let draft = SaleDraft {
        product,
        slug: None,
        policy,
        limit_by: LimitScope::Account,
        require_confirmed_email: false,
        made_by,
    };
    create(shop, draft, None).await
}

/// What a sale needs beside its product, for [`create_with_product`].
#[derive(Clone, Debug)]
pub struct ProductSaleDraft {
    pub policy: Policy,
    /// As [`SaleDraft::made_by`].
    pub made_by: Option<&'static str>,
}

async fn create_once(shop: &Shop, draft: SaleDraft, key: Option<AdminKeyRow>) -> CatalogueResult<ListedSale> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    let now = (shop.now)();
    settle_rows(shop, abandoned_before(now)).await?;
    if let Some(key) = &key
        && let Some(known) = admin_keys::find(&shop.store, key.owner, &key.digest).await?
    {
        if known.fingerprint != key.fingerprint {
            return Ok(Err(KeyRefusal::Reused.into()));
        }
        let id = SaleId(known.subject);
        if sales::is_unannounced(&shop.store, id).await? {
            return announce(shop, id, draft.policy).await;
        }
        return Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown));
    }
    let Some(product) = products::find(&shop.store, draft.product).await? else {
        return Ok(Err(CatalogueRefusal::NoSuchProduct));
    };
    if product.price.currency != draft.policy.unit_price.currency {
        return Ok(Err(CatalogueRefusal::CurrencyDiffers));
    }
    if draft.made_by.is_none() && draft.policy.ends_at <= shop.engine.now() {
        return Ok(Err(CatalogueRefusal::EndIsPast));
    }
    let provider = shop.payments.provider_name();
    if let Err(refusal) = shop.payments.check_price(provider, &draft.policy) {
        return Ok(Err(refusal));
    }
    let id = SaleId(ids::new(now));
    let slug = draft.slug.as_ref().map_or("", Slug::as_str);
    let payment = PaymentMode::from_policy(&draft.policy);
    let new = NewSale {
        id,
        product: product.id,
        slug,
        created_at: now,
        payment,
        provider,
        limit_by: draft.limit_by,
        require_confirmed_email: draft.require_confirmed_email,
        made_by: draft.made_by,
    };
    let mut writing = shop.store.begin().await?;
    if let Some(key) = key
        && !admin_keys::insert(&mut writing, &AdminKeyRow { subject: id.0, ..key }).await?
    {
        writing.rollback().await?;
        return Ok(Err(KeyRefusal::InFlight.into()));
    }
    let is_inserted = match draft.slug {
        Some(_) => sales::insert(&mut writing, new).await?,
        None => insert_with_free_slug(&mut writing, &product.name, new).await?,
    };
    if !is_inserted {
        writing.rollback().await?;
        return Ok(Err(CatalogueRefusal::SlugTaken));
    }
    writing.commit().await?;
    announce(shop, id, draft.policy).await
}

/// Announces an unannounced sale and lists it. It may be repeated: the same policy changes nothing.
async fn announce(shop: &Shop, id: SaleId, policy: Policy) -> CatalogueResult<ListedSale> {
    match shop.engine.configure(id, policy).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => {
            sales::remove_unannounced(&shop.store, id).await?;
            return Ok(Err(CatalogueRefusal::Law(refusal)));
        }
        // Nothing was recorded, so the row is removed.
        Err(error @ (EngineError::Overloaded | EngineError::NoSuchSale)) => {
            sales::remove_unannounced(&shop.store, id).await?;
            return Err(error.into());
        }
        // It may be recorded or not: the row stays unannounced until that is known.
        Err(
            error @ (EngineError::NotRecorded
            | EngineError::StateUnknown
            | EngineError::Stopped
            | EngineError::UnexpectedReply { .. }),
        ) => return Err(error.into()),
    }
    sales::set_announced(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown))
}

/// Inserts a sale with the first free slug that is made from its product's name.
pub(super) async fn insert_with_free_slug(
    writing: &mut StoreTransaction,
    name: &str,
    new: NewSale<'_>,
) -> Result<bool, StoreError> {
    // The last 32 bits of a UUIDv7 are random.
    let random = new.id.0.as_bytes()[12..].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    for n in (1..=SLUG_TRIES).chain([random.max(SLUG_TRIES)]) {
        let slug = Slug::from_name(name, n);
        if sales::insert(writing, NewSale { slug: slug.as_str(), ..new }).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
