//! Staff and bindings: replaced, unique, gone together; and whom a staff id reaches.

use queqiao::db::Conn;
use queqiao::ids::{BindingId, IdentityId, StaffRowId};
use queqiao::models::identity::{self, FollowState, Identity};
use queqiao::models::staff::binding::{self, Binding, NewBinding};
use queqiao::models::staff::{self, ReachRow};

use super::fixture::{StorageFixture, at, link};

fn put(storage: &StorageFixture, conn: &mut Conn, staff_id: &str) -> StaffRowId {
    staff::put(conn, storage.project, staff_id, Some("A"), None, at(0))
        .unwrap()
        .0
        .id
}

fn bind(
    storage: &StorageFixture,
    conn: &mut Conn,
    staff: StaffRowId,
    identity: Option<&Identity>,
    unionid: Option<&str>,
) -> Option<Binding> {
    let new = NewBinding {
        project_id: storage.project,
        staff_row_id: staff,
        identity_id: identity.map(|identity| identity.id),
        unionid,
        created_at: at(0),
    };
    binding::create(conn, &new).unwrap()
}

fn reach(storage: &StorageFixture, conn: &mut Conn, staff_id: &str) -> Vec<ReachRow> {
    staff::reach(conn, storage.project, &[staff_id]).unwrap()
}

fn reached(rows: &[ReachRow]) -> Vec<IdentityId> {
    let mut ids: Vec<IdentityId> = rows.iter().filter_map(|row| row.identity_id).collect();
    ids.sort();
    ids
}

both_engines! {
    a_staff_member_is_replaced_and_keeps_its_bindings,
    an_identity_and_a_unionid_are_bound_once,
    bindings_go_with_their_staff_member,
    each_shape_of_binding_reaches_whom_it_should,
    twelve_thousand_staff_are_one_statement,
    a_person_knows_their_staff_ids,
}

async fn a_staff_member_is_replaced_and_keeps_its_bindings(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (first, new) = staff::put(conn, storage.project, "007", Some("A"), None, at(1)).unwrap();
    assert!(new);
    let identity = storage.follower(conn, "o1");
    let bound = bind(&storage, conn, first.id, Some(&identity), None).unwrap();
    let (second, new) = staff::put(conn, storage.project, "007", None, None, at(2)).unwrap();
    assert_eq!((second.id, new, second.name), (first.id, false, None));
    assert_eq!((second.created_at, second.updated_at), (at(1), at(2)));
    assert_eq!(binding::of_staff(conn, first.id).unwrap()[0].id, bound.id);
    assert!(
        staff::find(conn, storage.project, "7").unwrap().is_none(),
        "an id is text"
    );
    assert!(
        staff::find(conn, storage.foreign_project, "007")
            .unwrap()
            .is_none()
    );
    assert!(
        staff::put(conn, storage.foreign_project, "007", None, None, at(2))
            .unwrap()
            .1
    );
}

async fn an_identity_and_a_unionid_are_bound_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (one, other) = (put(&storage, conn, "s1"), put(&storage, conn, "s2"));
    let identity = storage.follower(conn, "o1");
    assert!(bind(&storage, conn, one, Some(&identity), None).is_some());
    assert!(bind(&storage, conn, one, Some(&identity), None).is_none());
    assert!(bind(&storage, conn, other, Some(&identity), None).is_none());
    assert!(bind(&storage, conn, one, None, Some("u1")).is_some());
    assert!(bind(&storage, conn, other, None, Some("u1")).is_none());
    assert!(bind(&storage, conn, other, None, Some("u2")).is_some());
    let theirs = staff::put(conn, storage.foreign_project, "s1", None, None, at(0))
        .unwrap()
        .0
        .id;
    let new = NewBinding {
        project_id: storage.foreign_project,
        staff_row_id: theirs,
        identity_id: None,
        unionid: Some("u1"),
        created_at: at(0),
    };
    assert!(
        binding::create(conn, &new).unwrap().is_some(),
        "another project's unionid is another's"
    );
    let free = storage.follower(conn, "o2").id;
    for (identity_id, unionid) in [(None, None), (Some(free), Some("u9"))] {
        let new = NewBinding {
            project_id: storage.project,
            staff_row_id: one,
            identity_id,
            unionid,
            created_at: at(0),
        };
        assert!(
            binding::create(conn, &new).is_err(),
            "exactly one of both: {unionid:?}"
        );
    }
    let unknown = NewBinding {
        project_id: storage.project,
        staff_row_id: one,
        identity_id: Some(IdentityId(9_999)),
        unionid: None,
        created_at: at(0),
    };
    assert!(
        binding::create(conn, &unknown).is_err(),
        "there is no such identity"
    );
}

