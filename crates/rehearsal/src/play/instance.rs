//! What is played against: a private instance, or one that runs somewhere; and how the crowd gets its tokens.

use super::PlayError;
use crate::client::Client;
use crate::crowd::Crowd;
use crate::private::Private;
use crate::scene::Credentials;
use crate::stage::{AdminLogin, Stage};
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::Method;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sale::BuyerId;
use tokio::sync::watch;

/// What is played against.
pub enum Instance {
    /// One that was started for it, and that may be harmed.
    Private(Box<Private>),
    /// One that runs already. Nothing is done to it but what buyers and one admin do.
    Running {
        /// Its address.
        url: String,
        /// Its admin.
        admin: AdminLogin,
    },
}

/// Makes an access token for a buyer.
pub type Sign = Box<dyn Fn(BuyerId) -> String + Send + Sync>;

/// How the crowd gets its tokens.
pub enum Tokens {
    /// They are signed with the instance's key, as if the buyers had signed in yesterday.
    Signed(Sign),
    /// Each buyer signs up.
    SignUp,
}

impl Instance {
    pub(super) fn url(&self) -> String {
        match self {
            Self::Private(private) => private.url(),
            Self::Running { url, .. } => url.clone(),
        }
    }

    pub(super) fn admin(&self) -> AdminLogin {
        match self {
            Self::Private(private) => private.admin(),
            Self::Running { admin, .. } => admin.clone(),
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Private(_) => "a private instance".to_owned(),
            Self::Running { url, .. } => url.clone(),
        }
    }

    /// How a private instance ended, if it did so by itself, and the end of its log.
    pub(super) fn ended(&mut self) -> Option<(String, String)> {
        match self {
            Self::Private(private) => {
                let status = private.ended()?;
                Some((format!("the instance ended by itself ({status})"), private.last_words()))
            }
            Self::Running { .. } => None,
        }
    }
}

/// Whether the instance takes the crowd's tokens for its own; told of the first of them.
pub(super) async fn is_known(client: &Client, credentials: &[Credentials]) -> bool {
    let Some(first) = credentials.first() else { return true };
    let request = client.target().request(Method::GET, "/api/v1/orders?limit=1");
    let request = request.header(AUTHORIZATION, format!("Bearer {}", first.token)).body(Full::default());
    let Ok(request) = request else { return false };
    // What else may be wrong is met and told by others.
    client
        .send(request, client.turn().await)
        .await
        .map_or(true, |reply| reply.status != StatusCode::UNAUTHORIZED)
}

/// Accounts for a crowd.
pub(super) async fn credentials(
    stage: &Stage,
    tokens: &Tokens,
    crowd: &Crowd,
    seed: u64,
    cut: &watch::Receiver<bool>,
) -> Result<Vec<Credentials>, PlayError> {
    match tokens {
        Tokens::Signed(sign) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let buyers = (0..crowd.accounts).map(|_| {
                let buyer = BuyerId(uuid::Builder::from_random_bytes(rng.random()).into_uuid());
                Credentials { buyer, token: sign(buyer) }
            });
            Ok(buyers.collect())
        }
        Tokens::SignUp => {
            // A name is one rehearsal's: the accounts are thrown away.
            let rehearsal = uuid::Uuid::new_v4().simple().to_string();
            let mut credentials = Vec::new();
            for number in 0..crowd.accounts {
                if *cut.borrow() {
                    return Err(PlayError::Stopped);
                }
                let name = format!("r{}-{number}", &rehearsal[..10]);
                let Some((buyer, token)) = stage.register(&name, number).await? else {
                    return Err(PlayError::Limited { made: number, wanted: crowd.accounts });
                };
                credentials.push(Credentials { buyer, token });
            }
            Ok(credentials)
        }
    }
}
