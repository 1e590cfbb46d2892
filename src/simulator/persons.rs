//! What WeChat knows of people beside their numbers: what they entered in their profile, and under which unionids
//! their accounts know them now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use super::account::{Account, Kind};
use super::locks::{read, write};
use super::population;
use super::world::{World, WorldError};

/// What user/info tells of a person. WeChat tells nothing of it since 2021 (`""` and 0, as by default here), but to
/// some older and partner accounts. JSON: `{"nickname": "小王", "sex": 2, …}`, all optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileDetails {
    /// A name.
    pub nickname: String,
    /// 1 male, 2 female.
    pub sex: u8,
    /// A place.
    pub city: String,
    /// A place.
    pub province: String,
    /// A place.
    pub country: String,
    /// URL of a picture.
    pub headimgurl: String,
    /// What every account notes of them.
    pub remark: String,
    /// The tags that every account gives them.
    pub tagid_list: Vec<i64>,
}

/// The people of a world.
#[derive(Default)]
pub(super) struct Persons {
    details: RwLock<HashMap<u32, ProfileDetails>>,
    /// How often everybody was given another unionid.
    everybody: AtomicU32,
    /// How often one person was, beside that.
    each: RwLock<HashMap<u32, u32>>,
}

/// A look at them for one call.
pub(super) struct Look<'a> {
    details: RwLockReadGuard<'a, HashMap<u32, ProfileDetails>>,
    everybody: u32,
    each: RwLockReadGuard<'a, HashMap<u32, u32>>,
    nothing: ProfileDetails,
}

impl Persons {
    pub(super) fn look(&self) -> Look<'_> {
        Look {
            details: read(&self.details),
            everybody: self.everybody.load(Ordering::Relaxed),
            each: read(&self.each),
            nothing: ProfileDetails::default(),
        }
    }
}

impl Look<'_> {
    pub(super) fn details(&self, person: u32) -> &ProfileDetails {
        self.details.get(&person).unwrap_or(&self.nothing)
    }

    /// The unionid of a person for the accounts under this Open Platform account.
    pub(super) fn unionid(&self, open_platform: &str, person: u32) -> String {
        let own = self.each.get(&person).copied().unwrap_or_default();
        population::unionid_under(open_platform, self.everybody.wrapping_add(own), person)
    }
}

impl World {
    /// What a person enters in their profile.
    pub fn set_details(&self, person: u32, details: ProfileDetails) -> Result<(), WorldError> {
        self.check_person(person)?;
        write(&self.persons().details).insert(person, details);
        Ok(())
    }

    /// Gives one person, or everybody, another unionid in all accounts.
    pub fn change_unionids(&self, person: Option<u32>) -> Result<(), WorldError> {
        let Some(person) = person else {
            self.persons().everybody.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        self.check_person(person)?;
        *write(&self.persons().each).entry(person).or_default() += 1;
        Ok(())
    }

    /// The unionid under which an account knows a person now.
    pub fn unionid(&self, app_id: &str, person: u32) -> Result<String, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        Ok(self.unionid_in(&account, person))
    }

    pub(super) fn unionid_in(&self, account: &Account, person: u32) -> String {
        let look = self.persons().look();
        look.unionid(&account.settings().open_platform, person)
    }

    /// Moves the followers of an official account to another one: they follow the new one, by
    /// `ADD_SCENE_ACCOUNT_MIGRATION`, without a push, and changeopenid translates their openids for 15 days. The old
    /// account keeps its list, as it does until it is withdrawn.
    pub fn migrate_account(&self, from: &str, to: &str) -> Result<(), WorldError> {
        let from = self.official_account(from)?;
        let to = self.account(to)?;
        if to.settings().kind != Kind::OfficialAccount || from.app_id == to.app_id {
            return Err(WorldError::WrongKind(to.app_id.clone()));
        }
        let people = read(&from.followers).page(0, usize::MAX);
        to.migration.begin(&from.app_id, &people, self.now());
        let origin = super::Origin {
            subscribe_scene: super::SubscribeScene::AddSceneAccountMigration,
            qr_scene: None,
        };
        for person in people {
            self.set_following(&to, person, origin.clone());
        }
        Ok(())
    }
}
