//! `airlock explain`

use manifest_schema::{Code, ReasonCode};
use policy::configuration::Rule;
use policy::plan::FINDING_RULES;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Table, wrap};

/// Which code.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A reason code such as approval.expired; all of them when left out.
    code: Option<ReasonCode>,
}

/// What a code means, whoever says it.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    meaning: &'static str,
    advice: &'static str,
}

/// Why jobs end, then why configuration is refused, then what is found in plans.
fn all() -> Vec<Explained> {
    let reasons = Code::ALL.iter().map(|code| (code.as_str(), code.meaning(), code.advice()));
    let rules = Rule::ALL.iter().map(|rule| (rule.code(), rule.meaning(), rule.advice()));
    let findings = FINDING_RULES.iter().map(|rule| (rule.name, rule.meaning, rule.advice));
    let all = reasons.chain(rules).chain(findings);
    all.map(|(code, meaning, advice)| Explained { code, meaning, advice }).collect()
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let out = &context.out;
        let mut all = all();
        let Some(asked) = self.code else {
            if out.is_json() {
                out.json(&all)?;
            } else {
                let mut table = Table::new(["code", "meaning"]);
                all.iter().for_each(|told| table.row([told.code.to_owned(), told.meaning.to_owned()]));
                out.data(table.render(out.width()))?;
            }
            return Ok(Exit::Done);
        };
        all.retain(|told| told.code == asked.to_string());
        let told = all.first().ok_or_else(|| unknown(&asked))?;
        if out.is_json() {
            out.json(told)?;
        } else {
            let line = |text: &str| wrap(text, out.width(), 2, 2);
            let name = out.paint_out().bold(told.code);
            out.data(format!("{name}\n{}\n{}\n", line(told.meaning), line(told.advice)))?;
        }
        Ok(Exit::Done)
    }
}

fn unknown(code: &ReasonCode) -> Failure {
    let version = env!("CARGO_PKG_VERSION");
    let problem = anyhow::anyhow!("this version of airlock ({version}) doesn't know the reason code {code}");
    let hint = "a newer version may: ask that of production; `airlock explain` alone lists the codes of this one";
    Failure::new(Exit::Failed, problem).hint(hint)
}
