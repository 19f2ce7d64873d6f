//! What a configuration accepts, refuses, and says about it.

use std::{
    collections::BTreeMap, ffi::OsString, fmt::Write as _, fs, path::PathBuf, time::Duration,
};

use super::*;

fn variables(entries: &[(&str, &str)]) -> BTreeMap<String, OsString> {
    entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect()
}

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let source = ConfigSource::Text {
        name: "config.toml".to_owned(),
        text: text.to_owned(),
        folder: PathBuf::from("/srv/mortise"),
    };
    Config::load(source, &variables(environment))
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &[])
}

fn only_problem(error: &ConfigError) -> &Problem {
    let problems: Vec<_> = error.problems().collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0]
}

/// The report as a terminal without colours shows it.
fn report(error: &ConfigError) -> String {
    let mut report = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut report, error)
        .unwrap();
    report
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of all mistakes")]
fn a_mistake_is_shown_with_its_place_and_the_remedy() {
    for (text, line, column, message, help) in [
        (
            "[server]\nprot = 1",
            2,
            1,
            "unknown key `server.prot`",
            "did you mean `port`?",
        ),
        (
            "[sever]\nport = 1",
            1,
            2,
            "unknown key `sever`",
            "did you mean `server`?",
        ),
        (
            "[log]\nzzzzzzzz = 1",
            2,
            1,
            "unknown key `log.zzzzzzzz`",
            "the keys here are level, format, targets",
        ),
        (
            "[server]\nport = \"80\"",
            2,
            8,
            "`server.port`: expected a whole number from 0 to 65535, found string \"80\"",
            "",
        ),
        (
            "[server]\nport = 70000",
            2,
            8,
            "`server.port`: expected a whole number from 0 to 65535, found integer `70000`",
            "",
        ),
        (
            "server = 1",
            1,
            10,
            "`server`: expected a table, found integer `1`",
            "",
        ),
        (
            "[log]\nlevel = \"inof\"",
            2,
            9,
            "`log.level`: \"inof\" is not known here",
            "did you mean `info`?",
        ),
        (
            "[server]\ntrusted_proxies = [\"::1\", \"10.0.0.0/33\"]",
            2,
            19,
            "`server.trusted_proxies`: \"10.0.0.0/33\" is no network",
            "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address",
        ),
        (
            "[server]\nclient_ip = \"first\"",
            2,
            13,
            "`server.client_ip` is \"first\", but nobody is trusted to name a client",
            "name the proxies in server.trusted_proxies, or leave client_ip out",
        ),
        (
            "[runs]\nsse_heartbeat = 15",
            2,
            17,
            "`runs.sse_heartbeat`: a duration needs a unit, 15 has none",
            "write a whole number and a unit in quotes: \"150ms\", \"30s\", \"5m\" or \"2h\"",
        ),
        (
            "[runs]\nsse_heartbeat = \"never\"",
            2,
            17,
            "`runs.sse_heartbeat`: \"never\" is not a duration",
            "write a whole number and a unit in quotes: \"150ms\", \"30s\", \"5m\" or \"2h\"",
        ),
        (
            "[runs]\nsse_heartbeat = \"0s\"",
            2,
            17,
            "`runs.sse_heartbeat` must be greater than 0",
            "write a duration such as \"30s\"",
        ),
        (
            "[runs]\ntool_timeout = \"-1s\"",
            2,
            16,
            "`runs.tool_timeout`: \"-1s\" is not a duration",
            "write a whole number and a unit in quotes: \"150ms\", \"30s\", \"5m\" or \"2h\"",
        ),
        (
            "[runs]\nevent_queue = 15",
            2,
            15,
            "`runs.event_queue` must be at least 16",
            "the default is 1024",
        ),
        (
            "[store]\nurl = \"postgres://me:hunter2@db/x\"",
            2,
            7,
            "`store.url`: there is no store \"postgres\"; supported now: \"sqlite:PATH\", \"memory:\" and \"none\"",
            "",
        ),
        (
            "[server]\nport = 1\nport = 2",
            3,
            1,
            "this is no TOML: duplicate key",
            "it is given further up already, and once is enough: put both together; a list of tables \
             has two brackets, [[…]]",
        ),
        (
            "[[plugins.load]]\nlibrary = \"x\"",
            1,
            1,
            "`plugins.load[0]` lacks the key `name`",
            "",
        ),
        (
            "[[plugins.load]]\nname = \"x\"\nlibrary = \"../x\"",
            3,
            11,
            "`plugins.load[0].library`: \"../x\" is a file; a library is found in plugins.dir by its bare name, such as \
             \"auth\" for libauth.so",
            "",
        ),
        (
            "[[plugins.load]]\nname = \"x\"\n[[plugins.load]]\nname = \"x\"",
            4,
            8,
            "two plugins are named \"x\"",
            "give each instance a name of its own, and the same `library`",
        ),
        (
            "[agents.livez]\nmodel = \"a/b\"",
            1,
            9,
            "`agents.livez`: \"livez\" is no agent name: a route has taken it",
            "",
        ),
        (
            "[agents.a]\nmodel = \"g p t\"",
            2,
            9,
            "`agents.a.model`: \"g p t\" names no model; write \"instance/model\", such as \
             \"llm/openai/gpt-4.1\", or an alias of [models]",
            "",
        ),
        (
            "[models.primary]\nmodel = \"gpt\"",
            2,
            9,
            "`models.primary.model`: \"gpt\" does not name a plugin; write \"instance/name\", such \
             as \"llm/openai/gpt-4.1\"",
            "",
        ),
        (
            "[models.primary]\nmodel = \"a/b\"\ncapability = []",
            3,
            1,
            "unknown key `models.primary.capability`",
            "did you mean `capabilities`?",
        ),
        (
            "[jobs]\nlease = \"10ms\"",
            2,
            9,
            "`jobs.lease` must be at least 1s",
            "the default is \"1m\"; after a restart no lease is waited for",
        ),
        (
            "[jobs]\nconcurrency_per_agent = 0",
            2,
            25,
            "`jobs.concurrency_per_agent` must be at least 1",
            "the default is 1",
        ),
        (
            "[jobs.agents]\ntriage = 0",
            2,
            10,
            "`jobs.agents.triage` must be at least 1",
            "remove the key for `jobs.concurrency_per_agent`",
        ),
        (
            "[runs]\nmax_agent_depth = 0",
            2,
            19,
            "`runs.max_agent_depth` must be at least 1",
            "1 lets no agent hand tasks to another; the default is 5",
        ),
        (
            "[plugins.load]\nname = \"x\"",
            1,
            1,
            "`plugins.load`: expected an array, found a table",
            "write [[plugins.load]], with two brackets, for each of them",
        ),
        (
            "[[plugins.load]]\nname = \"x\"\nheader_name = 1",
            3,
            1,
            "unknown key `plugins.load[0].header_name`",
            "settings of the plugin itself belong in `config`; the keys here are name, library, sha256, \
             config, required, on_error, grants",
        ),
        (
            "[admin]\nlisten = \"localhost:3142\"",
            2,
            10,
            "`admin.listen`: \"localhost:3142\" is no address with a port",
            "write an IP address and a port, such as \"127.0.0.1:3142\" or \"[::1]:3142\"",
        ),
        (
            "[agents.a]\nmax_steps = 0",
            2,
            13,
            "`agents.a.max_steps` must be at least 1",
            "remove the key for no limit",
        ),
        (
            "[agents.a]\noutput_schema = { type = \"text\" }",
            2,
            26,
            "`agents.a.output_schema`: not a JSON Schema at /type: \"text\" is not valid under any \
             of the schemas listed in the 'anyOf' keyword",
            "see https://json-schema.org for what a JSON Schema may say",
        ),
        (
            "[tools.clock]\nschema = { type = \"object\" }",
            2,
            10,
            "`tools.clock.schema` is set, but a library's tool brings its own",
            "set client = true if the client runs this tool, or remove the schema",
        ),
        (
            "[runs]\non_request_disconnect = \"continue\"\n[store]\nstreams = false",
            2,
            25,
            "`runs.on_request_disconnect` is \"continue\", but `store.streams` keeps nothing that \
             a client could come back to",
            "set store.streams = true and a store.url other than \"none\", or write \"abort\"",
        ),
        (
            "[server]\nhost = \"0.0.0.0\"",
            2,
            8,
            "other machines reach `server.host` \"0.0.0.0\", and there is no `server.secret`",
            "set server.secret, listen on \"127.0.0.1\", or accept it with server.insecure = true",
        ),
        (
            "[server]\nauth = \"some\"",
            2,
            8,
            "`server.auth`: \"some\" is not known here",
            "write one of all, any",
        ),
        (
            "[server]\nprincipal = { subject = \" \" }",
            2,
            25,
            "`server.principal.subject` is blank or has control characters",
            "remove the key for the default, or write a name",
        ),
        (
            "[server]\nhost = \"127.0.0.1:80\"",
            2,
            8,
            "`server.host`: \"127.0.0.1:80\" is no address or host name",
            "write the host alone, such as \"127.0.0.1\"; the port is `server.port`",
        ),
        (
            "[server]\nport = 1\nports = [2, 3]",
            3,
            9,
            "`server.port` and `server.ports` are both set",
            "keep one: `port` for a fixed port, `ports` for the first free one of a list",
        ),
        (
            "[server]\nsecret = { env = \"NOBODY\" }",
            2,
            10,
            "the variable NOBODY is not set, and a secret is read from it",
            "",
        ),
        (
            "[server]\nsecret = \"\"",
            2,
            10,
            "`server.secret`: it is empty",
            "",
        ),
        (
            "[server]\nsecret = 12345",
            2,
            10,
            "`server.secret` is not a secret",
            "write { env = \"NAME\" } or { file = \"path\" }",
        ),
    ] {
        let error = load(text).expect_err(text);
        let problem = only_problem(&error);
        assert_eq!(problem.message(), message, "{text}");
        assert_eq!(
            problem.position(),
            Some(Position { line, column }),
            "{text}"
        );
        assert_eq!(problem.remedy().unwrap_or_default(), help, "{text}");
        assert!(
            report(&error).contains(&format!("config.toml:{line}:{column}")),
            "{text}"
        );
    }
}

