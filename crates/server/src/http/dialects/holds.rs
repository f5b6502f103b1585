//! The dialect `holds`: a line, a hold, and a confirmation that pays, by e-mail address; and the merchant's calls. A hold is an admission.

mod accounts;
mod admin_orders;
mod admin_sales;
mod description;
mod documents;
mod line;
mod orders;
mod request;
mod sales;

use super::DialectState;
use super::error::DialectError;
use super::reply::DialectReply;
use super::routes::DialectRoutes;
use crate::http::ops;
use crate::http::problem::kind;
use crate::shop::Shop;
use crate::shop::checkout::find_unpayable_sale;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// The word for it in the column `made_by` of the table `sales`.
const MADE_BY: &str = "holds";
/// The provider whose method a confirmation names.
const PROVIDER: &str = "sandbox";
/// That method.
const METHOD: &str = "sandbox:approve";
/// The code of a request whose fields are wrong.
const INVALID_FIELDS: &str = "FST_ERR_VALIDATION";

#[must_use]
pub fn routes() -> DialectRoutes {
    DialectRoutes::new()
        .get("/flash-sales/{id}/public", sales::show_sale)
        .get("/flash-sales/public/sale", sales::show_current)
        .post("/orders/buy", orders::buy)
        .get("/orders/position", orders::show_position)
        .post("/orders/confirm", orders::confirm)
        .get("/orders/by-email", orders::list_by_email)
        .post("/auth/signup", accounts::sign_up)
        .post("/auth/sign-up/email", accounts::sign_up)
        .post("/api/auth/sign-up/email", accounts::sign_up)
        .post("/auth/signin", accounts::sign_in)
        .post("/auth/sign-in/email", accounts::sign_in)
        .post("/api/auth/sign-in/email", accounts::sign_in)
        .post("/auth/signout", accounts::sign_out)
        .post("/auth/sign-out", accounts::sign_out)
        .post("/api/auth/sign-out", accounts::sign_out)
        .get("/api/auth/get-session", accounts::show_session)
        .get("/flash-sales", admin_sales::list)
        .post("/flash-sales", admin_sales::create)
        .get("/flash-sales/{id}", admin_sales::show)
        .put("/flash-sales/{id}", admin_sales::edit)
        .delete("/flash-sales/{id}", admin_sales::delete)
        .get("/orders/admin/list", admin_orders::list)
        .get("/orders/admin/list-admin", admin_orders::list)
        .get("/orders/admin/queue/{id}/overview", line::show_overview)
        .get("/orders/admin/queue/overview", line::show_overview_of_query)
        .get("/orders/admin/queue/{id}/members", line::list_members)
        .get("/orders/admin/queue/members", line::list_members_of_query)
        .get("/orders/admin/queue/audit", line::audit)
        .get("/health", show_health)
        .page("/docs", description::show_page)
        .page("/docs/{*file}", description::show_file)
}

/// An error: the status with its name, the message, the native code, and what the call adds.
#[must_use]
pub fn render_error(error: &DialectError, path: &str) -> Value {
    let mut document = Map::new();
    document.insert("statusCode".into(), json!(error.status.as_u16()));
    document.insert("error".into(), json!(error.status.canonical_reason().unwrap_or("Error")));
    if error.is_unknown_path {
        document.insert(
            "message".into(),
            json!(format!("Not found: there is no {path} here, or not with this method")),
        );
    } else {
        document.insert("message".into(), json!(error.message));
    }
    let invalid = (error.status == StatusCode::BAD_REQUEST).then_some(INVALID_FIELDS);
    let other =
        if error.status == StatusCode::NOT_FOUND { kind::NOT_FOUND.code } else { kind::UNAVAILABLE.code };
    document.insert("code".into(), json!(error.code.or(invalid).unwrap_or(other)));
    document.extend(error.fields.clone());
    Value::Object(document)
}

/// Whether the dialect can confirm the orders of every sale: a confirmation names the sandbox's method, and no other provider's.
///
/// # Errors
/// What is in the way, in one sentence.
pub fn check_payments(shop: &Shop) -> Result<(), String> {
    match find_unpayable_sale(shop, PROVIDER) {
        None => Ok(()),
        Some(sale) => Err(explain_obstacle(&sale.listing.slug, &sale.listing.provider)),
    }
}

fn explain_obstacle(slug: &str, provider: &str) -> String {
    format!(
        "--dialects holds: the sale {slug} takes payments through {provider}, and a confirmation of this dialect carries no payment \
         method; close that sale, or start without the dialect"
    )
}

async fn show_health(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    ops::check_readiness(&state.app)
        .map_err(|reason| DialectError::new(StatusCode::SERVICE_UNAVAILABLE, reason))?;
    Ok(DialectReply::ok(&json!({"status": "ok"})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_fields_of_its_shape() {
        let refused =
            DialectError::new(StatusCode::GONE, "expired").code("not_in_line").field("orderId", "1");
        let expected = json!({
            "statusCode": 410, "error": "Gone", "message": "expired", "code": "not_in_line", "orderId": "1",
        });
        assert_eq!(render_error(&refused, "/orders/confirm"), expected);
        let wrong = render_error(&DialectError::bad_request("email is required"), "/orders/buy");
        assert_eq!(wrong["code"], INVALID_FIELDS);
        assert_eq!(wrong["error"], "Bad Request");
        let unknown = render_error(&DialectError::unknown_path(), "/nowhere");
        assert_eq!(unknown["statusCode"], 404);
        assert_eq!(unknown["error"], "Not Found");
    }

    #[test]
    fn an_obstacle_names_the_flag_and_the_sale() {
        let sentence = explain_obstacle("lamp", "acme");
        for part in ["--dialects holds", "lamp", "acme"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn the_description_has_every_call_and_no_other() {
        description::assert_same_calls(&routes());
    }
}
