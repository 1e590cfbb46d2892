//! Where an import stands after a page, and after a failure.

use chrono::DateTime;

use super::*;
use crate::ids::AccountId;
use crate::wechat::error::ApiError;

fn now() -> NaiveDateTime {
    // 2026-01-01, 12:00 in Beijing.
    DateTime::from_timestamp(1_767_240_000, 0)
        .unwrap()
        .naive_utc()
}

fn import(reconcile: bool) -> Import {
    Import {
        id: ImportId(1),
        account_id: AccountId(1),
        reconcile,
        refresh: false,
        state: ImportState::Running,
        next_openid: None,
        collected: 0,
        total: None,
        created: 0,
        gone: 0,
        problem: None,
        attempts: 3,
        due_at: Some(now()),
        started_at: now(),
        finished_at: None,
        pages: 0,
        mark: None,
        checked_to: None,
        unsettled: 0,
        last_turn: None,
    }
}

fn page(total: u64, openids: &[&str], next: &str) -> FollowerPage {
    FollowerPage {
        total,
        openids: openids.iter().map(|&openid| openid.to_owned()).collect(),
        next_openid: (!next.is_empty()).then(|| next.to_owned()),
    }
}

/// The import as the next step claims it.
fn next(import: &Import, progress: &Progress) -> Import {
    Import {
        state: progress.state,
        next_openid: progress.next_openid.clone(),
        collected: progress.collected,
        pages: progress.pages,
        mark: progress.mark.clone(),
        ..import.clone()
    }
}

#[test]
fn no_total_ends_a_walk_and_no_total_keeps_it_going() {
    for total in [0, 1, 2, 3, 1_000_000] {
        let before = import(false);
        let after = after_page(&before, &page(total, &["o1", "o2", "o1"], "o2"), now());
        assert_eq!(
            (after.state, after.collected),
            (ImportState::Running, 2),
            "{total}"
        );
        assert_eq!(
            (after.next_openid.as_deref(), after.attempts),
            (Some("o2"), 0)
        );
        let after = after_page(&next(&before, &after), &page(total, &[], "o2"), now());
        assert_eq!(
            (after.state, after.collected),
            (ImportState::Done, 2),
            "{total}"
        );
    }
    let ended = after_page(&import(true), &page(9, &[], ""), now());
    assert_eq!(
        (ended.state, ended.checked_to),
        (ImportState::Running, Some(IdentityId(0)))
    );
}

#[test]
fn a_list_without_end_is_noticed_whatever_its_length() {
    for length in [1, 2, 3, 7, 50] {
        for lead in [0, 1, 5] {
            let mut import = import(false);
            let mut pages = 0;
            let after = loop {
                let number = match pages {
                    number if number < lead + length => number,
                    number => lead + (number - lead) % length,
                };
                let openid = format!("o{number}");
                let after = after_page(&import, &page(9, &[&openid], &openid), now());
                pages += 1;
                assert!(pages < 4 * (lead + length) + 4, "{length} after {lead}");
                if after.state != ImportState::Running {
                    break after;
                }
                import = next(&import, &after);
            };
            assert_eq!(after.state, ImportState::Failed);
            assert_eq!(after.problem.as_deref(), Some(CIRCLE));
        }
    }
    let mut import = import(false);
    for number in 0..200 {
        let openid = format!("o{number}");
        let after = after_page(&import, &page(9, &[&openid], &openid), now());
        assert_eq!(
            after.state,
            ImportState::Running,
            "{number}: a long list is no circle"
        );
        import = next(&import, &after);
    }
}

#[test]
fn a_limit_that_is_used_up_is_waited_for_and_is_no_failure() {
    let failing = |errcode| {
        let error =
            TokenError::Call(ApiError::new(errcode, "reach max api daily quota limit").into());
        let import = Import {
            attempts: MOST_FAILURES,
            ..import(true)
        };
        after_failure(&import, import.progress(), &error, now())
    };
    let daily = failing(45009);
    assert_eq!(
        (daily.state, daily.attempts),
        (ImportState::Running, MOST_FAILURES)
    );
    let due = daily.due_at.unwrap() - now();
    assert!(
        due >= TimeDelta::hours(12) && due <= TimeDelta::minutes(12 * 60 + 1),
        "{due}"
    );
    let problem = daily.problem.unwrap();
    assert!(
        problem.contains("45009") && problem.contains("2026-01-01 16:0"),
        "{problem}"
    );
    let by_the_minute = failing(45011).due_at.unwrap() - now();
    assert!(by_the_minute >= TimeDelta::minutes(1) && by_the_minute <= TimeDelta::minutes(2));
    assert_eq!(
        failing(-1).state,
        ImportState::Failed,
        "it has failed often enough"
    );
    assert_eq!(failing(48001).state, ImportState::Failed);
}
