//! Openids after an account migration (WeChat guide, changeopenid).
//!
//! The old account's followers have other openids in the new one. WeChat translates those who followed the old account,
//! or had authorised it, from the approval of the migration until 15 days after it. The guide's present page says that
//! `from_appid` is the old account's original id; in fact WeChat takes the AppID and refuses the original id (63178).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{AccessToken, Client, lenient};
use super::error::CallError;

/// Most openids in one [`Client::change_openids`].
pub const CHANGE_OPENID_MAX: usize = 100;

/// What became of one openid.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Translated {
    /// The openid in the old account.
    pub ori_openid: String,
    /// The person's openid in the new one, if WeChat knows it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub new_openid: Option<String>,
    /// `ok`, or why not: `ori_openid error` for somebody who did not follow the old account.
    #[serde(default, deserialize_with = "lenient::text")]
    pub err_msg: Option<String>,
}

#[derive(Serialize)]
struct Request<'a> {
    from_appid: &'a str,
    openid_list: &'a [&'a str],
}

#[derive(Deserialize)]
struct Answer {
    result_list: Vec<Value>,
}

impl Client {
    /// `POST /cgi-bin/changeopenid`, with the new account's token, for 1 to [`CHANGE_OPENID_MAX`] openids of the account
    /// `from_appid`. Match the answer by openid, not by place; an entry that cannot be read is left out.
    pub async fn change_openids(
        &self,
        token: &AccessToken,
        from_appid: &str,
        openids: &[&str],
    ) -> Result<Vec<Translated>, CallError> {
        let query = [("access_token", token.expose())];
        let request = Request {
            from_appid,
            openid_list: openids,
        };
        let answer: Answer = self.post("/cgi-bin/changeopenid", &query, &request).await?;
        let entries = answer.result_list.into_iter();
        let translated = entries.filter_map(|entry| serde_json::from_value(entry).ok());
        Ok(translated.collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::wechat::client::stub::{Stub, TOKEN, token};

    #[tokio::test]
    async fn each_openid_is_translated_or_says_why_not() {
        let stub = Stub::json(
            r#"{"errcode":0,"errmsg":"ok","result_list":[
            {"ori_openid":"oA","new_openid":"oB","err_msg":"ok"},
            {"ori_openid":"oC","err_msg":"ori_openid error"},
            {"new_openid":"oX","err_msg":"ok"}, "ok",
            {"ori_openid":"oD","new_openid":"","err_msg":"ori_openid error"}]}"#,
        )
        .await;
        let answer = stub
            .client
            .change_openids(&token(), "wx00000000000000a1", &["oA", "oC", "oD"])
            .await
            .unwrap();
        let new: Vec<_> = answer.iter().map(|one| one.new_openid.as_deref()).collect();
        assert_eq!(new, [Some("oB"), None, None]);
        assert_eq!(answer[1].err_msg.as_deref(), Some("ori_openid error"));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/changeopenid?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"from_appid":"wx00000000000000a1","openid_list":["oA","oC","oD"]}"#
        );
    }
}
