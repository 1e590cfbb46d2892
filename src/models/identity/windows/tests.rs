//! The arithmetic of windows.

use proptest::prelude::*;

use super::*;

const RULES: Allowances = Allowances {
    spoke: Allowance {
        messages: 5,
        seconds: 172_800,
    },
    acted: Allowance {
        messages: 3,
        seconds: 60,
    },
};

const ID: IdentityId = IdentityId(7);

fn facts(followed: i64, spoke: i64, acted: i64) -> WindowFacts {
    WindowFacts {
        acts: WindowActivity {
            spoke_time: spoke,
            acted_time: acted,
            ..WindowActivity::default()
        },
        follow_state: FollowState::Following,
        followed_time: followed,
        unfollowed_time: 0,
    }
}

fn take(facts: &mut WindowFacts, now: i64) -> Result<Window, Closed> {
    facts.take(ID, &RULES, now).map(|taken| taken.window)
}

#[test]
fn nothing_is_open_for_somebody_who_did_nothing() {
    for state in FollowState::ALL {
        let mut nobody = facts(0, 0, 0);
        nobody.follow_state = *state;
        let reason = match state {
            FollowState::NotFollowing => Closed::NotFollowing,
            _ => Closed::WindowClosed,
        };
        assert_eq!(nobody.look(&RULES, 10), Err(reason), "{state}");
        assert_eq!(take(&mut nobody, 10), Err(reason), "{state}");
    }
}

#[test]
fn a_follow_opens_the_short_window_until_its_last_second() {
    let follower = facts(1000, 0, 0);
    let open = Open {
        until: 1060,
        left: 3,
    };
    assert_eq!(follower.look(&RULES, 1000), Ok(open));
    assert_eq!(follower.look(&RULES, 1059), Ok(open));
    assert_eq!(follower.look(&RULES, 1060), Err(Closed::WindowClosed));
}

#[test]
fn the_window_that_closes_sooner_is_used_first() {
    let mut person = facts(0, 1000, 1010);
    let left = |person: &WindowFacts, now| person.look(&RULES, now).map(|open| open.left);
    assert_eq!(
        person.look(&RULES, 1020),
        Ok(Open {
            until: 173_800,
            left: 8
        })
    );
    for _ in 0..3 {
        assert_eq!(take(&mut person, 1020), Ok(Window::Acted));
    }
    assert_eq!(left(&person, 1020), Ok(5));
    for _ in 0..5 {
        assert_eq!(take(&mut person, 1020), Ok(Window::Spoke));
    }
    assert_eq!(take(&mut person, 1020), Err(Closed::AllowanceUsed));
    assert_eq!(take(&mut person, 1070), Err(Closed::AllowanceUsed));
    assert_eq!(take(&mut person, 173_800), Err(Closed::WindowClosed));
}

#[test]
fn at_its_end_the_long_window_may_close_sooner() {
    let mut person = facts(0, 1000, 173_780);
    assert_eq!(take(&mut person, 173_790), Ok(Window::Spoke));
}

#[test]
fn a_newer_follow_has_an_allowance_of_its_own() {
    let mut person = facts(1000, 0, 990);
    person.acts.acted_used = 3;
    assert_eq!(take(&mut person, 1001), Ok(Window::Acted));
    assert_eq!((person.acts.acted_time, person.acts.acted_used), (1000, 1));
    assert_eq!(person.look(&RULES, 1001).map(|open| open.left), Ok(2));
}

#[test]
fn an_unfollow_closes_what_was_open() {
    let mut person = facts(1000, 1010, 1010);
    person.unfollowed_time = 1020;
    person.follow_state = FollowState::NotFollowing;
    assert_eq!(take(&mut person, 1021), Err(Closed::NotFollowing));
    person.followed_time = 1030;
    person.follow_state = FollowState::Following;
    assert_eq!(
        person.look(&RULES, 1031),
        Ok(Open {
            until: 1090,
            left: 3
        })
    );
}

#[test]
fn what_wechat_closes_stays_closed_until_something_newer() {
    let mut person = facts(900, 1000, 1010);
    let taken = person.take(ID, &RULES, 1020).unwrap();
    assert_eq!((taken.opened_time, taken.known_time), (1010, 1010));
    person.close(&taken);
    assert_eq!(person.look(&RULES, 1021), Err(Closed::Refused));
    assert_eq!(person.look(&RULES, 999_999), Err(Closed::WindowClosed));
    person.acts.spoke_time = 1030;
    assert_eq!(person.look(&RULES, 1031).map(|open| open.left), Ok(5));
}

#[test]
fn a_message_given_back_may_be_sent_again_in_its_own_window_only() {
    let mut person = facts(0, 0, 1000);
    let taken = person.take(ID, &RULES, 1001).unwrap();
    let mut later = person;
    person.give_back(&taken);
    assert_eq!(person, facts(0, 0, 1000));
    person.give_back(&taken);
    assert_eq!(person, facts(0, 0, 1000), "never more than all");
    later.acts.acted_time = 1002;
    let unchanged = later;
    later.give_back(&taken);
    assert_eq!(
        later, unchanged,
        "a window opened again knows nothing of it"
    );
}

proptest! {
    /// Whatever happened: the reader sees as many messages as can be taken, and a reason if none can.
    #[test]
    fn what_is_shown_is_what_can_be_taken(
        times in proptest::array::uniform5(0_i64..200),
        used in proptest::array::uniform2(0_i32..7),
        follows in 0_usize..3,
        now in 0_i64..300,
    ) {
        let [followed_time, unfollowed_time, spoke_time, acted_time, refused_time] = times;
        let [spoke_used, acted_used] = used;
        let mut person = WindowFacts {
            acts: WindowActivity { spoke_time, spoke_used, acted_time, acted_used, refused_time },
            follow_state: FollowState::ALL[follows],
            followed_time,
            unfollowed_time,
        };
        let rules = Allowances { spoke: Allowance { messages: 5, seconds: 120 }, ..RULES };
        let shown = person.look(&rules, now);
        let left = shown.map_or(0, |open| open.left);
        prop_assert!(left > 0 || shown.is_err());
        for taken in 0..left {
            let taken = (taken, person.take(ID, &rules, now).map(|taken| taken.identity_id));
            prop_assert_eq!(taken.1, Ok(ID), "{}", taken.0);
        }
        let refused = person.take(ID, &rules, now);
        prop_assert_eq!(refused, Err(shown.err().unwrap_or(Closed::AllowanceUsed)));
    }
}