#[test]
fn broken_toml_is_an_error_with_a_place() {
    for text in [
        "= 1",
        "[server",
        "a = \"x",
        "a = 1e400x",
        "\u{1}",
        "[a]\n[a]",
        "a = 1\n[a]",
    ] {
        let error = load(text).expect_err(text);
        assert!(only_problem(&error).position().is_some(), "{text}");
    }
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(load(&deep).is_err());
}

#[test]
fn a_report_draws_the_line_and_a_caret_under_the_mistake() {
    let error = load("[server]\nprot = 8080 # the usual\nhost = \"::1\"").unwrap_err();
    let expected = "  \u{d7} unknown key `server.prot`
   ╭─[config.toml:2:1]
 2 │ prot = 8080 # the usual
   · ──┬─
   ·   ╰── here
   ╰────
  help: did you mean `port`?
";
    assert_eq!(report(&error), expected);
}

#[test]
fn contradictions_are_reported_together() {
    let error = load("[server]\nhost = \"::\"\n[runs]\nevent_queue = 1\nhook_timeout = \"0s\"");
    let error = error.unwrap_err();
    assert_eq!(error.problems().count(), 3);
    assert!(report(&error).contains("`runs.event_queue` must be at least 16"));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_read() {
    let config = load("\u{feff}[server]\r\nport = 8080\r\n").unwrap();
    assert_eq!(config.server.port, 8080);
    let error = load("\u{feff}[server]\r\nprot = 8080\r\n").unwrap_err();
    let position = only_problem(&error).position();
    assert_eq!(position, Some(Position { line: 2, column: 1 }));
}

#[test]
fn a_file_must_be_small_text_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let load = || Config::load(ConfigSource::File(path.clone()), &variables(&[]));

    assert!(matches!(load(), Err(ConfigError::Unreadable { .. })));
    fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(load(), Err(ConfigError::TooLarge { .. })));
    fs::write(&path, b"[server]\nhost = \"\xff\"").unwrap();
    let error = load().unwrap_err();
    assert_eq!(only_problem(&error).message(), "the file is not UTF-8 text");
    assert_eq!(
        only_problem(&error).position(),
        Some(Position { line: 2, column: 9 })
    );
    assert!(report(&error).contains("host = \"\u{fffd}\""));
}

