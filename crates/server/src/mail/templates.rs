//! The templates of mails: embedded ones, and a merchant's own in their place. A template that names an unknown variable, or that cannot be
//! rendered, is refused when the templates are loaded, never when a mail is sent.

use super::MailKind;
use super::language::BuyerLanguage;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables of every mail: the shop's name and address, the language and the direction of its script.
const COMMON_VARIABLES: [&str; 4] = ["shop", "shop_url", "language", "direction"];
/// What every page of a mail has besides.
const PAGE_VARIABLES: [&str; 2] = ["subject", "unsubscribe_url"];
/// What the layout shows of the mails that have it.
const LAYOUT_VARIABLES: [&str; 1] = ["link"];
const LAYOUT: &str = "layout.html";
/// Begins the first line of each text.
const SUBJECT: &str = "Subject:";
/// Bytes of a template of a merchant.
const TEMPLATE_LEN_MAX: u64 = 256 << 10;
/// Characters of a subject.
const SUBJECT_LEN_MAX: usize = 200;
/// The link of the mails that are rendered to check the templates.
const SAMPLE_LINK: &str = "https://shop.example/reset-password#token=sample";

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("templates/", $name)))),+] };
}

/// The templates that this program has itself.
static EMBEDDED: &[(&str, &str)] = embedded![
    "layout.html",
    "confirm_address.en.txt",
    "confirm_address.en.html",
    "confirm_address.de.txt",
    "confirm_address.de.html",
    "confirm_address.ar.txt",
    "confirm_address.ar.html",
    "reset_password.en.txt",
    "reset_password.en.html",
    "reset_password.de.txt",
    "reset_password.de.html",
    "reset_password.ar.txt",
    "reset_password.ar.html",
    "guest_code.en.txt",
    "guest_code.en.html",
    "guest_code.de.txt",
    "guest_code.de.html",
    "guest_code.ar.txt",
    "guest_code.ar.html",
    "order_confirmed.en.txt",
    "order_confirmed.en.html",
    "order_confirmed.de.txt",
    "order_confirmed.de.html",
    "order_confirmed.ar.txt",
    "order_confirmed.ar.html",
    "order_refunded.en.txt",
    "order_refunded.en.html",
    "order_refunded.de.txt",
    "order_refunded.de.html",
    "order_refunded.ar.txt",
    "order_refunded.ar.html",
    "your_turn.en.txt",
    "your_turn.en.html",
    "your_turn.de.txt",
    "your_turn.de.html",
    "your_turn.ar.txt",
    "your_turn.ar.html",
    "turn_missed.en.txt",
    "turn_missed.en.html",
    "turn_missed.de.txt",
    "turn_missed.de.html",
    "turn_missed.ar.txt",
    "turn_missed.ar.html",
    "sale_reminder.en.txt",
    "sale_reminder.en.html",
    "sale_reminder.de.txt",
    "sale_reminder.de.html",
    "sale_reminder.ar.txt",
    "sale_reminder.ar.html",
    "unit_returned.en.txt",
    "unit_returned.en.html",
    "unit_returned.de.txt",
    "unit_returned.de.html",
    "unit_returned.ar.txt",
    "unit_returned.ar.html",
    "endpoint_disabled.en.txt",
    "endpoint_disabled.en.html",
    "endpoint_disabled.de.txt",
    "endpoint_disabled.de.html",
    "endpoint_disabled.ar.txt",
    "endpoint_disabled.ar.html",
    "payment_stuck.en.txt",
    "payment_stuck.en.html",
    "payment_stuck.de.txt",
    "payment_stuck.de.html",
    "payment_stuck.ar.txt",
    "payment_stuck.ar.html",
];

/// All templates, ready to be rendered.
#[derive(Debug)]
pub struct MailTemplates {
    environment: Environment<'static>,
}

/// A mail as its recipient reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedMail {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A value that a template shows.
pub use minijinja::Value as MailValue;

/// What the templates of a mail show, by the name of the variable.
pub type MailValues = BTreeMap<&'static str, Value>;

/// Where a mail comes from, as its templates show it.
#[derive(Clone, Debug)]
pub struct MailShop {
    pub name: String,
    pub url: String,
}

