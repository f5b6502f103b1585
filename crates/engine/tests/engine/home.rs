//! Where a ledger lies: a folder, or a database of a PostgreSQL that the tests share. What is tested on one is tested on all.

use engine::clock::Clock;
use engine::pipeline::Limits;
use engine::record::postgres::{self, Address, PostgresReader, PostgresRecorder};
use engine::record::sqlite::{SqliteReader, SqliteRecorder};
use engine::record::{Batch, Read, Record, RecordError};
use engine::{Embedded, StartError, start_embedded, start_on_postgres};
use own_servers::postgres::Postgres;
use sale::Timestamp;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

/// Runs each of these functions as a test of its own on every ledger.
macro_rules! on_every_ledger {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::home::Home::folder()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::home::Home::database().await).await;
            })+
        }
    };
}
pub(crate) use on_every_ledger;

/// A place for one ledger.
pub enum Home {
    Folder(TempDir),
    Database(Box<Address>),
}

impl Home {
    pub fn folder() -> Self {
        Self::Folder(tempdir().unwrap())
    }

    pub async fn database() -> Self {
        Self::at(&Postgres::shared().database()).await
    }

    /// A ledger in this database.
    pub async fn at(url: &str) -> Self {
        let address = Address::parse(url).unwrap();
        postgres::make(&address).await.unwrap();
        Self::Database(Box::new(address))
    }

    /// Starts an engine.
    pub fn start<C: Clock>(&self, clock: impl FnOnce(Timestamp) -> Arc<C>) -> Embedded {
        self.try_start(Limits::default(), clock).unwrap()
    }

    pub fn try_start<C: Clock>(
        &self,
        limits: Limits,
        clock: impl FnOnce(Timestamp) -> Arc<C>,
    ) -> Result<Embedded, StartError> {
        match self {
            Self::Folder(folder) => start_embedded(folder.path(), limits, |at| clock(at)),
            Self::Database(address) => start_on_postgres(address, limits, |at| clock(at)),
        }
    }

    /// The one who writes.
    pub async fn recorder(&self) -> Recorder {
        match self {
            Self::Folder(folder) => Recorder::Sqlite(Box::new(SqliteRecorder::open(folder.path()).unwrap())),
            Self::Database(address) => {
                let reader = PostgresReader::open(address).await.unwrap();
                let recorder = PostgresRecorder::claim(address, &reader).await.unwrap();
                Recorder::Postgres { recorder: Box::new(recorder), _reader: reader }
            }
        }
    }

    /// One who reads.
    pub async fn reader(&self) -> Box<dyn Read> {
        match self {
            Self::Folder(folder) => Box::new(SqliteReader::open(folder.path()).unwrap()),
            Self::Database(address) => Box::new(PostgresReader::open(address).await.unwrap()),
        }
    }
}

/// Any recorder; that of PostgreSQL with the reader that it looks through for who has the ledger.
pub enum Recorder {
    Sqlite(Box<SqliteRecorder>),
    Postgres { recorder: Box<PostgresRecorder>, _reader: PostgresReader },
}

impl Recorder {
    pub async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        match self {
            Self::Sqlite(recorder) => recorder.append(batch).await,
            Self::Postgres { recorder, .. } => recorder.append(batch).await,
        }
    }

    pub async fn probe(&mut self) -> Result<(), RecordError> {
        match self {
            Self::Sqlite(recorder) => recorder.probe().await,
            Self::Postgres { recorder, .. } => recorder.probe().await,
        }
    }
}
