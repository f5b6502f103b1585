//! Rebuilds the crate when a migration is added (`sqlx::migrate!` reads the folder, but cargo does not watch it), and generates
//! the table of the files of `web/dist` for `http::web`. It does not build the pages; `scripts/web.sh` does, and the server also
//! builds without them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=../../migrations");

    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let dist = manifest.join("../../web/dist");
    // Cargo reruns this script each time while a watched folder is missing. An empty one means no pages; failing to create it
    // only costs build time.
    let _ = fs::create_dir_all(&dist);
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed=build.rs");

    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| !is_compressed(file)) {
        let path = file.strip_prefix(&dist).map_err(io::Error::other)?;
        let path = path.to_string_lossy().replace('\\', "/");
        let compressed = |extension: &str| {
            let name = PathBuf::from(format!("{}.{extension}", file.display()));
            if name.is_file() { format!("Some(include_bytes!({name:?}))") } else { "None".to_owned() }
        };
        let (br, gzip) = (compressed("br"), compressed("gz"));
        let _ = writeln!(
            table,
            "    WebFile {{ path: {path:?}, plain: include_bytes!({file:?}), br: {br}, gzip: {gzip} }},"
        );
    }
    table.push_str("]\n");
    fs::write(out.join("web_files.rs"), table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "br" || extension == "gz")
}
