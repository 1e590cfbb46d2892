//! Callbacks while the database takes none: held, kept on this machine's disk, and stored once when it is
//! back, also after a crash and a restart in between.

use std::sync::mpsc;
use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use queqiao::db::{Conn, DatabaseUrl, Db, Engine};
use queqiao::simulator::{Origin, population};
use serde_json::{Value, json};

use super::crash::{follow, send_again};
use super::{CliFixture, OA};
use crate::support::Fixture;
use crate::support::program::{Running, eventually};
use crate::support::{TestDb, postgres};

/// Somebody who holds the events, so that nobody else writes one.
struct Held {
    release: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Held {
    fn events(database: &TestDb) -> Self {
        Self::all_of(&database.url())
    }

    /// Everything in a file, where it is one, else the events.
    fn all_of(url: &DatabaseUrl) -> Self {
        let db = Db::open(url, 1).unwrap();
        let (release, released) = mpsc::channel();
        let (held, is_held) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut conn = db.connect().unwrap();
            let run = |conn: &mut Conn, postgres: &str, sqlite: &str| match conn {
                Conn::Postgres(conn) => conn.batch_execute(postgres).unwrap(),
                Conn::Sqlite(conn) => conn.batch_execute(sqlite).unwrap(),
            };
            let lock = "SET idle_in_transaction_session_timeout = 0; BEGIN; \
                        LOCK TABLE events IN ACCESS EXCLUSIVE MODE";
            run(&mut conn, lock, "BEGIN EXCLUSIVE");
            held.send(()).unwrap();
            released.recv().unwrap();
            run(&mut conn, "COMMIT", "COMMIT");
        });
        is_held.recv().unwrap();
        Self { release, thread }
    }

    fn release(self) {
        self.release.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// The smallest spool that there can be …
const SMALLEST: &str = "1048576";

/// … is full with this.
fn fill(cli: &CliFixture) {
    let directory = cli.program.directory.join("data");
    std::fs::create_dir_all(&directory).unwrap();
    let url = DatabaseUrl::sqlite_file(&directory.join("spool.db"));
    let mut conn = Db::open(&url, 1).unwrap().connect().unwrap();
    let Conn::Sqlite(conn) = &mut conn else {
        panic!("this is SQLite");
    };
    conn.batch_execute("CREATE TABLE filler AS SELECT zeroblob(2000000) AS room")
        .unwrap();
}

/// How many events a spool holds, by `queqiao spool show`.
fn waiting(cli: &CliFixture) -> u64 {
    let shown = cli.program.run(&["spool", "show"]).ok();
    let line = shown.lines().find_map(|line| line.strip_prefix("waiting"));
    line.unwrap().trim().parse().unwrap()
}

async fn events(cli: &CliFixture, running: &Running, count: usize) -> Value {
    eventually("the events", async || {
        let events = cli.get(running, "/events").await;
        let found = events["items"].as_array().unwrap();
        let done = found.iter().all(|event| event["state"] == "processed");
        (found.len() == count && done).then_some(events)
    })
    .await
}

async fn shop_that_holds_for_200_ms(engine: Engine) -> CliFixture {
    let mut cli = CliFixture::on(engine).await;
    cli.program
        .settings
        .push(("QUEQIAO_INTAKE__HOLD_MS", "200"));
    cli.world()
        .add_followers(OA, 1..9, &Origin::search())
        .unwrap();
    cli
}

/// Ends once the program keeps the accounts beside its spool.
async fn accounts_are_known(cli: &CliFixture) {
    let path = cli.program.directory.join("data/spool.db");
    let db = Db::open(&DatabaseUrl::sqlite_file(&path), 1).unwrap();
    eventually("the accounts", async || {
        let known = db.read(queqiao::models::spool::accounts);
        (known.await.unwrap().len() == 2).then_some(())
    })
    .await;
}

/// A balancer that takes a process out for its answer would never send it the first push of an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_are_welcome_in_an_outage_as_long_as_they_can_be_kept() {
    if !postgres::is_there() {
        return;
    }
    for (bytes, status) in [("1000000000", 200), (SMALLEST, 503), ("0", 503)] {
        let mut cli = shop_that_holds_for_200_ms(Engine::Postgres).await;
        if bytes == SMALLEST {
            fill(&cli);
        }
        let settings = &mut cli.program.settings;
        settings.push(("QUEQIAO_INTAKE__SPOOL_BYTES", bytes));
        let running = cli.program.serve(&["serve"]);
        if bytes != "0" {
            accounts_are_known(&cli).await;
        }
        let server = postgres::server().unwrap();
        let away = server.lock_out(cli.program.database.text());
        let asked = async |path: &str| {
            let url = format!("{}{path}", running.url);
            cli.http.get(url).send().await.unwrap().status().as_u16()
        };
        eventually("the outage", async || {
            (asked("/readyz").await == 503).then_some(())
        })
        .await;
        assert_eq!(asked("/readyz/callbacks").await, status, "{bytes}");
        drop(away);
        eventually("the database", async || {
            (asked("/readyz").await == 200).then_some(())
        })
        .await;
        assert_eq!(asked("/readyz/callbacks").await, 200);
    }
}

