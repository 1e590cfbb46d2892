//! `queqiao people import`: a table of an app that was there before.

use std::fs;

use serde_json::{Value, json};

use super::{CliFixture, MP, OA};

/// A sheet with a shared text, a number as staff id, an empty row, a boolean, and a number that
/// Excel has rounded.
const XLSX: &[u8] = include_bytes!("people.xlsx");

both_engines! {
    a_csv_file_is_brought_in_once,
    an_excel_file_is_brought_in,
}

async fn a_csv_file_is_brought_in_once(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let import = |file: &str, more: &[&str]| {
        let arguments = [&["people", "import", "--account", MP, file], more].concat();
        cli.program.run(&arguments)
    };
    let write = |name: &str, text: &str| fs::write(cli.program.directory.join(name), text).unwrap();
    write(
        "people.csv",
        "openid,unionid,staff_id,consents.tpl-once\noOne,uOne,e1,2\noTwo,,,long_term\n",
    );
    let dry = import("people.csv", &["--dry-run", "--create-staff"]).ok();
    assert!(
        dry.contains("2 rows: 2 created, 0 updated, 0 unchanged, 0 refused")
            && dry.contains("nothing is stored"),
        "{dry}"
    );
    assert_eq!(cli.get(&serve, "/people").await["items"], json!([]));
    let unknown = import("people.csv", &[]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(
        unknown
            .out
            .contains("row 2      refused    oOne  unknown_staff: There is no staff member \"e1\""),
        "{unknown:?}"
    );
    assert!(
        unknown.out.contains("1 created") && unknown.err.contains("1 of 2 rows are refused"),
        "{unknown:?}"
    );
    let created = import("people.csv", &["--create-staff", "--every-row"]).ok();
    assert!(
        created.contains("created    oOne") && created.contains("unchanged  oTwo"),
        "{created}"
    );
    let again = import("people.csv", &[]).ok();
    assert_eq!(
        again.trim(),
        "2 rows: 0 created, 0 updated, 2 unchanged, 0 refused"
    );
    let people = cli.get(&serve, "/people?staff_id=e1").await;
    assert_eq!(people["items"][0]["unionid"], "uOne");
    let credits = cli.get(&serve, "/staff/e1/credits").await;
    assert_eq!(credits["items"][0]["one_time_left"], 2);

    write("bad.csv", "openid,nickname\noOne,x\n");
    write("gbk.csv", "openid\n");
    for (file, account, said) in [
        ("bad.csv", MP, "nickname"),
        ("none.csv", MP, "none.csv"),
        ("gbk.csv", MP, "no rows"),
        ("people.csv", OA, "followers import"),
        ("people.csv", "wx0000000000000bad", "no account"),
    ] {
        let refused = cli
            .program
            .run(&["people", "import", "--account", account, file]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

async fn an_excel_file_is_brought_in(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    fs::write(cli.program.directory.join("people.xlsx"), XLSX).unwrap();
    let import = |more: &[&str]| {
        let arguments = [
            &[
                "people",
                "import",
                "--account",
                MP,
                "people.xlsx",
                "--create-staff",
            ],
            more,
        ]
        .concat();
        cli.program.run(&arguments)
    };
    let other = import(&[]);
    assert!(
        other.err.contains("what this is"),
        "the first sheet is none of people: {other:?}"
    );
    let missing = import(&["--sheet", "Leute"]);
    assert!(missing.err.contains("Notes, People"), "{missing:?}");
    let said = import(&["--sheet", "People"]);
    assert!(
        said.out
            .contains("4 rows: 2 created, 0 updated, 0 unchanged, 2 refused"),
        "{said:?}"
    );
    assert!(
        said.out.contains("row 5") && said.out.contains("TRUE or FALSE"),
        "{said:?}"
    );
    assert!(
        said.out.contains("row 6") && said.out.contains("15 digits"),
        "{said:?}"
    );
    let staff: Vec<Value> = ["1001", "张三"].iter().map(|id| json!([id])).collect();
    for (openid, staff) in ["oSheet1", "oSheet2"].iter().zip(staff) {
        let people = cli.get(&serve, &format!("/people?openid={openid}")).await;
        assert_eq!(people["items"][0]["staff_ids"], staff);
    }
}
