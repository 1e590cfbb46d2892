//! What some sends need besides an access token: the person's permission, which is taken before the
//! send, and their turn, since WeChat refuses two calls at a time for one openid (43108).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::AttemptResult;
use super::{Attempter, BatchContext, DeliverError};
use crate::bridge::availability::pause::Pause;
use crate::bridge::routes::{Permission, Repeat, Route};
use crate::bridge::token::TokenError;
use crate::bridge::windows::rules;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, CreditEntryId, DeliveryId, IdentityId};
use crate::models::credit::{self, CreditKey};
use crate::models::delivery::{self, Begin, Due, Reason};
use crate::models::identity::windows::{self, Closed, Rules, Taken};

/// How long a delivery waits for another one to the same person.
const BUSY: TimeDelta = TimeDelta::milliseconds(300);

/// An openid in an account.
type Spot = (Option<AccountId>, Option<String>);

/// To whom this process is sending what WeChat takes one at a time. Another process finds out by a
/// refusal.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashSet<Spot>>);

impl Turns {
    fn take(self: &Arc<Self>, spot: &Spot) -> Option<Turn> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(spot.clone()).then(|| Turn {
            turns: Arc::clone(self),
            spot: spot.clone(),
        })
    }
}

/// A turn, until it is dropped.
struct Turn {
    turns: Arc<Turns>,
    spot: Spot,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.spot);
    }
}

/// Whether a delivery may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// It may, with the one-time permission that it took, if it took one.
    Granted(Option<CreditEntryId>),
    /// It may, in the window that was opened by what the person did.
    Window(Taken),
    /// The person allows no message more.
    NoCredit,
    /// The person has done nothing that allows a message more.
    Closed(Closed),
    /// There is no token for the call.
    NoToken,
    /// Another batch is sending to the person.
    Busy,
    /// A message before it goes to the same person: what it needs is taken when that is over.
    InTurn,
    /// It is not this batch's to send any more: it was cancelled, or another process has it.
    NotOurs,
}

/// The permits of a batch, and the turns of its persons for as long as it lasts.
#[derive(Default)]
pub(super) struct Permits {
    by_delivery: HashMap<DeliveryId, Permit>,
    turns: HashMap<Spot, Option<Turn>>,
}

/// A permission that a delivery needs.
struct Need {
    id: DeliveryId,
    identity_id: IdentityId,
    template_id: String,
}

/// What a batch needs.
#[derive(Default)]
struct Needs {
    /// Tries whose beginning is marked.
    begins: Vec<Begin>,
    credits: Vec<Need>,
    windows: Vec<(DeliveryId, IdentityId)>,
}

impl Needs {
    /// Adds what a delivery needs. Returns its permit if that cannot be had.
    fn add(&mut self, due: &Due, route: &Route, claimed_at: NaiveDateTime) -> Permit {
        let traits = route.channel.traits();
        if traits.repeat == Repeat::Never {
            self.begins.push(Begin::new(due, claimed_at));
        }
        match (traits.permission, due.identity_id) {
            (Permission::Credit, Some(identity_id)) => {
                self.credits.push(Need {
                    id: due.id,
                    identity_id,
                    template_id: route.template_id.clone().unwrap_or_default(),
                });
                Permit::NoCredit
            }
            (Permission::Window, Some(identity_id)) => {
                self.windows.push((due.id, identity_id));
                Permit::Closed(Closed::WindowClosed)
            }
            _ => Permit::Granted(None),
        }
    }

    fn is_empty(&self) -> bool {
        self.begins.is_empty() && self.credits.is_empty() && self.windows.is_empty()
    }

