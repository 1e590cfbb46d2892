//! Which calls there are, and how often each was made.

use std::sync::atomic::{AtomicU64, Ordering};

/// The calls that are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Endpoint {
    Token,
    StableToken,
    UserInfo,
    UserInfoBatch,
    UserGet,
    CodeToSession,
    TemplateSend,
    PrivateTemplates,
    SubscriptionTemplates,
    SubscribeSend,
    SubscribeBizsend,
    CustomSend,
    QrCodeCreate,
    ChangeOpenid,
}

impl Endpoint {
    pub(in crate::simulator) const ALL: [Self; 14] = [
        Self::Token,
        Self::StableToken,
        Self::UserInfo,
        Self::UserInfoBatch,
        Self::UserGet,
        Self::CodeToSession,
        Self::TemplateSend,
        Self::PrivateTemplates,
        Self::SubscriptionTemplates,
        Self::SubscribeSend,
        Self::SubscribeBizsend,
        Self::CustomSend,
        Self::QrCodeCreate,
        Self::ChangeOpenid,
    ];

    pub(in crate::simulator) fn path(self) -> &'static str {
        match self {
            Self::Token => "/cgi-bin/token",
            Self::StableToken => "/cgi-bin/stable_token",
            Self::UserInfo => "/cgi-bin/user/info",
            Self::UserInfoBatch => "/cgi-bin/user/info/batchget",
            Self::UserGet => "/cgi-bin/user/get",
            Self::CodeToSession => "/sns/jscode2session",
            Self::TemplateSend => "/cgi-bin/message/template/send",
            Self::PrivateTemplates => "/cgi-bin/template/get_all_private_template",
            Self::SubscriptionTemplates => "/wxaapi/newtmpl/gettemplate",
            Self::SubscribeSend => "/cgi-bin/message/subscribe/send",
            Self::SubscribeBizsend => "/cgi-bin/message/subscribe/bizsend",
            Self::CustomSend => "/cgi-bin/message/custom/send",
            Self::QrCodeCreate => "/cgi-bin/qrcode/create",
            Self::ChangeOpenid => "/cgi-bin/changeopenid",
        }
    }

    pub(in crate::simulator) fn at(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }

    pub(in crate::simulator) fn is_post(self) -> bool {
        matches!(
            self,
            Self::StableToken
                | Self::UserInfoBatch
                | Self::TemplateSend
                | Self::SubscribeSend
                | Self::SubscribeBizsend
                | Self::CustomSend
                | Self::QrCodeCreate
                | Self::ChangeOpenid
        )
    }
}

/// A counter for each call.
#[derive(Default)]
pub(in crate::simulator) struct Calls {
    by_endpoint: [AtomicU64; Endpoint::ALL.len()],
}

impl Calls {
    pub(in crate::simulator) fn slot(&self, endpoint: Endpoint) -> Option<&AtomicU64> {
        self.by_endpoint.get(endpoint as usize)
    }

    pub(in crate::simulator) fn count(&self, endpoint: Endpoint) {
        if let Some(counter) = self.slot(endpoint) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::simulator) fn get(&self, endpoint: Endpoint) -> u64 {
        self.slot(endpoint)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}
