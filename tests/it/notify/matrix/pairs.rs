//! Each channel alone, and each after each other one.

use serde_json::json;

use super::{ALL, Matrix, path};
use crate::notify::routes::verdicts;

both_engines! {
    every_channel_brings_one_message,
    every_channel_gives_way_to_every_other,
}

async fn every_channel_brings_one_message(all: Matrix) {
    for (person, channel) in (1..).zip(ALL) {
        let staff = all.member(person).await;
        all.permit(channel, person).await;
        all.channels(&[channel]).await;
        let calls = all.calls(channel);
        let delivery = all.endpoint.sent(&staff).await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        assert_eq!(verdicts(&delivery), [(channel, "taken")]);
        assert_eq!(
            (all.shown(person), all.calls(channel) - calls),
            (1, 1),
            "{channel}"
        );
    }
}

async fn every_channel_gives_way_to_every_other(all: Matrix) {
    let mut person = 0;
    for first in ALL {
        for second in ALL {
            if first == second {
                continue;
            }
            person += 1;
            let staff = all.member(person).await;
            all.permit(first, person).await;
            all.permit(second, person).await;
            all.channels(&[first, second]).await;
            let reason = match first {
                "webhook" => {
                    all.endpoint.receiver.answer(404);
                    "endpoint_refused"
                }
                _ => {
                    all.endpoint.refuse(path(first), 43019);
                    "blocked"
                }
            };
            let delivery = all.endpoint.sent(&staff).await;
            all.endpoint.receiver.answer(200);
            assert_eq!(delivery["state"], "delivered", "{delivery}");
            assert_eq!(verdicts(&delivery), [(first, reason), (second, "taken")]);
            assert_eq!(delivery["attempts"].as_array().unwrap().len(), 2);
            assert_eq!(all.shown(person), 1, "{first} then {second}");
            let app_id = all.route(second)["account"].clone();
            assert_eq!(
                (&delivery["app_id"], &delivery["route"]),
                (&app_id, &json!(1))
            );
        }
    }
}
