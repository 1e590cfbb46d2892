//! Commands used wrongly: the exit code, and a text that names what is wrong.

use queqiao::db::Engine;

use crate::support::postgres;
use crate::support::program::Program;

/// What is given, the exit code, and what the text names.
type Case<'a> = (&'a [&'a str], i32, &'a str);

const URL: &str = "http://127.0.0.1:9/callback/wx1";

/// In an installation without a project.
const EMPTY: [Case<'_>; 16] = [
    (&[], 2, "Usage"),
    (&["fly"], 2, "fly"),
    (&["serve", "--role", "king"], 2, "king"),
    (&["serve", "--bind", "nowhere"], 1, "nowhere"),
    (&["accounts", "list"], 1, "projects add"),
    (&["keys", "add", "a"], 1, "projects add"),
    (&["projects", "add", " "], 1, "NAME"),
    (&["keys", "revoke", "x"], 2, "x"),
    (&["keys", "add", "a", "--scopes", "all"], 2, "all"),
    (
        &["trigger", "subscribe", "--url", "not a url", "--token", "t"],
        2,
        "not a url",
    ),
    (
        &["trigger", "subscribe", "--url", URL, "--token", "t"],
        1,
        "EncodingAESKey",
    ),
    (&["load", "--url", URL, "--token", "t"], 1, "--aes-key"),
    (&["explain", "undefined"], 2, "a value is missing"),
    (
        &["deliveries", "list", "--staff", "NaN"],
        2,
        "a value is missing",
    ),
    (
        &[
            "trigger", "text", "--url", URL, "--token", "t", "--openid", "gh_1",
        ],
        2,
        "original id",
    ),
    (&["--config", "missing.toml", "migrate"], 1, "missing.toml"),
];

const ADD: [&str; 3] = ["accounts", "add", "wx0123456789abcdef"];

/// In one with the project `one`.
const WITH_PROJECT: [Case<'_>; 5] = [
    (&["projects", "add", "one"], 1, "already"),
    (&ADD, 1, "--kind"),
    (
        &["accounts", "set", "wx0123456789abcdef", "--name", "x"],
        1,
        "not an account",
    ),
    (&["accounts", "list", "--project", "two"], 1, "two"),
    (&["keys", "revoke", "7"], 1, "7"),
];

