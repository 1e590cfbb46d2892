//! WeChat's API: how calls are taken, and the shape of their answers.

mod custom;
mod endpoint;
mod library;
mod migrate;
mod qrcode;
pub(super) mod session;
pub(super) mod subscribe;
pub(super) mod template;
pub(super) mod token;
pub(super) mod user;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde::Serialize;
use url::form_urlencoded;

use super::account::{Account, Kind};
use super::damage;
use super::faults::Fault;
use super::grants::Turn;
use super::population::mix;
use super::world::World;

pub(super) use endpoint::{Calls, Endpoint};

/// One request.
pub(super) struct Call<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) method: &'a Method,
    pub(super) query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) body: &'a [u8],
    /// Where one openid is served at a time: kept until the call is answered.
    pub(super) turn: Cell<Option<Turn>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        endpoint: Endpoint,
        method: &'a Method,
        query: &'a str,
        body: &'a [u8],
    ) -> Self {
        Self {
            endpoint,
            method,
            query: form_urlencoded::parse(query.as_bytes()).collect(),
            body,
            turn: Cell::default(),
        }
    }

    /// A query parameter; an empty one is a missing one.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }

    /// Whether it is about this person, alone or among others.
    pub(super) fn concerns(&self, openid: &str) -> bool {
        let quoted = format!("\"{openid}\"");
        let mut words = self.body.windows(quoted.len());
        self.param("openid") == Some(openid) || words.any(|word| word == quoted.as_bytes())
    }

    /// The account that calls, as far as can be told before anything is checked.
    pub(super) fn account(&self, world: &World) -> Option<Arc<Account>> {
        if let Some(token) = self.param("access_token") {
            return world.tokens().account(token);
        }
        match self.endpoint {
            Endpoint::StableToken => world.find(token::app_id_of(self.body)?.as_str()),
            _ => world.find(self.param("appid")?),
        }
    }

    pub(super) async fn answer(&self, world: &World) -> Result<Answer, Errcode> {
        if self.endpoint.is_post() {
            if self.method != Method::POST {
                return Err(Errcode::REQUIRE_POST);
            }
            if self.body.is_empty() {
                return Err(Errcode::EMPTY_BODY);
            }
        } else if self.method != Method::GET {
            return Err(Errcode::REQUIRE_GET);
        }
        match self.endpoint {
            Endpoint::Token => token::plain(world, self),
            Endpoint::StableToken => token::stable(world, self.body),
            Endpoint::CodeToSession => session::code_to_session(world, self),
            Endpoint::UserInfo => user::info(world, &*self.official_account(world)?, self),
            Endpoint::UserInfoBatch => {
                user::batch(world, &*self.official_account(world)?, self.body)
            }
            Endpoint::UserGet => user::list(world, &*self.official_account(world)?, self),
            Endpoint::TemplateSend => {
                let account = self.official_account(world)?;
                template::send(world, &account, self.body).await
            }
            Endpoint::PrivateTemplates => library::private(&*self.official_account(world)?),
            Endpoint::SubscriptionTemplates => library::subscriptions(&*self.any_caller(world)?),
            Endpoint::SubscribeSend => {
                let account = self.caller(world, Kind::MiniProgram)?;
                subscribe::send(world, &account, self).await
            }
            Endpoint::SubscribeBizsend => {
                let account = self.official_account(world)?;
                subscribe::bizsend(world, &account, self).await
            }
            Endpoint::CustomSend => custom::send(world, &*self.any_caller(world)?, self.body),
            Endpoint::ChangeOpenid => {
                migrate::change_openid(world, &*self.official_account(world)?, self.body)
            }
            Endpoint::QrCodeCreate => {
                qrcode::create(world, &*self.official_account(world)?, self.body)
            }
        }
    }

    fn official_account(&self, world: &World) -> Result<Arc<Account>, Errcode> {
        self.caller(world, Kind::OfficialAccount)
    }

    fn caller(&self, world: &World, kind: Kind) -> Result<Arc<Account>, Errcode> {
        let account = self.any_caller(world)?;
        match account.settings().kind == kind {
            true => Ok(account),
            false => Err(Errcode::UNAUTHORISED_API),
        }
    }

    /// The account whose token it is, if it may make this call once more.
    fn any_caller(&self, world: &World) -> Result<Arc<Account>, Errcode> {
        let token = self.param("access_token").ok_or(Errcode::MISSING_TOKEN)?;
        let account = world.tokens().check(token, world.now())?;
        account.budgets.spend(self.endpoint, world.now())?;
        Ok(account)
    }
}

/// A successful answer.
pub(super) enum Answer {
    /// `application/json; encoding=utf-8`.
    Json(Vec<u8>),
    /// `text/plain`, with JSON in it, as under /sns.
    Text(Vec<u8>),
}

impl Answer {
    pub(super) fn json(value: &impl Serialize) -> Result<Self, Errcode> {
        serde_json::to_vec(value)
            .map(Self::Json)
            .map_err(|_| Errcode::BUSY)
    }

