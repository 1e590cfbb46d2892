//! `queqiao demo --once`: the whole story, and an exit code that says whether it came true.

use queqiao::db::Engine;

use crate::support::program::Program;

#[test]
fn the_demo_works() {
    let program = Program::new(Engine::Sqlite);
    let told = program.run(&["demo", "--once"]);
    let out = told.ok();
    assert!(out.contains("receipts"), "{out}");
    assert!(out.contains("20 is the limit"), "{out}");
    assert!(out.contains("is refused: used"), "{out}");
    assert!(out.contains("mp_subscribe: taken"), "{out}");
    assert!(
        out.contains("template: not_following The person does not follow"),
        "{out}"
    );
    assert!(out.lines().count() > 20, "{out}");
}
