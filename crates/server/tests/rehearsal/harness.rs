//! A whole shop in this process on an engine of one's choice, and a rehearsal that plays against it over HTTP.

use crate::faults::EngineFault;
use crate::manual_engine::ManualEngine;
use engine::clock::{Clock, SystemClock};
use engine::decide::BatchDecider;
use engine::pipeline::PipelineLimits;
use engine::{RunningEngine, StartError};
use rehearsal::context::WatchMode;
use rehearsal::crowd::preset;
use rehearsal::merchant::AdminLogin;
use rehearsal::report::RehearsalReport;
use rehearsal::run::{FaultPlan, RehearsalSetup, TargetInstance as Target, TokenSource, run_rehearsal};
use sale::{BuyerId, Timestamp};
use server::auth::Role;
use server::auth::tokens::{self, AccessTokens as Signer};
use server::commands::instance::{ServerInstance, TOKEN_KEY_FILE};
use server::commands::settings::Serve;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

const EMAIL: &str = "boss@example.com";
const PASSWORD: &str = "correct horse battery";
/// Connections of the crowd: one for each.
const CONNECTIONS: usize = 200;
/// Longer than any test.
const TOKEN_TTL_S: u32 = 3_600;

/// A drop that is played.
pub struct PlayedRehearsal;

impl PlayedRehearsal {
    /// Against the engine as it is delivered.
    pub async fn whole(drop: &preset::DropPlan) -> RehearsalReport {
        let limits = PipelineLimits::default();
        Self::on(drop, |folder| engine::start_on_sqlite(folder, limits, clock)).await
    }

    /// Against an engine with this fault.
    pub async fn with(fault: impl EngineFault, drop: &preset::DropPlan) -> RehearsalReport {
        let decider = |memory: engine::decide::memory::MemoryDecider| {
            assert!(memory.views().is_empty(), "a new folder has no sales");
            ManualEngine::new(fault)
        };
        let start = |folder: &Path| {
            engine::start_on_sqlite_with(folder, PipelineLimits::default(), clock, decider, |recorder| {
                recorder
            })
        };
        Self::on(drop, start).await
    }

    async fn on(
        drop: &preset::DropPlan,
        start: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> RehearsalReport {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let flags = [
            "--listen=127.0.0.1:0",
            "--metrics-listen=127.0.0.1:0",
            "--limits=off",
            "--password-threads=1",
            "--drain-grace=1ms",
            "--admin-email",
            EMAIL,
            "--admin-password",
            PASSWORD,
            "--data",
            data.to_str().unwrap(),
        ];
        let instance = ServerInstance::start_on(Serve::from_flags(flags).unwrap(), start).await.unwrap();
        let mut rehearsal = rehearsal_of(drop, &instance, &data);
        let (_cut, is_cut) = watch::channel(false);
        let report = run_rehearsal(&mut rehearsal, is_cut, &mut |_| {}).await.unwrap();
        instance.stop().await;
        report
    }
}

fn rehearsal_of(drop: &preset::DropPlan, instance: &ServerInstance, data: &Path) -> RehearsalSetup {
    let admin = AdminLogin { email: EMAIL.into(), password: PASSWORD.into() };
    let key = tokens::read_key(&data.join(TOKEN_KEY_FILE)).unwrap();
    let (signer, now) = (Signer::new(key, TOKEN_TTL_S, 1), instance.app.shop.engine.now());
    let sign = move |buyer: BuyerId| signer.issue(buyer, Role::Buyer, Uuid::new_v4(), now);
    RehearsalSetup {
        plan: drop.clone(),
        instance: Target::Running { url: format!("http://{}", instance.address), admin },
        dialect: None,
        tokens: TokenSource::Signed(Box::new(sign)),
        faults: FaultPlan::default(),
        evidence_store: None,
        collects_events: false,
        connections: CONNECTIONS,
        watch: WatchMode::Poll,
        sockets: 0,
        allow_live_sale: false,
        settings: vec![],
        command: String::new(),
        notes: vec![],
        program: String::new(),
    }
}

fn clock(not_before: Timestamp) -> Arc<dyn Clock> {
    SystemClock::start(not_before)
}

/// What a report says that matters to a test that fails.
pub fn describe(report: &RehearsalReport) -> String {
    let broken: Vec<_> =
        report.replies.iter().chain(&report.ledger).filter(|finding| finding.broken > 0).collect();
    format!(
        "{:?}\n{broken:#?}\noutcomes {:?}\nrefusals {:?}\n{:?}\nnotes {:?}",
        report.verdict, report.outcomes, report.refusals, report.requests, report.notes
    )
}
