//! The layout of `src`: modules import only from lower layers, and files have a module comment.

use std::fs;
use std::path::{Path, PathBuf};

/// The document whose first `text` block shows the layers, top row first.
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The modules that handle requests and responses, and must not depend on Clerk.
const HTTP: [&str; 5] = ["access_policy", "bearer_auth", "mcp", "response", "services"];

/// The settings of the HTTP client, for the modules that use it.
const HTTP_CLIENT_SETTINGS: &str = "clock/http_client.rs";

/// The bound on the number of files and folders at the top of `src`.
const MAX_TOP_LEVEL_ENTRIES: usize = 18;

#[test]
fn imports_point_downwards() {
    let layers = layers(ARCHITECTURE);
    let row = |module: &str| layers.iter().position(|row| row.contains(&module));
    let mut wrong = Vec::new();
    for file in sources(&src()) {
        let own = module(&file);
        let own_row = row(&own);
        assert!(own_row.is_some(), "{own} is missing in ARCHITECTURE.md");
        for imported in imports(&fs::read_to_string(&file).unwrap()) {
            if imported != own && row(&imported) >= own_row {
                wrong.push(format!("{} imports {imported}", relative(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point downwards: {wrong:#?}");
}

#[test]
fn only_clerk_and_client_use_the_http_client_and_the_http_modules_do_not_depend_on_clerk() {
    for file in sources(&src()) {
        let own = module(&file);
        let text = fs::read_to_string(&file).unwrap();
        let code: String = code_lines(&text).collect::<Vec<_>>().join("\n");
        let is_settings = relative(&file) == HTTP_CLIENT_SETTINGS;
        if !["clerk", "client", "testing"].contains(&own.as_str()) && !is_settings {
            assert!(!code.contains("reqwest"), "{}", relative(&file));
        }
        if HTTP.contains(&own.as_str()) {
            let clerk = [
                "crate::clerk",
                "ClerkVerifier",
                "ClerkClient",
                "ClerkError",
                "FrontendApi",
                "PublishableKey",
            ];
            let used = clerk.iter().find(|name| code.contains(**name));
            assert_eq!(used, None, "{} depends on Clerk", relative(&file));
        }
    }
}

#[test]
fn every_file_begins_with_a_module_comment() {
    let starts_with_comment = |file: &PathBuf| fs::read_to_string(file).unwrap().starts_with("//!");
    let files = sources(&src());
    let without: Vec<_> =
        files.iter().filter(|file| !starts_with_comment(file)).map(|file| relative(file)).collect();
    assert!(without.is_empty(), "files that do not begin with `//!`: {without:#?}");
}

#[test]
fn the_top_of_src_stays_small() {
    let count = fs::read_dir(src()).unwrap().count();
    assert!(count <= MAX_TOP_LEVEL_ENTRIES, "{count} files and folders");
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Parses the layers, bottom row first: one row per line, modules separated by spaces.
fn layers(architecture: &str) -> Vec<Vec<&str>> {
    let block = architecture.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().rev().map(|row| row.split_whitespace().collect()).collect()
}

/// The Rust files in this folder and below it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The path of a file relative to `src`.
fn relative(file: &Path) -> String {
    file.strip_prefix(src()).unwrap().display().to_string()
}

/// The top-level module of a file.
fn module(file: &Path) -> String {
    let first = file.strip_prefix(src()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The lines of a file without line comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The modules that are named after `crate::`.
fn imports(text: &str) -> Vec<String> {
    code_lines(text)
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()
        })
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}
