//! Which mails the merchant wants to be sent. A kind that was never switched is on; those of accounts cannot be switched off.

use crate::mail::MailKind;
use crate::store::{Store, StoreError, mail_switches};
use sale::Timestamp;

/// A kind of mail, and whether it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailSwitch {
    pub kind: MailKind,
    pub is_on: bool,
}

/// All kinds that have a switch.
///
/// # Errors
/// When the tables do not answer.
pub async fn list_switches(store: &Store) -> Result<Vec<MailSwitch>, StoreError> {
    let off = mail_switches::list_off(store).await?;
    let kinds = MailKind::ALL.into_iter().filter(|kind| kind.has_switch());
    Ok(kinds.map(|kind| MailSwitch { kind, is_on: off.iter().all(|off| off != kind.as_str()) }).collect())
}

/// Switches kinds on and off. Mails that wait and are switched off are given up when they are due.
///
/// # Errors
/// When the tables do not answer.
pub async fn set_switches(store: &Store, switches: &[MailSwitch], now: Timestamp) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    for switch in switches {
        mail_switches::set(&mut writing, switch.kind.as_str(), switch.is_on, now).await?;
    }
    writing.commit().await
}
