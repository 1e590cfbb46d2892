//! What an experiment found: numbers that tell what was done, and those that must be 0.

use std::fmt::Display;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What was done and counted.
    counted: Vec<(String, String)>,
    /// What must be 0.
    zero: Vec<(String, u64)>,
    /// What was to be done and could not be, and why.
    pub(crate) skipped: Option<String>,
    /// What helps to find out why something is not 0.
    pub(crate) details: Vec<String>,
}

impl Findings {
    pub(crate) fn skipped(why: impl Display) -> Self {
        Self {
            skipped: Some(why.to_string()),
            ..Self::default()
        }
    }

    pub(crate) fn count(&mut self, name: impl Into<String>, value: impl Display) {
        self.counted.push((name.into(), value.to_string()));
    }

    /// Seconds, to a tenth.
    pub(crate) fn seconds(&mut self, name: impl Into<String>, time: Duration) {
        self.count(name, format_args!("{:.1} s", time.as_secs_f64()));
    }

    pub(crate) fn zero(&mut self, name: impl Into<String>, value: u64) {
        self.zero.push((name.into(), value));
    }

    pub(crate) fn detail(&mut self, text: impl Into<String>) {
        self.details.push(text.into());
    }

    pub(crate) fn holds(&self) -> bool {
        self.zero.iter().all(|(_, value)| *value == 0)
    }

    fn counted_text(&self) -> String {
        let texts: Vec<String> = self
            .counted
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        texts.join(", ")
    }

    fn zero_text(&self) -> String {
        let texts: Vec<String> = self
            .zero
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        texts.join(", ")
    }
}

/// One experiment with its end.
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) end: Result<Findings, String>,
}

impl Ended {
    pub(crate) fn holds(&self) -> bool {
        self.end.as_ref().is_ok_and(Findings::holds)
    }

    fn verdict(&self) -> &'static str {
        match &self.end {
            Ok(findings) if findings.skipped.is_some() => "SKIPPED",
            Ok(findings) if findings.holds() => "holds",
            Ok(_) => "DOES NOT HOLD",
            Err(_) => "FAILED",
        }
    }

    /// One line for the terminal, with what helps where it does not hold.
    pub(crate) fn line(&self) -> String {
        let (verdict, seconds) = (self.verdict(), self.took.as_secs());
        match &self.end {
            Ok(Findings {
                skipped: Some(why), ..
            }) => format!("{}: {verdict}: {why}", self.name),
            Ok(findings) => {
                let (counted, zero) = (findings.counted_text(), findings.zero_text());
                let mut line = format!(
                    "{}: {verdict} ({seconds} s): {counted}; must be 0: {zero}",
                    self.name
                );
                if !findings.holds() {
                    for detail in &findings.details {
                        line.push_str("\n    ");
                        line.push_str(&detail.replace('\n', "\n    "));
                    }
                }
                line
            }
            Err(why) => format!("{}: {verdict} ({seconds} s): {why}", self.name),
        }
    }

    fn row(&self) -> String {
        let (counted, zero) = match &self.end {
            Ok(Findings {
                skipped: Some(why), ..
            }) => (why.clone(), String::new()),
            Ok(findings) => (findings.counted_text(), findings.zero_text()),
            Err(why) => (why.replace(['\n', '|'], " "), String::new()),
        };
        format!(
            "| {} | {counted} | {zero} | {} |",
            self.name,
            self.verdict()
        )
    }
}

/// A table for a document.
pub(crate) fn table(ended: &[Ended]) -> String {
    let mut table =
        String::from("| experiment | counted | must be 0 | |\n| --- | --- | --- | --- |");
    for one in ended {
        table.push('\n');
        table.push_str(&one.row());
    }
    table
}
