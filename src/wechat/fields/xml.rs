//! Reads the XML of a push into [`Fields`].

use std::borrow::Cow;

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{Fields, FieldsError, MAX_DEPTH, MAX_FIELDS, Value, complaint};

/// An element that has been opened and not yet closed.
struct Open<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
    has_cdata: bool,
    children: Fields<'a>,
}

/// Reads one document; the name of its root does not matter.
pub(super) fn parse(text: &str) -> Result<Fields<'_>, FieldsError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open<'_>> = Vec::with_capacity(4);
    let mut root = None;
    let mut count = 0_usize;
    loop {
        let at = reader.buffer_position();
        match reader.read_event().map_err(|error| broken(&error))? {
            Event::Start(start) => {
                if open.len() == MAX_DEPTH {
                    return Err(FieldsError::TooDeep);
                }
                count += 1;
                open.push(Open::new(name_of(text, at, &start)));
            }
            Event::Empty(start) => {
                count += 1;
                close(Open::new(name_of(text, at, &start)), &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open
                    .pop()
                    .ok_or_else(|| broken(&"a closing tag too many"))?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(chunk) => add_text(open.last_mut(), chunk.into_inner())?,
            Event::CData(chunk) => match open.last_mut() {
                Some(element) => element.add_cdata(chunk.into_inner()),
                None => return Err(broken(&"text outside the root element")),
            },
            Event::GeneralRef(reference) => {
                let element = open.last_mut();
                let element = element.ok_or_else(|| broken(&"text outside the root element"))?;
                element.text.to_mut().push_str(&resolve(&reference)?);
            }
            Event::DocType(_) => return Err(FieldsError::Doctype),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
        if count > MAX_FIELDS {
            return Err(FieldsError::TooMany);
        }
    }
    if !open.is_empty() {
        return Err(broken(&"the document ends inside an element"));
    }
    root.ok_or_else(|| broken(&"there is no element"))
}

impl<'a> Open<'a> {
    fn new(name: Cow<'a, str>) -> Self {
        Self {
            name,
            text: Cow::Borrowed(""),
            has_cdata: false,
            children: Fields::new(),
        }
    }

    fn add_cdata(&mut self, chunk: Cow<'a, str>) {
        // Blanks between the tag and its CDATA are layout; blanks inside are the user's.
        if !self.has_cdata && is_blank(&self.text) {
            self.text = Cow::Borrowed("");
        }
        self.has_cdata = true;
        append(&mut self.text, chunk);
    }
}

fn add_text<'a>(element: Option<&mut Open<'a>>, chunk: Cow<'a, str>) -> Result<(), FieldsError> {
    let blank = is_blank(&chunk);
    match element {
        _ if memmem::find(chunk.as_bytes(), b"]]>").is_some() => Err(broken(&"a bare ]]>")),
        Some(element) => {
            if !(blank && element.has_cdata) {
                append(&mut element.text, chunk);
            }
            Ok(())
        }
        None if blank => Ok(()),
        None => Err(broken(&"text outside the root element")),
    }
}

fn close<'a>(
    element: Open<'a>,
    open: &mut [Open<'a>],
    root: &mut Option<Fields<'a>>,
) -> Result<(), FieldsError> {
    if !element.children.is_empty() && !is_blank(&element.text) {
        return Err(broken(&"text between elements"));
    }
    match open.last_mut() {
        Some(parent) if element.children.is_empty() => {
            parent
                .children
                .push(element.name, Value::Text(element.text));
        }
        Some(parent) => parent.children.push(element.name, element.children),
        None if root.is_some() => return Err(broken(&"a second root element")),
        None if element.children.is_empty() && !is_blank(&element.text) => {
            return Err(broken(&"the root element holds a text"));
        }
        None => *root = Some(element.children),
    }
    Ok(())
}

/// The element's name as a slice of the document, whose tag starts at `at`: the event lends it only for its own life.
fn name_of<'a>(text: &'a str, at: u64, start: &BytesStart<'_>) -> Cow<'a, str> {
    let name = start.name();
    let name: &str = name.as_ref();
    let first = usize::try_from(at).ok().and_then(|at| at.checked_add(1));
    match first.and_then(|first| text.get(first..first.checked_add(name.len())?)) {
        Some(same) if same == name => Cow::Borrowed(same),
        _ => Cow::Owned(name.to_owned()),
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, FieldsError> {
    match reference
        .resolve_char_ref()
        .map_err(|error| broken(&error))?
    {
        Some(character) => Ok(Cow::Owned(character.to_string())),
        None => resolve_predefined_entity(reference)
            .map(Cow::Borrowed)
            .ok_or_else(|| broken(&"an unknown entity")),
    }
}

fn append<'a>(text: &mut Cow<'a, str>, chunk: Cow<'a, str>) {
    if text.is_empty() {
        *text = chunk;
    } else {
        text.to_mut().push_str(&chunk);
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

fn broken(error: &dyn std::fmt::Display) -> FieldsError {
    FieldsError::Xml(complaint(error))
}
