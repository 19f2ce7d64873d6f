//! A client: it begins runs of all kinds, answers what they ask, and follows each to its end over
//! as many servers as that takes.

use std::{io, thread, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    arena::{Arena, Place, Trouble},
    conversation::Conversation,
    record::{Answers, Ask, End, Record},
};
use crate::SseReader;

/// How long a run that asks for nothing may show nothing.
const STANDSTILL: Duration = Duration::from_secs(30);

/// The longest that the client takes to answer, in milliseconds.
const DAWDLE: u64 = 150;

/// Prompts of the agent that has tools. Every call of them is run at most once, but `trace_again`.
const PROMPTS: [&str; 7] = [
    r#"call trace {} && trace {"ms":20}"#,
    r#"call trace_again {"ms":20} && trace {"ms":5}"#,
    r#"call confirm {"q":"?"} && trace {}"#,
    r#"call trace_approved {} && confirm {"q":"?"}"#,
    r#"call trace_again {"ms":50} && confirm {"q":"?"} && trace_approved {"ms":10}"#,
    "call confirm_gate {} && trace {}",
    "loop",
];

/// Steps of a run that would go on for ever.
const STEPS: u32 = 8;

/// A client and what it has seen.
pub(super) struct Client<'a> {
    arena: &'a Arena,
    random: fastrand::Rng,
    conversation: Conversation,
    pub(super) records: Vec<Record>,
    /// Runs that were asked for without a stream and answered.
    pub(super) json_count: usize,
}

impl<'a> Client<'a> {
    pub(super) fn new(arena: &'a Arena, number: usize) -> Self {
        Self {
            arena,
            random: fastrand::Rng::new(),
            conversation: Conversation::new(number),
            records: Vec::new(),
            json_count: 0,
        }
    }

    /// Begins runs until the end, and after something that must not be.
    pub(super) fn work(&mut self) {
        while !self.arena.is_over() {
            if let Err(finding) = self.begin_one() {
                self.arena.findings().add(finding);
            }
        }
    }

    fn begin_one(&mut self) -> Result<(), String> {
        let place = self.arena.place()?;
        let done = match self.random.usize(..12) {
            0 | 1 => self.say_something(place),
            2 => self.ask_for_json(place),
            3..=5 => self.talk(place),
            _ => {
                let prompt = PROMPTS[self.random.usize(..PROMPTS.len())];
                let body = json!({ "input": prompt, "maxSteps": STEPS });
                self.stream(place, "worker", &body).map(drop)
            }
        };
        self.unless_killed(place, done)
    }

    /// A connection breaks when its server is killed, and else never.
    fn unless_killed(&self, place: Place, done: Result<(), Trouble>) -> Result<(), String> {
        match done {
            Ok(()) => Ok(()),
            Err(Trouble::Cut(_)) if self.arena.was_killed(place) => Ok(()),
            Err(Trouble::Cut(error)) => Err(format!("the server lives, and answers: {error}")),
            Err(Trouble::Wrong(finding)) => Err(finding),
        }
    }

    /// A turn of the conversation without a stream.
    fn say_something(&mut self, place: Place) -> Result<(), Trouble> {
        self.conversation.check(place)?;
        let body = json!({ "input": "hello", "conversationId": self.conversation.id() });
        self.conversation.turn_begins();
        let reply = place.post("/api/talker/run").json(&body).try_send()?;
        if reply.status() != 200 {
            return Err(format!("{} to a turn: {}", reply.status(), reply.text()).into());
        }
        self.json_count += 1;
        self.conversation.turn_ends(true);
        self.conversation.check(place)
    }

