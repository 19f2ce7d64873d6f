//! What needs more than one key to judge, and the limits of single values. All of it is reported
//! at once.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{
    Agent, Auth, ClientIp, Config, ConfigError, Cors, Deadline, FreeTable, OnRequestDisconnect,
    Period, PrincipalQuota, Problem, Problems, Rule, SecretHolder, Server, Tool,
    document::Document,
};
use crate::schema::{Schema, escaped};

/// The checks of one configuration and what they found.
struct Checks<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl Config {
    /// Checks what the sections say about each other. `Config::load` has done so.
    ///
    /// # Errors
    /// All contradictions, each with its place and its remedy.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut checks = Checks {
            document: &self.document,
            problems: Vec::new(),
        };
        checks.server(self);
        checks.runs(self);
        checks.quota(self);
        checks.jobs(self);
        checks.store(self);
        checks.plugins(self);
        for (name, tool) in &self.tools.named {
            checks.tool(name, tool);
        }
        for (name, agent) in &self.agents {
            checks.agent(name.as_str(), agent);
        }
        Ok(Problems::collect(checks.problems)?)
    }
}

impl Checks<'_> {
    fn report(&mut self, pointer: &str, message: impl Into<String>, help: &str) {
        let problem = self
            .document
            .problem_at(pointer, message.into(), Some(help.to_owned()));
        self.problems.push(problem);
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        if server.has_valid_host() {
            self.reachable(server);
        } else {
            self.report(
                "/server/host",
                format!(
                    "`server.host`: {:?} is no address or host name",
                    server.host
                ),
                "write the host alone, such as \"127.0.0.1\"; the port is `server.port`",
            );
        }
        self.holder(&server.principal);
        self.listen(server);
        self.admin(config);
        self.cors(&server.cors);
        if self.document.has("/server/port") && self.document.has("/server/ports") {
            self.report(
                "/server/ports",
                "`server.port` and `server.ports` are both set",
                "keep one: `port` for a fixed port, `ports` for the first free one of a list",
            );
        }
        if self.document.has("/server/ports") && server.ports.is_empty() {
            self.report(
                "/server/ports",
                "`server.ports` is empty",
                "name at least one port",
            );
        }
        for (key, size) in [
            ("body_limit", server.body_limit),
            ("header_limit", server.header_limit),
            ("uri_limit", server.uri_limit),
        ] {
            if size.0 == 0 {
                self.report(
                    &format!("/server/{key}"),
                    format!("`server.{key}` must be greater than 0"),
                    "write a size such as \"1 MiB\"",
                );
            }
        }
        // Every connection may take so much memory before anything is known of its client.
        for (key, size) in [
            ("header_limit", server.header_limit),
            ("uri_limit", server.uri_limit),
        ] {
            if size.0 > 1 << 20 {
                self.report(
                    &format!("/server/{key}"),
                    format!("`server.{key}` must be at most 1 MiB"),
                    "remove the key for the default",
                );
            }
        }
        if server.max_connections == 0 {
            self.report(
                "/server/max_connections",
                "`server.max_connections` must be at least 1",
                "the default is 10000",
            );
        }
        if server.client_ip == ClientIp::First && server.trusted_proxies.is_empty() {
            self.report(
                "/server/client_ip",
                "`server.client_ip` is \"first\", but nobody is trusted to name a client",
                "name the proxies in server.trusted_proxies, or leave client_ip out",
            );
        }
        if server.max_connections_per_address == Some(0) {
            self.report(
                "/server/max_connections_per_address",
                "`server.max_connections_per_address` must be at least 1",
                "remove the key for any number",
            );
        }
        self.period("server.header_timeout", server.header_timeout);
        self.period("server.body_timeout", server.body_timeout);
        self.period("server.write_timeout", server.write_timeout);
        self.period("server.idle_timeout", server.idle_timeout);
    }

    fn listen(&mut self, server: &Server) {
        if let Some(tls) = &server.tls {
            self.period("server.tls.refresh", tls.refresh);
        }
        // Of several ports a free one is taken.
        let main = server.address().filter(|_| server.ports.is_empty());
        let main = main.map(|host| SocketAddr::from((host, server.port)));
        for (index, listen) in server.listen.iter().enumerate() {
            let pointer = format!("/server/listen/{index}");
            let address = listen.address;
            if address.port() != 0 && main == Some(address) {
                // What `http` says was put there, and is written nowhere.
                let (pointer, key) = if self.document.has(&pointer) {
                    (format!("{pointer}/address"), "server.listen")
                } else {
                    ("/http/port".to_owned(), "http.port")
                };
                self.report(
                    &pointer,
                    format!("`{key}` is {address}, which is `server.host` and `server.port`"),
                    "give each a port of its own",
                );
            }
            let further = server.listen[..index].iter().map(|it| it.address);
            if address.port() != 0 && further.into_iter().any(|it| it == address) {
                self.report(
                    &format!("{pointer}/address"),
                    format!("`server.listen` has {address} twice"),
                    "keep one entry for each address",
                );
            }
            if let Some(tls) = &listen.tls {
                let pointer = format!("{pointer}/tls/refresh");
                self.positive(&pointer, "server.listen.tls.refresh", tls.refresh.0);
            }
        }
    }

    fn admin(&mut self, config: &Config) {
        let Some(address) = config.admin.listen.filter(|it| it.port() != 0) else {
            return;
        };
        let server = &config.server;
        let ports = [server.port];
        let ports = if server.ports.is_empty() {
            &ports
        } else {
            &server.ports[..]
        };
        let main = server.address().into_iter();
        let main = main.flat_map(|host| ports.iter().map(move |&port| (host, port).into()));
        let mut taken = main.chain(server.listen.iter().map(|it| it.address));
        if taken.any(|it| it == address) {
            self.report(
                "/admin/listen",
                format!("`admin.listen` is {address}, which `server` listens on"),
                "give the metrics page a port of its own, such as \"127.0.0.1:9464\"",
            );
        }
    }

    fn holder(&mut self, holder: &SecretHolder) {
        for (key, name) in [("tenant", &holder.tenant), ("subject", &holder.subject)] {
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                self.report(
                    &format!("/server/principal/{key}"),
                    format!("`server.principal.{key}` is blank or has control characters"),
                    "remove the key for the default, or write a name",
                );
            }
        }
    }

    fn cors(&mut self, cors: &Cors) {
        if cors.is_open() && (cors.credentials || cors.origins.len() > 1) {
            self.report(
                "/server/cors/origins",
                "`server.cors.origins` has \"*\" beside other origins or with `credentials`",
                "name the origins, or keep \"*\" alone with credentials = false",
            );
        }
        for (key, names) in [("methods", &cors.methods), ("headers", &cors.headers)] {
            if let Some(name) = names.iter().find(|it| !is_token(it)) {
                self.report(
                    &format!("/server/cors/{key}"),
                    format!("`server.cors.{key}` has {name:?}, which is no name"),
                    "write names such as \"POST\" or \"content-type\"",
                );
            }
        }
    }

    /// What others reach wants a secret.
    fn reachable(&mut self, server: &Server) {
        // Whether a guard authenticates is known when the plugins are loaded.
        if server.secret.is_some() || server.insecure || server.auth == Auth::Any {
            return;
        }
        for (pointer, address) in server.reachable() {
            self.report(
                &pointer,
                format!("other machines reach {address}, and there is no `server.secret`"),
                "set server.secret, listen on \"127.0.0.1\", or accept it with \
                 server.insecure = true",
            );
        }
    }

    fn runs(&mut self, config: &Config) {
        let runs = &config.runs;
        if runs.on_request_disconnect == OnRequestDisconnect::Continue
            && !config.store.keeps_streams()
        {
            self.report(
                "/runs/on_request_disconnect",
                "`runs.on_request_disconnect` is \"continue\", but `store.streams` keeps nothing \
                 that a client could come back to",
                "set store.streams = true and a store.url other than \"none\", or write \"abort\"",
            );
        }
        self.deadline(
            "runs.client_tool_result_timeout",
            runs.client_tool_result_timeout,
        );
        self.deadline("runs.tool_approval_timeout", runs.tool_approval_timeout);
        self.deadline("runs.max_duration", runs.max_duration);
        self.period("runs.sse_heartbeat", runs.sse_heartbeat);
        self.period("runs.tool_timeout", runs.tool_timeout);
        self.period("runs.hook_timeout", runs.hook_timeout);
        if runs.max_agent_depth == 0 {
            self.report(
                "/runs/max_agent_depth",
                "`runs.max_agent_depth` must be at least 1",
                "1 lets no agent hand tasks to another; the default is 5",
            );
        }
        if runs.event_queue < 16 {
            self.report(
                "/runs/event_queue",
                "`runs.event_queue` must be at least 16",
                "the default is 1024",
            );
        }
    }

    fn quota(&mut self, config: &Config) {
        let quota = &config.quota;
        let default = (
            String::new(),
            quota.runs_per_day,
            quota.tokens_per_day,
            quota.cost_per_day,
        );
        let of_principals = quota.principals.iter().enumerate().map(|(index, own)| {
            (
                format!("/principals/{index}"),
                own.runs_per_day,
                own.tokens_per_day,
                own.cost_per_day,
            )
        });
        for (place, runs, tokens, cost) in std::iter::once(default).chain(of_principals) {
            for (key, limit) in [("runs_per_day", runs), ("tokens_per_day", tokens)] {
                if limit == Some(0) {
                    self.report(
                        &format!("/quota{place}/{key}"),
                        format!("`{key}` must be at least 1"),
                        "remove the key for no limit",
                    );
                }
            }
            if cost.is_some() && config.prices.is_empty() {
                self.report(
                    &format!("/quota{place}/cost_per_day"),
                    "`cost_per_day` is set, but no model has a price",
                    "say what the models cost, such as [prices.\"llm/openai/gpt-4.1-mini\"] input = \
                     \"0.40\", output = \"1.60\"",
                );
            }
        }
        for (index, own) in quota.principals.iter().enumerate() {
            let is_same =
                |it: &PrincipalQuota| it.tenant == own.tenant && it.subject == own.subject;
            if quota.principals[..index].iter().any(is_same) {
                self.report(
                    &format!("/quota/principals/{index}/subject"),
                    format!("{:?} of {:?} has two quotas", own.subject, own.tenant),
                    "keep one of them",
                );
            }
        }
    }

    fn jobs(&mut self, config: &Config) {
        let jobs = &config.jobs;
        for (key, number, help) in [
            ("concurrency", jobs.concurrency, "the default is 8"),
            (
                "concurrency_per_agent",
                jobs.concurrency_per_agent,
                "the default is 1",
            ),
            ("max_queued", jobs.max_queued, "the default is 100000"),
        ] {
            if number == 0 {
                self.report(
                    &format!("/jobs/{key}"),
                    format!("`jobs.{key}` must be at least 1"),
                    help,
                );
            }
        }
        if jobs.lease.0 < Duration::from_secs(1) {
            self.report(
                "/jobs/lease",
                "`jobs.lease` must be at least 1s",
                "the default is \"1m\"; after a restart no lease is waited for",
            );
        }
        for (name, &limit) in &jobs.agents {
            let name = name.as_str();
            if limit == 0 {
                self.report(
                    &format!("/jobs/agents/{name}"),
                    format!("`jobs.agents.{name}` must be at least 1"),
                    "remove the key for `jobs.concurrency_per_agent`",
                );
            }
        }
    }

    fn store(&mut self, config: &Config) {
        if config.store.max_conversations == 0 {
            self.report(
                "/store/max_conversations",
                "`store.max_conversations` must be at least 1",
                "to keep none, set store.conversations = false",
            );
        }
    }

    fn plugins(&mut self, config: &Config) {
        let entries = &config.plugins.load;
        for (index, entry) in entries.iter().enumerate() {
            if entries[..index].iter().any(|it| it.name == entry.name) {
                self.report(
                    &format!("/plugins/load/{index}/name"),
                    format!("two plugins are named {:?}", entry.name.as_str()),
                    "give each instance a name of its own, and the same `library`",
                );
            }
        }
    }

    fn tool(&mut self, name: &str, tool: &Tool) {
        let pointer = format!("/tools/{}", escaped(name));
        if tool.schema.is_some() && !tool.client {
            self.report(
                &format!("{pointer}/schema"),
                format!("`tools.{name}.schema` is set, but a library's tool brings its own"),
                "set client = true if the client runs this tool, or remove the schema",
            );
        }
        self.deadline_at(
            &pointer,
            &format!("tools.{name}"),
            "result_timeout",
            tool.result_timeout,
        );
        if let Some(approval) = &tool.approval {
            let pointer = format!("{pointer}/approval");
            let path = format!("tools.{name}.approval");
            self.deadline_at(&pointer, &path, "timeout", approval.timeout);
        }
        self.schema_at(
            &pointer,
            &format!("tools.{name}"),
            "schema",
            tool.schema.as_ref(),
        );
    }

    fn agent(&mut self, name: &str, agent: &Agent) {
        let pointer = format!("/agents/{}", escaped(name));
        let path = format!("agents.{name}");
        if agent.model.is_some() && agent.agent.is_some() {
            self.report(
                &format!("{pointer}/agent"),
                format!("`{path}` has both a `model` and an `agent`"),
                "keep `model` for an agent declared here, `agent` for one of a library",
            );
        }
        if agent.max_steps == Some(0) {
            self.report(
                &format!("{pointer}/max_steps"),
                format!("`{path}.max_steps` must be at least 1"),
                "remove the key for no limit",
            );
        }
        for (index, rule) in agent.rules.iter().enumerate() {
            self.rule(&format!("{pointer}/rules/{index}"), &path, rule);
        }
        for (key, deadline) in [
            (
                "client_tool_result_timeout",
                agent.client_tool_result_timeout,
            ),
            ("tool_approval_timeout", agent.tool_approval_timeout),
        ] {
            self.deadline_at(&pointer, &path, key, deadline);
        }
        for (key, schema) in [
            ("output_schema", &agent.output_schema),
            ("context_schema", &agent.context_schema),
        ] {
            self.schema_at(&pointer, &path, key, schema.as_ref());
        }
    }

    fn rule(&mut self, pointer: &str, path: &str, rule: &Rule) {
        let when = rule.when.value().as_object();
        let conditions = || when.into_iter().flatten();
        if conditions().next().is_none() {
            self.report(
                &format!("{pointer}/when"),
                format!("a rule of `{path}` has an empty `when`"),
                "name what the context has to hold, such as { plan = \"pro\" }; what holds for \
                 every run is said of the agent itself",
            );
        }
        for (key, wanted) in conditions() {
            let is_plain = |it: &Value| it.is_string() || it.is_number() || it.is_boolean();
            let fits = match wanted {
                Value::Array(several) => !several.is_empty() && several.iter().all(is_plain),
                one => is_plain(one),
            };
            if !fits {
                self.report(
                    &format!("{pointer}/when/{}", escaped(key)),
                    format!("a rule of `{path}` cannot compare `{key}` with this"),
                    "write a text, a number, true, false, or a list of them",
                );
            }
        }
        if rule.model.is_none() && rule.tools.is_none() {
            self.report(
                pointer,
                format!("a rule of `{path}` changes nothing"),
                "give it a `model`, `tools`, or both",
            );
        }
    }

    fn period(&mut self, path: &str, period: Period) {
        self.positive(&format!("/{}", path.replace('.', "/")), path, period.0);
    }

    fn deadline(&mut self, path: &str, deadline: Deadline) {
        if let Deadline::After(duration) = deadline {
            self.positive(&format!("/{}", path.replace('.', "/")), path, duration);
        }
    }

    fn deadline_at(&mut self, pointer: &str, path: &str, key: &str, deadline: Option<Deadline>) {
        if let Some(Deadline::After(duration)) = deadline {
            self.positive(
                &format!("{pointer}/{key}"),
                &format!("{path}.{key}"),
                duration,
            );
        }
    }

    fn positive(&mut self, pointer: &str, path: &str, duration: Duration) {
        if duration.is_zero() {
            self.report(
                pointer,
                format!("`{path}` must be greater than 0"),
                "write a duration such as \"30s\"",
            );
        }
    }

    fn schema_at(&mut self, pointer: &str, path: &str, key: &str, schema: Option<&FreeTable>) {
        let Some(Err(error)) = schema.map(|it| Schema::compile(it.value())) else {
            return;
        };
        self.report(
            &format!("{pointer}/{key}{}", error.pointer()),
            format!("`{path}.{key}`: {error}"),
            "see https://json-schema.org for what a JSON Schema may say",
        );
    }
}

fn is_token(name: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !name.is_empty() && name.bytes().all(is_plain)
}
