//! Commands print through one writer, which shows what could command a terminal as text.

use crate::support::files_below;

#[test]
fn commands_print_through_the_writer_alone() {
    let mut strays = Vec::new();
    for file in files_below("src", "rs") {
        let path = file.display().to_string();
        let source = std::fs::read_to_string(&file).unwrap();
        if path.ends_with("cli/terminal.rs") {
            continue;
        }
        let prints = ["println!(", "print!("];
        strays.extend(
            prints
                .iter()
                .filter(|print| source.contains(**print))
                .map(|_| path.clone()),
        );
    }
    assert!(
        strays.is_empty(),
        "use say! and note! of src/cli/terminal.rs: {strays:?}"
    );
}
