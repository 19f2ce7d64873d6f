//! `clock`: the time.

use mortise_plugin_api::prelude::*;

const MILLIS_PER_DAY: u64 = 86_400_000;

pub(crate) struct Clock {
    host: Host,
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }
}

impl Tool for Clock {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("clock", "Tells the time, in UTC").idempotent()
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        let now = self.host.now_millis();
        Ok(json!({ "iso": iso(now), "epochMs": now }))
    }
}

/// The ISO 8601 form of a time in milliseconds since 1970.
fn iso(epoch_millis: u64) -> String {
    let (year, month, day) = date(epoch_millis / MILLIS_PER_DAY);
    let millis = epoch_millis % MILLIS_PER_DAY;
    let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
    let (second, milli) = (millis / 1000 % 60, millis % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

// Years are counted from March, so that the leap day is the last one of its year, and in eras of
// 400 years, after which the calendar repeats.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;

    let days = days_since_1970 + DAYS_FROM_MARCH_OF_YEAR_0;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
        ];
        for (millis, expected) in table {
            assert_eq!(iso(millis), expected);
        }
    }
}