/// As a standby that is not promoted yet: it answers, and takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_database_that_is_read_only_keeps_callbacks_until_it_is_not() {
    if !postgres::is_there() {
        return;
    }
    let cli = shop_that_holds_for_200_ms(Engine::Postgres).await;
    let mut running = cli.program.serve(&["serve"]);
    accounts_are_known(&cli).await;
    running.kill();
    let set = |what: &str| {
        let mut conn = cli.program.database.db().connect().unwrap();
        let Conn::Postgres(conn) = &mut conn else {
            panic!("this is PostgreSQL");
        };
        let alter = format!(
            "DO $$ BEGIN EXECUTE format( \
                 'ALTER DATABASE %I SET default_transaction_read_only = {what}', \
                 current_database()); END $$"
        );
        conn.batch_execute("SET default_transaction_read_only = off")
            .unwrap();
        conn.batch_execute(&alter).unwrap();
    };
    set("on");
    let running = cli.program.serve(&["serve"]);
    let answer = send_again(&cli, &running, &follow(&cli, 1)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(waiting(&cli), 1);
    set("off");
    // Connections that are open stay as they are.
    let server = postgres::server().unwrap();
    drop(server.lock_out(cli.program.database.text()));
    events(&cli, &running, 1).await;
}

both_engines! {
    a_push_that_the_database_does_not_take_is_kept_and_stored_once,
    kills_and_a_start_without_a_database_lose_no_push,
    a_first_start_without_a_database_is_refused,
    a_push_that_came_slowly_sends_no_others_to_the_spool,
    a_full_spool_and_none_at_all_acknowledge_nothing,
    a_spool_that_fails_keeps_no_callback_from_a_database_that_is_back,
    the_spool_of_a_replica_that_is_gone_is_drained_by_hand,
}

