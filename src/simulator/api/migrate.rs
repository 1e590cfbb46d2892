//! POST /cgi-bin/changeopenid (WeChat guide, account migration). `from_appid` is the old account's AppID; the guide's
//! present page asks for the original id, which WeChat in fact refuses with 63178.

use serde::{Deserialize, Serialize};

use super::{Answer, Errcode};
use crate::simulator::account::Account;
use crate::simulator::population;
use crate::simulator::world::World;

const MOST: usize = 100;

#[derive(Deserialize)]
struct Request {
    from_appid: String,
    openid_list: Vec<String>,
}

#[derive(Serialize)]
struct Body {
    errcode: i64,
    errmsg: &'static str,
    result_list: Vec<Translated>,
}

#[derive(Serialize)]
struct Translated {
    ori_openid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_openid: Option<String>,
    err_msg: &'static str,
}

pub(in crate::simulator) fn change_openid(
    world: &World,
    account: &Account,
    body: &[u8],
) -> Result<Answer, Errcode> {
    let request: Request = serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)?;
    if request.openid_list.is_empty() {
        return Err(Errcode::OPENID_LIST_EMPTY);
    }
    if request.openid_list.len() > MOST {
        return Err(Errcode::LIST_SIZE);
    }
    let from = request.from_appid.as_str();
    let people: Vec<Option<u32>> = request
        .openid_list
        .iter()
        .map(|openid| population::person(from, openid))
        .collect();
    let taken = account.migration.taken(from, &people, world.now());
    let taken = taken.ok_or(Errcode::APPID_WRONG)?;
    let each = request.openid_list.into_iter().zip(people).zip(taken);
    let result_list = each
        .map(|((ori_openid, person), taken)| {
            let new_openid = person.filter(|_| taken).map(|one| account.openid(one));
            Translated {
                ori_openid,
                err_msg: match new_openid {
                    Some(_) => "ok",
                    None => "ori_openid error",
                },
                new_openid,
            }
        })
        .collect();
    Answer::json(&Body {
        errcode: 0,
        errmsg: "ok",
        result_list,
    })
}
