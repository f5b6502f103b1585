//! The log tables of docs/operations.md, compared with the code: every `warn` and `error` of the log has a row there, and every line of
//! those tables is still in the code. It reads source text, and sees only the literal start of a message.

use super::{root, rust_files};
use std::collections::BTreeSet;

/// The part of docs/operations.md that has the log tables.
const TABLES_BEGIN: &str = "\n## What the log says";
const TABLES_END: &str = "\n### Symbols";
/// The log is written by these macros, always with their path.
const LOG_MACROS: [&str; 2] = ["tracing::warn!(", "tracing::error!("];
/// Stands for the part of a message that differs each time.
const OMISSION: char = '…';

#[test]
fn every_warning_and_error_of_the_log_has_a_row_in_the_operations_manual() {
    let rows = documented_lines(&operations_manual());
    let mut missing = BTreeSet::new();
    for (file, text) in sources() {
        for message in logged_messages(&text) {
            if !rows.iter().any(|row| is_same_line(row, &message)) {
                missing.insert(format!("{file}: {message}"));
            }
        }
    }
    let missing: Vec<String> = missing.into_iter().collect();
    assert!(missing.is_empty(), "docs/operations.md has no row for these log lines:\n{}", missing.join("\n"));
}

#[test]
fn every_log_line_of_the_operations_manual_is_in_the_code() {
    let sources: Vec<String> = sources().into_iter().map(|(_, text)| without_comments(&text)).collect();
    let messages: Vec<String> = sources.iter().flat_map(|text| logged_messages(text)).collect();
    let is_in_code = |part: &str| sources.iter().any(|text| text.contains(part));
    let rows = documented_lines(&operations_manual());
    assert!(rows.len() > 40, "the log tables are not found: {} lines", rows.len());
    let outdated: Vec<String> = rows
        .into_iter()
        .filter(|row| {
            // An error is put together from the texts of its causes: each part is a literal of its own.
            let is_logged = messages.iter().any(|message| is_same_line(row, message));
            !is_logged && !row.split(OMISSION).flat_map(|part| part.split(": ")).map(trim).all(is_in_code)
        })
        .collect();
    assert!(
        outdated.is_empty(),
        "no code writes these lines of docs/operations.md:\n{}",
        outdated.join("\n")
    );
}

