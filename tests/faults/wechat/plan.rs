//! The pushes: follows, unfollows and texts of many people. Each has a CreateTime of its own within its person,
//! and they come out of order.

use std::time::{SystemTime, UNIX_EPOCH};

use queqiao::wechat::signature;

use crate::dice::Dice;
use crate::installation::{SERVICE, TOKEN};

/// How far pushes stray from the order of their times.
const WINDOW: usize = 64;
/// The first CreateTime.
const START: i64 = 1_700_000_000;

#[derive(Clone, Copy)]
enum Kind {
    Follow,
    Unfollow,
    Text,
}

struct Draft {
    openid: String,
    create_time: i64,
    kind: Kind,
}

/// A push, the same to the byte in each of its tries.
pub(super) struct Push {
    pub(super) openid: String,
    pub(super) create_time: i64,
    pub(super) request: Vec<u8>,
}

pub(super) struct Plan {
    dice: Dice,
    /// Of each person, when something last happened.
    clocks: Vec<i64>,
    window: Vec<Draft>,
    number: u64,
}

impl Plan {
    pub(super) fn new(seed: u64, people: u64) -> Self {
        Self {
            dice: Dice::of(seed),
            clocks: vec![START; usize::try_from(people.max(1)).unwrap_or(1)],
            window: Vec::with_capacity(WINDOW),
            number: 0,
        }
    }

    pub(super) fn next(&mut self) -> Push {
        while self.window.len() < WINDOW {
            let draft = self.draft();
            self.window.push(draft);
        }
        let at = self.dice.below(WINDOW as u64) as usize;
        let draft = self.window.swap_remove(at);
        self.number += 1;
        sign(draft, self.number)
    }

    fn draft(&mut self) -> Draft {
        let person = self.dice.below(self.clocks.len() as u64) as usize;
        let mut create_time = START;
        if let Some(clock) = self.clocks.get_mut(person) {
            *clock += 1 + self.dice.below(49) as i64;
            create_time = *clock;
        }
        let kind = match self.dice.below(10) {
            0..4 => Kind::Follow,
            4..7 => Kind::Unfollow,
            _ => Kind::Text,
        };
        Draft {
            openid: format!("oFaults{person:021}"),
            create_time,
            kind,
        }
    }
}

fn sign(draft: Draft, number: u64) -> Push {
    let Draft {
        openid,
        create_time,
        kind,
    } = draft;
    let event = |name: &str| {
        format!(
            "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event><EventKey></EventKey>"
        )
    };
    let rest = match kind {
        Kind::Follow => event("subscribe"),
        Kind::Unfollow => event("unsubscribe"),
        Kind::Text => format!(
            "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[n{number}]]></Content><MsgId>{}</MsgId>",
            number + 1_000_000_000
        ),
    };
    let body = format!(
        "<xml><ToUserName><![CDATA[gh_faults]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>\
         <CreateTime>{create_time}</CreateTime>{rest}</xml>"
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let timestamp = now.map_or(0, |since| since.as_secs()).to_string();
    let nonce = number.to_string();
    let signature = signature::sign(&[TOKEN, &timestamp, &nonce]);
    let request = format!(
        "POST /callback/{SERVICE}?signature={signature}&timestamp={timestamp}&nonce={nonce}&openid={openid} HTTP/1.1\r\n\
         Host: queqiao\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Push {
        openid,
        create_time,
        request: request.into_bytes(),
    }
}
