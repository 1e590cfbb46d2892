//! `queqiao staff`: the list, bindings and invitations, and staff as a file.

use std::fs;

use queqiao::simulator::population;
use serde_json::json;

use super::{CliFixture, MP, OA};

both_engines! {
    a_member_is_listed_bound_invited_and_unbound,
    a_file_is_brought_in_and_given_out_unchanged,
    a_file_that_is_none_is_refused,
}

async fn a_member_is_listed_bound_invited_and_unbound(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let api = cli.api(&serve);
    api.put(
        "/staff/e1",
        json!({"name": "王芳", "tags": ["night"], "phone": "13800138000"}),
    )
    .await
    .ok(201);
    api.put("/staff/e2", json!({})).await.ok(201);
    let staff = |arguments: &[&str]| cli.program.run(&[&["staff"], arguments].concat());
    let unionid = population::unionid(1);
    let bound = staff(&["bind", "e1", "--unionid", &unionid]).ok();
    assert!(bound.contains("e1 is bound: binding"), "{bound}");
    let again = staff(&["bind", "e1", "--unionid", &unionid]).ok();
    assert!(again.contains("bound before"), "{again}");
    let other = staff(&["bind", "e2", "--unionid", &unionid]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(other.err.contains("bound to staff member e1"), "{other:?}");
    let openid = population::openid(OA, 2);
    staff(&["bind", "e2", "--account", OA, "--openid", &openid]).ok();
    let nobody = staff(&["bind", "e2"]);
    assert!(nobody.err.contains("--unionid"), "{nobody:?}");
    let half = staff(&["bind", "e2", "--openid", &openid]);
    assert!(half.err.contains("--account"), "{half:?}");

    let list = staff(&["list"]).ok();
    let lines: Vec<&str> = list.lines().collect();
    assert!(
        lines[0].starts_with("e2 ") && lines[1].starts_with("e1 "),
        "{list}"
    );
    assert!(
        lines[1].contains("王芳") && lines[1].contains("no_identity_in_account"),
        "{list}"
    );
    assert!(lines[0].contains("reachable"), "{list}");
    let only = staff(&[
        "list",
        "--reachable",
        "false",
        "--reason",
        "no_identity_in_account",
    ])
    .ok();
    assert!(
        only.starts_with("e1 ") && only.lines().count() == 1,
        "{only}"
    );
    let wrong = staff(&["list", "--reason", "gone"]);
    assert!(wrong.err.contains("not_following"), "{wrong:?}");

    let shown = staff(&["show", "e1"]).ok();
    for word in [
        "王芳",
        "13800138000",
        "night",
        &unionid,
        "no_identity_in_account",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let shown = staff(&["show", "e2"]).ok();
    assert!(
        shown.contains(&format!("openid {openid} of {OA}")),
        "{shown}"
    );
    let missing = staff(&["show", "e9"]);
    assert!(missing.err.contains("e9"), "{missing:?}");

    let member = cli.get(&serve, "/staff/e1").await;
    let id = member["bindings"][0]["id"].to_string();
    let foreign = staff(&["unbind", "e2", &id]);
    assert!(foreign.err.contains("no such binding"), "{foreign:?}");
    staff(&["unbind", "e1", &id]).ok();
    assert_eq!(cli.get(&serve, "/staff/e1").await["bindings"], json!([]));

    let invited = staff(&[
        "invite",
        "e1",
        "--account",
        OA,
        "--mini-program",
        MP,
        "--path",
        "pages/bind",
    ])
    .ok();
    assert!(
        invited.contains("showqrcode") && invited.contains("pages/bind?invitation=qqi_"),
        "{invited}"
    );
    let invitations = cli.get(&serve, "/staff/e1/invitations").await;
    assert_eq!(invitations["items"][0]["state"], "open");
    let page = staff(&[
        "invite",
        "e1",
        "--account",
        OA,
        "--mini-program",
        MP,
        "--path",
        "/pages",
    ]);
    assert!(page.err.contains("--path must be a page"), "{page:?}");
    let short = staff(&["invite", "e1", "--account", OA, "--expires-in-seconds", "5"]);
    assert!(short.err.contains("60"), "{short:?}");
}

async fn a_file_is_brought_in_and_given_out_unchanged(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let staff = |arguments: &[&str]| cli.program.run(&[&["staff"], arguments].concat());
    let write = |name: &str, text: &str| fs::write(cli.program.directory.join(name), text).unwrap();
    let (openid, unionid) = (population::openid(OA, 1), population::unionid(2));
    write(
        "staff.csv",
        &format!(
            "\u{feff}工号,姓名,标签,手机号,app_id,openid,unionid\r\n\
             007,张三,仓库、夜班,+86 138-0013-8000,{OA},{openid},\r\n\
             007,张三,,,,,{unionid}\r\n\
             008,=1+1,\"\"\"a;b\"\"\",,,,\r\n"
        ),
    );
    let trial = staff(&["import", "staff.csv", "--dry-run"]).ok();
    assert!(
        trial.contains("3 rows: 2 created, 1 updated, 0 unchanged, 0 refused")
            && trial.contains("nothing is stored"),
        "{trial}"
    );
    assert_eq!(cli.get(&serve, "/staff").await["items"], json!([]));
    let done = staff(&["import", "staff.csv", "--every-row"]).ok();
    assert!(
        done.contains("row 2      created    007  bound") && done.contains("2 of them bind"),
        "{done}"
    );
    let member = cli.get(&serve, "/staff/007").await;
    assert_eq!(member["tags"], json!(["仓库", "夜班"]));
    assert_eq!(member["phone"], "+8613800138000");
    assert_eq!(member["bindings"].as_array().unwrap().len(), 2);
    assert_eq!(cli.get(&serve, "/staff/008").await["tags"], json!(["a;b"]));

    let unchanged = "3 rows: 0 created, 0 updated, 3 unchanged, 0 refused";
    assert_eq!(staff(&["import", "staff.csv"]).ok().trim(), unchanged);
    for file in ["out.csv", "out.xlsx"] {
        let written = staff(&["export", file]).ok();
        assert!(written.contains("3 rows written"), "{written}");
        assert_eq!(staff(&["import", file]).ok().trim(), unchanged, "{file}");
    }
    let text = fs::read_to_string(cli.program.directory.join("out.csv")).unwrap();
    assert!(text.contains("008,'=1+1,"), "{text}");
    let filtered = staff(&["export", "one.csv", "--reason", "not_bound"]).ok();
    assert!(filtered.contains("1 rows written"), "{filtered}");

    // A row that is refused is said, and the others are taken.
    write(
        "bad.csv",
        &format!("工号,姓名,unionid\n009,李四,{unionid}\n010,王五,\n"),
    );
    let bad = staff(&["import", "bad.csv"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(
        bad.out
            .contains("row 2      refused    009  already_bound:")
            && bad.err.contains("1 of 2 rows are refused"),
        "{bad:?}"
    );
    assert_eq!(cli.get(&serve, "/staff/010").await["name"], "王五");
}

async fn a_file_that_is_none_is_refused(cli: CliFixture) {
    let staff = |arguments: &[&str]| cli.program.run(&[&["staff"], arguments].concat());
    let write = |name: &str, text: &str| fs::write(cli.program.directory.join(name), text).unwrap();
    write("other.csv", "工号,部门\n007,销售\n");
    write("none.csv", "姓名\n张三\n");
    for (arguments, said) in [
        (&["import", "other.csv"][..], "部门"),
        (
            &["import", "none.csv", "--ignore-other-columns"],
            "no column staff_id",
        ),
        (&["import", "missing.csv"], "missing.csv"),
        (&["export", "out.xls"], ".csv or .xlsx"),
    ] {
        let refused = staff(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    let taken = staff(&["import", "other.csv", "--ignore-other-columns"]).ok();
    assert!(taken.contains("1 created"), "{taken}");
    assert!(!cli.program.directory.join("out.xls").exists());
}
