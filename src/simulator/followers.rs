//! Who follows one official account, since when and how they came.

use serde::{Deserialize, Serialize};

/// How a follower came, as `subscribe_scene` says it (WeChat guide, getuserinfo).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "WeChat's own names")]
pub enum SubscribeScene {
    #[default]
    AddSceneSearch,
    AddSceneAccountMigration,
    AddSceneProfileCard,
    AddSceneQrCode,
    AddSceneProfileLink,
    AddSceneProfileItem,
    AddScenePaid,
    AddSceneWechatAdvertisement,
    AddSceneReprint,
    AddSceneLivestream,
    AddSceneChannels,
    AddSceneOthers,
}

/// The way into an account. JSON: `{"subscribe_scene": "ADD_SCENE_QR_CODE", "qr_scene": "shop_12"}`, both optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// What user/info will say.
    pub subscribe_scene: SubscribeScene,
    /// Scene of the QR code that was scanned, without prefix.
    pub qr_scene: Option<Box<str>>,
}

impl Origin {
    /// Found by search.
    pub fn search() -> Self {
        Self::default()
    }

    /// By scanning a QR code with this scene.
    pub fn qr(scene: &str) -> Self {
        Self {
            subscribe_scene: SubscribeScene::AddSceneQrCode,
            qr_scene: Some(scene.into()),
        }
    }
}

/// One person's state in one account.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) subscribe_time: i64,
    pub(super) origin: Origin,
}

/// By a person's number: `None` for who never came or has left.
#[derive(Default)]
pub(super) struct Followers {
    by_person: Vec<Option<Follower>>,
    total: usize,
}

impl Followers {
    pub(super) fn get(&self, person: u32) -> Option<&Follower> {
        self.by_person.get(index(person))?.as_ref()
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn follow(&mut self, person: u32, follower: Follower) {
        let at = index(person);
        if at >= self.by_person.len() {
            self.by_person.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.by_person.get_mut(at)
            && slot.replace(follower).is_none()
        {
            self.total += 1;
        }
    }

    /// Whether the person was following.
    pub(super) fn unfollow(&mut self, person: u32) -> bool {
        let slot = self.by_person.get_mut(index(person));
        let left = slot.is_some_and(|slot| slot.take().is_some());
        self.total -= usize::from(left);
        left
    }

    /// Up to `limit` followers with numbers from `first` on.
    pub(super) fn page(&self, first: u32, limit: usize) -> Vec<u32> {
        (first..)
            .zip(self.by_person.iter().skip(index(first)))
            .filter_map(|(person, slot)| slot.is_some().then_some(person))
            .take(limit)
            .collect()
    }
}

fn index(person: u32) -> usize {
    usize::try_from(person).unwrap_or(usize::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_and_leaving_twice_counts_once() {
        let follower = Follower {
            subscribe_time: 1,
            origin: Origin::qr("shop_12"),
        };
        let mut followers = Followers::default();
        for person in [5, 2, 5, 9] {
            followers.follow(person, follower.clone());
        }
        assert_eq!(followers.total(), 3);
        assert_eq!(followers.page(0, 2), [2, 5]);
        assert_eq!(followers.page(6, 2), [9]);
        assert!(followers.unfollow(5));
        assert!(!followers.unfollow(5));
        assert!(!followers.unfollow(77));
        assert_eq!((followers.total(), followers.page(0, 9)), (2, vec![2, 9]));
        assert!(followers.get(5).is_none());
    }

    #[test]
    fn scenes_have_wechats_names() {
        let json = serde_json::to_string(&Origin::qr("x")).unwrap();
        assert_eq!(
            json,
            r#"{"subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":"x"}"#
        );
    }
}
