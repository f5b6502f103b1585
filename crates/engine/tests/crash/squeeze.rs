//! A disk that fills up and is freed again: by a limit on file sizes, which anyone may set, and, where the machine lets us
//! mount one, on a small file system.

use crate::start;
use engine::{EngineError, RunningEngine};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, EventSeq, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use test_servers::wait::HANG_LIMIT;
use uuid::Uuid;

const SALE: SaleId = SaleId(Uuid::from_u128(1));

pub fn a_full_disk_is_reported_and_recording_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let own = std::env::current_exe().unwrap();
    let run = |script: &str, how: &str| {
        std::process::Command::new("sh")
            .args(["-c", script, own.to_str().unwrap(), "child", "squeeze", path, how])
            .status()
            .unwrap()
    };
    // The signal that comes with the limit would kill the process; an ignored one stays ignored.
    assert!(run("trap '' XFSZ; exec \"$0\" \"$@\"", "limit").success());

    let can_mount = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &format!("mount -t tmpfs none '{path}'")])
        .output()
        .is_ok_and(|output| output.status.success());
    if can_mount {
        let mount = "exec unshare -m sh -c 'mount -t tmpfs -o size=4m none \"$3\" && exec \"$0\" \"$@\"' \"$0\" \"$@\"";
        assert!(run(mount, "ballast").success());
    } else {
        println!("(a small file system may not be mounted here; the limit on file sizes has shown it)");
    }
}

/// How the disk is made full, and free again.
enum FullDisk {
    Limit { before: Rlimit },
    Ballast { file: PathBuf },
}

impl FullDisk {
    /// Leaves space for a few more records, so that one fails half-way.
    fn leave_some_space(&self, round: u64) {
        match self {
            Self::Limit { .. } => self.limit((round + 1) * 700_000),
            Self::Ballast { file } => {
                let block = vec![1; 16 << 10];
                let mut ballast = fs::File::create(file).unwrap();
                while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
            }
        }
    }

    /// Fills the disk. On a small file system the log keeps its size, and SQLite may write it again from the beginning.
    fn leave_no_space(&self) -> bool {
        match self {
            Self::Limit { .. } => {
                self.limit(4_096);
                true
            }
            Self::Ballast { .. } => false,
        }
    }

    fn limit(&self, bytes: u64) {
        if let Self::Limit { before } = self {
            setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum: before.maximum }).unwrap();
        }
    }

    fn free_space(&self) {
        match self {
            Self::Limit { before } => setrlimit(Resource::Fsize, *before).unwrap(),
            Self::Ballast { file } => fs::remove_file(file).unwrap(),
        }
    }
}

/// The child.
pub fn run_on_full_disk(folder: &Path, how: &str) {
    let disk = match how {
        "limit" => FullDisk::Limit { before: getrlimit(Resource::Fsize) },
        _ => FullDisk::Ballast { file: folder.join("ballast") },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let running = start(folder).unwrap();
    runtime.block_on(async {
        tokio::time::timeout(HANG_LIMIT, fill_and_free(&running, &disk)).await.expect("service resumes");
    });
    running.stop();
    start(folder).unwrap().stop();
}

async fn fill_and_free(running: &RunningEngine, disk: &FullDisk) {
    let engine = &running.engine;
    let policy = Box::new(Policy {
        quantity: 1_000_000,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at: engine.now(),
        ends_at: engine.now().plus_s(3_600),
        limit_per_buyer: 1_000_000,
        hold_s: 600,
        admission: AdmissionMode::Open,
    });
    engine.command(SALE, Command::Configure { policy }).await.unwrap();
    for round in 0..3_u64 {
        for no in 0..20 {
            engine.command(SALE, reserve(round, no)).await.unwrap();
        }
        disk.leave_some_space(round);
        let mut no = 20;
        while engine.command(SALE, reserve(round, no)).await.is_ok() {
            no += 1;
        }
        let shown = engine.views().get(SALE).unwrap();
        assert_eq!(shown.seq.0, 1 + u64::from(shown.counters.held));
        if disk.leave_no_space() {
            assert_eq!(engine.command(SALE, reserve(round, no)).await.err(), Some(EngineError::NotRecorded));
            while engine.is_recording() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(engine.command(SALE, reserve(round, no)).await.err(), Some(EngineError::NotRecorded));
        }

        disk.free_space();
        // The same request, until it is answered: it is one order.
        let answer = loop {
            match engine.command(SALE, reserve(round, no)).await {
                Ok(answer) => break answer,
                Err(EngineError::NotRecorded) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(matches!(answer.outcome, CommandOutcome::Order { .. }), "{:?}", answer.outcome);
        let entries = engine.ledger().read_entries(SALE, EventSeq(0), usize::MAX).await.unwrap();
        let mut state = SaleState::new();
        entries.iter().for_each(|entry| state.apply(entry));
        assert_eq!(state.counters(), engine.views().get(SALE).unwrap().counters);
        assert_eq!(u64::from(state.counters().held), entries.len() as u64 - 1);
    }
    assert!(engine.metrics().rebuilds.get() >= 3);
}

fn reserve(round: u64, no: u64) -> Command {
    let request = Uuid::from_u64_pair(round, no);
    Command::Reserve {
        buyer: BuyerId(Uuid::from_u128(7)),
        order: OrderId(request),
        quantity: 1,
        key: Some(RequestKey(*request.as_bytes())),
    }
}
