//! A part of the cluster's crowd, as a process of its own, because one process may not open files enough for all: signed-in clients of
//! one instance, each a buyer who joins the line of one sale over its socket and stays there. It measures no time.

use super::client::{COMING, connect, frame, send};
use anyhow::Context;
use server::commands::open_files;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

/// The first argument of such a process.
pub const ARGUMENT: &str = "crowd";

/// From opening the connection to being in line.
const ENTER_TIMEOUT: Duration = Duration::from_secs(60);
/// Clients that did not come to the line and whose reason is printed.
const REASONS_MAX: usize = 3;

/// A command on the process's standard input: updates are counted from now on.
const WATCH: &str = "watch";

/// Whose clients a process has: of the tokens in a file, each `step`th after the first ones.
pub struct CrowdPart<'a> {
    pub url: &'a str,
    pub sale: &'a str,
    pub tokens: &'a Path,
    pub first: usize,
    pub step: usize,
    /// Tokens of the file that are clients of the whole crowd.
    pub clients: usize,
}

/// Such a process; it ends when this is dropped.
pub struct CrowdProcess {
    child: Child,
    commands: ChildStdin,
    reports: BufReader<ChildStdout>,
}

/// How many clients came to the line, and how many did not.
#[derive(Clone, Copy, Default)]
pub struct EntryCounts {
    pub entered: usize,
    pub refused: usize,
}

/// What became of the clients that were in line.
#[derive(Clone, Copy, Default)]
pub struct WatchCounts {
    /// Their connection ended.
    pub dropped: usize,
    /// They are connected, and received no update of the sale while it was counted.
    pub silent: usize,
    /// Updates of the sale that all received.
    pub updates: u64,
}

