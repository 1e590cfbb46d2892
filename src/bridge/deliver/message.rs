//! A filled-in route as each channel's call takes it.

use crate::bridge::routes::{Channel, Rendered, Route};
use crate::wechat::client::{AccessToken, Client};
use crate::wechat::custom::{CustomText, RichText};
use crate::wechat::error::CallError;
use crate::wechat::subscribe::{BizSubscribeMessage, SubscribeMessage};
use crate::wechat::template::{MiniProgramLink, SendReceipt, TemplateMessage};

/// One message to one openid.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) to: &'a str,
    pub(super) route: &'a Route,
    pub(super) rendered: &'a Rendered,
    /// For the channels that know such an id.
    pub(super) client_msg_id: &'a str,
    /// Whether it opens the route's mini-program, where it has one besides a web page.
    pub(super) with_link: bool,
}

impl<'a> Message<'a> {
    /// Sends it on its route's channel.
    pub(super) async fn send(
        self,
        wechat: &Client,
        token: AccessToken,
    ) -> Result<SendReceipt, CallError> {
        let Self {
            route, rendered, ..
        } = self;
        let template_id = route.template_id.as_deref().unwrap_or_default();
        let page = rendered.page.as_deref();
        match route.channel {
            Channel::Template => {
                let message = TemplateMessage {
                    touser: self.to,
                    template_id,
                    url: rendered.url.as_deref(),
                    miniprogram: self.link(),
                    client_msg_id: Some(self.client_msg_id),
                    data: &rendered.data,
                };
                wechat.send_template(&token, &message).await
            }
            Channel::MpSubscribe => {
                let message = SubscribeMessage {
                    touser: self.to,
                    template_id,
                    page,
                    miniprogram_state: route.miniprogram_state,
                    lang: route.lang,
                    data: &rendered.data,
                };
                wechat.send_subscribe(&token, &message).await
            }
            Channel::OaSubscribe => {
                let message = BizSubscribeMessage {
                    touser: self.to,
                    template_id,
                    page: rendered.url.as_deref(),
                    miniprogram: self.link(),
                    data: &rendered.data,
                };
                wechat.send_biz_subscribe(&token, &message).await
            }
            Channel::Customer => {
                let nothing = RichText::default();
                let message = CustomText {
                    touser: self.to,
                    content: rendered.text.as_ref().unwrap_or(&nothing),
                };
                wechat.send_custom_text(&token, &message).await?;
                Ok(SendReceipt { msgid: None })
            }
            // Posted by itself, without an account.
            Channel::Webhook => Ok(SendReceipt { msgid: None }),
        }
    }

    fn link(&self) -> Option<MiniProgramLink<'a>> {
        let linked = self.route.mini_program.as_ref();
        let linked = linked.filter(|_| self.with_link)?;
        Some(MiniProgramLink {
            appid: &linked.app_id,
            pagepath: self.rendered.page.as_deref(),
        })
    }
}
