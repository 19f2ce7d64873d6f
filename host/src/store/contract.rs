//! What every store must do: one suite, run against each backend.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mortise_plugin_api::{Item, Principal, TotalUsage};
use serde_json::json;
use tokio::sync::Notify;

use super::*;

mod jobs;

const START: u64 = 1_700_000_000_000;

fn clock() -> Clock {
    Clock::of(|| START)
}

fn limits() -> Limits {
    Limits {
        keeps: Keeps {
            streams: true,
            conversations: true,
            runtime_state: true,
        },
        is_synced: false,
        finished_runs: 10,
        finished_for: Duration::from_mins(15),
        conversations: 10,
        state_keys: 2,
    }
}

async fn sqlite(folder: &Path) -> SqliteStore {
    let store = SqliteStore::new(&folder.join("runs.db"), limits(), clock());
    store.open().await.unwrap();
    store
}

/// Runs a test against every backend.
async fn each(test: impl AsyncFn(&dyn Store)) {
    test(&MemoryStore::new(limits(), clock())).await;
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    test(&store).await;
    store.close().await.unwrap();
}

pub(crate) fn new_run(id: &str) -> StoredRun {
    StoredRun {
        id: id.into(),
        owner: Arc::new(Principal::new("ann").with_scope("runs:approve")),
        agent: "plain".into(),
        conversation_id: Some("c1".into()),
        answer: AnswerKind::Stream,
        created_at: START,
        state: RunState::Running,
        ended_at: None,
        usage: None,
    }
}

/// Whoever appends, and hears of it.
#[derive(Default)]
struct Heard {
    notify: Notify,
}

impl Acknowledge for Heard {
    fn stored(&self) {
        self.notify.notify_one();
    }

    fn failed(&self, error: &StoreError) {
        panic!("{error}");
    }
}

/// Whoever appends, and writes down what it hears: whether an entry was stored.
#[derive(Default)]
struct Recorder(Mutex<Vec<bool>>);

impl Recorder {
    fn heard(&self) -> Vec<bool> {
        self.0.lock().unwrap().clone()
    }
}

impl Acknowledge for Recorder {
    fn stored(&self) {
        self.0.lock().unwrap().push(true);
    }

    fn failed(&self, _error: &StoreError) {
        self.0.lock().unwrap().push(false);
    }
}

fn batch(numbers: Range<u64>) -> EventBatch {
    let mut lines = String::new();
    for number in numbers.clone() {
        writeln!(lines, "{{\"n\":{number}}}").unwrap();
    }
    EventBatch::new(numbers.start, Bytes::from(lines))
}

async fn append(store: &dyn Store, run_id: &str, numbers: Range<u64>, marks: Vec<Mark>) {
    let heard = Arc::new(Heard::default());
    let entry = Entry {
        batch: (!numbers.is_empty()).then(|| batch(numbers)),
        marks,
    };
    let writer: Arc<dyn Acknowledge> = Arc::clone(&heard) as _;
    if store.append(&run_id.into(), entry, writer).unwrap() == Appended::Queued {
        heard.notify.notified().await;
    }
}

/// Stores a conversation with the end of a run, as runs do.
async fn save_with(store: &dyn Store, run_id: &str, save: ConversationSave) -> Finished {
    store.open_run(new_run(run_id), Some("{}".into()));
    let finish = Finish {
        conversation: Some(save),
        ..finish(RunState::Finished)
    };
    end(store, run_id, finish).await
}

fn finish(state: RunState) -> Finish {
    Finish {
        state,
        ended_at: START,
        usage: None,
        last_words: None,
        conversation: None,
    }
}

async fn end(store: &dyn Store, run_id: &str, finish: Finish) -> Finished {
    store.finish_run(&run_id.into(), finish).await.unwrap()
}

async fn numbers(store: &dyn Store, run_id: &str, next: u64, limit: u64) -> Vec<u64> {
    let batches = store.events(run_id, next, limit).await.unwrap();
    batches.into_iter().flatten().map(|(n, _)| n).collect()
}

