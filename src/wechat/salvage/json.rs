//! Looks for the members of the outermost object, without asking whether the document is well-formed.

use super::Scan;

/// The scalar members of the outermost object as far as they can be read, in order.
pub(super) struct Members(Vec<(String, String)>);

impl Members {
    pub(super) fn scan(text: &str) -> Self {
        let mut members = Vec::new();
        let mut depth = 0_usize;
        let mut key: Option<String> = None;
        let mut last: Option<String> = None;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let mut taken = first.len_utf8();
            match first {
                '"' => {
                    let (string, length) = string(rest);
                    taken = length;
                    if depth == 1 {
                        match key.take() {
                            Some(key) => members.push((key, string)),
                            None => last = Some(string),
                        }
                    }
                }
                '{' | '[' => {
                    depth += 1;
                    (key, last) = (None, None);
                }
                '}' | ']' => depth = depth.saturating_sub(1),
                ':' if depth == 1 => key = last.take(),
                ',' => (key, last) = (None, None),
                _ if is_scalar(first) => {
                    taken = rest.find(|c| !is_scalar(c)).unwrap_or(rest.len());
                    if let Some(key) = key.take_if(|_| depth == 1) {
                        members.push((key, rest.get(..taken).unwrap_or_default().to_owned()));
                    }
                }
                _ => {}
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Self(members)
    }

    fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &String> {
        self.0
            .iter()
            .filter(move |(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Scan for Members {
    fn head(&self, name: &str) -> Option<String> {
        self.all(name).next().cloned()
    }

    fn tail(&self, name: &str) -> Option<String> {
        self.all(name).next_back().cloned()
    }
}

fn is_scalar(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')
}

/// The string at the start of `text`, and how many bytes it takes with its quotes. An unended one takes the rest.
fn string(text: &str) -> (String, usize) {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let closing = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closing
    });
    let Some((end, _)) = end else {
        return (String::new(), text.len());
    };
    let quoted = text.get(..=end).unwrap_or_default();
    let value =
        serde_json::from_str(quoted).unwrap_or_else(|_| quoted.trim_matches('"').to_owned());
    (value, end + 1)
}
