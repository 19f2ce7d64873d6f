//! What every store must do with jobs.

use mortise_plugin_api::{Job, JobError, JobState, ResultPolicy};
use sqlx::{Connection as _, SqliteConnection};

use super::*;

fn job(id: &str, priority: i32) -> StoredJob {
    let mut job = Job::new(id, "plain", START);
    job.priority = priority;
    job.principal = Principal::new("ann");
    StoredJob {
        job,
        policy: ResultPolicy::default(),
        is_untold: false,
        lease: None,
        work: "{\"input\":\"hi\"}".into(),
    }
}

async fn enqueue(store: &dyn Store, jobs: impl IntoIterator<Item = StoredJob>) {
    for job in jobs {
        assert!(store.enqueue_job(job, 100).await.unwrap());
    }
}

fn lease_of(holder: &str, until: u64) -> Lease {
    Lease {
        holder: holder.into(),
        until,
    }
}

/// The job that a holder gets at this time, for 100 ms, or when to come again.
async fn take(store: &dyn Store, holder: &str, now: u64) -> Result<StoredJob, Option<u64>> {
    take_of(store, holder, now, &[]).await
}

async fn take_of(
    store: &dyn Store,
    holder: &str,
    now: u64,
    busy: &[&str],
) -> Result<StoredJob, Option<u64>> {
    let request = LeaseRequest {
        lease: lease_of(holder, now + 100),
        now,
        run_id: "run_1".into(),
        busy: busy.iter().map(|&agent| agent.to_owned()).collect(),
    };
    match store.lease_job(request).await.unwrap() {
        Leased::Job(job) => Ok(*job),
        Leased::Nothing { next_at } => Err(next_at),
    }
}

fn end_of(state: JobState) -> JobEnd {
    JobEnd {
        state,
        now: START + 5,
        result: Some(json!({ "n": 1 })),
        error: None,
        has_listeners: true,
    }
}

fn ended(holder: &str, state: JobState) -> JobChange {
    JobChange::End {
        holder: holder.into(),
        end: end_of(state),
    }
}

async fn change(store: &dyn Store, id: &str, change: JobChange) -> Option<Job> {
    let changed = store.change_job(id, change).await.unwrap();
    changed.map(|stored| stored.job)
}

fn filter() -> JobFilter {
    JobFilter {
        whose: Whose::Everybody,
        agent: None,
        state: None,
        is_untold: false,
        before: None,
        limit: 10,
    }
}

async fn ids(store: &dyn Store, filter: JobFilter) -> Vec<String> {
    let jobs = store.jobs(filter).await.unwrap();
    jobs.into_iter().map(|stored| stored.job.id).collect()
}

#[tokio::test]
async fn jobs_are_taken_up_by_priority_then_age_each_once() {
    each(async |store| {
        enqueue(store, [job("a", 0), job("b", 1), job("c", 1), job("d", -1)]).await;
        let mut taken = Vec::new();
        while let Ok(stored) = take(store, "me", START).await {
            assert_eq!(stored.job.state, JobState::Running);
            assert_eq!(stored.job.attempt, 1);
            assert_eq!(stored.job.run.as_deref(), Some("run_1"));
            assert_eq!(&*stored.work, "{\"input\":\"hi\"}");
            taken.push(stored.job.id);
        }
        assert_eq!(taken, ["b", "c", "a", "d"]);
    })
    .await;
}

