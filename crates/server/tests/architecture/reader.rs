//! Reads Rust source just well enough to find the paths that it names. It knows comments, strings, `use` trees, inline
//! modules and `#[cfg(test)]`; it never resolves a name that was brought in by a glob.

/// What one source file names.
pub struct SourceFile {
    /// From the workspace's root.
    pub file: String,
    /// The crate's name and the path of modules below it.
    pub module: Vec<String>,
    /// Every path of two or more parts, and every `use`.
    pub mentions: Vec<PathMention>,
    /// True when the first line is a `//!`.
    pub opens_with_doc: bool,
    /// Modules in files of their own that exist in tests only.
    pub test_modules: Vec<String>,
}

/// A path, and where it stands.
pub struct PathMention {
    /// Counted from 1.
    pub line: usize,
    /// From the crate on: `crate`, `self` and `super` are resolved.
    pub path: String,
}

/// Reads the text of `file`, which lies in the `src` folder of the crate `krate`.
pub fn read(krate: &str, file: &str, text: &str) -> SourceFile {
    let module = module_of(krate, file);
    let mut walk = TokenWalk {
        tokens: tokens(text),
        at: 0,
        depth: 0,
        module: module.clone(),
        opened_at: Vec::new(),
        mentions: Vec::new(),
        test_modules: Vec::new(),
    };
    walk.file();
    SourceFile {
        file: format!("crates/{krate}/src/{file}"),
        module,
        mentions: walk.mentions,
        opens_with_doc: text.starts_with("//!"),
        test_modules: walk.test_modules,
    }
}

fn module_of(krate: &str, file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    if stem == "main" {
        return vec!["doorbuster".into()];
    }
    let parts = stem.split('/').filter(|part| !["lib", "mod"].contains(part));
    std::iter::once(krate).chain(parts).map(String::from).collect()
}

#[derive(Debug, PartialEq, Clone)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Mark(char),
}

struct TokenWalk {
    /// With the line of each.
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// The module we are in, with inline modules.
    module: Vec<String>,
    /// The depth at which each inline module was opened.
    opened_at: Vec<usize>,
    mentions: Vec<PathMention>,
    test_modules: Vec<String>,
}

impl TokenWalk {
    fn file(&mut self) {
        while let Some((token, line)) = self.tokens.get(self.at).cloned() {
            match token {
                Token::Mark('#') if self.is_cfg_test() => self.skip_test_item(),
                Token::Mark('{') => self.open(),
                Token::Mark('}') => self.close(),
                Token::Word(word) if word == "mod" && self.mark(2) == Some('{') => {
                    if let Some(name) = self.word(1) {
                        self.module.push(name);
                        self.opened_at.push(self.depth);
                    }
                    self.at += 2;
                }
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                Token::Word(word) if self.begins_path() => self.path(word, line),
                _ => self.at += 1,
            }
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        self.at += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.opened_at.last() == Some(&self.depth) {
            self.opened_at.pop();
            self.module.pop();
        }
        self.at += 1;
    }

    /// A word that is followed by `::` and does not itself go on a path or a method call.
    fn begins_path(&self) -> bool {
        let before = |back: usize| {
            self.at.checked_sub(back).and_then(|at| self.tokens.get(at)).map(|(token, _)| token)
        };
        let goes_on = match before(1) {
            Some(Token::Colons) => matches!(before(2), Some(Token::Word(_) | Token::Mark('>'))),
            Some(Token::Mark('.')) => true,
            _ => false,
        };
        !goes_on && self.colons(1)
    }

    fn path(&mut self, first: String, line: usize) {
        let mut parts = vec![first];
        self.at += 1;
        while self.colons(0) {
            let Some(word) = self.word(1) else { break };
            parts.push(word);
            self.at += 2;
        }
        self.mention(&parts, line);
    }

    /// Reads one branch of a `use` up to the `,`, `}` or `;` that ends it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut parts = prefix.to_vec();
        let mut whole = true;
        while let Some((token, line)) = self.tokens.get(self.at).cloned() {
            match token {
                Token::Mark('{') => {
                    whole = false;
                    self.at += 1;
                    while self.at < self.tokens.len() && self.mark(0) != Some('}') {
                        self.use_tree(&parts);
                        if self.mark(0) != Some('}') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                }
                Token::Mark('*') => {
                    parts.push("*".into());
                    self.at += 1;
                }
                Token::Word(word) if word == "as" => self.at += 2,
                Token::Word(word) => {
                    if word != "self" || parts.is_empty() {
                        parts.push(word);
                    }
                    self.at += 1;
                }
                Token::Colons => self.at += 1,
                Token::Mark(_) => {
                    if whole && !parts.is_empty() {
                        self.mention(&parts, line);
                    }
                    return;
                }
            }
        }
    }

    fn mention(&mut self, parts: &[String], line: usize) {
        let mut place = self.module.clone();
        let mut rest = parts;
        match parts.first().map(String::as_str) {
            Some("crate") => {
                place.truncate(1);
                rest = &parts[1..];
            }
            Some("self") => rest = &parts[1..],
            Some("super") => {}
            // A crate cannot name itself so: it is something local of the same name.
            Some(first) if first == self.module[0] => return,
            _ => place.clear(),
        }
        while let [first, tail @ ..] = rest
            && first == "super"
        {
            place.pop();
            rest = tail;
        }
        place.extend(rest.iter().cloned());
        self.mentions.push(PathMention { line, path: place.join("::") });
    }

    /// Stands before `#[cfg(test)]`?
    fn is_cfg_test(&self) -> bool {
        self.mark(1) == Some('[')
            && self.word(2).as_deref() == Some("cfg")
            && self.mark(3) == Some('(')
            && self.word(4).as_deref() == Some("test")
            && self.mark(5) == Some(')')
    }

    /// Goes behind the item that is compiled for tests only: to its `;` or its closing brace.
    fn skip_test_item(&mut self) {
        self.at += 7;
        let mut depth = 0_usize;
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Word(word) if depth == 0 && word == "mod" && self.mark(2) == Some(';') => {
                    let name = self.word(1).unwrap_or_default();
                    self.test_modules.push(format!("{}::{name}", self.module.join("::")));
                }
                Token::Mark('{' | '(' | '[') => depth += 1,
                // The end of what the item stands in: a field or a statement without a semicolon.
                Token::Mark('}' | ')') if depth == 0 => return,
                Token::Mark('}') if depth == 1 => {
                    self.at += 1;
                    return;
                }
                Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
                Token::Mark(';' | ',') if depth == 0 => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn word(&self, ahead: usize) -> Option<String> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Word(word), _)) => Some(word.clone()),
            _ => None,
        }
    }

    fn mark(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Mark(mark), _)) => Some(*mark),
            _ => None,
        }
    }

    fn colons(&self, ahead: usize) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some((Token::Colons, _)))
    }
}

