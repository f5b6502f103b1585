//! Where the generator finds what it sends: bodies and tokens in files of a folder.

use super::wrk::Load;
use std::path::{Path, PathBuf};

/// The folder, and the tokens in it.
pub struct Files<'a> {
    pub folder: &'a Path,
    pub tokens: &'a Path,
}

impl Files<'_> {
    /// Bodies, one a line.
    pub fn bodies(&self, name: &str, bodies: &[String]) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(name);
        std::fs::write(&file, bodies.join("\n"))?;
        Ok(file)
    }

    /// Orders of a unit in each of these sales.
    pub fn orders(&self, name: &str, sales: &[String]) -> anyhow::Result<PathBuf> {
        let order = |sale: &String| format!(r#"{{"flashSaleId":"{sale}","quantity":1}}"#);
        self.bodies(name, &sales.iter().map(order).collect::<Vec<_>>())
    }

    /// Joining the line of each of these sales.
    pub fn joins(&self, name: &str, sales: &[String]) -> anyhow::Result<PathBuf> {
        let join = |sale: &String| format!(r#"{{"flashSaleId":"{sale}"}}"#);
        self.bodies(name, &sales.iter().map(join).collect::<Vec<_>>())
    }

    pub fn post(&self, path: &str, bodies: &Path) -> Load {
        let (tokens, bodies) = (self.tokens.to_owned(), Some(bodies.to_owned()));
        Load { method: "POST", path: path.into(), tokens, bodies, is_spread: false, header: None }
    }

    pub fn get(&self, path: &str, header: Option<String>) -> Load {
        let tokens = self.tokens.to_owned();
        Load { method: "GET", path: path.into(), tokens, bodies: None, is_spread: false, header }
    }
}
