//! The double for scripts: on a free port or the one that is named, fills it from a JSON file, prints one line of JSON (address, users' keys, task definitions) and
//! runs until it is killed; every program that it started ends with it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a script")]

use std::process::ExitCode;

use aws_double::{Description, Double};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: aws-double DESCRIPTION.json [PORT]");
        return ExitCode::from(2);
    };
    let Ok(port) = std::env::args().nth(2).as_deref().unwrap_or("0").parse() else {
        eprintln!("usage: aws-double DESCRIPTION.json [PORT]");
        return ExitCode::from(2);
    };
    let read = std::fs::read(&path).map_err(|error| error.to_string());
    let description = read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let description: Description = match description {
        Ok(description) => description,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let double = Double::start_on(port);
    println!("{}", description.fill(&double));
    loop {
        std::thread::park();
    }
}
