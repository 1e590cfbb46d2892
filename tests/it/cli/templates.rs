//! `queqiao templates`, beside WeChat's console.

use queqiao::simulator::{Fault, FaultKind, TemplateKind, TemplateSettings};
use serde_json::json;

use super::{CliFixture, MP, OA};

both_engines! {
    templates_are_listed_with_what_they_break,
}

async fn templates_are_listed_with_what_they_break(cli: CliFixture) {
    let template = |content: &str| TemplateSettings {
        template_id: "TPL".to_owned(),
        title: "Order\nplaced".to_owned(),
        content: content.to_owned(),
        ..TemplateSettings::default()
    };
    cli.world()
        .add_template(OA, &template("{{thing1.DATA}}"))
        .unwrap();
    cli.world()
        .add_template(
            MP,
            &TemplateSettings {
                kind: TemplateKind::SubscribeLongTerm,
                ..template("")
            },
        )
        .unwrap();
    let list = || cli.program.run(&["templates", "list"]).ok();
    assert!(list().contains("never listed"), "{}", list());
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let put = cli
        .http
        .put(format!("{}/api/v1/message-types/ping", serve.url));
    let routes = json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": "x"}}]);
    let put = put.bearer_auth(&cli.key).json(&json!({"routes": routes}));
    assert_eq!(put.send().await.unwrap().status(), 201);
    let synced = cli.program.run(&["templates", "sync"]).ok();
    for app_id in [OA, MP] {
        assert!(
            synced.contains(&format!("{app_id}: 1 templates, 1 new, 0 changed, 0 gone")),
            "{synced}"
        );
    }
    let listed = list();
    assert!(
        listed.contains("long_term") && listed.contains("Order placed  ping"),
        "{listed}"
    );
    assert!(!listed.contains("routes[0]"), "{listed}");
    cli.world()
        .change_template(OA, "TPL", &template("{{thing1.DATA}}{{time2.DATA}}"))
        .unwrap();
    let synced = cli
        .program
        .run(&["templates", "sync", "--account", OA])
        .ok();
    assert!(
        synced.contains("1 changed") && synced.contains("changed: TPL"),
        "{synced}"
    );
    let listed = cli
        .program
        .run(&["templates", "list", "--account", OA])
        .ok();
    assert!(
        listed.contains("ping: routes[0].fields: The template has the key time2"),
        "{listed}"
    );
    assert!(!listed.contains(MP), "{listed}");
    let path = "/cgi-bin/template/get_all_private_template";
    cli.world()
        .add_fault(Fault::at(path, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    let refused = cli.program.run(&["templates", "sync"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.err.contains("48001: The account has no permission"),
        "{refused:?}"
    );
    assert!(
        refused.out.contains(&format!("{MP}: 1 templates")),
        "the others are listed: {refused:?}"
    );
    assert!(list().contains("48001"), "{}", list());
    let unknown = cli
        .program
        .run(&["templates", "sync", "--account", "wx00000000000000ff"]);
    assert!(unknown.err.contains("there is no account"), "{unknown:?}");
}
