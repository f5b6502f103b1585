//! The rules of ARCHITECTURE.md: which module may use which, and which module may use each library.
//!
//! To change the architecture is to change a row of a table below, with its reason. The test reads source text, not types: it sees
//! every `use` and every written-out path, and leaves out what is compiled for tests only.

mod operations_log;
mod reader;
mod vocabulary;

use reader::{PathMention, SourceFile};
use std::path::{Path, PathBuf};

/// Every module of the codebase, from the top layer to the lowest, and the modules that it may use; it may always use itself. Names
/// are modules of the crate `server`, except the binary `doorbuster` and the crates `engine`, `rehearsal`, `documents` and `sale`. Listeners may
/// read the engine's view of a sale; their commands to the engine go through `shop`.
const MODULES: &str = "
    doorbuster → commands
    commands   → http realtime followers shop store payments webhooks mail auth telemetry clock engine rehearsal sale documents::EventAddresses

    http       → shop_documents documents shop mail::language auth telemetry clock client_network sale engine::SaleView engine::valkey_connection engine::error_text
    realtime   → shop_documents documents shop auth telemetry clock client_network sale engine::SaleView
    shop_documents → documents shop sale engine::SaleView
    followers  → shop_documents documents shop store telemetry clock engine sale

    shop::published_events → documents shop store telemetry clock engine sale
    shop::webhooks → documents::EventAddresses documents::EventType documents::TEST_EVENT_NAME shop store webhooks telemetry clock engine sale
    shop       → store payments webhooks mail auth telemetry clock engine sale

    store      → webhooks telemetry clock sale
    payments   → telemetry clock sale engine::error_text
    webhooks   → telemetry clock sale
    mail       → telemetry clock sale
    auth       → telemetry clock sale
    telemetry  → clock sale
    clock      → sale
    client_network →

    engine     → sale
    rehearsal  → documents sale
    documents  → sale
    sale       →
";

/// The modules that may use a library, or a part of one; all others may not.
const HOMES: &str = "
    Wire formats stay in the listeners.
    axum                → http
    garde               → http
    hyper               → http rehearsal webhooks::client payments::stripe
    hyper_util          → http rehearsal webhooks::client payments::stripe
    matchit             → http
    serde_path_to_error → http
    serde_urlencoded    → http
    httparse            → http::server
    tower               → http
    tungstenite         → http::sockets
    brotli              → http
    flate2              → http auth::passwords
    utoipa_axum         → http
    utoipa_swagger_ui   → http
    engineioxide        → realtime
    socketioxide        → realtime
    rdkafka             → followers
    lettre              → mail
    minijinja           → mail

    The rehearsal has its own libraries.
    console             → rehearsal::live rehearsal::report
    csv                 → rehearsal::crowd http::admin::csv commands::import
    hdrhistogram        → rehearsal::metrics
    indicatif           → rehearsal::live
    maud                → rehearsal::report
    rand_chacha         → rehearsal
    tokio_rustls        → rehearsal::client webhooks::client payments::stripe

    Settings are read once, and the process is assembled once.
    anyhow              → commands
    clap                → commands
    humantime           → commands
    std::env            → commands
    rtime_clock         → commands
    prometheus_client   → telemetry engine::metrics engine::damage
    tracing_subscriber  → telemetry

    A secret is handled in one place.
    argon2              → auth
    bcrypt              → auth
    ed25519_dalek       → auth

    Only the module that stores something knows how.
    sqlx                → store engine::record::postgres
    rusqlite            → engine::record::sqlite
    crc32fast           → engine::record
    postcard            → engine::record
    redis               → engine::valkey_connection engine::decide::valkey http::limits::shared
";

/// What the law never uses, so that the same arguments always give the same result.
const IMPURE: &str = "
    std::env std::fs std::io std::net std::os std::process std::thread
    std::time::Instant std::time::SystemTime
    std::collections::HashMap std::collections::HashSet std::hash::RandomState
    getrandom rand tokio tracing uuid::Uuid::new_v4 uuid::Uuid::now_v7
";

/// The only dependencies of the law.
const LAW_DEPENDENCIES: &str = "serde thiserror uuid";

/// Names that one module may use against a rule above, each with its reason.
const EXCEPTIONS: &str = "
    http::problem   → server::store::StoreError   because one file turns every error into a reply
    http::problem   → engine::EngineError         because one file turns every error into a reply
    store::accounts → server::auth::Role          because it is a column of the table of accounts
    telemetry::logs → clap::ValueEnum             because a flag's values stand beside what they mean
    sale::hash      → std::collections::HashMap   because the law's own map is made of it, with a hasher without chance
";

#[test]
fn every_module_uses_only_what_it_may() {
    let complaints: Vec<String> = workspace_sources().iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "the architecture is broken:\n{}", complaints.join("\n"));
}

