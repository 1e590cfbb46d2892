//! What is not sent after all, looked at just before the call.

use super::*;

const LEASE: TimeDelta = TimeDelta::minutes(2);

fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

fn stop(this: &Try, after: TimeDelta) -> Option<Stop> {
    this.stop(this.started_at + after, LEASE, None)
}

#[test]
fn nothing_is_sent_when_the_claim_has_run_out() {
    for (repeat, most) in [
        (Repeat::Remembered, 120),
        (Repeat::Never, 60),
        (Repeat::Always, 60),
    ] {
        let first = Try {
            repeat,
            ..first_try()
        };
        assert_eq!(stop(&first, seconds(0)), None);
        assert_eq!(stop(&first, seconds(most - 1)), None, "{repeat:?}");
        assert_eq!(stop(&first, seconds(most)), Some(Stop::Late), "{repeat:?}");
        assert_eq!(stop(&first, seconds(660)), Some(Stop::Late), "{repeat:?}");
        assert_eq!(stop(&first, seconds(-1)), Some(Stop::Late), "{repeat:?}");
    }
}

#[test]
fn a_repetition_is_not_sent_that_wechat_may_take_for_a_new_message() {
    let again = Try {
        number: 2,
        started_at: at(0, 8),
        ..first_try()
    };
    assert!(!again.is_too_late());
    assert_eq!(stop(&again, seconds(59)), None);
    assert_eq!(stop(&again, seconds(60)), Some(Stop::Forgotten));
    // The clock went back after the first: how long ago that was, nobody knows.
    let before = Try {
        number: 2,
        unsettled_since: at(0, 2),
        ..first_try()
    };
    assert!(before.is_too_late());
    assert_eq!(stop(&before, seconds(0)), Some(Stop::Forgotten));
    let skewed = Try {
        unsettled_since: at(0, 1),
        ..before
    };
    assert!(
        !skewed.is_too_late(),
        "another process's clock is a bit ahead"
    );
    assert_eq!(stop(&skewed, seconds(0)), None);
    let never = Try {
        repeat: Repeat::Never,
        ..before
    };
    assert!(never.is_too_late());
}

#[test]
fn what_expires_while_it_waits_is_not_sent() {
    let first = first_try();
    let end = Some(at(0, 1));
    assert_eq!(first.stop(at(0, 0), LEASE, end), None);
    assert_eq!(first.stop(at(0, 1), LEASE, end), Some(Stop::Expired));
    assert_eq!(first.stop(at(0, 9), LEASE, end), Some(Stop::Expired));
}
