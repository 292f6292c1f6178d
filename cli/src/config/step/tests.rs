//! Steps as people write them.

use super::super::Config;
use super::*;

#[test]
fn a_variable_is_a_text_or_names_where_its_value_comes_from() {
    let text = "project = \"a\"\n[[deploy]]\nterraform = \"t\"\n[deploy.variables]\nplain = \"p\"\n\
                site.digest-of = \"s\"\npassword = { parameter = \"db/password\" }\nkey = { secret = \"key\" }\n";
    let config = Config::parse(text).unwrap();
    let [StepConfig::Terraform { variables, .. }] = config.deploy.as_slice() else { panic!("{config:?}") };
    let expected = [
        ("key", VariableConfig::Named(NamedValue::Secret("key".parse().unwrap()))),
        ("password", VariableConfig::Named(NamedValue::Parameter("db/password".parse().unwrap()))),
        ("plain", VariableConfig::Text("p".to_owned())),
        ("site", VariableConfig::Named(NamedValue::DigestOf("s".parse().unwrap()))),
    ];
    assert_eq!(*variables, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn a_service_step_says_what_else_it_changes() {
    let text = "project = \"a\"\n[[deploy]]\nservice = \"s\"\ncontainers = { app = \"web\" }\ncluster = \"main\"\n\
                cpu = 512\nmemory = 1024\ndesired-count = 0\n[deploy.environment.app]\nLOG_LEVEL = \"debug\"\n\
                [deploy.secrets.log-router]\nTOKEN = { secret = \"token\" }\nDB = { parameter = \"db/url\" }\n";
    let config = Config::parse(text).unwrap();
    let [StepConfig::Service(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
    let settings = step.settings();
    let settings: Vec<_> = settings.iter().map(|(path, value)| format!("{path} = {value}")).collect();
    assert_eq!(
        settings,
        [
            "cluster = main",
            "containers.app.environment.LOG_LEVEL = \"debug\"",
            "containers.log-router.secrets.DB = parameter db/url",
            "containers.log-router.secrets.TOKEN = secret token",
            "cpu = 512",
            "desiredCount = 0",
            "memory = 1024",
        ]
    );
}

#[test]
fn files_say_where_they_go_and_how_they_are_served() {
    let text = "project = \"a\"\n[[deploy]]\nfiles = \"site\"\nbucket = \"a-site\"\nprefix = \"docs/v1\"\ndelete = true\n\
                [[deploy.headers]]\npath = \"*\"\ncache-control = \"no-cache\"\n\
                [[deploy.headers]]\npath = \"*.bin\"\ncontent-type = \"a/b\"\n";
    let config = Config::parse(text).unwrap();
    let [StepConfig::Files(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
    let settings: Vec<_> = step.settings().into_iter().map(|(path, value)| format!("{path} = {value}")).collect();
    assert_eq!(step.to_string(), "files a-site/docs/v1");
    assert_eq!(
        settings,
        [
            "artifact = site",
            "delete = true",
            "headers.1.*.cacheControl = no-cache",
            "headers.2.*.bin.contentType = a/b",
        ]
    );
    for (wrong, line, problem) in [
        ("\"*\"\ncache-control = \"a\\nb\"", 7, "is not a header's value: use"),
        ("\"*\"\nexpires = \"x\"", 7, "unknown field `expires`"),
        ("\"/a\"", 6, "is not a pattern of paths: use"),
    ] {
        let text = format!(
            "project = \"a\"\n[[deploy]]\nfiles = \"s\"\nbucket = \"abc\"\n[[deploy.headers]]\npath = {wrong}\n"
        );
        let (told, message) = Config::parse(&text).unwrap_err();
        assert!(told == Some(line) && message.contains(problem), "{text}: {told:?} {message}");
    }
}

#[test]
fn a_task_says_what_it_runs_and_like_which_service() {
    let text = "project = \"a\"\n[[deploy]]\ntask = \"migrate\"\nservice = \"web\"\ncontainers = { app = \"web\" }\n\
                command = [\"migrate\", \"--all\"]\ncluster = \"main\"\ncontainer = \"app\"\ntimeout-seconds = 60\n\
                environment = { app = { STEPS = \"all\" } }\nsecrets = { app = { OWNER = { secret = \"db/owner\" } } }\n";
    let config = Config::parse(text).unwrap();
    let [StepConfig::Task(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
    let settings: Vec<_> = step.settings().into_iter().map(|(path, value)| format!("{path} = {value}")).collect();
    assert_eq!(
        settings,
        [
            "cluster = main",
            "command = [\"migrate\", \"--all\"]",
            "container = app",
            "containers.app.environment.STEPS = \"all\"",
            "containers.app.secrets.OWNER = secret db/owner",
            "service = web",
            "timeoutSeconds = 60",
        ]
    );
}

#[test]
fn a_schedule_or_a_rule_says_what_it_starts() {
    let containers = "containers = { app = \"web\" }";
    let parse = |lines: &str| Config::parse(&format!("project = \"a\"\n[[deploy]]\n{lines}\n{containers}\n"));
    for (lines, told, settings) in [
        ("schedule = \"nightly\"", "schedule nightly", &[][..]),
        (
            "schedule = \"nightly\"\nschedule-group = \"jobs\"\ncpu = 512\nenvironment = { app = { DAYS = \"7\" } }",
            "schedule jobs/nightly",
            &["containers.app.environment.DAYS = \"7\"", "cpu = 512"],
        ),
        ("rule = \"nightly\"", "rule nightly", &[]),
        ("rule = \"nightly\"\nevent-bus = \"orders\"\ntarget = \"report\"", "rule orders/nightly (target report)", &[]),
    ] {
        let config = parse(lines).unwrap();
        let [StepConfig::Schedule(step)] = config.deploy.as_slice() else { panic!("{config:?}") };
        let said = step.revision().settings().into_iter();
        let said: Vec<_> = said.map(|(path, value)| format!("{path} = {value}")).collect();
        assert_eq!(step.trigger.to_string(), told);
        assert_eq!(said, settings);
    }
    for (lines, problem) in [
        ("schedule = \"nightly\"\nrule = \"nightly\"", "a schedule step has no rule"),
        ("schedule = \"nightly\"\ntarget = \"report\"", "a schedule step has no target"),
        ("schedule = \"nightly\"\ncluster = \"main\"", "a schedule step has no cluster"),
        ("rule = \"nightly\"\nschedule-group = \"jobs\"", "a rule step has no schedule-group"),
        ("rule = \"..\"", "is not a name of a schedule or rule"),
        ("rule = \"nightly\"\nevent-bus = \"arn:aws:x\"", "not its ARN"),
    ] {
        let (_, message) = parse(lines).unwrap_err();
        assert!(message.contains(problem), "{lines}: {message}");
    }
}

#[test]
fn a_function_says_its_code_its_alias_and_what_is_watched() {
    let step = |words: &str| {
        let text = format!("project = \"a\"\n[[deploy]]\nfunction = \"resize\"\n{words}\n");
        Config::parse(&text).map(|mut config| config.deploy.remove(0))
    };
    let whole = "image = \"web\"\nalias = \"live\"\nalarms = [\"errors\", \"slow\"]\nwatch-seconds = 90";
    let Ok(StepConfig::Function(function)) = step(whole) else { panic!("it is a function's") };
    let settings = function.settings().into_iter().map(|(path, value)| format!("{path} = {value}"));
    let expected = ["alarms = [\"errors\", \"slow\"]", "alias = live", "image = web", "watchSeconds = 90"];
    assert_eq!(settings.collect::<Vec<_>>(), expected);
    assert_eq!(function.watch_seconds(), 90);
    let Ok(StepConfig::Function(least)) = step("zip = \"bundle\"\nalias = \"live\"") else { panic!("it is one, too") };
    assert_eq!((least.watch_seconds(), least.code.image()), (0, None));
    for (words, problem) in [
        ("zip = \"bundle\"", "a function step needs alias: alias is missing"),
        ("alias = \"live\"", "a function step needs image or zip, and not both"),
        ("zip = \"a\"\nimage = \"b\"\nalias = \"live\"", "a function step needs image or zip, and not both"),
        ("zip = \"a\"\nalias = \"live\"\ncpu = 256", "a function step has no cpu"),
    ] {
        let refused = step(words).map(drop).unwrap_err().1;
        assert!(refused.contains(problem), "{words}: {refused}");
    }
}
