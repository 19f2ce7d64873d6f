//! The store in a file: SQLite, with one writer that commits what has gathered since its last
//! commit, and a few readers beside it.

mod check;
mod health;
mod jobs;
mod lock;
mod reads;
mod room;
mod schema;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mortise_plugin_api::{Principal, TotalUsage};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot};

use self::health::Health;
use self::lock::DatabaseLock;
use self::writer::{Command, Writer};
use super::{
    Acknowledge, Appended, AuditRecord, Begun, Booking, ConversationKey, DailyUsage, Entry,
    EventBatch, Expected, Finish, Finished, IdempotencyKey, JobChange, JobFilter, Keeps, KeyedRun,
    LeaseRequest, Leased, Limits, OpenFuture, RunFilter, Store, StoreError, StoreFuture,
    StoredConversation, StoredJob, StoredRun, UnfinishedRun,
};
use crate::clock::Clock;
use crate::shutdown::Tasks;

/// The store in a file.
pub(crate) struct SqliteStore {
    path: PathBuf,
    limits: Limits,
    clock: Clock,
    commands: mpsc::UnboundedSender<Command>,
    /// Taken by the writer, once the database is open.
    queue: Mutex<Option<mpsc::UnboundedReceiver<Command>>>,
    readers: SqlitePool,
    health: Health,
    tasks: Tasks,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub(crate) struct OpenError {
    path: PathBuf,
    cause: OpenCause,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
enum OpenCause {
    #[error("another server uses the database: process {holder} holds {}", path.display())]
    InUse { path: PathBuf, holder: String },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the folder {} cannot be made: {source}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the file cannot be made: {0}")]
    File(#[source] std::io::Error),
    #[error("the file is not a database of Mortise")]
    Foreign,
    #[error("the database has version {found}, and this server knows versions up to {known}")]
    Newer { found: i64, known: usize },
    #[error(
        "the file is missing or empty, but {} has what was written to it",
        path.display()
    )]
    Lost { path: PathBuf },
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
}

/// How long a statement waits for another program that has locked the database.
const BUSY: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

// === impl SqliteStore ===

impl SqliteStore {
    /// A store in this file, which is not touched before [`open`](Store::open).
    pub(crate) fn new(path: &Path, limits: Limits, clock: Clock) -> Self {
        let (commands, queue) = mpsc::unbounded_channel();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(
                options(path, &limits)
                    .read_only(true)
                    .create_if_missing(false),
            );
        Self {
            path: path.to_owned(),
            limits,
            clock,
            commands,
            queue: Mutex::new(Some(queue)),
            readers,
            health: Health::default(),
            tasks: Tasks::new(),
        }
    }

    async fn connect(&self) -> Result<Writer, OpenCause> {
        make_folder(&self.path)?;
        let lock = DatabaseLock::take(&self.path)?;
        check_log(&self.path)?;
        make_file(&self.path)?;
        let options = options(&self.path, &self.limits);
        let mut connection = options.connect().await?;
        schema::prepare(&mut connection).await?;
        Ok(Writer::new(
            connection,
            options,
            lock,
            self.limits.clone(),
            self.clock,
            self.health.clone(),
        ))
    }

    fn failed(&self, cause: OpenCause) -> OpenError {
        OpenError {
            path: self.path.clone(),
            cause,
        }
    }

    /// Queues a command; the answer comes once it is committed.
    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> StoreFuture<'static, T> {
        ask(&self.commands, command)
    }

    /// Reads; damage that this meets is remembered.
    async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        reading.await.map_err(|error| {
            self.health.notice(&error);
            error.into()
        })
    }
}

fn ask<T: Send + 'static>(
    commands: &mpsc::UnboundedSender<Command>,
    command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
) -> StoreFuture<'static, T> {
    let (answer, answered) = oneshot::channel();
    let queued = commands.send(command(answer)).is_ok();
    Box::pin(async move {
        match answered.await {
            Ok(answer) if queued => answer,
            _ => Err(closed()),
        }
    })
}

