//! Quiet hours: a part of the day in which a rule tells nothing.

use jiff::{Timestamp as Instant, civil::Time, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::{
    InvalidField,
    base::{text::got, time::Timestamp},
};

/// Part of each day, in a time zone; it may pass midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl QuietHours {
    /// Reads `{from, to, time_zone}`: times such as `22:00`, and a name of the IANA time zone database.
    ///
    /// # Errors
    /// Names the field and the rule that it breaks.
    pub fn read(value: &Value) -> Result<Self, InvalidField> {
        const FIELD: &str = "rule_config.quiet_hours";
        let problem = |problem: String| InvalidField::new(FIELD, problem);
        let Some(fields) = value.as_object() else {
            return Err(problem(
                "must be an object such as {\"from\":\"22:00\",\"to\":\"07:00\",\"time_zone\":\"Europe/Berlin\"}".to_owned(),
            ));
        };
        if let Some(unknown) = fields.keys().find(|name| !["from", "to", "time_zone"].contains(&name.as_str())) {
            return Err(problem(format!("has an unknown field{}; its fields are from, to, time_zone", got(unknown))));
        }
        let time = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
            parse_time(text).ok_or_else(|| problem(format!("must have `{name}` as a time of day such as 22:00{}", got(text))))
        };
        let (from, to) = (time("from")?, time("to")?);
        if from == to {
            return Err(problem("must not begin and end at the same time; disable the rule instead".to_owned()));
        }
        let name = match fields.get("time_zone") {
            None | Some(Value::Null) => "UTC",
            Some(value) => value.as_str().unwrap_or_default(),
        };
        let zone =
            zone(name).ok_or_else(|| problem(format!("must have `time_zone` as an IANA name such as Europe/Berlin{}", got(name))))?;
        Ok(Self { from, to, zone })
    }

    /// Returns the form that [`Self::read`] reads.
    pub fn to_json(&self) -> Value {
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let mut fields = Map::new();
        fields.insert("from".to_owned(), time(self.from).into());
        fields.insert("to".to_owned(), time(self.to).into());
        fields.insert("time_zone".to_owned(), json!(self.zone.iana_name().unwrap_or("UTC")));
        fields.into()
    }

    /// Returns whether a time is within the quiet hours.
    pub fn contain(&self, at: Timestamp) -> bool {
        let Ok(instant) = Instant::from_millisecond(at.as_millis()) else { return false };
        let time = self.zone.to_datetime(instant).time();
        if self.from < self.to { self.from <= time && time < self.to } else { time >= self.from || time < self.to }
    }
}

/// Parses `HH:MM`.
fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number =
        |digits: &str| (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse::<i8>().ok())?;
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// Finds a time zone in the database that the program contains, so that all machines agree.
fn zone(name: &str) -> Option<TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours::read(&json!({ "from": from, "to": to, "time_zone": zone })).expect("accepted")
    }

    #[test]
    fn hours_may_pass_midnight_and_follow_daylight_saving_time() {
        let check = |hours: &QuietHours, at: &str, expected| assert_eq!(hours.contain(at.parse().expect("a time")), expected, "{at}");
        let night = read("22:00", "07:00", "Europe/Berlin");
        // UTC+1 in winter.
        check(&night, "2027-01-31T20:59:59Z", false);
        check(&night, "2027-01-31T21:00:00Z", true);
        check(&night, "2027-01-31T05:59:00Z", true);
        check(&night, "2027-01-31T06:00:00Z", false);
        // UTC+2 in summer.
        check(&night, "2027-07-31T20:00:00Z", true);
        check(&night, "2027-07-31T05:00:00Z", false);
        let lunch = read("12:00", "13:30", "UTC");
        check(&lunch, "2027-01-31T12:00:00Z", true);
        check(&lunch, "2027-01-31T13:30:00Z", false);
    }

    #[test]
    fn form_is_read_again_and_mistakes_are_named() {
        let night = read("22:00", "07:00", "America/New_York");
        assert_eq!(QuietHours::read(&night.to_json()), Ok(night));
        let utc = QuietHours::read(&json!({ "from": "01:00", "to": "02:00" })).expect("accepted");
        assert_eq!(utc.to_json()["time_zone"], "UTC");
        for (value, expected) in [
            (json!("22-7"), "must be an object"),
            (json!({ "from": "22:00" }), "`to` as a time"),
            (json!({ "from": "24:00", "to": "07:00" }), "`from` as a time"),
            (json!({ "from": "9:00", "to": "07:00" }), "`from` as a time"),
            (json!({ "from": "22:00", "to": "22:00" }), "same time"),
            (json!({ "from": "22:00", "to": "07:00", "time_zone": "Berlin" }), "IANA name"),
            (json!({ "from": "22:00", "to": "07:00", "days": [1] }), "unknown field"),
        ] {
            let problem = QuietHours::read(&value).expect_err("refused").to_string();
            assert!(problem.contains(expected), "{value}: {problem}");
        }
    }
}