#[test]
fn every_module_says_first_what_it_is() {
    let silent: Vec<String> = workspace_sources()
        .into_iter()
        .filter(|source| !source.opens_with_doc)
        .map(|source| {
            format!("{}:1: a file opens with `//!`: what it is and what it never does", source.file)
        })
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn the_law_is_built_on_nothing_that_could_surprise() {
    let manifest =
        std::fs::read_to_string(root().join("crates/sale/Cargo.toml")).expect("the manifest is readable");
    let dependencies = manifest.split("[dependencies]").nth(1).expect("there is a list of dependencies");
    let names =
        dependencies.lines().map(str::trim).take_while(|line| !line.starts_with('[')).filter_map(|line| {
            line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty() && !name.starts_with('#'))
        });
    for name in names {
        assert!(
            LAW_DEPENDENCIES.split(' ').any(|allowed| allowed == name),
            "crates/sale/Cargo.toml: the law does without {name}"
        );
    }
}

/// Marks of unfinished work, and paths that exist on one machine only.
#[test]
fn no_text_holds_a_mark_of_unfinished_work_or_a_path_of_one_machine() {
    // Put together here, so that this file does not hold what it looks for.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let machine = [["/wo", "rk/"], ["arti", "factory"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for file in rust_files(&root()) {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let holds = |part: &String, before: fn(char) -> bool, after: fn(char) -> bool| {
                line.match_indices(part.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(before) && !line[at + part.len()..].starts_with(after)
                })
            };
            // In quotes it may be a standard's word, such as the currency code for no currency.
            let marked = marks
                .iter()
                .any(|mark| holds(mark, |c| c == '"' || c.is_alphanumeric(), char::is_alphanumeric));
            let local = machine.iter().any(|part| holds(part, char::is_alphanumeric, |_| false));
            if marked || local {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "this must not be committed:\n{}", found.join("\n"));
}

/// How a command of the documents writes a key, or a copy of the data that holds one.
const SECRET_WRITERS: [&str; 5] = ["> token-key.pem", "genpkey", "VACUUM INTO", "pg_dump ", "pg_basebackup "];