fn closed() -> StoreError {
    StoreError("the database was closed".into())
}

/// SQLite would throw away the log of a database that is not there.
fn check_log(database: &Path) -> Result<(), OpenCause> {
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let log = beside(database, "-wal");
    if size(database) == 0 && size(&log) > 0 {
        return Err(OpenCause::Lost { path: log });
    }
    Ok(())
}

/// A file with the name of the database and something behind it.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn make_folder(database: &Path) -> Result<(), OpenCause> {
    use std::os::unix::fs::DirBuilderExt as _;

    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => return Ok(()),
    };
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| OpenCause::Folder {
            path: folder.to_owned(),
            source,
        })
}

/// SQLite would let everybody read what people have said; the files that it makes beside this one
/// have the mode of this one.
fn make_file(database: &Path) -> Result<(), OpenCause> {
    use std::io::ErrorKind;
    use std::os::unix::fs::OpenOptionsExt as _;

    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(OpenCause::File(error)),
        _ => Ok(()),
    }
}

fn options(path: &Path, limits: &Limits) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if limits.is_synced {
            SqliteSynchronous::Full
        } else {
            SqliteSynchronous::Normal
        })
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

impl Store for SqliteStore {
    fn keeps(&self) -> Keeps {
        self.limits.keeps
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn check(&self) -> OpenFuture<'_> {
        Box::pin(async {
            check::check(&self.path)
                .await
                .map_err(|cause| self.failed(cause))
        })
    }

