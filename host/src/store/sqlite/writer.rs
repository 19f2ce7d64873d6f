//! The one writer: it commits all that has gathered since its last commit, in one transaction.
//!
//! Whoever waits is told after the commit. When a transaction fails, all of it is undone and
//! everybody in it is told so; what was stored before stays as it was, and that runs have begun, or
//! have ended without anybody who waits for that, is stored with the next one. Where the database
//! cannot be written, nothing is begun until it can.

mod forget;
mod group;
mod runs;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::group::{Group, Told};
use self::waiting::Waiting;
use super::super::{
    Acknowledge, AuditRecord, Begun, Booking, ConversationKey, Entry, Expected, Finish, Finished,
    IdempotencyKey, JobChange, KeyedRun, LeaseRequest, Leased, Limits, StoreError, StoredJob,
    StoredRun,
};
use super::health::Health;
use super::lock::DatabaseLock;
use super::room::Room;
use super::{jobs, schema};
use crate::clock::{Clock, millis};

/// How many commands one transaction takes.
const GROUP: usize = 512;
/// How often old runs are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(30);
/// How often it is tried whether a database can be written again that could not.
const TRY_AGAIN: Duration = Duration::from_secs(1);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something that is to be stored.
pub(super) enum Command {
    Open {
        run: StoredRun,
        request: Option<String>,
    },
    Append {
        run_id: Arc<str>,
        entry: Entry,
        writer: Arc<dyn Acknowledge>,
    },
    Finish {
        run_id: Arc<str>,
        finish: Finish,
        answer: Answer<Finished>,
    },
    /// The end of a run that nobody waits for.
    End {
        run_id: Arc<str>,
        finish: Finish,
    },
    DeleteConversation {
        key: ConversationKey,
        answer: Answer<bool>,
    },
    Claim {
        key: IdempotencyKey,
        run: KeyedRun,
        begun: Option<Box<Begun>>,
        answer: Answer<Option<KeyedRun>>,
    },
    EnqueueJob {
        job: Box<StoredJob>,
        most: usize,
        answer: Answer<bool>,
    },
    LeaseJob {
        request: LeaseRequest,
        answer: Answer<Leased>,
    },
    ChangeJob {
        id: String,
        change: Box<JobChange>,
        answer: Answer<Option<StoredJob>>,
    },
    Audit(AuditRecord),
    Book(Booking),
    /// Nothing: the answer comes when all that was queued before is committed.
    Settle {
        answer: Answer<()>,
    },
    SetState {
        instance: String,
        key: String,
        expected: Expected,
        value: Value,
        answer: Answer<bool>,
    },
    Close {
        answer: Answer<()>,
    },
}

/// The writer and its connection.
pub(super) struct Writer {
    /// `None` after a transaction failed: what is left of it goes with the connection.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    /// Let go of after the connection.
    _lock: DatabaseLock,
    limits: Limits,
    clock: Clock,
    health: Health,
    waiting: Waiting,
    known: Known,
    /// When it is tried again whether the database can be written.
    try_again: Instant,
    forgot_at: u64,
}

