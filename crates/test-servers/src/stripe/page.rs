//! The page of a session, on which a buyer approves, declines or goes back. It has no script.

use super::http::{StandInReply, StandInRequest};
use super::model::BuyerChoice;
use super::{StandInState, lock};
use std::sync::Arc;

pub(super) fn answer(state: &Arc<StandInState>, request: &StandInRequest) -> StandInReply {
    let mut parts = request.path.trim_start_matches("/pay/").split('/');
    let (id, action) = (parts.next().unwrap_or_default(), parts.next());
    let Some(session) = lock(&state.model).object(id) else {
        return StandInReply::html(404, render("There is no such page.", ""));
    };
    let back = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
    match (request.method.as_str(), action) {
        ("GET", None) if session["status"] == "open" => StandInReply::html(200, render_forms(id, &session)),
        ("GET", None) => StandInReply::html(200, render("You're all done here. This page is closed.", "")),
        ("POST", Some("approve")) => match state.change(|model| model.act_as_buyer(id, BuyerChoice::Approve))
        {
            Ok(()) => StandInReply::redirect(&back("success_url")),
            Err(message) => StandInReply::html(409, render(&message, "")),
        },
        ("POST", Some("decline")) => match state.change(|model| model.act_as_buyer(id, BuyerChoice::Decline))
        {
            Ok(()) => StandInReply::html(200, render_forms(id, &session)),
            Err(message) => StandInReply::html(409, render(&message, "")),
        },
        ("POST", Some("close")) => StandInReply::redirect(&back("cancel_url")),
        _ => StandInReply::html(405, render("This cannot be done here.", "")),
    }
}

fn render_forms(id: &str, session: &serde_json::Value) -> String {
    let forms: String = [("approve", "Pay"), ("decline", "Pay with a declined card"), ("close", "Back")]
        .iter()
        .map(|(action, label)| {
            format!(
                "<form method=post action=\"/pay/{id}/{action}\"><button id={action}>{label}</button></form>"
            )
        })
        .collect();
    let heading = format!(
        "{} — {} {}",
        session["standin"]["name"].as_str().unwrap_or_default(),
        session["amount_total"],
        session["currency"].as_str().unwrap_or_default()
    );
    render(&heading, &forms)
}

fn render(heading: &str, body: &str) -> String {
    let heading = heading.replace('&', "&amp;").replace('<', "&lt;");
    format!("<!doctype html><meta charset=utf-8><title>Test checkout</title><h1>{heading}</h1>{body}")
}
