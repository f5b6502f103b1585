//! The relay: an SMTP server that takes mails for delivery. Every try has a time limit. It never retries, and never logs an address.

use super::templates::RenderedMail;
use lettre::address::Address;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm, DkimSigningKey,
};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use sale::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

/// Time for a connection that is ready for a mail: the relay's greeting, TLS and the login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for one mail on a connection that is ready. The relay has ten minutes for its reply to the end of a mail (RFC 5321, 4.5.3.2.6): a try
/// that ends sooner may send a mail again that the relay takes.
const MAIL_TIMEOUT: Duration = Duration::from_secs(660);
/// Time for one mail, from the connection to the relay's last reply.
pub const SEND_TIMEOUT: Duration = CONNECT_TIMEOUT.saturating_add(MAIL_TIMEOUT);
/// Connections to the relay at a time.
pub const CONNECTIONS_MAX: u32 = 8;
/// Characters of a relay's reply that are kept.
const REPLY_LEN_MAX: usize = 500;
/// Headers that a signature covers. One-click unsubscribe (RFC 8058) counts only when its two headers are signed.
const SIGNED_HEADERS: [&str; 8] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// The address of a relay, such as `smtps://user:password@host`. Its `Debug` does not tell the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayAddress {
    url: String,
    user: Option<String>,
    has_password: bool,
}

/// Why a text is no address of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayAddressError {
    #[error(
        "write an address such as smtps://user:password@host, or smtp://host:25 for a relay of this network"
    )]
    NoAddress,
    #[error(
        "the password would be sent as clear text: write smtps://…, or smtp://…?tls=required for a relay that begins TLS with STARTTLS"
    )]
    ClearPassword,
}

impl FromStr for RelayAddress {
    type Err = RelayAddressError;

    fn from_str(text: &str) -> Result<Self, RelayAddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(RelayAddressError::NoAddress)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (account, host) = match authority.rsplit_once('@') {
            Some((account, host)) => (Some(account), host),
            None => (None, authority),
        };
        let is_address = matches!(scheme, "smtp" | "smtps") && !host.is_empty() && !host.starts_with(':');
        if !is_address || AsyncSmtpTransport::<Tokio1Executor>::from_url(text).is_err() {
            return Err(RelayAddressError::NoAddress);
        }
        let (user, password) = match account.map(|account| account.split_once(':').unwrap_or((account, ""))) {
            Some((user, password)) => (Some(user), Some(password).filter(|password| !password.is_empty())),
            None => (None, None),
        };
        let user = user.filter(|user| !user.is_empty());
        let user = user.map(|user| percent_decode_str(user).decode_utf8_lossy().into_owned());
        let address = Self { url: text.to_owned(), has_password: password.is_some(), user };
        // A password that comes from a file is sent to the same relay.
        if address.user.is_some() && !address.is_encrypted(scheme, host) {
            return Err(RelayAddressError::ClearPassword);
        }
        Ok(address)
    }
}

impl RelayAddress {
    /// Whether the address itself holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// Whether it names the user for a password that comes from elsewhere.
    #[must_use]
    pub fn has_user(&self) -> bool {
        self.user.is_some()
    }

    fn is_encrypted(&self, scheme: &str, host: &str) -> bool {
        let name =
            host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let is_local =
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let query =
            self.url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
        scheme == "smtps" || is_local || query.split('&').any(|option| option == "tls=required")
    }
}

impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayAddress(…)")
    }
}

/// The address that mails come from, with the name of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSender(Mailbox);

/// Why a text is no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address such as shop@shop.example, or with a name: Lamps <shop@shop.example>")]
pub struct MailSenderError;

impl FromStr for MailSender {
    type Err = MailSenderError;

    fn from_str(text: &str) -> Result<Self, MailSenderError> {
        if text.chars().any(char::is_control) {
            return Err(MailSenderError);
        }
        text.parse().map(Self).map_err(|_| MailSenderError)
    }
}

impl MailSender {
    /// The name of the shop: that of the sender, or the domain of its address.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(self.domain())
    }

    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// The key that signs mails, and the name under which the domain publishes its other half.
#[derive(Clone)]
pub struct DkimKey {
    selector: String,
    key: Arc<DkimConfig>,
}