    /// Marks the tries, and takes for them what there is: both or neither, so that a process that is
    /// lost before leaves a delivery that is sent again, with all its permissions. People first, then what
    /// they allow, then the deliveries, as events do.
    fn take(
        &self,
        conn: &mut Conn,
        rules: &Rules,
        now: i64,
    ) -> QueryResult<Vec<(DeliveryId, Permit)>> {
        let mut permits = Vec::with_capacity(self.begins.len());
        if !self.windows.is_empty() {
            let wanted: Vec<IdentityId> = self.windows.iter().map(|(_, who)| *who).collect();
            let taken = windows::take(conn, &wanted, rules, now)?.into_iter();
            let taken = taken.map(|taken| match taken {
                Ok(taken) => Permit::Window(taken),
                Err(closed) => Permit::Closed(closed),
            });
            permits.extend(self.windows.iter().map(|(id, _)| *id).zip(taken));
        }
        let granted = take(conn, &self.credits, now)?.into_iter();
        permits.extend(granted.map(|(id, entry)| (id, Permit::Granted(entry))));
        let begun: HashSet<DeliveryId> = delivery::begin(conn, &self.begins)?.into_iter().collect();
        let marked = self.begins.iter().map(Begin::id);
        let lost: HashSet<DeliveryId> = marked.filter(|id| !begun.contains(id)).collect();
        if !lost.is_empty() {
            let lost_permits = permits.extract_if(.., |(id, _)| lost.contains(id));
            give_back(conn, lost_permits.map(|(_, permit)| permit))?;
            permits.extend(lost.into_iter().map(|id| (id, Permit::NotOurs)));
        }
        Ok(permits)
    }
}

/// Gives back what was taken for tries that are not made.
fn give_back(conn: &mut Conn, permits: impl Iterator<Item = Permit>) -> QueryResult<()> {
    let (mut entries, mut windows) = (Vec::new(), Vec::new());
    for permit in permits {
        match permit {
            Permit::Granted(entry) => entries.extend(entry),
            Permit::Window(taken) => windows.push(taken),
            _ => {}
        }
    }
    windows::give_back(conn, &windows)?;
    credit::give_back(conn, &entries)
}

impl Permits {
    /// The permit of a delivery; one that needs none has one.
    pub(super) fn of(&self, due: &Due) -> Permit {
        let found = self.by_delivery.get(&due.id);
        found.copied().unwrap_or(Permit::Granted(None))
    }

    /// The deliveries in groups, of which each is to be sent one after another.
    pub(super) fn groups<'a>(&self, due: &'a [Due]) -> Vec<Vec<&'a Due>> {
        let mut groups: Vec<Vec<&Due>> = Vec::with_capacity(due.len());
        let mut of_spot: HashMap<(Option<AccountId>, Option<&str>), usize> = HashMap::new();
        for due in due {
            if !self.by_delivery.contains_key(&due.id) {
                groups.push(vec![due]);
                continue;
            }
            let at = of_spot.entry((due.account_id, due.openid.as_deref()));
            let at = *at.or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => group.push(due),
                None => groups.push(vec![due]),
            }
        }
        groups
    }

    /// Where a delivery stands among those to its person.
    fn turn(&mut self, turns: &Arc<Turns>, due: &Due) -> Place {
        match self.turns.entry((due.account_id, due.openid.clone())) {
            Entry::Occupied(known) => match known.get() {
                Some(_) => Place::Later,
                None => Place::None,
            },
            Entry::Vacant(new) => {
                let turn = turns.take(new.key());
                match new.insert(turn) {
                    Some(_) => Place::First,
                    None => Place::None,
                }
            }
        }
    }
}

/// A delivery's place among those to one person.
enum Place {
    /// The first of this batch.
    First,
    /// It goes after another one of this batch.
    Later,
    /// Another batch is sending to the person.
    None,
}

impl Attempter {
    /// Waits for the token of a batch whose tries are marked when they begin: they would be marked while
    /// they wait for it, and taken for begun if the process is lost meanwhile. Returns why there is none.
    pub(super) async fn wait_for_token(
        &self,
        context: &BatchContext,
        claimed_at: NaiveDateTime,
    ) -> Option<Arc<TokenError>> {
        // A batch is of one account.
        let marked = context.batch.due.iter().find(|due| {
            context.channel_of(due).traits().repeat == Repeat::Never
                && self.held_back(due, claimed_at, context).is_none()
        });
        let account = context.accounts.get(&marked?.account_id?)?;
        self.tokens.get(account).await.err().map(Arc::new)
    }

