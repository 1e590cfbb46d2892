//! The stable words of errors, with their status and title.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $word:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, as a word that callers can rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::web) enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code.
            pub(in crate::web) const ALL: &'static [Self] = &[$(Self::$name),*];

            pub(in crate::web) const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            pub(in crate::web) const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            pub(in crate::web) const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not JSON";
    InvalidQuery = "invalid_query", BAD_REQUEST, "The query string is not valid";
    InvalidPath = "invalid_path", BAD_REQUEST, "The path is not valid";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor is not one that this list gave";
    InvalidHeader = "invalid_header", BAD_REQUEST, "A header is not valid";
    ControlCharacter = "control_character", BAD_REQUEST, "A text contains a control character";
    BrokenBody = "broken_body", BAD_REQUEST, "The body did not arrive whole";
    SlowBody = "slow_body", REQUEST_TIMEOUT, "The body took too long";
    Unauthorized = "unauthorized", UNAUTHORIZED, "An API key or a session is needed";
    MissingScope = "missing_scope", FORBIDDEN, "The API key does not have the scope";
    MissingRole = "missing_role", FORBIDDEN, "The user's role does not allow it";
    UserNeeded = "user_needed", FORBIDDEN, "This is for people who have signed in";
    CrossSite = "cross_site", FORBIDDEN, "The request does not come from a page of Queqiao";
    SignInRefused = "sign_in_refused", UNAUTHORIZED, "Nobody has this name and password";
    OidcRefused = "oidc_refused", FORBIDDEN, "The identity provider does not vouch for this sign-in";
    NotLocal = "not_local", FORBIDDEN, "People sign in through the identity provider";
    UnknownProject = "unknown_project", NOT_FOUND, "The user has no such project";
    NotFound = "not_found", NOT_FOUND, "There is no such thing";
    OidcOff = "oidc_off", NOT_FOUND, "There is no identity provider";
    NoSuchRoute = "no_such_route", NOT_FOUND, "There is no such route";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The route has no such method";
    AlreadyBound = "already_bound", CONFLICT, "One of the two is bound to somebody else";
    PersonAlreadyBound = "person_already_bound", CONFLICT, "The person is bound to another staff member";
    InvitationUsed = "invitation_used", CONFLICT, "The invitation was used already";
    IdempotencyConflict = "idempotency_conflict", CONFLICT, "The Idempotency-Key was used for another request";
    NotRetryable = "not_retryable", CONFLICT, "The delivery is not sent again";
    WebhookNotEnabled = "webhook_not_enabled", CONFLICT, "The endpoint is not enabled";
    UserExists = "user_exists", CONFLICT, "There is a user of this name";
    LastOwner = "last_owner", CONFLICT, "It is the last owner";
    TooMany = "too_many", CONFLICT, "There are as many as there may be";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    InvalidBody = "invalid_body", UNPROCESSABLE_ENTITY, "The body does not have the expected shape";
    UnknownField = "unknown_field", UNPROCESSABLE_ENTITY, "The body has a field that is not known";
    MissingField = "missing_field", UNPROCESSABLE_ENTITY, "The body lacks a field";
    InvalidField = "invalid_field", UNPROCESSABLE_ENTITY, "A field is not valid";
    TooLong = "too_long", UNPROCESSABLE_ENTITY, "A field is too long";
    UnknownAppId = "unknown_app_id", UNPROCESSABLE_ENTITY, "The project has no account with this app id";
    UnknownMessageType = "unknown_message_type", UNPROCESSABLE_ENTITY, "The project has no such message type";
    UnknownOpenid = "unknown_openid", UNPROCESSABLE_ENTITY, "The openid is not known here";
    WrongAccountKind = "wrong_account_kind", UNPROCESSABLE_ENTITY, "The account is of the other kind";
    NoAppSecret = "no_app_secret", UNPROCESSABLE_ENTITY, "The account has no app secret";
    LoginCodeInvalid = "code_invalid", UNPROCESSABLE_ENTITY, "WeChat does not accept the login code";
    LoginCodeUsed = "code_used", UNPROCESSABLE_ENTITY, "The login code was used already";
    LoginRefused = "login_refused", UNPROCESSABLE_ENTITY, "WeChat does not let this person log in";
    InvitationUnknown = "invitation_unknown", UNPROCESSABLE_ENTITY, "There is no such invitation";
    InvitationExpired = "invitation_expired", UNPROCESSABLE_ENTITY, "The invitation has expired";
    InvitationRevoked = "invitation_revoked", UNPROCESSABLE_ENTITY, "The invitation was revoked";
    InvitationWrongAccount = "invitation_wrong_account", UNPROCESSABLE_ENTITY, "The invitation is for another account";
    WrongPassword = "wrong_password", UNPROCESSABLE_ENTITY, "It is not the password";
    SignInPaused = "sign_in_paused", TOO_MANY_REQUESTS, "There were too many wrong passwords";
    TooOften = "too_often", TOO_MANY_REQUESTS, "The key has done this too often";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here";
    WechatRefused = "wechat_refused", BAD_GATEWAY, "WeChat refused the call";
    WechatUnreachable = "wechat_unreachable", SERVICE_UNAVAILABLE, "WeChat cannot be asked now";
    WechatBusy = "wechat_busy", SERVICE_UNAVAILABLE, "WeChat's limit of calls is reached";
    OidcUnreachable = "oidc_unreachable", SERVICE_UNAVAILABLE, "The identity provider cannot be asked now";
    Busy = "busy", SERVICE_UNAVAILABLE, "There is too much to read now";
    TooSlow = "too_slow", SERVICE_UNAVAILABLE, "The answer takes too long";
    NotWritable = "not_writable", SERVICE_UNAVAILABLE, "Nothing can be stored now";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The database does not answer now";
}