fn key(subject: &str) -> ConversationKey {
    ConversationKey::new(&Principal::new(subject), "plain", "c1")
}

fn save(subject: &str, expected: Option<u64>) -> ConversationSave {
    ConversationSave {
        key: key(subject),
        items: vec![Item::user("hi \u{2028} \0 \u{1f600}")],
        expected,
    }
}

#[tokio::test]
async fn events_come_back_in_order_from_a_number_on() {
    each(async |store| {
        store.open_run(new_run("r"), Some("{}".into()));
        for numbers in [0..2, 2..3, 3..5] {
            append(store, "r", numbers, vec![]).await;
        }
        assert_eq!(numbers(store, "r", 0, 2).await, [0, 1]);
        assert_eq!(numbers(store, "r", 1, 10).await, [1, 2, 3, 4]);
        assert_eq!(numbers(store, "r", 3, 1).await, [3, 4]);
        assert_eq!(numbers(store, "r", u64::MAX, 10).await, [0; 0]);
        assert_eq!(numbers(store, "other", 0, 10).await, [0; 0]);
        let first = store.events("r", 0, 1).await.unwrap().remove(0);
        assert_eq!(first.peek(), Some((0, &b"{\"n\":0}"[..])));
    })
    .await;
}

fn booking(subject: &str, day: u64, runs: u64, cost: &str) -> Booking {
    Booking {
        owner: Arc::new(Principal::new(subject)),
        day,
        used: Used {
            runs,
            total_tokens: 10,
            cost: cost.parse().unwrap(),
            ..Used::default()
        },
    }
}

