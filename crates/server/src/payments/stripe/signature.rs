//! The signature of Stripe's webhooks, `Stripe-Signature: t=…,v1=…,v1=…`: HMAC-SHA256 of `{t}.{body}` in hexadecimal, with one `v1` for each
//! secret that is valid while it is changed. Pure: the time is an argument. It never reads the body as JSON, and never says what a
//! signature should have been.

use hmac::{Hmac, KeyInit, Mac};
use sale::Timestamp;
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// How far the time of a signature may be from now, in either direction, in milliseconds.
const TOLERANCE_MS: i64 = 5 * 60 * 1_000;

/// Signatures of one header that are read. Stripe sends one for each secret, of which there are two at most.
const SIGNATURES_MAX: usize = 16;

/// Characters of a header at most.
const HEADER_LEN_MAX: usize = 4 << 10;

/// The secret of a webhook endpoint, which the dashboard shows as `whsec_…`. All of that text is the key. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct EndpointSecret(String);

/// The text is no secret of an endpoint. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of a webhook endpoint begins with whsec_")]
pub struct EndpointSecretError;

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the header Stripe-Signature is missing or has another form")]
    Malformed,
    #[error("the signature was made too long ago, or by a clock that is wrong")]
    OutOfTime,
    #[error("no signature is that of this endpoint's secret")]
    Mismatch,
}

impl fmt::Debug for EndpointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecret(…)")
    }
}

impl std::str::FromStr for EndpointSecret {
    type Err = EndpointSecretError;

    fn from_str(text: &str) -> Result<Self, EndpointSecretError> {
        let is_secret = text.strip_prefix("whsec_").is_some_and(|rest| !rest.is_empty())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_secret { Ok(Self(text.to_owned())) } else { Err(EndpointSecretError) }
    }
}

/// Checks a webhook: one of its signatures must be made with one of the secrets, at most five minutes from now.
///
/// # Errors
/// When the body does not come from Stripe, or came before.
pub fn verify_signature(
    header: &str,
    body: &[u8],
    secrets: &[EndpointSecret],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let SignatureHeader { time_s, signatures } = parse_header(header)?;
    // All signatures are compared with all secrets: the time taken depends on none of them.
    let mut found = Choice::from(0);
    for secret in secrets {
        let expected = compute_signature(secret, time_s, body);
        for signature in &signatures {
            found |= signature.as_slice().ct_eq(&expected);
        }
    }
    if !bool::from(found) {
        return Err(SignatureError::Mismatch);
    }
    let time_ms = time_s.parse::<i64>().ok().and_then(|time_s| time_s.checked_mul(1_000));
    let time_ms = time_ms.ok_or(SignatureError::Malformed)?;
    if now.0.abs_diff(time_ms) > TOLERANCE_MS.unsigned_abs() {
        return Err(SignatureError::OutOfTime);
    }
    Ok(())
}

struct SignatureHeader<'a> {
    /// As it was sent: it is signed as text.
    time_s: &'a str,
    signatures: Vec<Vec<u8>>,
}

/// Schemes other than `v1` are passed over, so that nobody can make a webhook pass with a weaker one.
fn parse_header(header: &str) -> Result<SignatureHeader<'_>, SignatureError> {
    if header.len() > HEADER_LEN_MAX {
        return Err(SignatureError::Malformed);
    }
    let (mut time_s, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time_s.is_none() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                time_s = Some(value);
            }
            Some(("t", _)) => return Err(SignatureError::Malformed),
            Some(("v1", value)) if signatures.len() < SIGNATURES_MAX => signatures.extend(decode_hex(value)),
            _ => {}
        }
    }
    match time_s {
        Some(time_s) if !time_s.is_empty() && !signatures.is_empty() => {
            Ok(SignatureHeader { time_s, signatures })
        }
        _ => Err(SignatureError::Malformed),
    }
}