#[test]
fn the_file_is_found_by_argument_then_variable_then_place() {
    let environment = variables(&[("MORTISE_CONFIG", "/from/variable.toml")]);
    let explicit = find(Some("/explicit.toml".into()), &environment).unwrap();
    assert_eq!(explicit, PathBuf::from("/explicit.toml"));
    assert_eq!(
        find(None, &environment).unwrap(),
        PathBuf::from("/from/variable.toml")
    );

    let nowhere = vec![PathBuf::from("/no/a.toml"), PathBuf::from("/no/b.toml")];
    let error = source::first_existing(nowhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no configuration file; looked at /no/a.toml, /no/b.toml"
    );
}

#[test]
fn a_variable_lies_over_the_file() {
    let config = load_with(
        "[server]\nport = 1\n[agents.Assistant]\nmodel = \"a/b\"\n[[plugins.load]]\nname = \"x\"",
        &[
            ("MORTISE__SERVER__PORT", "8080"),
            ("MORTISE__SERVER__HOST", "localhost"),
            ("MORTISE__SERVER__SECRET", "12345"),
            ("MORTISE__RUNS__MAX_DURATION", "never"),
            ("MORTISE__LOG__TARGETS", "{ hyper = \"warn\" }"),
            ("MORTISE__AGENTS__ASSISTANT__MODEL", "c/d"),
            ("MORTISE__PLUGINS__LOAD__0__REQUIRED", "false"),
            ("MORTISE_LOG", "debug"),
            ("MORTISE_CONFIG", "elsewhere"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.port, 8080);
    assert_eq!(config.server.host, "localhost");
    assert_eq!(config.server.secret.as_ref().unwrap().as_bytes(), b"12345");
    assert_eq!(config.runs.max_duration, Deadline::Never);
    assert_eq!(config.log.targets["hyper"], Level::Warn);
    assert_eq!(
        config.agents["Assistant"]
            .model
            .as_ref()
            .unwrap()
            .to_string(),
        "c/d"
    );
    assert!(!config.plugins.load[0].required);
    assert_eq!(config.log.level, Level::Info);
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn a_mistake_in_a_variable_names_the_variable() {
    for (name, value, column, message) in [
        ("MORTISE__SERVER__PRT", "1", 18, "unknown key `server.prt`"),
        (
            "MORTISE__SERVER__PORT",
            "many",
            23,
            "`server.port`: expected a whole number from 0 to 65535, found string \"many\"",
        ),
        (
            "MORTISE__SERVER____PORT",
            "1",
            18,
            "a part of the name is empty",
        ),
        (
            "MORTISE__MODE__X",
            "1",
            10,
            "this leads through a value that is not a table",
        ),
        (
            "MORTISE__PLUGINS__LOAD__3__NAME",
            "x",
            25,
            "this leads through a value that is not a table",
        ),
        (
            "MORTISE__RUNS__EVENT_QUEUE",
            "1",
            28,
            "`runs.event_queue` must be at least 16",
        ),
    ] {
        let text = "mode = \"development\"\n[[plugins.load]]\nname = \"x\"";
        let error = load_with(text, &[(name, value)]).expect_err(name);
        let problem = only_problem(&error);
        assert_eq!(
            problem.message(),
            format!("{message} (from the variable {name})")
        );
        assert_eq!(
            problem.position(),
            Some(Position { line: 1, column }),
            "{name}"
        );
    }
}

#[test]
fn secrets_are_read_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "file-canary\r\n").unwrap();
    let text = format!(
        "[server]\nsecret = {{ env = \"TOKEN\" }}\n[[plugins.load]]\nname = \"x\"\nconfig = {{ \
         deep = [{{ key = {{ file = {file:?} }} }}], plain = \"plain-canary\" }}\n[agents.a]\n\
         model_options = {{ key = {{ env = \"TOKEN\" }} }}\n[models.m]\nmodel = \"x/y\"\n\
         defaults = {{ key = {{ env = \"TOKEN\" }} }}"
    );
    let text = text.replacen("TOKEN", "SECRET", 1);
    let environment = [
        ("SECRET", "server-canary\"{}\n"),
        ("TOKEN", "env-canary\"\n{}"),
    ];
    let config = load_with(&text, &environment).unwrap();
    assert_eq!(
        config.server.secret.as_ref().unwrap().as_bytes(),
        b"server-canary\"{}"
    );
    let plugin = config.plugins.load[0].config.value();
    assert_eq!(plugin.pointer("/deep/0/key").unwrap(), "file-canary");
    let options = config.agents["a"].model_options.value();
    assert_eq!(options.pointer("/key").unwrap(), "env-canary\"\n{}");
    let (_, alias) = config.models.first_key_value().unwrap();
    let defaults = alias.defaults.value();
    assert_eq!(defaults.pointer("/key").unwrap(), "env-canary\"\n{}");

    let shown = format!("{config:?}");
    assert!(shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    let error = config.error_at("/plugins/load/0/config/deep/0/key", "is wrong", None);
    assert!(!report(&error).contains("file-canary"));
}

#[test]
fn an_error_shows_no_secret_that_stands_near() {
    for text in [
        "[server]\nsecret = \"canary\"\nprot = 1",
        "[server]\nsecret = \"canary\nport = 1",
        "server = { secret = \"canary\", prot = 1 }",
        "[[plugins.load]]\nname = \"x\"\nconfig = { api_key = 'canary', port = }",
        "[[plugins.load]]\nname = \"x\"\nconfigg = { \"Access-Token\" = \"can\\\"ary canary\" }",
        "server = { secret = canary }",
        "server = { key = \"canary\", keys = ['canary', { key = 'canary' }, \"canary\"], prot = 1 }",
        "server = { secret = \"\"\"canary\n canary\"\"\"\", token = '''canary''', prot = 1 }",
        "[server]\nsecret = { x = { authorization = \"Bearer canary\" }, Cookie = 'canary\\' }",
        "[server]\nport = [{ password = [\n'canary', # of a friend\n[\"canary]\"]] }]",
        "[server]\nport = { credentials = canary",
        "[server]\nsecret: \"canary\"",
        "[server]\nsecret \"canary\"",
        "[server]\nsecret canary",
        "server.\"secret\"  canary==",
        "[http]\n- token: canary=",
        "server = { secret: \"canary\", prot = 1 }",
        "config = { tokens = { ann = \"canary\", 'bob b' = { c = canary= } } }",
        "config = { tokens = [{ env = \"A\" }, { ann = \"canary\" }, canary=, [\"canary\"]] }",
        "config = { tokens = { ann = { canary",
    ] {
        let report = report(&load(text).expect_err(text));
        assert!(!report.contains("canary"), "{report}");
    }
    for (name, value) in [
        ("MORTISE__SERVER__SECRETS", "canary, canary"),
        ("MORTISE__SERVER__API_KEY", "{ canary"),
        ("MORTISE__SERVER__PORT", "{ key = \"canary\" }"),
        ("MORTISE__SERVER__KEYS", "[\"canary\", \"canary\"]"),
    ] {
        let report = report(&load_with("", &[(name, value)]).expect_err(name));
        assert!(report.contains(name), "{report}");
        assert!(!report.contains("canary"), "{report}");
    }
}

#[test]
fn an_error_shows_what_is_no_secret() {
    let text =
        "config = { secret = { env = \"NAME\" }, tokens = { ann = \"canary\" }, max_tokens = 12 }";
    let report = report(&load(text).unwrap_err());
    let shown = "{ secret = { env = \"NAME\" }, tokens = { ann = ******** }, max_tokens = 12 }";
    assert!(report.contains(shown), "{report}");
}

#[test]
fn a_table_of_settings_is_no_secret_whatever_its_key_is() {
    let text = "[[plugins.load]]\nname = \"x\"\nconfig = { file = \"no/such\" }\n\
                [agents.a]\nmodel_options = { env = \"NOBODY\" }\n\
                [models.m]\nmodel = \"x/y\"\ndefaults = { file = \"no/such\" }";
    let config = load(text).unwrap();
    let file = serde_json::json!({ "file": "no/such" });
    assert_eq!(*config.plugins.load[0].config.value(), file);
    let options = config.agents["a"].model_options.value();
    assert_eq!(*options, serde_json::json!({ "env": "NOBODY" }));
    let (_, alias) = config.models.first_key_value().unwrap();
    assert_eq!(*alias.defaults.value(), file);
}

#[test]
fn a_secret_that_nobody_could_present_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    for (secret, said) in [
        (" ", "is blank"),
        ("\n", "is empty"),
        (" s", "begins or ends with a space"),
        ("s\u{a0}", "begins or ends with a space"),
        ("\u{feff}s", "byte order mark"),
        ("s\n\n", "control character"),
        ("s\u{1}t", "control character"),
    ] {
        fs::write(&file, secret).unwrap();
        let from_file = format!("[server]\nsecret = {{ file = {file:?} }}");
        let environment = |name| vec![(name, secret)];
        for (text, environment) in [
            (&*from_file, vec![]),
            ("[server]\nsecret = { env = \"S\" }", environment("S")),
            ("", environment("MORTISE__SERVER__SECRET")),
            ("[http]", environment("MORTISE_HTTP_TOKEN")),
        ] {
            let error = load_with(text, &environment).expect_err(text);
            let message = error.to_string();
            assert!(message.contains(said), "{text} {secret:?}: {message}");
        }
    }
    let written = "[server]\nsecret = \" s\"";
    assert!(report(&load(written).unwrap_err()).contains("begins or ends"));
}

#[test]
fn a_variable_in_the_way_of_a_shell_is_no_secret() {
    for text in [
        "[server]\nsecret = \"${TOKEN}\"",
        "[http]\ntoken = \"${TOKEN:-canary}\"",
    ] {
        let report = report(&load_with(text, &[("TOKEN", "x")]).expect_err(text));
        for part in ["${…}", "{ env = \"NAME\" }"] {
            assert!(report.contains(part), "{report}");
        }
        assert!(!report.contains("canary"), "{report}");
    }
}

#[test]
fn a_secret_in_a_variable_is_text_whatever_it_looks_like() {
    for (written, expected) in [
        ("12345", "12345"),
        ("\"quoted\"", "\"quoted\""),
        ("{ a = 1 }", "{ a = 1 }"),
        ("${a}", "${a}"),
        ("{ env = \"TOKEN\" }", "from elsewhere"),
    ] {
        let environment = [
            ("MORTISE__SERVER__SECRET", written),
            ("TOKEN", "from elsewhere"),
        ];
        let secret = load_with("", &environment).unwrap().server.secret.unwrap();
        assert_eq!(secret.as_bytes(), expected.as_bytes());
    }
}

#[test]
fn a_missing_or_empty_secret_is_named() {
    let text = "[server]\nsecret = { file = \"no/such\" }\n[[plugins.load]]\nname = \"x\"\nconfig = \
                { key = { env = \"EMPTY\" } }";
    let error = load_with(text, &[("EMPTY", "")]).unwrap_err();
    let messages: Vec<_> = error.problems().map(Problem::message).collect();
    assert!(messages[0].contains("/srv/mortise/no/such"), "{messages:?}");
    assert_eq!(
        messages[1],
        "the variable EMPTY is empty, and a secret is read from it"
    );
}

#[test]
fn a_secret_in_the_file_is_warned_about_in_production() {
    for (key, section) in [("secret", "server"), ("token", "http")] {
        let text = format!("mode = \"production\"\n[{section}]\n{key} = \"x\"");
        let warnings = load(&text).unwrap().warnings();
        let named = format!("{section}.{key} is written");
        assert!(warnings[0].starts_with(&named), "{warnings:?}");
        assert_eq!(warnings.len(), 1);
    }
    assert_eq!(
        load("[server]\nsecret = \"x\"").unwrap().warnings().len(),
        0
    );
}

#[test]
#[cfg(unix)]
fn a_secret_that_everybody_may_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    for text in ["[server]\nsecret = \"x\"", "[http]\ntoken = \"x\""] {
        fs::write(&path, text).unwrap();
        for (mode, expected) in [(0o644, 1), (0o600, 0)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let config = Config::load(ConfigSource::File(path.clone()), &variables(&[])).unwrap();
            assert_eq!(config.warnings().len(), expected, "{mode:o}: {text}");
        }
    }
}

