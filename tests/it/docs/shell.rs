//! As much of a shell as the documents use: words, quotes, comments, and a loop over words.

/// A call of the shell function `api`, or of `me` by somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// Whether it comes with the cookie of a session, not with a key.
    pub(super) is_signed_in: bool,
}

impl Command {
    fn new(words: &[String]) -> Self {
        let mut command = Self {
            method: String::new(),
            path: words[1].clone(),
            headers: Vec::new(),
            body: None,
            is_signed_in: words[0] == "me",
        };
        let mut options = words[2..].iter();
        while let Some(option) = options.next() {
            let value = options
                .next()
                .unwrap_or_else(|| panic!("{words:?}"))
                .clone();
            match option.as_str() {
                "-X" => command.method = value,
                "-d" => command.body = Some(value),
                "-H" => {
                    let (name, value) = value.split_once(": ").expect("a header");
                    command.headers.push((name.to_owned(), value.to_owned()));
                }
                other => panic!("{other} in {words:?}"),
            }
        }
        if command.method.is_empty() {
            let method = if command.body.is_some() {
                "POST"
            } else {
                "GET"
            };
            command.method = method.to_owned();
        }
        command
    }

    /// Whether it calls this endpoint, whose path may have `{names}` in it.
    pub(super) fn is_call_of(&self, method: &str, path: &str) -> bool {
        let own = self.path.split('?').next().unwrap_or_default().split('/');
        let segments: Vec<&str> = path.split('/').collect();
        let own: Vec<&str> = own.collect();
        self.method == method
            && own.len() == segments.len()
            && own
                .iter()
                .zip(&segments)
                .all(|(own, told)| told.starts_with('{') || own == told)
    }
}

/// The method and path of a heading such as `` `GET /people` · read ``.
pub(super) fn endpoint(heading: &str) -> Option<(String, String)> {
    let (method, path) = heading
        .strip_prefix('`')?
        .split_once('`')?
        .0
        .split_once(' ')?;
    Some((method.to_owned(), path.to_owned()))
}

/// The calls of `api` and `me` in a script. Whatever else is in it is not for the API.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    for words in statements(script) {
        match words.first().map(String::as_str) {
            Some("api" | "me") => commands.push(Command::new(&words)),
            // for NAME in WORDS… ; do COMMAND ; done arrives as three statements.
            _ => commands.extend(looped(&words)),
        }
    }
    commands
}

/// A loop on one line: `for NAME in WORDS ; do COMMAND ; done`.
fn looped(words: &[String]) -> Vec<Command> {
    let at = |word: &str| words.iter().position(|found| found == word);
    let (Some("for"), Some(opening), Some(end)) =
        (words.first().map(String::as_str), at("do"), at("done"))
    else {
        return Vec::new();
    };
    let name = format!("${}", words[1]);
    let values = words[3..opening].iter().filter(|word| *word != ";");
    let body: Vec<&String> = words[opening + 1..end]
        .iter()
        .filter(|word| *word != ";")
        .collect();
    values
        .map(|value| {
            let filled: Vec<String> = body.iter().map(|word| word.replace(&name, value)).collect();
            Command::new(&filled)
        })
        .collect()
}

/// The words of each line; a quoted word may go on over several.
fn statements(script: &str) -> Vec<Vec<String>> {
    let (mut statements, mut words) = (Vec::new(), Vec::new());
    let mut word: Option<String> = None;
    let mut letters = script.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let quoted: String = letters
                    .by_ref()
                    .take_while(|other| *other != letter)
                    .collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '#' if word.is_none() => {
                letters.by_ref().find(|other| *other == '\n');
                statements.push(std::mem::take(&mut words));
            }
            '\n' | ';' | ' ' => {
                words.extend(word.take());
                match letter {
                    '\n' => statements.push(std::mem::take(&mut words)),
                    ';' => words.push(";".to_owned()),
                    _ => {}
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    statements.push(words);
    statements
}

#[test]
fn words_quotes_comments_and_loops_are_read() {
    let script =
        "api /a -d '{\n \"b\": 1}' # why\nfor id in e1 e2; do api /s/$id -X PUT -d '{}'; done\nls";
    let found = commands(script);
    let told: Vec<(&str, &str, Option<&str>)> = found
        .iter()
        .map(|c| (c.method.as_str(), c.path.as_str(), c.body.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("POST", "/a", Some("{\n \"b\": 1}")),
            ("PUT", "/s/e1", Some("{}")),
            ("PUT", "/s/e2", Some("{}")),
        ]
    );
    assert!(found[1].is_call_of("PUT", "/s/{id}"));
    assert!(!found[1].is_call_of("PUT", "/s"));
}
