//! What people do, and the pushes that come of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::account::{Account, Kind};
use super::chats::Act;
use super::followers::{Follower, Origin};
use super::late::LateProfile;
use super::lists::ListRule;
use super::locks::write;
use super::receipts::{Arrival, Receipt};
use super::sender::{Clear, PushRecord};
use super::world::{World, WorldError};
use crate::wechat::fields::{Fields, Value};

/// The ticket of a QR code of which only the scene is known.
pub(super) const TICKET: &str = "gQFw8DwAAAA==";

/// What became of many pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BulkOutcome {
    /// Answered as WeChat demands.
    pub accepted: u64,
    /// Not answered so, even after the retries.
    pub failed: u64,
}

impl World {
    /// A person begins to follow an account, and it is told.
    pub async fn follow(
        &self,
        app_id: &str,
        person: u32,
        origin: Origin,
    ) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        let mut fields = self.event(&account, person, "subscribe");
        match &origin.qr_scene {
            Some(scene) => {
                fields.push("EventKey", format!("qrscene_{scene}"));
                fields.push("Ticket", TICKET);
            }
            None => fields.push("EventKey", ""),
        }
        self.set_following(&account, person, origin);
        account.chats.act(person, Act::Followed, self.now());
        self.push_event(&account, fields).await
    }

    /// A person stops following, and the account is told, whether or not they were following.
    pub async fn unfollow(&self, app_id: &str, person: u32) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        write(&account.followers).unfollow(person);
        account.chats.leave(person);
        let fields = self.event(&account, person, "unsubscribe");
        self.push_event(&account, fields.with("EventKey", "")).await
    }

    /// A person taps a menu entry of an account.
    pub async fn click(
        &self,
        app_id: &str,
        person: u32,
        key: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        account.chats.act(person, Act::Tapped, self.now());
        let fields = self.event(&account, person, "CLICK");
        self.push_event(&account, fields.with("EventKey", key.to_owned()))
            .await
    }

    /// A person writes to an account of either kind.
    pub async fn send_text(
        &self,
        app_id: &str,
        person: u32,
        text: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        let answers = account.settings().answers;
        account.chats.act(person, Act::Wrote(answers), self.now());
        let fields = self
            .push_of(&account, person, "text")
            .with("Content", text.to_owned())
            .with("MsgId", self.next_msgid());
        self.push_event(&account, fields).await
    }

    /// A person taps a menu entry that scans a code and waits for what the account says to it (`scancode_waitmsg`).
    pub async fn scan_from_menu(
        &self,
        app_id: &str,
        person: u32,
        key: &str,
        result: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        account.chats.act(person, Act::Tapped, self.now());
        let scanned = Fields::new()
            .with("ScanType", "qrcode")
            .with("ScanResult", result.to_owned());
        let fields = self
            .event(&account, person, "scancode_waitmsg")
            .with("EventKey", key.to_owned())
            .with("ScanCodeInfo", Value::Fields(scanned));
        self.push_event(&account, fields).await
    }

    /// A person taps an entry of a menu message: it comes as a text, but is not one that they wrote.
    pub async fn tap_menu_message(
        &self,
        app_id: &str,
        person: u32,
        id: &str,
        text: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        account.chats.act(person, Act::Tapped, self.now());
        let fields = self
            .push_of(&account, person, "text")
            .with("Content", text.to_owned())
            .with("MsgId", self.next_msgid())
            .with("bizmsgmenuid", id.to_owned());
        self.push_event(&account, fields).await
    }

    /// A person enters the chat of a mini-program.
    pub async fn enter_chat(&self, app_id: &str, person: u32) -> Result<PushRecord, WorldError> {
        let account = self.account_of_kind(app_id, Kind::MiniProgram)?;
        self.check_person(person)?;
        account.chats.act(person, Act::Entered, self.now());
        let fields = self.event(&account, person, "user_enter_tempsession");
        self.push_event(&account, fields.with("SessionFrom", ""))
            .await
    }

    /// A person opens a mini-program that logs in: the js_code which its front end receives.
    pub fn log_in(&self, app_id: &str, person: u32) -> Result<String, WorldError> {
        let account = self.account_of_kind(app_id, Kind::MiniProgram)?;
        self.check_person(person)?;
        Ok(self.issue_code(&account, person))
    }

    /// Lets people follow without a push: the followers that an account had before.
    pub fn add_followers(
        &self,
        app_id: &str,
        people: Range<u32>,
        origin: &Origin,
    ) -> Result<(), WorldError> {
        let account = self.official_account(app_id)?;
        if let Some(last) = people.clone().last() {
            self.check_person(last)?;
        }
        let subscribe_time = self.seconds();
        let mut followers = write(&account.followers);
        for person in people {
            let origin = origin.clone();
            followers.follow(
                person,
                Follower {
                    subscribe_time,
                    origin,
                },
            );
        }
        Ok(())
    }

    /// Lets people leave without a push, as when callbacks were lost.
    pub fn remove_followers(&self, app_id: &str, people: Range<u32>) -> Result<(), WorldError> {
        let account = self.official_account(app_id)?;
        let mut followers = write(&account.followers);
        for person in people {
            followers.unfollow(person);
        }
        Ok(())
    }

    /// Lets profiles be behind: WeChat says of people who follow that they do not.
    pub fn set_late_profile(&self, app_id: &str, rule: LateProfile) -> Result<(), WorldError> {
        self.official_account(app_id)?.late.set(rule);
        Ok(())
    }

    /// Changes how the list of followers is told.
    pub fn set_list_rule(&self, app_id: &str, rule: ListRule) -> Result<(), WorldError> {
        self.official_account(app_id)?.lists.set(rule);
        Ok(())
    }

    /// Many people follow, so many at a time.
    pub async fn follow_many(
        &self,
        app_id: &str,
        people: Range<u32>,
        origin: &Origin,
        concurrency: usize,
    ) -> Result<BulkOutcome, WorldError> {
        let mut pushes = stream::iter(people)
            .map(|person| self.follow(app_id, person, origin.clone()))
            .buffer_unordered(concurrency.max(1));
        let mut outcome = BulkOutcome::default();
        while let Some(record) = pushes.next().await {
            if record?.verdict.is_accepted() {
                outcome.accepted += 1;
            } else {
                outcome.failed += 1;
            }
        }
        Ok(outcome)
    }

    /// Pushes TEMPLATESENDJOBFINISH as `receipt` says.
    pub(super) async fn push_receipt(
        &self,
        account: &Arc<Account>,
        person: u32,
        msgid: i64,
        receipt: Receipt,
    ) {
        let fields = self
            .event(account, person, "TEMPLATESENDJOBFINISH")
            .with("MsgID", msgid)
            .with("Status", receipt.status);
        self.push_result(account, fields, receipt.arrival).await;
    }

    /// Pushes the result of a send so that it arrives as `arrival` says. Waits only for one that must come before the
    /// answer.
    pub(super) async fn push_result(
        &self,
        account: &Arc<Account>,
        fields: Fields<'static>,
        arrival: Arrival,
    ) {
        if account.settings().callback_url.is_none() || account.receipts.is_lost(arrival) {
            return;
        }
        if arrival == Arrival::Held {
            account.receipts.hold(fields);
            return;
        }
        let (world, account) = (self.clone(), Arc::clone(account));
        let copies = match arrival {
            Arrival::Duplicated(copies) => copies,
            _ => account.queue.copies(),
        };
        let push = async move {
            if let Arrival::Delayed(millis) = arrival {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            world
                .push_from(&account, Clear::Fields(&fields), copies)
                .await
        };
        let on_its_way = self.results().set_out();
        // On the runtime of the simulator's owner: a server thread must not wait for the callback of another.
        let push = self.runtime().spawn(async move {
            let _on_its_way = on_its_way;
            push.await
        });
        if arrival == Arrival::BeforeAnswer {
            // Its outcome is in the record, and a shutdown that cancels it ends this answer too.
            let _ = push.await;
        }
    }

    /// Sends the receipts that waited for it, oldest first, and waits for the end of the last retry.
    pub async fn release_receipts(&self, app_id: &str) -> Result<Vec<PushRecord>, WorldError> {
        let account = self.account(app_id)?;
        let mut records = Vec::new();
        for fields in account.receipts.take_held() {
            records.push(self.push_event(&account, fields).await?);
        }
        Ok(records)
    }

    pub(super) fn set_following(&self, account: &Account, person: u32, origin: Origin) {
        let follower = Follower {
            subscribe_time: self.seconds(),
            origin,
        };
        write(&account.followers).follow(person, follower);
    }

    pub(super) fn event(
        &self,
        account: &Account,
        person: u32,
        event: &'static str,
    ) -> Fields<'static> {
        self.push_of(account, person, "event").with("Event", event)
    }

    fn push_of(&self, account: &Account, person: u32, msg_type: &'static str) -> Fields<'static> {
        Fields::new()
            .with("ToUserName", account.settings().original_id.clone())
            .with("FromUserName", account.openid(person))
            .with("CreateTime", self.seconds())
            .with("MsgType", msg_type)
    }

    pub(super) fn official_account(&self, app_id: &str) -> Result<Arc<Account>, WorldError> {
        self.account_of_kind(app_id, Kind::OfficialAccount)
    }

    fn account_of_kind(&self, app_id: &str, kind: Kind) -> Result<Arc<Account>, WorldError> {
        let account = self.account(app_id)?;
        if account.settings().kind == kind {
            Ok(account)
        } else {
            Err(WorldError::WrongKind(app_id.to_owned()))
        }
    }
}
