//! An endpoint that refuses after a silence.

use super::*;

#[test]
fn an_endpoint_that_refuses_a_later_post_may_have_taken_the_first() {
    let gone = SendError::NoEndpoint(Reason::EndpointGone, "It was removed.".to_owned());
    let failure = Failure::of(&gone, Channel::Webhook);
    let (first, reason) = (
        Try {
            repeat: Repeat::Always,
            ..first_try()
        },
        Reason::EndpointGone,
    );
    assert_eq!(
        first.after(&failure, &limits(), 1.0),
        Next::Failed { reason }
    );
    let later = Try {
        number: 2,
        started_at: at(0, 1),
        finished_at: at(0, 1),
        ..first
    };
    assert_eq!(
        later.after(&failure, &limits(), 1.0),
        Next::Unknown { reason }
    );
}
