//! `followers`: how far each shared follower of the ledger has come, and setting one back. It may run beside running instances:
//! it only reads and moves offsets.

use super::database::{DatabaseUrl, refuse_unfinished_move};
use super::{CommandError, print_line, runtime};
use crate::shop::followers::{
    self, FollowerFailure, FollowerStatus, RewindRefusal, RewindRequest, RewoundFollower,
};
use crate::store::{self, Store};
use anyhow::Context;
use clap::{Args, Subcommand};
use engine::record::sqlite::SqliteReader;
use engine::record::{LedgerReader, ReadError};
use sale::{EventSeq, SaleId, Timestamp};
use std::path::{Path, PathBuf};

/// Shows and rewinds the followers of the ledger.
#[derive(Debug, Subcommand)]
pub enum FollowersCommand {
    /// Shows how far each follower has come in each sale.
    List(FollowersPlace),
    /// Lets a follower go through a sale's events again. The projector drops the sale's rows and writes all of them again, webhooks and mail write
    /// the deliveries and mails that are missing, and Kafka is sent the events again.
    Rewind(RewindArgs),
}

/// Where the ledger and the tables are.
#[derive(Debug, Args)]
pub struct FollowersPlace {
    /// The data folder of a running or stopped instance.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of a running or stopped instance, instead of the folder.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
}

/// The follower to rewind, and its new offset.
#[derive(Debug, Args)]
pub struct RewindArgs {
    /// The follower's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// The sale's id.
    #[arg(long, env = "DOORBUSTER_SALE", value_name = "ID", value_parser = parse_sale_id)]
    sale: SaleId,
    /// The event after which it continues; 0 for all events.
    #[arg(long, env = "DOORBUSTER_SEQ", value_name = "NUMBER")]
    seq: u64,
    #[command(flatten)]
    place: FollowersPlace,
}

fn parse_sale_id(text: &str) -> Result<SaleId, &'static str> {
    text.parse().map_err(|_| "write the sale's id, a UUID, as `doorbuster followers list` shows it")
}

/// Runs the command.
///
/// # Errors
/// Usage when a flag is wrong or names something unknown, failure when the ledger or the tables cannot be read or written.
pub fn run(command: FollowersCommand) -> Result<(), CommandError> {
    runtime()?.block_on(async {
        match command {
            FollowersCommand::List(place) => {
                let (store, ledger) = place.open().await?;
                let heads = followers::read_heads(&*ledger).await.map_err(anyhow::Error::from)?;
                let statuses = followers::list(&store, &heads).await.map_err(anyhow::Error::from)?;
                store.close().await;
                print_line(&render_list(&statuses));
            }
            FollowersCommand::Rewind(RewindArgs { name, sale, seq, place }) => {
                let (store, ledger) = place.open().await?;
                let request = RewindRequest { name, sale, seq: EventSeq(seq) };
                let rewound = followers::rewind(&store, &*ledger, &request).await;
                store.close().await;
                match rewound.map_err(anyhow::Error::from)? {
                    Ok(rewound) => print_line(&describe_rewound(&request, rewound)),
                    Err(refusal) => return Err(refusal_error(&request, refusal)),
                }
            }
        }
        Ok(())
    })
}

impl FollowersPlace {
    async fn open(&self) -> Result<(Store, Box<dyn LedgerReader>), CommandError> {
        let (store, ledger): (Store, Box<dyn LedgerReader>) = match &self.database {
            Some(database) => {
                let ledger = database.open_ledger().await?;
                (database.open_tables_without_timeout().await?, Box::new(ledger))
            }
            None => {
                let ledger = open_folder_ledger(&self.data)?;
                if !self.data.join(store::DATABASE_FILE).exists() {
                    let sentence = "--data: the folder has no tables: start an instance on it first";
                    return Err(CommandError::Usage(sentence.to_owned()));
                }
                let store = Store::open(&self.data).await.context("the tables cannot be opened")?;
                (store, Box::new(ledger))
            }
        };
        if !store.is_current().await.map_err(anyhow::Error::from)? {
            let sentence = "the tables are not those of this version, run `doorbuster migrate` first";
            return Err(anyhow::anyhow!(sentence).into());
        }
        refuse_unfinished_move(&store).await?;
        Ok((store, ledger))
    }
}

