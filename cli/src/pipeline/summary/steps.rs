//! What would happen beside Terraform, line by line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use manifest_schema::names::ServiceName;
use manifest_schema::plan::{
    FilesChange, FunctionChange, ImageChange, ScheduleChange, ServiceChange, TaskRun, ValueChange,
};

use super::short;
use crate::output::{Paint, plain};

pub(super) fn service_lines(text: &mut String, change: &ServiceChange, paint: Paint) {
    let cluster = change.cluster.iter().map(|cluster| format!(" in {cluster}")).collect::<String>();
    let service = format!("service {}{cluster}", change.service);
    image_lines(text, (&service, change.task_definition.is_some()), &change.containers, paint);
    setting_lines(text, &change.settings);
}

pub(super) fn schedule_lines(text: &mut String, change: &ScheduleChange, paint: Paint) {
    let cluster = change.cluster.iter().map(|cluster| format!(" in {cluster}")).collect::<String>();
    let schedule = format!("{}{cluster}", change.trigger);
    image_lines(text, (&schedule, change.task_definition.is_some()), &change.containers, paint);
    setting_lines(text, &change.settings);
}

/// The images of what is there, or isn't yet.
fn image_lines(
    text: &mut String,
    (what, is_there): (&str, bool),
    containers: &BTreeMap<ServiceName, ImageChange>,
    paint: Paint,
) {
    for (container, image) in containers {
        let (now, after) = (image_now(image), image.after.short());
        let line = if !is_there {
            paint.green(&format!("create   {what}: {container} runs {after}"))
        } else if image.changes() {
            paint.yellow(&format!("update   {what}: {container} {now} → {after}"))
        } else {
            format!("keep     {what}: {container} runs {after}")
        };
        let _ = writeln!(text, "  {line}");
    }
}

/// What would run once. What it runs with, it has from its service.
pub(super) fn task_lines(text: &mut String, run: &TaskRun, paint: Paint) {
    let TaskRun { task, service, cluster, container, command, .. } = run;
    let again = if run.repeats { ", as in the last complete deployment" } else { "" };
    let line = format!("run      task {task} like service {service} in {cluster}{again}");
    let _ = writeln!(text, "  {}", if run.repeats { line } else { paint.yellow(&line) });
    let words: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
    let _ = writeln!(text, "             {container} runs {}", plain(&words.join(" ")));
    for (container, image) in &run.containers {
        let _ =
            writeln!(text, "             {container}: {} (the service now: {})", image.after.short(), image_now(image));
    }
    setting_lines(text, &run.settings);
}

/// What would happen to the objects of one place: what goes is named, of the rest the beginning.
pub(super) fn files_lines(text: &mut String, change: &FilesChange, paint: Paint) {
    /// Most objects named that come or change.
    const MOST_NAMED: usize = 10;
    let FilesChange { added, changed, deleted, foreign, .. } = change;
    let missing = if change.missing { " (there is no such bucket yet)" } else { "" };
    if !change.changes() {
        let _ = writeln!(text, "  keep     files {}{missing}", change.place());
        return;
    }
    let counts = [(added, "added"), (changed, "changed"), (deleted, "deleted")];
    let counts = counts.into_iter().filter(|(keys, _)| keys.count > 0);
    let counts: Vec<String> = counts.map(|(keys, what)| format!("{} {what}", keys.count)).collect();
    let line = format!("update   files {}{missing}: {}", change.place(), counts.join(", "));
    let _ = writeln!(text, "  {}", paint.yellow(&line));
    for (keys, what, most) in
        [(deleted, "delete", usize::MAX), (changed, "change", MOST_NAMED), (added, "add", MOST_NAMED)]
    {
        for key in keys.first.iter().take(most) {
            let whose = if foreign.first.contains(key) { " (not put there by this project)" } else { "" };
            let line = format!("{what} {}{whose}", plain(key));
            let line = if what == "delete" { paint.red(&line) } else { line };
            let _ = writeln!(text, "             {line}");
        }
        let more = keys.count.saturating_sub(keys.first.len().min(most) as u64);
        if more > 0 {
            let _ = writeln!(text, "             {what} {more} more");
        }
    }
}

