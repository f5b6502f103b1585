//! `GET /admin/flash-sales/{id}/events`: the ledger of a sale in readable rows, from either end.

use super::dashboard::{find_sale, parse_cursor};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::dashboard::BuyerSelector;
use crate::shop::events::{self, EventFilter, EventPage, ReadDirection};
use crate::shop::published_events::identify_events;
use crate::shop_documents::buyer_document;
use axum::extract::State;
use documents::event::EventKindSchema;
use documents::{BuyerDocument, EventDocument, EventType};
use sale::{Event, EventSeq, SaleId, Ticket};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// A filter and an order of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// `asc`: oldest first, the default. `desc`: newest first.
    #[param(inline)]
    order: Option<SortOrder>,
    /// Start at the event of this number. Ignored with a `cursor`.
    from: Option<u64>,
    /// Of one kind.
    #[param(value_type = Option<EventKindSchema>)]
    kind: Option<String>,
    /// About one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// About one ticket.
    ticket: Option<u32>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page. Keep the order and the filters.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Order)]
enum SortOrder {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// One event of the ledger, with what it is called where events are sent to other systems.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedEvent)]
struct ListedEvent {
    #[serde(flatten)]
    event: EventDocument,
    /// The id of its document.
    id: String,
    /// The type of its document.
    #[serde(rename = "type")]
    event_type: EventType,
}

/// A page of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventsJson {
    /// The events.
    items: Vec<ListedEvent>,
    /// The accounts of the buyers in them, as far as they exist.
    people: Vec<BuyerDocument>,
    /// The `cursor` of the next page; null on the last page.
    next_cursor: Option<String>,
}

/// The ledger of a sale: all events, in order.
///
/// With a filter, a page reads a limited number of events: it may have fewer than `limit` items, or none, and still a
/// `nextCursor`, with which the search continues.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/events",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), EventsQuery),
    responses(
        (status = 200, description = "A page of events", body = EventsJson),
    ),
    security(("token" = []))
)]
async fn events(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsJson>, Problem> {
    find_sale(&app, id).await?;
    let EventsQuery { order, from, kind, buyer, ticket, limit, cursor: next } = query;
    let request = PageQuery { limit, cursor: next }.into_request()?;
    let after = request.after.as_deref().map(parse_cursor).transpose()?.map(EventSeq);
    let kind = kind.as_deref().map(parse_kind).transpose()?;
    let filter = EventFilter { kind, buyer, ticket: ticket.map(Ticket) };
    let direction = read_direction(order.unwrap_or_default(), after, from);
    let EventPage { rows, people, next } =
        events::load_page(&app.shop, id, &filter, direction, request.limit).await?;
    let identities = identify_events(&app.shop, id, &rows).await?;
    let listed = rows.iter().zip(identities).map(|(entry, (id, event_type))| ListedEvent {
        event: EventDocument::from(entry),
        id,
        event_type,
    });
    let page = Page::from_parts(listed.collect(), next.map(|seq| seq.to_string()));
    let mut people: Vec<_> = people.keys().map(|id| buyer_document(*id, &people)).collect();
    people.sort_unstable_by_key(|buyer| buyer.id);
    Ok(Json(EventsJson { items: page.items, people, next_cursor: page.next_cursor }))
}

fn read_direction(order: SortOrder, after: Option<EventSeq>, from: Option<u64>) -> ReadDirection {
    match order {
        SortOrder::Asc => {
            let behind_from = || from.map_or(EventSeq(0), |from| EventSeq(from.saturating_sub(1)));
            ReadDirection::Forward(after.unwrap_or_else(behind_from))
        }
        SortOrder::Desc => {
            ReadDirection::Backward(after.or(from.map(|from| EventSeq(from.saturating_add(1)))))
        }
    }
}

fn parse_kind(text: &str) -> Result<&'static str, Problem> {
    Event::NAMES.into_iter().find(|name| *name == text).ok_or_else(|| {
        let error = FieldError::new("/kind", "a kind of event, such as admitted");
        Problem::new(&kind::INVALID_QUERY).errors(vec![error])
    })
}
