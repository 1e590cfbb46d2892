//! The parts of a Markdown document that matter here: headings and blocks of code.

/// A part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Without its signs.
    Heading(String),
    /// With its language.
    Code { language: String, text: String },
}

/// Headings and code, in their order.
pub(super) fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            blocks.push(Block::Code {
                language: language.to_owned(),
                text: code.join("\n"),
            });
        } else if line.starts_with('#') {
            let text = line.trim_start_matches('#').trim();
            blocks.push(Block::Heading(text.to_owned()));
        }
    }
    blocks
}

/// A script, with the JSON that follows it in the same section.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) heading: String,
    pub(super) script: String,
    pub(super) answer: Option<String>,
}

/// The scripts of a document. JSON belongs to the script right before it.
pub(super) fn examples(document: &str) -> Vec<Example> {
    let mut heading = String::new();
    let mut found: Vec<Example> = Vec::new();
    let mut is_open = false;
    for block in blocks(document) {
        match block {
            Block::Heading(text) => (heading, is_open) = (text, false),
            Block::Code { language, text } if language == "sh" => {
                found.push(Example {
                    heading: heading.clone(),
                    script: text,
                    answer: None,
                });
                is_open = true;
            }
            Block::Code { language, text } if language == "json" && is_open => {
                if let Some(last) = found.last_mut() {
                    last.answer = Some(text);
                }
                is_open = false;
            }
            Block::Code { .. } => is_open = false,
        }
    }
    found
}
