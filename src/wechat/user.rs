//! Followers of an official account: profiles and the list (WeChat guide, user management).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::client::{AccessToken, Client, lenient};
use super::error::CallError;

/// Most openids in one [`Client::user_info_batch`]; WeChat refuses more with 40032.
pub const USER_INFO_BATCH_MAX: usize = 100;
/// Most openids in one [`FollowerPage`].
pub const FOLLOWER_PAGE_MAX: usize = 10_000;

const LANG: &str = "zh_CN";

/// Longest text of a detail that is kept, characters; WeChat's own names have at most 32.
const DETAIL_MAX: usize = 256;
/// Longest picture URL that is kept, bytes: half of one leads nowhere.
const PICTURE_URL_MAX: usize = 1_024;

/// A profile. Name, picture, sex and place were withdrawn in 2021: most live answers have them empty,
/// those of some older and partner accounts do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UserInfo {
    /// Whether the user follows now; if not, WeChat tells nothing else.
    #[serde(deserialize_with = "flag")]
    pub subscribe: bool,
    /// The user in this account.
    pub openid: String,
    /// The person across accounts, byte for byte; absent unless the account is bound to an Open Platform account.
    #[serde(default, deserialize_with = "lenient::text")]
    pub unionid: Option<String>,
    /// Last follow, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient::int")]
    pub subscribe_time: Option<i64>,
    /// How the user came, such as `ADD_SCENE_QR_CODE`; new values appear without notice.
    #[serde(default, deserialize_with = "lenient::text")]
    pub subscribe_scene: Option<String>,
    /// Number of the QR code scanned; 0 where there was none.
    #[serde(default, deserialize_with = "lenient::int")]
    pub qr_scene: Option<i64>,
    /// Text of the QR code scanned.
    #[serde(default, deserialize_with = "lenient::text")]
    pub qr_scene_str: Option<String>,
    /// The user's language, such as `zh_CN`.
    #[serde(default, deserialize_with = "lenient::text")]
    pub language: Option<String>,
    /// The account's own note on the user; empty where there is none. Some answers say next to nothing and
    /// leave it out, which says nothing of tags either.
    #[serde(default, deserialize_with = "note")]
    pub remark: Option<String>,
    /// Group of the old scheme.
    #[serde(default, deserialize_with = "lenient::int")]
    pub groupid: Option<i64>,
    /// Tags that the account gave the user.
    #[serde(default, deserialize_with = "lenient::ints")]
    pub tagid_list: Vec<i64>,
    /// The name that the user chose.
    #[serde(default, deserialize_with = "detail")]
    pub nickname: Option<String>,
    /// URL of the user's picture.
    #[serde(default, deserialize_with = "picture")]
    pub headimgurl: Option<String>,
    /// 1 male, 2 female; 0 is the empty one and read as none.
    #[serde(default, deserialize_with = "sex")]
    pub sex: Option<i32>,
    /// As the user entered it.
    #[serde(default, deserialize_with = "detail")]
    pub country: Option<String>,
    /// As the user entered it.
    #[serde(default, deserialize_with = "detail")]
    pub province: Option<String>,
    /// As the user entered it.
    #[serde(default, deserialize_with = "detail")]
    pub city: Option<String>,
}

/// A text, also an empty one; anything else is none.
fn note<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Text with something to see in it, cut where it is longer than any real one.
fn detail<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = lenient::text(from)?.filter(|text| !text.trim().is_empty());
    Ok(text.map(|text| text.chars().take(DETAIL_MAX).collect()))
}

fn picture<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let is_one = |url: &String| !url.trim().is_empty() && url.len() <= PICTURE_URL_MAX;
    Ok(lenient::text(from)?.filter(is_one))
}

fn sex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    let told = lenient::int(from)?.filter(|sex| *sex != 0);
    Ok(told.and_then(|sex| i32::try_from(sex).ok()))
}

/// 0 and 1, as documented; a JSON boolean and a string are read as well.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    value
        .as_bool()
        .or_else(|| lenient::as_i64(&value).map(|number| number != 0))
        .ok_or_else(|| serde::de::Error::custom("subscribe is neither 0 nor 1"))
}