/// What the writer need not look up each time.
#[derive(Debug, Default)]
struct Known {
    jobs: jobs::Known,
    state: Room,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        lock: DatabaseLock,
        limits: Limits,
        clock: Clock,
        health: Health,
    ) -> Self {
        Self {
            connection: Some(connection),
            options,
            _lock: lock,
            limits,
            clock,
            health,
            waiting: Waiting::default(),
            known: Known::default(),
            try_again: Instant::now(),
            forgot_at: 0,
        }
    }

    /// Commits until the store is closed or dropped.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        let mut commands = Vec::with_capacity(GROUP);
        let mut closing = Vec::new();
        while closing.is_empty() && self.gather(&mut queue, &mut commands).await {
            if commands
                .iter()
                .any(|it| matches!(it, Command::Close { .. }))
            {
                // Nothing comes after the end, and nothing that came before is lost.
                queue.close();
                while let Some(command) = queue.recv().await {
                    commands.push(command);
                }
            }
            for command in commands.extract_if(.., |it| matches!(it, Command::Close { .. })) {
                closing.extend(match command {
                    Command::Close { answer } => Some(answer),
                    _ => None,
                });
            }
            if !closing.is_empty() && self.health.get().is_some() {
                // For the last time.
                self.try_to_write().await;
            }
            self.commit(&mut commands).await;
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed in order");
        }
        for answer in closing {
            let _ = answer.send(Ok(()));
        }
    }

    /// Waits for something to store; whether there may be more.
    ///
    /// While the database cannot be written, whoever comes is refused at once, and it is tried
    /// again and again: a server that says that it is not ready may be asked nothing. What waits
    /// for the next transaction does not wait for more to come.
    async fn gather(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Command>,
        commands: &mut Vec<Command>,
    ) -> bool {
        loop {
            let gathered = queue.recv_many(commands, GROUP);
            if self.health.get().is_none() && self.waiting.is_empty() {
                return gathered.await > 0;
            }
            if let Ok(count) = tokio::time::timeout_at(self.try_again, gathered).await {
                return count > 0;
            }
            if self.health.get().is_some() {
                self.try_to_write().await;
                if self.health.get().is_some() {
                    continue;
                }
                tracing::info!("the database can be written again");
            }
            return true;
        }
    }

    async fn commit(&mut self, commands: &mut Vec<Command>) {
        self.waiting.take(commands);
        self.waiting.refuse_broken(commands);
        let going_on = waiting::going_on(commands);
        if let Some(error) = self.health.get() {
            self.waiting.note_broken(going_on);
            self.waiting.drop_requests();
            return commands.drain(..).for_each(|it| it.refuse(&error));
        }
        let now = self.clock.now_millis();
        let mut told = Vec::with_capacity(commands.len());
        let stored = self.store(commands, now, &mut told).await;
        let outcome = match stored {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "a transaction failed; nothing of it was stored");
                if let Some(connection) = self.connection.take() {
                    // Until it is closed, it holds the database. What it says was said before.
                    let _ = connection.close().await;
                }
                self.health.notice(&error);
                self.waiting.note_broken(going_on);
                self.try_to_write().await;
                Err(StoreError::from(error))
            }
        };
        for told in told {
            told(outcome.clone());
        }
        // Those that the failed transaction did not come to.
        for command in commands.drain(..) {
            if let Err(error) = &outcome {
                command.refuse(error);
            }
        }
    }

    /// Finds out whether the database can be written, without waiting for who holds it.
    async fn try_to_write(&mut self) {
        if self.health.is_damaged() {
            self.try_again = Instant::now() + TRY_AGAIN;
            return;
        }
        let options = self.options.clone().busy_timeout(Duration::ZERO);
        let tried = async {
            let mut connection = options.connect().await?;
            schema::stamp(&mut connection).await?;
            connection.close().await
        };
        let failure = tried.await.err().map(StoreError::from);
        self.health.set(failure);
        self.try_again = Instant::now() + TRY_AGAIN;
    }

    async fn store(
        &mut self,
        commands: &mut Vec<Command>,
        now: u64,
        told: &mut Vec<Told>,
    ) -> Result<(), sqlx::Error> {
        let forgets = now.saturating_sub(self.forgot_at) >= millis(FORGET_EVERY);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let mut group = Group {
            transaction: connection.begin_with("begin immediate").await?,
            limits: &self.limits,
            known: &mut self.known,
            now,
            told: Vec::new(),
        };
        let mut filled = group.fill(&self.waiting, commands).await;
        let mut forgot_all = false;
        if forgets && filled.is_ok() {
            filled = group.forget().await.map(|all| forgot_all = all);
        }
        told.append(&mut group.told);
        filled?;
        group.transaction.commit().await?;
        self.waiting.clear();
        if forgot_all {
            self.forgot_at = now;
        }
        Ok(())
    }
}

// === impl Command ===

impl Command {
    fn refuse(self, error: &StoreError) {
        let error = error.clone();
        // Whoever asked may have gone.
        match self {
            Self::Open { .. } | Self::End { .. } | Self::Audit(_) | Self::Book(_) => {}
            Self::Append { writer, .. } => writer.failed(&error),
            Self::Finish { answer, .. } => drop(answer.send(Err(error))),
            Self::DeleteConversation { answer, .. } | Self::SetState { answer, .. } => {
                drop(answer.send(Err(error)));
            }
            Self::Claim { answer, .. } => drop(answer.send(Err(error))),
            Self::EnqueueJob { answer, .. } => drop(answer.send(Err(error))),
            Self::LeaseJob { answer, .. } => drop(answer.send(Err(error))),
            Self::ChangeJob { answer, .. } => drop(answer.send(Err(error))),
            Self::Settle { answer } | Self::Close { answer } => drop(answer.send(Err(error))),
        }
    }
}
