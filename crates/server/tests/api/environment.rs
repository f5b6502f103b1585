//! The variables of other systems, given to the real binary: where they lead a command, which ones stop it, and what a start says.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use test_servers::port::ReservedPort;
use test_servers::postgres::{PASSWORD, PostgresServer};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// Every variable of another system: a test's own shell may have them.
pub const DESIGN_VARIABLES: [&str; 20] = [
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_URL",
    "DATABASE_URL",
    "PORT",
    "HOLD_TTL_SECONDS",
    "BEND_HOST",
    "BEND_PORT",
    "ADMIN_HOST",
    "ADMIN_PORT",
    "FEND_HOST",
    "FEND_PORT",
    "MONGO_URL",
    "QUEUE_NAME",
    "NODE_ENV",
];

pub fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    for variable in DESIGN_VARIABLES {
        command.env_remove(variable);
    }
    command.env_remove("JWT_SECRET").env("DOORBUSTER_METRICS_LISTEN", "127.0.0.1:0");
    command.args(arguments).envs(variables.iter().copied()).current_dir(folder);
    command
}

fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(folder, arguments, variables).output().unwrap()
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The parts of a database's address, as variables.
fn parts_of(url: &str) -> Vec<(&'static str, String)> {
    let rest = url.strip_prefix("postgres://").unwrap();
    let (user, rest) = rest.split_once(':').unwrap();
    let (password, rest) = rest.split_once('@').unwrap();
    let (host, rest) = rest.split_once(':').unwrap();
    let (port, name) = rest.split_once('/').unwrap();
    let parts = [
        ("DB_HOST", host),
        ("DB_PORT", port),
        ("DB_NAME", name),
        ("DB_USER", user),
        ("DB_PASSWORD", password),
    ];
    parts.map(|(variable, part)| (variable, part.to_owned())).to_vec()
}

#[test]
fn a_variable_that_cannot_be_used_ends_the_command_with_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, variables, name) in [
        (&["serve"][..], &[("DB_HOST", "127.0.0.1"), ("DB_PASSWORD", "tulip")][..], "DB_NAME"),
        (&["verify"][..], &[("DB_HOST", "127.0.0.1"), ("DB_PASSWORD", "tulip")][..], "DB_NAME"),
        (
            &["admin", "create", "--email", "a@example.com", "--password", "correct horse"][..],
            &[("DB_HOST", "127.0.0.1")][..],
            "DB_NAME",
        ),
        (&["serve"][..], &[("REDIS_HOST", "127.0.0.1")][..], "REDIS_HOST"),
        (&["serve"][..], &[("DATABASE_URL", "mysql://u:tulip@127.0.0.1/d")][..], "DATABASE_URL"),
        (&["serve"][..], &[("PORT", "tulip")][..], "PORT"),
        (
            &["serve", "--dialects", "holds"][..],
            &[("BEND_HOST", "nowhere"), ("BEND_PORT", "4000")][..],
            "nowhere:4000",
        ),
        (&["worker"][..], &[][..], "--database"),
    ] {
        let output = run(folder.path(), arguments, variables);
        let printed = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {printed}");
        assert!(printed.contains(name) && !printed.contains("tulip"), "{printed}");
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
    }
}

#[test]
fn every_command_with_a_database_finds_it_by_its_parts_and_by_its_url() {
    let url = PostgresServer::shared().create_database();
    let folder = tempfile::tempdir().unwrap();
    let parts = parts_of(&url);
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, part)| (*name, part.as_str())).collect();
    // An address that nobody may use: the parts win.
    let both = [&parts[..], &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")]].concat();
    for (arguments, variables) in [
        (&["migrate"][..], &[("DATABASE_URL", url.as_str())][..]),
        (&["admin", "create", "--email", "boss@example.com", "--password", "correct horse"][..], &both[..]),
        (&["followers", "list"][..], &parts[..]),
        (&["verify"][..], &parts[..]),
    ] {
        let output = run(folder.path(), arguments, variables);
        assert!(output.status.success(), "{arguments:?}: {}", printed(&output));
        assert!(!printed(&output).contains(PASSWORD));
    }
    let admins = PostgresServer::shared().run_sql(&url, "SELECT email, role FROM users");
    assert_eq!(admins, "boss@example.com|admin");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "no folder was made");
}