/// Why the templates are not used. It names the file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("{path} cannot be read", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} has more than {TEMPLATE_LEN_MAX} bytes", path = path.display())]
    TooLarge { path: PathBuf },
    #[error("{name} is no name of a template; those are {LAYOUT} and KIND.LANGUAGE.txt or .html, such as {example}", example = EMBEDDED[1].0)]
    UnknownName { name: String },
    #[error("{name} is no template: {reason}")]
    Syntax { name: String, reason: String },
    #[error("{name} names the unknown variable {variable}; it may name {known}")]
    UnknownVariable { name: String, variable: String, known: String },
    #[error("{name} cannot be rendered: {reason}")]
    Render { name: String, reason: String },
    #[error("{name} does not begin with a line of the form `{SUBJECT} …`")]
    Subject { name: String },
}

impl MailTemplates {
    /// The embedded templates, and those of the files in `folder` in their place.
    ///
    /// # Errors
    /// When a file of the folder is no template, or cannot be rendered.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let own = folder.map(read_folder).transpose()?.unwrap_or_default();
        Self::from_sources(own)
    }

    fn from_sources(own: BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        if let Some(name) = own.keys().find(|name| EMBEDDED.iter().all(|(known, _)| known != name)) {
            return Err(TemplateError::UnknownName { name: name.clone() });
        }
        for (name, embedded) in EMBEDDED {
            let source = own.get(*name).cloned().unwrap_or_else(|| (*embedded).to_owned());
            environment.add_template_owned(*name, source).map_err(|error| TemplateError::Syntax {
                name: (*name).to_owned(),
                reason: describe_error(&error),
            })?;
        }
        let templates = Self { environment };
        templates.check_variables()?;
        templates.check_samples()?;
        Ok(templates)
    }

    /// Renders a mail.
    ///
    /// # Errors
    /// When a value is missing, which no mail of this program lets happen.
    pub fn render(
        &self,
        kind: MailKind,
        language: BuyerLanguage,
        shop: &MailShop,
        values: &MailValues,
    ) -> Result<RenderedMail, TemplateError> {
        let mut all: BTreeMap<&str, Value> = values.clone();
        all.insert("shop", Value::from(shop.name.as_str()));
        all.insert("shop_url", Value::from(shop.url.as_str()));
        all.insert("language", Value::from(language.as_str()));
        all.insert("direction", Value::from(language.direction()));
        let name = template_name(kind, language, "txt");
        let text = self.render_file(&name, &all)?;
        let (first, text) = text.split_once('\n').unwrap_or((&text, ""));
        let subject = first.strip_prefix(SUBJECT).ok_or(TemplateError::Subject { name })?;
        let subject = clean_line(subject);
        all.insert("subject", Value::from(subject.as_str()));
        all.entry("unsubscribe_url").or_insert_with(|| Value::from(""));
        let html = self.render_file(&template_name(kind, language, "html"), &all)?;
        Ok(RenderedMail { subject, text: format!("{}\n", text.trim()), html })
    }

    fn render_file(&self, name: &str, values: &BTreeMap<&str, Value>) -> Result<String, TemplateError> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(Value::from_pairs(values.clone())));
        rendered
            .map_err(|error| TemplateError::Render { name: name.to_owned(), reason: describe_error(&error) })
    }

    fn check_variables(&self) -> Result<(), TemplateError> {
        for (name, _) in EMBEDDED {
            let own = MailKind::ALL.into_iter().find(|kind| name.split('.').next() == Some(kind.as_str()));
            let own = own.map(MailKind::variables).unwrap_or_default();
            let may_name = |variable: &str| {
                COMMON_VARIABLES.contains(&variable)
                    || own.contains(&variable)
                    || (name.ends_with(".html") && PAGE_VARIABLES.contains(&variable))
                    || (*name == LAYOUT && LAYOUT_VARIABLES.contains(&variable))
            };
            let Ok(template) = self.environment.get_template(name) else { continue };
            let mut unknown: Vec<String> = template
                .undeclared_variables(false)
                .into_iter()
                .filter(|variable| !may_name(variable) && !is_function(&self.environment, variable))
                .collect();
            unknown.sort_unstable();
            if let Some(variable) = unknown.into_iter().next() {
                let known = COMMON_VARIABLES.iter().chain(own).copied().collect::<Vec<_>>().join(", ");
                return Err(TemplateError::UnknownVariable { name: (*name).to_owned(), variable, known });
            }
        }
        Ok(())
    }

    /// Renders each mail once: what is wrong with a template is found before a mail waits for it.
    fn check_samples(&self) -> Result<(), TemplateError> {
        let shop = MailShop { name: "Shop".to_owned(), url: "https://shop.example".to_owned() };
        for kind in MailKind::ALL {
            for language in BuyerLanguage::ALL {
                for values in sample_values(kind) {
                    self.render(kind, language, &shop, &values)?;
                }
            }
        }
        Ok(())
    }
}

