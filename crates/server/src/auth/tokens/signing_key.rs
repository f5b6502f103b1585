//! The key that signs access tokens: read, generated, written. It never leaves a partly written key behind.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use std::path::{Path, PathBuf};

/// The signing key cannot be read or generated.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the token key {} cannot be read or written", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The file is something else.
    #[error("{} is not an Ed25519 private key in PKCS#8 PEM", .path.display())]
    NotAKey { path: PathBuf },
    /// The key cannot be written as text.
    #[error("the token key cannot be written as text")]
    NotEncodable,
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// Reads the key in `path` (PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it).
///
/// # Errors
/// When there is no such key.
pub fn read_key(path: &Path) -> Result<SigningKey, KeyError> {
    let pem =
        std::fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    parse_key(&pem).ok_or(KeyError::NotAKey { path: path.to_owned() })
}

/// Parses a key in PKCS#8 PEM. Blank lines around it, as some programs print, are allowed.
#[must_use]
pub fn parse_key(pem: &str) -> Option<SigningKey> {
    SigningKey::from_pkcs8_pem(pem.trim()).ok()
}

/// A key in PKCS#8 PEM, without the public key: with it the text would be of version 2, which OpenSSL does not read. It is a secret:
/// with it one can sign.
///
/// # Errors
/// Never for a key that was made here.
pub fn key_to_pem(key: &SigningKey) -> Result<String, KeyError> {
    let private = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    Ok(private.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::NotEncodable)?.to_string())
}

/// Reads the key in `path`, or generates one there that only this user can read (0600).
///
/// # Errors
/// When there is a file that is no key, or none can be made.
pub fn read_or_create_key(path: &Path) -> Result<SigningKey, KeyError> {
    if path.exists() {
        return read_key(path);
    }
    let key = generate_key()?;
    let pem = key_to_pem(&key)?;
    match write_private(path, pem.as_bytes()) {
        Ok(()) => Ok(key),
        // Another process was first: its key is used.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read_key(path),
        Err(source) => Err(KeyError::File { path: path.to_owned(), source }),
    }
}

/// Generates a key. It is not stored.
///
/// # Errors
/// When the system gives no random bits.
pub fn generate_key() -> Result<SigningKey, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes a temporary file and links it into place, so that a crash leaves a whole key or none, and no key is ever replaced.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary)?;
    linked?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_what_a_program_printed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let pem = key_to_pem(&key).unwrap();
        let read = parse_key(&format!("\n{}\n\n", pem.trim_end()));
        assert_eq!(read.map(|read| read.to_bytes()), Some(key.to_bytes()));
        assert!(parse_key("no key").is_none());
    }

    /// As versions before wrote it: with the public key behind the private one.
    const KEY_OF_VERSION_2: &str = "-----BEGIN PRIVATE KEY-----\n\
        MFECAQEwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n\
        gSEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_that_an_earlier_version_wrote_is_read() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let written_before = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(written_before.as_str(), KEY_OF_VERSION_2);
        assert_eq!(parse_key(KEY_OF_VERSION_2).map(|read| read.to_bytes()), Some(key.to_bytes()));
    }

    #[test]
    fn openssl_reads_a_key_that_is_written_and_finds_the_same_public_key() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut openssl = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl is installed: `make setup` does it");
        openssl.stdin.take().unwrap().write_all(key_to_pem(&key).unwrap().as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        assert!(output.status.success());
        assert!(output.stdout.ends_with(key.verifying_key().as_bytes()), "{:?}", output.stdout);
    }

    #[test]
    fn the_key_file_is_private_made_once_and_read_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token-key.pem");
        let made = read_or_create_key(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_create_key(&path).unwrap().to_bytes(), made.to_bytes());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(read_or_create_key(&path), Err(KeyError::NotAKey { .. })));
    }
}
