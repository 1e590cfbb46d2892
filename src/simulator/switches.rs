//! What holds for one person in one account and is told by no event: template messages that they switched off inside
//! WeChat, and restrictions that WeChat put on them.

use std::collections::HashSet;
use std::sync::Mutex;

use super::locks::lock;
use super::world::{World, WorldError};

#[derive(Default)]
struct SwitchState {
    off: HashSet<(u32, String)>,
    restricted: HashSet<u32>,
}

/// Everybody's switches in one account.
#[derive(Default)]
pub(super) struct Switches(Mutex<SwitchState>);

impl Switches {
    pub(super) fn is_off(&self, person: u32, template: &str) -> bool {
        let state = lock(&self.0);
        !state.off.is_empty() && state.off.contains(&(person, template.to_owned()))
    }

    pub(super) fn is_restricted(&self, person: u32) -> bool {
        lock(&self.0).restricted.contains(&person)
    }
}

impl World {
    /// The person switches the messages of a template off, or on again, in the account's settings inside WeChat. A
    /// template message is then refused with 43101. Nothing is pushed.
    pub fn switch_template(
        &self,
        app_id: &str,
        person: u32,
        template: &str,
        on: bool,
    ) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        if !super::locks::read(&account.templates).contains_key(template) {
            return Err(WorldError::UnknownTemplate(template.to_owned()));
        }
        let mut state = lock(&account.switches.0);
        let entry = (person, template.to_owned());
        match on {
            true => drop(state.off.remove(&entry)),
            false => drop(state.off.insert(entry)),
        }
        Ok(())
    }

    /// WeChat restricts the person in the account, or no longer: messages to them are refused with 50002.
    pub fn restrict(&self, app_id: &str, person: u32, restricted: bool) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        let mut state = lock(&account.switches.0);
        match restricted {
            true => drop(state.restricted.insert(person)),
            false => drop(state.restricted.remove(&person)),
        }
        Ok(())
    }
}
