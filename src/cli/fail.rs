//! How a command says that it did not do what it was asked: error, because, hint, on standard error. Exit code 1.

use std::io::Write as _;

use super::print::plain;
use crate::client;

/// A command that was not done.
#[derive(Debug)]
pub(super) struct Failure {
    error: String,
    because: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(error: impl ToString) -> Self {
        Self { error: error.to_string(), because: Vec::new(), hint: None }
    }

    pub(super) fn because(mut self, cause: impl ToString) -> Self {
        self.because.push(cause.to_string());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Writes it. What a server said may be in it, so it is escaped.
    pub(super) fn tell(&self) {
        let mut out = std::io::stderr();
        // Nobody may be reading: then there is nobody to tell.
        let _ = writeln!(out, "error: {}", plain(&self.error));
        for cause in &self.because {
            let _ = writeln!(out, "  because: {}", plain(cause));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "  hint: {}", plain(hint));
        }
    }

    /// In one line, for a table.
    pub(super) fn line(&self) -> String {
        let causes = self.because.iter().map(|cause| format!(": {cause}"));
        plain(&(self.error.clone() + &causes.collect::<String>()))
    }

    /// The hint, for a table.
    pub(super) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// An error and those it comes from, without the words that a cause repeats.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut found = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        found.push(error.to_string());
        cause = error.source();
    }
    found
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let because = match &error {
            client::Error::Bootstrap(errors) => {
                let line = |error: &client::Error| {
                    causes(error)
                        .into_iter()
                        .fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
                };
                errors.iter().map(line).collect()
            }
            error => causes(error),
        };
        Self { error: error.to_string(), because, hint: error.hint() }
    }
}