#[test]
fn a_command_whose_place_is_given_looks_at_no_other_variable() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = [
        ("DB_HOST", "127.0.0.1"),
        ("DB_PORT", "1"),
        ("DB_NAME", "none"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("REDIS_HOST", "127.0.0.1"),
        ("PORT", "no port"),
        ("NODE_ENV", "production"),
    ];
    let output = run(folder.path(), &["migrate", "--data", "mine"], &elsewhere);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(folder.path().join("mine/shop.db").exists());
    let by_variable = [&elsewhere[..], &[("DOORBUSTER_DATA", "other")]].concat();
    let output = run(folder.path(), &["migrate"], &by_variable);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(folder.path().join("other/shop.db").exists());
    let url = PostgresServer::shared().create_database();
    let by_database = [&elsewhere[..], &[("DOORBUSTER_DATABASE", url.as_str())]].concat();
    let output = run(folder.path(), &["migrate"], &by_database);
    assert!(output.status.success(), "{}", printed(&output));
}

#[test]
fn the_default_folder_may_be_a_link_as_it_is_in_the_image() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("doorbuster")).unwrap();
    std::os::unix::fs::symlink("doorbuster", folder.path().join("data")).unwrap();
    let output = run(folder.path(), &["migrate"], &[]);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(folder.path().join("doorbuster/shop.db").exists());
}

/// A process that ends with this value.
struct KilledChild(Child);

impl Drop for KilledChild {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _code = self.0.wait();
    }
}

#[test]
fn a_start_says_in_a_line_each_what_it_took_and_what_it_does_not_use() {
    let folder = tempfile::tempdir().unwrap();
    let port = ReservedPort::reserve();
    let number = port.get().to_string();
    let variables = [
        ("PORT", number.as_str()),
        ("NODE_ENV", "production"),
        ("REDIS_URL", "redis://:tulip@127.0.0.1:1"),
        ("JWT_SECRET", "tulip"),
        ("MONGO_URL", "mongodb://tulip"),
        ("FEND_PORT", "4001"),
        ("QUEUE_NAME", "tulip"),
    ];
    let log = folder.path().join("log");
    let mut start = command(folder.path(), &["serve", "--admin-password", "correct horse"], &variables);
    start.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = KilledChild(start.spawn().unwrap());
    let mut welcome = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut welcome).unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(welcome.contains(&format!("http://0.0.0.0:{number}")), "{welcome}{log}");
    assert!(!log.contains("tulip"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (level, parts) in [
        ("INFO", &["PORT", number.as_str(), "--listen"][..]),
        ("WARN", &["REDIS_URL", "embedded store"][..]),
        ("WARN", &["MONGO_URL", "FEND_PORT", "QUEUE_NAME"][..]),
        ("WARN", &["JWT_SECRET", "Ed25519", "/.well-known/jwks.json"][..]),
    ] {
        let is_this = |line: &&Value| {
            let message = line["message"].as_str().unwrap_or_default();
            parts.iter().all(|part| message.contains(part)) && line["level"] == level
        };
        assert_eq!(lines.iter().filter(is_this).count(), 1, "{parts:?}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_address_and_the_length_of_a_hold_are_those_of_the_design() {
    let folder = tempfile::tempdir().unwrap();
    let port = ReservedPort::reserve();
    let number = port.get().to_string();
    let variables = [("BEND_HOST", "127.0.0.1"), ("BEND_PORT", number.as_str()), ("HOLD_TTL_SECONDS", "77")];
    let listen = ["serve", "--listen", "127.0.0.1:0", "--limits", "off"];
    let flags = [&listen[..], &["--dialects", "holds", "--dialect-admin", "open"]].concat();
    let mut start = command(folder.path(), &flags, &variables);
    start.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = KilledChild(start.spawn().unwrap());
    let mut welcome = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut welcome).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://127.0.0.1:{number}");
    let post = async |path: &str, token: &str, body: &str| -> Value {
        let request = client.post(format!("{base}{path}")).bearer_auth(token).body(body.to_owned());
        request.send().await.unwrap().json().await.unwrap()
    };
    let health: Value = client.get(format!("{base}/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!(health, json!({"status": "ok"}));
    let signed_up = post("/auth/signup", "none", "email=boss@example.com&password=secret").await;
    let token = signed_up["token"].as_str().unwrap_or_else(|| panic!("{signed_up}"));
    let sale = "name=Lamp&initialQuantity=1&startsAt=2020-01-01T00:00:00Z&endsAt=2100-01-01T00:00:00Z";
    let sale = post("/flash-sales", token, sale).await;
    let body = json!({"email": "ada@example.com", "flashSaleId": sale["id"]}).to_string();
    let held = eventually_some("a hold", HANG_LIMIT, async || {
        Some(post("/orders/buy", "none", &body).await).filter(|joined| joined["hasActiveHold"] == true)
    });
    let seconds = held.await["holdTtlSec"].as_u64().unwrap();
    assert!((1..=77).contains(&seconds), "{seconds}");
    // With an address of its own it is not below the main one.
    let main = welcome.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let mounted = client.get(format!("http://{main}/dialects/holds/health")).send().await.unwrap();
    assert_eq!(mounted.status(), 404);
}
