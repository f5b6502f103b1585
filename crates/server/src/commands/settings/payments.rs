//! The settings of payments, of `serve` and of `worker`. Secrets come by variables or files: no flag takes one, because other users of the
//! machine may see a command line.

use super::super::CommandError;
use crate::payments::stripe::client::{ApiKey, ClientTimeouts};
use crate::payments::stripe::signature::EndpointSecret;
use crate::payments::stripe::transport::ApiOrigin;
use crate::shop::public_url::PublicUrl;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

const KEY_VARIABLE: &str = "DOORBUSTER_STRIPE_KEY";
const SECRET_VARIABLE: &str = "DOORBUSTER_STRIPE_WEBHOOK_SECRET";

/// Takes payments.
#[derive(Debug, Clone, Args)]
pub struct PaymentArguments {
    /// Through whom new sales are paid. The sandbox moves no money. Stripe needs --public-url, a key in the variable DOORBUSTER_STRIPE_KEY or
    /// in --stripe-key-file, and the secret of its webhook endpoint in DOORBUSTER_STRIPE_WEBHOOK_SECRET or in --stripe-webhook-secret-file.
    #[arg(long, env = "DOORBUSTER_PAYMENTS", value_enum, default_value = "sandbox")]
    pub payments: ProviderName,
    /// File with the key of Stripe's API: a restricted one, rk_live_… or rk_test_….
    #[arg(long, env = "DOORBUSTER_STRIPE_KEY_FILE", value_name = "FILE")]
    pub stripe_key_file: Option<PathBuf>,
    /// File with the secret of Stripe's webhook endpoint, whsec_…; two lines with one each while it is changed.
    #[arg(long, env = "DOORBUSTER_STRIPE_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub stripe_webhook_secret_file: Option<PathBuf>,
    /// Where Stripe's API is; another one only for a stand-in on this machine.
    #[arg(long, env = "DOORBUSTER_STRIPE_API", default_value = "https://api.stripe.com", value_name = "URL")]
    pub stripe_api: ApiOrigin,
    #[arg(skip)]
    pub stripe_timeouts: ClientTimeouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// The built-in provider for trials.
    Sandbox,
    /// Stripe's hosted Checkout.
    Stripe,
}

/// What payments through Stripe need, read and checked.
#[derive(Debug, Clone)]
pub struct StripeSettings {
    pub key: ApiKey,
    pub secrets: Vec<EndpointSecret>,
    pub origin: ApiOrigin,
}

impl PaymentArguments {
    /// Reads the secrets; `None` for the sandbox. `variable` reads a variable of the environment.
    ///
    /// # Errors
    /// When a setting is missing, or a secret has another form. No message repeats a secret.
    pub fn stripe_settings(
        &self,
        public_url: Option<&PublicUrl>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<StripeSettings>, CommandError> {
        let usage = |sentence: String| CommandError::Usage(sentence);
        if self.payments == ProviderName::Sandbox {
            return Ok(None);
        }
        if public_url.is_none() {
            let sentence = "--payments stripe: it needs --public-url, the address to which buyers come back";
            return Err(usage(sentence.into()));
        }
        let Some(access) = self.stripe_access(&variable)? else { return Ok(None) };
        let file = ("--stripe-webhook-secret-file", self.stripe_webhook_secret_file.as_deref());
        let secrets = read_secret(SECRET_VARIABLE, file, &variable)?;
        let secrets: Result<Vec<EndpointSecret>, _> = secrets
            .split([',', '\n'])
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .collect();
        let secrets = secrets.map_err(|error| usage(format!("Stripe's webhook: {error}")))?;
        Ok(Some(StripeSettings { secrets, ..access }))
    }

    /// The same for a command that gets no webhooks.
    ///
    /// # Errors
    /// As [`PaymentArguments::stripe_settings`].
    pub fn stripe_access(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<StripeSettings>, CommandError> {
        if self.payments == ProviderName::Sandbox {
            return Ok(None);
        }
        let key =
            read_secret(KEY_VARIABLE, ("--stripe-key-file", self.stripe_key_file.as_deref()), &variable)?;
        let key = key.parse().map_err(|error| CommandError::Usage(format!("the key of Stripe: {error}")))?;
        Ok(Some(StripeSettings { key, secrets: Vec::new(), origin: self.stripe_api.clone() }))
    }
}

/// A secret from its file, or else from its variable.
fn read_secret(
    name: &str,
    (flag, file): (&str, Option<&Path>),
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, CommandError> {
    let found = match file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            CommandError::Usage(if is_secret(file) {
                format!("{flag}: it takes the path of a file with the secret, not the secret")
            } else {
                format!("{flag}: {} cannot be read: {error}", file.display())
            })
        })?),
        None => variable(name),
    };
    let found = found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    found.ok_or_else(|| CommandError::Usage(format!("--payments stripe: it needs {name} or {flag}")))
}

