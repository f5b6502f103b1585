//! Commands to a stand-in that is a process of its own: forms that are posted to `/control/…`. In the same process a test calls the methods.

use super::faults::FaultKind;
use super::http::{StandInReply, StandInRequest};
use super::model::BuyerChoice;
use super::webhooks::WebhookMode;
use super::{StandInState, lock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn answer(state: &Arc<StandInState>, request: &StandInRequest) -> StandInReply {
    let parameters: BTreeMap<String, String> = request.parameters().into_iter().collect();
    let get = |name: &str| parameters.get(name).map_or("", String::as_str);
    let command = request.path.trim_start_matches("/control/");
    let done = match command {
        "webhooks" => {
            // One receiver, or several with commas between.
            if !get("url").is_empty() {
                state.webhooks.set_targets(get("url").split(',').map(str::to_owned).collect());
            }
            match get("mode") {
                "once" => state.webhooks.set_mode(WebhookMode::Once),
                "twice" => state.webhooks.set_mode(WebhookMode::Twice),
                "never" => state.webhooks.set_mode(WebhookMode::Never),
                "hold" => state.webhooks.set_mode(WebhookMode::Hold),
                "release" => state.webhooks.release(false),
                "release_reversed" => state.webhooks.release(true),
                _ => {}
            }
            Ok(Value::Null)
        }
        "fail" => parse_fault(get("kind")).ok_or_else(|| "unknown kind".to_owned()).map(|kind| {
            lock(&state.faults).add(get("path"), get("count").parse().unwrap_or(1), kind);
            Value::Null
        }),
        "heal" => {
            *lock(&state.faults) = super::FaultRules::default();
            Ok(Value::Null)
        }
        "buyer" => parse_choice(get("choice"))
            .ok_or_else(|| "unknown choice".to_owned())
            .and_then(|choice| state.change(|model| model.act_as_buyer(get("session"), choice)))
            .map(|()| Value::Null),
        "bank" => parse_bank_answer(get("answer"))
            .ok_or_else(|| "unknown answer".to_owned())
            .and_then(|is_accepted| {
                state.change(|model| model.finish_processing(get("session"), is_accepted))
            })
            .map(|()| Value::Null),
        "calls" => Ok(json!({"count": count_calls(state, get("path"))})),
        "session" => Ok(json!({"id": lock(&state.model).find_session(get("payment"))})),
        "object" => Ok(lock(&state.model).object(get("id")).unwrap_or_default()),
        "money" => Ok(json!({"kept": lock(&state.model).money_kept(get("currency"))})),
        "refund" => state
            .change(|model| model.refund_in_dashboard(get("intent"), get("amount").parse().unwrap_or(0)))
            .map(|id| json!({ "id": id })),
        "dispute" => state.change(|model| model.open_dispute(get("intent"))).map(|id| json!({ "id": id })),
        _ => Err("unknown command".to_owned()),
    };
    match done {
        Ok(body) => StandInReply::json(200, &body),
        Err(message) => StandInReply::json(400, &json!({ "message": message })),
    }
}

/// The requests so far whose method and path contain this text.
fn count_calls(state: &StandInState, text: &str) -> usize {
    let calls = lock(&state.calls);
    calls.iter().filter(|call| format!("{} {}", call.method, call.path).contains(text)).count()
}

fn parse_fault(text: &str) -> Option<FaultKind> {
    Some(match text {
        "lose_reply" => FaultKind::LoseReply,
        "hang_up" => FaultKind::HangUp,
        "stall" => FaultKind::Stall,
        "do_and_stall" => FaultKind::DoAndStall,
        "too_many" => FaultKind::TooMany,
        "fail" => FaultKind::Fail,
        "fail_and_keep" => FaultKind::FailAndKeep,
        "conflict" => FaultKind::Conflict,
        text => FaultKind::Delay(Duration::from_millis(text.strip_prefix("delay_ms_")?.parse().ok()?)),
    })
}

fn parse_choice(text: &str) -> Option<BuyerChoice> {
    Some(match text {
        "approve" => BuyerChoice::Approve,
        "decline" => BuyerChoice::Decline,
        "submit" => BuyerChoice::Submit,
        "challenge" => BuyerChoice::BeginChallenge,
        _ => return None,
    })
}

/// What the bank says to a payment that was submitted: whether it accepts it.
fn parse_bank_answer(text: &str) -> Option<bool> {
    match text {
        "accept" => Some(true),
        "decline" => Some(false),
        _ => None,
    }
}
