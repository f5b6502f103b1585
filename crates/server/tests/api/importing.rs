//! `doorbuster import` with the real binary: what becomes of each row, what a repeat changes, and that the accounts sign in.

use crate::environment::command;
use crate::support::{PASSWORD, TestApp};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use test_servers::postgres::PostgresServer;

/// `correct horse battery`, by bcrypt at the lowest cost.
fn bcrypt_hash() -> String {
    bcrypt::hash(PASSWORD, 4).unwrap()
}

/// The same by argon2, at a lower cost than this shop's own.
fn argon2_hash() -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let weak = Argon2::new(Algorithm::Argon2i, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string()
}

/// Runs an import in `folder`, whose data is in `data`, and returns its code and what it printed.
fn import(folder: &Path, what: &str, csv: &str, flags: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join("rows.csv"), csv).unwrap();
    let arguments = [&["import", what, "--csv", "rows.csv"], flags].concat();
    let output = command(folder, &arguments, &[]).output().unwrap();
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), printed)
}

async fn sign_in(app: &TestApp, email: &str, password: &str) -> u16 {
    let reply = app.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await;
    reply.status.as_u16()
}

#[test]
fn of_100_000_rows_all_but_the_12_broken_ones_are_imported_and_a_repeat_changes_nothing() {
    const ROWS: usize = 100_000;
    let hash = bcrypt_hash();
    let expensive = hash.replacen("$04$", "$15$", 1);
    let mut csv = String::from("id,username,email,passwordHash,full_name,role\n");
    let mut broken = Vec::new();
    for row in 0..ROWS {
        // The first line has the names.
        let line = row + 2;
        let (name, email) = (format!("buyer-{row}"), format!("buyer-{row}@example.com"));
        let fields = match row {
            7 => [name, "no address".to_owned(), hash.clone()],
            700 => [name, String::new(), hash.clone()],
            7_000 => [name, email, "plain text".to_owned()],
            7_001 => [name, email, String::new()],
            7_002 => [name, email, expensive.clone()],
            7_003 => ["a name with blanks".to_owned(), email, hash.clone()],
            // Of two rows with one name the second is refused.
            70_000..70_006 => [format!("BUYER-{}", row - 1_000), email, hash.clone()],
            _ => [name, email, hash.clone()],
        };
        if matches!(row, 7 | 700 | 7_000..7_004 | 70_000..70_006) {
            broken.push(line);
        }
        let [name, email, hash] = fields;
        writeln!(csv, "{row},{name},{email},{hash},\"Buyer, the {row}th\",admin").unwrap();
    }
    assert_eq!(broken.len(), 12);

    let folder = tempfile::tempdir().unwrap();
    let (code, printed) = import(folder.path(), "users", &csv, &[]);
    assert_eq!(code, Some(1), "{printed}");
    for line in &broken {
        assert!(printed.contains(&format!("line {line}: ")), "{line}: {printed}");
    }
    assert_eq!(printed.lines().filter(|line| line.starts_with("line ")).count(), broken.len(), "{printed}");
    assert!(printed.contains("100000 rows: 99988 imported, 0 known before"), "{printed}");
    assert!(!printed.contains('$'), "no hash is shown: {printed}");

    let (code, printed) = import(folder.path(), "users", &csv, &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("0 imported, 99988 known before"), "{printed}");
    assert!(printed.contains("12 refused. Nothing was changed."), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_accounts_sign_in_with_the_passwords_they_had() {
    let folder = tempfile::tempdir().unwrap();
    let id = "0190f3a4-0000-7000-8000-000000000007";
    let csv = format!(
        "Email,password_hash,ID,Full Name\nada@example.com,{},{id},Ada Lovelace\nADA@other.example,\"{}\",7,\n",
        bcrypt_hash(),
        argon2_hash()
    );
    let (code, printed) = import(folder.path(), "users", &csv, &[]);
    assert_eq!(
        (code, printed.trim()),
        (Some(0), "2 rows: 2 imported, 0 known before and left as they are, 0 refused.")
    );

    let app = TestApp::on_folder(folder).await;
    for email in ["ada@example.com", "ada@other.example"] {
        assert_eq!(sign_in(&app, email, "battery staple").await, 401, "{email}");
        assert_eq!(sign_in(&app, email, PASSWORD).await, 200, "{email}");
    }
    let reply =
        app.post("/api/v1/auth/login", &json!({"email": "ada@example.com", "password": PASSWORD})).await;
    let account = reply.json()["user"].clone();
    let names = "SELECT full_name FROM users WHERE email = 'ada@example.com'";
    let name: String = sqlx::query_scalar(names).fetch_one(&app.database().await).await.unwrap();
    assert_eq!(name, "Ada Lovelace");
    assert_eq!(
        (&account["id"], &account["username"], &account["role"]),
        (&json!(id), &json!("ada"), &json!("buyer"))
    );

    let (code, printed) = import(&app.data().join(".."), "users", &csv, &[]);
    assert_eq!(code, Some(2), "its instance runs: {printed}");
    assert!(printed.contains("--data") && printed.contains("in use"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_imported_beside_a_running_shop_on_a_database() {
    let app = TestApp::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (url, csv) =
        (app.database_url(), format!("email,password_hash\neve@example.com,{}\n", bcrypt_hash()));
    for expected in ["1 rows: 1 imported", "1 rows: 0 imported, 1 known before"] {
        let (code, printed) = import(folder.path(), "users", &csv, &["--database", &url]);
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains(expected), "{printed}");
        // The old hash is replaced here, and a repeat does not bring it back.
        assert_eq!(sign_in(&app, "eve@example.com", PASSWORD).await, 200);
    }
    let hash = PostgresServer::shared()
        .run_sql(&url, "SELECT substr(password_hash, 1, 9) FROM users WHERE email = 'eve@example.com'");
    assert_eq!(hash, "$argon2id");
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_known_again_by_id_sku_or_name() {
    let folder = tempfile::tempdir().unwrap();
    let id = "0190f3a4-0000-7000-8000-000000000009";
    let csv = format!(
        "id,sku,name,description,base_price,category,image_url,currency\n\
         {id},,Lamp,\"Bright,\nvery\",49.99,Light,/img/lamp.png,EUR\n\
         12,,Vase,,7,,,\n\
         ,SKU-1,Chair,,19.9000,,,USD\n\
         ,,Table,,0,,,JPY\n\
         ,,Table,,0,,,JPY\n\
         ,,Stool,,1.999,,,\n\
         ,,,,1,,,\n\
         ,,Bed,,,,,\n\
         ,,Desk,,1,,http://example.com/a.png,\n\
         ,,Rug,,1,,,ZZZ\n\
         ,,Sofa\n"
    );
    let (code, printed) = import(folder.path(), "products", &csv, &["--currency", "EUR"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("11 rows: 4 imported, 1 known before and left as they are, 6 refused."),
        "{printed}"
    );
    // A description has a line break, so lines and rows differ.
    for (line, column) in
        [(8, "base_price"), (9, "name"), (10, "price"), (11, "image_url"), (12, "currency"), (13, "3 fields")]
    {
        let row = printed.lines().find(|text| text.starts_with(&format!("line {line}: ")));
        assert!(row.is_some_and(|row| row.contains(column)), "{line} {column}: {printed}");
    }
    let (_, printed) = import(folder.path(), "products", &csv, &["--currency", "EUR"]);
    assert!(printed.contains("0 imported, 5 known before"), "{printed}");
    assert!(printed.contains("Nothing was changed."), "{printed}");

    let app = TestApp::on_folder(folder).await;
    let reply = app.get("/api/v1/products?limit=50").await;
    let products = reply.json();
    let price = |name: &str| -> Value {
        let items = products["items"].as_array().unwrap_or_else(|| panic!("{products}"));
        items.iter().find(|product| product["name"] == name).unwrap()["price"].clone()
    };
    assert_eq!(price("Lamp"), json!({"amount": 4999, "currency": "EUR"}));
    assert_eq!(price("Vase"), json!({"amount": 700, "currency": "EUR"}));
    assert_eq!(price("Chair"), json!({"amount": 1990, "currency": "USD"}));
    assert_eq!(price("Table"), json!({"amount": 0, "currency": "JPY"}));
}

#[test]
fn a_file_that_cannot_be_an_import_changes_nothing_and_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let endless = format!("email,password_hash\n\"{}", "x".repeat(3 << 20));
    for (what, csv, word) in [
        ("users", "email,username\na@example.com,ada\n", "password_hash"),
        ("users", "email,E-Mail,password_hash\n", "twice"),
        ("users", "", "email"),
        ("users", endless.as_str(), "1 MiB"),
        ("products", "name,price\nLamp,49\n", "base_price"),
        ("products", "name,base_price,price_minor\nLamp,49,4900\n", "price_minor"),
    ] {
        let (code, printed) = import(folder.path(), what, csv, &[]);
        assert_eq!(code, Some(2), "{word}: {printed}");
        assert!(printed.contains("--csv: ") && printed.contains(word), "{word}: {printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
    let arguments = ["import", "users", "--csv", "nowhere.csv"];
    let output = command(folder.path(), &arguments, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
