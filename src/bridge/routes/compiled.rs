//! Templates compiled once and rendered for many, bounded in time and size.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, context};

use super::bounded::{self, Writer};
use super::judge::{Judge, check_page};
use super::link::{self, Assembled};
use super::text::{Link, TextPart};
use super::{Broken, FieldError, Route, check_url, numbers, operands, words};
use crate::wechat::custom::RichText;

/// Instructions that one template may take: far more than a field of a message needs.
const FUEL: u64 = 20_000;
const RECURSION: usize = 32;
/// Begins the cause of an error for a value that cannot be written; its kind follows.
const NO_TEXT: &str = "no text: ";
/// What a template may speak of.
const NAMES: [&str; 2] = ["params", "staff"];

/// The routes of a message type, ready to be rendered.
#[derive(Debug)]
pub struct Compiled {
    environment: Environment<'static>,
    /// Bytes of a customer message.
    pub(super) text_bytes: usize,
    pub(super) routes: Vec<Parts>,
}

/// The templates of one route, under the paths of their fields.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) fields: Vec<Part>,
    pub(super) text: Option<TextPart>,
    pub(super) url: Option<LinkPart>,
    pub(super) page: Option<LinkPart>,
    mentions_staff: bool,
}

/// The template of an address.
#[derive(Debug)]
pub(super) struct LinkPart {
    pub(super) path: String,
    /// Whether a value may be the whole address: not where it may be joined of several inside an expression.
    may_be_whole: bool,
}

/// How much may be written where a template is filled in: it stops there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: usize,
    /// Whether what does not fit is cut off, as more will be.
    pub(super) cuts: bool,
}

/// What is known of a template that was added.
struct Added {
    mentions_staff: bool,
    joins_texts: bool,
}

/// The template of one key.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) judge: Judge,
    pub(super) mentions_staff: bool,
}

/// Whom a rendering is tried with before anybody is known.
const ANYBODY: Recipient<'static> = Recipient {
    id: Some("staff"),
    name: Some("staff"),
};

/// The staff member that a template may mention as `staff.id` and `staff.name`.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The business's own id; none for a person who is not staff: `staff.id` is undefined.
    pub id: Option<&'a str>,
    /// A name; without one, `staff.name` is undefined.
    pub name: Option<&'a str>,
}

/// A route filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Text by key.
    pub data: BTreeMap<String, String>,
    /// The text of a message without template, with its link.
    pub text: Option<RichText>,
    /// The page that a tap opens.
    pub url: Option<String>,
    /// The page of the mini-program: the linked one, or the sending one.
    pub page: Option<String>,
}

impl Compiled {
    /// Compiles the templates of the routes, of which those with a text of their own may come out
    /// `text_bytes` long.
    ///
    /// # Errors
    /// Names the field whose template is malformed, or speaks of something that is not there.
    pub fn new(routes: &[Route], text_bytes: usize) -> Result<Self, FieldError> {
        let mut compiled = Self {
            environment: environment(),
            text_bytes,
            routes: Vec::with_capacity(routes.len()),
        };
        for (at, route) in routes.iter().enumerate() {
            let mut parts = Parts::default();
            for (key, filling) in &route.fields {
                let path = format!("routes[{at}].fields.{key}");
                let mentions_staff = compiled.add(&path, filling.text())?.mentions_staff;
                parts.mentions_staff |= mentions_staff;
                parts.fields.push(Part {
                    key: key.clone(),
                    path,
                    judge: Judge::new(key, route.channel, filling.on_too_long()),
                    mentions_staff,
                });
            }
            if let Some(text) = &route.text {
                let mut part = TextPart::new(at, route, text.on_too_long());
                part.mentions_staff = compiled.add(&part.path, text.text())?.mentions_staff;
                if let Some((path, source)) = part.link_words.as_ref().zip(route.link_text.as_ref())
                {
                    part.mentions_staff |= compiled.add(path, source)?.mentions_staff;
                }
                parts.mentions_staff |= part.mentions_staff;
                parts.text = Some(part);
            }
            if let Some(source) = &route.url {
                let path = format!("routes[{at}].url");
                parts.url = Some(compiled.add_link(path, source, &mut parts.mentions_staff)?);
            }
            if let Some(source) = route.mini_program.as_ref().and_then(|m| m.path.as_ref()) {
                let path = format!("routes[{at}].mini_program.path");
                parts.page = Some(compiled.add_link(path, source, &mut parts.mentions_staff)?);
            }
            if let Some(source) = &route.page {
                let path = format!("routes[{at}].page");
                parts.page = Some(compiled.add_link(path, source, &mut parts.mentions_staff)?);
            }
            compiled.routes.push(parts);
        }
        Ok(compiled)
    }

    /// Whether what a route sends depends on the staff member. If not, one rendering is for all.
    pub fn mentions_staff(&self, route: usize) -> bool {
        self.routes
            .get(route)
            .is_some_and(|parts| parts.mentions_staff)
    }