/// One page of an account's followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerPage {
    /// Followers of the account, by WeChat's count. It is behind while people come and go: good for
    /// showing progress, not for knowing the end.
    pub total: u64,
    /// The openids of this page, without empty ones; at most [`FOLLOWER_PAGE_MAX`]. Only a page without
    /// any is the end of the list.
    pub openids: Vec<String>,
    /// The last page also names one: ask [`FollowerPage::next`].
    pub next_openid: Option<String>,
}

impl FollowerPage {
    /// Where the next page starts; none at the end of the list. The guide says that the last page names
    /// no successor; in fact it names its own last openid, and the page after it is empty.
    pub fn next(&self) -> Option<&str> {
        let last = self.openids.last()?;
        Some(self.next_openid.as_ref().unwrap_or(last))
    }
}

#[derive(Deserialize)]
struct FollowersAnswer {
    #[serde(default, deserialize_with = "lenient::int")]
    total: Option<i64>,
    #[serde(default, deserialize_with = "lenient::int")]
    count: Option<i64>,
    #[serde(default)]
    data: Value,
    #[serde(default, deserialize_with = "lenient::text")]
    next_openid: Option<String>,
}

impl TryFrom<FollowersAnswer> for FollowerPage {
    type Error = CallError;

    fn try_from(answer: FollowersAnswer) -> Result<Self, CallError> {
        // A walk must not take for its end what is no page at all.
        if answer.total.or(answer.count).is_none() {
            return Err(CallError::malformed("it is no page of followers"));
        }
        let listed = answer.data.get("openid").and_then(Value::as_array);
        let openids = listed.into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            total: answer.total.map_or(0, i64::unsigned_abs),
            openids: openids
                .filter(|openid| !openid.is_empty())
                .map(str::to_owned)
                .collect(),
            next_openid: answer.next_openid,
        })
    }
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    user_list: Vec<BatchEntry<'a>>,
}

#[derive(Serialize)]
struct BatchEntry<'a> {
    openid: &'a str,
    lang: &'a str,
}

#[derive(Deserialize)]
struct BatchAnswer {
    user_info_list: Vec<Value>,
}

impl UserInfo {
    /// Whether the ids came through whole: broken UTF-8 was replaced, and would make another id.
    fn is_intact(&self) -> bool {
        let is_broken = |id: &str| id.contains(char::REPLACEMENT_CHARACTER);
        !is_broken(&self.openid) && !self.unionid.as_deref().is_some_and(is_broken)
    }
}

impl Client {
    /// `GET /cgi-bin/user/info`.
    pub async fn user_info(
        &self,
        token: &AccessToken,
        openid: &str,
    ) -> Result<UserInfo, CallError> {
        let query = [
            ("access_token", token.expose()),
            ("openid", openid),
            ("lang", LANG),
        ];
        let info: UserInfo = self.get("/cgi-bin/user/info", &query).await?;
        match info.is_intact() {
            true => Ok(info),
            false => Err(CallError::malformed("an id is not UTF-8")),
        }
    }

    /// `POST /cgi-bin/user/info/batchget`, for 1 to [`USER_INFO_BATCH_MAX`] openids. Match the answer by openid, not
    /// by place: an entry that cannot be read is left out. One openid can fail the whole batch, such as a foreign one
    /// with 40003.
    pub async fn user_info_batch(
        &self,
        token: &AccessToken,
        openids: &[&str],
    ) -> Result<Vec<UserInfo>, CallError> {
        let user_list = openids
            .iter()
            .map(|openid| BatchEntry { openid, lang: LANG })
            .collect();
        let query = [("access_token", token.expose())];
        let answer: BatchAnswer = self
            .post(
                "/cgi-bin/user/info/batchget",
                &query,
                &BatchRequest { user_list },
            )
            .await?;
        let entries = answer.user_info_list.into_iter();
        let infos = entries.filter_map(|entry| serde_json::from_value(entry).ok());
        Ok(infos.filter(UserInfo::is_intact).collect())
    }

    /// `GET /cgi-bin/user/get`: the page after `next_openid`, or the first one.
    pub async fn followers(
        &self,
        token: &AccessToken,
        next_openid: Option<&str>,
    ) -> Result<FollowerPage, CallError> {
        let query = [
            ("access_token", token.expose()),
            ("next_openid", next_openid.unwrap_or_default()),
        ];
        let answer: FollowersAnswer = self.get("/cgi-bin/user/get", &query).await?;
        answer.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};

