//! The HTML of the sandbox's page: no script, no image, one style that its policy names by its hash.

use crate::mail::language::BuyerLanguage;
use crate::shop::catalogue_text::format_decimal;
use crate::shop::payments::{ChargePage, ChargeRecord, PaymentStatus, RETURN_PATH, SANDBOX_PAGES};
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("sandbox_page.css");

/// Nothing is loaded, and its forms go nowhere but to this site.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a policy of visible characters is a header")
});

struct PageTexts {
    title: &'static str,
    no_money: &'static str,
    approve: &'static str,
    decline: &'static str,
    submit: &'static str,
    submitted: &'static str,
    back: &'static str,
    approved: &'static str,
    declined: &'static str,
    closed: &'static str,
}

const ENGLISH: PageTexts = PageTexts {
    title: "Test bank",
    no_money: "This page stands for a bank. No money moves.",
    approve: "Approve the payment",
    decline: "Decline the payment",
    submit: "Submit it, and let the bank take its time",
    submitted: "You have paid. The bank has not answered yet: choose its answer.",
    back: "Back to the shop",
    approved: "The payment is approved.",
    declined: "The payment is declined.",
    closed: "This payment is over. You were not charged.",
};

const GERMAN: PageTexts = PageTexts {
    title: "Testbank",
    no_money: "Diese Seite steht für eine Bank. Es fließt kein Geld.",
    approve: "Zahlung annehmen",
    decline: "Zahlung ablehnen",
    submit: "Absenden, und die Bank lässt sich Zeit",
    submitted: "Du hast bezahlt. Die Bank hat noch nicht geantwortet: Wähle ihre Antwort.",
    back: "Zurück zum Laden",
    approved: "Die Zahlung ist angenommen.",
    declined: "Die Zahlung ist abgelehnt.",
    closed: "Diese Zahlung ist vorbei. Dir wurde nichts berechnet.",
};

const ARABIC: PageTexts = PageTexts {
    title: "مصرف التجربة",
    no_money: "هذه الصفحة تمثّل مصرفًا. لا تنتقل أي أموال.",
    approve: "اقبل الدفع",
    decline: "ارفض الدفع",
    submit: "أرسله ودع المصرف يأخذ وقته",
    submitted: "لقد دفعت. لم يُجب المصرف بعد: اختر جوابه.",
    back: "العودة إلى المتجر",
    approved: "قُبل الدفع.",
    declined: "رُفض الدفع.",
    closed: "انتهت هذه العملية. لم يُخصم منك شيء.",
};

pub(super) fn policy() -> HeaderValue {
    POLICY.clone()
}

/// The page of a charge: what is to be paid, and what the buyer can do.
pub(super) fn render(charge: &ChargeRecord, page: &ChargePage) -> String {
    let language = BuyerLanguage::from_stored(&page.language);
    let texts = match language {
        BuyerLanguage::English => &ENGLISH,
        BuyerLanguage::German => &GERMAN,
        BuyerLanguage::Arabic => &ARABIC,
    };
    let button = |decision: &str, text: &str, class: &str| {
        format!(
            "<form method=\"post\" action=\"{SANDBOX_PAGES}{}/{decision}\"><button type=\"submit\"{class}>{text}</button></form>",
            charge.intent
        )
    };
    let approve = button("approve", texts.approve, " class=\"main\"");
    let decline = button("decline", texts.decline, "");
    let choices = match charge.status {
        PaymentStatus::Open => format!("{approve}{decline}{}", button("submit", texts.submit, "")),
        PaymentStatus::Submitted => format!("<p>{}</p>{approve}{decline}", texts.submitted),
        PaymentStatus::Authorised | PaymentStatus::Captured => format!("<p>{}</p>", texts.approved),
        PaymentStatus::Declined => format!("<p>{}</p>", texts.declined),
        PaymentStatus::Voided | PaymentStatus::Refunded => format!("<p>{}</p>", texts.closed),
    };
    let amount = charge
        .amount
        .map_or_else(String::new, |amount| format!("{} {}", format_decimal(amount), amount.currency));
    let (code, direction) = (language.as_str(), language.direction());
    let description = escape(&page.description);
    format!(
        "<!doctype html><html lang=\"{code}\" dir=\"{direction}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1><p class=\"soft\">{no_money}</p>\
         <section><p><bdi>{description}</bdi></p><p class=\"amount\"><bdi>{amount}</bdi></p>{choices}</section>\
         <a href=\"{RETURN_PATH}{intent}\">{back}</a></main></body></html>",
        title = texts.title,
        no_money = texts.no_money,
        intent = charge.intent,
        back = texts.back,
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::payments::IntentId;
    use sale::Money;
    use uuid::Uuid;

    fn page(language: &str, status: PaymentStatus) -> String {
        let charge = ChargeRecord {
            intent: IntentId(Uuid::from_u128(7)),
            amount: Some(Money { minor: 4_999, currency: "EUR".parse().unwrap() }),
            status,
            refunded_minor: 0,
            order: None,
            page: None,
        };
        let page =
            ChargePage { description: "<b>Lamp</b> & \"co\"".to_owned(), language: language.to_owned() };
        render(&charge, &page)
    }

    #[test]
    fn a_page_shows_what_is_paid_and_nothing_of_it_is_markup() {
        let html = page("en", PaymentStatus::Open);
        assert!(html.contains("&lt;b&gt;Lamp&lt;/b&gt; &amp; &quot;co&quot;"), "{html}");
        assert!(html.contains("49.99 EUR"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn a_page_offers_what_can_be_done() {
        let decisions = |status| {
            let html = page("en", status);
            ["approve", "decline", "submit"].map(|word| html.contains(&format!("/{word}\"")))
        };
        assert_eq!(decisions(PaymentStatus::Open), [true, true, true]);
        assert_eq!(decisions(PaymentStatus::Submitted), [true, true, false]);
        for over in [
            PaymentStatus::Authorised,
            PaymentStatus::Declined,
            PaymentStatus::Captured,
            PaymentStatus::Voided,
            PaymentStatus::Refunded,
        ] {
            assert_eq!(decisions(over), [false, false, false], "{over:?}");
        }
    }

    #[test]
    fn a_page_is_in_the_language_of_its_buyer() {
        for (language, expected) in [
            ("en", "<html lang=\"en\" dir=\"ltr\">"),
            ("de", "<html lang=\"de\" dir=\"ltr\">"),
            ("ar", "<html lang=\"ar\" dir=\"rtl\">"),
            ("xx", "<html lang=\"en\" dir=\"ltr\">"),
        ] {
            assert!(page(language, PaymentStatus::Open).contains(expected), "{language}");
        }
    }
}
