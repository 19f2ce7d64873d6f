//! A turn of a session: a run that begins, or one that waits with a question and goes on.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunEvents, RunGuard, Transcript};

use crate::Chat;
use crate::history::new_messages;
use crate::question::{Question, question};
use crate::request::{ChatMessage, ChatRequest, new_id};
use crate::wire::frame;

/// A turn that has begun.
pub(crate) struct Turn {
    pub(crate) session: String,
    host: Host,
    pub(crate) run_id: String,
    guard: RunGuard,
    events: RunEvents,
    told: Transcript,
}

/// What a turn shows next.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Something to show in a stream.
    Frame(Value),
    /// The run waits with this question: the turn is over, the run is not.
    Question(String),
    /// The run has ended with this text.
    Done { response: String, usage: Usage },
    /// The run has failed.
    Failed(String),
}

// === impl Chat ===

impl Chat {
    /// Begins a turn, after those that came before it in the session.
    pub(crate) async fn begin(&self, request: ChatRequest, principal: &Principal) -> Result<Turn> {
        let session = request.session.clone().unwrap_or_else(new_id);
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
        let mut told = Transcript::default();
        let mut next = 0;
        // Where the run stands is known when all that has happened so far was read.
        let mut asked: Option<(Question, Transcript, u64)> = None;
        loop {
            let waits = run.last_seq.is_none_or(|last| next > last);
            // Behind a question there may be more calls of the same step: they are shown first.
            let waiting = if waits { asked.take() } else { None };
            if let Some((question, mut at, seq)) = waiting {
                let answer = request.last_of_user().ok_or_else(|| {
                    Error::bad_request("`messages` holds no answer to the question")
                })?;
                let answer = Value::from(answer);
                let (host, id) = (&self.host, &question.call_id);
                let submitted = host.submit_tool_result(&run.run_id, id, Ok(answer.clone()));
                if submitted.await? {
                    at.answered(id, &answer);
                    let turn = self.watch(session.to_owned(), run.run_id, at, Some(seq));
                    return Ok(Some(turn));
                }
            }
            let Some(numbered) = events.next().await.transpose()? else {
                return Ok(None);
            };
            told.add(&numbered.event);
            next = numbered.seq + 1;
            let question = question(&told);
            if asked.as_ref().map(|(asked, ..)| asked) != question.as_ref() {
                asked = question.map(|question| (question, told.clone(), numbered.seq));
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
        let stored = self.host.conversation_of(agent, &session, principal);
        let new = new_messages(&stored.await?.unwrap_or_default(), sent)?;
        let input: Value = new.into_iter().map(ChatMessage::into_item).collect();
        let run = RunRequest::new(agent, input)
            .with_conversation(&session)
            .with_principal(principal.clone())
            .with_unknown_tool_mode(ToolErrorMode::ToolError);
        let run_id = self.host.start_agent(&run).await?;
        Ok(self.watch(session, run_id, Transcript::default(), None))
    }

    /// A turn that shows what happens after event `after`.
    fn watch(&self, session: String, run_id: String, told: Transcript, after: Option<u64>) -> Turn {
        Turn {
            session,
            guard: self.host.leave_on_drop(run_id.as_str()),
            events: self.host.events(run_id.as_str(), after),
            host: self.host.clone(),
            run_id,
            told,
        }
    }
}

// === impl Turn ===

impl Turn {
    /// What comes next; not to be called again after an end.
    pub(crate) async fn next(&mut self) -> Shown {
        loop {
            if let Some(question) = question(&self.told) {
                self.guard.release();
                return Shown::Question(question.text);
            }
            let event = match self.events.next().await {
                Some(Ok(numbered)) => numbered.event,
                Some(Err(error)) => return Shown::Failed(error.for_clients().message().to_owned()),
                None => {
                    let message = "The server stopped, or keeps no events (store.streams).";
                    return Shown::Failed(message.to_owned());
                }
            };
            self.told.add(&event);
            if let Some(end) = self.ended(&event).await {
                self.guard.release();
                return end;
            }
            if let Some(frame) = frame(&event) {
                return Shown::Frame(frame);
            }
        }
    }

    async fn ended(&self, event: &Event) -> Option<Shown> {
        Some(match event {
            Event::RunFinished { .. } => {
                // What the whole run has used; its last answer where the server has forgotten it.
                let status = self.host.run_status(&self.run_id).await.ok().flatten();
                let total = status.and_then(|status| status.usage);
                Shown::Done {
                    response: self.told.text.clone(),
                    usage: total.map_or(self.told.usage, |total| total.tokens),
                }
            }
            Event::RunError { error, .. } => {
                let detail = error["detail"].as_str().unwrap_or("The run failed.");
                Shown::Failed(detail.to_owned())
            }
            Event::RunAborted { .. } => Shown::Failed("The run was aborted.".to_owned()),
            _ => return None,
        })
    }
}
