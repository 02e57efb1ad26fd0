//! The modules import downwards only: this keeps the picture in the crate's documentation true.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Modules of one row do not know each other.
const ROWS: [&[&str]; 9] = [
    &["clock", "error"],
    &["cache", "oauth"],
    &["instance", "jwt", "mcp"],
    &["metadata"],
    &["response"],
    &["access_policy", "bearer_auth", "clerk", "services"],
    &["clerk_mcp"],
    &["testing", "fuzzing"],
    &["guide", "lib"],
];

/// The column that knows requests and responses.
const HTTP: [&str; 5] = ["access_policy", "bearer_auth", "mcp", "response", "services"];

#[test]
fn imports_point_downwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let own = module(relative);
        let own_row = row(&own);
        for imported in imports(&fs::read_to_string(&file).unwrap()) {
            if imported != own && own_row.is_some() && row(&imported) >= own_row {
                wrong.push(format!("{} imports {imported}", relative.display()));
            }
        }
        assert!(own_row.is_some(), "{own} has no place in the picture");
    }
    assert_eq!(wrong, [""; 0], "imports that do not point downwards");
}

#[test]
fn one_module_knows_the_http_client_and_the_http_column_does_not_know_clerk() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let own = module(relative);
        let text = fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        if own != "clerk" && own != "testing" {
            assert!(!code.contains("reqwest"), "{}", relative.display());
        }
        if HTTP.contains(&own.as_str()) {
            let knows = [
                "crate::clerk",
                "ClerkVerifier",
                "ClerkClient",
                "ClerkError",
                "FrontendApi",
                "PublishableKey",
            ];
            let known = knows.iter().find(|name| code.contains(**name));
            assert_eq!(known, None, "{} knows Clerk", relative.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The top-level module of a file.
fn module(relative: &Path) -> String {
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// What `crate::` is followed by in code, comments left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()
        })
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}
