//! Where a ledger lies: a folder, or a database of a PostgreSQL that the tests share. What is tested on one is tested on all.

use engine::batch::Batch;
use engine::clock::Clock;
use engine::pipeline::PipelineLimits;
use engine::record::postgres::{self, PostgresAddress, PostgresReader, PostgresRecorder};
use engine::record::sqlite::{SqliteReader, SqliteRecorder};
use engine::record::{LedgerReader, LedgerRecorder, RecordError};
use engine::{RunningEngine, StartError, start_on_postgres, start_on_sqlite};
use sale::Timestamp;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};
use test_servers::postgres::PostgresServer;

/// Runs each of these functions as a test of its own on every ledger.
macro_rules! on_every_ledger {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::test_ledger::TestLedger::folder()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::test_ledger::TestLedger::database().await).await;
            })+
        }
    };
}
pub(crate) use on_every_ledger;

/// A place for one ledger.
pub enum TestLedger {
    Folder(TempDir),
    Database(Box<PostgresAddress>),
}

impl TestLedger {
    pub fn folder() -> Self {
        Self::Folder(tempdir().unwrap())
    }

    pub async fn database() -> Self {
        Self::at(&PostgresServer::shared().create_database()).await
    }

    /// A ledger in this database.
    pub async fn at(url: &str) -> Self {
        let address = PostgresAddress::parse(url).unwrap();
        postgres::create_tables(&address).await.unwrap();
        Self::Database(Box::new(address))
    }

    /// Starts an engine.
    pub fn start<C: Clock>(&self, clock: impl FnOnce(Timestamp) -> Arc<C>) -> RunningEngine {
        self.try_start(PipelineLimits::default(), clock).unwrap()
    }

    pub fn try_start<C: Clock>(
        &self,
        limits: PipelineLimits,
        clock: impl FnOnce(Timestamp) -> Arc<C>,
    ) -> Result<RunningEngine, StartError> {
        match self {
            Self::Folder(folder) => start_on_sqlite(folder.path(), limits, |at| clock(at)),
            Self::Database(address) => start_on_postgres(address, limits, |at| clock(at)),
        }
    }

    /// The one who writes.
    pub async fn recorder(&self) -> TestRecorder {
        match self {
            Self::Folder(folder) => {
                TestRecorder::Sqlite(Box::new(SqliteRecorder::open(folder.path()).unwrap()))
            }
            Self::Database(address) => {
                let reader = PostgresReader::open(address).await.unwrap();
                let recorder = PostgresRecorder::claim(address, &reader).await.unwrap();
                TestRecorder::Postgres { recorder: Box::new(recorder), _reader: reader }
            }
        }
    }

    /// One who reads.
    pub async fn reader(&self) -> Box<dyn LedgerReader> {
        match self {
            Self::Folder(folder) => Box::new(SqliteReader::open(folder.path()).unwrap()),
            Self::Database(address) => Box::new(PostgresReader::open(address).await.unwrap()),
        }
    }
}

/// Any recorder; that of PostgreSQL with the reader that it looks through for who has the ledger.
pub enum TestRecorder {
    Sqlite(Box<SqliteRecorder>),
    Postgres { recorder: Box<PostgresRecorder>, _reader: PostgresReader },
}

impl TestRecorder {
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
