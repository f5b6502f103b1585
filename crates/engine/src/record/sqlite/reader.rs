//! Reads `ledger.db`: for followers, for the fold at the start, for `doorbuster verify`. Checks every row's sum. Needs no
//! lock: it reads beside a running engine, and after one that was killed.

use super::mend::{TornEnd, by_sale, torn_ends};
use super::open_read_only;
use super::row::{number_of, read_page, sales, walk};
use crate::record::row::PAGES_AHEAD;
use crate::record::{Page, Read, ReadError};
use futures::future::BoxFuture;
use rusqlite::Connection;
use sale::{Entry, SaleId, Seq};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Connections kept for later; more may be open at once.
const IDLE_MAX: usize = 4;

/// The reading side of one machine's ledger.
pub struct SqliteReader {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteReader {
    /// Reads the ledger in `folder`.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let first = open_read_only(folder)?;
        Ok(Self { folder: folder.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// What the next start would set aside, if everything else is intact; see [`Read::scan`] for whether it is.
    ///
    /// # Errors
    /// When more rows are damaged at the end than a power loss explains, or the file cannot be read.
    pub fn torn_ends(&self) -> Result<Vec<TornEnd>, ReadError> {
        self.with(torn_ends)
    }

    /// As [`Read::scan`], of a ledger without its torn ends.
    #[must_use]
    pub fn scan_without(&self, torn: &[TornEnd]) -> mpsc::Receiver<Result<Page, ReadError>> {
        let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
        let (folder, torn) = (self.folder.clone(), by_sale(torn));
        let spawned = std::thread::Builder::new().name("ledger-scan".into()).spawn({
            let pages = pages.clone();
            move || {
                let scanned = open_read_only(&folder).and_then(|connection| {
                    walk(&connection, &torn, |page| pages.blocking_send(Ok(page)).is_ok())
                });
                if let Err(error) = scanned {
                    // Nobody listens any more: nobody needs to know.
                    let _unheard = pages.blocking_send(Err(error));
                }
            }
        });
        if let Err(error) = spawned {
            let _sent = pages.try_send(Err(ReadError::Store(Box::new(error))));
        }
        receiver
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_read_only(&self.folder)?,
        };
        let result = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        result
    }
}

impl Read for SqliteReader {
    fn sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        Box::pin(async {
            let sales = self.with(sales)?;
            Ok(sales.into_iter().map(|(_, sale)| sale).collect())
        })
    }

    fn read(&self, sale: SaleId, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Box::pin(async move {
            self.with(|connection| match number_of(connection, sale)? {
                Some(no) => read_page(connection, (no, sale), after, limit),
                None => Ok(Vec::new()),
            })
        })
    }

    fn scan(&self) -> mpsc::Receiver<Result<Page, ReadError>> {
        self.scan_without(&[])
    }
}
