//! The OpenAPI description, a page to try the API, and a page for each kind of problem. Everything is served from this binary.

use super::AppState;
use super::extract::Path;
use super::problem::{self, Problem, kind};
use super::{bounds, operations};
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use documents::PublishedEventDocument;
use std::sync::Arc;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayItems, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths,
    PathsBuilder, Ref, RefOr, Required, Response as ResponseSchema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::Config;

/// The paths of the documentation, which the description does not list.
pub const PATHS: [&str; 5] = ["/openapi.json", "/docs", "/docs/", "/docs/{*file}", "/problems/{code}"];

/// The description without its operations.
#[must_use]
pub fn base_description() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let mut event_types = Vec::new();
    PublishedEventDocument::schemas(&mut event_types);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Doorbuster")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Flash sales that cannot oversell. Errors are RFC 9457 problem documents with a stable `code`; \
                     times are RFC 3339 in UTC; money is in minor units.",
                ))
                .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
                .build(),
        )
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("token", SecurityScheme::Http(bearer))
                .schema(problem::ProblemSchema::name(), problem::ProblemSchema::schema())
                .schema(problem::FieldError::name(), problem::FieldError::schema())
                .schemas_from_iter(event_types)
                .schema(PublishedEventDocument::name(), PublishedEventDocument::schema())
                .build(),
        ))
        .webhooks(Some(describe_webhook()))
        .build()
}

/// The request that endpoints of webhooks get: the document of an event, signed by Standard Webhooks.
fn describe_webhook() -> Paths {
    let header = |name: &str, description: &str| -> Parameter {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    };
    let body = Content::new(Some(Ref::from_schema_name(PublishedEventDocument::name())));
    let operation = OperationBuilder::new()
        .operation_id(Some("receiveEvent"))
        .summary(Some("An event, sent to an endpoint of webhooks."))
        .description(Some(
            "After a reply other than 2xx and 410 it is sent again, with the same `webhook-id`. Endpoints are made by \
             `POST /api/v1/admin/webhooks`.",
        ))
        .parameter(header("webhook-id", "The id of the event, the same for each try."))
        .parameter(header("webhook-timestamp", "When it is sent, in seconds since 1970."))
        .parameter(header("webhook-signature", "`v1,` and the HMAC-SHA256; two, with a space between, during a rotation."))
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/cloudevents+json", body)
                .build(),
        ))
        .response("2XX", ResponseSchema::new("The receiver has the event."))
        .response("410", ResponseSchema::new("The receiver is gone: the endpoint is switched off."))
        .response("429", ResponseSchema::new("The receiver wants fewer requests; `Retry-After` is honoured."))
        .securities(Some(Vec::<SecurityRequirement>::new()));
    PathsBuilder::new().path("event", PathItem::new(HttpMethod::Post, operation)).build()
}

/// Adds what the tables of operations and of bounds say, and what the generator of the description leaves out.
pub fn complete_description(openapi: &mut OpenApi) {
    operations::describe_operations(openapi);
    bounds::describe_bounds(openapi);
    share_page_items(openapi);
}

/// Lets the items of a page refer to their schema, as the rest of the description does. The generator writes the schema of a generic
/// parameter where it is used, and lists it a second time without a use.
fn share_page_items(openapi: &mut OpenApi) {
    let Some(components) = &mut openapi.components else { return };
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let Some(item) = name.strip_prefix("Page_").filter(|item| names.iter().any(|name| name == item))
        else {
            continue;
        };
        if let RefOr::T(Schema::Object(page)) = schema
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

pub fn router(openapi: &OpenApi) -> Router<AppState> {
    let json = Bytes::from(openapi.to_pretty_json().unwrap_or_default());
    let config = Arc::new(Config::from("/openapi.json").try_it_out_enabled(true).persist_authorization(true));
    let page = move |file: &str| swagger_page(file, &config);
    let index = page.clone();
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], json)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || index("")))
        .route("/docs/{*file}", get(async move |Path(file): Path<String>| page(&file)))
        .route("/problems/{code}", get(problem_page))
}

fn swagger_page(file: &str, config: &Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(file, Arc::clone(config)) {
        Ok(Some(file)) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
            if let Ok(value) = HeaderValue::try_from(file.content_type) {
                headers.insert(header::CONTENT_TYPE, value);
            }
            if file.gzpipped {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            (headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => Problem::new(&kind::NOT_FOUND).into_response(),
        Err(error) => Problem::from_failure(&kind::INTERNAL, error.as_ref()).into_response(),
    }
}

/// A page to try an API whose description and files lie beside it, for an API that is no part of this description: its address has no slash
/// at its end, and `files` is the folder of [`find_page_file`].
pub(super) fn describe_page(title: &str, files: &str) -> Response {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"{files}/swagger-ui.css\">\n\
         <link rel=\"icon\" type=\"image/png\" href=\"{files}/favicon-32x32.png\">\n</head>\n<body>\n\
         <div id=\"swagger-ui\"></div>\n<script src=\"{files}/swagger-ui-bundle.js\"></script>\n\
         <script src=\"{files}/swagger-ui-standalone-preset.js\"></script>\n\
         <script src=\"{files}/swagger-initializer.js\"></script>\n</body>\n</html>\n"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// A file of such a page; `None` when there is no such file.
pub(super) fn find_page_file(file: &str, config: &Arc<Config<'static>>) -> Option<Response> {
    match utoipa_swagger_ui::serve(file, Arc::clone(config)) {
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => Some(swagger_page(file, config)),
    }
}

/// The page that the `type` of a problem document links to.
async fn problem_page(Path(code): Path<String>) -> Result<Response, Problem> {
    let kind = kind::ALL.iter().find(|kind| kind.code == code).ok_or(Problem::new(&kind::NOT_FOUND))?;
    let text = format!("{} ({}): {}\n\n{}.\n", kind.code, kind.status, kind.title, kind.detail);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