/// What callers of a function's alias would reach.
pub(super) fn function_lines(text: &mut String, change: &FunctionChange, paint: Paint) {
    let FunctionChange { function, alias, code, settings, alarms, watch_seconds, .. } = change;
    let (now, after) = (image_now(code), code.after.short());
    let version = change.version.as_deref().map(plain);
    let line = match version {
        None if code.before.is_some() || code.elsewhere.is_some() => paint.yellow(&format!(
            "update   function {function}: {now} → {after}, for the new alias {alias} and all without one"
        )),
        None => paint.green(&format!("create   function {function}: {alias} runs {after}")),
        Some(version) if change.changes() => {
            paint.yellow(&format!("update   function {function}: {alias} {now} (version {version}) → {after}"))
        }
        Some(version) => format!("keep     function {function}: {alias} runs {after} (version {version})"),
    };
    let _ = writeln!(text, "  {line}");
    if !settings.is_empty() {
        let _ = writeln!(text, "             as the function has them now: {}", plain(&settings.join(", ")));
    }
    if !alarms.is_empty() {
        let alarms: Vec<_> = alarms.iter().map(|alarm| plain(alarm.as_str())).collect();
        let _ = writeln!(
            text,
            "             goes back within {watch_seconds} s if there is an alarm: {}",
            alarms.join(", ")
        );
    }
}

/// The image that a container runs now.
fn image_now(image: &ImageChange) -> String {
    match (image.before, &image.elsewhere) {
        (Some(before), None) => before.short(),
        (Some(before), Some(place)) => format!("{} of {}", before.short(), short(place)),
        (None, Some(place)) => short(place),
        (None, None) => "an image without a digest".to_owned(),
    }
}

fn setting_lines(text: &mut String, settings: &BTreeMap<String, ValueChange>) {
    for (path, values) in settings {
        let side = |side: &Option<String>| side.as_deref().map(short);
        let told = match (side(&values.before), side(&values.after)) {
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (None, Some(after)) => format!("→ {after}"),
            (Some(before), None) => format!("{before} goes"),
            (None, None) => "goes".to_owned(),
        };
        let _ = writeln!(text, "             {}: {told}", plain(path));
    }
}

#[cfg(test)]
mod tests {
    use manifest_schema::Digest;
    use manifest_schema::manifest::Trigger;
    use manifest_schema::plan::{ImageChange, Keys, ValueChange};

    use super::*;

