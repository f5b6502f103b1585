//! The OpenAPI 3 description of the calls of `holds`, made from a table of them, and the page to try them.

use super::super::error::DialectError;
#[cfg(test)]
use super::super::routes::DialectRoutes;
use crate::http::docs::{describe_page, find_page_file};
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::Config;

/// The description as a JSON text.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}", describe()));

/// The page fetches the description relative to its own address.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::from("docs/openapi.json").try_it_out_enabled(true).persist_authorization(true))
});

pub(super) async fn show_page() -> Response {
    describe_page("Holds API", "docs")
}

/// The description, or a script or a style sheet of the page.
pub(super) async fn show_file(Path(file): Path<String>) -> Result<Response, DialectError> {
    if file == "openapi.json" {
        return Ok(([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response());
    }
    find_page_file(&file, &CONFIG).ok_or_else(DialectError::unknown_path)
}

/// A call of the dialect.
struct CallDescription {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// `None` for buyers' calls; otherwise whether the call needs the token of an admin.
    admin: Option<bool>,
    /// Fields of the query or of the body, with their types; those that begin with `*` are required.
    fields: &'static [(&'static str, &'static str)],
    /// The statuses, with what each means; the first one is the success.
    replies: &'static [(&'static str, &'static str)],
}

const BUYER: Option<bool> = None;
const OPEN: Option<bool> = Some(false);
const ADMIN: Option<bool> = Some(true);

const BUYER_IN_SALE: &[(&str, &str)] = &[("*email", "string"), ("*flashSaleId", "string")];
const CREDENTIALS: &[(&str, &str)] = &[("*email", "string"), ("*password", "string")];
const NEW_ACCOUNT: &[(&str, &str)] = &[("*email", "string"), ("*password", "string"), ("name", "string")];
const SIGNED_UP: &[(&str, &str)] = &[
    ("201", "{token, user}: an admin, signed in"),
    ("400", "No e-mail, or a password of fewer than 6 characters"),
    ("401", "Sign-ups are closed"),
    ("409", "The e-mail is taken"),
];
const SIGNED_IN: &[(&str, &str)] = &[("200", "{token, user}"), ("401", "Wrong e-mail or password")];
const SIGNED_OUT: &[(&str, &str)] = &[("200", "{ok}: the token is not valid any more")];
const SALE_FIELDS: &[(&str, &str)] = &[
    ("*name", "string"),
    ("description", "string"),
    ("*startsAt", "string"),
    ("*endsAt", "string"),
    ("*initialQuantity", "integer"),
    ("startingQuantity", "integer"),
    ("pricePerUnit", "number"),
];
const SALE_EDIT: &[(&str, &str)] = &[
    ("name", "string"),
    ("description", "string"),
    ("startsAt", "string"),
    ("endsAt", "string"),
    ("initialQuantity", "integer"),
    ("startingQuantity", "integer"),
    ("pricePerUnit", "number"),
    ("status", "string"),
];
const ORDER_FILTER: &[(&str, &str)] =
    &[("flashSaleId", "string"), ("userEmail", "string"), ("page", "integer"), ("limit", "integer")];
const ORDERS: &[(&str, &str)] = &[("200", "{items, total, page, limit}, newest first")];
const OVERVIEW: &[(&str, &str)] = &[
    (
        "200",
        "{totalInQueue, processing, waiting, lineSize, activeHolds, jobCounts, isPaused, queueName, flashSaleId, ts}",
    ),
    ("404", "There is no such sale"),
];
const MEMBERS: &[(&str, &str)] = &[
    ("200", "{items: [{email, position, score, holdTtlSec}], total, page, limit}, by ticket"),
    ("404", "There is no such sale"),
];
const PAGE: &[(&str, &str)] = &[("page", "integer"), ("limit", "integer")];

const CALLS: &[CallDescription] = &[
    CallDescription {
        method: "get",
        path: "/flash-sales/{id}/public",
        summary: "A sale and its state",
        admin: BUYER,
        fields: &[],
        replies: &[("200", "The sale, and {item, meta}"), ("404", "There is no such sale")],
    },
    CallDescription {
        method: "get",
        path: "/flash-sales/public/sale",
        summary: "The sale that is named, or the one that runs or starts next",
        admin: BUYER,
        fields: &[("flashSaleId", "string")],
        replies: &[("200", "{item, meta}; without a sale, item is null and meta.status is not_found")],
    },
    CallDescription {
        method: "post",
        path: "/orders/buy",
        summary: "Join the line; a repeat keeps place and hold",
        admin: BUYER,
        fields: BUYER_IN_SALE,
        replies: &[
            ("200", "{queued, position, size, hasActiveHold, holdTtlSec, jobId, email, flashSaleId}"),
            ("400", "A field is missing or wrong"),
            ("404", "There is no such sale"),
            ("409", "Bought before (with orderId), sold out, not started, ended, or a sale without a line"),
        ],
    },
    CallDescription {
        method: "get",
        path: "/orders/position",
        summary: "Place, hold and line of a buyer",
        admin: BUYER,
        fields: BUYER_IN_SALE,
        replies: &[("200", "{status, position, size, hasActiveHold, holdTtlSec, email, flashSaleId, ts}")],
    },
    CallDescription {
        method: "post",
        path: "/orders/confirm",
        summary: "Buy the unit of a hold; a repeat gives the same order",
        admin: BUYER,
        fields: &[("*email", "string"), ("*flashSaleId", "string"), ("totalAmount", "number")],
        replies: &[
            ("200", "{ok, orderId, inventoryLeft}"),
            ("400", "A field is missing or wrong"),
            ("404", "There is no such sale"),
            ("409", "Sold out, or paused"),
            ("410", "There is no hold, or it has expired"),
        ],
    },
    CallDescription {
        method: "get",
        path: "/orders/by-email",
        summary: "A buyer's orders",
        admin: BUYER,
        fields: &[("*email", "string"), ("flashSaleId", "string"), ("page", "integer"), ("limit", "integer")],
        replies: &[("200", "{items, total, page, limit}, newest first"), ("400", "No e-mail")],
    },
    CallDescription {
        method: "post",
        path: "/auth/signup",
        summary: "Make an admin",
        admin: OPEN,
        fields: NEW_ACCOUNT,
        replies: SIGNED_UP,
    },
    CallDescription {
        method: "post",
        path: "/auth/sign-up/email",
        summary: "Make an admin",
        admin: OPEN,
        fields: NEW_ACCOUNT,
        replies: SIGNED_UP,
    },
    CallDescription {
        method: "post",
        path: "/api/auth/sign-up/email",
        summary: "Make an admin",
        admin: OPEN,
        fields: NEW_ACCOUNT,
        replies: SIGNED_UP,
    },
    CallDescription {
        method: "post",
        path: "/auth/signin",
        summary: "Sign in",
        admin: OPEN,
        fields: CREDENTIALS,
        replies: SIGNED_IN,
    },
    CallDescription {
        method: "post",
        path: "/auth/sign-in/email",
        summary: "Sign in",
        admin: OPEN,
        fields: CREDENTIALS,
        replies: SIGNED_IN,
    },
    CallDescription {
        method: "post",
        path: "/api/auth/sign-in/email",
        summary: "Sign in",
        admin: OPEN,
        fields: CREDENTIALS,
        replies: SIGNED_IN,
    },
    CallDescription {
        method: "post",
        path: "/auth/signout",
        summary: "Sign out",
        admin: OPEN,
        fields: &[],
        replies: SIGNED_OUT,
    },
    CallDescription {
        method: "post",
        path: "/auth/sign-out",
        summary: "Sign out",
        admin: OPEN,
        fields: &[],
        replies: SIGNED_OUT,
    },
    CallDescription {
        method: "post",
        path: "/api/auth/sign-out",
        summary: "Sign out",
        admin: OPEN,
        fields: &[],
        replies: SIGNED_OUT,
    },
    CallDescription {
        method: "get",
        path: "/api/auth/get-session",
        summary: "Who is signed in",
        admin: ADMIN,
        fields: &[],
        replies: &[("200", "{session: {userId, expiresAt}, user}")],
    },
    CallDescription {
        method: "get",
        path: "/flash-sales",
        summary: "All sales",
        admin: ADMIN,
        fields: &[("page", "integer"), ("pageSize", "integer")],
        replies: &[("200", "{items, total, page, pageSize}, newest first")],
    },
    CallDescription {
        method: "post",
        path: "/flash-sales",
        summary: "Make a sale with its product",
        admin: ADMIN,
        fields: SALE_FIELDS,
        replies: &[("201", "{id}"), ("400", "A field is missing or wrong")],
    },
    CallDescription {
        method: "get",
        path: "/flash-sales/{id}",
        summary: "A sale",
        admin: ADMIN,
        fields: &[],
        replies: &[("200", "The sale"), ("404", "There is no such sale")],
    },
    CallDescription {
        method: "put",
        path: "/flash-sales/{id}",
        summary: "Edit a sale; status cancelled closes it",
        admin: ADMIN,
        fields: SALE_EDIT,
        replies: &[
            ("200", "{updated}: 1, or 0 when nothing differs"),
            ("400", "A field is wrong"),
            ("404", "There is no such sale"),
            ("409", "It would break a promise; nothing was changed"),
        ],
    },
    CallDescription {
        method: "delete",
        path: "/flash-sales/{id}",
        summary: "Delete a sale, or close one with a buyer in line or an order",
        admin: ADMIN,
        fields: &[],
        replies: &[("200", "{deleted}: 1, or 0 when there is no such sale")],
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/list",
        summary: "Orders of all buyers",
        admin: ADMIN,
        fields: ORDER_FILTER,
        replies: ORDERS,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/list-admin",
        summary: "Orders of all buyers",
        admin: ADMIN,
        fields: ORDER_FILTER,
        replies: ORDERS,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/queue/{id}/overview",
        summary: "The line in numbers",
        admin: ADMIN,
        fields: &[],
        replies: OVERVIEW,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/queue/overview",
        summary: "The line in numbers",
        admin: ADMIN,
        fields: &[("*flashSaleId", "string")],
        replies: OVERVIEW,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/queue/{id}/members",
        summary: "The buyers in line, with those who hold a unit",
        admin: ADMIN,
        fields: PAGE,
        replies: MEMBERS,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/queue/members",
        summary: "The buyers in line, with those who hold a unit",
        admin: ADMIN,
        fields: &[("*flashSaleId", "string"), ("page", "integer"), ("limit", "integer")],
        replies: MEMBERS,
    },
    CallDescription {
        method: "get",
        path: "/orders/admin/queue/audit",
        summary: "The head of the line and its holds",
        admin: ADMIN,
        fields: &[("*flashSaleId", "string"), ("sample", "integer")],
        replies: &[
            ("200", "{ts, queueName, jobCounts, flashSaleId, head, holds, otherQueues, strays}"),
            ("404", "There is no such sale"),
        ],
    },
    CallDescription {
        method: "get",
        path: "/health",
        summary: "Whether this instance takes requests",
        admin: OPEN,
        fields: &[],
        replies: &[("200", "{status}")],
    },
];

fn describe() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method] = call.describe();
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Doorbuster: holds",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A line, a hold, and a confirmation, by e-mail address. Errors are {statusCode, error, message, code}.",
        },
        // Relative to the description, whatever the server's address is.
        "servers": [{"url": ".."}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["statusCode", "error", "message"],
                "properties": {
                    "statusCode": {"type": "integer"},
                    "error": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            }},
        },
    })
}

