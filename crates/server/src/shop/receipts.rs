//! A receipt: proof that this shop gave a buyer a number in a line. Short enough to be read over the phone, and worth
//! nothing in another buyer's hands. It never says more than what it proves.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sale::{BuyerId, SaleId, Ticket};
use sha2::Sha256;
use std::fmt;

/// Bytes of the tag that are kept: 72 bits cannot be guessed at any rate that a server answers.
const TAG_LEN: usize = 9;

/// Makes and checks receipts.
#[derive(Clone)]
pub struct ReceiptSigner {
    keyed: Hmac<Sha256>,
}

/// A ticket with its proof, such as `17-dGhlIHByb29m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineReceipt {
    ticket: Ticket,
    tag: [u8; TAG_LEN],
}

impl ReceiptSigner {
    /// Receipts that only `secret` can make.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(secret).expect("HMAC takes a key of any length") }
    }

    /// The receipt for a number; the same each time.
    #[must_use]
    pub fn issue(&self, sale: SaleId, buyer: BuyerId, ticket: Ticket) -> LineReceipt {
        let mut mac = self.keyed.clone();
        mac.update(sale.0.as_bytes());
        mac.update(buyer.0.as_bytes());
        mac.update(&ticket.0.to_be_bytes());
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_LEN]);
        LineReceipt { ticket, tag }
    }

    /// The number that a receipt proves, if this shop gave it to this buyer in this sale.
    #[must_use]
    pub fn verify(&self, sale: SaleId, buyer: BuyerId, text: &str) -> Option<Ticket> {
        let (number, _) = text.split_once('-')?;
        let ticket = Ticket(number.parse().ok()?);
        // Compared in constant time.
        let given = text.as_bytes();
        let right = self.issue(sale, buyer, ticket).to_string();
        let differences = given.iter().zip(right.as_bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
        (given.len() == right.len() && differences == 0).then_some(ticket)
    }
}

impl fmt::Display for LineReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ticket, BASE64.encode(self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ids() -> (SaleId, BuyerId) {
        (SaleId(Uuid::from_u128(1)), BuyerId(Uuid::from_u128(2)))
    }

    #[test]
    fn a_receipt_proves_its_number_to_its_shop() {
        let (sale, buyer) = ids();
        let receipts = ReceiptSigner::new(b"secret");
        let text = receipts.issue(sale, buyer, Ticket(17)).to_string();
        assert_eq!(receipts.verify(sale, buyer, &text), Some(Ticket(17)));
    }

    #[test]
    fn another_number_buyer_sale_or_shop_is_not_proven() {
        let (sale, buyer) = ids();
        let receipts = ReceiptSigner::new(b"secret");
        let text = receipts.issue(sale, buyer, Ticket(17)).to_string();
        assert_eq!(receipts.verify(sale, BuyerId(Uuid::from_u128(3)), &text), None);
        assert_eq!(receipts.verify(SaleId(Uuid::from_u128(3)), buyer, &text), None);
        assert_eq!(receipts.verify(sale, buyer, &text.replace("17-", "16-")), None);
        assert_eq!(ReceiptSigner::new(b"other").verify(sale, buyer, &text), None);
        for nonsense in ["", "-", "17", "17-", "x-y", "99999999999-AAAA", "17-é"] {
            assert_eq!(receipts.verify(sale, buyer, nonsense), None);
        }
    }
}
