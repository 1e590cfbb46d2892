//! Templates compiled once and rendered for many, bounded in time and size.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, context, escape_formatter,
};

use super::{FieldError, MAX_PATH, MAX_TEXT, Route, check_url, words};

/// Instructions that one template may take: far more than a field of a message needs.
const FUEL: u64 = 20_000;
const RECURSION: usize = 32;
/// What a template may speak of.
const NAMES: [&str; 2] = ["params", "staff"];

/// The routes of a message type, ready to be rendered.
#[derive(Debug)]
pub struct Compiled {
    environment: Environment<'static>,
    routes: Vec<Parts>,
}

/// The templates of one route, under the paths of their fields.
#[derive(Debug, Default)]
struct Parts {
    /// Key, path.
    fields: Vec<(String, String)>,
    url: Option<String>,
    page: Option<String>,
    mentions_staff: bool,
}

/// The staff member that a template may mention as `staff.id` and `staff.name`.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The business's own id.
    pub id: &'a str,
    /// A name; without one, `staff.name` is undefined.
    pub name: Option<&'a str>,
}

/// A route filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Text by key.
    pub data: BTreeMap<String, String>,
    /// The page that a tap opens.
    pub url: Option<String>,
    /// The page of the mini-program.
    pub page: Option<String>,
}

impl Compiled {
    /// Compiles the templates of the routes.
    ///
    /// # Errors
    /// Names the field whose template is malformed, or speaks of something that is not there.
    pub fn new(routes: &[Route]) -> Result<Self, FieldError> {
        let mut compiled = Self {
            environment: environment(),
            routes: Vec::with_capacity(routes.len()),
        };
        for (at, route) in routes.iter().enumerate() {
            let mut parts = Parts::default();
            for (key, source) in &route.fields {
                let path = format!("routes[{at}].fields.{key}");
                parts.mentions_staff |= compiled.add(&path, source)?;
                parts.fields.push((key.clone(), path));
            }
            if let Some(source) = &route.url {
                let path = format!("routes[{at}].url");
                parts.mentions_staff |= compiled.add(&path, source)?;
                parts.url = Some(path);
            }
            if let Some(source) = route.mini_program.as_ref().and_then(|m| m.path.as_ref()) {
                let path = format!("routes[{at}].mini_program.path");
                parts.mentions_staff |= compiled.add(&path, source)?;
                parts.page = Some(path);
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
        let parts = self
            .routes
            .get(route)
            .ok_or_else(|| FieldError::new(format!("routes[{route}]"), "does not exist"))?;
        let context = context! { params => params, staff => person(staff) };
        let mut data = BTreeMap::new();
        for (key, path) in &parts.fields {
            let text = self.text(path, &context)?;
            check_text(path, &text)?;
            data.insert(key.clone(), text);
        }
        let url = match &parts.url {
            Some(path) => {
                let url = self.text(path, &context)?;
                check_url(path, &url)?;
                Some(url)
            }
            None => None,
        };
        let page = match &parts.page {
            Some(path) => {
                let page = self.text(path, &context)?;
                check_page(path, &page)?;
                Some(page)
            }
            None => None,
        };
        Ok(Rendered { data, url, page })
    }

    /// Adds a template; returns whether it speaks of the staff member.
    fn add(&mut self, path: &str, source: &str) -> Result<bool, FieldError> {
        let explain = |error: &Error| FieldError::new(path, malformed(error));
        self.environment
            .add_template_owned(path.to_owned(), source.to_owned())
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
        Ok(mentions_staff)
    }

    fn text(&self, path: &str, context: &Value) -> Result<String, FieldError> {
        self.environment
            .get_template(path)
            .and_then(|template| {
                template.render(context).map_err(|error| {
                    let problem = unfilled(&error, template.source());
                    Error::new(ErrorKind::InvalidOperation, problem)
                })
            })
            .map_err(|error| FieldError::new(path, error.detail().unwrap_or("cannot be filled in")))
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
        if value.is_none() {
            // The word "none" has no place in a message.
            return Err(ErrorKind::UndefinedError.into());
        }
        escape_formatter(out, state, value)
    });
    environment
}

fn person(staff: Recipient<'_>) -> Value {
    match staff.name {
        Some(name) => context! { id => staff.id, name => name },
        None => context! { id => staff.id },
    }
}

fn malformed(error: &Error) -> String {
    let what = error.detail().unwrap_or("it cannot be read");
    format!("is not a valid template: {what}")
}

/// Why a template cannot be filled in, quoting the template, never a value.
fn unfilled(error: &Error, source: &str) -> String {
    let place = error
        .range()
        .and_then(|range| source.get(range))
        .unwrap_or(source)
        .trim();
    match error.kind() {
        ErrorKind::UndefinedError => format!(
            "needs `{place}`, which is missing or null: give it, or write \
             `{{{{ {place} | default('…') }}}}` in the message type"
        ),
        ErrorKind::OutOfFuel => "takes too long: make the template simpler".to_owned(),
        kind => format!("cannot be filled in at `{place}`: {kind}"),
    }
}

fn check_text(path: &str, text: &str) -> Result<(), FieldError> {
    if text.trim().is_empty() {
        let problem = "comes out empty, which WeChat refuses: give it a text";
        return Err(FieldError::new(path, problem));
    }
    check_line(path, text)?;
    let length = text.chars().count();
    if length > MAX_TEXT {
        let problem = format!(
            "comes out {length} characters long: at most {MAX_TEXT}, of which WeChat shows about 20"
        );
        return Err(FieldError::new(path, problem));
    }
    Ok(())
}

fn check_page(path: &str, page: &str) -> Result<(), FieldError> {
    check_line(path, page)?;
    if page.is_empty() || page.len() > MAX_PATH {
        let length = page.len();
        let problem = format!("comes out {length} bytes long: give 1 to {MAX_PATH}");
        return Err(FieldError::new(path, problem));
    }
    Ok(())
}

/// WeChat drops line breaks silently, and with them what the sender meant.
fn check_line(path: &str, text: &str) -> Result<(), FieldError> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) {
        let problem = "contains a line break or another control character, which WeChat does not \
                       show: leave it out";
        return Err(FieldError::new(path, problem));
    }
    Ok(())
}
