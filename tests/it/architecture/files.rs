//! A file is one room: it has a ceiling.

use crate::support::files_below;

const CEILING: usize = 500;

#[test]
fn no_file_is_longer_than_its_ceiling() {
    let mut files = files_below("src", "rs");
    files.extend(files_below("tests", "rs"));
    assert!(files.len() > 10, "only {} files found", files.len());
    let mut too_long = Vec::new();
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        if lines > CEILING {
            too_long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(
        too_long.is_empty(),
        "longer than {CEILING} lines:\n{}",
        too_long.join("\n")
    );
}
