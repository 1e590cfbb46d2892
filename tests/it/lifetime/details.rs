//! Name, picture and the like: stored where WeChat tells them, and never lost again.

use queqiao::simulator::{ProfileDetails, population};
use serde_json::{Value, json};

use super::{OA, TestProject, comes_back};

const NAMES: [&str; 6] = [
    "nickname",
    "headimgurl",
    "sex",
    "country",
    "province",
    "city",
];

fn shown(identity: &Value) -> Vec<Value> {
    NAMES.iter().map(|name| identity[*name].clone()).collect()
}

fn wang() -> ProfileDetails {
    ProfileDetails {
        nickname: "<b>王\u{202e}\"芳\"</b>".to_owned(),
        sex: 2,
        city: "广州".to_owned(),
        province: "广东".to_owned(),
        country: "中国".to_owned(),
        headimgurl: "https://thirdwx.qlogo.cn/mmopen/abc/132".to_owned(),
        ..ProfileDetails::default()
    }
}

both_engines! {
    what_wechat_tells_of_a_person_is_kept_and_never_overwritten_by_nothing,
    a_remark_and_tags_that_the_account_took_away_are_gone,
    a_batch_of_profiles_has_them_too_and_nobody_has_another_ones,
}

async fn what_wechat_tells_of_a_person_is_kept_and_never_overwritten_by_nothing(
    project: TestProject,
) {
    let world = project.world();
    world.set_details(1, wang()).unwrap();
    project.follows(1).await;
    project.app.drain().await;
    let told = json!([
        "<b>王\u{202e}\"芳\"</b>",
        "https://thirdwx.qlogo.cn/mmopen/abc/132",
        2,
        "中国",
        "广东",
        "广州"
    ]);
    let identity = project.identity(1).await;
    assert_eq!(json!(shown(&identity)), told);
    let path = format!("/people/{}", identity["id"]);
    let person = project.app.get(&project.key, &path).await.ok(200);
    assert_eq!(json!(shown(&person["identities"][0])), told);
    // Empty ones are what WeChat tells today.
    world.set_details(1, ProfileDetails::default()).unwrap();
    comes_back(&project, 1).await;
    assert_eq!(json!(shown(&project.identity(1).await)), told);
    // What is new replaces what it is news of, and nothing else.
    let moved = ProfileDetails {
        city: "深圳".to_owned(),
        sex: 1,
        ..ProfileDetails::default()
    };
    world.set_details(1, moved).unwrap();
    comes_back(&project, 1).await;
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["city"], &identity["sex"]),
        (&json!("深圳"), &json!(1))
    );
    assert_eq!(
        (&identity["nickname"], &identity["province"]),
        (&told[0], &json!("广东"))
    );
}

async fn a_remark_and_tags_that_the_account_took_away_are_gone(project: TestProject) {
    let world = project.world();
    let noted = ProfileDetails {
        remark: "VIP".to_owned(),
        tagid_list: vec![2, 101],
        ..ProfileDetails::default()
    };
    world.set_details(1, noted).unwrap();
    project.follows(1).await;
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["remark"], &identity["tag_ids"]),
        (&json!("VIP"), &json!([2, 101])),
        "{identity}"
    );
    world.set_details(1, ProfileDetails::default()).unwrap();
    comes_back(&project, 1).await;
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["remark"], &identity["tag_ids"]),
        (&Value::Null, &Value::Null),
        "{identity}"
    );
}

async fn a_batch_of_profiles_has_them_too_and_nobody_has_another_ones(project: TestProject) {
    let world = project.world();
    world.set_details(3, wang()).unwrap();
    world
        .set_details(
            4,
            ProfileDetails {
                nickname: "李".to_owned(),
                ..ProfileDetails::default()
            },
        )
        .unwrap();
    for person in 1..=5 {
        project.follows(person).await;
    }
    project.app.drain().await;
    assert_eq!(project.calls(crate::invariants::BATCH), 1);
    assert_eq!(project.identity(3).await["city"], "广州");
    let li = project.identity(4).await;
    assert_eq!(
        json!(shown(&li)),
        json!(["李", null, null, null, null, null])
    );
    for person in [1, 2, 5] {
        assert_eq!(
            shown(&project.identity(person).await),
            vec![Value::Null; 6],
            "{person}"
        );
    }
    // Also where staff are looked up.
    project
        .staff("s4")
        .bound_to(json!({"app_id": OA, "openid": population::openid(OA, 4)}))
        .await;
    let staff = project.app.get(&project.key, "/staff/s4").await.ok(200);
    assert_eq!(staff["identities"][0]["nickname"], "李");
}