/// The words and marks of `text`, without comments and literals.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let end = match c {
            '/' if next == Some('/') => after_line(&chars, at),
            '/' if next == Some('*') => after_comment(&chars, at),
            '"' => after_string(&chars, at),
            '\'' => after_quote(&chars, at),
            ':' if next == Some(':') => {
                found.push((Token::Colons, line));
                at + 2
            }
            _ if is_word(c) => {
                let end = (at..chars.len()).find(|&i| !is_word(chars[i])).unwrap_or(chars.len());
                let word: String = chars[at..end].iter().collect();
                match raw_string_end(&chars, &word, end) {
                    Some(end) => end,
                    None => {
                        if !c.is_ascii_digit() {
                            found.push((Token::Word(word), line));
                        }
                        end
                    }
                }
            }
            _ => {
                if !c.is_whitespace() {
                    found.push((Token::Mark(c), line));
                }
                at + 1
            }
        };
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn after_line(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
}

fn after_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0_usize, from);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn after_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Behind a character literal, or behind the quote of a lifetime.
fn after_quote(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => {
            (from + 3..chars.len()).find(|&i| chars[i] == '\'').map_or(chars.len(), |closing| closing + 1)
        }
        (Some(_), Some('\'')) => from + 3,
        _ => from + 1,
    }
}

/// Where the raw string ends whose prefix (`r`, `br`, `cr`) ends at `from`; `None` when it is no raw string.
fn raw_string_end(chars: &[char], prefix: &str, from: usize) -> Option<usize> {
    if !["r", "br", "cr"].contains(&prefix) {
        return None;
    }
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = from + hashes + 1;
    let length = chars[body..].windows(closing.len()).position(|window| window == closing)?;
    Some(body + length + closing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        read("server", "shop/orders.rs", text).mentions.into_iter().map(|mention| mention.path).collect()
    }

    #[test]
    fn comments_strings_and_lifetimes_name_nothing() {
        let text = r##"
            // axum::a
            /* axum::b /* axum::c */ axum::d */
            fn f<'a>(x: &'a str) -> char { let _ = ("axum::e \" axum::f", r#"axum::g " axum::h"#, b"axum::i"); '"' }
            fn g() -> char { '\'' } // "
            use axum::j;
        "##;
        assert_eq!(paths(text), ["axum::j"]);
    }

    #[test]
    fn a_use_tree_names_every_leaf() {
        let text = "pub(crate) use ::axum::{self, http::{header as h, *}, Json,};\nuse tokio as t;";
        assert_eq!(paths(text), ["axum", "axum::http::header", "axum::http::*", "axum::Json", "tokio"]);
    }

    #[test]
    fn paths_are_resolved_from_where_they_stand() {
        let text = "use super::ids; mod inner { fn f() { super::super::a::b(); self::c::d(); } } fn g() { crate::e(); }";
        assert_eq!(
            paths(text),
            ["server::shop::ids", "server::shop::a::b", "server::shop::orders::inner::c::d", "server::e"]
        );
    }

    #[test]
    fn a_local_name_like_the_crate_is_not_the_crate() {
        assert_eq!(paths("use crate::http::server; fn f() { server::listen(); }"), ["server::http::server"]);
    }

    #[test]
    fn a_continued_path_is_one_path() {
        let text = "fn f() { x.collect::<Vec<serde::A>>(); <T as axum::B>::c::d(); axum::e::<u8>::f(); ::std::fs::g(); }";
        assert_eq!(paths(text), ["serde::A", "axum::B", "axum::e", "std::fs::g"]);
    }

    #[test]
    fn what_is_compiled_for_tests_only_is_left_out() {
        let text = "#[cfg(test)] mod cases; #[cfg(test)] use axum::a; struct S { #[cfg(test)] b: axum::b, c: axum::c }
            #[cfg(test)] #[expect(x)] mod tests { fn f() { axum::d(); } } fn g() { axum::e(); }";
        assert_eq!(paths(text), ["axum::c", "axum::e"]);
        assert_eq!(read("server", "shop/mod.rs", text).test_modules, ["server::shop::cases"]);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let text = "//! Doc.\n/*\n*/ const A: &str = \"\n\\\n\"; use axum::a;\n";
        let source = read("server", "lib.rs", text);
        assert!(source.opens_with_doc);
        assert_eq!((source.mentions[0].line, source.module.len()), (5, 1));
    }
}
