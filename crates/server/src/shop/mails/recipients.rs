//! Who gets the mails about a buyer's orders and turns. A guest of a dialect whom no address names gets none.

use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::EmailAddress;
use crate::store::buyer_identities::find_identities;
use crate::store::{Store, StoreError};
use sale::BuyerId;
use std::collections::HashMap;

/// The address of a buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRecipient {
    /// In lower case.
    pub email: String,
    /// That of an account is looked up again when the mail is sent.
    pub language: BuyerLanguage,
    /// Whether the buyer has no account.
    pub is_guest: bool,
}

/// The addresses of these buyers, as far as they have one.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_recipients(
    store: &Store,
    buyers: &[BuyerId],
) -> Result<HashMap<BuyerId, MailRecipient>, StoreError> {
    let people = find_identities(store, buyers).await?;
    let recipients = people.into_iter().filter_map(|(buyer, person)| {
        let email: EmailAddress = person.email.parse().ok()?;
        let (email, is_guest) = (email.into_text(), person.username.is_none());
        let language = BuyerLanguage::from_stored(&person.language);
        Some((buyer, MailRecipient { email, language, is_guest }))
    });
    Ok(recipients.collect())
}
