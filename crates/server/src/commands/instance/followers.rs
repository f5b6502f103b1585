//! Starts the followers of an instance, with their metrics. A new follower gets its start function here; [`super`] calls it and stops
//! the thread.

#[cfg(feature = "kafka")]
use super::super::settings::KafkaArguments;
use super::super::settings::Serve;
use super::super::{CommandError, random_source};
#[cfg(feature = "kafka")]
use super::kafka;
use crate::followers::event_follower;
use crate::followers::event_receiver::EventReceiver;
use crate::followers::follower::{FollowerPace, LocalFollower};
use crate::followers::idempotency_warmup::{self, IdempotencyWarmup};
#[cfg(feature = "kafka")]
use crate::followers::kafka::KafkaSettings;
use crate::followers::live_updates::{self, LiveUpdates};
use crate::followers::local::{LocalDependencies, start_local};
use crate::followers::mail_receiver::MailReceiver;
use crate::followers::projector::{self, ProjectorDependencies, ProjectorMetrics, ProjectorSettings};
use crate::followers::rounds::FollowerThread;
use crate::followers::shared::SharedDependencies;
use crate::shop::Shop;
use crate::shop::attempts::AttemptsInbox;
use crate::shop::follower_lag::FollowerLag;
use crate::shop::follower_progress::FollowerProgress;
use crate::telemetry::followers::{FollowerMetricFamilies, FollowerMetrics};
use crate::telemetry::metrics::ServerMetrics;
use anyhow::Context;
use engine::Engine;
use engine::error_text::describe_error;
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits until the idempotency keys of earlier orders are read. A large ledger takes longer; it is read on
/// while the instance serves.
const WARMUP_TIMEOUT: Duration = Duration::from_millis(500);

/// A follower's progress, and where its lag is shown.
pub(super) struct LagMeter {
    pub(super) progress: FollowerProgress,
    pub(super) lag: FollowerLag,
    /// The receiver of events that it is; it delivers the steps of payments, too.
    pub(super) receiver: Option<&'static str>,
}

/// Starts followers, and keeps what is measured of each.
pub(super) struct FollowerStarter {
    engine: Engine,
    families: FollowerMetricFamilies,
    pub(super) meters: Vec<LagMeter>,
}

impl FollowerStarter {
    pub(super) fn new(engine: Engine, metrics: &ServerMetrics) -> Self {
        let families = FollowerMetricFamilies::default();
        families.register(metrics);
        Self { engine, families, meters: Vec::new() }
    }

    /// A starter for followers that begin later.
    pub(super) fn fork(&self) -> Self {
        Self { engine: self.engine.clone(), families: self.families.clone(), meters: Vec::new() }
    }

    /// The metrics of the follower with this name.
    pub(super) fn metrics(&self, name: &'static str) -> FollowerMetrics {
        self.families.for_follower(name)
    }

    fn start_local<F: LocalFollower>(
        &mut self,
        follower: F,
        pace: FollowerPace,
    ) -> Result<(FollowerThread, FollowerProgress), CommandError> {
        let metrics = self.metrics(F::NAME);
        let progress = FollowerProgress::default();
        let lag = FollowerLag::new(metrics.lag_events.clone(), metrics.lag_seconds.clone());
        self.meters.push(LagMeter { progress: progress.clone(), lag, receiver: None });
        let dependencies = LocalDependencies {
            engine: self.engine.clone(),
            progress: progress.clone(),
            metrics,
            random: random_source(),
        };
        let thread = start_local(follower, dependencies, pace)
            .with_context(|| format!("the follower {} cannot start", F::NAME))?;
        Ok((thread, progress))
    }
}

/// Starts the projector. The shop has its progress and its lag, because its queries need them.
pub(super) fn start_projector(
    starter: &mut FollowerStarter,
    shop: &Shop,
    inbox: AttemptsInbox,
    metrics: &ServerMetrics,
    may_write: bool,
) -> Result<FollowerThread, CommandError> {
    let follower_metrics = starter.metrics(projector::FOLLOWER_NAME);
    let own = ProjectorMetrics::default();
    metrics.register("projector_events", "Events written into the tables", own.events.clone());
    metrics.register(
        "projector_failures",
        "Times that the tables could not be written",
        follower_metrics.failed.clone(),
    );
    metrics.register("projector_rebuilds", "Sales whose tables were written anew", own.rebuilds.clone());
    metrics.register(
        "projector_lag_events",
        "Events that the tables do not show yet",
        shop.lag.events.clone(),
    );
    metrics.register(
        "projector_lag_seconds",
        "Time since the tables showed everything",
        shop.lag.seconds.clone(),
    );
    starter.meters.push(LagMeter { progress: shop.projected.clone(), lag: shop.lag.clone(), receiver: None });
    let dependencies = ProjectorDependencies {
        engine: shop.engine.clone(),
        store: shop.store.clone(),
        tenancy: shop.tenancy,
        progress: shop.projected.clone(),
        inbox,
        metrics: own,
        follower_metrics,
        random: random_source(),
    };
    let settings = ProjectorSettings { may_write, ..ProjectorSettings::default() };
    Ok(projector::start_projector(dependencies, settings).context("the projector cannot start")?)
}