/// Values for each branch of the templates of a kind.
fn sample_values(kind: MailKind) -> Vec<MailValues> {
    let values = match kind {
        MailKind::ConfirmAddress | MailKind::ResetPassword => BTreeMap::from([
            ("username", Value::from("ada")),
            ("link", Value::from(SAMPLE_LINK)),
            ("minutes", Value::from(60)),
        ]),
        MailKind::GuestCode => {
            BTreeMap::from([("code", Value::from("1234 5678")), ("minutes", Value::from(60))])
        }
        MailKind::OrderRefunded => BTreeMap::from([
            ("product", Value::from("Lamp")),
            ("amount", Value::from("49.99 EUR")),
            ("order", Value::from("01a1fc33-2449-79e3-a17e-675819151fe7")),
            ("link", Value::from(SAMPLE_LINK)),
        ]),
        MailKind::OrderConfirmed => BTreeMap::from([
            ("product", Value::from("Lamp")),
            ("quantity", Value::from(2)),
            ("unit_price", Value::from("49.99 EUR")),
            ("total", Value::from("99.98 EUR")),
            ("order", Value::from("01a1fc33-2449-79e3-a17e-675819151fe7")),
            ("link", Value::from(SAMPLE_LINK)),
        ]),
        MailKind::YourTurn => BTreeMap::from([
            ("product", Value::from("Lamp")),
            ("link", Value::from(SAMPLE_LINK)),
            ("until", Value::from("2026-11-28 18:35 UTC")),
        ]),
        MailKind::TurnMissed => {
            BTreeMap::from([("product", Value::from("Lamp")), ("link", Value::from(SAMPLE_LINK))])
        }
        MailKind::SaleReminder | MailKind::UnitReturned => {
            let mut values = BTreeMap::from([
                ("product", Value::from("Lamp")),
                ("link", Value::from(SAMPLE_LINK)),
                ("unsubscribe_url", Value::from("https://shop.example/unsubscribe#token=sample")),
            ]);
            if kind == MailKind::SaleReminder {
                values.insert("starts_at", Value::from("2026-11-28 18:35 UTC"));
            }
            values
        }
        MailKind::EndpointDisabled | MailKind::PaymentStuck => return admin_samples(kind),
    };
    vec![values]
}

/// An endpoint is disabled for one of two reasons, and one payment may be stuck or several.
fn admin_samples(kind: MailKind) -> Vec<MailValues> {
    let endpoint = |is_gone: bool| {
        BTreeMap::from([
            ("endpoint", Value::from("hooks.example")),
            ("is_gone", Value::from(is_gone)),
            ("link", Value::from(SAMPLE_LINK)),
        ])
    };
    let payment = |count: i64| {
        BTreeMap::from([
            ("payment", Value::from("01a1fc33-2449-79e3-a17e-675819151fe8")),
            ("order", Value::from("01a1fc33-2449-79e3-a17e-675819151fe7")),
            ("state", Value::from("authorised")),
            ("count", Value::from(count)),
            ("link", Value::from(SAMPLE_LINK)),
        ])
    };
    if kind == MailKind::PaymentStuck {
        vec![payment(1), payment(12)]
    } else {
        vec![endpoint(true), endpoint(false)]
    }
}

fn is_function(environment: &Environment<'_>, name: &str) -> bool {
    environment.globals().any(|(known, _)| known == name)
}

fn template_name(kind: MailKind, language: BuyerLanguage, form: &str) -> String {
    format!("{kind}.{}.{form}", language.as_str())
}

/// A text as one line: a line break in a subject would begin a header.
fn clean_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SUBJECT_LEN_MAX).collect()
}

fn describe_error(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}

fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let failed = |path: &Path, source| TemplateError::Read { path: path.to_owned(), source };
    let mut sources = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Backups and notes of editors.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let size = std::fs::metadata(&path).map_err(|error| failed(&path, error))?.len();
        if size > TEMPLATE_LEN_MAX {
            return Err(TemplateError::TooLarge { path });
        }
        sources.insert(name, std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> MailShop {
        MailShop { name: "Lamps & <More>".to_owned(), url: "https://shop.example".to_owned() }
    }

    fn own(name: &str, source: &str) -> Result<MailTemplates, TemplateError> {
        MailTemplates::from_sources(BTreeMap::from([(name.to_owned(), source.to_owned())]))
    }

    #[test]
    fn every_mail_is_there_in_every_language() {
        let templates = MailTemplates::load(None).unwrap();
        for kind in MailKind::ALL {
            let mut subjects = Vec::new();
            for language in BuyerLanguage::ALL {
                let mail = templates.render(kind, language, &shop(), &sample_values(kind)[0]).unwrap();
                assert!(mail.html.contains(&format!("lang=\"{}\"", language.as_str())), "{kind}");
                assert!(mail.html.contains(&format!("dir=\"{}\"", language.direction())), "{kind}");
                assert!(mail.html.contains("Lamps &amp; &lt;More&gt;"), "{}", mail.html);
                assert!(mail.text.contains("Lamps & <More>"), "{}", mail.text);
                subjects.push(mail.subject);
            }
            subjects.dedup();
            assert_eq!(subjects.len(), BuyerLanguage::ALL.len(), "{kind}: {subjects:?}");
        }
    }

    #[test]
    fn german_mails_address_their_readers_as_the_pages_do() {
        const FORMAL: [&str; 8] = ["Sie", "Ihnen", "Ihr", "Ihre", "Ihrem", "Ihren", "Ihrer", "Ihres"];
        let templates = MailTemplates::load(None).unwrap();
        for kind in MailKind::ALL {
            let values = &sample_values(kind)[0];
            let mail = templates.render(kind, BuyerLanguage::German, &shop(), values).unwrap();
            let is_to_merchant = matches!(kind, MailKind::EndpointDisabled | MailKind::PaymentStuck);
            for text in [format!("{} {}", mail.subject, mail.text), mail.html] {
                let mut words = text.split(|letter: char| !letter.is_alphabetic());
                assert_eq!(words.any(|word| FORMAL.contains(&word)), is_to_merchant, "{kind}: {text}");
            }
        }
    }

    #[test]
    fn what_a_buyer_wrote_is_text_in_a_page_and_in_a_subject() {
        let templates =
            own("guest_code.en.txt", "Subject: {{ code }} at {{ shop }}\n\n{{ minutes }}").unwrap();
        let values = BTreeMap::from([
            ("code", Value::from("<b>1</b>\r\nBcc: eve@example.com")),
            ("minutes", Value::from(60)),
        ]);
        let mail = templates.render(MailKind::GuestCode, BuyerLanguage::English, &shop(), &values).unwrap();
        assert_eq!(mail.subject, "<b>1</b>", "the subject is the first line");
        assert!(mail.html.contains("&lt;b&gt;1&lt;"), "{}", mail.html);
        assert!(!mail.html.contains("<b>1"), "{}", mail.html);
    }

    #[test]
    fn a_wrong_template_is_refused_when_it_is_loaded() {
        let text = |body: &str| format!("Subject: x\n\n{body}");
        for (name, source, part) in [
            ("guest_code.en.txt", text("{{ cod }}"), "unknown variable cod"),
            // In a branch that no sample enters.
            (
                "guest_code.de.html",
                "{% if false %}{{ password }}{% endif %}".to_owned(),
                "unknown variable password",
            ),
            ("guest_code.de.html", "{{ code".to_owned(), "is no template"),
            ("guest_code.de.html", "{{ code|nothing }}".to_owned(), "nothing"),
            ("guest_code.de.html", "{{ code.part.part }}".to_owned(), "cannot be rendered"),
            ("guest_code.de.html", "{% extends 'other.html' %}".to_owned(), "cannot be rendered"),
            ("guest_code.ar.txt", "no subject".to_owned(), "does not begin"),
            ("guest_code.fr.txt", text(""), "is no name of a template"),
            ("../layout.html", String::new(), "is no name of a template"),
        ] {
            let error = own(name, &source).unwrap_err().to_string();
            assert!(error.contains(part), "{source}: {error}");
        }
    }

    #[test]
    fn a_merchants_folder_replaces_single_templates() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("guest_code.en.txt"), "Subject: Moin\n\n{{ code }}\n").unwrap();
        std::fs::write(folder.path().join(".swap"), "{{ x }}").unwrap();
        let templates = MailTemplates::load(Some(folder.path())).unwrap();
        let render = |language| {
            let values = &sample_values(MailKind::GuestCode)[0];
            templates.render(MailKind::GuestCode, language, &shop(), values).unwrap()
        };
        assert_eq!(
            (render(BuyerLanguage::English).subject, render(BuyerLanguage::English).text),
            ("Moin".to_owned(), "1234 5678\n".to_owned())
        );
        assert!(render(BuyerLanguage::German).text.contains("1234 5678"));
        assert!(MailTemplates::load(Some(&folder.path().join("nowhere"))).is_err());
    }
}