    fn open(&self) -> OpenFuture<'_> {
        Box::pin(async {
            let writer = self.connect().await.map_err(|cause| self.failed(cause))?;
            let queue = self
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(queue) = queue {
                self.tasks.spawn(writer.run(queue));
            }
            Ok(())
        })
    }

    fn failure(&self) -> Option<StoreError> {
        self.health.get()
    }

    fn open_run(&self, run: StoredRun, request: Option<String>) {
        // Nobody waits for the beginning: it is stored before whatever else is stored of the run.
        let _ = self.commands.send(Command::Open { run, request });
    }

    fn append(
        &self,
        run_id: &Arc<str>,
        entry: Entry,
        writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError> {
        let append = Command::Append {
            run_id: Arc::clone(run_id),
            entry,
            writer,
        };
        match self.commands.send(append) {
            Ok(()) => Ok(Appended::Queued),
            Err(_) => Err(closed()),
        }
    }

    fn finish_run(&self, run_id: &Arc<str>, finish: Finish) -> StoreFuture<'static, Finished> {
        let run_id = Arc::clone(run_id);
        self.ask(|answer| Command::Finish {
            run_id,
            finish,
            answer,
        })
    }

    fn end_run(&self, run_id: &Arc<str>, finish: Finish) {
        let run_id = Arc::clone(run_id);
        let _ = self.commands.send(Command::End { run_id, finish });
    }

    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>> {
        let run_id = run_id.to_owned();
        Box::pin(async move {
            self.ask(|answer| Command::Settle { answer }).await?;
            self.read(reads::run(&self.readers, &run_id)).await
        })
    }

    fn runs(&self, filter: RunFilter) -> StoreFuture<'_, Vec<StoredRun>> {
        Box::pin(async move {
            // A run whose answer was read is in the list.
            self.ask(|answer| Command::Settle { answer }).await?;
            self.read(reads::runs(&self.readers, &filter)).await
        })
    }

    fn unfinished_runs(&self) -> StoreFuture<'_, Vec<UnfinishedRun>> {
        Box::pin(async move { self.read(reads::unfinished_runs(&self.readers)).await })
    }

    fn events(&self, run_id: &str, next: u64, limit: u64) -> StoreFuture<'_, Vec<EventBatch>> {
        let run_id = run_id.to_owned();
        Box::pin(async move {
            self.read(reads::events(&self.readers, &run_id, next, limit))
                .await
        })
    }

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>> {
        let key = key.clone();
        Box::pin(async move { self.read(reads::conversation(&self.readers, &key)).await })
    }

    fn delete_conversation(&self, key: ConversationKey) -> StoreFuture<'static, bool> {
        self.ask(|answer| Command::DeleteConversation { key, answer })
    }

    fn claim(
        &self,
        key: IdempotencyKey,
        run: KeyedRun,
        begun: Option<Begun>,
    ) -> StoreFuture<'static, Option<KeyedRun>> {
        let begun = begun.map(Box::new);
        self.ask(|answer| Command::Claim {
            key,
            run,
            begun,
            answer,
        })
    }

    fn enqueue_job(&self, job: StoredJob, most: usize) -> StoreFuture<'static, bool> {
        let job = Box::new(job);
        self.ask(|answer| Command::EnqueueJob { job, most, answer })
    }

    fn job(&self, id: &str) -> StoreFuture<'_, Option<StoredJob>> {
        let id = id.to_owned();
        Box::pin(async move { self.read(jobs::job(&self.readers, &id)).await })
    }

    fn jobs(&self, filter: JobFilter) -> StoreFuture<'_, Vec<StoredJob>> {
        Box::pin(async move { self.read(jobs::jobs(&self.readers, &filter)).await })
    }

    fn lease_job(&self, request: LeaseRequest) -> StoreFuture<'static, Leased> {
        self.ask(|answer| Command::LeaseJob { request, answer })
    }

    fn change_job(&self, id: &str, change: JobChange) -> StoreFuture<'static, Option<StoredJob>> {
        let (id, change) = (id.to_owned(), Box::new(change));
        self.ask(|answer| Command::ChangeJob { id, change, answer })
    }

    fn audit(&self, record: AuditRecord) {
        let _ = self.commands.send(Command::Audit(record));
    }

    fn book(&self, booking: Booking) {
        let _ = self.commands.send(Command::Book(booking));
    }

    fn usage(&self, owner: &Principal, since: u64) -> StoreFuture<'_, Vec<DailyUsage>> {
        let owner = owner.clone();
        Box::pin(async move {
            // A run whose answer was read is counted.
            self.ask(|answer| Command::Settle { answer }).await?;
            self.read(reads::usage(&self.readers, &owner, since)).await
        })
    }

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>> {
        let (instance, key) = (instance.to_owned(), key.to_owned());
        Box::pin(async move {
            self.read(reads::state(&self.readers, &instance, &key))
                .await
        })
    }

    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'static, bool> {
        let (instance, key) = (instance.to_owned(), key.to_owned());
        self.ask(|answer| Command::SetState {
            instance,
            key,
            expected,
            value,
            answer,
        })
    }

    fn close(&self) -> StoreFuture<'static, ()> {
        let is_open = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none();
        let (readers, commands) = (self.readers.clone(), self.commands.clone());
        Box::pin(async move {
            // The writer last: who closes a database last leaves one file.
            readers.close().await;
            if is_open {
                ask(&commands, |answer| Command::Close { answer }).await?;
            }
            Ok(())
        })
    }
}

// === impl OpenError ===

impl OpenError {
    /// What the operator can do.
    pub(crate) fn help(&self) -> &'static str {
        match self.cause {
            OpenCause::InUse { .. } => {
                "stop the other server, or give this one another file in store.url"
            }
            OpenCause::Unwritable { .. } | OpenCause::Folder { .. } | OpenCause::File(_) => {
                "the folder of the database must be writable for the user of the server"
            }
            OpenCause::Lost { .. } => {
                "put the file back; to begin anew, remove those beside it too"
            }
            OpenCause::Foreign => "name another file in store.url; this one was not touched",
            OpenCause::Newer { .. } => {
                "use the newer server, or another file; this one was not touched"
            }
            OpenCause::Database(_) => {
                "check the file, its permissions and the space on its disk; `sqlite3 FILE \
                 'pragma integrity_check'` tells of damage"
            }
        }
    }
}

// === impl StoreError ===

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// SQLite's numbers are signed; ours are never that large.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn usage_json(usage: Option<&TotalUsage>) -> Option<String> {
    usage.and_then(|usage| serde_json::to_string(usage).ok())
}