impl CrowdProcess {
    pub fn start(part: &CrowdPart<'_>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([ARGUMENT, part.url, part.sale]).arg(part.tokens);
        command.args([part.first, part.step, part.clients].map(|number| number.to_string()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = child.stdin.take().context("no standard input")?;
        let reports = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, commands, reports })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until each client is in line or was refused.
    pub fn wait_until_entered(&mut self) -> anyhow::Result<EntryCounts> {
        let [entered, refused] = self.read_report()?;
        Ok(EntryCounts { entered: usize::try_from(entered)?, refused: usize::try_from(refused)? })
    }

    /// Starts to count updates.
    pub fn watch(&mut self) -> anyhow::Result<()> {
        Ok(writeln!(self.commands, "{WATCH}")?)
    }

    /// What was counted since then. The clients leave.
    pub fn count(mut self) -> anyhow::Result<WatchCounts> {
        writeln!(self.commands, "count")?;
        let [dropped, silent, updates] = self.read_report()?;
        Ok(WatchCounts { dropped: usize::try_from(dropped)?, silent: usize::try_from(silent)?, updates })
    }

    fn read_report<const N: usize>(&mut self) -> anyhow::Result<[u64; N]> {
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        numbers.try_into().map_err(|_other| anyhow::anyhow!("a crowd's process ended or reported {line:?}"))
    }
}

impl Drop for CrowdProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all clients of a process share.
struct CrowdState {
    dropped: AtomicUsize,
    updates: AtomicU64,
    /// By client: whether it received an update since the count began.
    has_update: Vec<AtomicBool>,
    /// By client: whether it is in line and connected.
    is_connected: Vec<AtomicBool>,
}

/// Runs the clients, with the arguments that [`CrowdProcess::start`] gives.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let [url, sale, tokens, first, step, clients] = args else {
        anyhow::bail!("{ARGUMENT} URL SALE TOKENS FIRST STEP CLIENTS")
    };
    open_files::raise_to_maximum();
    let server: SocketAddr = url.trim_start_matches("http://").parse()?;
    let text = std::fs::read_to_string(tokens)?;
    let own = text.lines().take(clients.parse()?).skip(first.parse()?).step_by(step.parse()?);
    let connects: Vec<String> = own.map(|token| format!(r#"40{{"token":"{token}"}}"#)).collect();
    let join = format!(r#"420["queue:join",{{"flashSaleId":"{sale}"}}]"#);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run_clients(server, connects, join))
}

async fn run_clients(server: SocketAddr, connects: Vec<String>, join: String) -> anyhow::Result<()> {
    let count = connects.len();
    let flags = || (0..count).map(|_| AtomicBool::new(false)).collect();
    let state = Arc::new(CrowdState {
        dropped: AtomicUsize::new(0),
        updates: AtomicU64::new(0),
        has_update: flags(),
        is_connected: flags(),
    });
    let (entries_tx, mut entries) = mpsc::unbounded_channel();
    let join: Arc<str> = join.into();
    let coming = Arc::new(Semaphore::new(COMING));
    for (n, connect) in connects.into_iter().enumerate() {
        let permit = Arc::clone(&coming).acquire_owned().await?;
        let (state, entries_tx, join) = (Arc::clone(&state), entries_tx.clone(), Arc::clone(&join));
        tokio::spawn(async move {
            let entering = tokio::time::timeout(ENTER_TIMEOUT, enter_line(server, n, &connect, &join)).await;
            drop((permit, connect, join));
            match entering.unwrap_or_else(|late| Err(late.into())) {
                Ok((stream, buffer)) => {
                    state.is_connected[n].store(true, Ordering::Relaxed);
                    let _sent = entries_tx.send(Ok(()));
                    drop(entries_tx);
                    let _ended = watch_line(stream, buffer, n, &state).await;
                    state.is_connected[n].store(false, Ordering::Relaxed);
                    state.dropped.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    let _sent = entries_tx.send(Err(error));
                }
            }
        });
    }
    drop(entries_tx);
    let mut refused = 0;
    while let Some(entry) = entries.recv().await {
        if let Err(error) = entry {
            refused += 1;
            if refused <= REASONS_MAX {
                eprintln!("a client did not come to the line: {error:#}");
            }
        }
    }
    print_report(&[(count - refused) as u64, refused as u64])?;
    follow_commands(&state).await
}

/// Obeys the commands of the process that started this one, until its count or its end.
async fn follow_commands(state: &CrowdState) -> anyhow::Result<()> {
    let (commands_tx, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines();
        lines.map_while(Result::ok).try_for_each(|line| commands_tx.send(line))
    });
    while let Some(command) = commands.recv().await {
        if command == WATCH {
            state.has_update.iter().for_each(|flag| flag.store(false, Ordering::Relaxed));
            state.updates.store(0, Ordering::Relaxed);
            continue;
        }
        let clients = state.is_connected.iter().zip(&state.has_update);
        let silent = clients.filter(|(is_connected, has_update)| {
            is_connected.load(Ordering::Relaxed) && !has_update.load(Ordering::Relaxed)
        });
        let dropped = state.dropped.load(Ordering::Relaxed) as u64;
        return print_report(&[dropped, silent.count() as u64, state.updates.load(Ordering::Relaxed)]);
    }
    Ok(())
}

fn print_report(numbers: &[u64]) -> anyhow::Result<()> {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let mut output = std::io::stdout();
    writeln!(output, "{}", words.join(" "))?;
    Ok(output.flush()?)
}

/// Connects as a buyer, joins the line, and returns once the reply says that the buyer has a ticket.
async fn enter_line(
    server: SocketAddr,
    n: usize,
    connect_packet: &str,
    join: &str,
) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let mut stream = connect(server, n).await?;
    // Grows to the longest message, some 600 bytes.
    let mut buffer = Vec::with_capacity(512);
    loop {
        while let Some((from, to)) = frame(&buffer) {
            let message = &buffer[from..to];
            if message.starts_with(b"0") {
                send(&mut stream, connect_packet).await?;
            } else if message.starts_with(b"40") {
                send(&mut stream, join).await?;
            } else if message == b"2" {
                send(&mut stream, "3").await?;
            } else if message.starts_with(b"430[") {
                let text = String::from_utf8_lossy(message).into_owned();
                anyhow::ensure!(text.contains("\"ticket\":"), "joining was answered with {text}");
                buffer.drain(..to);
                return Ok((stream, buffer));
            } else if message.starts_with(b"44") || message.starts_with(b"41") {
                anyhow::bail!("connecting was answered with {}", String::from_utf8_lossy(message));
            }
            buffer.drain(..to);
        }
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server closed the connection");
    }
}

/// Answers pings and notes updates until the connection or the session ends.
async fn watch_line(
    mut stream: TcpStream,
    mut buffer: Vec<u8>,
    n: usize,
    state: &CrowdState,
) -> anyhow::Result<()> {
    loop {
        while let Some((from, to)) = frame(&buffer) {
            let message = &buffer[from..to];
            if message == b"2" {
                send(&mut stream, "3").await?;
            } else if message.starts_with(b"42[\"inventory:update\"") {
                state.has_update[n].store(true, Ordering::Relaxed);
                state.updates.fetch_add(1, Ordering::Relaxed);
            } else if message.starts_with(b"41") {
                return Ok(());
            }
            buffer.drain(..to);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}
