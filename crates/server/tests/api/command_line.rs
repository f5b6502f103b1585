//! The command line: wrong usage and wrong settings get one sentence that names the flag, and exit code 2.

use crate::environment::DESIGN_VARIABLES;
use std::process::{Command, Output};

fn doorbuster(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    for variable in DESIGN_VARIABLES {
        command.env_remove(variable);
    }
    command.args(arguments).envs(variables.iter().copied()).current_dir(folder.path());
    command.env("DOORBUSTER_LISTEN", "127.0.0.1:0").env("DOORBUSTER_METRICS_LISTEN", "127.0.0.1:0");
    command.output().unwrap()
}

#[test]
fn a_wrong_setting_is_refused_in_one_sentence_that_names_the_flag() {
    for (flag, value) in [
        ("--limits", "maybe"),
        ("--limit-auth", "100"),
        ("--limit-buy", "0/15m"),
        ("--trusted-proxies", "everyone"),
        ("--cors-origins", "shop.example"),
        ("--public-url", "https://shop.example/path"),
        ("--request-timeout", "soon"),
        ("--body-limit", "1"),
        ("--connections-max", "0"),
        ("--connections-per-address", "0"),
        ("--token-key", "/nowhere/key.pem"),
        ("--token-ttl", "0s"),
        ("--log-format", "xml"),
        ("--admin-email", "nobody"),
        ("--admin-password", "short"),
        ("--data", "/proc/nowhere"),
        ("--no-such-flag", "1"),
    ] {
        let output = doorbuster(&["serve", flag, value], &[]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {printed}");
        let sentence = printed
            .lines()
            .find(|line| line.starts_with("doorbuster: "))
            .unwrap_or_else(|| panic!("{printed}"));
        assert!(sentence.contains(flag), "{sentence}");
        assert!(sentence.len() < 300, "{sentence}");
    }
}

#[test]
fn a_wrong_variable_is_refused_like_its_flag() {
    let output = doorbuster(&["serve"], &[("DOORBUSTER_LIMITS", "maybe")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--limits"));
}

#[test]
fn a_valkey_needs_an_address_and_a_database_and_its_password_is_not_printed() {
    let database = "postgres://nobody@127.0.0.1:1/none";
    let elsewhere: &[&str] = &["serve", "--database", database, "--valkey", "http://:tulip@127.0.0.1"];
    let alone: &[&str] = &["serve", "--valkey", "redis://:tulip@127.0.0.1"];
    for (arguments, word) in [(elsewhere, "redis://"), (alone, "--database")] {
        let output = doorbuster(arguments, &[]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(
            printed.contains("--valkey") && printed.contains(word) && !printed.contains("tulip"),
            "{printed}"
        );
    }
}

#[test]
fn an_address_that_is_taken_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = doorbuster(&["serve", "--listen", &address], &[]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("--listen") && printed.contains(&address), "{printed}");

    let output = doorbuster(&["serve", "--listen", &address, "--log-format", "json"], &[]);
    let printed = String::from_utf8(output.stderr).unwrap();
    let last: serde_json::Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!((output.status.code(), &last["level"]), (Some(2), &serde_json::json!("ERROR")), "{printed}");
    assert!(last["message"].as_str().unwrap().contains("--listen"), "{printed}");
}

#[test]
fn the_description_is_printed_without_a_server() {
    let output = doorbuster(&["openapi"], &[]);
    assert!(output.status.success());
    let description: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(description["info"]["title"], "Doorbuster");
}

#[test]
fn an_admin_is_made_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let create =
        ["admin", "create", "--email", "boss@example.com", "--password", "correct horse", "--data", data];
    let again = [&create[..], &["--promote"]].concat();
    for arguments in [&create[..], &again] {
        let output = doorbuster(arguments, &[]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}");
        assert!(stdout.contains("boss@example.com") && !stdout.contains("correct horse"), "{stdout}");
    }
    let output = doorbuster(&create, &[]);
    assert_eq!(output.status.code(), Some(2), "an account that exists is promoted only on purpose");
    assert!(String::from_utf8(output.stderr).unwrap().contains("--promote"));
    let output = doorbuster(
        &["admin", "create", "--email", "boss@example.com", "--password", "short", "--data", data],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--password"));
    let output = doorbuster(
        &["admin", "create", "--email", "b@example.com", "--password", "password1", "--data", data],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("most common"));
}
