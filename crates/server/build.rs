//! Rebuilds the crate when a migration is added: `sqlx::migrate!` reads the folder, cargo does not watch it by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
