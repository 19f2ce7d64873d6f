//! Jobs in the database: one record of JSON each, by whose fields they are found.

use mortise_plugin_api::JobState;
use serde_json::json;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::super::{JobChange, JobFilter, LeaseRequest, Leased, StoredJob};
use super::reads::{self, json};
use super::room::Room;
use super::{signed, unsigned};

/// What the writer need not look up each time.
#[derive(Debug, Default)]
pub(super) struct Known {
    queue: Room,
    /// Jobs that cannot be read: nobody takes them up before the next start.
    unreadable: Vec<String>,
}

/// Whether there was room for it.
pub(super) async fn enqueue(
    connection: &mut SqliteConnection,
    known: &mut Known,
    job: &StoredJob,
    most: usize,
) -> Result<bool, sqlx::Error> {
    let count = "select count(*) from jobs where state = 'queued'";
    if !known.queue.take(connection, count, most).await? {
        return Ok(false);
    }
    sqlx::query("insert into jobs (job_id, record, work) values (?, ?, ?)")
        .bind(&job.job.id)
        .bind(json!(job).to_string())
        .bind(&*job.work)
        .execute(connection)
        .await?;
    Ok(true)
}

pub(super) async fn job(readers: &SqlitePool, id: &str) -> Result<Option<StoredJob>, sqlx::Error> {
    let row = sqlx::query("select record, work from jobs where job_id = ?")
        .bind(id)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(stored_job).transpose()
}

/// Without what is to be done, which may be long.
pub(super) async fn jobs(
    readers: &SqlitePool,
    filter: &JobFilter,
) -> Result<Vec<StoredJob>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("select job_id, record from jobs where ");
    reads::push_whose(&mut query, &filter.whose);
    if let Some(agent) = &filter.agent {
        query.push(" and agent = ").push_bind(agent);
    }
    if let Some(state) = filter.state {
        query.push(" and state = ").push_bind(state.as_str());
    }
    if filter.is_untold {
        query.push(" and is_untold");
    }
    if let Some(before) = &filter.before {
        query.push(" and job_id < ").push_bind(before);
    }
    // Ids begin with the time.
    let order = if filter.is_untold { "asc" } else { "desc" };
    query.push(format!(" order by job_id {order} limit "));
    let query = query.push_bind(i64::from(filter.limit)).build();
    let rows = query.fetch_all(readers).await?;
    Ok(reads::readable("jobs", &rows, |row| json(row, "record")))
}

pub(super) async fn lease(
    connection: &mut SqliteConnection,
    known: &mut Known,
    request: &LeaseRequest,
) -> Result<Leased, sqlx::Error> {
    const DUE: &str = " from jobs indexed by jobs_alive where state in ('queued', 'running') \
                       and not (state = 'running' and lease_holder = ?1) \
                       and agent not in (select value from json_each(?2)) \
                       and job_id not in (select value from json_each(?3))";
    let busy = json!(request.busy).to_string();
    let due = format!(
        "select job_id, record, work{DUE} and due_at <= ?4 order by priority desc, job_id limit 1"
    );
    loop {
        let row = sqlx::query(sqlx::AssertSqlSafe(due.as_str()))
            .bind(&*request.lease.holder)
            .bind(&busy)
            .bind(json!(known.unreadable).to_string())
            .bind(signed(request.now))
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { break };
        match stored_job(&row) {
            Ok(mut job) => {
                job.take_up(request);
                save(connection, &job).await?;
                return Ok(Leased::Job(Box::new(job)));
            }
            Err(error) => {
                reads::pass_over("jobs", &row, &error);
                known.unreadable.push(row.try_get("job_id")?);
            }
        }
    }
    let next_at: Option<i64> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select min(due_at){DUE}")))
            .bind(&*request.lease.holder)
            .bind(&busy)
            .bind(json!(known.unreadable).to_string())
            .fetch_one(connection)
            .await?;
    Ok(Leased::Nothing {
        next_at: next_at.map(unsigned),
    })
}

/// The job as it stands now, `None` where it may not change so.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    known: &mut Known,
    id: &str,
    change: JobChange,
) -> Result<Option<StoredJob>, sqlx::Error> {
    let row = sqlx::query("select record, work from jobs where job_id = ?")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(mut job) = row.as_ref().map(stored_job).transpose()? else {
        return Ok(None);
    };
    if !job.change(change) {
        return Ok(None);
    }
    if job.job.state == JobState::Queued {
        known.queue.add();
    }
    save(connection, &job).await?;
    Ok(Some(job))
}

async fn save(connection: &mut SqliteConnection, job: &StoredJob) -> Result<(), sqlx::Error> {
    sqlx::query("update jobs set record = ? where job_id = ?")
        .bind(json!(job).to_string())
        .bind(&job.job.id)
        .execute(connection)
        .await
        .map(drop)
}

fn stored_job(row: &SqliteRow) -> Result<StoredJob, sqlx::Error> {
    let mut job: StoredJob = json(row, "record")?;
    job.work = row.try_get::<&str, _>("work")?.into();
    Ok(job)
}