fn open_folder_ledger(folder: &Path) -> Result<SqliteReader, CommandError> {
    SqliteReader::open(folder).map_err(|error| match error {
        ReadError::Missing { .. } | ReadError::Foreign { .. } => {
            CommandError::Usage(format!("--data: {error}: name the data folder of an instance"))
        }
        error => CommandError::Failed(error.into()),
    })
}

fn render_list(statuses: &[FollowerStatus]) -> String {
    let name_len = statuses.iter().map(|status| status.name.len()).max().unwrap_or_default().max(8);
    let mut lines = vec![format!(
        "{:name_len$}  {:36}  {:>12}  {:>12}  {:>12}",
        "FOLLOWER", "SALE", "DELIVERED", "LAST EVENT", "BEHIND"
    )];
    for status in statuses {
        for sale in &status.sales {
            let (id, behind) = (sale.sale.to_string(), sale.count_behind());
            let (name, delivered, last) = (&status.name, sale.delivered.0, sale.last.0);
            lines.push(format!("{name:name_len$}  {id:36}  {delivered:>12}  {last:>12}  {behind:>12}"));
        }
    }
    for status in statuses {
        if let Some(failure) = status.failure.as_ref().filter(|failure| failure.ended_at.is_none()) {
            let FollowerFailure { began_at, reason, .. } = failure;
            lines.push(format!("{} has failed since {}: {reason}", status.name, format_moment(*began_at)));
        }
    }
    lines.join("\n")
}

fn format_moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

fn describe_rewound(request: &RewindRequest, rewound: RewoundFollower) -> String {
    let RewindRequest { name, sale, seq } = request;
    let unused = if rewound.seq == *seq {
        String::new()
    } else {
        format!("--seq {seq} was not used: the {name} cannot go back to the middle of a sale. ")
    };
    let how = match name.as_str() {
        _ if rewound.rewrites_sale => "It drops the sale's rows and writes all of them again.",
        "webhooks" => {
            "It writes the deliveries that endpoints do not have, also of events older than 30 days, which they get again then. To send one again that \
             is there, use the page Webhooks or \
             `POST /api/v1/admin/webhooks/{id}/deliveries/{deliveryId}/resend`."
        }
        "mail" => "It writes the mails that are missing, and sends none twice.",
        _ => "It sends the events after that again, with the same ids.",
    };
    format!(
        "{unused}The {name} continues after event {} of sale {sale}. {how} A running instance begins within a second, a stopped one at \
         its next start.",
        rewound.seq
    )
}

fn refusal_error(request: &RewindRequest, refusal: RewindRefusal) -> CommandError {
    let name = &request.name;
    CommandError::Usage(match refusal {
        RewindRefusal::FollowerUnknown => {
            format!("NAME: there is no follower {name}, `doorbuster followers list` shows all")
        }
        RewindRefusal::SaleUnknown => {
            format!("--sale: the follower {name} has delivered nothing of sale {}", request.sale)
        }
        RewindRefusal::NotThere(seq) => {
            format!("--seq: the follower {name} is at event {seq}; it can only go back")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rewind_does_is_said_of_each_follower() {
        let sale = SaleId(uuid::Uuid::from_u128(7));
        for (name, words) in [
            ("projector", "writes all of them again"),
            ("webhooks", "writes the deliveries that endpoints do not have"),
            ("mail", "sends none twice"),
            ("kafka", "sends the events after that again"),
            ("kafka_attempts", "sends the events after that again"),
        ] {
            let request = RewindRequest { name: name.to_owned(), sale, seq: EventSeq(0) };
            let rewound = RewoundFollower { seq: EventSeq(0), rewrites_sale: name == "projector" };
            let sentence = describe_rewound(&request, rewound);
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
