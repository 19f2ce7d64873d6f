//! The engine below the store, alone: the rows that a server has written, written again.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::Instant;

use crate::{sample::Sample, say};

/// How many rows are committed together: one of each client of the server.
const GROUP: usize = 200;

/// How many rows are looked at, and written over and over.
const ROWS: i64 = 2000;

/// Consecutive events of a run.
#[derive(Debug)]
pub(crate) struct Row {
    run_id: String,
    first: i64,
    pub(crate) count: i64,
    pub(crate) lines: Vec<u8>,
}

/// `raw DATABASE fast|full SECONDS`: prints one sample, of events and of the time of a commit.
pub(crate) fn run(database: &Path, durability: &str, seconds: &str) -> Result<(), String> {
    let seconds = seconds
        .parse()
        .map_err(|_| format!("{seconds:?} is no number of seconds"))?;
    let rows = rows(database)?;
    // Another file on the same disk.
    let file = database.with_file_name("raw.db");
    let written = write(&file, durability, &rows, seconds);
    let sample = block_on(written)?.ok_or_else(|| "nothing was committed".to_owned())?;
    say(&sample.to_line());
    Ok(())
}

/// Rows of the last runs of a server.
pub(crate) fn rows(database: &Path) -> Result<Vec<Row>, String> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .read_only(true);
    block_on(async {
        let mut connection = options.connect().await?;
        let rows: Vec<(String, i64, i64, Vec<u8>)> = sqlx::query_as(
            "select run_id, first, count, lines from run_events order by run_id desc limit ?",
        )
        .bind(ROWS)
        .fetch_all(&mut connection)
        .await?;
        let rows = rows.into_iter();
        let rows = rows.map(|(run_id, first, count, lines)| Row {
            run_id,
            first,
            count,
            lines,
        });
        Ok(rows.collect())
    })
}

fn block_on<T>(task: impl Future<Output = sqlx::Result<T>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let done = runtime.block_on(task);
    done.map_err(|error| format!("the database cannot be used: {error}"))
}

async fn write(
    file: &Path,
    durability: &str,
    rows: &[Row],
    seconds: u64,
) -> sqlx::Result<Option<Sample>> {
    let mut connection = open(file, durability).await?;
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let mut times = Vec::new();
    let mut events = 0_i64;
    let mut groups = rows.chunks(GROUP).cycle().enumerate();
    while let Some((lap, group)) = groups.next()
        && Instant::now() < end
    {
        let began = Instant::now();
        commit(&mut connection, group, lap).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        events += group.iter().map(|row| row.count).sum::<i64>();
    }
    let took = began.elapsed().as_secs_f64();
    connection.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "no disk takes 2^52 events")]
    let rate = events as f64 / took;
    Ok(Sample::of(times, took).map(|sample| Sample { rate, ..sample }))
}

/// As the server opens its own, with one table of it.
async fn open(file: &Path, durability: &str) -> sqlx::Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match durability {
            "full" => SqliteSynchronous::Full,
            _ => SqliteSynchronous::Normal,
        })
        .disable_statement_logging()
        .connect()
        .await?;
    sqlx::raw_sql(
        "create table if not exists run_events (
            run_id text not null,
            first integer not null,
            count integer not null,
            lines blob not null,
            primary key (run_id, first)
        ) without rowid",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

async fn commit(connection: &mut SqliteConnection, rows: &[Row], lap: usize) -> sqlx::Result<()> {
    let process = std::process::id();
    let mut transaction = connection.begin_with("begin immediate").await?;
    let mut query =
        QueryBuilder::<Sqlite>::new("insert into run_events (run_id, first, count, lines) ");
    query.push_values(rows, |mut values, row| {
        values
            // Runs of their own, in the order of time as far as ids of runs are.
            .push_bind(format!("{process}-{lap:09}-{}", row.run_id))
            .push_bind(row.first)
            .push_bind(row.count)
            .push_bind(&row.lines);
    });
    query.build().execute(&mut *transaction).await?;
    transaction.commit().await
}
