//! `GET /schemas/events/{file}`: the JSON Schemas of the events that other systems read. They need no token and never change within a
//! version, except that fields are added.

use super::AppState;
use super::extract::Path;
use super::problem::{Problem, kind};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use documents::published_event::{data_schema, test_data_schema, test_event_type};
use documents::{EventType, TEST_EVENT_NAME};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How a file of this version ends.
const FILE_END: &str = ".v1.json";

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(event_schema))
}

/// The JSON Schema (2020-12) of the `data` of one type of event.
#[utoipa::path(get, path = "/schemas/events/{file}", tag = "ops",
    params(("file" = String, Path, description = "The type with `.v1.json` behind it, such as `doorbuster.order.confirmed.v1.json`. The \
        type may be without `doorbuster.`")),
    responses((status = 200, description = "The schema", body = Object, content_type = "application/schema+json")))]
async fn event_schema(State(app): State<AppState>, Path(file): Path<String>) -> Result<Response, Problem> {
    let name = file.strip_suffix(FILE_END).ok_or_else(|| Problem::new(&kind::NOT_FOUND))?;
    let addresses = app.shop.events.addresses();
    let schema = match name.parse::<EventType>() {
        Ok(event_type) => data_schema(event_type, &addresses.schema_url(event_type.as_str())),
        Err(_) if name.strip_prefix(EventType::PREFIX).unwrap_or(name) == TEST_EVENT_NAME => {
            test_data_schema(&addresses.schema_url(&test_event_type()))
        }
        Err(_) => return Err(Problem::new(&kind::NOT_FOUND)),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    Ok((headers, schema.to_string()).into_response())
}
