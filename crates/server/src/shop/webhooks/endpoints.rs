//! Endpoints: create, edit, delete, list, and new secrets. A secret leaves this module only in the reply to the request that made it.

use super::outgoing::{ALL_TYPES, is_event_type};
use super::{ENDPOINTS_MAX, EndpointRow, WebhookRefusal};
use crate::shop::{Shop, ids};
use crate::store::StoreError;
use crate::store::webhook_endpoints::{self as rows, EndpointChanges};
use crate::webhooks::address::WebhookUrl;
use crate::webhooks::secret::WebhookSecret;
use sale::{SaleId, Timestamp};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// How long the secret before the current one signs too: receivers change theirs meanwhile.
const ROTATION_PERIOD: Duration = Duration::from_hours(24);
/// Sales that one endpoint may name.
const SALES_MAX: usize = 100;

/// A request about webhooks is done or refused.
pub type WebhookResult<T> = Result<Result<T, WebhookRefusal>, StoreError>;

/// What a new endpoint needs.
#[derive(Clone, Debug)]
pub struct EndpointDraft {
    pub url: String,
    /// Types without their prefix, or `*`.
    pub types: Vec<String>,
    pub description: Option<String>,
    /// Events of these sales only; of all when empty.
    pub sales: Vec<SaleId>,
    pub include_email: bool,
    /// Generated when absent.
    pub secret: Option<WebhookSecret>,
}

/// The fields of an endpoint to change. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointEdit {
    pub url: Option<String>,
    pub types: Option<Vec<String>>,
    pub description: Option<Option<String>>,
    pub sales: Option<Vec<SaleId>>,
    pub include_email: Option<bool>,
    pub enabled: Option<bool>,
}

/// An endpoint with the secret that was made for it.
pub struct EndpointWithSecret {
    pub endpoint: EndpointRow,
    pub secret: WebhookSecret,
}

/// Creates an endpoint. It gets the events from now on.
///
/// # Errors
/// When the tables do not answer.
pub async fn create(shop: &Shop, draft: EndpointDraft) -> WebhookResult<EndpointWithSecret> {
    if shop.public_url.is_none() {
        return Ok(Err(WebhookRefusal::PublicUrlMissing));
    }
    let checked = match check_url(shop, &draft.url).await {
        Ok(url) => {
            check_types(draft.types).and_then(|types| Ok((url, types, check_sales(shop, draft.sales)?)))
        }
        Err(refusal) => Err(refusal),
    };
    let (url, types, sales) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if rows::count(&shop.store).await? >= ENDPOINTS_MAX as u64 {
        return Ok(Err(WebhookRefusal::TooManyEndpoints));
    }
    let now = (shop.now)();
    let secret = draft.secret.unwrap_or_else(WebhookSecret::generate);
    let endpoint = EndpointRow {
        id: ids::new(now),
        url,
        description: draft.description,
        types,
        sales,
        include_email: draft.include_email,
        disabled: None,
        previous_secret_until: None,
        created_at: now,
        updated_at: now,
        failing_since: None,
        gave_up_at: None,
        paused_until: None,
    };
    rows::insert(&shop.store, &endpoint, &secret).await?;
    shop.webhooks.wake.notify_one();
    Ok(Ok(EndpointWithSecret { endpoint, secret }))
}

/// Whether there is an endpoint.
///
/// # Errors
/// When the tables do not answer.
pub async fn have_any(shop: &Shop) -> Result<bool, StoreError> {
    Ok(rows::count(&shop.store).await? > 0)
}

/// All endpoints, the oldest first.
///
/// # Errors
/// When the tables do not answer.
pub async fn list(shop: &Shop) -> Result<Vec<EndpointRow>, StoreError> {
    rows::list(&shop.store).await
}

/// One endpoint.
///
/// # Errors
/// When the tables do not answer.
pub async fn find(shop: &Shop, id: Uuid) -> WebhookResult<EndpointRow> {
    Ok(rows::find(&shop.store, id).await?.ok_or(WebhookRefusal::EndpointUnknown))
}

