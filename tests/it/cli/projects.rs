//! Projects on the command line, and the time zone of each.

use super::CliFixture;

both_engines! {
    a_project_has_a_time_zone,
}

async fn a_project_has_a_time_zone(cli: CliFixture) {
    let list = || cli.program.run(&["projects", "list"]).ok();
    assert!(list().trim_end().ends_with("Asia/Shanghai"), "{}", list());
    cli.program
        .run(&["projects", "set", "shop", "--time-zone", "Europe/Berlin"])
        .ok();
    assert!(list().trim_end().ends_with("Europe/Berlin"), "{}", list());
    cli.program
        .run(&["projects", "add", "other", "--time-zone", "UTC"])
        .ok();
    let table = list();
    let last = table.lines().last().unwrap();
    assert!(
        last.starts_with("other ") && last.ends_with(" UTC"),
        "{table}"
    );
    for (arguments, said) in [
        (
            &["projects", "set", "shop", "--time-zone", "Beijing"][..],
            "Asia/Shanghai",
        ),
        (
            &["projects", "set", "nobody", "--time-zone", "UTC"],
            "projects list",
        ),
        (
            &["projects", "add", "third", "--time-zone", "+08:00"],
            "Asia/Shanghai",
        ),
    ] {
        let refused = cli.program.run(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    assert_eq!(list().lines().count(), 2);
}
