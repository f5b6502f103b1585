//! The waiting lines of sales as everyone may see them: which tickets wait. A line is read from the ledger when it is asked for, from
//! where it was read before. A sale whose line nobody asks for costs nothing, and asking costs the deciding of sales nothing.

use super::Shop;
use super::catalogue::CatalogueError;
use engine::SaleView;
use engine::line_reader::LineReader;
use sale::{LineFeed, SaleId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The lines that were read, a bit a ticket, until their sales are over.
#[derive(Default)]
pub struct LineReaders(Mutex<HashMap<SaleId, Arc<tokio::sync::Mutex<LineReader>>>>);

/// The line of a sale as this view has it: everything in both is of the same moment. `None` once the sale is over.
///
/// The first call reads the sale's whole ledger. A call that is dropped meanwhile leaves what it has read to the next one.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn read_line(shop: &Shop, view: &SaleView) -> Result<Option<LineFeed>, CatalogueError> {
    if view.is_over(shop.engine.now()) {
        shop.line_readers.lock().remove(&view.id);
        return Ok(None);
    }
    let reader = Arc::clone(shop.line_readers.lock().entry(view.id).or_default());
    let mut reader = reader.lock().await;
    reader.read_to(shop.engine.ledger().as_ref(), view.id, view.seq).await?;
    Ok(Some(reader.feed()))
}

impl LineReaders {
    fn lock(&self) -> MutexGuard<'_, HashMap<SaleId, Arc<tokio::sync::Mutex<LineReader>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
