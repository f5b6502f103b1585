//! What the stand-in has: sessions, intents, charges, refunds, disputes, and replies that are kept under idempotency keys. Each change leaves
//! the objects as Stripe's would be, and an event.

use super::now_s;
use super::objects::ApiFailure;
use super::parameters::{self, LOCALES, Parameters, read_integer, read_metadata, require};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// How long a session is open if its creation does not say, and the limits of what it may say, in seconds.
const SESSION_LIFE_S: i64 = 24 * 3_600;
const SESSION_LIFE_S_MIN: i64 = 30 * 60;

/// What a buyer does on the page of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuyerChoice {
    /// Pays with a card that the bank accepts.
    Approve,
    /// Pays with a card that the bank declines: the page stays open for another one.
    Decline,
    /// Submits a payment that the bank has not answered yet.
    Submit,
    /// Is asked by the bank for something, and has not answered.
    BeginChallenge,
}

/// Objects are JSON, as they are sent.
#[derive(Debug, Default)]
pub(crate) struct StripeModel {
    /// By id.
    objects: Map<String, Value>,
    /// Replies by idempotency key: what was asked for, status and body.
    kept: Map<String, Value>,
    last_id: u64,
    events: Vec<Value>,
    pub(crate) is_key_revoked: bool,
    pub(crate) missing_rights: BTreeSet<String>,
}

impl StripeModel {
    /// What the file has; nothing while there is none.
    pub(crate) fn load(file: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(file) else { return Self::default() };
        let kept: Value = serde_json::from_str(&text).unwrap();
        let map = |name: &str| kept[name].as_object().cloned().unwrap_or_default();
        let last_id = kept["last_id"].as_u64().unwrap_or_default();
        Self { objects: map("objects"), kept: map("kept"), last_id, ..Self::default() }
    }

