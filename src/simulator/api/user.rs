//! Followers: GET /cgi-bin/user/info, POST /cgi-bin/user/info/batchget, GET /cgi-bin/user/get (WeChat guide, user
//! management).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Errcode};
use crate::simulator::account::Account;
use crate::simulator::followers::{Follower, Followers, SubscribeScene};
use crate::simulator::locks::read;
use crate::simulator::population;
use crate::simulator::world::World;

const BATCH_MAX: usize = 100;

#[derive(Serialize)]
#[serde(untagged)]
enum Profile<'a> {
    Following(Following<'a>),
    Stranger { subscribe: u8, openid: &'a str },
}

/// The withdrawn fields are still there, empty, as in live answers of 2023.
#[derive(Serialize)]
struct Following<'a> {
    subscribe: u8,
    openid: &'a str,
    nickname: &'static str,
    sex: u8,
    language: &'static str,
    city: &'static str,
    province: &'static str,
    country: &'static str,
    headimgurl: &'static str,
    subscribe_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
    remark: &'static str,
    groupid: u8,
    tagid_list: [u8; 0],
    subscribe_scene: SubscribeScene,
    qr_scene: u32,
    qr_scene_str: &'a str,
}

impl<'a> Profile<'a> {
    fn new(openid: &'a str, person: u32, follower: Option<&'a Follower>, bound: bool) -> Self {
        let Some(follower) = follower else {
            return Self::Stranger {
                subscribe: 0,
                openid,
            };
        };
        let scene = follower.origin.qr_scene.as_deref().unwrap_or_default();
        let number = scene.parse().ok();
        Self::Following(Following {
            subscribe: 1,
            openid,
            nickname: "",
            sex: 0,
            language: "zh_CN",
            city: "",
            province: "",
            country: "",
            headimgurl: "",
            subscribe_time: follower.subscribe_time,
            unionid: bound.then(|| population::unionid(person)),
            remark: "",
            groupid: 0,
            tagid_list: [],
            subscribe_scene: follower.origin.subscribe_scene,
            qr_scene: number.unwrap_or(0),
            qr_scene_str: if number.is_some() { "" } else { scene },
        })
    }
}

pub(in crate::simulator) fn info(
    world: &World,
    account: &Account,
    call: &Call<'_>,
) -> Result<Answer, Errcode> {
    let openid = call.param("openid").ok_or(Errcode::MISSING_OPENID)?;
    let person = world.person_of(account, openid)?;
    let bound = account.settings().bound_to_open_platform;
    let followers = read(&account.followers);
    Answer::json(&Profile::new(openid, person, followers.get(person), bound))
}

#[derive(Deserialize)]
struct BatchRequest<'a> {
    #[serde(borrow)]
    user_list: Vec<BatchEntry<'a>>,
}

#[derive(Deserialize)]
struct BatchEntry<'a> {
    #[serde(borrow)]
    openid: Cow<'a, str>,
}

#[derive(Serialize)]
struct BatchAnswer<'a> {
    user_info_list: Vec<Profile<'a>>,
}

pub(in crate::simulator) fn batch(
    world: &World,
    account: &Account,
    body: &[u8],
) -> Result<Answer, Errcode> {
    let request: BatchRequest<'_> =
        serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)?;
    if request.user_list.is_empty() || request.user_list.len() > BATCH_MAX {
        return Err(Errcode::LIST_SIZE);
    }
    let bound = account.settings().bound_to_open_platform;
    let followers = read(&account.followers);
    let profiles = request.user_list.iter().map(|entry| {
        let person = world.person_of(account, &entry.openid)?;
        let follower = followers.get(person);
        Ok(Profile::new(&entry.openid, person, follower, bound))
    });
    let user_info_list = profiles.collect::<Result<_, _>>()?;
    Answer::json(&BatchAnswer { user_info_list })
}

#[derive(Serialize)]
struct ListAnswer {
    total: usize,
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<ListData>,
    next_openid: String,
}

#[derive(Serialize)]
struct ListData {
    openid: Vec<String>,
}

/// The last page returns its own last openid; only the page after it is empty, without `data`.
pub(in crate::simulator) fn list(
    world: &World,
    account: &Account,
    call: &Call<'_>,
) -> Result<Answer, Errcode> {
    let first = match call.param("next_openid") {
        Some(openid) => world.person_of(account, openid)?.saturating_add(1),
        None => 0,
    };
    let (people, total) = {
        let followers: &Followers = &read(&account.followers);
        (followers.page(first, world.page_size()), followers.total())
    };
    let openids: Vec<String> = people
        .into_iter()
        .map(|person| account.openid(person))
        .collect();
    let next_openid = openids.last().cloned().unwrap_or_default();
    Answer::json(&ListAnswer {
        total,
        count: openids.len(),
        data: (!openids.is_empty()).then_some(ListData { openid: openids }),
        next_openid,
    })
}
