//! The limits that keep type names readable: the share of single-word names and the share of names that two types have. It
//! parses lines, not types, of every crate's `src`, unit tests included.

use super::{root, rust_files};
use std::collections::BTreeMap;

/// Codebases of this field that are read with ease have 26 to 29 %.
const SINGLE_WORDS_MAX_PERCENT: usize = 30;
const SHARED_NAMES_MAX_PERCENT: usize = 10;

/// The places where each type name is defined, as `file:line`.
type TypeDefinitions = BTreeMap<String, Vec<String>>;

#[test]
fn most_type_names_have_two_words_and_one_meaning() {
    let crates = root().join("crates");
    let mut definitions = TypeDefinitions::new();
    for file in rust_files(&crates) {
        let path = file.strip_prefix(&crates).expect("the file lies in the folder").to_string_lossy();
        if path.split('/').nth(1) == Some("src") && path.ends_with(".rs") {
            let text = std::fs::read_to_string(&file).expect("source is readable UTF-8");
            collect_definitions(&format!("crates/{path}"), &text, &mut definitions);
        }
    }
    let total: usize = definitions.values().map(Vec::len).sum();
    assert!(total > 0, "no type is found");
    assert_share(&definitions, total, SINGLE_WORDS_MAX_PERCENT, "a single word", |name, _| {
        is_single_word(name)
    });
    assert_share(&definitions, total, SHARED_NAMES_MAX_PERCENT, "borne by two types", |_, places| {
        places.len() > 1
    });
}

#[test]
fn definitions_are_found_and_counted() {
    let text = "pub struct Order;\npub(crate) enum OrderStatus {}\n    type Output = u8;\ntype Pair = ();\n// struct Comment\nunsafe trait HTTPThing {}\n";
    let mut definitions = TypeDefinitions::new();
    collect_definitions("a.rs", text, &mut definitions);
    collect_definitions("b.rs", "pub struct Order {\n", &mut definitions);
    let names: Vec<&str> = definitions.keys().map(String::as_str).collect();
    assert_eq!(names, ["HTTPThing", "Order", "OrderStatus", "Pair"]);
    assert_eq!(definitions["Order"], ["a.rs:1", "b.rs:1"]);
    assert!(is_single_word("Order") && is_single_word("HTTPThing") && !is_single_word("OrderStatus"));
}

fn assert_share(
    definitions: &TypeDefinitions,
    total: usize,
    max_percent: usize,
    what: &str,
    is_counted: impl Fn(&str, &[String]) -> bool,
) {
    let counted: Vec<_> = definitions.iter().filter(|(name, places)| is_counted(name, places)).collect();
    let count: usize = counted.iter().map(|(_, places)| places.len()).sum();
    let names: Vec<String> =
        counted.iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect();
    assert!(
        count * 100 <= total * max_percent,
        "of {total} type names {count} are {what}, and {max_percent} % may be:\n{}",
        names.join("\n")
    );
}

fn collect_definitions(file: &str, text: &str, definitions: &mut TypeDefinitions) {
    for (number, line) in (1..).zip(text.lines()) {
        let mut words =
            line.split_whitespace().skip_while(|word| word.starts_with("pub") || *word == "unsafe");
        let is_definition = match words.next() {
            Some("struct" | "enum" | "trait") => true,
            // An indented one is an associated type.
            Some("type") => !line.starts_with(' '),
            _ => false,
        };
        let Some(name) = words.next().filter(|_| is_definition) else { continue };
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.starts_with(char::is_uppercase) {
            definitions.entry(name).or_default().push(format!("{file}:{number}"));
        }
    }
}

/// True without a capital behind a small letter or digit.
fn is_single_word(name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    !letters.windows(2).any(|pair| !pair[0].is_uppercase() && pair[1].is_uppercase())
}