async fn a_push_that_the_database_does_not_take_is_kept_and_stored_once(engine: Engine) {
    let cli = shop_that_holds_for_200_ms(engine).await;
    let running = cli.program.serve(&["serve"]);
    let first = follow(&cli, 1);
    let (second, third) = (follow(&cli, 2), follow(&cli, 3));
    assert_eq!(send_again(&cli, &running, &first).await.status(), 200);
    events(&cli, &running, 1).await;
    let held = Held::events(&cli.program.database);
    for push in [&second, &third, &second, &first] {
        let answer = send_again(&cli, &running, push).await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.text().await.unwrap().as_str()
            ),
            (200, "success")
        );
    }
    assert_eq!(
        waiting(&cli),
        3,
        "the second of two equal pushes is none of its own"
    );
    let ready = cli
        .http
        .get(format!("{}/readyz/callbacks", running.url))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 200);
    held.release();
    let stored = events(&cli, &running, 3).await;
    let mut openids: Vec<&str> = stored["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["openid"].as_str().unwrap())
        .collect();
    openids.sort_unstable();
    let mut expected = [1, 2, 3].map(|person| population::openid(OA, person));
    expected.sort_unstable();
    assert_eq!(openids, expected);
    eventually("an empty spool", async || {
        (waiting(&cli) == 0).then_some(())
    })
    .await;
    // Nothing of it stays on the disk, not even in room that is free.
    let person = population::openid(OA, 2);
    let is_there = |file: &str| {
        let path = cli.program.directory.join("data").join(file);
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes
            .windows(person.len())
            .any(|part| part == person.as_bytes())
    };
    eventually("a clean file", async || {
        (!is_there("spool.db") && !is_there("spool.db-wal")).then_some(())
    })
    .await;
    assert_eq!(
        send_again(&cli, &running, &follow(&cli, 4)).await.status(),
        200
    );
    events(&cli, &running, 4).await;
    let metrics = cli
        .http
        .get(format!("{}/metrics", running.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("queqiao_spooled_total 4\n"), "{metrics}");
    assert!(
        metrics.contains("queqiao_spool_events{state=\"waiting\"} 0\n"),
        "{metrics}"
    );
}

async fn kills_and_a_start_without_a_database_lose_no_push(engine: Engine) {
    let mut cli = shop_that_holds_for_200_ms(engine).await;
    let mut running = cli.program.serve(&["serve"]);
    accounts_are_known(&cli).await;
    running.kill();
    let away = match engine {
        Engine::Postgres => "postgres://queqiao@127.0.0.1:9/queqiao",
        Engine::Sqlite => "sqlite:///nonexistent/queqiao.db",
    };
    cli.program.settings.push(("DATABASE_URL", away));
    for person in [1, 2] {
        let mut running = cli.program.serve(&["serve"]);
        let answer = send_again(&cli, &running, &follow(&cli, person)).await;
        assert_eq!(answer.status(), 200);
        let mut forged = follow(&cli, 3);
        forged.query.retain(|(name, _)| *name != "msg_signature");
        assert_eq!(send_again(&cli, &running, &forged).await.status(), 403);
        running.kill();
    }
    assert_eq!(waiting(&cli), 2);
    cli.program.settings.pop();
    let running = cli.program.serve(&["serve"]);
    events(&cli, &running, 2).await;
    let people = cli.get(&running, "/people").await;
    assert_eq!(people["items"].as_array().unwrap().len(), 2);
    eventually("an empty spool", async || {
        (waiting(&cli) == 0).then_some(())
    })
    .await;
}

async fn a_first_start_without_a_database_is_refused(engine: Engine) {
    let mut cli = CliFixture::on(engine).await;
    let away = match engine {
        Engine::Postgres => "postgres://queqiao@127.0.0.1:9/queqiao",
        Engine::Sqlite => "sqlite:///nonexistent/queqiao.db",
    };
    cli.program.settings.push(("DATABASE_URL", away));
    let said = cli.program.run(&["serve", "--bind", "127.0.0.1:0"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.err.contains("opening the database"), "{said:?}");
}

async fn a_push_that_came_slowly_sends_no_others_to_the_spool(engine: Engine) {
    use queqiao::bridge::intake::spool::Spool;
    use queqiao::bridge::intake::{Intake, Place};
    use queqiao::ids::AccountId;
    use queqiao::models::event::{NewEvent, WAITING};
    let cli = CliFixture::on(engine).await;
    let directory = cli.program.directory.join("slow");
    std::fs::create_dir_all(&directory).unwrap();
    let spool = Spool::open(&directory, 1 << 30).await.unwrap();
    let db = Db::open(&cli.program.database.url(), 2).unwrap();
    let settings = queqiao::config::Config::default().intake;
    let (intake, _writer) = Intake::start(db, &settings, Some(spool.clone())).unwrap();
    let now = queqiao::clock::Clock::system();
    let event = NewEvent {
        account_id: AccountId(1),
        create_time: now.unix_seconds(),
        received_at: now.now(),
        state: WAITING,
        dedup_key: 1,
        kind: "text".to_owned(),
        openid: None,
        body: b"<xml/>".to_vec(),
        problem: None,
    };
    let held = Held::events(&cli.program.database);
    let room = intake.room(6, true).unwrap();
    let since = std::time::Instant::now()
        .checked_sub(std::time::Duration::from_millis(3_800))
        .unwrap();
    let place = intake.store(OA, event, room, since).await.unwrap();
    assert_eq!((place, spool.is_away()), (Place::Spool, false));
    held.release();
}

async fn a_full_spool_and_none_at_all_acknowledge_nothing(engine: Engine) {
    for bytes in [SMALLEST, "0"] {
        let mut cli = shop_that_holds_for_200_ms(engine).await;
        fill(&cli);
        cli.program
            .settings
            .push(("QUEQIAO_INTAKE__SPOOL_BYTES", bytes));
        let running = cli.program.serve(&["serve"]);
        assert_eq!(
            send_again(&cli, &running, &follow(&cli, 1)).await.status(),
            200
        );
        let second = follow(&cli, 2);
        let held = Held::events(&cli.program.database);
        assert_eq!(send_again(&cli, &running, &second).await.status(), 503);
        assert_eq!(send_again(&cli, &running, &second).await.status(), 503);
        held.release();
        eventually("the database", async || {
            let answer = send_again(&cli, &running, &second).await;
            (answer.status() == 200).then_some(())
        })
        .await;
        events(&cli, &running, 2).await;
    }
}

async fn a_spool_that_fails_keeps_no_callback_from_a_database_that_is_back(engine: Engine) {
    let cli = shop_that_holds_for_200_ms(engine).await;
    let running = cli.program.serve(&["serve"]);
    accounts_are_known(&cli).await;
    let path = cli.program.directory.join("data/spool.db");
    let database = Held::events(&cli.program.database);
    let spool = Held::all_of(&DatabaseUrl::sqlite_file(&path));
    let push = follow(&cli, 1);
    assert_eq!(send_again(&cli, &running, &push).await.status(), 503);
    database.release();
    eventually("the database", async || {
        let answer = send_again(&cli, &running, &push).await;
        (answer.status() == 200).then_some(())
    })
    .await;
    events(&cli, &running, 1).await;
    spool.release();
}

async fn the_spool_of_a_replica_that_is_gone_is_drained_by_hand(engine: Engine) {
    let mut cli = shop_that_holds_for_200_ms(engine).await;
    let mut running = cli.program.serve(&["serve", "--role", "web"]);
    accounts_are_known(&cli).await;
    let held = Held::events(&cli.program.database);
    for person in [1, 2] {
        assert_eq!(
            send_again(&cli, &running, &follow(&cli, person))
                .await
                .status(),
            200
        );
    }
    running.kill();
    held.release();
    let gone = cli.program.directory.join("gone");
    std::fs::rename(cli.program.directory.join("data/spool.db"), {
        std::fs::create_dir(&gone).unwrap();
        gone.join("spool.db")
    })
    .unwrap();
    for end in ["-wal", "-shm"] {
        let from = cli.program.directory.join(format!("data/spool.db{end}"));
        std::fs::rename(from, gone.join(format!("spool.db{end}"))).unwrap();
    }
    // Another database, which does not have the account, takes none of it.
    let other = TestDb::new(engine);
    cli.program.settings.push((
        "DATABASE_URL",
        Box::leak(other.text().to_owned().into_boxed_str()),
    ));
    let said = cli.program.run(&["spool", "drain", "gone"]);
    assert!(said.err.contains("2 events are refused"), "{said:?}");
    cli.program.settings.pop();
    let said = cli.program.run(&["spool", "drain", "gone"]).ok();
    assert!(said.starts_with("2 events are in "), "{said}");
    let said = cli.program.run(&["spool", "drain", "gone"]).ok();
    assert!(said.starts_with("0 events are in "), "{said}");
    let running = cli.program.serve(&["serve"]);
    events(&cli, &running, 2).await;
    let said = cli.program.run(&["spool", "drain", "nowhere"]);
    assert!(
        said.err.contains("there is no spool at nowhere/spool.db"),
        "{said:?}"
    );
    assert_eq!(
        cli.get(&running, "/events").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_ne!(cli.get(&running, "/people").await["items"], json!([]));
}
