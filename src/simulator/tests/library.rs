//! The lists of templates, and their owner's hand on them through the control API.

use super::*;

const PRIVATE: &str = "/cgi-bin/template/get_all_private_template";
const SUBSCRIPTIONS: &str = "/wxaapi/newtmpl/gettemplate";

async fn mini_token(sim: &Sim) -> String {
    let body = json!({"grant_type": "client_credential", "appid": MINI, "secret": SECRET});
    let grant = sim.post("/cgi-bin/stable_token", &body).await;
    grant["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_kind_of_account_has_its_own_list() {
    let sim = Sim::start().await;
    let id = sim.template("单号:{{character_string1.DATA}}\n");
    let subscription = json!({
        "template_id": "SUB", "title": "提醒", "content": "地点:{{enum_string1.DATA}}",
        "values": {"enum_string1": ["客厅"]}, "kind": "subscribe_long_term",
    });
    let path = format!("/_sim/accounts/{MINI}/templates");
    assert_eq!(sim.post(&path, &subscription).await["template_id"], "SUB");
    let once = json!({"template_id": "ONCE", "title": "一次", "content": "{{thing1.DATA}}"});
    sim.post(&path, &once).await;
    let (official, mini) = (sim.token().await, mini_token(&sim).await);
    let list = sim.get(&format!("{PRIVATE}?access_token={official}")).await;
    assert_eq!(list.get("errcode"), None, "a success has none: {list}");
    assert_eq!(list["template_list"].as_array().unwrap().len(), 1);
    assert_eq!(list["template_list"][0]["template_id"], id);
    assert_eq!(
        list["template_list"][0]["content"],
        "单号:{{character_string1.DATA}}\n"
    );
    let list = sim
        .get(&format!("{SUBSCRIPTIONS}?access_token={mini}"))
        .await;
    assert_eq!(list["errcode"], 0);
    let kinds: Vec<_> = list["data"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&kinds[0]["priTmplId"], &kinds[0]["type"]),
        (&json!("ONCE"), &json!(2))
    );
    assert_eq!(kinds[0].get("keywordEnumValueList"), None);
    assert_eq!(
        (&kinds[1]["priTmplId"], &kinds[1]["type"]),
        (&json!("SUB"), &json!(3))
    );
    let values = json!([{"keywordCode": "enum_string1.DATA", "enumValueList": ["客厅"]}]);
    assert_eq!(kinds[1]["keywordEnumValueList"], values);
    let wrong = sim.get(&format!("{PRIVATE}?access_token={mini}")).await;
    assert_eq!(errcode(&wrong), 48001);
    let list = sim
        .get(&format!("{SUBSCRIPTIONS}?access_token={official}"))
        .await;
    assert_eq!((&list["errcode"], &list["data"]), (&json!(0), &json!([])));
    let path = format!("/_sim/accounts/{OFFICIAL}/templates");
    let own = json!({
        "template_id": "OWN", "title": "订阅", "content": "{{thing1.DATA}}", "kind": "subscribe_once",
    });
    sim.post(&path, &own).await;
    let list = sim
        .get(&format!("{SUBSCRIPTIONS}?access_token={official}"))
        .await;
    let data = list["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[0]["priTmplId"]), (1, &json!("OWN")));
    assert_eq!(errcode(&sim.get(PRIVATE).await), 41001);
}

#[tokio::test]
async fn a_template_is_changed_and_removed() {
    let sim = Sim::start().await;
    let id = sim.template("{{thing1.DATA}}");
    let path = format!("/_sim/accounts/{OFFICIAL}/templates");
    let one = sim.url(&format!("{path}/{id}"));
    let changed = json!({"title": "new", "content": "{{thing2.DATA}}"});
    let put = async |url: &str| {
        let request = sim.http.put(url).json(&changed);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(put(&one).await, 204);
    let listed = sim.get(&path).await;
    assert_eq!(listed[0]["template_id"], id);
    assert_eq!(listed[0]["content"], "{{thing2.DATA}}");
    let list = format!("{PRIVATE}?access_token={}", sim.token().await);
    assert_eq!(sim.get(&list).await["template_list"][0]["title"], "new");
    let delete = async || {
        sim.http
            .delete(&one)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(delete().await, 204);
    assert_eq!(sim.get(&list).await["template_list"], json!([]));
    assert_eq!((delete().await, put(&one).await), (404, 404));
}