    /// Fills a route in.
    ///
    /// # Errors
    /// Names the field that cannot be filled in, or whose text WeChat would not show as it is.
    pub fn render(
        &self,
        route: usize,
        params: &Value,
        staff: Recipient<'_>,
    ) -> Result<Rendered, FieldError> {
        self.fill(route, params, Some(staff))
    }

    /// Fills a route in for nobody in particular. How long a text is that depends on the staff
    /// member, and of what form, is not judged here.
    ///
    /// # Errors
    /// As [`render`](Self::render), for what does not depend on the staff member.
    pub fn try_out(&self, route: usize, params: &Value) -> Result<Rendered, FieldError> {
        self.fill(route, params, None)
    }

    fn fill(
        &self,
        route: usize,
        params: &Value,
        staff: Option<Recipient<'_>>,
    ) -> Result<Rendered, FieldError> {
        let parts = self
            .routes
            .get(route)
            .ok_or_else(|| FieldError::new(format!("routes[{route}]"), "does not exist"))?;
        let context = scene(params, staff);
        let mut data = BTreeMap::new();
        for part in &parts.fields {
            let text = self.text(&part.path, &context, part.room())?;
            let text = part.taken(text, staff)?;
            data.insert(part.key.clone(), text);
        }
        let address = |part: &Option<LinkPart>, check: fn(&str, &str) -> Result<(), FieldError>| {
            let Some(part) = part else {
                return Ok(None);
            };
            let text = self.link(part, &context)?.text;
            check(&part.path, &text).map(|()| Some(text))
        };
        let url = address(&parts.url, check_url)?;
        let page = address(&parts.page, check_page)?;
        let text = parts.text.as_ref().map(|part| {
            let link = Link {
                words: part.link_words(|path| self.text(path, &context, Room::FIELD))?,
                url: url.as_deref(),
                page: page.as_deref(),
            };
            let text = self.text(&part.path, &context, self.room_of_text(part))?;
            // Where it leads may depend on the staff member, too.
            let judged = staff.is_some() || !parts.mentions_staff;
            part.compose(&text, &link, judged.then_some(self.text_bytes))
        });
        Ok(Rendered {
            data,
            text: text.transpose()?,
            url,
            page,
        })
    }

    fn add_link(
        &mut self,
        path: String,
        source: &str,
        mentions_staff: &mut bool,
    ) -> Result<LinkPart, FieldError> {
        if link::is_marked(source) {
            let problem = "contains a noncharacter (U+FDD0 or U+FDD1): leave it out";
            return Err(FieldError::new(path, problem));
        }
        let added = self.add(&path, source)?;
        *mentions_staff |= added.mentions_staff;
        Ok(LinkPart {
            path,
            may_be_whole: !added.joins_texts,
        })
    }

    /// Adds a template.
    fn add(&mut self, path: &str, source: &str) -> Result<Added, FieldError> {
        let explain = |error: &Error| FieldError::new(path, malformed(error));
        let source = operands::apart(source);
        bounded::check(&source).map_err(|problem| FieldError::new(path, problem))?;
        self.environment
            .add_template_owned(path.to_owned(), numbers::calculable(&source))
            .map_err(|error| explain(&error))?;
        let template = self
            .environment
            .get_template(path)
            .map_err(|error| explain(&error))?;
        let mut mentions_staff = false;
        for name in template.undeclared_variables(false) {
            let known = self.environment.globals().any(|(global, _)| global == name);
            if !known && !NAMES.contains(&name.as_str()) {
                let problem =
                    format!("speaks of `{name}`: a template has only `params` and `staff`");
                return Err(FieldError::new(path, problem));
            }
            mentions_staff |= name == "staff";
        }
        words::check(&template).map_err(|problem| FieldError::new(path, problem))?;
        Ok(Added {
            mentions_staff,
            joins_texts: words::joins_texts(&template),
        })
    }

    /// An address, with what is filled in encoded.
    pub(super) fn link(&self, part: &LinkPart, context: &Value) -> Result<Assembled, FieldError> {
        let rendered = self.text(&part.path, context, Room::FIELD)?;
        Ok(link::assemble(&rendered, part.may_be_whole))
    }

    /// How long the text of a message without template may come out before it is judged.
    pub(super) fn room_of_text(&self, part: &TextPart) -> Room {
        Room {
            bytes: self.text_bytes.saturating_mul(4).max(Room::FIELD.bytes),
            cuts: part.truncates(),
        }
    }

    /// A template filled in, as far as there is room.
    pub(super) fn text(
        &self,
        path: &str,
        context: &Value,
        room: Room,
    ) -> Result<String, FieldError> {
        let refuse = |problem: &str| FieldError::new(path, problem);
        let template = self.environment.get_template(path);
        let template = template.map_err(|_| refuse("cannot be filled in"))?;
        let mut writer = Writer::new(room.bytes);
        let rendered = template.render_captured_to(context, &mut writer).map(drop);
        match rendered {
            Err(error) if !writer.is_full() => Err(refuse(&unfilled(&error, template.source()))),
            _ => {
                let (text, is_cut) = writer.into_text();
                match is_cut && !room.cuts {
                    true => Err(room.exceeded(path)),
                    false => Ok(text),
                }
            }
        }
    }
}