    #[test]
    fn a_service_is_told_with_everything_that_would_change() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let setting = |before: Option<&str>, after: Option<&str>| ValueChange {
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let told = |definition: Option<&str>, before, elsewhere: Option<&str>, settings: &[(&str, ValueChange)]| {
            let image = ImageChange { before, elsewhere: elsewhere.map(str::to_owned), after: new };
            let change = ServiceChange {
                service: "web".parse().unwrap(),
                cluster: Some("main".parse().unwrap()),
                task_definition: definition.map(str::to_owned),
                containers: [("app".parse().unwrap(), image)].into(),
                settings: settings.iter().map(|(path, values)| ((*path).to_owned(), values.clone())).collect(),
            };
            let mut text = String::new();
            service_lines(&mut text, &change, Paint::off());
            text
        };
        let (old_short, new_short) = (old.short(), new.short());
        let there = Some("web:1");
        assert_eq!(told(None, None, None, &[]), format!("  create   service web in main: app runs {new_short}\n"));
        assert_eq!(
            told(there, Some(new), None, &[]),
            format!("  keep     service web in main: app runs {new_short}\n")
        );
        for (before, elsewhere, now) in [
            (Some(old), None, old_short.as_str()),
            (None, None, "an image without a digest"),
            (None, Some("nginx\u{1b}[2J"), "nginx\\u{1b}[2J"),
            (Some(old), Some("registry.example/x"), &format!("{old_short} of registry.example/x")),
        ] {
            let expected = format!("  update   service web in main: app {now} → {new_short}\n");
            assert_eq!(told(there, before, elsewhere, &[]), expected);
        }
        let settings = [
            ("containers.app.environment.A", setting(None, Some("\"x\""))),
            ("containers.app.environment.B", setting(None, None)),
            ("containers.app.secrets.C", setting(Some("\"arn\""), None)),
            ("cpu", setting(Some("256"), Some("512"))),
        ];
        let lines = told(there, Some(new), None, &settings);
        let lines: Vec<_> = lines.lines().skip(1).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "containers.app.environment.A: → \"x\"",
                "containers.app.environment.B: goes",
                "containers.app.secrets.C: \"arn\" goes",
                "cpu: 256 → 512",
            ]
        );
    }

    #[test]
    fn of_files_everything_that_goes_is_named_and_the_beginning_of_the_rest() {
        let names: Vec<String> = (0..205).map(|number| format!("{number:03}")).collect();
        let of = |count: usize| Keys::of(names[..count].iter().map(String::as_str));
        let mut change = FilesChange {
            bucket: "site".parse().unwrap(),
            prefix: None,
            missing: false,
            added: Keys::of(["\u{1b}[2J.html"].into_iter()),
            changed: of(12),
            deleted: of(205),
            before: None,
            foreign: Keys::of(["001"].into_iter()),
        };
        let mut text = String::new();
        files_lines(&mut text, &change, Paint::off());
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert_eq!(
            lines[..3],
            [
                "update   files site: 1 added, 12 changed, 205 deleted",
                "delete 000",
                "delete 001 (not put there by this project)"
            ]
        );
        assert_eq!(lines[200..203], ["delete 199", "delete 5 more", "change 000"]);
        assert_eq!(lines[212..], ["change 2 more", &format!("add {}", plain("\u{1b}[2J.html"))]);
        assert!(!text.contains('\u{1b}'));
        let nothing = Keys::default;
        change = FilesChange {
            missing: true,
            added: nothing(),
            changed: nothing(),
            deleted: nothing(),
            foreign: nothing(),
            ..change
        };
        text.clear();
        files_lines(&mut text, &change, Paint::off());
        assert_eq!(text, "  keep     files site (there is no such bucket yet)\n");
    }

    #[test]
    fn a_schedule_is_told_like_a_service() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let (name, target) = ("nightly".parse().unwrap(), Some("report".parse().unwrap()));
        let mut change = ScheduleChange {
            trigger: Trigger::Rule { name, event_bus: None, target },
            cluster: Some("main".parse().unwrap()),
            task_definition: Some("nightly:1".to_owned()),
            containers: [("app".parse().unwrap(), ImageChange { before: Some(old), elsewhere: None, after: new })]
                .into(),
            settings: [("cpu".to_owned(), ValueChange { before: None, after: Some("512".to_owned()) })].into(),
        };
        let told = |change: &ScheduleChange| {
            let mut text = String::new();
            schedule_lines(&mut text, change, Paint::off());
            text
        };
        let (old, new) = (old.short(), new.short());
        assert_eq!(
            told(&change),
            format!("  update   rule nightly (target report) in main: app {old} → {new}\n             cpu: → 512\n")
        );
        (change.cluster, change.task_definition) = (None, None);
        change.settings.clear();
        assert_eq!(told(&change), format!("  create   rule nightly (target report): app runs {new}\n"));
    }

    #[test]
    fn a_task_is_told_with_its_whole_command() {
        let new = Digest::of(b"new");
        let image = ImageChange { before: None, elsewhere: Some("nginx".to_owned()), after: new };
        let mut run = TaskRun {
            task: "migrate".parse().unwrap(),
            service: "web".parse().unwrap(),
            cluster: "main".parse().unwrap(),
            task_definition: Some("web:1".to_owned()),
            container: "app".parse().unwrap(),
            command: ["drop table", "\u{1b}[2J\nx"].map(str::to_owned).into(),
            repeats: false,
            containers: [("app".parse().unwrap(), image)].into(),
            settings: Default::default(),
        };
        let mut text = String::new();
        task_lines(&mut text, &run, Paint::off());
        let expected = format!(
            "  run      task migrate like service web in main\n             app runs \"drop table\" \"\\u{{1b}}[2J\\nx\"\n             \
             app: {} (the service now: nginx)\n",
            new.short()
        );
        assert_eq!(text, expected);
        run.repeats = true;
        text.clear();
        task_lines(&mut text, &run, Paint::off());
        assert!(
            text.starts_with("  run      task migrate like service web in main, as in the last complete deployment\n")
        );
    }

    #[test]
    fn a_function_is_told_with_its_version_and_its_alarms() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let told = |version: Option<&str>, before: Option<Digest>, settings: &[&str], alarms: &[&str]| {
            let change = FunctionChange {
                function: "resize".parse().unwrap(),
                alias: "live".parse().unwrap(),
                version: version.map(str::to_owned),
                ours: true,
                code: ImageChange { before, elsewhere: None, after: new },
                settings: settings.iter().map(|name| (*name).to_owned()).collect(),
                alarms: alarms.iter().map(|name| name.parse().unwrap()).collect(),
                revision: None,
                watch_seconds: 60,
            };
            let mut text = String::new();
            function_lines(&mut text, &change, Paint::off());
            text
        };
        let (old_short, new_short) = (old.short(), new.short());
        assert_eq!(told(None, None, &[], &[]), format!("  create   function resize: live runs {new_short}\n"));
        assert_eq!(
            told(Some("7"), Some(new), &[], &["errors"]),
            format!(
                "  keep     function resize: live runs {new_short} (version 7)\n             \
                 goes back within 60 s if there is an alarm: errors\n"
            )
        );
        assert_eq!(
            told(Some("7\u{1b}"), Some(old), &["environment", "memorySize"], &[]),
            format!(
                "  update   function resize: live {old_short} (version 7\\u{{1b}}) → {new_short}\n             \
                 as the function has them now: environment, memorySize\n"
            )
        );
    }
}
