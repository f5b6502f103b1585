//! The settings of mail, of `serve` and of `worker`. A password comes by a variable or a file; one on the command line, which other users of
//! the machine may see, is warned about.

use super::super::CommandError;
use crate::http::limits::RateLimit;
use crate::mail::relay::{DkimKey, MailRelay, MailSender, RelayAddress};
use crate::mail::templates::{MailShop, MailTemplates};
use crate::shop::mails::dispatcher::MailRate;
use crate::shop::public_url::PublicUrl;
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Mails of a window at most: so many moments are remembered.
const RATE_MAX: u32 = 100_000;

/// Sends mails.
#[derive(Debug, Clone, Default, Args)]
pub struct MailArguments {
    /// SMTP relay that takes the shop's mails, such as smtps://user:password@mail.example; needs --mail-from and --public-url. Without it the
    /// shop sends no mail. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_SMTP", hide_env_values = true, value_name = "URL")]
    pub smtp: Option<SmtpUrl>,
    /// File with the password for the user of --smtp.
    #[arg(long, env = "DOORBUSTER_SMTP_PASSWORD_FILE", value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
    /// Address that mails come from, perhaps with the shop's name: "Lamps <shop@shop.example>".
    #[arg(long, env = "DOORBUSTER_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<MailSender>,
    /// Mails that are sent at most, in a time: what the relay's operator allows; by default 10/1s.
    #[arg(long, env = "DOORBUSTER_MAIL_RATE", value_name = "COUNT/TIME")]
    pub mail_rate: Option<RateLimit>,
    /// RSA key (PKCS#1 PEM) that signs mails by DKIM, and the selector under which the domain of --mail-from publishes its other half. Without it
    /// the relay may sign.
    #[arg(long, env = "DOORBUSTER_MAIL_DKIM_KEY", value_name = "SELECTOR=FILE")]
    pub mail_dkim_key: Option<DkimArgument>,
    /// Folder with mail templates in place of those of this program.
    #[arg(long, env = "DOORBUSTER_MAIL_TEMPLATES", value_name = "FOLDER")]
    pub mail_templates: Option<PathBuf>,
}

/// The address of a relay as it was given. It may hold a password, and is never repeated in a message.
#[derive(Clone)]
pub struct SmtpUrl(String);

impl FromStr for SmtpUrl {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SmtpUrl(…)")
    }
}

/// A selector and the file of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimArgument {
    selector: String,
    file: PathBuf,
}

impl FromStr for DkimArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((selector, file)) if !selector.is_empty() && !file.is_empty() => {
                Ok(Self { selector: selector.to_owned(), file: file.into() })
            }
            _ => Err("write SELECTOR=FILE, such as drop=/etc/doorbuster/dkim.pem"),
        }
    }
}

/// What a shop that sends mails needs, read and checked.
#[derive(Debug)]
pub struct MailSettings {
    pub relay: MailRelay,
    pub templates: MailTemplates,
    pub shop: MailShop,
    pub rate: MailRate,
}

