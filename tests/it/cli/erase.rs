//! Erasing somebody from the command line.

use queqiao::simulator::{Origin, population};

use super::{CliFixture, MP, OA};

both_engines! {
    somebody_is_erased_by_openid_and_by_number,
}

async fn somebody_is_erased_by_openid_and_by_number(cli: CliFixture) {
    cli.world()
        .add_followers(OA, 0..3, &Origin::search())
        .unwrap();
    let import = || {
        cli.program
            .run(&["followers", "import", "--account", OA])
            .ok()
    };
    assert!(import().contains("3 followers seen, 3 of them new"));
    let erase = |arguments: &[&str]| cli.program.run(&[&["people", "erase"], arguments].concat());
    let openid = population::openid(OA, 1);
    let by_openid = ["--account", OA, "--openid", openid.as_str()];
    let said = erase(&by_openid).ok();
    assert!(said.contains("Erased: 1 identities, 0 bindings"), "{said}");
    let refused = erase(&by_openid);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.err.contains("nobody in this project has that id"),
        "{refused:?}"
    );
    assert!(erase(&["1"]).ok().contains("Erased: 1 identities"));
    assert!(
        erase(&["1"]).ok().contains("Erased: 1 identities"),
        "the same one"
    );
    // The list still has them.
    assert!(import().contains("3 followers seen, 0 of them new"));
    for (arguments, said) in [
        (&[][..], "say whom"),
        (&["999"], "no such identity"),
        (
            &["--account", MP, "--openid", openid.as_str()],
            "nobody in this project",
        ),
        (&["--unionid", "oNOBODY"], "nobody in this project"),
    ] {
        let refused = erase(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
}
