//! Pushes that pretend to be something else.

use super::*;

#[test]
fn the_encrypted_part_counts_and_signature_does_not_stand_in_for_msg_signature() {
    let encrypt = encrypt();
    let body = secure_body(&encrypt);
    let other = crypto::encrypt(&key(), APP_ID, b"<xml>other</xml>");
    let copied = encrypted_query(&other);
    let bare = Query {
        msg_signature: None,
        ..encrypted_query(&encrypt)
    };
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        assert_eq!(
            refused(&clear_query(), &body, mode),
            Refusal::Missing("msg_signature")
        );
        assert_eq!(
            refused(&bare, &body, mode),
            Refusal::Missing("msg_signature")
        );
        assert_eq!(refused(&copied, &body, mode), Refusal::WrongMsgSignature);
    }
    let announced_only = Query {
        encrypt_type: Some("aes".to_owned()),
        ..clear_query()
    };
    assert_eq!(
        refused(&announced_only, CLEAR, Mode::Compatible),
        Refusal::NothingEncrypted
    );
    assert_eq!(
        refused(&announced_only, CLEAR, Mode::Plain),
        Refusal::NothingEncrypted
    );
    assert_eq!(
        refused(&announced_only, CLEAR, Mode::Secure),
        Refusal::Unencrypted
    );
}

#[test]
fn causes_inside_the_encryption_are_named() {
    let for_another = crypto::encrypt(&key(), "wxffffffffffffffff", CLEAR.as_bytes());
    let refusal = refused(
        &encrypted_query(&for_another),
        &secure_body(&for_another),
        Mode::Secure,
    );
    assert_eq!(refusal, Refusal::Decrypt(DecryptError::AppId));
    assert_eq!(refusal.code(), "app_id_mismatch");
    assert_eq!(
        refusal.to_string(),
        "decryption failed: the message was encrypted for another app id"
    );

    let encrypt = encrypt();
    let keyless = Credentials {
        aes_key: None,
        ..account(Mode::Secure)
    };
    let refusal = open(
        &encrypted_query(&encrypt),
        secure_body(&encrypt).as_bytes(),
        &keyless,
    )
    .unwrap_err();
    assert_eq!(refusal, Refusal::NoAesKey);
    // Whether there is a key is told only to those who know the token.
    let forged = open(
        &encrypted_query("x"),
        secure_body(&encrypt).as_bytes(),
        &keyless,
    )
    .unwrap_err();
    assert_eq!(forged, Refusal::WrongMsgSignature);
}

#[test]
fn a_users_text_cannot_have_its_own_push_refused() {
    let inject = "]]></Content><Encrypt>fake</Encrypt><Content><![CDATA[";
    let clear = CLEAR.replace(
        "</xml>",
        &format!("<Content><![CDATA[{inject}]]></Content></xml>"),
    );
    assert!(
        !open(&clear_query(), clear.as_bytes(), &account(Mode::Plain))
            .unwrap()
            .encrypted
    );

    let encrypt = encrypt();
    let beside = clear.replace(
        "</xml>",
        &format!("<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"),
    );
    assert!(opens(&encrypted_query(&encrypt), &beside, Mode::Compatible));
    let broken = beside.replace("<Content>", "<Content><![CDATA[a]]>b]]>");
    assert!(Fields::parse(broken.as_bytes()).is_err());
    assert!(opens(&encrypted_query(&encrypt), &broken, Mode::Compatible));
    let mut not_utf8 = broken.replace("fake", "fa?ke").into_bytes();
    let at = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
    not_utf8[at] = 0xff;
    let opened = open(
        &encrypted_query(&encrypt),
        &not_utf8,
        &account(Mode::Compatible),
    )
    .unwrap();
    assert!(opened.encrypted);
}
