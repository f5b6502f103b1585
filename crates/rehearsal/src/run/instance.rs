//! The instance under test: a private one, or one that runs elsewhere; and how the crowd gets its tokens.

use super::RehearsalError;
use crate::client::InstanceClient;
use crate::context::BuyerCredentials;
use crate::crowd::Crowd;
use crate::merchant::{AdminLogin, MerchantClient};
use crate::private_instance::PrivateInstance;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::Method;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sale::BuyerId;
use tokio::sync::watch;

/// What is played against.
pub enum TargetInstance {
    /// One that was started for it, and that may be harmed.
    Private(Box<PrivateInstance>),
    /// One that runs already. Nothing is done to it but what buyers and one admin do.
    Running { url: String, admin: AdminLogin },
}

/// Makes an access token for a buyer.
pub type TokenSigner = Box<dyn Fn(BuyerId) -> String + Send + Sync>;

/// How the crowd gets its tokens.
pub enum TokenSource {
    /// They are signed with the instance's key, as if the buyers had signed in yesterday.
    Signed(TokenSigner),
    /// Each buyer signs up.
    SignUp,
}

impl TargetInstance {
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
    pub(super) fn poll_exit(&mut self) -> Option<(String, String)> {
        match self {
            Self::Private(private) => {
                let status = private.poll_exit()?;
                Some((format!("the instance ended by itself ({status})"), private.read_log_tail()))
            }
            Self::Running { .. } => None,
        }
    }
}

/// Whether the instance accepts the crowd's tokens; it tries the first of them.
pub(super) async fn accepts_tokens(client: &InstanceClient, credentials: &[BuyerCredentials]) -> bool {
    let Some(first) = credentials.first() else { return true };
    let request = client.target().request(Method::GET, "/api/v1/orders?limit=1");
    let request = request.header(AUTHORIZATION, format!("Bearer {}", first.token)).body(Full::default());
    let Ok(request) = request else { return false };
    // Later steps meet and report other errors.
    client
        .send(request, client.acquire_connection().await)
        .await
        .map_or(true, |reply| reply.status != StatusCode::UNAUTHORIZED)
}

/// Accounts for a crowd.
pub(super) async fn create_credentials(
    merchant: &MerchantClient,
    tokens: &TokenSource,
    crowd: &Crowd,
    seed: u64,
    cut: &watch::Receiver<bool>,
) -> Result<Vec<BuyerCredentials>, RehearsalError> {
    match tokens {
        TokenSource::Signed(sign) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let buyers = (0..crowd.accounts).map(|_| {
                let buyer = BuyerId(uuid::Builder::from_random_bytes(rng.random()).into_uuid());
                BuyerCredentials { buyer, token: sign(buyer) }
            });
            Ok(buyers.collect())
        }
        TokenSource::SignUp => {
            // A name is one rehearsal's: the accounts are thrown away.
            let rehearsal = uuid::Uuid::new_v4().simple().to_string();
            let mut credentials = Vec::new();
            for number in 0..crowd.accounts {
                if *cut.borrow() {
                    return Err(RehearsalError::Stopped);
                }
                let name = format!("r{}-{number}", &rehearsal[..10]);
                let Some((buyer, token)) = merchant.register_buyer(&name, number).await? else {
                    return Err(RehearsalError::SignUpLimited { made: number, wanted: crowd.accounts });
                };
                credentials.push(BuyerCredentials { buyer, token });
            }
            Ok(credentials)
        }
    }
}