    fn parse(json: &str) -> UserInfo {
        serde_json::from_str(json).unwrap()
    }

    #[tokio::test]
    async fn a_profile_is_asked_for_by_openid_and_read_whole() {
        let stub = Stub::json(
            r#"{"subscribe":1,"openid":"oA","nickname":"","sex":0,"language":"zh_CN",
            "subscribe_time":1766000000,"unionid":" oU","remark":"","groupid":0,"tagid_list":[101,2],
            "subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":0,"qr_scene_str":"shop_12"}"#,
        )
        .await;
        let user = stub.client.user_info(&token(), "oA").await.unwrap();
        let expected = UserInfo {
            subscribe: true,
            openid: "oA".to_owned(),
            unionid: Some(" oU".to_owned()),
            subscribe_time: Some(1_766_000_000),
            subscribe_scene: Some("ADD_SCENE_QR_CODE".to_owned()),
            qr_scene: Some(0),
            qr_scene_str: Some("shop_12".to_owned()),
            language: Some("zh_CN".to_owned()),
            remark: Some(String::new()),
            groupid: Some(0),
            tagid_list: vec![101, 2],
            nickname: None,
            headimgurl: None,
            sex: None,
            country: None,
            province: None,
            city: None,
        };
        assert_eq!(user, expected);
        assert_eq!(
            stub.request().await.target,
            format!("GET /cgi-bin/user/info?access_token={TOKEN}&openid=oA&lang=zh_CN")
        );
    }

    #[test]
    fn only_subscribe_and_openid_are_needed() {
        let gone = parse(r#"{"subscribe":0,"openid":"oA"}"#);
        assert_eq!((gone.subscribe, gone.unionid), (false, None));
        let odd = r#"{"subscribe":"1","openid":"oA","unionid":"","tagid_list":null,"groupid":"x","language":3}"#;
        let odd = parse(odd);
        assert!(odd.subscribe && odd.tagid_list.is_empty());
        assert_eq!((odd.unionid, odd.groupid, odd.language), (None, None, None));
        for bad in [
            r#"{"openid":"oA"}"#,
            r#"{"subscribe":1}"#,
            r#"{"subscribe":"yes","openid":"oA"}"#,
        ] {
            assert!(serde_json::from_str::<UserInfo>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn details_are_read_where_there_are_any_and_an_empty_one_is_none() {
        let told = parse(
            r#"{"subscribe":1,"openid":"oA","nickname":" 小 \"王\" ","sex":2,"city":"广州","province":"广东",
            "country":"中国","headimgurl":"https://thirdwx.qlogo.cn/mmopen/x/132"}"#,
        );
        assert_eq!(told.nickname.as_deref(), Some(" 小 \"王\" "));
        assert_eq!((told.sex, told.city.as_deref()), (Some(2), Some("广州")));
        assert_eq!(told.province.as_deref(), Some("广东"));
        assert_eq!(told.country.as_deref(), Some("中国"));
        let url = told.headimgurl.unwrap();
        assert!(url.ends_with("/132"), "{url}");
        let long = format!(
            r#"{{"subscribe":1,"openid":"oA","nickname":"{}","headimgurl":"https://{}"}}"#,
            "长".repeat(300),
            "x".repeat(PICTURE_URL_MAX)
        );
        let long = parse(&long);
        assert_eq!(long.nickname.unwrap().chars().count(), DETAIL_MAX);
        assert_eq!(long.headimgurl, None);
        for empty in [
            r#""nickname":"","sex":0,"city":"","province":"","country":"","headimgurl":"""#,
            r#""nickname":"  ","sex":"0","city":null,"headimgurl":" ""#,
            r#""nickname":7,"sex":"male","city":[],"headimgurl":{}"#,
            r#""sex":99999999999"#,
        ] {
            let read = parse(&format!(r#"{{"subscribe":1,"openid":"oA",{empty}}}"#));
            assert_eq!(read, parse(r#"{"subscribe":1,"openid":"oA"}"#), "{empty}");
        }
        assert_eq!(
            parse(r#"{"subscribe":1,"openid":"oA","sex":"1"}"#).sex,
            Some(1)
        );
    }

    #[tokio::test]
    async fn a_batch_is_one_request() {
        let stub = Stub::json(
            r#"{"user_info_list":[{"subscribe":1,"openid":"oA","unionid":"oU"},{"subscribe":0,"openid":"oB"}]}"#,
        )
        .await;
        let users = stub.client.user_info_batch(&token(), &["oA", "oB"]).await;
        let users = users.unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(users[0].unionid.as_deref(), Some("oU"));
        assert!(!users[1].subscribe);
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/user/info/batchget?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"user_list":[{"openid":"oA","lang":"zh_CN"},{"openid":"oB","lang":"zh_CN"}]}"#
        );
    }

    async fn page(body: &str, after: Option<&str>) -> (FollowerPage, String) {
        let stub = Stub::json(body).await;
        let page = stub.client.followers(&token(), after).await.unwrap();
        (page, stub.request().await.target)
    }

    #[tokio::test]
    async fn the_walk_over_the_followers_ends_only_at_an_empty_page() {
        let body = r#"{"total":3,"count":2,"data":{"openid":["o1","o2"]},"next_openid":"o2"}"#;
        let (first, target) = page(body, None).await;
        assert_eq!(first.openids, ["o1", "o2"]);
        assert_eq!(
            target,
            format!("GET /cgi-bin/user/get?access_token={TOKEN}&next_openid=")
        );
        let body = r#"{"total":3,"count":1,"data":{"openid":["o3"]},"next_openid":"o3"}"#;
        let (second, target) = page(body, first.next()).await;
        assert!(target.ends_with("&next_openid=o2"), "{target}");
        assert_eq!(
            second.next(),
            Some("o3"),
            "all are there, and yet it goes on"
        );
        for end in [
            r#"{"total":3,"count":0,"next_openid":""}"#,
            r#"{"total":9,"count":0,"data":{"openid":[]},"next_openid":"o3"}"#,
            r#"{"total":9,"count":1,"data":{"openid":[""]},"next_openid":""}"#,
            r#"{"total":9,"count":2,"data":null,"next_openid":"o3"}"#,
            r#"{"count":0,"data":{"openid":null}}"#,
        ] {
            let (after, _) = page(end, second.next()).await;
            assert_eq!((after.openids.len(), after.next()), (0, None), "{end}");
        }
        let stub = Stub::json("{}").await;
        let error = stub.client.followers(&token(), None).await.unwrap_err();
        assert!(matches!(error, CallError::Malformed { .. }), "{error}");
    }

    #[tokio::test]
    async fn empty_openids_are_no_followers_and_a_page_without_successor_goes_on_behind_its_last() {
        let body = r#"{"total":"2","count":3,"data":{"openid":["","o1",7,"o2"]},"next_openid":""}"#;
        let (page, _) = page(body, None).await;
        assert_eq!(
            (page.total, page.openids.as_slice()),
            (2, ["o1".to_owned(), "o2".to_owned()].as_slice())
        );
        assert_eq!(page.next(), Some("o2"));
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_read_does_not_cost_the_others() {
        let body = b"{\"user_info_list\":[{\"subscribe\":1,\"unionid\":\"uX\"},{\"subscribe\":1,\"openid\":\"oB\",\
            \"unionid\":\"u\xe7\xb3\"},{\"subscribe\":\"?\",\"openid\":\"oC\"},null,{\"subscribe\":1,\"openid\":\"oD\",\
            \"unionid\":\"uD\",\"remark\":\"\xe7\xb3\"}]}";
        let stub = Stub::json(body).await;
        let (token, openids) = (token(), ["oA", "oB", "oC", "oD"]);
        let users = stub.client.user_info_batch(&token, &openids).await;
        let users = users.unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(
            (users[0].openid.as_str(), users[0].unionid.as_deref()),
            ("oD", Some("uD"))
        );
        let stub =
            Stub::json(b"{\"subscribe\":1,\"openid\":\"oB\",\"unionid\":\"u\xe7\xb3\"}").await;
        let error = stub.client.user_info(&token, "oB").await.unwrap_err();
        assert!(matches!(error, CallError::Malformed { .. }), "{error}");
    }
}