    /// Replaces the file, so that a process that is killed meanwhile leaves the old one or the new one.
    pub(crate) fn save(&self, file: &Path) {
        let text = json!({"objects": self.objects, "kept": self.kept, "last_id": self.last_id}).to_string();
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, file).unwrap();
    }

    pub(crate) fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn object(&self, id: &str) -> Option<Value> {
        self.objects.get(id).cloned()
    }

    pub(super) fn kept_reply(&self, key: &str) -> Option<&Value> {
        self.kept.get(key)
    }

    pub(super) fn keep_reply(&mut self, key: &str, request: &Value, status: u16, body: &Value) {
        self.kept.insert(key.to_owned(), json!({"request": request, "status": status, "body": body}));
    }

    pub(crate) fn find_session(&self, payment: &str) -> Option<String> {
        let is_ours = |object: &&Value| {
            object["object"] == "checkout.session" && object["metadata"]["doorbuster_payment"] == payment
        };
        self.objects.values().find(is_ours).and_then(|session| session["id"].as_str()).map(str::to_owned)
    }

    pub(crate) fn list_refunds(&self, intent: &str) -> Vec<String> {
        let refunds = self
            .objects
            .values()
            .filter(|object| object["object"] == "refund" && object["payment_intent"] == intent);
        refunds.map(|refund| text(&refund["id"])).collect()
    }

    pub(crate) fn money_kept(&self, currency: &str) -> i64 {
        let of = |kind: &'static str| {
            self.objects
                .values()
                .filter(move |object| object["object"] == kind && object["currency"] == currency)
        };
        let captured: i64 = of("charge")
            .map(|charge| int(&charge["amount_captured"]) - int(&charge["amount_refunded"]))
            .sum();
        let lost: i64 = of("dispute")
            .filter(|dispute| dispute["status"] == "lost")
            .map(|lost| int(&lost["amount"]))
            .sum();
        captured - lost
    }

    pub(super) fn create_session(&mut self, parameters: &Parameters, url: &str) -> Result<Value, ApiFailure> {
        if require(parameters, "mode")? != "payment" {
            return Err(ApiFailure::invalid("", "mode", "The stand-in has the mode payment only."));
        }
        let success_url = require(parameters, "success_url")?;
        for name in ["success_url", "cancel_url"] {
            if parameters
                .get(name)
                .is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://"))
            {
                return Err(ApiFailure::invalid("url_invalid", name, "Not a valid URL"));
            }
        }
        let currency = require(parameters, "line_items[0][price_data][currency]")?;
        let name = require(parameters, "line_items[0][price_data][product_data][name]")?;
        let unit = read_integer(parameters, "line_items[0][price_data][unit_amount]")?.ok_or_else(|| {
            ApiFailure::invalid("parameter_missing", "line_items[0][price_data][unit_amount]", "Missing")
        })?;
        let quantity = read_integer(parameters, "line_items[0][quantity]")?.unwrap_or(1);
        let amount = unit.saturating_mul(quantity);
        check_amount(currency, amount)?;
        let capture_method =
            parameters.get("payment_intent_data[capture_method]").map_or("automatic", String::as_str);
        if !["automatic", "automatic_async", "manual"].contains(&capture_method) {
            return Err(ApiFailure::invalid(
                "",
                "payment_intent_data[capture_method]",
                "Invalid capture_method",
            ));
        }
        let locale = parameters.get("locale").map(String::as_str);
        if locale.is_some_and(|locale| !LOCALES.contains(&locale)) {
            return Err(ApiFailure::invalid("", "locale", "Invalid locale"));
        }
        let email = parameters.get("customer_email");
        if email.is_some_and(|email| !email.contains('@') || email.ends_with(".invalid")) {
            return Err(ApiFailure::invalid("email_invalid", "customer_email", "Invalid email address"));
        }
        let reference = parameters.get("client_reference_id");
        if reference.is_some_and(|reference| reference.len() > 200) {
            return Err(ApiFailure::invalid(
                "parameter_invalid_string_length",
                "client_reference_id",
                "Too long",
            ));
        }
        let now = now_s();
        let expires_at = read_integer(parameters, "expires_at")?.unwrap_or(now + SESSION_LIFE_S);
        if !(now + SESSION_LIFE_S_MIN..=now + SESSION_LIFE_S).contains(&expires_at) {
            let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
            return Err(ApiFailure::invalid("", "expires_at", message));
        }
        let id = self.next_id("cs_test_");
        let session = json!({
            "id": id,
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "mode": "payment",
            "url": format!("{url}/pay/{id}"),
            "payment_intent": null,
            "client_reference_id": reference,
            "customer_email": email,
            "metadata": read_metadata(parameters, "metadata"),
            "amount_total": amount,
            "currency": currency,
            "success_url": success_url,
            "cancel_url": parameters.get("cancel_url"),
            "locale": locale,
            "expires_at": expires_at,
            "created": now,
            "livemode": false,
            // Stripe does not send these back.
            "standin": {
                "name": name,
                "capture_method": capture_method,
                "intent_metadata": read_metadata(parameters, "payment_intent_data[metadata]"),
            },
        });
        self.objects.insert(id, session.clone());
        Ok(session)
    }

    pub(super) fn expire_session(&mut self, id: &str) -> Result<Value, ApiFailure> {
        self.end_old_sessions();
        let session = self.get("checkout.session", "session", id)?;
        if session["status"] != "open" {
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{}`.",
                session["status"].as_str().unwrap_or_default()
            );
            return Err(ApiFailure::state("", &message));
        }
        self.end_session(id);
        self.get("checkout.session", "session", id)
    }

    pub(super) fn retrieve(&mut self, object: &str, kind: &str, id: &str) -> Result<Value, ApiFailure> {
        self.end_old_sessions();
        self.get(object, kind, id)
    }

    pub(super) fn capture_intent(&mut self, id: &str, parameters: &Parameters) -> Result<Value, ApiFailure> {
        let intent = self.get("payment_intent", "payment_intent", id)?;
        if intent["status"] != "requires_capture" {
            return Err(unexpected_state("captured", &intent, "requires_capture"));
        }
        let amount = read_integer(parameters, "amount_to_capture")?.unwrap_or(int(&intent["amount"]));
        if !(1..=int(&intent["amount"])).contains(&amount) {
            return Err(ApiFailure::invalid(
                "amount_too_large",
                "amount_to_capture",
                "More than was authorised",
            ));
        }
        let charge = text(&intent["latest_charge"]);
        self.set(&charge, json!({"captured": true, "amount_captured": amount}));
        self.set(id, json!({"status": "succeeded", "amount_received": amount, "amount_capturable": 0}));
        self.set_session_of(id, json!({"payment_status": "paid"}));
        self.emit_object("charge.captured", &charge);
        self.emit_object("payment_intent.succeeded", id);
        self.get("payment_intent", "payment_intent", id)
    }

    pub(super) fn cancel_intent(&mut self, id: &str) -> Result<Value, ApiFailure> {
        let intent = self.get("payment_intent", "payment_intent", id)?;
        let may_be_cancelled =
            ["requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"];
        if !may_be_cancelled.contains(&text(&intent["status"]).as_str()) {
            return Err(unexpected_state("canceled", &intent, &may_be_cancelled.join(", ")));
        }
        if self.is_session_open(id) {
            let message = "You cannot cancel this PaymentIntent because it was created by an open Checkout Session. Expire the session.";
            return Err(ApiFailure::state("payment_intent_unexpected_state", message));
        }
        self.set(id, json!({"status": "canceled", "amount_capturable": 0, "canceled_at": now_s()}));
        if let Some(charge) = intent["latest_charge"].as_str() {
            // What is released counts as refunded, and was never captured.
            self.set(charge, json!({"refunded": true}));
        }
        self.emit_object("payment_intent.canceled", id);
        self.get("payment_intent", "payment_intent", id)
    }

    pub(super) fn create_refund(&mut self, parameters: &Parameters) -> Result<Value, ApiFailure> {
        let intent = require(parameters, "payment_intent")?.to_owned();
        let amount = read_integer(parameters, "amount")?;
        let metadata = read_metadata(parameters, "metadata");
        self.refund(&intent, amount, metadata)
    }

    pub(super) fn list(
        &self,
        object: &str,
        parameters: &Parameters,
        path: &str,
    ) -> Result<Value, ApiFailure> {
        let limit = read_integer(parameters, "limit")?.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            return Err(ApiFailure::invalid("parameter_invalid_integer", "limit", "Invalid limit: 1 to 100"));
        }
        let bound = |name: &str| read_integer(parameters, name);
        let (gte, gt) = (bound("created[gte]")?, bound("created[gt]")?);
        let (lte, lt) = (bound("created[lte]")?, bound("created[lt]")?);
        let intent = parameters.get("payment_intent");
        let mut found: Vec<&Value> = self
            .objects
            .values()
            .filter(|candidate| {
                let created = int(&candidate["created"]);
                candidate["object"] == object
                    && gte.is_none_or(|bound| created >= bound)
                    && gt.is_none_or(|bound| created > bound)
                    && lte.is_none_or(|bound| created <= bound)
                    && lt.is_none_or(|bound| created < bound)
                    && intent.is_none_or(|intent| candidate["payment_intent"] == intent.as_str())
            })
            .collect();
        // Newest first; ids grow.
        found.sort_by_key(|object| std::cmp::Reverse(text(&object["id"])));
        if let Some(after) = parameters.get("starting_after") {
            let at = found.iter().position(|object| object["id"] == after.as_str());
            let at = at.ok_or_else(|| ApiFailure::missing(object, after))?;
            found.drain(..=at);
        }
        let limit = usize::try_from(limit).unwrap_or(100);
        let has_more = found.len() > limit;
        let data: Vec<Value> = found.into_iter().take(limit).cloned().collect();
        Ok(json!({"object": "list", "url": path, "has_more": has_more, "data": data}))
    }

    /// An object as it is sent: with what was asked for in place of its id, and without what Stripe does not have.
    pub(super) fn render(&self, object: &Value, expand: &[String]) -> Value {
        let mut rendered = object.clone();
        if let Some(data) = rendered["data"].as_array_mut() {
            let below: Vec<String> =
                expand.iter().filter_map(|path| path.strip_prefix("data.").map(str::to_owned)).collect();
            let items: Vec<Value> = data.iter().map(|item| self.render(item, &below)).collect();
            *data = items;
            return rendered;
        }
        for path in expand {
            let (field, below) =
                path.split_once('.').map_or((path.as_str(), None), |(field, below)| (field, Some(below)));
            if let Some(inner) = rendered[field].as_str().and_then(|id| self.objects.get(id)) {
                let below: Vec<String> = below.map(str::to_owned).into_iter().collect();
                rendered[field] = self.render(inner, &below);
            }
        }
        if let Some(fields) = rendered.as_object_mut() {
            fields.remove("standin");
        }
        rendered
    }

    pub(crate) fn act_as_buyer(&mut self, session: &str, choice: BuyerChoice) -> Result<(), String> {
        self.end_old_sessions();
        let found = self.objects.get(session).cloned().ok_or("There is no such page.")?;
        if found["status"] != "open" {
            return Err("You're all done here. This page is closed.".to_owned());
        }
        let intent = match found["payment_intent"].as_str() {
            Some(intent) => intent.to_owned(),
            None => self.create_intent(&found),
        };
        match choice {
            BuyerChoice::Approve => self.accept(session, &intent),
            BuyerChoice::Decline => {
                self.set(&intent, json!({"status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}}));
                self.emit_object("payment_intent.payment_failed", &intent);
            }
            BuyerChoice::BeginChallenge => {
                self.set(&intent, json!({"status": "requires_action"}));
                self.emit_object("payment_intent.requires_action", &intent);
            }
            BuyerChoice::Submit => {
                self.set(&intent, json!({"status": "processing"}));
                self.set(session, json!({"status": "complete", "url": null}));
                self.emit_object("payment_intent.processing", &intent);
                self.emit_object("checkout.session.completed", session);
            }
        }
        Ok(())
    }

    pub(crate) fn finish_processing(&mut self, session: &str, is_accepted: bool) -> Result<(), String> {
        let found = self.objects.get(session).cloned().ok_or("There is no such page.")?;
        let intent = text(&found["payment_intent"]);
        if self.objects.get(&intent).is_none_or(|intent| intent["status"] != "processing") {
            return Err("The payment is not being processed.".to_owned());
        }
        if is_accepted {
            self.accept(session, &intent);
        } else {
            self.set(&intent, json!({"status": "requires_payment_method"}));
            self.emit_object("payment_intent.payment_failed", &intent);
            self.emit_object("checkout.session.async_payment_failed", session);
        }
        Ok(())
    }

    pub(crate) fn refund_in_dashboard(&mut self, intent: &str, amount: i64) -> Result<String, String> {
        let refund = self.refund(intent, Some(amount), Map::new());
        refund.map(|refund| text(&refund["id"])).map_err(|failure| failure.body().to_string())
    }

    pub(crate) fn fail_refund(&mut self, refund: &str) -> Result<(), String> {
        let found = self.objects.get(refund).cloned().ok_or("There is no such refund.")?;
        if found["status"] != "succeeded" {
            return Err("The refund has failed before.".to_owned());
        }
        self.set(refund, json!({"status": "failed", "failure_reason": "expired_or_canceled_card"}));
        let charge = text(&found["charge"]);
        let refunded = self.objects.get(&charge).map_or(0, |charge| int(&charge["amount_refunded"]))
            - int(&found["amount"]);
        self.set(&charge, json!({"amount_refunded": refunded, "refunded": false}));
        self.emit_object("refund.failed", refund);
        Ok(())
    }

    pub(crate) fn open_dispute(&mut self, intent: &str) -> Result<String, String> {
        let found = self.objects.get(intent).cloned().ok_or("There is no such intent.")?;
        if found["status"] != "succeeded" {
            return Err("Nothing was captured.".to_owned());
        }
        let (id, now) = (self.next_id("du_"), now_s());
        let dispute = json!({
            "id": id, "object": "dispute", "amount": found["amount_received"], "currency": found["currency"],
            "charge": found["latest_charge"], "payment_intent": intent, "status": "needs_response", "reason": "fraudulent",
            "evidence_details": {"due_by": now + 7 * 24 * 3_600, "has_evidence": false}, "metadata": {}, "created": now,
            "livemode": false,
        });
        self.objects.insert(id.clone(), dispute);
        self.set(&text(&found["latest_charge"]), json!({"disputed": true}));
        self.emit_object("charge.dispute.created", &id);
        Ok(id)
    }

    pub(crate) fn close_dispute(&mut self, dispute: &str, is_won: bool) -> Result<(), String> {
        let found = self.objects.get(dispute).ok_or("There is no such dispute.")?;
        if found["status"] == "won" || found["status"] == "lost" {
            return Err("The bank has decided.".to_owned());
        }
        self.set(dispute, json!({"status": if is_won { "won" } else { "lost" }}));
        self.emit_object("charge.dispute.closed", dispute);
        Ok(())
    }

    /// Leaves an event with an object.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value) {
        let event = json!({
            "id": self.next_id("evt_"), "object": "event", "type": kind, "api_version": super::API_VERSION,
            "created": now_s(), "livemode": false, "data": {"object": object}, "pending_webhooks": 1,
        });
        self.events.push(event);
    }

    fn emit_object(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.object(id) {
            let object = self.render(&object, &[]);
            self.emit(kind, &object);
        }
    }

    fn create_intent(&mut self, session: &Value) -> String {
        let id = self.next_id("pi_");
        let intent = json!({
            "id": id, "object": "payment_intent", "status": "requires_payment_method", "amount": session["amount_total"],
            "amount_received": 0, "amount_capturable": 0, "currency": session["currency"],
            "capture_method": session["standin"]["capture_method"], "metadata": session["standin"]["intent_metadata"],
            "latest_charge": null, "created": now_s(), "livemode": false,
        });
        self.objects.insert(id.clone(), intent);
        self.set(&text(&session["id"]), json!({"payment_intent": id}));
        self.emit_object("payment_intent.created", &id);
        id
    }

    /// The bank accepts: the money is authorised, and with automatic capture taken.
    fn accept(&mut self, session: &str, intent: &str) {
        let found = self.objects.get(intent).cloned().unwrap_or_default();
        let is_manual = found["capture_method"] == "manual";
        let amount = &found["amount"];
        let charge = self.next_id("ch_");
        self.objects.insert(
            charge.clone(),
            json!({
                "id": charge, "object": "charge", "amount": amount, "currency": found["currency"], "captured": !is_manual,
                "amount_captured": if is_manual { json!(0) } else { amount.clone() }, "amount_refunded": 0, "refunded": false,
                "disputed": false, "payment_intent": intent, "metadata": found["metadata"], "status": "succeeded",
                "paid": true, "created": now_s(), "livemode": false,
            }),
        );
        let changed = if is_manual {
            json!({"status": "requires_capture", "amount_capturable": amount, "latest_charge": charge})
        } else {
            json!({"status": "succeeded", "amount_received": amount, "latest_charge": charge})
        };
        self.set(intent, changed);
        let payment_status = if is_manual { "unpaid" } else { "paid" };
        self.set(session, json!({"status": "complete", "url": null, "payment_status": payment_status}));
        self.emit_object("charge.succeeded", &charge);
        self.emit_object("payment_intent.amount_capturable_updated", intent);
        self.emit_object("checkout.session.completed", session);
    }

    fn refund(
        &mut self,
        intent: &str,
        amount: Option<i64>,
        metadata: Map<String, Value>,
    ) -> Result<Value, ApiFailure> {
        let found = self.get("payment_intent", "payment_intent", intent)?;
        if found["status"] != "succeeded" {
            let message = "This PaymentIntent does not have a successful charge to refund.";
            return Err(ApiFailure::state("", message));
        }
        let charge = text(&found["latest_charge"]);
        let charged = self.get("charge", "charge", &charge)?;
        let left = int(&charged["amount_captured"]) - int(&charged["amount_refunded"]);
        if left == 0 {
            return Err(ApiFailure::state("charge_already_refunded", "Charge has already been refunded."));
        }
        let amount = amount.unwrap_or(left);
        if amount < 1 {
            return Err(ApiFailure::invalid(
                "parameter_invalid_integer",
                "amount",
                "Invalid positive integer",
            ));
        }
        // `disputed` stays true when a dispute was won: it says that there was one.
        if self.is_charged_back(&charge) {
            return Err(ApiFailure::state("charge_disputed", "Charge has been charged back."));
        }
        if amount > left {
            let message =
                format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(ApiFailure::state("", &message));
        }
        let id = self.next_id("re_");
        let refund = json!({
            "id": id, "object": "refund", "amount": amount, "currency": found["currency"], "charge": charge,
            "payment_intent": intent, "metadata": metadata, "status": "succeeded", "created": now_s(),
        });
        self.objects.insert(id.clone(), refund);
        let refunded = int(&charged["amount_refunded"]) + amount;
        self.set(&charge, json!({"amount_refunded": refunded, "refunded": amount == left}));
        self.emit_object("refund.created", &id);
        self.emit_object("charge.refunded", &charge);
        self.get("refund", "refund", &id)
    }

    fn end_old_sessions(&mut self) {
        let now = now_s();
        let is_old = |object: &&Value| {
            object["object"] == "checkout.session"
                && object["status"] == "open"
                && int(&object["expires_at"]) <= now
        };
        let old: Vec<String> =
            self.objects.values().filter(is_old).map(|session| text(&session["id"])).collect();
        for id in old {
            self.end_session(&id);
        }
    }

    fn end_session(&mut self, id: &str) {
        self.set(id, json!({"status": "expired", "url": null}));
        let intent =
            self.objects.get(id).and_then(|session| session["payment_intent"].as_str()).map(str::to_owned);
        if let Some(intent) = intent {
            self.set(&intent, json!({"status": "canceled", "canceled_at": now_s()}));
            self.emit_object("payment_intent.canceled", &intent);
        }
        self.emit_object("checkout.session.expired", id);
    }

    fn is_session_open(&self, intent: &str) -> bool {
        self.objects.values().any(|object| {
            object["object"] == "checkout.session"
                && object["payment_intent"] == intent
                && object["status"] == "open"
        })
    }

    /// Whether a dispute holds the money of a charge, or has taken it.
    fn is_charged_back(&self, charge: &str) -> bool {
        self.objects.values().any(|object| {
            object["object"] == "dispute" && object["charge"] == charge && object["status"] != "won"
        })
    }

    fn set_session_of(&mut self, intent: &str, changed: Value) {
        let is_of =
            |object: &&Value| object["object"] == "checkout.session" && object["payment_intent"] == intent;
        if let Some(session) = self.objects.values().find(is_of).map(|session| text(&session["id"])) {
            self.set(&session, changed);
        }
    }

    fn get(&self, object: &str, kind: &str, id: &str) -> Result<Value, ApiFailure> {
        let found = self.objects.get(id).filter(|found| found["object"] == object);
        found.cloned().ok_or_else(|| ApiFailure::missing(kind, id))
    }

    fn set(&mut self, id: &str, changed: Value) {
        if let (Some(object), Value::Object(changed)) =
            (self.objects.get_mut(id).and_then(Value::as_object_mut), changed)
        {
            object.extend(changed);
        }
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:014}", self.last_id)
    }
}

fn unexpected_state(what: &str, intent: &Value, expected: &str) -> ApiFailure {
    let message = format!(
        "This PaymentIntent could not be {what} because it has a status of {}. Only a PaymentIntent with one of the \
        following statuses may be {what}: {expected}.",
        text(&intent["status"])
    );
    ApiFailure::state("payment_intent_unexpected_state", &message)
}

/// What Stripe says of an amount, by <https://docs.stripe.com/currencies>.
fn check_amount(currency: &str, amount: i64) -> Result<(), ApiFailure> {
    const PARAM: &str = "line_items[0][price_data][unit_amount]";
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(ApiFailure::invalid("", "line_items[0][price_data][currency]", "Invalid currency"));
    }
    let whole = match currency {
        "isk" | "ugx" => 100,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        _ => 1,
    };
    if amount % whole != 0 {
        return Err(ApiFailure::invalid(
            "parameter_invalid_integer",
            PARAM,
            "The amount has decimals that the currency has not",
        ));
    }
    let minimum = match currency {
        "gbp" => 30,
        "czk" => 1_500,
        "dkk" => 250,
        "hkd" => 400,
        "huf" => 17_500,
        "mxn" | "thb" => 1_000,
        "nok" | "sek" => 300,
        "aed" | "myr" | "pln" | "ron" => 200,
        _ => 50,
    };
    if amount < minimum {
        return Err(ApiFailure::invalid("amount_too_small", PARAM, "The amount is below the minimum charge"));
    }
    if amount > if currency == "idr" { 999_999_999_999 } else { 99_999_999 } {
        return Err(ApiFailure::invalid("amount_too_large", PARAM, "The amount has too many digits"));
    }
    Ok(())
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The names of parameters that are expanded.
pub(super) fn read_expand(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().filter(|(name, _)| name.starts_with("expand[")).map(|(_, value)| value.clone()).collect()
}

/// Reads parameters against those that a request may have.
pub(super) fn read_parameters(pairs: &[(String, String)], known: &[&str]) -> Result<Parameters, ApiFailure> {
    parameters::read(pairs, known)
}
