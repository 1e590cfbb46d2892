//! What most cases start from: two projects with their accounts, and rows made in one line.

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use queqiao::db::schema::identities;
use queqiao::db::{Conn, Db, DbError, Engine, QueryResult};
use queqiao::ids::{AccountId, IdentityId, NotificationId, ProjectId};
use queqiao::models::identity::{self, Identity, ProfileState, Sighting};
use queqiao::models::notification::{self, NewNotification, Priority};

use crate::support::{Fixture, Setup, TestDb, rows};

/// A moment `seconds` after the beginning of every case.
pub(super) fn at(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0)
        .unwrap()
        .naive_utc()
}

pub(super) fn micros(time: NaiveDateTime, micros: i64) -> NaiveDateTime {
    time + TimeDelta::microseconds(micros)
}

/// Two projects; the first has two official accounts and a mini-program.
pub(super) struct StorageFixture {
    pub(super) database: TestDb,
    pub(super) project: ProjectId,
    pub(super) official: AccountId,
    pub(super) second: AccountId,
    pub(super) mini: AccountId,
    pub(super) foreign_project: ProjectId,
    pub(super) foreign: AccountId,
}

impl Fixture for StorageFixture {
    async fn on(engine: Engine) -> Self {
        let (database, projects) = Setup::on(engine)
            .at(at(0))
            .project("one")
            .official("wxa1")
            .official("wxa2")
            .mini_program("wxb1")
            .project("two")
            .official("wxc1")
            .rows();
        let [one, two] = &projects[..] else {
            panic!("two projects");
        };
        Self {
            official: one.accounts[0],
            second: one.accounts[1],
            mini: one.accounts[2],
            foreign: two.accounts[0],
            project: one.project,
            foreign_project: two.project,
            database,
        }
    }
}

impl StorageFixture {
    pub(super) fn db(&self) -> &Db {
        self.database.db()
    }

    pub(super) fn engine(&self) -> Engine {
        self.db().engine()
    }

    /// A connection of one's own.
    pub(super) fn conn(&self) -> Conn {
        self.db().connect().unwrap()
    }

    /// One transaction through the pool.
    pub(super) async fn write<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let done = self.db().write_once(work);
        done.await.unwrap()
    }

    /// Two transactions. On PostgreSQL the second runs while the first is open; SQLite has one
    /// writer, so there it comes afterwards.
    pub(super) fn overlapping<A, B>(
        &self,
        first: impl FnOnce(&mut Conn) -> QueryResult<A>,
        second: impl FnOnce(&mut Conn) -> QueryResult<B>,
    ) -> (A, B) {
        let (mut one, mut other) = (self.conn(), self.conn());
        match self.engine() {
            Engine::Postgres => one
                .transaction(|one| Ok::<_, DbError>((first(one)?, other.transaction(second)?)))
                .unwrap(),
            Engine::Sqlite => (
                one.transaction(first).unwrap(),
                other.transaction(second).unwrap(),
            ),
        }
    }

    /// Somebody in the official account who follows since second 100, and whose profile is due.
    pub(super) fn follower(&self, conn: &mut Conn, openid: &str) -> Identity {
        self.seen(conn, self.official, openid, 100, 0)
    }

    /// An identity with these times.
    pub(super) fn seen(
        &self,
        conn: &mut Conn,
        account: AccountId,
        openid: &str,
        followed: i64,
        unfollowed: i64,
    ) -> Identity {
        let sighting = Sighting {
            followed_time: followed,
            unfollowed_time: unfollowed,
            ..sighting(self.project_of(account), account, openid)
        };
        identity::record_sightings(conn, &[sighting]).unwrap();
        identity::by_openid(conn, account, openid).unwrap().unwrap()
    }

    pub(super) fn project_of(&self, account: AccountId) -> ProjectId {
        if account == self.foreign {
            self.foreign_project
        } else {
            self.project
        }
    }

    /// A notification to hang deliveries on.
    pub(super) fn notification(&self, conn: &mut Conn) -> NotificationId {
        let new = new_notification(self.project, None);
        notification::create(conn, &new).unwrap().unwrap().id
    }
}

pub(super) fn sighting(project: ProjectId, account: AccountId, openid: &str) -> Sighting {
    rows::sighting(project, account, openid, at(0))
}

pub(super) fn new_notification(project: ProjectId, key: Option<&str>) -> NewNotification<'_> {
    NewNotification {
        project_id: project,
        message_type: "order_created",
        routes: "[]",
        params: "{}",
        priority: Priority::Normal,
        nonce: i64::MIN,
        idempotency_key: key,
        request_hash: key.map(str::as_bytes),
        send_at: None,
        expires_at: None,
        created_at: at(0),
        manner: None,
    }
}

/// A fetch that failed in second 1.
pub(super) fn delay(
    conn: &mut Conn,
    id: IdentityId,
    attempts: i32,
    due_at: Option<NaiveDateTime>,
) -> QueryResult<usize> {
    let (was_followed, was_unfollowed) = identities::table
        .find(id)
        .select((identities::followed_time, identities::unfollowed_time))
        .first::<(i64, i64)>(conn)?;
    let delay = identity::Delay {
        id,
        was_followed,
        was_unfollowed,
        is_unknown: false,
        attempts,
        doubts: None,
        due_at,
        alone: false,
    };
    identity::delay(conn, &[delay], "busy", at(1))
}

/// What WeChat says of a follower that was claimed as it stands.
pub(super) fn fetched(identity: &Identity, unionid: Option<&str>) -> identity::Fetched {
    identity::Fetched {
        id: identity.id,
        was_followed: identity.followed_time,
        was_unfollowed: identity.unfollowed_time,
        subscribe: true,
        subscribe_time: identity.followed_time,
        unionid: unionid.map(str::to_owned),
        subscribe_scene: None,
        qr_scene: None,
        language: None,
        remark: None,
        tag_ids: None,
        profile_state: match unionid {
            Some(_) => ProfileState::Complete,
            None => ProfileState::NotBoundToOpenPlatform,
        },
        error: None,
        due_at: None,
        attempts: 0,
        doubts: 0,
        now: at(1),
        details: identity::Details::default(),
    }
}

/// Gives an identity a unionid, as a fetched profile does.
pub(super) fn link(conn: &mut Conn, identity: &Identity, unionid: &str) {
    let rows = [fetched(identity, Some(unionid))];
    identity::apply(conn, &rows).unwrap();
}

/// An identity read again.
pub(super) fn again(conn: &mut Conn, identity: &Identity) -> Identity {
    identity::by_id(conn, identity.project_id, identity.id)
        .unwrap()
        .unwrap()
}

pub(super) fn ids(identities: &[Identity]) -> Vec<IdentityId> {
    identities.iter().map(|identity| identity.id).collect()
}