impl MailArguments {
    /// Reads and checks all files; `None` when the shop sends no mail.
    ///
    /// # Errors
    /// When a setting is missing, a file cannot be read, or a template is wrong.
    pub fn settings(&self, public_url: Option<&PublicUrl>) -> Result<Option<MailSettings>, CommandError> {
        let usage = |sentence: String| CommandError::Usage(sentence);
        let Some(SmtpUrl(url)) = &self.smtp else {
            return match self.name_needless_flag() {
                Some(flag) => {
                    Err(usage(format!("{flag}: it needs --smtp, without which the shop sends no mail")))
                }
                None => Ok(None),
            };
        };
        let address: RelayAddress = url.parse().map_err(|error| usage(format!("--smtp: {error}")))?;
        let public_url = public_url.ok_or_else(|| {
            usage(
                "--smtp: it needs --public-url, the address of the shop that is in the links of mails".into(),
            )
        })?;
        let sender = self
            .mail_from
            .clone()
            .ok_or_else(|| usage("--smtp: it needs --mail-from, the address that mails come from".into()))?;
        let password = match &self.smtp_password_file {
            None => None,
            Some(_) if !address.has_user() => {
                return Err(usage("--smtp-password-file: --smtp names no user for the password".into()));
            }
            Some(_) if address.has_password() => {
                return Err(usage("--smtp-password-file: --smtp has a password already".into()));
            }
            Some(file) => {
                Some(read_text("--smtp-password-file", file)?.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        let dkim = self.mail_dkim_key.as_ref().map(|DkimArgument { selector, file }| {
            let pem = read_text("--mail-dkim-key", file)?;
            DkimKey::new(selector, &pem, &sender).map_err(|error| usage(format!("--mail-dkim-key: {error}")))
        });
        let templates = MailTemplates::load(self.mail_templates.as_deref())
            .map_err(|error| usage(format!("--mail-templates: {:#}", anyhow::Error::from(error))))?;
        let rate = self.mail_rate.unwrap_or(RateLimit { quota: 10, window_s: 1 });
        if rate.quota > RATE_MAX {
            return Err(usage(format!("--mail-rate: at most {RATE_MAX} mails in a time")));
        }
        let shop = MailShop { name: sender.name().to_owned(), url: public_url.to_string() };
        let relay = MailRelay::new(&address, password, sender, dkim.transpose()?)
            .map_err(|error| usage(format!("--smtp: {error}")))?;
        let rate = MailRate { count: rate.quota, window_ms: i64::from(rate.window_s) * 1_000 };
        Ok(Some(MailSettings { relay, templates, shop, rate }))
    }

    /// Warns of a password that other users of this machine may have seen.
    pub fn warn_of_open_password(&self) {
        let is_on_command_line = std::env::args_os().any(|argument| {
            let argument = argument.to_string_lossy();
            argument == "--smtp" || argument.starts_with("--smtp=")
        });
        let address = self.smtp.as_ref().and_then(|url| url.0.parse::<RelayAddress>().ok());
        if is_on_command_line && address.is_some_and(|address| address.has_password()) {
            tracing::warn!(
                "the password of --smtp is on the command line, where other users of this machine can read it; give it by DOORBUSTER_SMTP or --smtp-password-file"
            );
        }
    }

    fn name_needless_flag(&self) -> Option<&'static str> {
        let given = [
            (self.smtp_password_file.is_some(), "--smtp-password-file"),
            (self.mail_from.is_some(), "--mail-from"),
            (self.mail_rate.is_some(), "--mail-rate"),
            (self.mail_dkim_key.is_some(), "--mail-dkim-key"),
            (self.mail_templates.is_some(), "--mail-templates"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }
}

fn read_text(flag: &str, file: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file)
        .map_err(|error| CommandError::Usage(format!("{flag}: {} cannot be read: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use crate::commands::settings::Serve;

    const SMTP: [&str; 2] = ["--smtp", "smtp://localhost:25"];
    const FROM: [&str; 2] = ["--mail-from", "Lamps <shop@shop.example>"];
    const URL: [&str; 2] = ["--public-url", "https://shop.example"];

    fn check(parts: &[&[&str]]) -> Result<bool, String> {
        let serve = Serve::from_flags(parts.concat()).map_err(|error| error.to_string())?;
        let settings = serve.mail.settings(serve.public_url.as_ref());
        settings.map(|settings| settings.is_some()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn mail_is_off_without_a_relay_and_complete_with_one() {
        assert_eq!(check(&[]), Ok(false));
        assert_eq!(check(&[&SMTP, &FROM, &URL]), Ok(true));
        assert_eq!(check(&[&SMTP, &FROM, &URL, &["--mail-rate", "100/1m"]]), Ok(true));
    }

    #[tokio::test]
    async fn a_missing_or_wrong_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, "no key").unwrap();
        let key = format!("drop={}", key.display());
        std::fs::write(folder.path().join("guest_code.en.txt"), "Subject: x\n\n{{ cod }}").unwrap();
        let folder = folder.path().to_str().unwrap();
        let cases: [(&[&[&str]], &str); 9] = [
            (&[&FROM, &URL], "--mail-from: it needs --smtp"),
            (&[&SMTP, &FROM], "--smtp: it needs --public-url"),
            (&[&SMTP, &URL], "--smtp: it needs --mail-from"),
            (&[&SMTP, &FROM, &URL, &["--mail-rate", "200000/1s"]], "--mail-rate: at most"),
            (&[&SMTP, &FROM, &URL, &["--mail-dkim-key", &key]], "--mail-dkim-key: the file holds no RSA key"),
            (&[&SMTP, &FROM, &URL, &["--mail-dkim-key", "drop=/nowhere"]], "--mail-dkim-key: /nowhere"),
            (&[&SMTP, &FROM, &URL, &["--mail-templates", folder]], "--mail-templates: key.pem is no name"),
            (
                &[&SMTP, &FROM, &URL, &["--smtp-password-file", "/nowhere"]],
                "--smtp-password-file: --smtp names no user",
            ),
            (&[&["--smtp", "smtp://user:secret-word@mail.example"]], "clear text"),
        ];
        for (flags, expected) in cases {
            let error = check(flags).unwrap_err();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }
}
