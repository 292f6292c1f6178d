//! `airlock manifest schema`

use clap::builder::PossibleValuesParser;
use manifest_schema::schema;
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Which document.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The document; all names when left out.
    #[arg(value_parser = PossibleValuesParser::new(schema::names()), hide_possible_values = true)]
    name: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.name.as_deref().and_then(schema::schema) {
            Some(schema) => context.out.json(&schema)?,
            None if context.out.is_json() => context.out.json(&json!(schema::names()))?,
            None => context.out.data(format!("{}\n", schema::names().join("\n")))?,
        }
        Ok(Exit::Done)
    }
}
