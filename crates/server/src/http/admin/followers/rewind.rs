//! `POST /admin/followers/{name}/rewind`: sets a follower back, so that it goes through a sale's events again.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::followers::{self, RewindRefusal, RewindRequest};
use axum::extract::State;
use sale::{EventSeq, SaleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rewind_follower))
}

/// Where to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RewindBody {
    #[schema(value_type = uuid::Uuid)]
    flash_sale_id: SaleId,
    /// The event after which it continues; 0 for all events. Not later than where the follower is.
    seq: u64,
}

/// Where a follower continues.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RewoundJson {
    name: String,
    #[schema(value_type = uuid::Uuid)]
    flash_sale_id: SaleId,
    /// The event after which it continues.
    seq: u64,
    /// True for the projector: it cannot go back to the middle of a sale, so it drops the sale's rows and writes all of them again.
    rewrites_sale: bool,
}

/// Set a follower back.
///
/// It goes through the sale's events after `seq` again, within about a second. Kafka gets them again, with the same ids; `webhooks` and
/// `mail` write the deliveries and mails that are missing. A delivery is deleted after 30 days: endpoints get such an event again, with the
/// same id. The projector drops the sale's rows and writes them again
/// from the first event on; lists show less until it has caught up.
#[utoipa::path(
    post,
    path = "/api/v1/admin/followers/{name}/rewind",
    tag = "admin",
    request_body = RewindBody,
    params(("name" = String, Path, description = "The follower")),
    responses(
        (status = 200, description = "It continues from there", body = RewoundJson),
    ),
    security(("token" = []))
)]
async fn rewind_follower(
    State(app): State<AppState>,
    _: AdminSession,
    Path(name): Path<String>,
    Json(body): Json<RewindBody>,
) -> Result<Json<RewoundJson>, Problem> {
    let RewindBody { flash_sale_id, seq } = body;
    let request = RewindRequest { name, sale: flash_sale_id, seq: EventSeq(seq) };
    let rewound = followers::rewind(&app.shop.store, &**app.shop.engine.ledger(), &request).await?;
    let rewound = rewound.map_err(refusal_problem)?;
    let RewindRequest { name, .. } = request;
    Ok(Json(RewoundJson { name, flash_sale_id, seq: rewound.seq.0, rewrites_sale: rewound.rewrites_sale }))
}

fn refusal_problem(refusal: RewindRefusal) -> Problem {
    match refusal {
        RewindRefusal::FollowerUnknown => Problem::new(&kind::FOLLOWER_UNKNOWN),
        RewindRefusal::SaleUnknown => Problem::new(&kind::SALE_UNKNOWN),
        RewindRefusal::NotThere(seq) => Problem::new(&kind::INVALID_BODY)
            .errors(vec![FieldError::new("/seq", format!("must be at most {seq}, where the follower is"))]),
    }
}
