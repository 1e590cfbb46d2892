//! Writes [`Fields`] the way WeChat does: texts as CDATA and numbers bare in XML, a flat object in JSON.

use super::{Fields, Format, Value};

/// Appends a text to an XML document.
type WriteText = fn(&mut String, &str);

impl Fields<'_> {
    /// The fields in the given format.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Xml => self.to_xml(),
            Format::Json => self.to_json(),
        }
    }

    /// The fields as XML under the root `xml`. Characters that no element name may have become `_`.
    pub fn to_xml(&self) -> String {
        self.document(write_cdata)
    }

    /// The fields as WeChat writes a push: a text goes into its CDATA as it is, also with a `]]>` in it, which makes
    /// the document ill-formed. For those who play WeChat only.
    pub fn to_xml_as_wechat(&self) -> String {
        self.document(write_cdata_as_it_is)
    }

    fn document(&self, write_text: WriteText) -> String {
        let mut out = String::with_capacity(512);
        out.push_str("<xml>");
        self.write_xml(&mut out, write_text);
        out.push_str("</xml>");
        out
    }

    fn write_xml(&self, out: &mut String, write_text: WriteText) {
        for (name, value) in self.iter() {
            let name = element_name(name);
            out.push('<');
            out.push_str(&name);
            out.push('>');
            match value {
                Value::Text(text) => write_text(out, text),
                Value::Literal(literal) if is_literal(literal) => out.push_str(literal),
                Value::Literal(text) => write_text(out, text),
                Value::Fields(fields) => fields.write_xml(out, write_text),
            }
            out.push_str("</");
            out.push_str(&name);
            out.push('>');
        }
    }

    /// The fields as a JSON object; several fields of one name become an array at the first one's place.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(512);
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        let mut separator = '{';
        for (name, values) in self.grouped() {
            out.push(separator);
            separator = ',';
            write_json_string(out, name);
            out.push(':');
            match values.as_slice() {
                [value] => value.write_json(out),
                several => {
                    let mut separator = '[';
                    for value in several {
                        out.push(separator);
                        separator = ',';
                        value.write_json(out);
                    }
                    out.push(']');
                }
            }
        }
        if separator == '{' {
            out.push('{');
        }
        out.push('}');
    }
}

impl Value<'_> {
    fn write_json(&self, out: &mut String) {
        match self {
            Value::Text(text) => write_json_string(out, text),
            Value::Literal(literal) if is_literal(literal) => out.push_str(literal),
            Value::Literal(text) => write_json_string(out, text),
            Value::Fields(fields) => fields.write_json(out),
        }
    }
}

/// Appends `text` as CDATA. A `]]>` inside is split over two sections, since nothing can escape it.
fn write_cdata(out: &mut String, text: &str) {
    out.push_str("<![CDATA[");
    let mut parts = text.split("]]>");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("]]]]><![CDATA[>");
        out.push_str(part);
    }
    out.push_str("]]>");
}

fn write_cdata_as_it_is(out: &mut String, text: &str) {
    out.push_str("<![CDATA[");
    out.push_str(text);
    out.push_str("]]>");
}

/// Appends `text` as a JSON string, leaving Chinese as it is.
fn write_json_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Whether JSON would read `text` as a number or a boolean.
fn is_literal(text: &str) -> bool {
    let first = text.bytes().next();
    let scalar = first.is_some_and(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    scalar
        && text != "null"
        && text.trim_ascii().len() == text.len()
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

fn element_name(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut safe: String = name
        .trim()
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    if !safe.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        safe.insert(0, '_');
    }
    safe
}