    fn ask_for_json(&mut self, place: Place) -> Result<(), Trouble> {
        let body = json!({ "input": r#"call trace {"ms":10} && trace {}"# });
        let reply = place.post("/api/tracer/run").json(&body).try_send()?;
        if reply.status() != 200 {
            return Err(format!("{} to JSON: {}", reply.status(), reply.text()).into());
        }
        self.json_count += 1;
        Ok(())
    }

    /// A turn of the conversation as a stream.
    fn talk(&mut self, place: Place) -> Result<(), Trouble> {
        self.conversation.check(place)?;
        let id = self.conversation.id();
        let body = json!({ "input": "tokens=60 delay=1", "conversationId": id });
        self.conversation.turn_begins();
        let end = self.stream(place, "talker", &body)?;
        self.conversation.turn_ends(end == Some(End::Finished));
        Ok(())
    }

    /// How the run ended; `None` if the server was killed before it had shown anything.
    fn stream(&mut self, place: Place, agent: &str, body: &Value) -> Result<Option<End>, Trouble> {
        let request = place.post(&format!("/api/{agent}/run?ids=1")).json(body);
        let reader = request.try_open()?;
        let record = Record::new(reader.run_id());
        Ok(self.follow(record, Some((place, reader)))?)
    }

    /// Follows a run to its end, and keeps what was read of it.
    pub(super) fn follow(
        &mut self,
        mut record: Record,
        opened: Option<(Place, SseReader)>,
    ) -> Result<Option<End>, String> {
        let end = self.follow_to_end(&mut record, opened);
        let checked = end.and_then(|end| record.check_answers().map(|()| end));
        self.records.push(record);
        checked
    }

    fn follow_to_end(
        &mut self,
        record: &mut Record,
        mut opened: Option<(Place, SseReader)>,
    ) -> Result<Option<End>, String> {
        loop {
            let (place, reader) = if let Some((place, reader)) = opened.take() {
                (place, Ok((reader, 0)))
            } else {
                let place = self.arena.place()?;
                (place, self.resume(record, place))
            };
            record.server_count += 1;
            let read = match reader {
                Ok((reader, next)) => self.read(record, place, reader, next),
                Err(error) => Err(error.into()),
            };
            let was_closed = read.is_ok();
            self.unless_killed(place, read)?;
            let end = record.end();
            if was_closed && end.is_none() && !record.events.is_empty() {
                let last = &record.events[record.events.len() - 1];
                return Err(format!("{} ends with {last}", record.run_id));
            }
            if was_closed || end.is_some() {
                return Ok(end);
            }
        }
    }

    /// From the beginning, to see all of it again, or from where the last server was killed.
    fn resume(&mut self, record: &Record, place: Place) -> io::Result<(SseReader, usize)> {
        let run_id = &record.run_id;
        let target = format!("/api/worker/stream-events/resume?streamId={run_id}");
        let request = place.get(&target);
        match record.events.len() {
            next @ 1.. if self.random.bool() => {
                let last = (next - 1).to_string();
                Ok((request.header("last-event-id", &last).try_open()?, next))
            }
            _ => Ok((request.try_open()?, 0)),
        }
    }

    /// Reads until the stream is closed.
    fn read(
        &mut self,
        record: &mut Record,
        place: Place,
        mut reader: SseReader,
        mut next: usize,
    ) -> Result<(), Trouble> {
        let mut moved_at = Instant::now();
        // What was asked before the last server was killed may have got lost with it.
        self.answer_all(record, place)?;
        while let Some(frame) = reader.try_next_frame()? {
            if frame.comment.is_some() {
                if moved_at.elapsed() > STANDSTILL {
                    let last = record.events.last();
                    return Err(format!("{} stands still at {last:?}", record.run_id).into());
                }
                continue;
            }
            if record.take(&frame, &mut next)? {
                moved_at = Instant::now();
                self.answer_all(record, place)?;
            }
        }
        if next < record.events.len() {
            return Err(format!("{}: events from {next} on are gone", record.run_id).into());
        }
        Ok(())
    }

    /// Says something to everything that is asked, once to each server.
    fn answer_all(&mut self, record: &mut Record, place: Place) -> Result<(), Trouble> {
        for ask in record.open_asks() {
            let answers = record.answers.entry(ask.clone()).or_default();
            if answers.asked_in < place.generation {
                answers.asked_in = place.generation;
                if self.random.bool() {
                    thread::sleep(Duration::from_millis(self.random.u64(..DAWDLE)));
                }
                answer(
                    &record.run_id,
                    &ask,
                    answers,
                    place,
                    self.random.u8(..4) > 0,
                )?;
            }
        }
        Ok(())
    }
}

fn answer(
    run_id: &str,
    ask: &Ask,
    answers: &mut Answers,
    place: Place,
    approves: bool,
) -> Result<(), Trouble> {
    let words = format!("from client of server {}", place.generation);
    let (route, body) = match ask {
        Ask::Approval(call_id) => {
            let decision = if approves { "approved" } else { "denied" };
            let body = json!({
                "runId": run_id, "toolCallId": call_id, "decision": decision, "note": words,
            });
            ("tool-approval", body)
        }
        Ask::Result(call_id) => {
            let body = json!({
                "runId": run_id, "toolCallId": call_id, "status": "success", "result": words,
            });
            ("tool-result", body)
        }
    };
    let request = place.post(&format!("/api/worker/run/{route}")).json(&body);
    let reply = match request.try_send() {
        Ok(reply) => reply,
        Err(error) => {
            answers.unsure.push(words);
            return Err(error.into());
        }
    };
    match (reply.status(), &answers.taken) {
        (204, None) => answers.taken = Some(words),
        (204, Some(taken)) => {
            let finding = format!("{run_id}: {ask:?} is answered {taken:?}, and again {words:?}");
            return Err(finding.into());
        }
        (404, taken) => answers.was_refused |= taken.is_none() && answers.unsure.is_empty(),
        (other, _) => return Err(format!("{run_id}: {other} {}", reply.text()).into()),
    }
    Ok(())
}

impl Record {
    /// What was taken is what the run has shown, and nothing was refused that was asked for.
    fn check_answers(&self) -> Result<(), String> {
        let run_id = &self.run_id;
        for (ask, answers) in &self.answers {
            if answers.was_refused && self.end() == Some(End::Finished) {
                return Err(format!("{run_id}: {ask:?} was refused: {answers:?}"));
            }
            let Some(shown) = self.shown_answer(ask) else {
                continue;
            };
            let is_known = match &answers.taken {
                Some(taken) => shown == taken,
                None => answers.unsure.iter().any(|unsure| shown == unsure),
            };
            if !is_known {
                return Err(format!("{run_id}: {ask:?} shows {shown} of {answers:?}"));
            }
        }
        Ok(())
    }
}
