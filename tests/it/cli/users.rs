//! `queqiao users`, and the owner whom the first start makes.

use std::io::Write as _;
use std::process::Stdio;

use queqiao::bridge::accounts::keys::{Keys, Scope};
use queqiao::clock::Clock;
use queqiao::db::{Db, Engine};
use queqiao::ids::ProjectId;
use queqiao::models::actor::Actor;
use queqiao::models::user;
use serde_json::json;

use super::CliFixture;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::program::{Program, Said, eventually};

both_engines! {
    users_are_added_changed_listed_and_deleted,
    the_first_start_makes_an_owner_and_no_other_does,
    keys_show_what_became_of_who_made_them,
}

/// Runs a command with a password on its standard input.
fn with_password(program: &Program, arguments: &[&str], password: &str) -> Said {
    let mut command = program.command(arguments);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{password}").unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    Said {
        status: done.status,
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

/// A command that fails, with a word of why.
fn fails(said: &Said, part: &str) {
    assert!(!said.status.success(), "{said:?}");
    assert!(said.err.contains(part), "{said:?}");
}

async fn users_are_added_changed_listed_and_deleted(cli: CliFixture) {
    let program = &cli.program;
    let add = ["users", "add", "Ann", "--role", "shop=viewer"];
    fails(&program.run(&add), "--generate");
    fails(&with_password(program, &add, "short"), "choose 10 or more");
    fails(
        &program.run(&["users", "add", "bob", "--generate", "--role", "none=viewer"]),
        "is no project",
    );
    with_password(program, &add, PASSWORD).ok();
    fails(&with_password(program, &add, PASSWORD), "already");
    let made = program
        .run(&["users", "add", "boss", "--owner", "--generate"])
        .ok();
    let made = made.lines().next().unwrap();
    let listed = program.run(&["users", "list"]).ok();
    assert!(
        listed.contains("shop=viewer") && listed.contains("owner"),
        "{listed}"
    );
    assert!(!listed.contains("argon2"), "{listed}");
    let serving = program.serve(&["serve"]);
    let mut boss = Browser::new(&serving.url);
    boss.sign_in("boss", made).await.ok(200);
    let mut ann = Browser::new(&serving.url);
    ann.sign_in("ann", PASSWORD).await.ok(200);
    let put = async || ann.put("/staff/s1", json!({})).await;
    put().await.refused(403, "missing_role", "");
    program
        .run(&["users", "set", "ANN", "--role", "shop=operator"])
        .ok();
    // Within three seconds.
    eventually("the role", async || {
        (put().await.status < 300).then_some(())
    })
    .await;
    let listed = program.run(&["users", "list"]).ok();
    assert!(listed.contains("shop=operator"), "{listed}");
    with_password(program, &["users", "password", "ann"], "another good one").ok();
    eventually("the end", async || {
        (put().await.status == 401).then_some(())
    })
    .await;
    ann.sign_in("ann", "another good one").await.ok(200);
    program
        .run(&["users", "set", "ann", "--no-role", "shop", "--disable"])
        .ok();
    let listed = program.run(&["users", "list"]).ok();
    assert!(listed.contains("disabled"), "{listed}");
    for last in [
        &["users", "set", "boss", "--owner", "false"][..],
        &["users", "set", "boss", "--disable"],
        &["users", "delete", "boss"],
    ] {
        fails(&program.run(last), "last owner");
    }
    program.run(&["users", "delete", "ann"]).ok();
    fails(&program.run(&["users", "delete", "ann"]), "no such user");
    fails(
        &program.run(&["users", "set", "boss", "--no-role", "shop"]),
        "no role",
    );
    let by_variable = program
        .command(&["users", "add", "eve"])
        .env("QUEQIAO_USER_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    assert!(by_variable.status.success(), "{by_variable:?}");
    let mut eve = Browser::new(&serving.url);
    eve.sign_in("eve", PASSWORD).await.ok(200);
}

/// The password that a process showed.
fn shown(said: &str) -> Option<&str> {
    let mut lines = said.lines();
    lines.find_map(|line| line.trim().strip_prefix("password  "))
}

async fn the_first_start_makes_an_owner_and_no_other_does(engine: Engine) {
    let program = Program::new(engine);
    // A worker serves nobody who signs in.
    let worker = program.serve(&["serve", "--role", "worker"]);
    let both = [
        program.serve(&["serve"]),
        program.serve(&["serve", "--role", "web"]),
    ];
    let db = Db::open(&program.database.url(), 1).unwrap();
    let is_there = async || {
        let found = db.read(user::any).await.unwrap();
        found.then_some(())
    };
    eventually("the first owner", is_there).await;
    let url = both[0].url.clone();
    let [first, second] = both.map(|running| {
        running.terminate();
        running.ended()
    });
    worker.terminate();
    let worker = worker.ended();
    let passwords = [&first, &second, &worker].map(|said| shown(&said.out).map(str::to_owned));
    let shown_by: Vec<&String> = passwords.iter().flatten().collect();
    let [password] = shown_by.as_slice() else {
        panic!("{passwords:?}")
    };
    for said in [&first, &second, &worker] {
        assert!(
            !said.err.contains(password.as_str()),
            "{url}: it is in the log"
        );
    }
    assert_eq!(shown(&worker.out), None);
    let again = program.serve(&["serve"]);
    let mut admin = Browser::new(&again.url);
    let who = admin.sign_in("admin", password).await.ok(200);
    assert_eq!(who["user"]["owner"], true);
    again.terminate();
    assert_eq!(shown(&again.ended().out), None);
}

async fn keys_show_what_became_of_who_made_them(engine: Engine) {
    let program = Program::new(engine);
    program.run(&["projects", "add", "shop"]).ok();
    let db = Db::open(&program.database.url(), 1).unwrap();
    let keys = Keys::new(db.clone(), Clock::system());
    for name in ["stays", "off", "gone"] {
        program.run(&["users", "add", name, "--generate"]).ok();
        let found = db
            .read(move |conn| user::by_name(conn, name))
            .await
            .unwrap();
        let by = Actor::User(found.unwrap().id, name.to_owned());
        let made = keys.create(ProjectId(1), name, &[Scope::Read], &by);
        made.await.unwrap();
    }
    program.run(&["users", "set", "off", "--disable"]).ok();
    program.run(&["users", "delete", "gone"]).ok();
    let listed = program.run(&["keys", "list"]).ok();
    for part in [
        "active  made by stays\n",
        "active  made by off, who is disabled\n",
        "active  made by gone, who is deleted\n",
    ] {
        assert!(listed.contains(part), "{listed}");
    }
}