/// A sentence between backticks is what the program says, in the whole manual: in a runbook or an instruction as in a table.
#[test]
fn every_quoted_sentence_of_the_operations_manual_is_in_the_code() {
    let sources: Vec<String> = sources().into_iter().map(|(_, text)| without_comments(&text)).collect();
    let messages: Vec<String> = sources.iter().flat_map(|text| logged_messages(text)).collect();
    let is_in_code = |part: &str| sources.iter().any(|text| text.contains(part));
    let sentences = quoted_sentences(&operations_manual());
    assert!(sentences.len() > 80, "the quoted sentences are not found: {}", sentences.len());
    let outdated: Vec<String> = sentences
        .into_iter()
        .filter(|sentence| {
            // An error is put together from the texts of its causes, and numbers differ each time.
            let parts = sentence.split([OMISSION, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
            let mut parts = parts.flat_map(|part| part.split(": ")).map(trim);
            let is_logged = messages.iter().any(|message| is_same_line(sentence, message));
            !is_logged && !is_in_code(sentence) && !parts.all(is_in_code)
        })
        .collect();
    assert!(
        outdated.is_empty(),
        "no code says these sentences of docs/operations.md:\n{}",
        outdated.join("\n")
    );
}

#[test]
fn a_command_between_backticks_is_no_sentence_and_a_line_break_in_one_is_a_space() {
    let manual = "It logs `the paint ran\n   out; buy more` after `doorbuster verify --data <folder> twice`.\n\n```text\n`the shelf is \
                  empty now`\n```\n\nThen ``run `make paint` and wait`` ends it.";
    assert_eq!(quoted_sentences(manual), ["the paint ran out; buy more", "run `make paint` and wait"]);
}

#[test]
fn messages_are_found_behind_fields_in_continued_and_in_formatted_literals() {
    let source = r#"
        tracing::warn!(name = %paint("red (dark)"), code = '"', "the paint ran \
            out; buy more");
        tracing::error!("{count} cans are missing");
        tracing::error!(shelf, "a shelf broke: {}", shelf.text("oak"));
        tracing::info!("the shop is open");
    "#;
    let messages = logged_messages(&joined_literals(source));
    assert_eq!(messages, ["the paint ran out; buy more", "{count} cans are missing", "a shelf broke: {}"]);
    assert!(is_same_line("the paint ran out; …", &messages[0]));
    assert!(!is_same_line("… cans are missing", &messages[1]));
    assert!(is_same_line("a shelf broke: oak", &messages[2]));
    assert!(!is_same_line("the paint ran out", &messages[0]));
    assert!(!is_same_line("a shelf fell: oak", &messages[2]));
}

#[test]
fn a_row_names_its_lines_between_backticks_in_the_first_column() {
    let manual = "# M\n\n`no`\n\n## What the log says, and so on\n\n| line | what |\n| --- | --- |\n\
        | `one …` (or `two`) | `no` |\n| ``run `verify` now`` | |\n\n### Symbols\n\n| `no` | |\n";
    assert_eq!(documented_lines(manual), ["one …", "two", "run `verify` now"]);
}

/// Whether a line of the manual and a message of the code are the same up to what differs each time. A message has to begin with text
/// that is always the same, or it cannot be looked up.
fn is_same_line(row: &str, message: &str) -> bool {
    let (row, row_is_cut) = literal_start(row, OMISSION);
    let (message, message_is_cut) = literal_start(message, '{');
    let agree = match (row_is_cut, message_is_cut) {
        (false, false) => row == message,
        (true, false) => message.starts_with(row),
        (false, true) => row.starts_with(message),
        (true, true) => row.starts_with(message) || message.starts_with(row),
    };
    agree && !row.is_empty() && !message.is_empty()
}

/// The text before `cut`, and whether there is one.
fn literal_start(text: &str, cut: char) -> (&str, bool) {
    text.split_once(cut).map_or((text, false), |(start, _)| (start.trim_end(), true))
}

fn trim(part: &str) -> &str {
    part.trim_matches([' ', ':', ',', ';', '.'])
}

fn operations_manual() -> String {
    std::fs::read_to_string(root().join("docs/operations.md")).expect("the manual is readable")
}

/// What stands between backticks in the first column of the log tables.
fn documented_lines(manual: &str) -> Vec<String> {
    let (_, tables) = manual.split_once(TABLES_BEGIN).expect("the manual has log tables");
    let (tables, _) = tables.split_once(TABLES_END).expect("the log tables end");
    let mut lines = Vec::new();
    for row in tables.lines().filter(|line| line.starts_with("| ")) {
        let mut rest = &row[2..];
        // The first column ends at the first bar outside of backticks.
        while let Some(at) = rest.find('`').filter(|at| !rest[..*at].contains('|')) {
            let opened = &rest[at..];
            let fence = &opened[..opened.len() - opened.trim_start_matches('`').len()];
            let Some((line, after)) = opened[fence.len()..].split_once(fence) else { break };
            lines.push(line.to_owned());
            rest = after;
        }
    }
    lines
}

/// What stands between backticks outside of code blocks and has four words or more, without commands.
fn quoted_sentences(manual: &str) -> Vec<String> {
    const WORDS_MIN: usize = 4;
    /// How commands and settings begin.
    const COMMANDS: [&str; 7] =
        ["doorbuster ", "curl ", "cargo ", "SELECT ", "CONFIG ", "valkey-cli ", "synchronous_standby_names "];
    let mut is_code = false;
    let prose = manual.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let prose = prose.map(str::trim).collect::<Vec<_>>().join("\n");
    let mut sentences = Vec::new();
    // A quotation ends with its paragraph at the latest.
    for paragraph in prose.split("\n\n") {
        let mut rest = paragraph;
        while let Some(at) = rest.find('`') {
            let opened = &rest[at..];
            let fence = &opened[..opened.len() - opened.trim_start_matches('`').len()];
            let Some((quoted, after)) = opened[fence.len()..].split_once(fence) else { break };
            let sentence = quoted.replace('\n', " ");
            let is_command = COMMANDS.iter().any(|command| sentence.starts_with(command));
            if sentence.split_whitespace().count() >= WORDS_MIN && !is_command {
                sentences.push(sentence);
            }
            rest = after;
        }
    }
    sentences
}

/// The file and the text of every source file of the crates, with literals on one line.
fn sources() -> Vec<(String, String)> {
    let crates = root().join("crates");
    let mut sources = Vec::new();
    for file in rust_files(&crates) {
        let path = file.strip_prefix(&crates).expect("the file lies in the folder").to_string_lossy();
        if path.split('/').nth(1) == Some("src") && path.ends_with(".rs") {
            let text = std::fs::read_to_string(&file).expect("source is readable UTF-8");
            sources.push((format!("crates/{path}"), joined_literals(&text)));
        }
    }
    sources
}

/// The text with every literal that goes on in the next line (`\` at the end) on one line.
fn joined_literals(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |joined, line| joined + line.trim_start())
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The message of every warning and error that a source text logs.
fn logged_messages(text: &str) -> Vec<String> {
    let mut calls: Vec<usize> = LOG_MACROS
        .iter()
        .flat_map(|name| text.match_indices(name).map(|(at, name)| at + name.len()))
        .collect();
    calls.sort_unstable();
    calls.into_iter().map(|at| message_of(&text[at..])).collect()
}

/// The first argument that is a literal by itself, and not the value of a field.
fn message_of(arguments: &str) -> String {
    let mut depth = 0_usize;
    let mut before = ',';
    let mut characters = arguments.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                let literal = rest_of_literal(&mut characters);
                if depth == 0 && before == ',' {
                    return literal;
                }
            }
            // A quote as a character does not begin a literal.
            '\'' if characters.peek() == Some(&'"') => {
                characters.next();
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if !character.is_whitespace() {
            before = character;
        }
    }
    format!("(a call without a literal message: {})", arguments.lines().next().unwrap_or_default())
}

fn rest_of_literal(characters: &mut impl Iterator<Item = char>) -> String {
    let mut literal = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => literal.extend(characters.next()),
            _ => literal.push(character),
        }
    }
    literal
}