    /// Takes what the deliveries of a batch need, in one transaction; nothing where none needs
    /// anything. Of several that go to one person one after another, only the first: the others take it
    /// [when it is their turn](Self::permit_in_turn).
    pub(super) async fn permits(
        &self,
        due: &[Due],
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Result<Permits, DeliverError> {
        let mut permits = Permits::default();
        let mut needs = Needs::default();
        for due in due {
            let Some(route) = context.routes_from(due).first() else {
                continue;
            };
            let traits = route.channel.traits();
            let is_marked = traits.repeat == Repeat::Never;
            let asks = matches!(traits.permission, Permission::Credit | Permission::Window);
            if !(is_marked || asks || traits.one_at_a_time)
                || self.held_back(due, claimed_at, context).is_some()
            {
                continue;
            }
            let permit = if is_marked && context.no_token.is_some() {
                Permit::NoToken
            } else if traits.one_at_a_time {
                match permits.turn(&self.turns, due) {
                    Place::First => needs.add(due, route, claimed_at),
                    Place::Later => Permit::InTurn,
                    Place::None => Permit::Busy,
                }
            } else {
                needs.add(due, route, claimed_at)
            };
            permits.by_delivery.insert(due.id, permit);
        }
        if !needs.is_empty() {
            let taken = self.take_permits(needs, claimed_at).await?;
            permits.by_delivery.extend(taken);
        }
        Ok(permits)
    }

    /// Takes what a delivery needs just before it is sent, as another one to the same person was sent
    /// before it; or what becomes of it, if it is not to be sent any more.
    pub(super) async fn permit_in_turn(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Result<Permit, AttemptResult> {
        let Some(route) = context.routes_from(due).first() else {
            return Ok(Permit::NotOurs);
        };
        if let Some(done) = self.stopped(due, claimed_at, context).await {
            return Err(done);
        }
        let mut needs = Needs::default();
        let unless_taken = needs.add(due, route, claimed_at);
        match self.take_permits(needs, claimed_at).await {
            Ok(taken) => Ok(taken.first().map_or(unless_taken, |(_, permit)| *permit)),
            Err(error) => {
                tracing::warn!(%error, delivery.id = %due.id, "what a message needs cannot be taken now");
                Ok(Permit::NotOurs)
            }
        }
    }

    async fn take_permits(
        &self,
        needs: Needs,
        claimed_at: NaiveDateTime,
    ) -> Result<Vec<(DeliveryId, Permit)>, DeliverError> {
        let now = claimed_at.and_utc().timestamp();
        let rules = rules(&self.config.customer);
        self.db
            .write(move |conn| -> Result<_, DeliverError> { Ok(needs.take(conn, &rules, now)?) })
            .await
    }
}

/// Takes the permissions. One statement takes one for each person and template; a batch that has
/// several messages for the same ones needs more.
fn take(
    conn: &mut Conn,
    needs: &[Need],
    now: i64,
) -> QueryResult<Vec<(DeliveryId, Option<CreditEntryId>)>> {
    let mut rounds: Vec<HashMap<(IdentityId, &str), DeliveryId>> = Vec::new();
    for need in needs {
        let key = (need.identity_id, need.template_id.as_str());
        match rounds.iter_mut().find(|round| !round.contains_key(&key)) {
            Some(round) => drop(round.insert(key, need.id)),
            None => rounds.push(HashMap::from([(key, need.id)])),
        }
    }
    let mut granted = Vec::with_capacity(needs.len());
    for round in rounds {
        let mut wanted: Vec<CreditKey<'_>> = round
            .keys()
            .map(|&(identity_id, template_id)| CreditKey {
                identity_id,
                template_id,
            })
            .collect();
        // In one order everywhere, so that two replicas do not wait for each other.
        wanted.sort_unstable_by_key(|wanted| (wanted.identity_id, wanted.template_id));
        for taken in credit::take(conn, &wanted, now)? {
            let key = (taken.identity_id, taken.template_id.as_str());
            granted.extend(round.get(&key).map(|id| (*id, taken.entry)));
        }
    }
    Ok(granted)
}

/// Why a delivery waits whose batch has taken so long that its lease may end during a try.
pub(super) fn slow(now: NaiveDateTime) -> Pause {
    Pause {
        until: now + BUSY,
        reason: Reason::BatchTooSlow,
        detail: "The messages before it took so long that another process might have tried it at \
                 the same time. It is next."
            .to_owned(),
        far: None,
    }
}

/// Why a delivery waits for another one.
pub(super) fn busy(now: NaiveDateTime) -> Pause {
    Pause {
        until: now + BUSY,
        reason: Reason::OneAtATime,
        detail: "Another message is being sent to the person, and WeChat takes one at a time."
            .to_owned(),
        far: None,
    }
}
