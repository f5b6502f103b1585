//! Writes sample reports into a folder, to be looked at after a change of the page: narrow and wide, light and dark, printed.
//!
//! `cargo run -p rehearsal --example report_samples -- FOLDER`

#[path = "../tests/report/sample.rs"]
mod sample;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    std::fs::create_dir_all(&folder)?;
    for (name, report) in sample::all() {
        std::fs::write(folder.join(format!("{name}.html")), rehearsal::report::render_html(&report))?;
        std::fs::write(folder.join(format!("{name}.json")), rehearsal::report::render_json(&report))?;
        let files = [folder.join(format!("{name}.html")), folder.join(format!("{name}.json"))];
        std::fs::write(
            folder.join(format!("{name}.txt")),
            rehearsal::report::render_text(&report, &files, 100, false),
        )?;
    }
    Ok(())
}
