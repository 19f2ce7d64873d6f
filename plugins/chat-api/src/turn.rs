//! A turn of a session: a run that begins, or one that waits with a question and goes on.

use mortise_plugin_api::RunEvents;
use mortise_plugin_api::prelude::*;
use tokio::runtime::Handle;

use crate::Chat;
use crate::history::new_messages;
use crate::question::{Calls, Question};
use crate::request::{ChatMessage, ChatRequest, new_id};
use crate::wire::{Frame, Tokens};

/// A turn that has begun.
pub(crate) struct Turn {
    pub(crate) session: String,
    watched: Watched,
    events: RunEvents,
    calls: Calls,
}

/// What a turn shows next.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Something to show in a stream.
    Frame(Frame),
    /// The run waits with this question: the turn is over, the run is not.
    Question(String),
    /// The run has ended with this text.
    Done { response: String, usage: Tokens },
    /// The run has failed.
    Failed(String),
}

/// A run that a client watches: the host hears of it when the client goes.
struct Watched {
    host: Host,
    run_id: String,
    runtime: Handle,
    is_over: bool,
}

// === impl Chat ===

impl Chat {
    /// Begins a turn, after those that came before it in the session.
    pub(crate) async fn begin(&self, request: ChatRequest, principal: &Principal) -> Result<Turn> {
        let session = match &request.session {
            Some(session) => session.clone(),
            None => new_id()?,
        };
        let key = json!([principal.tenant, principal.subject, session]).to_string();
        let _place = self.queue.enter(key).await;
        if let Some(turn) = self.answered(&session, &request, principal).await? {
            return Ok(turn);
        }
        self.anew(session, request.messages, principal).await
    }

    /// Answers the question that the session waits with, if it does so; waits for a turn of it that
    /// is under way.
    async fn answered(
        &self,
        session: &str,
        request: &ChatRequest,
        principal: &Principal,
    ) -> Result<Option<Turn>> {
        let agent = self.agent()?;
        let active = self.host.run_of_conversation(agent, session, principal);
        let Some(run) = active.await? else {
            return Ok(None);
        };
        let mut events = self.host.events(run.run_id.as_str(), None);
        let mut calls = Calls::default();
        let mut next = 0;
        // Where the run stands is known when all that has happened so far was read.
        let mut asked: Option<(Question, Calls, u64)> = None;
        loop {
            let waits = run.last_seq.is_none_or(|last| next > last);
            if let (true, Some((question, at, seq))) = (waits, asked.take()) {
                let answer = request.last_of_user().ok_or_else(|| {
                    Error::bad_request("`messages` holds no answer to the question")
                })?;
                let submitted =
                    self.host
                        .submit_tool_result(&run.run_id, &question.call_id, Ok(answer.into()));
                if submitted.await? {
                    let mut calls = at;
                    calls.end(&question.call_id);
                    return Ok(Some(Turn {
                        session: session.to_owned(),
                        watched: Watched::new(&self.host, &run.run_id),
                        events: self.host.events(run.run_id.as_str(), Some(seq)),
                        calls,
                    }));
                }
            }
            let Some(numbered) = events.next().await.transpose()? else {
                return Ok(None);
            };
            calls.take(&numbered.event);
            next = numbered.seq + 1;
            let question = calls.question();
            if asked.as_ref().map(|(asked, ..)| asked) != question.as_ref() {
                asked = question.map(|question| (question, calls.clone(), numbered.seq));
            }
        }
    }

    async fn anew(
        &self,
        session: String,
        sent: Vec<ChatMessage>,
        principal: &Principal,
    ) -> Result<Turn> {
        let agent = self.agent()?;
        let stored = self
            .host
            .conversation_of(agent, &session, principal)
            .await?;
        let new = new_messages(&stored.unwrap_or_default(), sent)?;
        self.sessions.add(principal, &session).await?;
        let input: Value = new.into_iter().map(ChatMessage::into_item).collect();
        let run = RunRequest::new(agent, input)
            .with_conversation(&session)
            .with_principal(principal.clone())
            .with_unknown_tool_mode(ToolErrorMode::ToolError);
        let run_id = self.host.start_agent(&run).await?;
        Ok(Turn {
            session,
            watched: Watched::new(&self.host, &run_id),
            events: self.host.events(run_id, None),
            calls: Calls::default(),
        })
    }
}

// === impl Turn ===

impl Turn {
    /// What comes next; not to be called again after an end.
    pub(crate) async fn next(&mut self) -> Shown {
        loop {
            if let Some(question) = self.calls.question() {
                self.watched.is_over = true;
                return Shown::Question(question.text);
            }
            let event = match self.events.next().await {
                Some(Ok(numbered)) => numbered.event,
                Some(Err(error)) => return Shown::Failed(error.message().to_owned()),
                None => {
                    let message = "The server stopped, or keeps no events (store.streams).";
                    return Shown::Failed(message.to_owned());
                }
            };
            self.calls.take(&event);
            if let Some(end) = self.ended(&event).await {
                self.watched.is_over = true;
                return end;
            }
            if let Some(frame) = Frame::of(event) {
                return Shown::Frame(frame);
            }
        }
    }

    async fn ended(&self, event: &Event) -> Option<Shown> {
        match event {
            Event::RunFinished { result, .. } => {
                let texts = result.response.output.iter().map(Item::text);
                Some(Shown::Done {
                    response: texts.collect(),
                    usage: self.usage(result).await.into(),
                })
            }
            Event::RunError { error, .. } => {
                let detail = error["detail"].as_str();
                Some(Shown::Failed(
                    detail.unwrap_or("The run failed.").to_owned(),
                ))
            }
            Event::RunAborted { .. } => Some(Shown::Failed("The run was aborted.".to_owned())),
            _ => None,
        }
    }

    /// What the whole run has used; its last answer where the server does not remember the run.
    async fn usage(&self, result: &RunResult) -> Usage {
        let status = self.watched.host.run_status(&self.watched.run_id).await;
        let total = status.ok().flatten().and_then(|status| status.usage);
        total.map_or(result.response.usage, |total| total.tokens)
    }
}

// === impl Watched ===

impl Watched {
    fn new(host: &Host, run_id: &str) -> Self {
        Self {
            host: host.clone(),
            run_id: run_id.to_owned(),
            // Asked for here, where there is one for sure.
            runtime: Handle::current(),
            is_over: false,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (host, run_id) = (self.host.clone(), std::mem::take(&mut self.run_id));
        self.runtime.spawn(async move {
            if let Err(error) = host.leave_run(&run_id).await {
                tracing::warn!(run_id, %error, "the server was not told that a client has gone");
            }
        });
    }
}