impl CallDescription {
    fn describe(&self) -> Value {
        let tag = match self.admin {
            None => "buyers",
            Some(_) => "merchant",
        };
        let mut document = json!({
            "summary": self.summary,
            "tags": [tag],
            "parameters": self.parameters(),
            "responses": self.responses(),
        });
        if self.method != "get" && !self.fields.is_empty() {
            let schema = self.body_schema();
            document["requestBody"] = json!({"content": {
                "application/json": {"schema": schema},
                "application/x-www-form-urlencoded": {"schema": schema},
            }});
        }
        if self.admin == Some(true) {
            document["security"] = json!([{"token": []}]);
        }
        document
    }

    fn parameters(&self) -> Value {
        let mut parameters = Vec::new();
        if self.path.contains("{id}") {
            parameters
                .push(json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}));
        }
        if self.method == "get" {
            parameters.extend(self.fields.iter().map(|(name, kind)| {
                json!({
                    "name": name.trim_start_matches('*'),
                    "in": "query",
                    "required": name.starts_with('*'),
                    "schema": {"type": kind},
                })
            }));
        }
        Value::Array(parameters)
    }

    fn body_schema(&self) -> Value {
        let properties: Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, kind)| (name.trim_start_matches('*').to_owned(), json!({"type": kind})))
            .collect();
        let required: Vec<&str> = self.fields.iter().filter_map(|(name, _)| name.strip_prefix('*')).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn responses(&self) -> Value {
        let error = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
        let object = json!({"application/json": {"schema": {"type": "object"}}});
        let mut responses = Map::new();
        for (number, (status, meaning)) in self.replies.iter().enumerate() {
            let content = if number == 0 { &object } else { &error };
            responses.insert((*status).to_owned(), json!({"description": meaning, "content": content}));
        }
        if self.admin == Some(true) {
            for (status, meaning) in [("401", "Unauthorized"), ("403", "The account is no admin")] {
                responses.insert(status.to_owned(), json!({"description": meaning, "content": error}));
            }
        }
        Value::Object(responses)
    }
}

/// Fails unless the table has exactly the calls of the routes; the documentation does not describe itself.
#[cfg(test)]
pub(super) fn assert_same_calls(routes: &DialectRoutes) {
    let mut routed: Vec<(String, &str)> = routes
        .endpoints()
        .iter()
        .filter(|endpoint| !endpoint.is_page)
        .map(|endpoint| (endpoint.method.as_str().to_lowercase(), endpoint.path))
        .collect();
    let mut described: Vec<(String, &str)> =
        CALLS.iter().map(|call| (call.method.to_owned(), call.path)).collect();
    routed.sort();
    described.sort();
    assert_eq!(routed, described);
}
