//! Every tape in `tapes/` passes, and together they show every refusal and every event.

use sale::{CommandOutcome, Event, LedgerAuditor, Refusal, SaleState, Tape};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn tapes() -> Vec<(PathBuf, Tape)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tapes");
    let files = std::fs::read_dir(&folder).expect("the folder of tapes can be listed");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a tape can be listed").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "tape"));
    files.sort();
    assert!(!files.is_empty(), "no tapes in {}", folder.display());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a tape can be read");
        let tape = Tape::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, tape)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_tape_comes_out_as_it_says() {
    let run = |(path, tape): (PathBuf, Tape)| {
        let error = tape.run(&mut SaleState::new()).err()?;
        Some(format!("{}:{}\n{error}\n", path.display(), error.line()))
    };
    let failures: Vec<String> = tapes().into_iter().filter_map(run).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_tape_keeps_every_promise() {
    for (path, tape) in tapes() {
        let (mut state, mut auditor, mut entries) = (SaleState::new(), LedgerAuditor::new(), Vec::new());
        for (at, command) in tape.commands() {
            state.step(at, command, &mut entries);
        }
        entries.iter().for_each(|entry| auditor.read_entry(entry));
        let broken: Vec<_> = auditor.first_offences().map(ToString::to_string).collect();
        assert!(broken.is_empty() && state.check().is_ok(), "{}: {broken:#?}", path.display());
    }
}

#[test]
fn the_tapes_show_every_refusal_and_every_event() {
    let (mut refusals, mut events) = (BTreeSet::new(), BTreeSet::new());
    for (_, tape) in tapes() {
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        for (at, command) in tape.commands() {
            if let CommandOutcome::Refused(refusal) = state.step(at, command, &mut entries) {
                refusals.insert(refusal.code());
            }
        }
        events.extend(entries.iter().map(|entry| entry.event.name()));
    }
    assert_eq!(refusals, BTreeSet::from(Refusal::CODES));
    assert_eq!(events, BTreeSet::from(Event::NAMES));
}