fn check(program: &Program, (arguments, code, reason): Case<'_>) {
    let said = program.run(arguments);
    assert_eq!(said.status.code(), Some(code), "{arguments:?}: {said:?}");
    assert!(said.err.contains(reason), "{arguments:?}: {said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
}

#[test]
fn a_misused_command_says_what_is_wrong() {
    let program = Program::new(Engine::Sqlite);
    for case in EMPTY {
        check(&program, case);
    }
    program.run(&["projects", "add", "one"]).ok();
    for case in WITH_PROJECT {
        check(&program, case);
    }
}

#[test]
fn a_malformed_account_is_refused_without_repeating_its_secret() {
    let program = Program::new(Engine::Sqlite);
    program.run(&["projects", "add", "one"]).ok();
    let kind = ["--kind", "official_account"];
    let nonsense = [&["accounts", "add", "nonsense"], kind.as_slice()].concat();
    check(&program, (&nonsense, 1, "app_id"));
    for (option, value, reason) in [
        ("--aes-key", "tooshort-secret", "43"),
        ("--token", "a token with spaces", "token"),
        ("--token", "@missing-file", "missing-file"),
        ("--mode", "half", "half"),
    ] {
        let arguments = [&ADD, kind.as_slice(), &[option, value]].concat();
        let said = program.run(&arguments);
        assert!(!said.status.success(), "{arguments:?}: {said:?}");
        assert!(said.err.contains(reason), "{arguments:?}: {said:?}");
        assert!(!said.err.contains("tooshort-secret"), "{said:?}");
    }
    assert_eq!(program.run(&["accounts", "list"]).ok(), "");
}

#[test]
fn an_account_in_plain_mode_is_given_no_key() {
    let program = Program::new(Engine::Sqlite);
    program.run(&["projects", "add", "one"]).ok();
    let plain = ["--kind", "official_account", "--mode", "plain"];
    let said = program.run(&[&ADD, plain.as_slice()].concat()).ok();
    assert!(said.contains("a test account has none"), "{said}");
    let secure = ["accounts", "set", "wx0123456789abcdef", "--mode", "secure"];
    check(&program, (&secure, 1, "aes_key"));
}

#[test]
fn a_template_result_needs_a_msgid() {
    let program = Program::new(Engine::Sqlite);
    let of = [
        "trigger",
        "template-result",
        "--url",
        URL,
        "--token",
        "t",
        "--mode",
        "plain",
    ];
    let arguments = [of.as_slice(), &["--key", "x"]].concat();
    check(&program, (&arguments, 1, "msgid"));
}

#[test]
fn nobody_reading_on_is_no_failure() {
    let program = Program::new(Engine::Sqlite);
    program.run(&["projects", "add", "shop"]).ok();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = program
        .command(&["projects", "list"])
        .stdout(writer)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_variable_that_is_no_setting_is_refused_by_every_command() {
    let mut program = Program::new(Engine::Sqlite);
    program
        .settings
        .push(("QUEQIAO_WECHAT_BASE_URL", "http://127.0.0.1:9"));
    for arguments in [
        &["projects", "list"][..],
        &["serve", "--bind", "127.0.0.1:0"],
        &["simulate"],
        &["demo", "--once"],
    ] {
        check(&program, (arguments, 1, "QUEQIAO_WECHAT__BASE_URL"));
    }
    // What Kubernetes tells a pod of a service called queqiao.
    program.settings = vec![
        ("QUEQIAO_SERVICE_HOST", "10.0.0.7"),
        ("QUEQIAO_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
    ];
    program.run(&["projects", "list"]).ok();
    // What looks like it and is a setting that is misspelt.
    for name in ["QUEQIAO_PORT", "QUEQIAO_SERVER_PORT"] {
        program.settings = vec![(name, "9000")];
        check(&program, (&["projects", "list"], 1, name));
    }
}

#[test]
fn a_command_that_finds_nothing_says_in_which_database() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        if engine == Engine::Postgres && !postgres::is_there() {
            continue;
        }
        let program = Program::new(engine);
        let database = match engine {
            Engine::Sqlite => "the SQLite file /",
            Engine::Postgres => "the PostgreSQL database",
        };
        for arguments in [
            &["accounts", "list"][..],
            &["explain", "e1"],
            &["keys", "add", "a"],
        ] {
            check(&program, (arguments, 1, database));
        }
        check(&program, (&["projects", "list"], 0, database));
        program.run(&["projects", "add", "one"]).ok();
        for arguments in [
            &["accounts", "list"][..],
            &["keys", "list"],
            &["templates", "list"],
            &["deliveries", "list"],
        ] {
            check(&program, (arguments, 0, database));
        }
    }
}

#[test]
fn a_malformed_database_url_is_named_by_its_part_and_never_quoted() {
    let program = Program::new(Engine::Sqlite);
    for url in [
        "postgres://u:100%hunter2pw@h/db",
        "postgres://u:hunter/2pw@h/db",
        "postgres://u:hunter 2pw@h/db",
        "postgres://u:hunter@2pw@h/db",
        "postgres://h/db?password=100%hunter2pw",
        "postgres://u:hunter2pw@[h/db",
        "postgres://u:hunter?2pw@h/db",
        "postgres://u:hunter2pw",
        "postgresql://u:p@h:hunter2pw/db",
        "postgres://h/db?hunter2pw=1",
        "hunter2pw://h/db",
    ] {
        let mut command = program.command(&["projects", "list"]);
        let said = command.env("DATABASE_URL", url).output().unwrap();
        let told = [said.stdout, said.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert_eq!(said.status.code(), Some(1), "{url}: {told}");
        assert!(told.contains("DATABASE_URL"), "{url}: {told}");
        for piece in ["hunter", "2pw"] {
            assert!(!told.contains(piece), "{url}: {told}");
        }
    }
}

#[test]
fn what_strangers_wrote_commands_no_terminal() {
    let program = Program::new(Engine::Sqlite);
    let name = "a\u{202e}b\u{2066}";
    let said = program.run(&["projects", "add", name]);
    let listed = program.run(&["projects", "list"]);
    let missing = program.run(&["accounts", "list", "--project", "x\u{1b}[2J\u{7}"]);
    for text in [
        said.out,
        said.err,
        listed.out,
        listed.err,
        missing.out,
        missing.err,
    ] {
        let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!text.contains(bad), "{text:?}");
    }
}
