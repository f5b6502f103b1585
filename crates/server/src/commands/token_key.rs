//! Where the key that signs access tokens comes from. It is never shown, not in an error and not in a log.

use super::CommandError;
use super::settings::Serve;
use crate::auth::tokens;
use crate::store::{Store, secrets};
use anyhow::Context;
use sale::Timestamp;
use std::path::Path;

/// The file of the key in the data folder.
pub const TOKEN_KEY_FILE: &str = "token-key.pem";

/// The name of the key in the database.
const TOKEN_KEY_SECRET: &str = "token-key";

/// The key that signs access tokens: from the file that the settings name, or from the data folder, or, where several processes
/// need it, from the tables.
pub(super) async fn load_token_key(
    settings: &Serve,
    store: &Store,
    now: Timestamp,
) -> Result<tokens::SigningKey, CommandError> {
    if let Some(path) = &settings.token_key {
        return read_key_file(path);
    }
    let file = settings.data.join(TOKEN_KEY_FILE);
    if settings.database.is_none() {
        return Ok(tokens::read_or_create_key(&file).map_err(anyhow::Error::from)?);
    }
    if let Some(key) = load_shared_key(store).await? {
        return Ok(key);
    }
    // The folder may have one from before the tables kept it: with it, sessions stay valid.
    let own_key = if file.exists() { tokens::read_key(&file) } else { tokens::generate_key() };
    let own_pem = own_key.and_then(|key| tokens::key_to_pem(&key)).map_err(anyhow::Error::from)?;
    secrets::insert_if_absent(store, TOKEN_KEY_SECRET, &own_pem, now).await.map_err(anyhow::Error::from)?;
    // Another process may have inserted one first: that one counts.
    Ok(load_shared_key(store).await?.context("the token key was inserted and is not found")?)
}

/// Copies the key of a data folder into tables that have none. False when the folder has no key.
pub(super) async fn copy_token_key(folder: &Path, store: &Store, now: Timestamp) -> anyhow::Result<bool> {
    let file = folder.join(TOKEN_KEY_FILE);
    if !file.exists() {
        return Ok(false);
    }
    let pem = tokens::key_to_pem(&tokens::read_key(&file)?)?;
    secrets::insert_if_absent(store, TOKEN_KEY_SECRET, &pem, now).await?;
    Ok(true)
}

async fn load_shared_key(store: &Store) -> Result<Option<tokens::SigningKey>, CommandError> {
    let secret = secrets::find(store, TOKEN_KEY_SECRET).await.map_err(anyhow::Error::from)?;
    let Some(text) = secret else { return Ok(None) };
    Ok(Some(
        tokens::parse_key(&text)
            .context("the token key in the database is not an Ed25519 private key in PKCS#8 PEM")?,
    ))
}

fn read_key_file(path: &Path) -> Result<tokens::SigningKey, CommandError> {
    tokens::read_key(path).map_err(|error| CommandError::Usage(format!("--token-key: {error}")))
}