fn compute_signature(secret: &EndpointSecret, time_s: &str, body: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time_s.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_S: i64 = 1_700_000_000;
    const NOW: Timestamp = Timestamp(NOW_S * 1_000);
    const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;

    fn sign_webhook(secret: &EndpointSecret, time_s: i64, body: &[u8]) -> String {
        let time_s = time_s.to_string();
        let signature = compute_signature(secret, &time_s, body);
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={time_s},v1={hex}")
    }

    fn secret(text: &str) -> EndpointSecret {
        text.parse().unwrap()
    }

    fn verify(header: &str, body: &[u8]) -> Result<(), SignatureError> {
        verify_signature(header, body, &[secret("whsec_test")], NOW)
    }

    /// Computed with Python's `hmac` of `1700000000.` and the body.
    #[test]
    fn a_signature_of_another_program_is_accepted() {
        let header = "t=1700000000,v1=4c15fb2a43f93ef61eaa3e0893866d57cad9cad4223242cfb96f362480cb4021";
        assert_eq!(verify(header, BODY), Ok(()));
        assert_eq!(sign_webhook(&secret("whsec_test"), NOW_S, BODY), header);
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let ours = sign_webhook(&secret("whsec_test"), NOW_S, BODY);
        let other = sign_webhook(&secret("whsec_other"), NOW_S, BODY);
        let (_, ours_only) = ours.split_once(',').unwrap();
        let (_, other_only) = other.split_once(',').unwrap();
        assert_eq!(verify(&format!("t={NOW_S},{other_only},{ours_only}"), BODY), Ok(()));
        assert_eq!(verify(&format!("t={NOW_S},{ours_only},{other_only},v0=00"), BODY), Ok(()));
        assert_eq!(verify(&other, BODY), Err(SignatureError::Mismatch));
        let both = [secret("whsec_other"), secret("whsec_test")];
        assert_eq!(verify_signature(&other, BODY, &both, NOW), Ok(()), "a secret that is being changed");
        assert_eq!(verify_signature(&ours, BODY, &both, NOW), Ok(()));
    }

    #[test]
    fn an_old_or_early_signature_is_refused() {
        for (off_s, expected) in [
            (-300, Ok(())),
            (300, Ok(())),
            (-301, Err(SignatureError::OutOfTime)),
            (301, Err(SignatureError::OutOfTime)),
            (-NOW_S, Err(SignatureError::OutOfTime)),
        ] {
            let header = sign_webhook(&secret("whsec_test"), NOW_S + off_s, BODY);
            assert_eq!(verify(&header, BODY), expected, "{off_s} s");
        }
        let header = sign_webhook(&secret("whsec_test"), i64::MAX, BODY);
        assert_eq!(verify(&header, BODY), Err(SignatureError::Malformed));
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        let good = sign_webhook(&secret("whsec_test"), NOW_S, BODY);
        let (time, signature) = good.split_once(',').unwrap();
        for header in [
            "",
            time,
            signature,
            "t=,v1=00",
            "t=now,v1=00",
            "t=-1,v1=00",
            "t=1700000000,v1=xyz",
            "t=1700000000,v1=000",
            "t=1700000000,v0=00",
            &format!("{time},{time},{signature}"),
            &format!("{time},{signature}{}", ",v1=00".repeat(1_000)),
        ] {
            assert_eq!(verify(header, BODY), Err(SignatureError::Malformed), "{header}");
        }
        assert_eq!(verify(&good.replace("v1", "v0"), BODY), Err(SignatureError::Malformed));
    }

    #[test]
    fn another_body_or_time_is_refused() {
        let good = sign_webhook(&secret("whsec_test"), NOW_S, BODY);
        assert_eq!(verify(&good, b"{}"), Err(SignatureError::Mismatch));
        let moved = good.replace("t=1700000000", "t=1700000001");
        assert_eq!(verify(&moved, BODY), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", secret("whsec_abc")), "EndpointSecret(…)");
        for text in ["", "whsec_", "abc", "whsec_a b", "whsec_a\n"] {
            assert!(text.parse::<EndpointSecret>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = verify(&header, &body);
        }
    }
}
