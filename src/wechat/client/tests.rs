//! How the client meets each kind of answer, and each kind of none.

use std::time::Duration;

use tokio::net::TcpListener;

use super::stub::{Stub, TOKEN, Then, response, token};
use super::*;
use crate::wechat::error::Class;
use crate::wechat::user::UserInfo;

const FOLLOWER: &str = r#"{"subscribe":1,"openid":"oA"}"#;

async fn ask(then: Then) -> Result<UserInfo, CallError> {
    let stub = Stub::with_timeout(then, Duration::from_secs(5)).await;
    stub.client.user_info(&token(), "oA").await
}

async fn fail(then: Then) -> CallError {
    let error = ask(then).await.unwrap_err();
    assert_discreet(&error);
    error
}

/// Neither the token nor any URL is in what an error shows.
fn assert_discreet(error: &CallError) {
    let shown = format!("{error} {error:?} {error:#?}");
    for secret in [TOKEN, "access_token", "user/info", "http://", "https://"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    for content_type in ["text/plain", "text/html; charset=gbk", "application/json"] {
        let answer = response("200 OK", content_type, FOLLOWER.as_bytes());
        let user = ask(Then::Answer(answer)).await.unwrap();
        assert!(user.subscribe, "{content_type}");
    }
}

#[tokio::test]
async fn an_errcode_is_an_error_in_spite_of_http_200() {
    let body =
        br#"{"errcode":"43004","errmsg":"require subscribe, rid: 69560000-0a0b0c0d-01020304"}"#;
    let error = fail(Then::Answer(response("200 OK", "text/plain", body))).await;
    assert_eq!(error.errcode(), Some(43004));
    assert_eq!(error.class(), Class::Recipient);
    assert!(!error.is_ambiguous());
    assert_eq!(
        error.to_string(),
        "WeChat answered 43004: require subscribe (rid 69560000-0a0b0c0d-01020304)"
    );
}

#[tokio::test]
async fn invalid_utf8_in_an_answer_is_tolerated() {
    let body = b"{\"subscribe\":1,\"openid\":\"oA\",\"remark\":\"\xe5\xbc\"}";
    let user = ask(Then::Answer(response("200 OK", "text/plain", body))).await;
    assert_eq!(user.unwrap().remark.as_deref(), Some("\u{fffd}"));
}

#[tokio::test]
async fn a_gateway_error_is_its_status_and_ambiguous_from_500() {
    let page = b"<html>Bad Gateway</html>";
    let error = fail(Then::Answer(response("502 Bad Gateway", "text/html", page))).await;
    assert_eq!(error, CallError::Http { status: 502 });
    assert!(error.is_ambiguous());
    assert_eq!(error.class(), Class::Retry);

    let error = fail(Then::Answer(response("413 Too Large", "text/html", page))).await;
    assert_eq!(error, CallError::Http { status: 413 });
    assert!(!error.is_ambiguous());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let error = fail(Then::Answer(answer.to_vec())).await;
    assert_eq!(error, CallError::Http { status: 302 });
}

#[tokio::test]
async fn what_is_not_json_is_malformed_and_ambiguous() {
    for body in ["", "success", "<html></html>", "[]", r#"{"subscribe":1}"#] {
        let error = fail(Then::Answer(response(
            "200 OK",
            "text/plain",
            body.as_bytes(),
        )))
        .await;
        assert!(
            matches!(error, CallError::Malformed { .. }),
            "{body}: {error:?}"
        );
        assert!(error.is_ambiguous(), "{body}");
    }
}

#[tokio::test]
async fn silence_after_the_request_is_a_timeout() {
    let stub = Stub::with_timeout(
        Then::AnswerAndSilence(Vec::new()),
        Duration::from_millis(50),
    )
    .await;
    let error = stub.client.user_info(&token(), "oA").await.unwrap_err();
    assert_discreet(&error);
    assert_eq!(error, CallError::Timeout);
    assert!(error.is_ambiguous());
}

#[tokio::test]
async fn a_body_that_does_not_end_is_a_timeout() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec();
    let stub = Stub::with_timeout(Then::AnswerAndSilence(head), Duration::from_millis(50)).await;
    let error = stub.client.user_info(&token(), "oA").await.unwrap_err();
    assert_eq!(error, CallError::Timeout);
}

#[tokio::test]
async fn a_connection_that_closes_early_is_broken_and_ambiguous() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"subscribe\":1,".to_vec();
    for answer in [
        Vec::new(),
        b"HTTP/1.1 2".to_vec(),
        half,
        b"not http".to_vec(),
    ] {
        let error = fail(Then::Answer(answer)).await;
        assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
        assert!(error.is_ambiguous());
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let base = format!("http://{address}").parse().unwrap();
    let client = Client::new(ClientOptions::new(base)).unwrap();
    let error = client.user_info(&token(), "oA").await.unwrap_err();
    assert_discreet(&error);
    assert!(
        matches!(&error, CallError::NotSent { reason } if reason.contains("refused")),
        "{error}"
    );
    assert!(!error.is_ambiguous());
    assert_eq!(error.class(), Class::Retry);
}

#[tokio::test]
async fn without_tls_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let client = Client::new(ClientOptions::new(base.parse().unwrap())).unwrap();
    let error = client.user_info(&token(), "oA").await.unwrap_err();
    server.await.unwrap();
    assert_discreet(&error);
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_names_its_sender_and_asks_for_no_compression() {
    let stub = Stub::json(FOLLOWER).await;
    stub.client.user_info(&token(), "oA").await.unwrap();
    let headers = stub.request().await.headers;
    let agent = concat!("user-agent: queqiao/", env!("CARGO_PKG_VERSION"));
    assert!(headers.contains(agent), "{headers}");
    assert!(!headers.contains("accept-encoding"), "{headers}");
}

#[test]
fn a_base_url_may_have_a_path_but_nothing_after_it() {
    let client = |base: &str| Client::new(ClientOptions::new(base.parse().unwrap()));
    assert_eq!(
        client(DEFAULT_BASE_URL).unwrap().url("/cgi-bin/token"),
        "https://api.weixin.qq.com/cgi-bin/token"
    );
    assert_eq!(
        client("http://127.0.0.1:9/wx/").unwrap().url("/a"),
        "http://127.0.0.1:9/wx/a"
    );
    for bad in [
        "ftp://a",
        "data:a",
        "https://a/?x=1",
        "https://a/#x",
        "https://me@a/",
        "https://:pw@a/",
    ] {
        assert!(matches!(client(bad), Err(ClientError::BaseUrl)), "{bad}");
    }
}

#[test]
fn only_this_machine_is_loopback() {
    for (url, expected) in [
        ("http://localhost:1", true),
        ("http://127.0.0.2", true),
        ("http://[::1]:1", true),
        ("https://api.weixin.qq.com", false),
        ("http://192.0.2.1", false),
    ] {
        assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
    }
}

#[test]
fn a_token_is_not_in_its_debug_text() {
    assert!(!format!("{:?}", token()).contains(TOKEN));
}
