//! `import products`: a row becomes a product, known again by its id, its SKU or its name.

use super::csv_rows::{CsvRow, CsvRows, KnownColumns};
use super::{BATCH_LEN, ImportArgs, ImportCounts, RowRefusal};
use crate::commands::CommandError;
use crate::shop::catalogue_text::{
    CatalogueTextError, Category, ImageUrl, check_price, parse_currency, parse_decimal,
};
use crate::shop::products::{ImportKey, ImportedProduct, ProductDraft, import_products};
use anyhow::Context;
use clap::Args;
use sale::{Currency, Money, Timestamp};
use uuid::Uuid;

/// Imports products.
#[derive(Debug, Args)]
pub struct ImportProducts {
    #[command(flatten)]
    import: ImportArgs,
    /// Currency of the prices, where the file has no column currency.
    #[arg(long, env = "DOORBUSTER_CURRENCY", default_value = "USD", value_name = "CODE")]
    currency: String,
}

const COLUMNS: KnownColumns = KnownColumns {
    names: &[
        ("id", "id"),
        ("sku", "sku"),
        ("name", "name"),
        ("description", "description"),
        ("baseprice", "base_price"),
        ("priceminor", "price_minor"),
        ("price", "price"),
        ("currency", "currency"),
        ("category", "category"),
        ("imageurl", "image_url"),
        ("image", "image_url"),
    ],
    required: &["name"],
};

pub(super) async fn run(command: &ImportProducts, now: Timestamp) -> Result<ImportCounts, CommandError> {
    let currency = parse_currency(&command.currency)
        .map_err(|error| CommandError::Usage(format!("--currency: must be {error}")))?;
    let mut rows = command.import.open_rows(COLUMNS)?;
    check_price_columns(&rows)?;
    let tables = command.import.open_tables().await?;
    let mut counts = ImportCounts::default();
    loop {
        let (line, products) = read_batch(&mut rows, currency, &mut counts)?;
        if products.is_empty() {
            break;
        }
        let are_new = import_products(&tables.store, products, now).await.with_context(|| {
            format!("the tables do not take the rows from line {line} on; the rows before are imported; run the command again")
        })?;
        for is_new in are_new {
            *(if is_new { &mut counts.imported } else { &mut counts.known }) += 1;
        }
    }
    tables.store.close().await;
    Ok(counts)
}

/// Refuses a price that may be in whole units or in minor ones, and two prices.
fn check_price_columns(rows: &CsvRows) -> Result<(), CommandError> {
    if rows.has_column("price") {
        let sentence = "--csv: name the column price base_price where it has whole units (49.99), or price_minor where it has minor \
                        ones (4999)";
        return Err(CommandError::Usage(sentence.to_owned()));
    }
    if rows.has_column("base_price") && rows.has_column("price_minor") {
        let sentence = "--csv: its first line has base_price and price_minor; leave one of them out";
        return Err(CommandError::Usage(sentence.to_owned()));
    }
    Ok(())
}

/// The next products, and the line of the first; none at the end of the file.
fn read_batch(
    rows: &mut CsvRows,
    currency: Currency,
    counts: &mut ImportCounts,
) -> Result<(u64, Vec<ImportedProduct>), CommandError> {
    let (mut first_line, mut products) = (0, Vec::new());
    while products.len() < BATCH_LEN {
        let row = rows.next_row().map_err(|reason| CommandError::Usage(format!("--csv: {reason}")))?;
        let Some(row) = row else { break };
        match read_product(&row, currency) {
            Ok(product) => {
                if products.is_empty() {
                    first_line = row.line;
                }
                products.push(product);
            }
            Err(RowRefusal(reason)) => counts.refuse(row.line, &reason),
        }
    }
    Ok((first_line, products))
}

fn read_product(row: &CsvRow<'_>, currency: Currency) -> Result<ImportedProduct, RowRefusal> {
    row.check_len().map_err(RowRefusal)?;
    let name = row.require("name").map_err(RowRefusal)?;
    let draft = ProductDraft {
        name: parse_text("name", name)?,
        description: parse_text("description", find(row, "description")?.unwrap_or_default())?,
        price: read_price(row, currency)?,
        category: find(row, "category")?.map(|text| parse_text::<Category>("category", text)).transpose()?,
        image_url: find(row, "image_url")?
            .map(|text| parse_text::<ImageUrl>("image_url", text))
            .transpose()?,
    };
    let key = match (find(row, "id")?, find(row, "sku")?) {
        (Some(id), _) => {
            Uuid::try_parse(id).map_or_else(|_| ImportKey::ForeignId(id.to_owned()), ImportKey::Id)
        }
        (None, Some(sku)) => ImportKey::Sku(sku.to_owned()),
        (None, None) => ImportKey::Name(name.to_owned()),
    };
    Ok(ImportedProduct { key, draft })
}

/// The price of a row; 0 where the file has none.
fn read_price(row: &CsvRow<'_>, currency: Currency) -> Result<Money, RowRefusal> {
    let currency = match find(row, "currency")? {
        Some(code) => {
            parse_currency(code).map_err(|error| RowRefusal(format!("currency: must be {error}")))?
        }
        None => currency,
    };
    let (column, price) = match (find(row, "base_price")?, find(row, "price_minor")?) {
        (Some(text), _) => {
            let reason = || RowRefusal(format!("base_price: must be an amount of {currency} such as 49.99"));
            ("base_price", parse_decimal(text, currency).ok_or_else(reason)?)
        }
        (None, Some(text)) => {
            let reason = |_| RowRefusal("price_minor: must be a whole number of minor units".to_owned());
            ("price_minor", Money { minor: text.parse().map_err(reason)?, currency })
        }
        (None, None) if row.has_column("base_price") || row.has_column("price_minor") => {
            return Err(RowRefusal("its price is empty".to_owned()));
        }
        (None, None) => ("price", Money { minor: 0, currency }),
    };
    check_price(price.minor).map_err(|error| RowRefusal(format!("{column}: must be {error}")))?;
    Ok(price)
}

fn find<'a>(row: &'a CsvRow<'_>, column: &'static str) -> Result<Option<&'a str>, RowRefusal> {
    row.find(column).map_err(RowRefusal)
}

fn parse_text<T: TryFrom<String, Error = CatalogueTextError>>(
    column: &'static str,
    text: &str,
) -> Result<T, RowRefusal> {
    T::try_from(text.to_owned()).map_err(|error| RowRefusal(format!("{column}: must be {error}")))
}