/// Edits an endpoint. One that is enabled again, or has another address, starts anew: its failures are forgotten, and what waited for it
/// while it was disabled is sent.
///
/// # Errors
/// When the tables do not answer.
pub async fn edit(shop: &Shop, id: Uuid, edit: EndpointEdit) -> WebhookResult<EndpointRow> {
    if let Err(refusal) = find(shop, id).await? {
        return Ok(Err(refusal));
    }
    let changes = match check_edit(shop, edit).await {
        Ok(changes) => changes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let edited = rows::update(&shop.store, id, &changes, (shop.now)()).await?;
    shop.webhooks.wake.notify_one();
    Ok(edited.ok_or(WebhookRefusal::EndpointUnknown))
}

async fn check_edit(shop: &Shop, edit: EndpointEdit) -> Result<EndpointChanges, WebhookRefusal> {
    let EndpointEdit { url, types, description, sales, include_email, enabled } = edit;
    let url = match url {
        Some(url) => Some(check_url(shop, &url).await?),
        None => None,
    };
    let types = types.map(check_types).transpose()?;
    let sales = sales.map(|sales| check_sales(shop, sales)).transpose()?;
    Ok(EndpointChanges { url, types, description, sales, include_email, enabled })
}

/// Deletes an endpoint and, in the background, its deliveries.
///
/// # Errors
/// When the tables do not answer.
pub async fn delete(shop: &Shop, id: Uuid) -> WebhookResult<()> {
    let deleted = rows::mark_deleted(&shop.store, id, (shop.now)()).await?;
    shop.webhooks.wake.notify_one();
    Ok(if deleted { Ok(()) } else { Err(WebhookRefusal::EndpointUnknown) })
}

/// Gives an endpoint a new secret. The one before it signs too for a day.
///
/// # Errors
/// When the tables do not answer.
pub async fn rotate_secret(
    shop: &Shop,
    id: Uuid,
    secret: Option<WebhookSecret>,
) -> WebhookResult<EndpointWithSecret> {
    let now = (shop.now)();
    let secret = secret.unwrap_or_else(WebhookSecret::generate);
    let until = crate::webhooks::schedule::after(now, ROTATION_PERIOD);
    if !rows::rotate_secret(&shop.store, id, &secret, until, now).await? {
        return Ok(Err(WebhookRefusal::EndpointUnknown));
    }
    let found = find(shop, id).await?;
    Ok(found.map(|endpoint| EndpointWithSecret {
        endpoint: EndpointRow { previous_secret_until: Some(until), updated_at: now, ..endpoint },
        secret,
    }))
}

async fn check_url(shop: &Shop, text: &str) -> Result<WebhookUrl, WebhookRefusal> {
    let client = &shop.webhooks.client;
    let url = client.policy().parse_url(text).map_err(WebhookRefusal::Url)?;
    client.check_name(&url).await?;
    Ok(url)
}

/// Types without repeats; `*` alone for all of them.
fn check_types(types: Vec<String>) -> Result<Vec<String>, WebhookRefusal> {
    if types.is_empty() {
        return Err(WebhookRefusal::NoTypes);
    }
    let unknown = types.iter().position(|name| name != ALL_TYPES && !is_event_type(name));
    if let Some(at) = unknown {
        return Err(WebhookRefusal::TypeUnknown(at));
    }
    if types.iter().any(|name| name == ALL_TYPES) {
        return Ok(vec![ALL_TYPES.to_owned()]);
    }
    Ok(without_repeats(types))
}

fn check_sales(shop: &Shop, sales: Vec<SaleId>) -> Result<Vec<SaleId>, WebhookRefusal> {
    if sales.len() > SALES_MAX {
        return Err(WebhookRefusal::TooManySales);
    }
    match sales.iter().position(|sale| !shop.catalogue.contains(*sale)) {
        Some(at) => Err(WebhookRefusal::SaleUnknown(at)),
        None => Ok(without_repeats(sales)),
    }
}

fn without_repeats<T: Clone + Eq + std::hash::Hash>(items: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// Whether two secrets sign what is sent to an endpoint now.
#[must_use]
pub fn is_rotating(endpoint: &EndpointRow, now: Timestamp) -> bool {
    endpoint.previous_secret_until.is_some_and(|until| now < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_and_named_once() {
        let check = |types: &[&str]| check_types(types.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(check(&["order.confirmed", "line.joined", "order.confirmed"]).unwrap().len(), 2);
        assert_eq!(check(&["order.confirmed", "*"]).unwrap(), ["*"]);
        assert_eq!(check(&[]), Err(WebhookRefusal::NoTypes));
        assert_eq!(check(&["order.confirmed", "order.eaten"]), Err(WebhookRefusal::TypeUnknown(1)));
        assert_eq!(check(&["doorbuster.order.confirmed"]), Err(WebhookRefusal::TypeUnknown(0)));
        assert_eq!(check(&["order.*"]), Err(WebhookRefusal::TypeUnknown(0)));
    }
}
