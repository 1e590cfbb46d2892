//! People scan QR codes that an account has made.

use super::actions::TICKET;
use super::chats::Act;
use super::followers::Origin;
use super::locks::{lock, read};
use super::sender::PushRecord;
use super::world::{World, WorldError};

impl World {
    /// A person scans a code of the account, given by its ticket or by what its picture says: who
    /// does not follow, follows, and the account is told either way. Nothing happens with a code
    /// that has expired or is not the account's.
    pub async fn scan_code(
        &self,
        app_id: &str,
        person: u32,
        code: &str,
    ) -> Result<Option<PushRecord>, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        let Some(code) = lock(&account.qr_codes).find(code, self.now()) else {
            return Ok(None);
        };
        let follows = read(&account.followers).get(person).is_some();
        let fields = if follows {
            account.chats.act(person, Act::Scanned, self.now());
            self.event(&account, person, "SCAN")
                .with("EventKey", code.scene.to_string())
        } else {
            self.set_following(&account, person, Origin::qr(&code.scene));
            account.chats.act(person, Act::Followed, self.now());
            self.event(&account, person, "subscribe")
                .with("EventKey", format!("qrscene_{}", code.scene))
        };
        self.push_event(&account, fields.with("Ticket", code.ticket))
            .await
            .map(Some)
    }

    /// A follower scans a QR code of the account with this scene, which need not have been made.
    pub async fn scan(
        &self,
        app_id: &str,
        person: u32,
        scene: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.official_account(app_id)?;
        self.check_person(person)?;
        account.chats.act(person, Act::Scanned, self.now());
        let fields = self
            .event(&account, person, "SCAN")
            .with("EventKey", scene.to_owned())
            .with("Ticket", TICKET);
        self.push_event(&account, fields).await
    }
}