#[test]
fn durations_and_sizes_are_written_with_units() {
    for (text, milliseconds) in [
        ("150ms", 150),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2 h", 7_200_000),
    ] {
        let period: Period = text.parse().unwrap();
        assert_eq!(period.0, Duration::from_millis(milliseconds));
    }
    for text in [
        "",
        "s",
        "30",
        "1.5s",
        "30 sec",
        "-1s",
        "99999999999999999999h",
        "900000h",
    ] {
        assert!(text.parse::<Period>().is_err(), "{text}");
    }
    for (text, bytes) in [
        ("\"64 KiB\"", 65_536),
        ("\"1 MiB\"", 1_048_576),
        ("\"10MB\"", 10_000_000),
        ("4096", 4096),
    ] {
        let config = load(&format!("[server]\nbody_limit = {text}")).unwrap();
        assert_eq!(config.server.body_limit, Size(bytes));
    }
    for text in ["\"1 XB\"", "-1", "\"99999999999 GiB\"", "1.5"] {
        assert!(
            load(&format!("[server]\nbody_limit = {text}")).is_err(),
            "{text}"
        );
    }
    assert_eq!(Size(1 << 20).to_string(), "1 MiB");
    assert_eq!(Period::from_secs(90).to_string(), "90s");
}

#[test]
fn of_a_url_only_the_path_is_the_base_path() {
    for (written, expected) in [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("api", "/api"),
        ("https://example.com/a/b/", "/a/b"),
        ("https://example.com", ""),
        ("/", ""),
        ("", ""),
    ] {
        let config = load(&format!("[server]\nbase_path = {written:?}")).unwrap();
        assert_eq!(config.server.base_path.as_str(), expected);
    }
    for written in ["/a b", "/a?b", "/a/../b", "/a//b"] {
        assert!(
            load(&format!("[server]\nbase_path = {written:?}")).is_err(),
            "{written}"
        );
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    assert_eq!(
        load("").unwrap().plugins.dir,
        PathBuf::from("/srv/mortise/plugins")
    );
    let absolute = load("[plugins]\ndir = \"/opt/plugins\"").unwrap();
    assert_eq!(absolute.plugins.dir, PathBuf::from("/opt/plugins"));
}

#[test]
fn the_mode_follows_the_host() {
    assert_eq!(load("").unwrap().mode(), Mode::Development);
    let open = load("[server]\nhost = \"0.0.0.0\"\ninsecure = true").unwrap();
    assert_eq!(open.mode(), Mode::Production);
    for host in ["127.0.0.2", "::1", "[::1]", "localhost"] {
        assert!(
            load(&format!("[server]\nhost = {host:?}"))
                .unwrap()
                .server
                .is_loopback()
        );
    }
}

#[test]
fn tables_keep_the_order_of_the_file_and_dates_become_text() {
    let text = "[[plugins.load]]\nname = \"x\"\nconfig = { z = 1, a = 2, m = 1979-05-27 }";
    let config = load(text).unwrap();
    assert_eq!(
        config.plugins.load[0].config.value().to_string(),
        r#"{"z":1,"a":2,"m":"1979-05-27"}"#
    );
}

#[test]
fn tools_are_named_beside_the_shared_ones() {
    let config = load(
        "[tools]\nshared = [\"clock.*\"]\n[tools.confirm]\nclient = true\nresult_timeout = \
         \"never\"\n[tools.\"clock.now\".approval]\nmeta = { risk = \"low\" }",
    )
    .unwrap();
    assert!(config.tools.shared[0].matches("clock.now"));
    assert!(config.tools.named["confirm"].client);
    assert_eq!(
        config.tools.named["confirm"].result_timeout,
        Some(Deadline::Never)
    );
    assert!(
        config.tools.named["clock.now"]
            .approval
            .as_ref()
            .unwrap()
            .required
    );
}

#[test]
fn a_star_in_a_tool_pattern_stands_for_any_characters() {
    for (pattern, name, expected) in [
        ("search", "search", true),
        ("search", "search2", false),
        ("mcp.*.read", "mcp.docs.read", true),
        ("mcp.*.read", "mcp.read", false),
        ("*", "anything", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-b-c", true),
    ] {
        let pattern = ToolPattern::try_from(pattern.to_owned()).unwrap();
        assert_eq!(pattern.matches(name), expected, "{pattern:?} {name}");
    }
}

#[test]
fn a_library_is_named_after_its_instance_unless_the_entry_says_otherwise() {
    let config = load("[[plugins.load]]\nname = \"jwt-auth\"").unwrap();
    assert_eq!(
        config.plugins.load[0].library().file_name(),
        "libjwt_auth.so"
    );
    assert!(config.plugins.load[0].required);
}

#[test]
fn an_error_of_a_plugin_points_into_its_table() {
    let text = "[[plugins.load]]\nname = \"x\"\n[plugins.load.config]\nissuer = 5";
    let config = load(text).unwrap();
    let error = config.error_at("/plugins/load/0/config/issuer", "must be string", None);
    let position = only_problem(&error).position();
    assert_eq!(
        position,
        Some(Position {
            line: 4,
            column: 10
        })
    );
    let missing = config.error_at("/plugins/load/0/config/other", "is missing", None);
    assert_eq!(only_problem(&missing).position().unwrap().line, 3);
}

#[test]
fn the_reference_states_every_key_with_its_default() {
    let page = reference();
    for row in [
        "| `server.port` | integer | `3141` | 0 to 65535 |",
        "| `server.secret` | secret | unset |",
        "| `server.body_limit` | size | `\"1 MiB\"` |",
        "| `runs.client_tool_result_timeout` | duration or \"never\" | `\"30s\"` |",
        "| `runs.on_request_disconnect` | \"abort\", \"continue\" | `\"abort\"` |",
        "| `runs.event_queue` | integer | `1024` | at least 16 |",
        "| `runs.max_duration` | duration or \"never\" | `\"1h\"` |",
        "| `runs.sse_heartbeat` | duration | `\"15s\"` |",
        "| `plugins.dir` | text | `\"plugins\"` |",
        "| `tools.shared` | list of text | `[]` |",
        "| `agents.NAME.exposed` | boolean | `true` |",
        "| `plugins.load.name` | text | required |",
        "## `[server]`",
        "## `[[plugins.load]]`",
        "## `[tools.NAME.approval]`",
        "| `mode` | \"development\", \"production\" | unset |",
    ] {
        assert!(page.contains(row), "{row} is not in\n{page}");
    }
}

#[test]
fn every_documented_default_is_the_actual_one() {
    fn set(text: &mut String, section: &str, properties: &serde_json::Value) {
        writeln!(text, "[{section}]").unwrap();
        for (key, property) in properties["properties"].as_object().unwrap() {
            match property.get("default") {
                None | Some(serde_json::Value::Null | serde_json::Value::Object(_)) => {}
                Some(value) if key != "port" && key != "ports" => {
                    writeln!(text, "{key} = {value}").unwrap();
                }
                Some(_) => {}
            }
        }
    }
    let schema = schema();
    let mut text = String::new();
    for (section, name) in [
        ("server", "Server"),
        ("runs", "Runs"),
        ("store", "Store"),
        ("log", "Log"),
        ("plugins", "Plugins"),
        ("agents.a", "Agent"),
    ] {
        set(&mut text, section, &schema["$defs"][name]);
    }
    let written = load(&text).unwrap_or_else(|error| panic!("{text}\n{}", report(&error)));
    let unwritten = load("[agents.a]").unwrap();
    let shown = |config: &Config| format!("{config:?}");
    assert_eq!(shown(&written), shown(&unwritten));
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let schema = crate::schema::Schema::compile(&schema()).unwrap();
    let text = "mode = \"production\"\n[server]\nbody_limit = \"1 MiB\"\nsecret = { env = \"A\" }\n\
                [tools.x]\nclient = true\n[agents.a]\nmodel = \"a/b\"\nmax_steps = 3";
    let value: serde_json::Value = toml::from_str(text).unwrap();
    assert_eq!(schema.validate(&value), Ok(()));
    assert!(
        schema
            .validate(&serde_json::json!({ "sever": {} }))
            .is_err()
    );
}

#[test]
fn no_text_and_no_variable_makes_the_reader_panic() {
    let text = "mode = \"production\"\n[server]\nport = 1\nsecret = { env = \"A\" }\nbase_path = \
                \"/ä€😀\"\n[[plugins.load]]\nname = \"x\"\nconfig = { token = 'x', d = 1979-05-27 }\n\
                [tools.\"ä\".approval]\nmeta = { }\n[agents.a]\nmodel = \"a/b\"\n";
    let characters: Vec<char> = "\"'{}[]=.,#\n\\€\u{0}_0-".chars().collect();
    // A fixed sequence of edits: which one fails must not depend on the day.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut below = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..2000 {
        let mut edited: Vec<char> = text.chars().collect();
        for _ in 0..=below(3) {
            let at = below(edited.len());
            match below(3) {
                0 => edited.truncate(at.max(1)),
                1 => edited[at] = characters[below(characters.len())],
                _ => edited.insert(at, characters[below(characters.len())]),
            }
        }
        let edited: String = edited.into_iter().collect();
        let variable = ("MORTISE__SERVER__HOST", edited.as_str());
        for result in [load(&edited), load_with(text, &[variable, ("A", "x")])] {
            if let Err(error) = result {
                report(&error);
            }
        }
    }
}