/// Starts to read the idempotency keys of earlier orders, and waits a moment for it.
pub(super) async fn start_warmup(
    starter: &mut FollowerStarter,
    shop: &Shop,
) -> Result<FollowerThread, CommandError> {
    let warmup = IdempotencyWarmup::new(shop.engine.clone(), Arc::clone(&shop.keys), shop.tenancy);
    let (thread, progress) = starter.start_local(warmup, idempotency_warmup::PACE)?;
    progress.wait_for_all(shop.engine.views(), WARMUP_TIMEOUT).await;
    Ok(thread)
}

/// The receivers of events that are switched on.
pub(super) struct ReceiverSettings {
    #[cfg(feature = "kafka")]
    kafka: Option<(KafkaSettings, KafkaArguments)>,
}

impl ReceiverSettings {
    /// Reads them before anything is opened.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub(super) fn read(settings: &Serve) -> Result<Self, CommandError> {
        #[cfg(not(feature = "kafka"))]
        if let Some(flag) = settings.kafka.find_flag() {
            let sentence = format!(
                "{flag}: this program was built without Kafka; leave the flag out, or build with the cargo feature `kafka`"
            );
            return Err(CommandError::Usage(sentence));
        }
        Ok(Self {
            #[cfg(feature = "kafka")]
            kafka: kafka::read_settings(&settings.kafka)?.map(|kafka| (kafka, settings.kafka.clone())),
        })
    }
}

/// Starts the receivers of events that are switched on. Without one nothing runs. Called before the first request is served: the mails of a new
/// shop begin with its first event.
pub(super) async fn start_receivers(
    starter: &mut FollowerStarter,
    shop: &Shop,
    #[cfg_attr(not(feature = "kafka"), expect(unused_variables, reason = "it says nothing then"))]
    settings: ReceiverSettings,
    may_deliver: bool,
) -> Result<Vec<FollowerThread>, CommandError> {
    let mut receivers = Vec::new();
    #[cfg(feature = "kafka")]
    if let Some((kafka, arguments)) = settings.kafka {
        receivers.extend(kafka::start_receivers(starter, shop, kafka, &arguments, may_deliver)?);
    }
    if let Some(outbox) = &shop.accounts.mails {
        if may_deliver
            && let Err(error) = event_follower::begin::<MailReceiver>(&shop.store, &shop.engine).await
        {
            tracing::warn!(
                error = describe_error(&error),
                "it could not be written where the mails begin; they begin once the database takes it"
            );
        }
        let receiver = MailReceiver::new(outbox.clone(), Arc::clone(&shop.now), shop.engine.clone());
        receivers.push(start_receiver(starter, shop, receiver, may_deliver)?);
    }
    Ok(receivers)
}

/// Starts the follower of a receiver of events.
pub(super) fn start_receiver<R: EventReceiver>(
    starter: &mut FollowerStarter,
    shop: &Shop,
    receiver: R,
    may_deliver: bool,
) -> Result<FollowerThread, CommandError> {
    let metrics = starter.metrics(R::NAME);
    let progress = FollowerProgress::default();
    let lag = FollowerLag::new(metrics.lag_events.clone(), metrics.lag_seconds.clone());
    starter.meters.push(LagMeter { progress: progress.clone(), lag, receiver: Some(R::NAME) });
    let dependencies = SharedDependencies {
        engine: shop.engine.clone(),
        store: shop.store.clone(),
        tenancy: shop.tenancy,
        progress,
        metrics,
        random: random_source(),
    };
    let thread = event_follower::start_receiver(receiver, shop.events.clone(), dependencies, may_deliver)
        .with_context(|| format!("the receiver {} cannot start", R::NAME))?;
    Ok(thread)
}

pub(super) fn start_live_updates(
    starter: &mut FollowerStarter,
    follower: LiveUpdates,
) -> Result<FollowerThread, CommandError> {
    Ok(starter.start_local(follower, live_updates::PACE)?.0)
}
