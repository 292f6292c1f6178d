//! `airlock image inspect`

mod report;
mod source;

use manifest_schema::Document as _;
use manifest_schema::image_report::{ImageLayer, ImageReport, ImageSettings, PlatformImage};
use manifest_schema::names::ArtifactName;

use self::source::ImageSource;
use crate::build::named::{BuildName, NamedBuild};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Table, count, plain, size, wrap};

/// Which image.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An image layout or archive, or a build that has an image: a manifest file, sha256:…, project#number,
    /// epoch.number, or deployed:environment.
    #[arg(value_name = "IMAGE")]
    image: BuildName,
    /// Which of the build's images.
    #[arg(long, value_name = "NAME")]
    artifact: Option<ArtifactName>,
    /// Say what this build has of it already.
    #[arg(long, value_name = "BUILD")]
    with: Option<BuildName>,
    #[command(flatten)]
    place: EnvironmentArgs,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let source = ImageSource::find(context, &self.place, &self.image, self.artifact.as_ref())?;
        let with = self.with.map(|with| NamedBuild::find(context, &self.place, &with)).transpose()?;
        let report = report::of(context, &source, with.as_ref())?;
        if context.out.is_json() {
            context.out.data(report.to_bytes())?;
        } else {
            context.out.data(text(&context.out, &report))?;
        }
        Ok(Exit::Done)
    }
}

fn text(out: &Output, report: &ImageReport) -> String {
    let mut text = Text { out, text: String::new() };
    text.line("image", &report.digest.to_string());
    text.line("size", &format!("{} in {}", size(report.size), count_of(report.blobs, "blob")));
    if let Some(shared) = &report.shared {
        let with = format!("{} {}", shared.with.project, shared.with.build);
        let kept = format!("{} ({})", count_of(shared.blobs, "blob"), size(shared.size));
        text.line(&format!("shared with {with}"), &format!("{kept}; {} would cross the gap", size(shared.new)));
    }
    report.images.iter().for_each(|image| text.image(image));
    text.text
}

fn count_of(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// The lines of a report.
struct Text<'a> {
    out: &'a Output,
    text: String,
}

impl Text<'_> {
    fn line(&mut self, label: &str, value: &str) {
        let wrapped = wrap(&plain(&format!("{label}: {value}")), self.out.width(), 0, 2);
        self.text.push_str(&wrapped.replacen(label, &self.out.paint_out().bold(label), 1));
        self.text.push('\n');
    }

    fn image(&mut self, image: &PlatformImage) {
        self.text.push('\n');
        self.line("platform", image.platform.as_deref().unwrap_or("not said"));
        self.line("digest", &image.digest.to_string());
        self.line("size", &size(image.size));
        match &image.config {
            Some(config) => self.settings(config),
            None => self.line("configuration", "none: it is nothing to run"),
        }
        if !image.layers.is_empty() {
            let compared = image.layers.iter().any(|layer| layer.shared.is_some());
            let mut table = if compared {
                Table::new(["layer", "size", "type", "digest", "made by", "is"])
            } else {
                Table::new(["layer", "size", "type", "digest", "made by"])
            };
            for (number, layer) in (1..).zip(&image.layers) {
                table.row(row(number, layer));
            }
            self.text.push('\n');
            self.text.push_str(&table.render(self.out.width()));
        }
    }

    fn settings(&mut self, config: &ImageSettings) {
        self.line("configuration", &config.digest.to_string());
        self.line("created", config.created.as_deref().unwrap_or("not said"));
        self.line("user", config.user.as_deref().filter(|user| !user.is_empty()).unwrap_or("root (none is named)"));
        let lists = [("entrypoint", &config.entrypoint), ("command", &config.cmd)];
        for (label, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
            self.line(label, &format!("{words:?}"));
        }
        if let Some(directory) = config.working_dir.as_deref().filter(|directory| !directory.is_empty()) {
            self.line("working directory", directory);
        }
        if !config.ports.is_empty() {
            self.line("ports", &config.ports.join(", "));
        }
        let pair = |name: &str, value: &Option<String>| format!("{name}={}", value.as_deref().unwrap_or("(hidden)"));
        config.env.iter().for_each(|variable| self.line("env", &pair(&variable.name, &variable.value)));
        config.labels.iter().for_each(|(name, value)| self.line("label", &pair(name, value)));
    }
}

/// Longer commands are cut in a table; `--format json` has all of them.
const MOST_COMMAND: usize = 60;

fn row(number: usize, layer: &ImageLayer) -> [String; 6] {
    let media_type = layer.media_type.rsplit('.').next().unwrap_or_default();
    let shared = match layer.shared {
        Some(true) => "shared",
        Some(false) => "new",
        None => "",
    };
    let command = layer.created_by.as_deref().unwrap_or_default();
    let mut shown: String = command.chars().take(MOST_COMMAND).collect();
    if shown.len() < command.len() {
        shown.push('…');
    }
    [number.to_string(), size(layer.size), media_type.to_owned(), layer.digest.short(), shown, shared.to_owned()]
}