/// Why mails cannot be signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkimKeyError {
    #[error("a selector has letters, digits, dots and hyphens")]
    Selector,
    #[error("the file holds no RSA key in PKCS#1 (`openssl genrsa -traditional 2048` makes one)")]
    Key,
}

impl DkimKey {
    /// The key in `pem`, for mails of `sender`.
    ///
    /// # Errors
    /// When it is no key, or the selector is none.
    pub fn new(selector: &str, pem: &str, sender: &MailSender) -> Result<Self, DkimKeyError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if !(1..=63).contains(&selector.len()) || !selector.bytes().all(is_good) {
            return Err(DkimKeyError::Selector);
        }
        let key = DkimSigningKey::new(pem, DkimSigningAlgorithm::Rsa).map_err(|_| DkimKeyError::Key)?;
        let headers = SIGNED_HEADERS.map(HeaderName::new_from_ascii_str).to_vec();
        let canonical = DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        };
        let config =
            DkimConfig::new(selector.to_owned(), sender.domain().to_owned(), key, headers, canonical);
        Ok(Self { selector: selector.to_owned(), key: Arc::new(config) })
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimKey").field("selector", &self.selector).finish_non_exhaustive()
    }
}

/// A mail that is ready to be sent.
#[derive(Clone, Debug)]
pub struct OutgoingMail {
    /// Names the mail in its `Message-ID`: a receiver sees that a repeated one is the same.
    pub id: Uuid,
    pub recipient: String,
    pub content: RenderedMail,
    pub date: Timestamp,
    /// Where the recipient stops mails of this kind with one request (RFC 8058).
    pub unsubscribe_url: Option<String>,
}

/// Why a mail was not taken. The reason holds what the relay replied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The relay refuses the recipient for good (5xx, and the reply is about the recipient).
    #[error("{0}")]
    Refused(String),
    /// It did not take the mail now: 4xx, no connection, no reply in time, or 5xx to this shop rather than to the recipient.
    #[error("{0}")]
    Delayed(String),
    /// The relay does not let this shop send at all: wrong credentials, or a login is missing.
    #[error("{0}")]
    Unauthorized(String),
    /// The mail cannot be written, or the relay cannot carry such an address.
    #[error("{0}")]
    Impossible(String),
}

/// Sends mails through a relay; clones share its connections.
#[derive(Clone)]
pub struct MailRelay {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: MailSender,
    dkim: Option<DkimKey>,
}