#[test]
fn documented_commands_that_write_a_secret_leave_it_to_its_owner() {
    let mut open = Vec::new();
    for file in rust_files(&root()).iter().filter(|file| file.extension().is_some_and(|is| is == "md")) {
        let text = std::fs::read_to_string(file).expect("a document is readable UTF-8");
        for block in text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let writer = SECRET_WRITERS.iter().filter_map(|writer| block.find(writer)).min();
            if let Some(at) = writer
                && !block[..at].contains("umask 077")
            {
                open.push(format!("{}: {}", file.display(), block[at..].lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(open.is_empty(), "`umask 077` is missing before:\n{}", open.join("\n"));
}

#[test]
fn every_exception_is_needed() {
    let sources = workspace_sources();
    for (module, name) in exceptions() {
        // A module that does not exist yet may keep its exception.
        let mut users = sources.iter().filter(|source| source.module.join("::") == module).peekable();
        let needed = users.peek().is_none()
            || users.any(|source| source.mentions.iter().any(|mention| lies_in(&mention.path, name)));
        assert!(needed, "{module} no longer names {name}: take the exception away");
    }
}

#[test]
fn a_handler_that_asks_the_database_is_caught() {
    let text = "//! Orders.\n\nuse crate::shop;\nuse crate::{auth, store::orders::Orders};\n";
    assert_eq!(
        complaints_of("server", "http/v1/orders.rs", text),
        ["crates/server/src/http/v1/orders.rs:4: server::http may not name server::store::orders::Orders"]
    );
}

#[test]
fn a_use_case_that_speaks_http_is_caught_wherever_the_name_stands() {
    let text =
        "//! Orders.\nfn reply() -> axum::Json<u8> {\n    todo(super::super::http::problem::kind())\n}\n";
    assert_eq!(
        complaints_of("server", "shop/orders.rs", text),
        [
            "crates/server/src/shop/orders.rs:2: server::shop::orders may not name axum::Json: it lives in server::http",
            "crates/server/src/shop/orders.rs:3: server::shop may not name server::http::problem::kind",
        ]
    );
}

#[test]
fn a_law_that_looks_at_the_clock_is_caught() {
    let text = "//! The law.\nuse std::{fmt, time::{Duration, Instant}};\nuse std::collections::*;\n";
    assert_eq!(
        complaints_of("sale", "state.rs", text),
        [
            "crates/sale/src/state.rs:2: the law is pure and may not name std::time::Instant",
            "crates/sale/src/state.rs:3: the law is pure and may not name std::collections::*",
        ]
    );
}

#[test]
fn an_engine_that_knows_the_shop_and_siblings_that_know_each_other_are_caught() {
    assert_eq!(complaints_of("engine", "pipeline.rs", "//! P.\nuse server::shop::Shop;\n").len(), 1);
    assert_eq!(complaints_of("server", "payments/mod.rs", "//! P.\nuse crate::store::Store;\n").len(), 1);
    assert_eq!(complaints_of("server", "store/mod.rs", "//! S.\nuse engine::Engine;\n").len(), 1);
    assert_eq!(complaints_of("server", "followers/mod.rs", "//! A.\nuse crate::http::v1;\n").len(), 1);
}

#[test]
fn a_module_without_a_row_and_a_glob_over_the_whole_crate_are_caught() {
    assert_eq!(
        complaints_of("server", "added.rs", "//! A new module.\n"),
        ["crates/server/src/added.rs:1: server::added has no row in the table of modules"]
    );
    assert_eq!(complaints_of("server", "shop/orders.rs", "//! O.\nuse crate::*;\n").len(), 1);
}

fn complaints_of(krate: &str, file: &str, text: &str) -> Vec<String> {
    complaints(&reader::read(krate, file, text))
}

/// The rules that one file breaks, as `file:line: rule`.
fn complaints(source: &SourceFile) -> Vec<String> {
    let module = source.module.join("::");
    if module == "server" {
        // The root only lists the modules.
        return Vec::new();
    }
    let row = rows(MODULES)
        .map(|(layer, may_use)| (full(layer), may_use))
        .find(|(layer, _)| lies_in(&module, layer));
    let Some((layer, may_use)) = row else {
        return vec![format!("{}:1: {module} has no row in the table of modules", source.file)];
    };
    let complaint = |mention: &PathMention| {
        rule_broken(&module, &layer, &may_use, &mention.path)
            .map(|rule| format!("{}:{}: {rule}", source.file, mention.line))
    };
    source.mentions.iter().filter_map(complaint).collect()
}

fn rule_broken(module: &str, layer: &str, may_use: &[String], path: &str) -> Option<String> {
    if exceptions().any(|(who, name)| module == who && lies_in(path, name)) {
        return None;
    }
    let names = |name: &str| lies_in(path, name) || takes_all_with(path, name);
    if layer == "sale" && IMPURE.split_whitespace().any(names) {
        return Some(format!("the law is pure and may not name {path}"));
    }
    if ["sale", "documents", "engine", "rehearsal", "server"].into_iter().any(|ours| lies_in(path, ours)) {
        let allowed = lies_in(path, layer) || may_use.iter().any(|name| lies_in(path, name));
        return (!allowed).then(|| format!("{layer} may not name {path}"));
    }
    let (_, homes) = rows(HOMES).find(|(library, _)| names(library))?;
    let at_home = homes.iter().any(|home| lies_in(module, home));
    (!at_home).then(|| format!("{module} may not name {path}: it lives in {}", homes.join(" and ")))
}

/// The rows of a table: the name before the arrow, and the modules behind it.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, Vec<String>)> {
    table.lines().filter_map(|line| line.split_once('→')).map(|(name, places)| {
        let places = places.split_whitespace().map(full);
        (name.trim(), places.collect())
    })
}

/// The module and the name of each exception.
fn exceptions() -> impl Iterator<Item = (String, &'static str)> {
    EXCEPTIONS.lines().filter_map(|line| line.split_once('→')).map(|(module, name_and_reason)| {
        let (name, _reason) = name_and_reason.split_once(" because ").expect("every exception has a reason");
        (full(module.trim()), name.trim())
    })
}

/// The path of a module in the tables.
fn full(module: &str) -> String {
    let first = module.split("::").next().unwrap_or_default();
    if ["doorbuster", "documents", "engine", "rehearsal", "sale"].contains(&first) {
        module.into()
    } else {
        format!("server::{module}")
    }
}

/// True when `path` is `place` or something inside it.
fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// True when `path` is a glob that takes `name` along, unseen.
fn takes_all_with(path: &str, name: &str) -> bool {
    path.strip_suffix("::*").is_some_and(|place| name != place && lies_in(name, place))
}

/// All source files of the workspace's crates, without what is compiled for tests only.
fn workspace_sources() -> Vec<SourceFile> {
    let mut sources = Vec::new();
    for krate in ["sale", "documents", "engine", "rehearsal", "server"] {
        let src = root().join("crates").join(krate).join("src");
        for path in
            rust_files(&src).iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        {
            let file = path.strip_prefix(&src).expect("the file lies in the folder").to_string_lossy();
            let text = std::fs::read_to_string(path).expect("source is readable UTF-8");
            sources.push(reader::read(krate, &file, &text));
        }
    }
    let for_tests: Vec<String> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    sources.retain(|source| !for_tests.iter().any(|module| lies_in(&source.module.join("::"), module)));
    sources
}

/// Every file below `folder`, in order, without build output, downloads, data and lock files.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let root = root();
    let not_ours = ["target", "data", "web/dist", "web/shots"].map(|name| root.join(name));
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is readable") {
            let path = entry.expect("the folder is readable").path();
            let name = path.file_name().unwrap_or_default();
            let skipped =
                ["node_modules", ".git", "Cargo.lock", "package-lock.json"].iter().any(|skip| name == *skip);
            if skipped || not_ours.contains(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}
