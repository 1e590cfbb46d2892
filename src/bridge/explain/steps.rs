//! Sentences that say what to do next.

use url::Url;

/// Sentences, each said once.
#[derive(Default)]
pub(super) struct Steps(Vec<String>);

impl Steps {
    pub(super) fn add(&mut self, step: String) {
        if !self.0.contains(&step) {
            self.0.push(step);
        }
    }

    pub(super) fn into_sentences(self) -> Vec<String> {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A staff member's address in the API.
pub(super) fn path(staff_id: &str) -> String {
    let Ok(mut url) = Url::parse("http://localhost/staff") else {
        return String::new();
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(staff_id);
    }
    url.path().to_owned()
}