impl fmt::Debug for MailRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailRelay").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl MailRelay {
    /// Connects when the first mail is sent. `password` takes the place of one in the address.
    ///
    /// # Errors
    /// When the certificates of this machine cannot be read.
    pub fn new(
        address: &RelayAddress,
        password: Option<String>,
        sender: MailSender,
        dkim: Option<DkimKey>,
    ) -> Result<Self, RelayAddressError> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&address.url)
            .map_err(|_| RelayAddressError::NoAddress)?
            .timeout(Some(CONNECT_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS_MAX));
        if let (Some(user), Some(password)) = (&address.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self { transport: builder.build(), sender, dkim })
    }

    /// Sends a mail. Returns when the relay has taken it, and is responsible for it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<(), SendFailure> {
        let message = self.build_message(mail)?;
        let late = |limit: Duration| SendFailure::Delayed(format!("no reply within {} s", limit.as_secs()));
        // The connection waits in the pool, from which the mail takes it.
        match tokio::time::timeout(CONNECT_TIMEOUT, self.transport.test_connection()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(SendFailure::Delayed("the relay closed the connection".to_owned())),
            Ok(Err(error)) => return Err(classify_error(&error)),
            Err(_) => return Err(late(CONNECT_TIMEOUT)),
        }
        match tokio::time::timeout(MAIL_TIMEOUT, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classify_error(&error)),
            Err(_) => Err(late(MAIL_TIMEOUT)),
        }
    }

    fn build_message(&self, mail: &OutgoingMail) -> Result<Message, SendFailure> {
        let impossible = |reason: &dyn fmt::Display| SendFailure::Impossible(reason.to_string());
        let recipient: Address = mail.recipient.parse().map_err(|error| impossible(&error))?;
        let date = UNIX_EPOCH + Duration::from_millis(mail.date.0.max(0).unsigned_abs());
        let id = format!("<{}@{}>", mail.id, self.sender.domain());
        let mut builder = Message::builder()
            .from(self.sender.0.clone())
            .to(Mailbox::new(None, recipient))
            .subject(mail.content.subject.clone())
            .date(date)
            .message_id(Some(id))
            // No robot answers a robot (RFC 3834).
            .raw_header(plain_header("Auto-Submitted", "auto-generated"));
        if let Some(url) = &mail.unsubscribe_url {
            builder = builder
                .raw_header(plain_header("List-Unsubscribe", &format!("<{url}>")))
                .raw_header(plain_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let body = MultiPart::alternative_plain_html(mail.content.text.clone(), mail.content.html.clone());
        let mut message = builder.multipart(body).map_err(|error| impossible(&error))?;
        if let Some(dkim) = &self.dkim {
            message.sign(&dkim.key);
        }
        Ok(message)
    }
}

/// A header of our own texts and addresses, which have no line break and only ASCII.
fn plain_header(name: &'static str, value: &str) -> HeaderValue {
    let value: String = value.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

fn classify_error(error: &lettre::transport::smtp::Error) -> SendFailure {
    let code = error.status().map(|code| code.to_string());
    let reply = describe_reply(error);
    match code.as_deref() {
        // The login, not the recipient: RFC 4954 and RFC 3207.
        Some("530" | "534" | "535" | "538") => SendFailure::Unauthorized(reply),
        // The conversation, not the recipient: RFC 5321, 4.2.1.
        Some("500" | "501" | "502" | "503" | "504" | "521" | "555") => SendFailure::Delayed(reply),
        Some(code) if code.starts_with('5') && is_about_recipient(code, &reply) => {
            SendFailure::Refused(reply)
        }
        None if error.is_client() => SendFailure::Impossible(reply),
        _ => SendFailure::Delayed(reply),
    }
}

/// Whether a permanent refusal is about the recipient. A relay also refuses the sender, its policy or a blocklist with 5xx, to the greeting,
/// to `MAIL FROM` or to a mail: that says nothing of the address. The enhanced code (RFC 3463) tells them apart; without one, 554 and a reply
/// that names the sender are of the relay.
fn is_about_recipient(code: &str, reply: &str) -> bool {
    let class = reply.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.trim_matches('.').split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("5"), Some(subject), Some(detail), None) => Some((subject, detail)),
            _ => None,
        }
    });
    match class {
        Some(("1", "7" | "8")) => false,
        Some(("1" | "2" | "4", _)) => true,
        Some(_) => false,
        None => {
            let reply = reply.to_lowercase();
            code != "554" && !reply.contains("sender") && !reply.contains("mail from")
        }
    }
}