impl Room {
    /// Some times the longest field or address.
    pub(super) const FIELD: Self = Self {
        bytes: 16 << 10,
        cuts: false,
    };

    fn exceeded(self, path: &str) -> FieldError {
        let limit = self.bytes;
        let advice = match link::is_link(path) {
            true => "shorten it",
            false => "shorten it, or choose \"on_too_long\": \"truncate\" for it",
        };
        let problem = format!("comes out longer than {limit} bytes: {advice}");
        FieldError::new(path, problem).with(Broken {
            rule: "text_bytes",
            length: None,
            limit: Some(limit),
        })
    }
}

/// Plain text, strict about what is missing, and bounded.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    words::add(&mut environment);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_debug(true);
    environment.set_formatter(|out, state, value| {
        if value.is_none() || value.is_undefined() {
            // The word "none" has no place in a message.
            return Err(ErrorKind::UndefinedError.into());
        }
        if let Some(kind) = words::no_text(value) {
            let detail = format!("{NO_TEXT}{kind}");
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        }
        let text = value.to_string();
        let written = match (link::is_link(state.name()), value.is_safe()) {
            (false, _) => out.write_str(&text),
            // Encoded it is longer still, and what is behind has no room.
            (true, false) => out.write_str(&link::mark(head(&text, Room::FIELD.bytes))),
            // Raw, or encoded already.
            (true, true) if link::is_marked(&text) => Err(std::fmt::Error),
            (true, true) => out.write_str(&text),
        };
        written.map_err(Error::from)
    });
    environment
}

impl Part {
    pub(super) fn room(&self) -> Room {
        Room {
            cuts: self.judge.truncates(),
            ..Room::FIELD
        }
    }

    /// The text to send, if WeChat takes it; for nobody in particular, if it may.
    pub(super) fn taken(
        &self,
        text: String,
        staff: Option<Recipient<'_>>,
    ) -> Result<String, FieldError> {
        if staff.is_none() && self.mentions_staff {
            return self.judge.check_line(&self.path, &text).map(|()| text);
        }
        self.judge.judge(&self.path, text)
    }
}

/// What a template sees.
pub(super) fn scene(params: &Value, staff: Option<Recipient<'_>>) -> Value {
    context! { params => params, staff => person(staff.unwrap_or(ANYBODY)) }
}

fn person(staff: Recipient<'_>) -> Value {
    match (staff.id, staff.name) {
        (Some(id), Some(name)) => context! { id => id, name => name },
        (Some(id), None) => context! { id => id },
        (None, _) => context! {},
    }
}

/// The beginning of a text, at least so many bytes of it.
fn head(text: &str, bytes: usize) -> &str {
    text.get(..text.ceil_char_boundary(bytes)).unwrap_or(text)
}

fn malformed(error: &Error) -> String {
    let what = error.detail().unwrap_or("it cannot be read");
    format!("is not a valid template: {what}")
}

/// The part of a template that an error is about: the whole expression, where a filter is blamed for what it is
/// applied to.
fn place(source: &str, range: Range<usize>) -> &str {
    let part = source.get(range.clone()).unwrap_or(source);
    if part.trim_start().starts_with("params") || part.trim_start().starts_with("staff") {
        return part;
    }
    let before = source.get(..range.start).and_then(|text| text.rfind("{{"));
    let behind = source.get(range.end..).and_then(|text| text.find("}}"));
    let whole = before.zip(behind).and_then(|(before, behind)| {
        let inside = source.get(before + 2..range.end + behind)?;
        (!inside.contains("}}")).then(|| inside.trim_matches('-'))
    });
    whole.unwrap_or(part)
}

/// Why a template cannot be filled in, quoting the template, never a value.
fn unfilled(error: &Error, source: &str) -> String {
    let place = error.range().map(|range| place(source, range));
    let place = numbers::without_filter(place.unwrap_or(source));
    let place = place.trim();
    if let Some(kind) = error
        .detail()
        .and_then(|detail| detail.strip_prefix(NO_TEXT))
    {
        return format!(
            "needs a text or a number in `{place}`, which is {kind}: give a text or a number, or \
             use it in an `if`"
        );
    }
    match error.kind() {
        ErrorKind::UndefinedError => format!(
            "needs `{place}`, which is missing or null: give it, or write \
             `{{{{ {place} | default('…') }}}}` in the message type"
        ),
        ErrorKind::OutOfFuel => "takes too long: make the template simpler".to_owned(),
        kind => format!("cannot be filled in at `{place}`: {kind}"),
    }
}
