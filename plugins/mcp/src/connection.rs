//! A connection to a server: opened, asked for its tools, listened to, closed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RunningService,
    RunningServiceCancellationToken, Subscription,
};
use rmcp::{Peer, RoleClient};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::child::{self, Running};
use crate::config::{Place, Protocol, Settings};
use crate::error::{self, ConnectError};
use crate::listener::Listener;
use crate::remote;

/// A server that speaks, and how it is heard.
pub(crate) struct Connection {
    speaker: Speaker,
    token: RunningServiceCancellationToken,
    /// Its end; `None` once it has come.
    ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    child: Option<Running>,
    news: Arc<Notify>,
    /// Where news come in, in the new protocol.
    subscription: Option<Subscription>,
}

/// A server that speaks.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) capabilities: ServerCapabilities,
    pub(crate) version: ProtocolVersion,
}

/// What a connection has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The tools are others.
    Changed,
    /// Nothing will be told any more unless it is asked for again.
    Unsubscribed,
    /// The connection is over.
    Ended,
}

/// The longest message of a server. Longer ones are not read, so that their calls time out.
pub(crate) const LONGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(300);
/// How long asking for news may take.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(3);

// === impl Connection ===

impl Connection {
    /// Connects, in the new protocol or the old one.
    pub(crate) async fn open(
        settings: &Settings,
        protocol: Protocol,
        tasks: &TaskTracker,
    ) -> Result<Self, ConnectError> {
        let mode = match protocol {
            Protocol::Handshake => ClientLifecycleMode::Initialize,
            Protocol::Stateless => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
            Protocol::Auto => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: None,
            },
        };
        let news = Arc::<Notify>::default();
        let listener = Listener::new(&settings.name, Arc::clone(&news));
        match &settings.place {
            Place::Program(program) => {
                let (transport, child) = child::run(&settings.name, program, tasks)?;
                let service = listener.serve_with_lifecycle(transport, mode).await;
                Ok(Self::new(
                    service.map_err(|error| failed(&error))?,
                    Some(child),
                    news,
                ))
            }
            Place::Url(remote) => {
                let transport = remote::transport(remote)?;
                let service = listener.serve_with_lifecycle(transport, mode).await;
                Ok(Self::new(
                    service.map_err(|error| failed(&error))?,
                    None,
                    news,
                ))
            }
        }
    }

    fn new(
        service: RunningService<RoleClient, Listener>,
        child: Option<Running>,
        news: Arc<Notify>,
    ) -> Self {
        let peer = service.peer().clone();
        let info = peer.peer_info();
        let token = service.cancellation_token();
        let speaker = Speaker {
            capabilities: info
                .as_ref()
                .map(|it| it.capabilities.clone())
                .unwrap_or_default(),
            version: info
                .as_ref()
                .map(|it| it.protocol_version.clone())
                .unwrap_or_default(),
            peer,
        };
        Self {
            speaker,
            token,
            ended: Some(Box::pin(async move {
                // However it has ended: it is over.
                let _ = service.waiting().await;
            })),
            child,
            news,
            subscription: None,
        }
    }

    pub(crate) fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// Asks for news, where a server of the new protocol has any.
    pub(crate) async fn subscribe(&mut self) -> Result<(), String> {
        let has_news = self.speaker.capabilities.tools.as_ref();
        let has_news = has_news.is_some_and(|tools| tools.list_changed == Some(true));
        if self.speaker.version.has_initialize() || !has_news {
            return Ok(());
        }
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        match timeout(SUBSCRIBE_LIMIT, self.speaker.peer.listen(filter)).await {
            Ok(Ok(subscription)) => {
                self.subscription = Some(subscription);
                Ok(())
            }
            Ok(Err(error)) => Err(error::of_service(&error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Waits until there is something to tell.
    pub(crate) async fn news(&mut self) -> News {
        let subscribed = async {
            match &mut self.subscription {
                Some(subscription) => matches!(subscription.next().await, Ok(Some(_))),
                None => std::future::pending().await,
            }
        };
        let ended = async {
            if let Some(ended) = &mut self.ended {
                ended.await;
            }
            self.ended = None;
        };
        tokio::select! {
            biased;
            () = ended => News::Ended,
            () = self.news.notified() => News::Changed,
            is_news = subscribed => {
                if is_news {
                    News::Changed
                } else {
                    self.subscription = None;
                    News::Unsubscribed
                }
            }
        }
    }

    /// Ends it; says how a program has ended.
    pub(crate) async fn close(mut self) -> Option<String> {
        self.subscription = None;
        self.token.cancel();
        if let Some(ended) = self.ended {
            // Whatever is not done by then is dropped.
            let _ = timeout(GOODBYE, ended).await;
        }
        self.child?.stop().await
    }
}

// === impl Speaker ===

impl Speaker {
    /// Everything that the server lists.
    pub(crate) async fn tools(&self, most: usize) -> Result<Vec<Tool>, ConnectError> {
        let mut tools = Vec::new();
        if self.capabilities.tools.is_none() {
            return Ok(tools);
        }
        let mut cursor = None;
        // A page without tools is a page all the same: lists without end have one, too.
        for _page in 0..=most {
            let mut params = PaginatedRequestParams::default();
            params.cursor = cursor;
            let listed = self.peer.list_tools(Some(params)).await;
            let listed = listed.map_err(|error| ConnectError::List(error::of_service(&error)))?;
            tools.extend(listed.tools);
            if tools.len() > most {
                break;
            }
            cursor = listed.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(ConnectError::TooMany(most))
    }
}

fn failed(error: &ClientInitializeError) -> ConnectError {
    ConnectError::Handshake(error::of_handshake(error))
}
