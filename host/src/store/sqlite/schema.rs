//! The tables, and how a database of an older version becomes one of this.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::OpenCause;

/// Written into the file, so that the database of another program is not touched: "Mort".
const APPLICATION_ID: i64 = 0x4d6f_7274;

/// What leads from each version to the next; the first makes the tables. Only ever appended to.
const MIGRATIONS: [&str; 5] = [
    "
    create table runs (
        run_id text primary key,
        tenant text not null,
        subject text not null,
        scopes text not null,
        agent text not null,
        conversation_id text,
        answer text not null,
        state text not null,
        created_at integer not null,
        ended_at integer,
        usage text,
        request text,
        checkpoint text,
        checkpoint_next integer
    ) without rowid;
    create index runs_of_owner on runs (tenant, subject, run_id);
    create index runs_by_end on runs (ended_at) where ended_at is not null;
    create index runs_alive on runs (run_id) where ended_at is null;

    -- Consecutive events, each a line of JSON.
    create table run_events (
        run_id text not null,
        first integer not null,
        count integer not null,
        lines blob not null,
        primary key (run_id, first)
    ) without rowid;

    create table run_marks (
        number integer primary key,
        run_id text not null,
        mark text not null
    );
    create index marks_of_run on run_marks (run_id, number);

    create table conversations (
        tenant text not null,
        subject text not null,
        agent text not null,
        id text not null,
        version integer not null,
        items text not null,
        changed_at integer not null,
        primary key (tenant, subject, agent, id)
    );
    create index conversations_by_change on conversations (changed_at);

    create table idempotency_keys (
        tenant text not null,
        subject text not null,
        agent text not null,
        key text not null,
        run_id text not null,
        request text not null,
        created_at integer not null,
        primary key (tenant, subject, agent, key)
    ) without rowid;
    create index keys_by_age on idempotency_keys (created_at);

    create table audit (
        number integer primary key autoincrement,
        at integer not null,
        tenant text not null,
        subject text not null,
        action text not null,
        run_id text,
        detail text not null
    );

    create table plugin_state (
        instance text not null,
        key text not null,
        value text not null,
        primary key (instance, key)
    ) without rowid;
",
    "
    -- A day is a number since 1970; what it cost is in billionths.
    create table daily_usage (
        tenant text not null,
        subject text not null,
        day integer not null,
        runs integer not null,
        input_tokens integer not null,
        output_tokens integer not null,
        total_tokens integer not null,
        cost integer not null,
        primary key (tenant, subject, day)
    ) without rowid;
    create index usage_by_day on daily_usage (day);
",
    "
    create index runs_of_conversation on runs (conversation_id, run_id)
        where conversation_id is not null;
",
    "
    -- A record changes as a whole; what it is found by is read out of it.
    create table jobs (
        job_id text primary key,
        record text not null,
        work text not null,
        tenant text as (record ->> '$.job.principal.tenant'),
        subject text as (record ->> '$.job.principal.subject'),
        agent text as (record ->> '$.job.agent'),
        state text as (record ->> '$.job.state'),
        priority integer as (record ->> '$.job.priority'),
        ended_at integer as (record ->> '$.job.completedAt'),
        is_untold integer as (record ->> '$.is_untold'),
        lease_holder text as (record ->> '$.lease.holder'),
        due_at integer as (case record ->> '$.job.state'
            when 'queued' then record ->> '$.job.scheduledAt'
            when 'running' then (record ->> '$.lease.until') + 1 end)
    );
    create index jobs_of_owner on jobs (tenant, subject, job_id);
    create index jobs_by_state on jobs (state, job_id);
    create index jobs_alive on jobs (priority desc, job_id)
        where state in ('queued', 'running');
    create index jobs_by_end on jobs (ended_at) where ended_at is not null;
    create index jobs_untold on jobs (job_id) where is_untold;
",
    "
    -- All that taking up a job asks for: no record is read for it.
    drop index jobs_alive;
    create index jobs_alive on jobs (priority desc, job_id, agent, state, lease_holder, due_at)
        where state in ('queued', 'running');
",
];

/// The version of the tables of this program.
const VERSION: usize = MIGRATIONS.len();

/// Makes the tables of this version, or makes those of an older one into them.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), OpenCause> {
    let known = version(connection).await?;
    let mut transaction = connection.begin_with("begin immediate").await?;
    for migration in &MIGRATIONS[known..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    stamp(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// The version of the tables, 0 where there are none yet. Refuses the database of another program,
/// and one of a newer version.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<usize, OpenCause> {
    let application = pragma(connection, "pragma application_id").await?;
    let version = pragma(connection, "pragma user_version").await?;
    if application != APPLICATION_ID {
        let tables = pragma(connection, "select count(*) from sqlite_schema").await?;
        if application != 0 || version != 0 || tables != 0 {
            return Err(OpenCause::Foreign);
        }
    }
    match usize::try_from(version) {
        Ok(known) if known <= VERSION => Ok(known),
        _ => Err(OpenCause::Newer {
            found: version,
            known: VERSION,
        }),
    }
}

/// Writes what this program and version are; where that is there, it shows that the database can be
/// written.
pub(super) async fn stamp(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // A pragma takes no parameters.
    let stamp =
        format!("pragma application_id = {APPLICATION_ID}; pragma user_version = {VERSION}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(stamp))
        .execute(connection)
        .await
        .map(drop)
}

async fn pragma(
    connection: &mut SqliteConnection,
    query: &'static str,
) -> Result<i64, sqlx::Error> {
    sqlx::query(query).fetch_one(connection).await?.try_get(0)
}
