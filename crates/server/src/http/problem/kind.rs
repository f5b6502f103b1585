//! Every kind of problem of the API, one a line. A published code never changes, because programs depend on it.

use super::ProblemKind;

macro_rules! kinds {
    ($($name:ident = $status:literal $code:literal, $title:literal, $detail:literal $(, retry $retry:literal)?;)+) => {
        $(
            #[doc = concat!("`", $code, "`, ", stringify!($status), ": ", $detail)]
            pub static $name: ProblemKind = ProblemKind {
                code: $code,
                status: $status,
                title: $title,
                detail: $detail,
                retry_after_s: kinds!(@retry $($retry)?),
            };
        )+
        /// All of them, for the documentation and for tests.
        pub static ALL: &[&ProblemKind] = &[$(&$name),+];
    };
    (@retry) => { None };
    (@retry $retry:literal) => { Some($retry) };
}

kinds! {
    // Refusals of the law.
    SOLD_OUT = 409 "sold_out", "Sold out", "every unit of this sale is sold";
    ALL_HELD = 409 "all_held", "All units are held", "all units are in other carts; you may still get one";
    FEWER_LEFT = 409 "fewer_left", "Fewer units left", "fewer units can be ordered now than you asked for";
    LIMIT_REACHED = 409 "limit_reached", "Limit per buyer reached", "that would be more units than one buyer may hold and own";
    ALREADY_IN_LINE = 409 "already_in_line", "Already in line", "you have a place in this sale's line already";
    NO_LINE = 409 "no_line", "No line", "this sale has no waiting line; order directly";
    NO_EXTENSION = 409 "no_extension", "No extension", "this sale gives no more time than the checkout window";
    PAUSED = 409 "paused", "Sale paused", "the sale is paused", retry 5;
    PROMISE_MADE = 409 "promise_made", "A promise was made", "the change would break what buyers were already promised";
    ORDER_STATE = 409 "order_state", "Wrong state", "the order is in a state that does not allow this";
    ORDER_PAYING = 409 "order_paying", "Payment in progress", "a payment for the order is in progress; look at its status in a moment", retry 2;
    NOT_ADMITTED = 403 "not_admitted", "Not admitted yet", "it is not your turn yet";
    NOT_IN_LINE = 403 "not_in_line", "Not in line", "join the line first";
    EMAIL_UNCONFIRMED = 403 "email_unconfirmed", "E-mail address not confirmed", "this sale is for buyers with a confirmed e-mail address: use the link in the mail to yours, or ask for another";
    NOT_STARTED = 425 "not_started", "Not started", "the sale has not started yet";
    ENDED = 410 "ended", "Sale ended", "the sale has ended";
    CLOSED = 410 "closed", "Sale closed", "the sale was closed";
    ORDER_EXPIRED = 410 "order_expired", "Order expired", "the order was not paid in time and its units went on";
    KEY_REUSED = 422 "key_reused", "Idempotency key reused", "this Idempotency-Key was used for a different request";
    BAD_POLICY = 422 "bad_policy", "Impossible sale", "a sale cannot have this policy";
    NO_PLACE = 404 "not_in_line", "Not in line", "you have no place in this sale's line";
    PRODUCT_UNKNOWN = 404 "product_unknown", "Product unknown", "there is no such product";
    PRODUCT_IN_USE = 409 "product_in_use", "Product in use", "a sale that is not over sells this product";
    SLUG_TAKEN = 409 "slug_taken", "Slug taken", "another sale has or had this slug";
    TOO_MANY_EDITS = 409 "too_many_edits", "Too many edits", "what this sale shows of its product was edited a hundred times, which is the most";
    SALE_UNKNOWN = 404 "sale_unknown", "Sale unknown", "there is no such sale";
    FOLLOWER_UNKNOWN = 404 "follower_unknown", "Follower unknown", "there is no such follower of the ledger";
    WEBHOOK_UNKNOWN = 404 "webhook_unknown", "Webhook endpoint unknown", "there is no such webhook endpoint";
    DELIVERY_UNKNOWN = 404 "delivery_unknown", "Delivery unknown", "the endpoint has no such delivery; deliveries are kept for 30 days";
    WEBHOOK_DISABLED = 409 "webhook_disabled", "Webhook endpoint disabled", "nothing is sent to a disabled endpoint: enable it first";
    TOO_MANY_WEBHOOKS = 409 "too_many_webhooks", "Too many webhook endpoints", "a shop has at most 64 webhook endpoints: delete one first";
    PUBLIC_URL_MISSING = 409 "public_url_missing", "Public address missing", "the shop does not know its own address, which events name: start it with --public-url";
    MAIL_UNKNOWN = 404 "mail_unknown", "Mail unknown", "there is no such mail that was not delivered";
    MAIL_EXPIRED = 409 "mail_expired", "Mail expired", "the mail is of no use any more: its link, its turn or its moment is over";
    ORDER_UNKNOWN = 404 "order_unknown", "Order unknown", "there is no such order";
    NOT_YOUR_ORDER = 404 "order_unknown", "Order unknown", "there is no such order";
    REQUEST_IN_FLIGHT = 409 "request_in_flight", "Request in flight", "the first request with this key is still being worked on", retry 1;
    PAYMENT_UNKNOWN = 503 "payment_unknown", "Payment not settled yet", "the outcome of the payment is not known yet; do not pay in another way: look at the order's status in a moment, or repeat this request, which never charges twice", retry 2;
    PAYMENT_UNAVAILABLE = 503 "payment_unavailable", "Payment not available", "payment is not available at the moment; your unit is kept as long as its hold lasts, and nothing was charged", retry 5;
    PAYMENT_MISSING = 409 "payment_missing", "Payment not found", "the order was paid for, but its payment is not in the tables; look it up at the provider and pay it back there";
    REFUND_TOO_HIGH = 409 "refund_too_high", "More than is left", "more money was to be refunded than is left of the payment";
    REFUND_REFUSED = 409 "refund_refused", "Refund refused", "the payment provider does not make this refund; look the payment up there";
    PAYMENT_DECLINED = 402 "payment_declined", "Payment declined", "the payment was declined";
    // The caller.
    UNAUTHORIZED = 401 "unauthorized", "Not signed in", "this needs a valid access token";
    BAD_CREDENTIALS = 401 "bad_credentials", "Wrong credentials", "no account has this name and password";
    BAD_REFRESH_TOKEN = 401 "bad_refresh_token", "Refresh token not valid", "this refresh token is unknown, expired, used or revoked; sign in again";
    BAD_MAIL_TOKEN = 410 "bad_mail_token", "Link or code not valid", "this link or code is unknown, expired, used or of another account; ask for a new one";
    ACCOUNT_UNKNOWN = 404 "account_unknown", "Account unknown", "there is no such account";
    LAST_ADMIN = 409 "last_admin", "Last admin", "this is the last admin, and a shop needs one: make another admin first";
    FORBIDDEN = 403 "forbidden", "Not allowed", "your account may not do this";
    EMAIL_TAKEN = 409 "email_taken", "E-mail address taken", "an account with this e-mail address exists";
    USERNAME_TAKEN = 409 "username_taken", "Username taken", "an account with this username exists";
    // The request.
    NOT_FOUND = 404 "not_found", "Not found", "no resource has this address";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed", "Method not allowed", "use a method that `Allow` lists";
    REQUEST_TIMEOUT = 408 "request_timeout", "Request too slow", "the body of the request did not arrive in time";
    BODY_TOO_LARGE = 413 "body_too_large", "Body too large", "the body of the request is larger than allowed";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported_media_type", "Unsupported media type", "send Content-Type: application/json";
    BAD_JSON = 400 "bad_json", "Broken JSON", "the body is not valid JSON";
    BAD_IDEMPOTENCY_KEY = 400 "bad_idempotency_key", "Bad idempotency key", "an Idempotency-Key is one string of 1 to 255 characters";
    BAD_REQUEST = 400 "bad_request", "Bad request", "the request cannot be understood";
    HEAD_TOO_LARGE = 431 "head_too_large", "Head too large", "the head of the request is larger than allowed";
    UNKNOWN_CODING = 501 "unknown_coding", "Unknown transfer coding", "the only transfer coding of requests here is chunked";
    INVALID_BODY = 422 "invalid_body", "Invalid fields", "some fields of the body are not valid";
    INVALID_QUERY = 422 "invalid_query", "Invalid parameters", "some parameters of the query are not valid";
    RATE_LIMITED = 429 "rate_limited", "Too many requests", "you have made more requests than allowed", retry 1;
    // Failures.
    INTERNAL = 500 "internal", "Internal error", "something went wrong on our side";
    OVERLOADED = 503 "overloaded", "Overloaded", "too many requests at once; nothing was done, try again in a moment", retry 1;
    UNAVAILABLE = 503 "unavailable", "Unavailable", "this cannot be done right now; try again in a moment", retry 2;
    NOT_RECORDED = 503 "not_recorded", "Not recorded", "this request may or may not have been recorded; repeat it with the same Idempotency-Key", retry 2;
    TIMEOUT = 504 "timeout", "Took too long", "the request took too long; it may still have an effect", retry 1;
}