fn describe_reply(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(REPLY_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(recipient: &str) -> OutgoingMail {
        let content = RenderedMail {
            subject: "Grüße\r\nBcc: eve@example.com".to_owned(),
            text: "text\n.\nQUIT\n".to_owned(),
            html: "<p>html</p>".to_owned(),
        };
        let date = Timestamp(1_800_000_000_000);
        OutgoingMail {
            id: Uuid::from_u128(7),
            recipient: recipient.to_owned(),
            content,
            date,
            unsubscribe_url: None,
        }
    }

    fn relay(dkim: Option<DkimKey>) -> MailRelay {
        let address = "smtp://localhost:1".parse().unwrap();
        MailRelay::new(&address, None, sender(), dkim).unwrap()
    }

    fn sender() -> MailSender {
        "Lamps & More <shop@shop.example>".parse().unwrap()
    }

    #[test]
    fn an_address_of_a_relay_sends_no_password_as_clear_text() {
        for good in [
            "smtps://user:pass@mail.example",
            "smtps://mail.example:465",
            "smtp://mail.example:25",
            "smtp://user@mail.example:587?tls=required",
            "smtp://user:p%40ss@localhost:2525",
            "smtp://user:pass@[::1]:25",
        ] {
            let address: RelayAddress = good.parse().unwrap();
            assert!(!format!("{address:?}").contains("pass"), "{good}");
            assert_eq!(address.has_password(), good.contains("pass@") || good.contains("%40"), "{good}");
        }
        for bad in ["", "mail.example", "http://mail.example", "smtps://", "smtps://:25", "smtp://user:pass@"]
        {
            assert_eq!(bad.parse::<RelayAddress>(), Err(RelayAddressError::NoAddress), "{bad}");
        }
        for clear in [
            "smtp://user:pass@mail.example",
            "smtp://user@mail.example:587?tls=opportunistic",
            "smtp://user:tls=required@mail.example",
            "smtp://user@mail.example/tls=required",
            "smtp://user@mail.example?x=tls=required",
        ] {
            assert_eq!(clear.parse::<RelayAddress>(), Err(RelayAddressError::ClearPassword), "{clear}");
        }
    }

    #[test]
    fn a_refusal_is_of_the_recipient_or_of_the_relay() {
        for (code, reply) in [
            ("550", "permanent error (550): 5.1.1 no such user"),
            ("550", "permanent error (550): 5.1.10 null MX"),
            ("552", "permanent error (552): 5.2.2 mailbox full"),
            ("554", "permanent error (554): 5.4.4 no such domain"),
            ("550", "permanent error (550): no such user here"),
            ("553", "permanent error (553): mailbox name not allowed at 192.0.2.5"),
        ] {
            assert!(is_about_recipient(code, reply), "{reply}");
        }
        for (code, reply) in [
            ("550", "permanent error (550): 5.7.1 relaying denied"),
            ("550", "permanent error (550): 5.7.26 unauthenticated mail is not accepted"),
            ("553", "permanent error (553): 5.1.8 sender address has no domain"),
            ("552", "permanent error (552): 5.3.4 message too big"),
            ("554", "permanent error (554): no SMTP service here"),
            ("550", "permanent error (550): Sender verify failed"),
        ] {
            assert!(!is_about_recipient(code, reply), "{reply}");
        }
    }

    #[test]
    fn a_sender_has_an_address_and_perhaps_a_name() {
        assert_eq!(sender().name(), "Lamps & More");
        assert_eq!("shop@shop.example".parse::<MailSender>().unwrap().name(), "shop.example");
        for bad in ["", "shop", "shop@", "Shop <shop@shop.example>\r\nBcc: eve@example.com"] {
            assert!(bad.parse::<MailSender>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn nothing_in_a_mail_begins_a_header_of_its_own() {
        let message = relay(None).build_message(&mail("ada@example.com")).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Message-ID: <00000000-0000-0000-0000-000000000007@shop.example>"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        for bad in [
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com>\r\nRCPT TO:<eve@example.com",
            "ada",
            "",
        ] {
            let built = relay(None).build_message(&mail(bad));
            assert!(matches!(built, Err(SendFailure::Impossible(_))), "{bad:?}");
        }
        for legal in
            ["o'brien+drop@mail.example.co.uk", "!#$%&'*+-/=?^_`{|}~@example.com", "üser@bücher.example"]
        {
            assert!(relay(None).build_message(&mail(legal)).is_ok(), "{legal}");
        }
    }

    #[tokio::test]
    async fn a_key_signs_the_headers_of_one_click_unsubscribe() {
        let pem = include_str!("relay/test-dkim-key.pem");
        assert_eq!(DkimKey::new("a b", pem, &sender()).unwrap_err(), DkimKeyError::Selector);
        assert_eq!(DkimKey::new("drop", "no key", &sender()).unwrap_err(), DkimKeyError::Key);
        let key = DkimKey::new("drop", pem, &sender()).unwrap();
        let mail = OutgoingMail {
            unsubscribe_url: Some("https://shop.example/x".to_owned()),
            ..mail("ada@example.com")
        };
        let message = relay(Some(key)).build_message(&mail).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let signature = text.split("DKIM-Signature:").nth(1).unwrap().replace("\r\n", "");
        // Names of headers in `h=` have no case.
        for part in ["d=shop.example", "s=drop", ":list-unsubscribe:list-unsubscribe-post;"] {
            assert!(signature.contains(part), "{signature}");
        }
        assert!(text.contains("List-Unsubscribe: <https://shop.example/x>\r\n"), "{text}");
    }
}
