//! `serve`: runs an instance, prints its addresses, and lets it finish when a signal stops it.

use super::instance::ServerInstance;
use super::settings::Serve;
use super::{CommandError, open_files, print_line, runtime};
use engine::clock::Clock;
use engine::{ClockOffset, ClockSkew};
use rustix::process::Signal;
use sale::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command.
///
/// # Errors
/// Usage when a setting is wrong, failure when something cannot start.
pub fn run(
    settings: Serve,
    clock_offset: ClockOffset,
    clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
) -> Result<(), CommandError> {
    open_files::raise_limit(settings.connections_max);
    if settings.rehearsal_clock.is_some() {
        exit_with_stdin();
    }
    let grace = settings.drain_grace;
    runtime()?.block_on(run_until_stopped(grace, async {
        let instance = ServerInstance::start(settings, clock_offset, clock).await?;
        print_line(&welcome_text(&instance));
        Ok(instance)
    }))
}

/// Runs an instance until a signal stops it, and lets it finish.
pub(super) async fn run_until_stopped(
    grace: Duration,
    starting: impl Future<Output = Result<ServerInstance, CommandError>>,
) -> Result<(), CommandError> {
    let mut stop = StopSignals::new().map_err(anyhow::Error::from)?;
    // With a handler, a file that may not grow (ulimit -f) fails one write, as a full disk does, and does not kill the process.
    let _caught = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map_err(anyhow::Error::from)?;
    let instance = starting.await?;
    let engine = instance.app.shop.engine.clone();
    tokio::select! {
        () = stop.wait() => tracing::info!("received a stop signal; requests in flight are finished"),
        () = engine.wait_until_ended() => {
            instance.stop().await;
            return Err(anyhow::anyhow!("the engine has broken down; what it had answered is in the ledger, start again").into());
        }
    }
    instance.app.ready.set(false);
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = stop.wait() => tracing::info!("received a second stop signal; the grace time for load balancers is cut short"),
    }
    instance.stop().await;
    Ok(())
}

/// Ends the process when standard input ends, so that a killed rehearsal leaves no instance behind.
fn exit_with_stdin() {
    std::thread::spawn(|| {
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(1);
    });
}

/// What is printed after a start.
fn welcome_text(instance: &ServerInstance) -> String {
    let address = instance.address;
    let mut lines = vec![
        format!("Doorbuster listens on http://{address} (try it at http://{address}/docs/)."),
        format!("Metrics are at http://{}/metrics.", instance.metrics_address),
    ];
    lines.extend(instance.first_admin.as_ref().map(ToString::to_string));
    lines.extend(instance.demo.as_ref().map(ToString::to_string));
    lines.join("\n")
}

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
