//! Who is let in, who is not, and why.

mod forged;

use proptest::prelude::*;

use super::*;
use crate::wechat::crypto::DecryptError;

const APP_ID: &str = "wx0123456789abcdef";
const CLEAR: &str = "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><MsgType><![CDATA[event]]></MsgType></xml>";
const STAMP: (&str, &str) = ("1767225600", "88412");

fn key() -> AesKey {
    AesKey::parse("Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH").unwrap()
}

fn account(mode: Mode) -> Credentials {
    Credentials {
        app_id: APP_ID.to_owned(),
        token: "harbour7".to_owned(),
        aes_key: Some(key()),
        mode,
    }
}

/// The query of a push in clear.
fn clear_query() -> Query {
    Query {
        signature: Some(signature::sign(&["harbour7", STAMP.0, STAMP.1])),
        timestamp: Some(STAMP.0.to_owned()),
        nonce: Some(STAMP.1.to_owned()),
        ..Query::default()
    }
}

/// The query of an encrypted push.
fn encrypted_query(encrypt: &str) -> Query {
    Query {
        msg_signature: Some(signature::sign(&["harbour7", STAMP.0, STAMP.1, encrypt])),
        encrypt_type: Some("aes".to_owned()),
        ..clear_query()
    }
}

fn encrypt() -> String {
    crypto::encrypt(&key(), APP_ID, CLEAR.as_bytes())
}

fn secure_body(encrypt: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
    )
}

fn refused(query: &Query, body: &str, mode: Mode) -> Refusal {
    open(query, body.as_bytes(), &account(mode)).unwrap_err()
}

fn opens(query: &Query, body: &str, mode: Mode) -> bool {
    let opened = open(query, body.as_bytes(), &account(mode)).unwrap();
    assert_eq!(opened.plaintext, CLEAR.as_bytes());
    opened.encrypted
}

#[test]
fn the_url_is_verified_by_signature_in_every_mode() {
    let query = Query {
        signature: Some("5943bc50fe9e79a68ef8ad99cf94387971133a29".to_owned()),
        echostr: Some("7700112233445566".to_owned()),
        ..clear_query()
    };
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        assert_eq!(
            echo(&query, &account(mode), Window::OPEN),
            Ok("7700112233445566")
        );
    }
    let forged = Query {
        nonce: Some("88413".to_owned()),
        ..query.clone()
    };
    assert_eq!(
        echo(&forged, &account(Mode::Plain), Window::OPEN),
        Err(Refusal::WrongSignature)
    );
    for (name, query) in [
        (
            "echostr",
            Query {
                echostr: None,
                ..query.clone()
            },
        ),
        (
            "signature",
            Query {
                signature: None,
                ..query.clone()
            },
        ),
        (
            "timestamp",
            Query {
                timestamp: None,
                ..query.clone()
            },
        ),
        (
            "nonce",
            Query {
                nonce: None,
                ..query.clone()
            },
        ),
    ] {
        assert_eq!(
            echo(&query, &account(Mode::Plain), Window::OPEN),
            Err(Refusal::Missing(name))
        );
    }
}

#[test]
fn a_clear_push_is_let_in_by_its_signature_unless_the_account_is_in_secure_mode() {
    assert!(!opens(&clear_query(), CLEAR, Mode::Plain));
    assert!(!opens(&clear_query(), CLEAR, Mode::Compatible));
    assert_eq!(
        refused(&clear_query(), CLEAR, Mode::Secure),
        Refusal::Unencrypted
    );
    let announced = Query {
        encrypt_type: Some("raw".to_owned()),
        ..clear_query()
    };
    assert!(!opens(&announced, CLEAR, Mode::Plain));

    let unsigned = Query {
        signature: None,
        ..clear_query()
    };
    let forged = Query {
        signature: Some("0".repeat(40)),
        ..clear_query()
    };
    for mode in [Mode::Plain, Mode::Compatible] {
        assert_eq!(
            refused(&unsigned, CLEAR, mode),
            Refusal::Missing("signature")
        );
        assert_eq!(refused(&forged, CLEAR, mode), Refusal::WrongSignature);
    }
}

#[test]
fn an_encrypted_push_is_opened_in_every_mode() {
    let encrypt = encrypt();
    let query = encrypted_query(&encrypt);
    let json = format!(
        r#"{{"ToUserName":"gh_0a1b2c3d4e5f","Encrypt":"{}"}}"#,
        encrypt.replace('/', "\\/")
    );
    let beside_clear = CLEAR.replace(
        "</xml>",
        &format!("<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"),
    );
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        for body in [&secure_body(&encrypt), &json, &beside_clear] {
            assert!(opens(&query, body, mode));
        }
    }
    let unannounced = Query {
        encrypt_type: None,
        ..query
    };
    assert!(opens(
        &unannounced,
        &secure_body(&encrypt),
        Mode::Compatible
    ));
}

#[test]
fn debug_output_and_refusals_hold_no_secret() {
    let shown = format!("{:?}", account(Mode::Secure));
    assert!(
        shown.contains(APP_ID) && !shown.contains("harbour7") && !shown.contains("Zx1Cv2"),
        "{shown}"
    );
    assert!(
        !refused(&clear_query(), CLEAR, Mode::Secure)
            .to_string()
            .contains("harbour7")
    );
}

#[test]
fn modes_and_queries_are_read_by_their_names() {
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        assert_eq!(mode.as_str().parse(), Ok(mode));
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
    }
    assert_eq!("Secure".parse::<Mode>(), Err(UnknownMode));
    let query: Query = serde_json::from_str(r#"{"id":"7","nonce":"n"}"#).unwrap();
    assert_eq!(
        query,
        Query {
            nonce: Some("n".to_owned()),
            ..Query::default()
        }
    );
}

#[test]
fn the_container_check_is_known_in_both_formats_and_nothing_else_passes_for_it() {
    assert!(is_container_check(br#"{"action":"CheckContainerPath"}"#));
    assert!(is_container_check(
        b"<xml><action>CheckContainerPath</action></xml>"
    ));
    for other in [
        &b"{}"[..],
        b"",
        b"CheckContainerPath",
        br#"{"action":"CheckContainerPath","MsgType":"text"}"#,
        CLEAR.as_bytes(),
    ] {
        assert!(!is_container_check(other));
    }
}

proptest! {
    #[test]
    fn no_mutation_of_an_encrypted_push_opens_to_something_else(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let encrypt = crypto::encrypt_with_random(&key(), APP_ID, CLEAR.as_bytes(), b"0f1e2d3c4b5a6978");
        let mut body = secure_body(&encrypt).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(opened) = open(&encrypted_query(&encrypt), &body, &account(Mode::Secure)) {
            prop_assert_eq!(opened.plaintext.as_ref(), CLEAR.as_bytes());
        }
    }

    #[test]
    fn no_bytes_make_opening_panic_or_pass_in_secure_mode(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&encrypted_query("x"), &body, &account(Mode::Secure)).is_err());
        let _ = open(&clear_query(), &body, &account(Mode::Compatible));
        let _ = is_container_check(&body);
    }
}
