//! What one notification wants otherwise than the routes of its message type say.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use super::{Channel, FieldError, Route, parse, to_json};
use crate::wechat::subscribe::{Language, MiniProgramState};

/// How the subscription messages of a mini-program are sent, for one notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manner {
    /// Which version of the mini-program a tap opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miniprogram_state: Option<MiniProgramState>,
    /// The language of what WeChat writes around the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<Language>,
}

impl Manner {
    /// Reads the words that a request gives; they are those that a route may have.
    ///
    /// # Errors
    /// Names the field whose word is none of them.
    pub fn read(miniprogram_state: Option<&str>, lang: Option<&str>) -> Result<Self, FieldError> {
        Ok(Self {
            miniprogram_state: word(
                "miniprogram_state",
                miniprogram_state,
                "developer, trial, formal",
            )?,
            lang: word("lang", lang, "zh_CN, en_US, zh_HK, zh_TW")?,
        })
    }

    /// Whether anything is wanted otherwise.
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// As it is stored with a notification; none if nothing is wanted otherwise.
    pub fn to_json(self) -> Option<String> {
        // JSON of two words can always be written.
        self.is_given()
            .then(|| serde_json::to_string(&self).unwrap_or_default())
    }

    /// What a stored notification wanted.
    pub fn stored(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// Routes as JSON, changed as [`apply`](Self::apply) does; the same text if nothing is wanted
    /// otherwise.
    ///
    /// # Errors
    /// Names the route that cannot be read.
    pub fn of_routes(&self, json: String) -> Result<String, FieldError> {
        if !self.is_given() {
            return Ok(json);
        }
        let mut routes = parse(&json)?;
        self.apply(&mut routes);
        let unwritable = |error| FieldError::new("routes", format!("cannot be stored: {error}"));
        to_json(&routes).map_err(unwritable)
    }

    /// Changes the routes that send subscription messages of a mini-program.
    pub fn apply(&self, routes: &mut [Route]) {
        let routes = routes.iter_mut();
        for route in routes.filter(|route| route.channel == Channel::MpSubscribe) {
            route.miniprogram_state = self.miniprogram_state.or(route.miniprogram_state);
            route.lang = self.lang.or(route.lang);
        }
    }
}

fn word<T: DeserializeOwned>(
    field: &str,
    given: Option<&str>,
    words: &str,
) -> Result<Option<T>, FieldError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let deserializer: serde::de::value::StrDeserializer<'_, Error> = given.into_deserializer();
    match T::deserialize(deserializer) {
        Ok(read) => Ok(Some(read)),
        Err(_) => Err(FieldError::new(field, format!("must be one of: {words}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_a_route() {
        let manner = Manner::read(Some("trial"), Some("zh_HK")).unwrap();
        assert_eq!(manner.miniprogram_state, Some(MiniProgramState::Trial));
        assert_eq!(manner.lang, Some(Language::HongKongChinese));
        assert!(!Manner::read(None, None).unwrap().is_given());
        for (state, lang, field) in [
            (Some("Trial"), None, "miniprogram_state"),
            (Some(""), None, "miniprogram_state"),
            (None, Some("zh-CN"), "lang"),
        ] {
            let error = Manner::read(state, lang).unwrap_err();
            assert_eq!(error.field, field);
            assert!(error.problem.contains("must be one of"), "{error}");
        }
    }

    #[test]
    fn only_the_routes_of_a_mini_program_are_changed() {
        let routes = r#"[{"account": "wx1", "template_id": "T", "fields": {"thing1": "x"}},
            {"channel": "mp_subscribe", "account": "wx2", "template_id": "T",
             "fields": {"thing1": "x"}, "lang": "en_US", "miniprogram_state": "formal"}]"#;
        let before: Vec<Route> = serde_json::from_str(routes).unwrap();
        let mut after = before.clone();
        Manner::read(Some("developer"), None)
            .unwrap()
            .apply(&mut after);
        assert_eq!(after[0], before[0]);
        assert_eq!(
            after[1].miniprogram_state,
            Some(MiniProgramState::Developer)
        );
        assert_eq!(after[1].lang, Some(Language::English));
    }
}
