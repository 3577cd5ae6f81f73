//! Schedule expressions: `rate(…)` and `cron(…)` of `EventBridge`, in UTC.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime, Weekday},
    tz::Offset,
};

/// A parsed schedule expression.
#[derive(Debug)]
pub(crate) enum Expression {
    Rate(SignedDuration),
    Cron(Box<Cron>),
}

/// A cron expression: the values that each of its six fields allows, ascending.
#[derive(Debug)]
pub(crate) struct Cron {
    minutes: Vec<i16>,
    hours: Vec<i16>,
    days: Vec<i16>,
    months: Vec<i16>,
    /// Days of the week, from 1 for Sunday.
    weekdays: Vec<i16>,
    years: Vec<i16>,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Number of days in which the next due time is searched for: eight years.
const HORIZON_DAYS: usize = 366 * 8;

impl Expression {
    /// Parses an expression. Fails with a message about the mistake in it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_suffix(')');
        let parsed = match (inner("rate("), inner("cron(")) {
            (Some(rate), _) => parse_rate(rate).map(Self::Rate),
            (_, Some(cron)) => Cron::parse(cron).map(|cron| Self::Cron(Box::new(cron))),
            _ => Err("expected rate(…) or cron(…)".into()),
        };
        parsed.map_err(|why| format!("{text}: {why}"))
    }

    /// Returns the first due time after `now`; `None` if there is none within eight years.
    pub(crate) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(period) => now.checked_add(*period).ok(),
            Self::Cron(cron) => cron.next_after(now),
        }
    }
}

fn parse_rate(text: &str) -> Result<SignedDuration, String> {
    let (number, unit) = text.split_once(' ').ok_or("expected a number and a unit")?;
    let number: u32 = number.parse().map_err(|_| "expected a whole number")?;
    if number == 0 {
        return Err("the number must be above 0".into());
    }
    let (singular, plural) = ("minute, hour or day", "minutes, hours or days");
    let seconds = match (unit, number) {
        ("minute", 1) | ("minutes", 2..) => 60,
        ("hour", 1) | ("hours", 2..) => 3_600,
        ("day", 1) | ("days", 2..) => 86_400,
        (_, 1) => return Err(format!("after 1 comes {singular}")),
        _ => return Err(format!("after {number} comes {plural}")),
    };
    Ok(SignedDuration::from_secs(seconds * i64::from(number)))
}

impl Cron {
    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays, years] = fields.as_slice() else {
            return Err("expected six fields: minutes hours day month weekday year".into());
        };
        if (*days == "?") == (*weekdays == "?") {
            return Err("exactly one of day and weekday must be ?".into());
        }
        Ok(Self {
            minutes: parse_field(minutes, 0, 59, &[])?,
            hours: parse_field(hours, 0, 23, &[])?,
            days: parse_field(days, 1, 31, &[])?,
            months: parse_field(months, 1, 12, &MONTHS)?,
            weekdays: parse_field(weekdays, 1, 7, &WEEKDAYS)?,
            years: parse_field(years, 1970, 2199, &[])?,
        })
    }

    fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now = Offset::UTC.to_datetime(now);
        let days = std::iter::successors(Some(now.date()), |day| day.checked_add(1.day()).ok());
        let due = days
            .take(HORIZON_DAYS)
            .filter(|day| self.allows(*day))
            .find_map(|day| self.times_of(day).find(|time| *time > now))?;
        Offset::UTC.to_timestamp(due).ok()
    }

    fn allows(&self, day: Date) -> bool {
        self.years.contains(&day.year())
            && self.months.contains(&day.month().into())
            && self.days.contains(&day.day().into())
            && self.weekdays.contains(&(i16::from(days_since_sunday(day.weekday())) + 1))
    }

    fn times_of(&self, day: Date) -> impl Iterator<Item = DateTime> {
        self.hours.iter().flat_map(move |hour| {
            self.minutes.iter().filter_map(move |minute| {
                let (hour, minute) = (i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?);
                Some(day.at(hour, minute, 0, 0))
            })
        })
    }
}

fn days_since_sunday(weekday: Weekday) -> i8 {
    weekday.to_sunday_zero_offset()
}

/// Parses a field into the values that it allows, ascending. A field is `*`, `?`, `5`, `1-5`, `0/15`, `MON-FRI`, or a
/// list of these.
fn parse_field(text: &str, least: i16, most: i16, names: &[&str]) -> Result<Vec<i16>, String> {
    let mut values = Vec::new();
    for part in text.split(',') {
        let number = |text: &str| {
            let position = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            let value = position.and_then(|position| i16::try_from(position).ok());
            let value = value.map(|value| value + least).or_else(|| text.parse().ok());
            value.ok_or_else(|| unreadable(part))
        };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step.is_some() => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        let step = step.unwrap_or(1);
        if from < least || to > most || from > to || step < 1 {
            return Err(format!("{part} is not within {least} to {most}"));
        }
        values.extend((from..=to).step_by(usize::from(step.unsigned_abs())));
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn unreadable(part: &str) -> String {
    format!("the local stack cannot read {part} (L, W and # are not supported)")
}

#[cfg(test)]
mod tests {
    use super::Expression;

    fn next(expression: &str, now: &str) -> String {
        let expression = Expression::parse(expression).unwrap();
        expression.next_after(now.parse().unwrap()).map_or("never".into(), |due| due.to_string())
    }

    #[test]
    fn the_next_due_time_is_eventbridges() {
        let now = "2026-11-20T10:07:30Z"; // a Friday
        for (expression, due) in [
            ("rate(1 minute)", "2026-11-20T10:08:30Z"),
            ("rate(2 hours)", "2026-11-20T12:07:30Z"),
            ("rate(30 days)", "2026-12-20T10:07:30Z"),
            ("cron(0/15 * * * ? *)", "2026-11-20T10:15:00Z"),
            ("cron(0 10 * * ? *)", "2026-11-21T10:00:00Z"),
            ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00:00Z"),
            ("cron(30 8 ? * 1,7 *)", "2026-11-21T08:30:00Z"),
            ("cron(0 0 1 JAN ? 2028)", "2028-01-01T00:00:00Z"),
            ("cron(0 0 29 2 ? *)", "2028-02-29T00:00:00Z"),
            ("cron(0 0 31 2 ? *)", "never"),
        ] {
            assert_eq!(next(expression, now), due, "{expression}");
        }
    }

    #[test]
    fn a_wrong_expression_is_explained() {
        for (expression, complaint) in [
            ("hourly", "hourly: expected rate(…) or cron(…)"),
            ("rate(1 minutes)", "rate(1 minutes): after 1 comes minute, hour or day"),
            ("rate(5 minute)", "rate(5 minute): after 5 comes minutes, hours or days"),
            ("rate(0 hours)", "rate(0 hours): the number must be above 0"),
            ("cron(* * * * *)", "cron(* * * * *): expected six fields"),
            ("cron(0 0 1 * 1 *)", "cron(0 0 1 * 1 *): exactly one of day and weekday must be ?"),
            ("cron(60 0 1 * ? *)", "cron(60 0 1 * ? *): 60 is not within 0 to 59"),
            ("cron(0 0 L * ? *)", "cron(0 0 L * ? *): the local stack cannot read L"),
        ] {
            let error = Expression::parse(expression).unwrap_err();
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
