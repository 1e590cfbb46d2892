//! A route filled in to be looked at: all that is wrong with it, not only the first thing.

use std::collections::BTreeMap;

use minijinja::Value;

use super::compiled::{LinkPart, Part, Room, scene};
use super::judge::check_page;
use super::text::{Link, TextPart};
use super::{Broken, Compiled, FieldError, Params, Recipient, check_url};

const STAFF_NEEDED: &str = "depends on the staff member: give `staff` to see it checked";

const ENCODED: &str = "has values that were percent-encoded, so that each stays one value; a value \
                       that is a piece of an address already is written with `| raw`";

/// What a route would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Text by key; one that would be refused as it came out, none where nothing came out.
    pub fields: BTreeMap<String, String>,
    /// The text of a message without template, as it goes out; none where nothing came out.
    pub text: Option<String>,
    /// The page that a tap opens.
    pub url: Option<String>,
    /// The page of the mini-program.
    pub page: Option<String>,
    /// Why it would be refused.
    pub errors: Vec<FieldError>,
    /// What the reader would not see.
    pub warnings: Vec<FieldError>,
}

impl Compiled {
    /// Fills a route in, to be looked at. Without a staff member, texts that depend on one are
    /// filled in with a stand-in and not judged.
    pub fn preview(&self, route: usize, params: &Params, staff: Option<Recipient<'_>>) -> Preview {
        let mut preview = Preview::default();
        let Some(parts) = self.routes.get(route) else {
            return preview;
        };
        let context = scene(&params.value(), staff);
        for part in &parts.fields {
            match self.text(&part.path, &context, part.room()) {
                Ok(text) => preview.add(part, text, staff),
                Err(error) => preview.errors.push(error),
            }
        }
        preview.url = self.address(&mut preview, &parts.url, &context, check_url);
        preview.page = self.address(&mut preview, &parts.page, &context, check_page);
        if let Some(part) = &parts.text {
            match self.whole_text(part, &preview, &context, staff) {
                Ok((text, cut)) => preview.add_text(part, text, cut, staff),
                Err(error) => preview.errors.push(error),
            }
        }
        preview
    }

    /// A text with its link, and whether it was cut.
    fn whole_text(
        &self,
        part: &TextPart,
        preview: &Preview,
        context: &Value,
        staff: Option<Recipient<'_>>,
    ) -> Result<(String, bool), FieldError> {
        let link = Link {
            words: part.link_words(|path| self.text(path, context, Room::FIELD))?,
            url: preview.url.as_deref(),
            page: preview.page.as_deref(),
        };
        let text = self.text(&part.path, context, self.room_of_text(part))?;
        let whole = part.compose(&text, &link, None)?;
        let judged = staff.is_some() || !part.mentions_staff;
        let limit = judged.then_some(self.text_bytes);
        let taken = part.compose(&text, &link, limit)?;
        Ok((taken.as_str().to_owned(), taken != whole))
    }

    fn address(
        &self,
        preview: &mut Preview,
        part: &Option<LinkPart>,
        context: &Value,
        check: fn(&str, &str) -> Result<(), FieldError>,
    ) -> Option<String> {
        let part = part.as_ref()?;
        let link = self.link(part, context);
        let link = link.map_err(|error| preview.errors.push(error)).ok()?;
        preview.errors.extend(check(&part.path, &link.text).err());
        if link.is_encoded {
            preview.warn(&part.path, ENCODED.to_owned(), "encoded");
        }
        Some(link.text)
    }
}

impl Preview {
    fn add(&mut self, part: &Part, text: String, staff: Option<Recipient<'_>>) {
        let path = &part.path;
        let shown = match part.taken(text.clone(), staff) {
            Ok(taken) => {
                if taken != text {
                    let problem = "is too long, and is cut".to_owned();
                    self.warn(path, problem, "truncated");
                }
                self.warnings.extend(part.judge.warnings(path, &taken));
                taken
            }
            Err(error) => {
                self.errors.push(error);
                text
            }
        };
        if staff.is_none() && part.mentions_staff {
            self.warn(path, STAFF_NEEDED.to_owned(), "staff");
        }
        self.fields.insert(part.key.clone(), shown);
    }

    fn add_text(&mut self, part: &TextPart, text: String, cut: bool, staff: Option<Recipient<'_>>) {
        if cut {
            self.warn(
                &part.path,
                "is too long, and is cut".to_owned(),
                "truncated",
            );
        }
        if staff.is_none() && part.mentions_staff {
            self.warn(&part.path, STAFF_NEEDED.to_owned(), "staff");
        }
        self.text = Some(text);
    }

    fn warn(&mut self, path: &str, problem: String, rule: &'static str) {
        self.warnings
            .push(FieldError::new(path, problem).with(Broken::of(rule)));
    }
}
