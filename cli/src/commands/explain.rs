//! `airlock explain`

use manifest_schema::{Code, ReasonCode};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Table, wrap};

/// Which code.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A reason code such as approval.expired; all of them when left out.
    code: Option<ReasonCode>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let out = &context.out;
        let told = |code: Code| json!({ "code": code.as_str(), "meaning": code.meaning(), "advice": code.advice() });
        let code = self.code.map(|code| code.known().ok_or(code)).transpose().map_err(|code| unknown(&code))?;
        match code {
            Some(code) if out.is_json() => out.json(&told(code))?,
            None if out.is_json() => out.json(&Code::ALL.iter().map(|code| told(*code)).collect::<Vec<_>>())?,
            Some(code) => {
                let line = |text: &str| wrap(text, out.width(), 2, 2);
                let name = out.paint_out().bold(code.as_str());
                out.data(format!("{name}\n{}\n{}\n", line(code.meaning()), line(code.advice())))?;
            }
            None => {
                let mut table = Table::new(["code", "meaning"]);
                Code::ALL.iter().for_each(|code| table.row([code.to_string(), code.meaning().to_owned()]));
                out.data(table.render(out.width()))?;
            }
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
