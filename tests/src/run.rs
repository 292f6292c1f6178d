//! What a program that was run left.

use std::process::Output;

use serde_json::Value;

/// How a run ended, and all that it said.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was run, for messages.
    pub command: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What programs read.
    pub stdout: String,
    /// What people read.
    pub stderr: String,
}

impl Run {
    pub(crate) fn new(command: String, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        let code = output.status.code().unwrap_or(-1);
        Self { command, code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Everything, for the message of a failed test.
    pub fn all(&self) -> String {
        let Self { command, code, stdout, stderr } = self;
        format!("$ {command}\nexit code {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }

    /// Expects an exit code.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    /// Expects that people are told something.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said:\n{}", self.all());
        self
    }

    /// Expects one error with these texts in what is said about it, and a next step.
    ///
    /// # Panics
    /// When there is none, more than one, or no advice.
    #[track_caller]
    pub fn explains(self, texts: &[&str]) -> Self {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one clear message:\n{}", self.all());
        let hints: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("  hint: ")).collect();
        // What a store says holds its advice after a colon.
        let advice = hints.len() == 1
            || ["again", "build it", "check the", "give its", "let `airlock", "name a ", "name the "]
                .iter()
                .any(|a| self.stderr.contains(a));
        assert!(advice, "no next step:\n{}", self.all());
        assert!(!self.stderr.contains("panicked"), "{}", self.all());
        texts.iter().fold(self, |run, text| run.says(text))
    }

    /// Expects that it was refused for exactly these reasons, with advice for people. Of a run with `--format json`.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn because(self, codes: &[&str]) -> Self {
        let answer = self.json();
        let reasons = answer["error"]["reasons"].as_array().unwrap_or_else(|| panic!("no error:\n{}", self.all()));
        let mut found: Vec<_> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, codes, "{}", self.all());
        assert_eq!(answer["error"]["exit"], self.code, "{}", self.all());
        let texts: Vec<String> = codes.iter().map(|code| format!("  reason: {code}: ")).collect();
        self.explains(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The answer for programs.
    ///
    /// # Panics
    /// When it is no JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{}", self.all()))
    }

    /// The answer's one line.
    ///
    /// # Panics
    /// When there are more or fewer.
    #[track_caller]
    pub fn line(&self) -> String {
        let lines: Vec<_> = self.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "{}", self.all());
        lines[0].to_owned()
    }
}
