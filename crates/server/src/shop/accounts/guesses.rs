//! Limits wrong passwords for one account, whatever addresses they come from. A caller that is known to the account (signed in, or at a
//! network from which it has signed in) is counted on its own, so that a stranger's guesses do not lock the owner out. It never says
//! whether an account exists: an unknown name is limited as an account is.

use super::{AccountError, AccountRefusal, AccountService};
use crate::auth::Session;
use crate::store::StoreTransaction;
use crate::store::accounts::{self as users, UserRow};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use sale::id::BuyerId;
use sale::time::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use uuid::Uuid;

/// Networks that an account is remembered at.
const NETWORKS_MAX: u32 = 20;
/// How long a network is remembered without a sign-in.
const NETWORK_DAYS: i64 = 90;
/// A network that was seen within this time is not written again.
const SEEN_AGAIN_MS: i64 = 86_400_000;

/// Counts wrong passwords. The listeners implement it with their buckets.
pub trait GuessLimits: Send + Sync {
    /// Counts one guess, if it is allowed. Otherwise returns the seconds until one is.
    fn count_guess(&self, key: GuessKey, now: Timestamp) -> BoxFuture<'_, Result<(), u32>>;

    /// Whether a guess would be allowed, without counting it.
    ///
    /// # Errors
    /// The seconds until one is.
    fn check_guess(&self, key: GuessKey, now: Timestamp) -> Result<(), u32>;
}

/// Whose guesses are counted together: those of all strangers at one account, or of one caller that the account knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessKey(pub u128);

/// Where a password comes from.
#[derive(Debug, Clone, Copy)]
pub struct SignInOrigin {
    /// The client's address, or the part of it that one customer of a provider has.
    pub network: u128,
    /// The session of a valid access token that came with the password.
    pub session: Option<Session>,
}

/// A password that is about to be compared.
pub(super) struct PasswordGuess {
    key: GuessKey,
    counting: GuessCounting,
    network_digest: String,
    /// When the network was last seen, if it is known.
    seen_at: Option<Timestamp>,
}

/// When a guess is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GuessCounting {
    /// Many strangers at once get no more guesses than one.
    BeforeComparison,
    /// The owner may sign in as often as they like.
    OnlyWrong,
}

impl PasswordGuess {
    /// Counts a guess at the account with this name, or refuses it.
    pub(super) async fn begin(
        service: &AccountService,
        limits: Option<&dyn GuessLimits>,
        name: &str,
        user: Option<&UserRow>,
        origin: SignInOrigin,
    ) -> Result<Result<Self, AccountRefusal>, AccountError> {
        let now = (service.now)();
        let network_digest = digest_network(service, origin.network);
        // Read for an unknown name too, which then takes the same time.
        let account = user.map_or(BuyerId(Uuid::nil()), |user| user.id);
        let seen_at = users::network_seen_at(&service.store, account, &network_digest).await?;
        let session = origin.session.filter(|session| session.buyer == account);
        let caller = match (session, seen_at) {
            (Some(session), _) => Some(session.id.as_u128()),
            (None, Some(_)) => Some(origin.network),
            (None, None) => None,
        };
        let subject = match user {
            Some(user) => user.id.0.as_u128(),
            None => digest_key(&[b"name", name.as_bytes()]),
        };
        let (key, counting) = match caller {
            Some(caller) => {
                let parts: [&[u8]; 3] = [b"caller", &subject.to_be_bytes(), &caller.to_be_bytes()];
                (digest_key(&parts), GuessCounting::OnlyWrong)
            }
            None => (subject, GuessCounting::BeforeComparison),
        };
        let key = GuessKey(key);
        let allowed = match (limits, counting) {
            (None, _) => Ok(()),
            (Some(limits), GuessCounting::BeforeComparison) => limits.count_guess(key, now).await,
            (Some(limits), GuessCounting::OnlyWrong) => limits.check_guess(key, now),
        };
        Ok(match allowed {
            Ok(()) => Ok(Self { key, counting, network_digest, seen_at }),
            Err(retry_after_s) => Err(AccountRefusal::TooManyGuesses { retry_after_s }),
        })
    }

    /// The password was wrong.
    pub(super) async fn count_wrong(&self, service: &AccountService, limits: Option<&dyn GuessLimits>) {
        if self.counting == GuessCounting::OnlyWrong
            && let Some(limits) = limits
        {
            let _ = limits.count_guess(self.key, (service.now)()).await;
        }
    }

    /// The password was right: the account knows the network from now on.
    pub(super) async fn remember_network(
        &self,
        service: &AccountService,
        writing: &mut StoreTransaction,
        account: BuyerId,
    ) -> Result<(), AccountError> {
        let now = (service.now)();
        if self.seen_at.is_none_or(|seen_at| now.ms_since(seen_at) >= SEEN_AGAIN_MS) {
            users::remember_network(writing, account, &self.network_digest, now, NETWORKS_MAX).await?;
        }
        Ok(())
    }
}

/// Remembers the network from which an account is registered.
pub(super) async fn remember_first_network(
    service: &AccountService,
    writing: &mut StoreTransaction,
    account: BuyerId,
    network: u128,
) -> Result<(), AccountError> {
    let digest = digest_network(service, network);
    Ok(users::remember_network(writing, account, &digest, (service.now)(), NETWORKS_MAX).await?)
}

/// Forgets networks that no sign-in came from for a long time.
pub(super) async fn forget_old_networks(service: &AccountService) -> Result<(), AccountError> {
    let before = (service.now)().plus_ms(-NETWORK_DAYS * 86_400_000);
    Ok(users::delete_old_networks(&service.store, before).await?)
}

/// An address is personal: the table has what only a holder of the shop's secret can compare with one.
fn digest_network(service: &AccountService, network: u128) -> String {
    let secret = service.tokens.secret_for("known networks");
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("HMAC takes a key of any length");
    mac.update(&network.to_be_bytes());
    mac.finalize().into_bytes().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest_key(parts: &[&[u8]]) -> u128 {
    let digest = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
    let digest = digest.finalize();
    digest.iter().take(16).fold(0, |key, byte| (key << 8) | u128::from(*byte))
}
