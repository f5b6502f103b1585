//! `/auth`: accounts, signing in and out, staying signed in.

use crate::auth::Role;
use crate::http::AppState;
use crate::http::extract::{BuyerSession, FieldErrors, Json};
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::http::v1::rfc3339;
use crate::shop::accounts::{
    self, AccountProfile, AccountRegistration, AccountTextError, LoginName, PlainPassword, SignedInAccount,
};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
}

/// What a new account needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    /// The address; upper and lower case are the same.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// The name; letters, digits, `_`, `.` and `-`. Upper and lower case are the same to another account.
    #[schema(min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_.-]+$")]
    username: String,
    /// The password.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    password: String,
}

/// Makes a buyer's account and signs it in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = RegisterBody, responses(
    (status = 201, description = "Signed in", body = SignedInReply),
    (status = 409, description = "`email_taken` or `username_taken`", body = ProblemSchema, content_type = "application/problem+json"),
    (status = 422, description = "`invalid_body`", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn register(
    State(app): State<AppState>,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, Json<SignedInReply>), Problem> {
    let signed_in = accounts::register(&app.shop.accounts, body.validate()?).await??;
    Ok((StatusCode::CREATED, Json(signed_in.into())))
}

impl RegisterBody {
    fn validate(self) -> Result<AccountRegistration, Problem> {
        let mut fields = FieldErrors::new();
        let email = fields.check("/email", self.email.parse());
        let username = fields.check("/username", self.username.parse());
        let password = fields.check("/password", PlainPassword::try_from(self.password));
        match (email, username, password) {
            (Some(email), Some(username), Some(password)) => {
                Ok(AccountRegistration { email, username, password })
            }
            _ => Err(fields.into_problem()),
        }
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    /// The account's address; either this or `username`.
    email: Option<String>,
    /// The account's name.
    username: Option<String>,
    /// Its password.
    #[schema(format = Password)]
    password: String,
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginBody, responses(
    (status = 200, description = "Signed in", body = SignedInReply),
    (status = 401, description = "`bad_credentials`", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn login(
    State(app): State<AppState>,
    Json(body): Json<LoginBody>,
) -> Result<Json<SignedInReply>, Problem> {
    let (name, password) = body.validate()?;
    let signed_in = accounts::login(&app.shop.accounts, name, password).await??;
    Ok(Json(signed_in.into()))
}

impl LoginBody {
    fn validate(self) -> Result<(LoginName, PlainPassword), Problem> {
        let mut fields = FieldErrors::new();
        let name = match (self.email, self.username) {
            (Some(email), None) => fields.check("/email", email.parse().map(LoginName::Email)),
            (None, Some(username)) => fields.check("/username", username.parse().map(LoginName::Username)),
            _ => fields.check("", Err(AccountTextError("give either email or username"))),
        };
        let password = fields.check("/password", PlainPassword::for_login(self.password));
        match (name, password) {
            (Some(name), Some(password)) => Ok((name, password)),
            _ => Err(fields.into_problem()),
        }
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RefreshBody {
    /// What the last sign-in or refresh gave. It can be used once; using it twice ends the session.
    refresh_token: String,
}

/// Trades a refresh token for new tokens.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshBody, responses(
    (status = 200, description = "New tokens", body = SignedInReply),
    (status = 401, description = "`bad_refresh_token`", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn refresh(
    State(app): State<AppState>,
    Json(body): Json<RefreshBody>,
) -> Result<Json<SignedInReply>, Problem> {
    let signed_in = accounts::refresh(&app.shop.accounts, &body.refresh_token).await??;
    Ok(Json(signed_in.into()))
}

/// Ends the session: its access and refresh tokens stop working.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(("token" = [])), responses(
    (status = 204, description = "Signed out"),
    (status = 401, description = "`unauthorized`", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn logout(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<StatusCode, Problem> {
    accounts::logout(&app.shop.accounts, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", security(("token" = [])), responses(
    (status = 200, description = "The account", body = AccountReply),
    (status = 401, description = "`unauthorized`", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn me(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<Json<AccountReply>, Problem> {
    let account = accounts::find_account(&app.shop.accounts, session)
        .await?
        .ok_or(Problem::new(&kind::UNAUTHORIZED))?;
    Ok(Json(account.into()))
}

/// Someone who is signed in, with their tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignedInReply {
    /// Who.
    user: AccountReply,
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For `POST /auth/refresh`, once.
    refresh_token: String,
    /// Seconds until the access token expires.
    expires_in: i64,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AccountReply {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: sale::id::BuyerId,
    /// Its address.
    email: String,
    /// Its name.
    username: String,
    /// What it may do.
    role: Role,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<SignedInAccount> for SignedInReply {
    fn from(signed_in: SignedInAccount) -> Self {
        Self {
            user: signed_in.account.into(),
            access_token: signed_in.access_token,
            refresh_token: signed_in.refresh_token.into_text(),
            expires_in: signed_in.expires_in_s,
        }
    }
}

impl From<AccountProfile> for AccountReply {
    fn from(account: AccountProfile) -> Self {
        let AccountProfile { id, email, username, role, created_at } = account;
        Self { id, email, username, role, created_at: rfc3339(created_at) }
    }
}
