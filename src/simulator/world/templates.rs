//! The templates of an account, as its owner handles them in WeChat's console.

use std::sync::Arc;

use super::{World, WorldError};
use crate::simulator::account::{Account, Kind};
use crate::simulator::locks::write;
use crate::simulator::template::{Template, TemplateKind, TemplateSettings};
use crate::simulator::tokens::random_text;

impl World {
    /// Adds a template to an account; its template_id, made up if the settings have none.
    pub fn add_template(
        &self,
        app_id: &str,
        settings: &TemplateSettings,
    ) -> Result<String, WorldError> {
        let account = self.account(app_id)?;
        let id = match settings.template_id.as_str() {
            "" => random_text(43),
            id => id.to_owned(),
        };
        let settings = of_account(&account, settings, &id);
        write(&account.templates).insert(id.clone(), Arc::new(Template::new(settings)));
        Ok(id)
    }

    /// Replaces a template; its template_id stays.
    pub fn change_template(
        &self,
        app_id: &str,
        template_id: &str,
        settings: &TemplateSettings,
    ) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        let mut templates = write(&account.templates);
        let template = templates
            .get_mut(template_id)
            .ok_or_else(|| WorldError::UnknownTemplate(template_id.to_owned()))?;
        *template = Arc::new(Template::new(of_account(&account, settings, template_id)));
        Ok(())
    }

    /// Removes a template: 40037 for whoever still sends with it.
    pub fn remove_template(&self, app_id: &str, template_id: &str) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        let removed = write(&account.templates).remove(template_id);
        let removed = removed.map(drop);
        removed.ok_or_else(|| WorldError::UnknownTemplate(template_id.to_owned()))
    }

    /// The templates of an account, by template_id.
    pub fn templates(&self, app_id: &str) -> Result<Vec<TemplateSettings>, WorldError> {
        Ok(self.account(app_id)?.template_settings())
    }
}

/// With its id; and a mini-program has subscription templates only.
fn of_account(account: &Account, settings: &TemplateSettings, id: &str) -> TemplateSettings {
    let kind = match (account.settings().kind, settings.kind) {
        (Kind::MiniProgram, TemplateKind::Template) => TemplateKind::SubscribeOnce,
        (_, kind) => kind,
    };
    TemplateSettings {
        template_id: id.to_owned(),
        kind,
        ..settings.clone()
    }
}