async fn bindings_go_with_their_staff_member(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (one, other) = (put(&storage, conn, "s1"), put(&storage, conn, "s2"));
    let identity = storage.follower(conn, "o1");
    bind(&storage, conn, one, Some(&identity), None);
    let second = bind(&storage, conn, one, None, Some("u1")).unwrap();
    assert!(
        !binding::delete(conn, other, second.id).unwrap(),
        "another's binding"
    );
    assert!(binding::delete(conn, one, second.id).unwrap());
    assert!(!binding::delete(conn, one, BindingId(0)).unwrap());
    assert!(!staff::delete(conn, storage.foreign_project, "s1").unwrap());
    assert!(staff::delete(conn, storage.project, "s1").unwrap());
    assert!(!staff::delete(conn, storage.project, "s1").unwrap());
    assert!(binding::of_staff(conn, one).unwrap().is_empty());
    assert!(
        bind(&storage, conn, other, Some(&identity), None).is_some(),
        "free again"
    );
}

async fn each_shape_of_binding_reaches_whom_it_should(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert!(reach(&storage, conn, "nobody").is_empty());
    let unbound = put(&storage, conn, "s1");
    let rows = reach(&storage, conn, "s1");
    assert_eq!(
        (
            rows.len(),
            rows[0].bound,
            rows[0].identity_id,
            rows[0].name.as_deref()
        ),
        (1, false, None, Some("A"))
    );

    bind(&storage, conn, unbound, None, Some("u1"));
    let rows = reach(&storage, conn, "s1");
    assert_eq!(
        (
            rows.len(),
            rows[0].bound,
            rows[0].identity_id,
            rows[0].unionid.as_deref()
        ),
        (1, true, None, Some("u1"))
    );
    let first = storage.follower(conn, "o1");
    link(conn, &first, "u1");
    let second = storage.seen(conn, storage.second, "p1", 50, 60);
    link_gone(conn, &second, "u1");
    let rows = reach(&storage, conn, "s1");
    assert_eq!(reached(&rows), [first.id, second.id]);
    let row = rows
        .iter()
        .find(|row| row.identity_id == Some(first.id))
        .unwrap();
    assert_eq!(
        (
            row.account_id,
            row.openid.as_deref(),
            row.follow_state,
            row.followed_time
        ),
        (
            Some(storage.official),
            Some("o1"),
            Some(FollowState::Following),
            Some(100)
        )
    );

    let direct = put(&storage, conn, "s2");
    let alone = storage.follower(conn, "o2");
    bind(&storage, conn, direct, Some(&alone), None);
    assert_eq!(reached(&reach(&storage, conn, "s2")), [alone.id]);
    link(conn, &alone, "u2");
    let late = storage.seen(conn, storage.mini, "m2", 0, 0);
    link(conn, &late, "u2");
    assert_eq!(
        reached(&reach(&storage, conn, "s2")),
        [alone.id, late.id],
        "each once"
    );
    assert_eq!(
        staff::reach(conn, storage.foreign_project, &["s1", "s2"])
            .unwrap()
            .len(),
        0
    );
    let stranger = storage.seen(conn, storage.foreign, "x", 1, 0);
    link(conn, &stranger, "u2");
    let both = staff::reach(conn, storage.project, &["s1", "s2", "nobody"]).unwrap();
    assert_eq!(reached(&both), [first.id, second.id, alone.id, late.id]);
}

async fn twelve_thousand_staff_are_one_statement(storage: StorageFixture) {
    let conn = &mut storage.conn();
    put(&storage, conn, "s9");
    let names: Vec<String> = (0..12_000).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        staff::reach(conn, storage.project, &names).unwrap().len(),
        1
    );
    assert!(staff::reach(conn, storage.project, &[]).unwrap().is_empty());
}

async fn a_person_knows_their_staff_ids(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (one, other) = (put(&storage, conn, "s1"), put(&storage, conn, "s2"));
    let identity = storage.follower(conn, "o1");
    bind(&storage, conn, one, Some(&identity), None);
    bind(&storage, conn, other, None, Some("u1"));
    let ids = |conn: &mut Conn, identities: &[IdentityId], unionid| {
        let mut found =
            binding::staff_of_person(conn, storage.project, identities, unionid).unwrap();
        found.sort();
        found
    };
    assert_eq!(ids(conn, &[identity.id], None), ["s1"]);
    assert_eq!(ids(conn, &[identity.id], Some("u1")), ["s1", "s2"]);
    assert_eq!(ids(conn, &[], Some("u1")), ["s2"]);
    assert_eq!(ids(conn, &[], None), [""; 0]);
    let people =
        binding::staff_of_people(conn, storage.project, &[identity.id], &["u1".to_owned()])
            .unwrap();
    assert_eq!(
        people,
        [
            ("s1".to_owned(), Some(identity.id), None),
            ("s2".to_owned(), None, Some("u1".to_owned())),
        ]
    );
    assert!(
        binding::staff_of_people(
            conn,
            storage.foreign_project,
            &[identity.id],
            &["u1".to_owned()]
        )
        .unwrap()
        .is_empty()
    );
}

/// A unionid for somebody who does not follow.
fn link_gone(conn: &mut Conn, identity: &Identity, unionid: &str) {
    let row = identity::Fetched {
        subscribe: false,
        ..super::fixture::fetched(identity, Some(unionid))
    };
    identity::apply(conn, &[row]).unwrap();
}
