//! A server and whoever looks after it: connects, lists, connects again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Protocol, Settings};
use crate::connection::{Connection, News, Speaker};
use crate::error::ConnectError;
use crate::line::Line;
use crate::tool;

/// A server that the configuration names.
pub(crate) struct Server {
    settings: Settings,
    line: Arc<Line>,
    toolset: Toolset,
    /// What was offered last: the same list again is no news.
    offered: Mutex<Vec<ToolInfo>>,
    /// It has turned out to speak the old protocol.
    is_old: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The first wait before connecting again; each further one is twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that has lasted as long begins with the first wait again.
const STEADY: Duration = Duration::from_secs(60);
/// What is waited for more news of the same kind.
const SETTLE: Duration = Duration::from_millis(500);

// === impl Server ===

impl Server {
    pub(crate) fn new(
        settings: Settings,
        toolset: Toolset,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            line: Arc::new(Line::new(&settings.name, settings.call_timeout)),
            settings,
            toolset,
            offered: Mutex::default(),
            is_old: AtomicBool::new(false),
            stop,
            tasks,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn is_required(&self) -> bool {
        self.settings.is_required
    }

    pub(crate) fn toolset(&self) -> &Toolset {
        &self.toolset
    }

    /// Connects and offers the tools.
    pub(crate) async fn open(&self) -> Result<Connection, ConnectError> {
        let limit = self.settings.connect_timeout;
        let opened = timeout(limit, async {
            let connection = self.connect().await?;
            self.offer(connection.speaker()).await?;
            Ok(connection)
        });
        let opened = opened.await.unwrap_or(Err(ConnectError::Slow(limit)));
        let mut connection = opened.inspect_err(|error| self.line.down(error.to_string()))?;
        if let Err(cause) = connection.subscribe().await {
            tracing::warn!(server = self.name(), "tells nothing of new tools: {cause}");
        }
        tracing::info!(
            server = self.name(),
            protocol = %connection.speaker().version,
            "MCP server connected"
        );
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let settings = &self.settings;
        let open = |protocol| Connection::open(settings, protocol, &self.tasks);
        let is_auto = settings.protocol == Protocol::Auto;
        let protocol = if is_auto && self.is_old.load(Ordering::Relaxed) {
            Protocol::Handshake
        } else {
            settings.protocol
        };
        let opened = match open(protocol).await {
            // Some servers of the old protocol cannot even be asked for the new one.
            Err(ConnectError::Handshake(_)) if protocol == Protocol::Auto => {
                open(Protocol::Handshake).await
            }
            opened => opened,
        };
        let is_old = opened
            .as_ref()
            .is_ok_and(|it| it.speaker().version.has_initialize());
        self.is_old.store(is_old, Ordering::Relaxed);
        opened
    }

    /// Lists the tools and offers them.
    async fn offer(&self, speaker: &Speaker) -> Result<(), ConnectError> {
        let settings = &self.settings;
        let listed = speaker.tools(settings.max_tools).await?;
        for pattern in settings
            .allow
            .iter()
            .chain(&settings.deny)
            .chain(&settings.approve)
        {
            if pattern.is_exact() && !listed.iter().any(|it| pattern.matches(&it.name)) {
                tracing::warn!(
                    server = self.name(),
                    "has no tool {:?}, which the configuration names",
                    pattern.as_str()
                );
            }
        }
        let (count, capabilities) = (listed.len(), &speaker.capabilities);
        let tools = tool::offered(settings, &self.line, capabilities, listed);
        let infos: Vec<ToolInfo> = tools.iter().map(Tool::info).collect();
        // Before anybody may call them.
        self.line.up(speaker.peer.clone());
        if *self.offered() == infos {
            return Ok(());
        }
        self.toolset
            .replace(tools)
            .await
            .map_err(|error| ConnectError::Offer(error.message().to_owned()))?;
        tracing::info!(
            server = self.name(),
            listed = count,
            offered = infos.len(),
            "tools"
        );
        *self.offered() = infos;
        Ok(())
    }

    fn offered(&self) -> MutexGuard<'_, Vec<ToolInfo>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the server connected until it is told to stop.
    pub(crate) async fn keep(self: Arc<Self>, mut connection: Option<Connection>) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            if let Some(live) = connection.take() {
                let since = Instant::now();
                let Some(cause) = self.attend(live).await else {
                    return;
                };
                if since.elapsed() >= STEADY {
                    pause = SHORTEST_PAUSE;
                }
                tracing::warn!(
                    server = self.name(),
                    "MCP server lost: {cause}; connecting again in {pause:?}"
                );
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            let opened = tokio::select! {
                () = self.stop.cancelled() => return,
                opened = self.open() => opened,
            };
            match opened {
                Ok(opened) => connection = Some(opened),
                Err(error) => tracing::warn!(
                    server = self.name(),
                    "MCP server not connected: {error}; trying again in {pause:?}"
                ),
            }
        }
    }

    /// Looks after a connection until it is lost, and says why; `None` when it is told to stop.
    async fn attend(&self, mut live: Connection) -> Option<String> {
        let lost = tokio::select! {
            () = self.stop.cancelled() => None,
            cause = self.watch(&mut live) => Some(cause),
        };
        let cause = lost.as_deref().unwrap_or("the server stops");
        self.line.down(cause.to_owned());
        let status = live.close().await;
        let cause = match (lost?, status) {
            (cause, Some(status)) => format!("{cause}; its program has ended: {status}"),
            (cause, None) => cause,
        };
        self.line.down(cause.clone());
        Some(cause)
    }

    /// Offers other tools whenever there are others, until the connection is lost; says why.
    async fn watch(&self, live: &mut Connection) -> String {
        let speaker = live.speaker().clone();
        loop {
            let news = tokio::select! {
                news = live.news() => news,
                () = self.line.doubted() => News::Changed,
            };
            if news == News::Ended {
                return "it has closed the connection".to_owned();
            }
            // Whoever has one change has often another one right after it.
            sleep(SETTLE).await;
            if news == News::Unsubscribed
                && let Err(cause) = live.subscribe().await
            {
                return cause;
            }
            match timeout(self.settings.connect_timeout, self.offer(&speaker)).await {
                Ok(Ok(())) => {}
                // Those that are offered stay; calls of tools that have gone are refused.
                Ok(Err(error @ (ConnectError::TooMany(_) | ConnectError::Offer(_)))) => {
                    tracing::warn!(server = self.name(), "its tools stay as they were: {error}");
                }
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "it does not answer".to_owned(),
            }
        }
    }
}