#[tokio::test]
async fn what_is_used_is_summed_by_principal_and_day() {
    const TODAY: u64 = START / 86_400_000;
    each(async |store| {
        store.book(booking("ann", TODAY, 1, "0.1"));
        store.book(booking("ann", TODAY, 0, "0.000000002"));
        store.book(booking("bob", TODAY, 1, "7"));
        store.book(booking("ann", TODAY - 1, 1, "0"));
        store.book(booking("ann", TODAY - 9, 1, "0"));
        let used = |runs, total_tokens, cost: &str| Used {
            runs,
            total_tokens,
            cost: cost.parse().unwrap(),
            ..Used::default()
        };
        let today = DailyUsage {
            day: TODAY,
            used: used(1, 20, "0.100000002"),
        };
        let yesterday = DailyUsage {
            day: TODAY - 1,
            used: used(1, 10, "0"),
        };
        let ann = Principal::new("ann");
        assert_eq!(store.usage(&ann, TODAY).await.unwrap(), [today]);
        assert_eq!(
            store.usage(&ann, TODAY - 8).await.unwrap(),
            [today, yesterday]
        );
        let nobody = Principal::new("ann").with_tenant("other");
        assert_eq!(store.usage(&nobody, 0).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_run_ends_once_with_its_last_words() {
    each(async |store| {
        store.open_run(new_run("r"), Some("{}".into()));
        append(store, "r", 0..2, vec![]).await;
        let mut total = TotalUsage::default();
        total.tokens.total_tokens = Some(8);
        total.cost = Some("0.5".into());
        let last = Finish {
            last_words: Some(batch(2..3)),
            usage: Some(total.clone()),
            ..finish(RunState::Finished)
        };
        assert_eq!(end(store, "r", last).await, Finished::Won);
        let again = end(store, "r", finish(RunState::Aborted)).await;
        assert_eq!(again, Finished::AlreadyTerminal);
        assert_eq!(numbers(store, "r", 0, 9).await, [0, 1, 2]);
        let run = store.run("r").await.unwrap().unwrap();
        assert_eq!((run.state, run.ended_at), (RunState::Finished, Some(START)));
        assert_eq!(run.usage, Some(total));
        assert_eq!(*run.owner, Principal::new("ann"));
        assert!(run.owner.has_scope("runs:approve"));
        assert_eq!(run.conversation_id.as_deref(), Some("c1"));
    })
    .await;
}

#[tokio::test]
async fn of_two_ends_at_once_one_wins() {
    each(async |store| {
        store.open_run(new_run("r"), Some("{}".into()));
        let one = store.finish_run(&"r".into(), finish(RunState::Finished));
        let other = store.finish_run(&"r".into(), finish(RunState::Aborted));
        let (one, other) = tokio::join!(one, other);
        assert_eq!(one.unwrap(), Finished::Won);
        assert_eq!(other.unwrap(), Finished::AlreadyTerminal);
        assert_eq!(
            end(store, "unknown", finish(RunState::Failed)).await,
            Finished::AlreadyTerminal
        );
    })
    .await;
}

#[tokio::test]
async fn a_run_that_would_overwrite_a_conversation_does_not_end() {
    each(async |store| {
        save_with(store, "r1", save("ann", None)).await;
        save_with(store, "r2", save("ann", Some(1))).await;
        store.open_run(new_run("r"), Some("{}".into()));
        let late = Finish {
            conversation: Some(save("ann", Some(1))),
            last_words: Some(batch(0..1)),
            ..finish(RunState::Finished)
        };
        assert_eq!(end(store, "r", late).await, Finished::ConversationConflict);
        assert_eq!(numbers(store, "r", 0, 9).await, [0; 0]);
        assert_eq!(
            end(store, "r", finish(RunState::Failed)).await,
            Finished::Won
        );
        let stored = store.load_conversation(&key("ann")).await.unwrap().unwrap();
        assert_eq!(stored.version, 2);
    })
    .await;
}

#[tokio::test]
async fn runs_are_listed_youngest_first_page_by_page_for_their_owner() {
    each(async |store| {
        for id in ["run_1", "run_2", "run_3"] {
            store.open_run(new_run(id), Some("{}".into()));
        }
        let mut foreign = new_run("run_4");
        foreign.owner = Arc::new(Principal::new("bob"));
        store.open_run(foreign, Some("{}".into()));
        assert_eq!(
            end(store, "run_2", finish(RunState::Failed)).await,
            Finished::Won
        );
        let list = async |state, before: Option<&str>, limit| {
            let filter = RunFilter {
                whose: Whose::Principal(Arc::new(Principal::new("ann"))),
                agent: Some("plain".into()),
                conversation_id: None,
                state,
                before: before.map(str::to_owned),
                limit,
            };
            let runs = store.runs(filter).await.unwrap();
            runs.iter()
                .map(|run| run.id.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(list(None, None, 2).await, ["run_3", "run_2"]);
        assert_eq!(list(None, Some("run_2"), 2).await, ["run_1"]);
        assert_eq!(list(Some(RunState::Failed), None, 9).await, ["run_2"]);

        let all = async |whose: Whose| {
            let filter = RunFilter {
                whose,
                agent: None,
                conversation_id: None,
                state: None,
                before: None,
                limit: 9,
            };
            store.runs(filter).await.unwrap().len()
        };
        assert_eq!(all(Whose::Everybody).await, 4);
        assert_eq!(all(Whose::Tenant("default".into())).await, 4);
        assert_eq!(all(Whose::Tenant("acme".into())).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_save_over_another_version_is_a_conflict_and_a_first_save_is_not() {
    each(async |store| {
        for (run_id, expected, outcome, version) in [
            ("r1", None, Finished::Won, 1),
            ("r2", Some(1), Finished::Won, 2),
            ("r3", Some(1), Finished::ConversationConflict, 2),
            ("r4", None, Finished::Won, 3),
        ] {
            let ended = save_with(store, run_id, save("ann", expected)).await;
            assert_eq!(ended, outcome, "{run_id}");
            let stored = store.load_conversation(&key("ann")).await.unwrap().unwrap();
            assert_eq!(stored.version, version, "{run_id}");
            assert_eq!(*stored.items, save("ann", None).items);
        }
    })
    .await;
}

#[tokio::test]
async fn a_conversation_that_was_deleted_meanwhile_does_not_come_back() {
    each(async |store| {
        assert_eq!(
            save_with(store, "r1", save("ann", None)).await,
            Finished::Won
        );
        assert!(store.delete_conversation(key("ann")).await.unwrap());
        let late = save_with(store, "r2", save("ann", Some(1))).await;
        assert_eq!(late, Finished::ConversationConflict);
    })
    .await;
}

#[tokio::test]
async fn conversations_belong_to_their_owner_and_can_be_deleted() {
    each(async |store| {
        save_with(store, "saver", save("ann", None)).await;
        assert!(
            store
                .load_conversation(&key("bob"))
                .await
                .unwrap()
                .is_none()
        );
        assert!(!store.delete_conversation(key("bob")).await.unwrap());
        assert!(store.delete_conversation(key("ann")).await.unwrap());
        assert!(!store.delete_conversation(key("ann")).await.unwrap());
        assert!(
            store
                .load_conversation(&key("ann"))
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_stands_for_the_run_that_claimed_it_first() {
    each(async |store| {
        let claim = |subject: &str, run_id: &str| {
            let key = IdempotencyKey {
                tenant: "default".into(),
                subject: subject.into(),
                agent: "plain".into(),
                key: "k".into(),
            };
            let run = KeyedRun {
                run_id: run_id.into(),
                request: "digest".into(),
            };
            let begun = (run_id != "none").then(|| (new_run(run_id), None));
            store.claim(key, run, begun)
        };
        assert_eq!(claim("ann", "none").await.unwrap(), None);
        assert_eq!(claim("ann", "r1").await.unwrap(), None);
        for run_id in ["r2", "none"] {
            let present = claim("ann", run_id).await.unwrap().unwrap();
            assert_eq!(&*present.run_id, "r1");
        }
        assert_eq!(claim("bob", "r3").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn state_is_compared_set_removed_and_bounded() {
    each(async |store| {
        let one = || Expected::Is(Some(json!(1)));
        assert!(
            store
                .set_state("p", "k", Expected::Is(None), json!(1))
                .await
                .unwrap()
        );
        assert!(
            !store
                .set_state("p", "k", Expected::Is(None), json!(2))
                .await
                .unwrap()
        );
        assert!(store.set_state("p", "k", one(), json!(2)).await.unwrap());
        assert_eq!(store.state("p", "k").await.unwrap(), Some(json!(2)));
        assert_eq!(store.state("other", "k").await.unwrap(), None);
        assert!(
            store
                .set_state("p", "l", Expected::Anything, json!(1))
                .await
                .unwrap()
        );
        let full = store
            .set_state("p", "m", Expected::Anything, json!(1))
            .await;
        assert!(full.unwrap_err().to_string().contains("full (2 keys)"));
        assert!(
            store
                .set_state("p", "k", Expected::Anything, json!(null))
                .await
                .unwrap()
        );
        assert!(
            store
                .set_state("p", "m", Expected::Anything, json!(1))
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn an_event_of_a_run_that_is_not_open_is_refused_in_memory() {
    let store = MemoryStore::new(limits(), clock());
    let entry = Entry {
        batch: Some(batch(0..1)),
        marks: vec![],
    };
    let refused = store.append(&"nobody".into(), entry, Arc::new(Heard::default()));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("'nobody' is not open")
    );
}

#[tokio::test]
async fn the_oldest_finished_runs_are_forgotten_first_in_memory() {
    let store = MemoryStore::new(
        Limits {
            finished_runs: 2,
            ..limits()
        },
        clock(),
    );
    for run_id in ["a", "b", "c"] {
        store.open_run(new_run(run_id), Some("{}".into()));
        end(&store, run_id, finish(RunState::Finished)).await;
    }
    assert!(store.run("a").await.unwrap().is_none());
    assert!(store.run("c").await.unwrap().is_some());
}

// === what only a database does ===

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("ended"), Some("{}".into()));
    store.open_run(new_run("alive"), Some("{}".into()));
    append(&store, "alive", 0..2, vec![Mark::Since("forgotten".into())]).await;
    let marks = ["{}", "1", "2"].map(str::to_owned);
    let [checkpoint, one, two] = marks;
    append(
        &store,
        "alive",
        2..4,
        vec![
            Mark::Checkpoint {
                json: checkpoint,
                next: 4,
            },
            Mark::Since(one),
        ],
    )
    .await;
    append(&store, "alive", 4..4, vec![Mark::Since(two)]).await;
    append(&store, "alive", 4..5, vec![]).await;
    end(&store, "ended", finish(RunState::Finished)).await;
    save_with(&store, "saver", save("ann", None)).await;
    store.close().await.unwrap();

    let store = sqlite(folder.path()).await;
    let unfinished = store.unfinished_runs().await.unwrap();
    let [alive] = &unfinished[..] else {
        panic!("{unfinished:?}");
    };
    assert_eq!((&*alive.run.id, alive.next), ("alive", 5));
    assert_eq!(alive.request.as_deref(), Some("{}"));
    let checkpoint = alive.checkpoint.as_ref().unwrap();
    assert_eq!((&*checkpoint.json, checkpoint.next), ("{}", 4));
    assert_eq!(checkpoint.since, ["1", "2"]);
    assert_eq!(numbers(&store, "alive", 0, 9).await, [0, 1, 2, 3, 4]);
    assert!(
        store
            .load_conversation(&key("ann"))
            .await
            .unwrap()
            .is_some()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_key_is_stored_together_with_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    let key = IdempotencyKey {
        tenant: "default".into(),
        subject: "ann".into(),
        agent: "plain".into(),
        key: "k".into(),
    };
    let keyed = KeyedRun {
        run_id: "r".into(),
        request: "digest".into(),
    };
    let begun = Some((new_run("r"), Some("{}".into())));
    assert_eq!(store.claim(key, keyed, begun).await.unwrap(), None);
    let unfinished = store.unfinished_runs().await.unwrap();
    assert_eq!(&*unfinished[0].run.id, "r");
    // The runtime says so again.
    store.open_run(new_run("r"), Some("{}".into()));
    append(&store, "r", 0..1, vec![]).await;
    assert_eq!(store.unfinished_runs().await.unwrap().len(), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_within_a_step_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("r"), Some("{}".into()));
    append(&store, "r", 0..1, vec![Mark::Since("answered".into())]).await;
    let within = Mark::CheckpointInStep {
        json: "{}".into(),
        next: 1,
    };
    append(&store, "r", 1..1, vec![within]).await;
    let unfinished = store.unfinished_runs().await.unwrap();
    let checkpoint = unfinished[0].checkpoint.as_ref().unwrap();
    assert_eq!(checkpoint.since, ["answered"]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_second_server_is_refused_with_the_number_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    let second = SqliteStore::new(&folder.path().join("runs.db"), limits(), clock());
    let refused = second.open().await.unwrap_err().to_string();
    let holder = format!("process {} holds", std::process::id());
    assert!(refused.contains(&holder), "{refused}");
    store.close().await.unwrap();
    second.open().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_check_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("runs.db");
    let store = SqliteStore::new(&path, limits(), clock());
    store.check().await.unwrap();
    assert_eq!(names(folder.path()), [""; 0]);

    store.open().await.unwrap();
    let open = names(path.parent().unwrap());
    let other = SqliteStore::new(&path, limits(), clock());
    other.check().await.unwrap();
    assert_eq!(names(path.parent().unwrap()), open, "while it is in use");
    store.close().await.unwrap();
    let closed = names(path.parent().unwrap());
    other.check().await.unwrap();
    assert_eq!(names(path.parent().unwrap()), closed);

    let in_a_file = SqliteStore::new(&path.join("runs.db"), limits(), clock());
    let refused = in_a_file.check().await.unwrap_err().to_string();
    assert!(refused.contains("Not a directory"), "{refused}");
}

/// The names of what is in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_link_leads_to_the_same_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink("runs.db", &link).unwrap();
    let second = SqliteStore::new(&link, limits(), clock());
    let refused = second.open().await.unwrap_err().to_string();
    assert!(refused.contains("another server"), "{refused}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_log_without_its_database_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let log = folder.path().join("runs.db-wal");
    std::fs::write(&log, "what was written last").unwrap();
    for exists in [false, true] {
        if exists {
            std::fs::write(&path, "").unwrap();
        }
        let store = SqliteStore::new(&path, limits(), clock());
        for refused in [store.check().await, store.open().await] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("missing or empty"), "{refused}");
        }
        assert_eq!(std::fs::read(&log).unwrap(), b"what was written last");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_of_this_version_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let foreign = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let run = async |sql: &'static str| {
        use sqlx::{ConnectOptions as _, Connection as _};
        let mut connection = foreign.clone().connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    let refusal = async || {
        let store = SqliteStore::new(&path, limits(), clock());
        let checked = store.check().await.unwrap_err().to_string();
        let refused = store.open().await.unwrap_err().to_string();
        assert_eq!(checked, refused);
        refused
    };
    run("create table books (title text)").await;
    assert_eq!(
        refusal().await,
        format!("{}: the file is not a database of Mortise", path.display())
    );
    std::fs::remove_file(&path).unwrap();

    sqlite(folder.path()).await.close().await.unwrap();
    run("pragma user_version = 99").await;
    assert!(
        refusal().await.contains("version 99"),
        "{}",
        refusal().await
    );

    std::fs::write(
        &path,
        "not a database at all, but long enough to have a header",
    )
    .unwrap();
    assert!(
        refusal().await.contains("not a database"),
        "{}",
        refusal().await
    );
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept.starts_with("not a database at all"));
}

#[tokio::test]
async fn a_failed_transaction_is_told_to_everybody_in_it_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("r"), Some("{}".into()));
    append(&store, "r", 0..1, vec![]).await;
    assert!(store.failure().is_none());
    // The same event again: nothing of its transaction may be stored.
    store.open_run(new_run("late"), Some("{}".into()));
    let writer = Arc::new(Recorder::default());
    queue(&store, "r", 0..1, &writer);
    let ended = store
        .finish_run(&"r".into(), finish(RunState::Finished))
        .await;
    assert!(ended.is_err());
    assert_eq!(writer.heard(), [false]);
    assert!(store.failure().is_none(), "the database can be written");
    let run = store.run("r").await.unwrap().unwrap();
    assert_eq!(run.state, RunState::Running);
    for run_id in ["r", "late"] {
        let finished = end(&store, run_id, finish(RunState::Finished)).await;
        assert_eq!(finished, Finished::Won, "{run_id}");
    }
    store.close().await.unwrap();
}

/// Appends without waiting.
fn queue(store: &dyn Store, run_id: &str, numbers: Range<u64>, writer: &Arc<Recorder>) {
    let entry = Entry {
        batch: Some(batch(numbers)),
        marks: Vec::new(),
    };
    let writer: Arc<dyn Acknowledge> = Arc::clone(writer) as _;
    assert_eq!(
        store.append(&run_id.into(), entry, writer).unwrap(),
        Appended::Queued
    );
}

#[tokio::test]
async fn after_an_entry_that_failed_nothing_is_stored_that_was_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("r"), Some("{}".into()));
    append(&store, "r", 0..1, vec![]).await;
    let (writer, other) = (Arc::new(Recorder::default()), Arc::default());
    queue(&store, "r", 0..1, &writer);
    // The transaction with the same event again is over.
    store.run("r").await.unwrap_err();
    store.open_run(new_run("other"), Some("{}".into()));
    queue(&store, "r", 1..3, &writer);
    queue(&store, "other", 0..1, &other);
    let last_words = |first: u64| Finish {
        last_words: Some(batch(first..first + 1)),
        ..finish(RunState::Failed)
    };
    let ended = store.finish_run(&"r".into(), last_words(3)).await;
    assert!(ended.is_err());
    assert_eq!(writer.heard(), [false, false]);
    // Now the run knows.
    assert_eq!(end(&store, "r", last_words(1)).await, Finished::Won);
    assert_eq!(other.heard(), [true]);
    assert_eq!(numbers(&store, "r", 0, 9).await, [0, 1]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_end_that_nobody_waits_for_is_stored_behind_what_is_there() {
    each(async |store| {
        store.open_run(new_run("r"), Some("{}".into()));
        append(store, "r", 0..2, vec![]).await;
        let last = Finish {
            last_words: Some(batch(2..3)),
            ..finish(RunState::Failed)
        };
        store.end_run(&"r".into(), last);
        store.end_run(&"r".into(), finish(RunState::Aborted));
        let run = store.run("r").await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Failed);
        assert_eq!(numbers(store, "r", 0, 9).await, [0, 1, 2]);
    })
    .await;
}

#[tokio::test]
async fn an_end_that_nobody_waits_for_outlives_its_transaction_and_has_the_next_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("r"), Some("{}".into()));
    append(&store, "r", 0..2, vec![]).await;
    let writer = Arc::new(Recorder::default());
    for numbers in [2..3, 0..1] {
        queue(&store, "r", numbers, &writer);
    }
    store.run("r").await.unwrap_err();
    // Whoever made these has not heard that what comes before them failed.
    queue(&store, "r", 3..4, &writer);
    let last = Finish {
        last_words: Some(batch(4..5)),
        ..finish(RunState::Failed)
    };
    store.end_run(&"r".into(), last);
    let other = Arc::new(Recorder::default());
    for _ in 0..2 {
        queue(&store, "other", 0..1, &other);
    }
    store.run("r").await.unwrap_err();
    assert_eq!(writer.heard(), [false; 3]);
    assert_eq!(other.heard(), [false; 2]);
    store.close().await.unwrap();

    let store = sqlite(folder.path()).await;
    assert_eq!(numbers(&store, "r", 0, 9).await, [0, 1, 2]);
    let run = store.run("r").await.unwrap().unwrap();
    assert_eq!(run.state, RunState::Failed);
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_too_much_is_forgotten_by_and_by_and_no_more_than_that() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.run("nobody").await.unwrap();
    for number in 0..2005 {
        let run_id = format!("run_{number:04}");
        store.open_run(new_run(&run_id), None);
        store.end_run(&run_id.as_str().into(), finish(RunState::Finished));
    }
    store.close().await.unwrap();

    let store = sqlite(folder.path()).await;
    for _ in 0..2 {
        store.run("nobody").await.unwrap();
    }
    let filter = RunFilter {
        whose: Whose::Everybody,
        agent: None,
        conversation_id: None,
        state: None,
        before: None,
        limit: 5000,
    };
    let left = store.runs(filter).await.unwrap();
    let left: Vec<_> = left.iter().map(|run| &*run.id).collect();
    let youngest = (1995..2005).rev().map(|number| format!("run_{number:04}"));
    assert_eq!(left, youngest.collect::<Vec<_>>());
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_old_is_forgotten_with_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("old"), Some("{}".into()));
    append(&store, "old", 0..3, vec![]).await;
    end(&store, "old", finish(RunState::Finished)).await;
    store.close().await.unwrap();

    let later = Clock::of(|| START + 3_600_000);
    let store = SqliteStore::new(&path, limits(), later);
    store.open().await.unwrap();
    save_with(&store, "saver", save("ann", None)).await;
    assert!(store.run("old").await.unwrap().is_none());
    assert_eq!(numbers(&store, "old", 0, 9).await, [0; 0]);
    store.close().await.unwrap();
}