    pub(super) fn text(value: &impl Serialize) -> Result<Self, Errcode> {
        serde_json::to_vec(value)
            .map(Self::Text)
            .map_err(|_| Errcode::BUSY)
    }

    /// The same with what a fault does to one person's part of it.
    pub(super) fn damaged(self, fault: &Fault) -> Self {
        let damage = |body| damage::damage(body, fault.kind, fault.openid.as_deref());
        match self {
            Self::Json(body) => Self::Json(damage(body)),
            Self::Text(body) => Self::Text(damage(body)),
        }
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let (content_type, body) = match self {
            Self::Json(body) => ("application/json; encoding=utf-8", body),
            Self::Text(body) => ("text/plain", body),
        };
        HttpResponse::Ok().content_type(content_type).body(body)
    }
}

/// An error as WeChat answers it: HTTP 200, `text/plain`, `{"errcode":…,"errmsg":"… rid: …"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errcode {
    code: i64,
    message: Cow<'static, str>,
}

macro_rules! errcodes {
    ($($name:ident = $code:literal $message:literal;)*) => {
        impl Errcode {
            $(pub(super) const $name: Self = Self { code: $code, message: Cow::Borrowed($message) };)*

            /// WeChat's text for a code, as far as it is used here.
            pub(super) fn of(code: i64) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::new(code, "simulated error"),
                }
            }
        }
    };
}

errcodes! {
    BUSY = -1 "system error";
    INVALID_TOKEN = 40001 "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r";
    INVALID_GRANT_TYPE = 40002 "invalid grant_type";
    INVALID_OPENID = 40003 "invalid openid";
    INVALID_MESSAGE_TYPE = 40008 "invalid message type";
    INVALID_APP_ID = 40013 "invalid appid";
    MALFORMED_TOKEN = 40014 "invalid access_token";
    INVALID_CODE = 40029 "invalid code";
    LIST_SIZE = 40032 "invalid openid list size";
    TEMPLATE_ID_SIZE = 40036 "invalid template_id size";
    INVALID_TEMPLATE_ID = 40037 "invalid template_id";
    INVALID_ACTION_NAME = 40052 "invalid action name";
    INVALID_ACTION_INFO = 40053 "invalid action info";
    INVALID_URL = 40066 "invalid url";
    INVALID_SECRET = 40125 "invalid appsecret,";
    CODE_USED = 40163 "code been used,";
    INVALID_WEAPP_PAGE = 40165 "invalid weapp pagepath";
    MISSING_TOKEN = 41001 "access_token missing";
    MISSING_APP_ID = 41002 "appid missing";
    MISSING_SECRET = 41004 "appsecret missing";
    MISSING_CODE = 41008 "missing code,";
    MISSING_OPENID = 41009 "missing openid";
    INVALID_PAGE = 41030 "invalid page";
    EXPIRED_TOKEN = 42001 "access_token expired";
    REQUIRE_GET = 43001 "require GET method";
    REQUIRE_POST = 43002 "require POST method";
    REQUIRE_SUBSCRIBE = 43004 "require subscribe";
    USER_REFUSED = 43101 "user refuse to accept the msg";
    CONCURRENT = 43108 "Cannot make concurrent calls to the same OpenID";
    EMPTY_BODY = 44002 "empty post data";
    EMPTY_CONTENT = 44004 "empty content";
    CONTENT_SIZE = 45002 "content size out of limit";
    QUOTA = 45009 "reach max api daily quota limit";
    TOO_FAST = 45011 "api minute-quota reach limit, must slower, retry next minute";
    OUT_OF_TIME = 45015 "response out of time limit or subscription is canceled";
    OUT_OF_RESPONSES = 45047 "out of response count limit";
    CLIENT_MSG_ID_TOO_LONG = 45067 "clientmsgid too long";
    DATA_FORMAT = 47001 "data format error";
    UNAUTHORISED_API = 48001 "api unauthorized";
    RESTRICTED = 50002 "user limited";
    APPID_WRONG = 63178 "appid wrong";
    OPENID_LIST_EMPTY = 63182 "openid_list empty";
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    errcode: i64,
    errmsg: &'a str,
}

impl Errcode {
    pub(super) fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// `now` in milliseconds since 1970: the first group of a rid is the time.
    pub(super) fn into_response(self, now: i64) -> HttpResponse {
        let noise = mix(u64::try_from(now).unwrap_or_default());
        let errmsg = format!(
            "{} rid: {:08x}-{:08x}-{:08x}",
            self.message,
            now.div_euclid(1000),
            noise >> 32,
            noise & 0xffff_ffff,
        );
        let body = ErrorBody {
            errcode: self.code,
            errmsg: &errmsg,
        };
        HttpResponse::Ok()
            .content_type("text/plain")
            .body(serde_json::to_vec(&body).unwrap_or_default())
    }
}
