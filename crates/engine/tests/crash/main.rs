//! Real processes on real files: killed with `kill -9` under load, given a full disk, refused a folder that is in use.
//! This program starts itself again as the process that suffers.
//!
//! `DOORBUSTER_SEED=n` repeats the moments of the kills (as far as the machine does), `DOORBUSTER_KILLS=n` sets how many.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test program, which reports as one")]

mod kill;
mod load;
mod squeeze;

use engine::clock::SystemClock;
use engine::pipeline::PipelineLimits;
use engine::{RunningEngine, StartError, start_on_sqlite};
use std::path::Path;
use std::process::Command;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [_, "child", "serve", folder, life] => load::serve(Path::new(folder), life.parse().unwrap()),
        [_, "child", "squeeze", folder, how] => squeeze::run_on_full_disk(Path::new(folder), how),
        [_, "child", "start", folder] => {
            if let Err(error) = start(Path::new(folder)) {
                println!("{error}");
            }
        }
        // What `cargo test` says to every test program.
        [_, "--list", ..] => println!("crash: test"),
        _ => {
            run_named("a_second_process_is_refused_by_name", a_second_process_is_refused_by_name);
            run_named(
                "a_full_disk_is_reported_and_recording_resumes",
                squeeze::a_full_disk_is_reported_and_recording_resumes,
            );
            run_named("what_was_answered_survives_kill_9", kill::what_was_answered_survives_kill_9);
        }
    }
}

fn run_named(name: &str, test: fn()) {
    println!("test {name} ...");
    test();
    println!("test {name} ... ok");
}

fn start(folder: &Path) -> Result<RunningEngine, StartError> {
    start_on_sqlite(folder, PipelineLimits::default(), |at| SystemClock::start(at))
}

/// This program again, as a child.
fn child(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("child").args(arguments);
    command
}

fn a_second_process_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let first = start(folder.path()).unwrap();
    let second = child(&["start", path]).output().unwrap();
    let sentence = String::from_utf8(second.stdout).unwrap();
    let expected =
        format!("the data folder {path} is in use by another doorbuster (process {})", std::process::id());
    assert!(sentence.starts_with(&expected), "{sentence}");
    first.stop();
    let third = child(&["start", path]).output().unwrap();
    assert!(third.status.success() && third.stdout.is_empty());
}