/// Whether somebody has given one of Stripe's secrets in place of the path of its file. Messages never repeat it.
fn is_secret(file: &Path) -> bool {
    let text = file.to_string_lossy();
    ["rk_", "sk_", "whsec_"].iter().any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::settings::Serve;

    fn check(flags: &[&str], variables: &[(&str, &str)]) -> Result<Option<StripeSettings>, String> {
        let serve = Serve::from_flags(flags.iter().copied()).map_err(|error| error.to_string())?;
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let settings = serve.payments.stripe_settings(serve.public_url.as_ref(), variable);
        settings.map_err(|error| error.to_string())
    }

    const FLAGS: [&str; 4] = ["--payments", "stripe", "--public-url", "https://shop.example"];
    const KEY: (&str, &str) = (KEY_VARIABLE, "rk_test_abc");
    const SECRET: (&str, &str) = (SECRET_VARIABLE, "whsec_a,whsec_b");

    #[test]
    fn the_sandbox_is_the_default_and_stripe_needs_its_secrets() {
        assert!(check(&[], &[KEY, SECRET]).unwrap().is_none());
        let settings = check(&FLAGS, &[KEY, SECRET]).unwrap().unwrap();
        assert_eq!(settings.secrets.len(), 2);
        assert!(!format!("{settings:?}").contains("abc"), "no secret is shown");
    }

    #[test]
    fn files_come_before_variables() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "sk_live_abc\n").unwrap();
        let file = ["--stripe-key-file", key.to_str().unwrap()];
        let settings = check(&[&FLAGS[..], &file].concat(), &[KEY, SECRET]).unwrap().unwrap();
        assert!(settings.key.is_live());
    }

    #[test]
    fn a_missing_or_wrong_setting_is_named_and_no_secret_repeated() {
        for (flags, variables, expected) in [
            (&FLAGS[..2], &[KEY, SECRET][..], "--payments stripe: it needs --public-url"),
            (&FLAGS[..], &[SECRET][..], "it needs DOORBUSTER_STRIPE_KEY or --stripe-key-file"),
            (
                &FLAGS[..],
                &[KEY][..],
                "it needs DOORBUSTER_STRIPE_WEBHOOK_SECRET or --stripe-webhook-secret-file",
            ),
            (&FLAGS[..], &[(KEY_VARIABLE, "pk_live_very"), SECRET][..], "a key begins with rk_live_"),
            (&FLAGS[..], &[KEY, (SECRET_VARIABLE, "very")][..], "begins with whsec_"),
        ] {
            let error = check(flags, variables).unwrap_err();
            assert!(error.contains(expected) && !error.contains("very"), "{flags:?}: {error}");
        }
        assert!(
            check(&[&FLAGS[..], &["--stripe-api", "http://api.stripe.com"]].concat(), &[KEY, SECRET])
                .is_err()
        );
        assert!(check(&[&FLAGS[..], &["--stripe-key-file", "/nowhere"]].concat(), &[SECRET]).is_err());
        for (flag, secret) in [
            ("--stripe-key-file", "rk_live_very"),
            ("--stripe-key-file", "sk_test_very"),
            ("--stripe-webhook-secret-file", "whsec_very"),
        ] {
            let error = check(&[&FLAGS[..], &[flag, secret]].concat(), &[KEY, SECRET]).unwrap_err();
            assert!(error.contains(flag) && !error.contains("very"), "{error}");
        }
    }
}