#[tokio::test]
async fn a_job_waits_for_its_time_and_for_an_agent_that_is_not_busy() {
    each(async |store| {
        let mut later = job("later", 9);
        later.job.scheduled_at = START + 50;
        let mut other = job("other", 0);
        other.job.agent = "other".into();
        enqueue(store, [later, other]).await;
        assert_eq!(
            take_of(store, "me", START, &["other"]).await,
            Err(Some(START + 50))
        );
        let taken = take(store, "me", START).await.unwrap();
        assert_eq!(taken.job.id, "other");
        assert_eq!(take(store, "me", START).await, Err(Some(START + 50)));
        assert_eq!(
            take_of(store, "me", START + 60, &["plain"]).await,
            Err(None)
        );
        assert!(take(store, "me", START + 50).await.is_ok());
        assert_eq!(take(store, "me", START + 60).await, Err(None));
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_extended_by_its_holder_and_goes_to_another_when_it_is_over() {
    each(async |store| {
        enqueue(store, [job("a", 0)]).await;
        take(store, "dead", START).await.unwrap();
        let longer = |holder| JobChange::Extend(lease_of(holder, START + 200));
        assert!(change(store, "a", longer("me")).await.is_none());
        assert!(change(store, "a", longer("dead")).await.is_some());
        assert_eq!(take(store, "me", START + 200).await, Err(Some(START + 201)));
        // Its own jobs are never taken from under a holder.
        assert_eq!(take(store, "dead", START + 201).await, Err(None));
        let taken = take(store, "me", START + 201).await.unwrap();
        assert_eq!(taken.job.attempt, 2);
        let late = ended("dead", JobState::Succeeded);
        assert!(change(store, "a", late).await.is_none());
        let adopted = JobChange::Adopt(lease_of("third", START + 500));
        assert_eq!(change(store, "a", adopted).await.unwrap().attempt, 2);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_failed_waits_and_one_that_is_given_back_does_not_count() {
    each(async |store| {
        enqueue(store, [job("a", 0)]).await;
        take(store, "me", START).await.unwrap();
        let retry = JobChange::Retry {
            holder: "me".into(),
            now: START + 1,
            scheduled_at: START + 30,
            error: JobError {
                code: "UPSTREAM_FAILED".into(),
                message: "no".into(),
            },
        };
        let waiting = change(store, "a", retry.clone()).await.unwrap();
        assert_eq!((waiting.state, waiting.attempt), (JobState::Queued, 1));
        assert_eq!(waiting.run.as_deref(), Some("run_1"));
        assert!(change(store, "a", retry).await.is_none(), "nobody does it");
        assert_eq!(take(store, "me", START).await, Err(Some(START + 30)));
        assert_eq!(take(store, "me", START + 30).await.unwrap().job.attempt, 2);
        let back = JobChange::GiveBack {
            holder: "me".into(),
            now: START + 31,
            scheduled_at: START + 40,
            error: None,
        };
        let waiting = change(store, "a", back).await.unwrap();
        assert_eq!((waiting.attempt, waiting.run), (1, None));
        assert!(waiting.error.is_some(), "that of the attempt before");
        assert_eq!(take(store, "me", START + 31).await, Err(Some(START + 40)));
        assert!(take(store, "other", START + 40).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_job_ends_once_and_is_told_once() {
    each(async |store| {
        enqueue(store, [job("a", 0), job("b", 0)]).await;
        take(store, "me", START).await.unwrap();
        let over = change(store, "a", ended("me", JobState::Succeeded))
            .await
            .unwrap();
        assert_eq!(over.completed_at, Some(START + 5));
        assert_eq!(over.result, Some(json!({ "n": 1 })));
        let cancel = || JobChange::Cancel(end_of(JobState::Cancelled));
        assert!(change(store, "a", cancel()).await.is_none());
        assert!(
            change(store, "b", cancel()).await.is_some(),
            "it was queued"
        );
        assert_eq!(take(store, "me", START).await, Err(None));

        let untold = || JobFilter {
            is_untold: true,
            ..filter()
        };
        assert_eq!(ids(store, untold()).await, ["a", "b"], "the oldest first");
        let one = JobFilter {
            limit: 1,
            ..untold()
        };
        assert_eq!(ids(store, one).await, ["a"]);
        assert!(change(store, "a", JobChange::Told).await.is_some());
        assert!(change(store, "a", JobChange::Told).await.is_none());
        assert_eq!(ids(store, untold()).await, ["b"]);
    })
    .await;
}

#[tokio::test]
async fn a_result_is_kept_where_its_policy_says_so_and_until_hooks_were_told() {
    each(async |store| {
        for (id, policy, at_first, at_last) in [
            ("a", ResultPolicy::State, true, true),
            ("b", ResultPolicy::Event, true, false),
            ("c", ResultPolicy::None, false, false),
        ] {
            let job = StoredJob {
                policy,
                ..job(id, 0)
            };
            enqueue(store, [job]).await;
            take(store, "me", START).await.unwrap();
            let over = change(store, id, ended("me", JobState::Succeeded)).await;
            assert_eq!(over.unwrap().result.is_some(), at_first, "{id}");
            change(store, id, JobChange::Told).await;
            let over = store.job(id).await.unwrap().unwrap();
            assert_eq!(over.job.result.is_some(), at_last, "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn jobs_are_listed_youngest_first_page_by_page_for_their_owner() {
    each(async |store| {
        let mut of_bob = job("d", 0);
        of_bob.job.principal = Principal::new("bob");
        enqueue(store, [job("a", 0), job("b", 0), job("c", 0), of_bob]).await;
        take(store, "me", START).await.unwrap();
        let of_ann = JobFilter {
            whose: Whose::Principal(Arc::new(Principal::new("ann"))),
            limit: 2,
            ..filter()
        };
        assert_eq!(ids(store, of_ann.clone()).await, ["c", "b"]);
        let next = JobFilter {
            before: Some("b".into()),
            ..of_ann
        };
        assert_eq!(ids(store, next).await, ["a"]);
        let running = JobFilter {
            state: Some(JobState::Running),
            ..filter()
        };
        assert_eq!(ids(store, running).await, ["a"]);
        let of_another = JobFilter {
            agent: Some("other".into()),
            ..filter()
        };
        assert!(ids(store, of_another).await.is_empty());
        assert!(store.job("e").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_full_takes_no_more() {
    each(async |store| {
        assert!(store.enqueue_job(job("a", 0), 1).await.unwrap());
        assert!(!store.enqueue_job(job("b", 0), 1).await.unwrap());
        take(store, "me", START).await.unwrap();
        assert!(store.enqueue_job(job("b", 0), 1).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_oldest_jobs_that_have_ended_are_forgotten_first_in_memory() {
    let store = MemoryStore::new(
        Limits {
            finished_runs: 1,
            ..limits()
        },
        clock(),
    );
    for id in ["a", "b"] {
        enqueue(&store, [job(id, 0)]).await;
        take(&store, "me", START).await.unwrap();
        change(&store, id, ended("me", JobState::Succeeded)).await;
    }
    enqueue(&store, [job("c", 0)]).await;
    assert_eq!(ids(&store, filter()).await, ["c", "b"]);
}

#[tokio::test]
async fn without_a_store_a_job_is_refused_with_the_reason() {
    let store = NoStore::new(MemoryStore::new(limits(), clock()));
    let refused = store.enqueue_job(job("a", 0), 1).await.unwrap_err();
    assert!(
        refused.to_string().contains("jobs need a store"),
        "{refused}"
    );
}

#[tokio::test]
async fn jobs_are_there_after_a_restart_and_those_that_ended_long_ago_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    enqueue(&store, [job("a", 0), job("b", 0), job("c", 0)]).await;
    take(&store, "me", START).await.unwrap();
    change(&store, "a", ended("me", JobState::Succeeded)).await;
    take(&store, "me", START).await.unwrap();
    store.close().await.unwrap();

    let later = Clock::of(|| START + 3_600_000);
    let store = SqliteStore::new(&folder.path().join("runs.db"), limits(), later);
    store.open().await.unwrap();
    store.audit(AuditRecord {
        at: START,
        principal: Arc::new(Principal::new("ann")),
        action: "anything",
        run_id: None,
        detail: json!({}),
    });
    assert!(take(&store, "next", START).await.is_ok(), "that of c");
    assert_eq!(ids(&store, filter()).await, ["c", "b"]);
    let b = store.job("b").await.unwrap().unwrap();
    assert_eq!(b.lease.unwrap().holder, "me".into());
    assert_eq!(&*b.work, "{\"input\":\"hi\"}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_passed_over_and_fails_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    store.open_run(new_run("odd"), Some("{}".into()));
    store.open_run(new_run("r"), Some("{}".into()));
    enqueue(&store, ["odd", "a", "b"].map(|id| job(id, 0))).await;
    let by_hand = "update runs set answer = 'loud' where run_id = 'odd';
                   update jobs set record = json_set(record, '$.policy', 'odd')
                   where job_id = 'odd'";
    let url = format!("sqlite:{}", folder.path().join("runs.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let changed = sqlx::raw_sql(by_hand).execute(&mut connection).await;
    changed.unwrap();
    connection.close().await.unwrap();

    let unfinished = store.unfinished_runs().await.unwrap();
    let alive: Vec<_> = unfinished.iter().map(|it| &*it.run.id).collect();
    assert_eq!(alive, ["r"]);
    assert!(store.run("odd").await.is_err());
    assert_eq!(ids(&store, filter()).await, ["b", "a"]);
    // In one transaction.
    let odd = store.change_job("odd", JobChange::Told);
    let finished = store.finish_run(&"r".into(), finish(RunState::Finished));
    assert!(odd.await.is_err());
    assert_eq!(finished.await.unwrap(), Finished::Won);
    for id in ["a", "b"] {
        let taken = take(&store, "me", START).await.unwrap();
        assert_eq!(taken.job.id, id);
    }
    assert_eq!(take(&store, "me", START).await, Err(None));
    store.close().await.unwrap();
}
