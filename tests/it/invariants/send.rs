//! Whatever becomes of the call, the person sees a template message once.

use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::{SEND, TestProject};

/// What goes wrong, how often WeChat sees the message again, and what the first attempt was.
const TROUBLE: [(FaultKind, u64, &str); 6] = [
    (FaultKind::TimeOutBefore, 0, "ambiguous"),
    (FaultKind::TimeOutAfter, 1, "ambiguous"),
    (FaultKind::Reset, 0, "ambiguous"),
    (FaultKind::ResetAfter, 1, "ambiguous"),
    (FaultKind::HttpError { status: 502 }, 0, "ambiguous"),
    (FaultKind::Errcode { errcode: -1 }, 0, "retry"),
];

both_engines! {
    the_person_sees_a_message_once_whatever_becomes_of_the_call,
}

async fn the_person_sees_a_message_once_whatever_becomes_of_the_call(project: TestProject) {
    project.reachable("s1", 1).await;
    let (impatient, _server) = project.impatient();
    for (number, (kind, repeats, outcome)) in (1..).zip(TROUBLE) {
        let world = project.world();
        let before = world.stats().repeats;
        world.add_fault(Fault::at(SEND, kind).times(1)).unwrap();
        let path = project.notify("s1").await;
        project.app.drain_by(&impatient).await;
        project.pass(30, 1).await;
        let delivery = project.delivery(&path).await;
        assert_eq!(delivery["state"], "delivered", "{kind:?}: {delivery}");
        let outcomes: Vec<_> = delivery["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["outcome"].clone())
            .collect();
        assert_eq!(outcomes.len(), 2, "{kind:?}: {delivery}");
        assert_eq!(outcomes[1], json!("accepted"), "{kind:?}");
        if outcome == "ambiguous" {
            assert_eq!(outcomes[0], json!(outcome), "{kind:?}");
        }
        assert_eq!(world.messages().len(), number, "{kind:?}");
        assert_eq!(world.stats().repeats - before, repeats, "{kind:?}");
    }
    let ids: std::collections::BTreeSet<_> = project
        .world()
        .messages()
        .into_iter()
        .map(|seen| seen.client_msg_id.unwrap())
        .collect();
    assert_eq!(
        ids.len(),
        TROUBLE.len(),
        "each message has an id of its own"
    );
}
