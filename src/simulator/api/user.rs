//! Followers: GET /cgi-bin/user/info, POST /cgi-bin/user/info/batchget, GET /cgi-bin/user/get (WeChat guide, user
//! management).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Errcode};
use crate::simulator::account::{Account, Settings};
use crate::simulator::followers::{Follower, Followers, SubscribeScene};
use crate::simulator::locks::{read, write};
use crate::simulator::persons::Look;
use crate::simulator::world::World;

const BATCH_MAX: usize = 100;

#[derive(Serialize)]
#[serde(untagged)]
enum Profile<'a> {
    Following(Following<'a>),
    Stranger { subscribe: u8, openid: &'a str },
}

/// The withdrawn fields are still there, empty unless the person was given some, as in live answers of 2023.
#[derive(Serialize)]
struct Following<'a> {
    subscribe: u8,
    openid: &'a str,
    nickname: &'a str,
    sex: u8,
    language: &'static str,
    city: &'a str,
    province: &'a str,
    country: &'a str,
    headimgurl: &'a str,
    subscribe_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
    remark: &'a str,
    groupid: u8,
    tagid_list: &'a [i64],
    subscribe_scene: SubscribeScene,
    qr_scene: u32,
    qr_scene_str: &'a str,
}

impl<'a> Profile<'a> {
    fn new(
        openid: &'a str,
        person: u32,
        follower: Option<&'a Follower>,
        settings: &Settings,
        people: &'a Look<'_>,
    ) -> Self {
        let Some(follower) = follower else {
            return Self::Stranger {
                subscribe: 0,
                openid,
            };
        };
        let scene = follower.origin.qr_scene.as_deref().unwrap_or_default();
        let number = scene.parse().ok();
        let details = people.details(person);
        let bound = settings.bound_to_open_platform;
        Self::Following(Following {
            subscribe: 1,
            openid,
            nickname: &details.nickname,
            sex: details.sex,
            language: "zh_CN",
            city: &details.city,
            province: &details.province,
            country: &details.country,
            headimgurl: &details.headimgurl,
            subscribe_time: follower.subscribe_time,
            unionid: bound.then(|| people.unionid(&settings.open_platform, person)),
            remark: &details.remark,
            groupid: 0,
            tagid_list: &details.tagid_list,
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
    let settings = account.settings();
    let people = world.persons().look();
    let followers = read(&account.followers);
    let follower = known(world, account, &followers, person);
    Answer::json(&Profile::new(openid, person, follower, &settings, &people))
}

/// The follower, unless WeChat is behind.
fn known<'a>(
    world: &World,
    account: &Account,
    followers: &'a Followers,
    person: u32,
) -> Option<&'a Follower> {
    let follower = followers.get(person)?;
    let is_hidden = account
        .late
        .hides(person, follower.subscribe_time, world.seconds());
    (!is_hidden).then_some(follower)
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
    let settings = account.settings();
    let people = world.persons().look();
    let followers = read(&account.followers);
    let profiles = request.user_list.iter().map(|entry| {
        let person = world.person_of(account, &entry.openid)?;
        let follower = known(world, account, &followers, person);
        Ok(Profile::new(
            &entry.openid,
            person,
            follower,
            &settings,
            &people,
        ))
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
    let (people, total, is_last) = {
        let followers: &Followers = &read(&account.followers);
        let people = followers.page(first, world.page_size());
        let behind = people.last().map_or(first, |last| last.saturating_add(1));
        let is_last = followers.page(behind, 1).is_empty();
        (people, followers.total(), is_last)
    };
    let rule = account.lists.next();
    let mut openids: Vec<String> = people
        .into_iter()
        .map(|person| account.openid(person))
        .collect();
    let mut next_openid = openids.last().cloned().unwrap_or_default();
    if is_last && rule.circle {
        let first = read(&account.followers).page(0, 1);
        next_openid = first
            .first()
            .map(|first| account.openid(*first))
            .unwrap_or_default();
    } else if is_last && rule.no_successor {
        next_openid.clear();
    }
    if rule.empty_first && !openids.is_empty() {
        openids.insert(0, String::new());
    }
    for person in rule.leaving {
        write(&account.followers).unfollow(person);
    }
    Answer::json(&ListAnswer {
        total: rule.total.unwrap_or(total),
        count: openids.len(),
        data: (!openids.is_empty()).then_some(ListData { openid: openids }),
        next_openid,
    })
}
