//! Reads `ledger.db`: for followers, for the fold at the start, for `doorbuster verify`. Checks every row's checksum. It takes
//! no lock: it reads beside a running engine, and after one that was killed.

use super::repair::{TornTail, find_torn_tails, torn_keys};
use super::row::{find_head, find_sale_number, load_sales, read_page, scan_pages};
use super::{ReadAccess, open_read_only_with};
use crate::record::row::PAGES_AHEAD;
use crate::record::{LedgerPage, LedgerReader, ReadError, SaleNumber};
use futures::future::BoxFuture;
use rusqlite::Connection;
use sale::{EventSeq, LedgerEntry, SaleId};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Connections kept open; more may be in use at once.
const IDLE_MAX: usize = 4;

pub struct SqliteReader {
    folder: PathBuf,
    access: ReadAccess,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteReader {
    /// Opens the ledger in `folder`.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        Self::open_with(folder, ReadAccess::Shared)
    }

    /// Opens the ledger in `folder` in this way.
    ///
    /// # Errors
    /// As [`SqliteReader::open`].
    pub fn open_with(folder: &Path, access: ReadAccess) -> Result<Self, ReadError> {
        let first = open_read_only_with(folder, access)?;
        Ok(Self { folder: folder.to_owned(), access, idle: Mutex::new(vec![first]) })
    }

    /// The rows that the next start would move into the table `torn`, if everything else is intact; [`LedgerReader::scan`] finds out whether
    /// it is.
    ///
    /// # Errors
    /// When more rows are damaged at the end than a power loss explains, or the file cannot be read.
    pub fn find_torn_tails(&self) -> Result<Vec<TornTail>, ReadError> {
        self.with_connection(find_torn_tails)
    }

    /// The last event of every sale, torn rows included.
    ///
    /// # Errors
    /// When the file cannot be read, or the row of a sale is damaged.
    pub fn list_heads(&self) -> Result<Vec<(SaleId, EventSeq)>, ReadError> {
        self.with_connection(|connection| {
            let sales = load_sales(connection)?.into_iter();
            sales.map(|(no, sale)| Ok((sale, find_head(connection, no)?))).collect()
        })
    }

    /// As [`LedgerReader::scan`], without these torn tails.
    #[must_use]
    pub fn scan_without(&self, torn: &[TornTail]) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
        let (folder, access, torn) = (self.folder.clone(), self.access, torn_keys(torn));
        let spawned = std::thread::Builder::new().name("ledger-scan".into()).spawn({
            let pages = pages.clone();
            move || {
                let scanned = open_read_only_with(&folder, access).and_then(|connection| {
                    scan_pages(&connection, &torn, |page| pages.blocking_send(Ok(page)).is_ok())
                });
                if let Err(error) = scanned {
                    // When the receiver was dropped, no caller waits for the error.
                    let _unheard = pages.blocking_send(Err(error));
                }
            }
        });
        if let Err(error) = spawned {
            let _sent = pages.try_send(Err(ReadError::Store(Box::new(error))));
        }
        receiver
    }

    fn with_connection<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_read_only_with(&self.folder, self.access)?,
        };
        let result = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        result
    }
}

impl LedgerReader for SqliteReader {
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        Box::pin(async {
            let sales = self.with_connection(load_sales)?;
            Ok(sales.into_iter().map(|(_, sale)| sale).collect())
        })
    }

    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>> {
        Box::pin(async move {
            self.with_connection(|connection| match find_sale_number(connection, sale)? {
                Some(no) => read_page(connection, (no, sale), after, limit),
                None => Ok(Vec::new()),
            })
        })
    }

    fn find_number(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<SaleNumber>, ReadError>> {
        Box::pin(async move {
            let number = self.with_connection(|connection| find_sale_number(connection, sale))?;
            Ok(number.map(SaleNumber::new))
        })
    }

    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        self.scan_without(&[])
    }
}
