//! Value formats of settings: on the command line, in the environment and in the file.
//!
//! A parser's message begins with `must be`, so that it can follow the name of a flag, a variable or a key.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use hookstream_api::AllowOrganizations;
use hookstream_engine::Role;
use hookstream_model::{
    base::secret::Secret, delivery::retry::RetrySchedule, identity::tenancy::ApiKeyText, operations::backup::TimeOfDay,
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// Returns a parser of whole numbers within bounds.
pub(crate) fn whole<T: FromStr + PartialOrd + fmt::Display + Copy>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| *number >= least && *number <= most);
        number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
    }
}

/// Parses the address to listen on: `127.0.0.1:8484`, `[::1]:8484`, `localhost:8484`; `:8484` means every IPv4
/// address, `8484` this machine only.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    if let Some(port) = port(text) {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let named = text.rsplit_once(':').and_then(|(host, digits)| Some((host, port(digits)?)));
    let found = match named {
        Some(("" | "*", port)) => Some(SocketAddr::from(([0, 0, 0, 0], port))),
        // A name may have addresses of both kinds; IPv4 is reachable by every program on the machine.
        Some((host, port)) if !host.contains([':', '/', '@']) => {
            let mut all: Vec<_> = (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
            all.sort_by_key(SocketAddr::is_ipv6);
            all.into_iter().next()
        }
        Some(_) | None => None,
    };
    found.ok_or_else(|| "must be an address and a port such as 0.0.0.0:8484 or [::]:8484".to_owned())
}

/// Parses a boolean in its common spellings.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Parses a time of day such as `02:30`.
pub(crate) fn time_of_day(text: &str) -> Result<TimeOfDay, String> {
    let parsed = text.trim().split_once(':').filter(|(hour, minute)| hour.len() <= 2 && minute.len() == 2);
    let parsed = parsed.and_then(|(hour, minute)| TimeOfDay::new(hour.parse().ok()?, minute.parse().ok()?));
    parsed.ok_or_else(|| "must be a time of day (UTC) such as 02:30".to_owned())
}

/// Returns the parts of a comma-separated list. `none` is the empty list, because an empty variable counts as unset.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let text = if text.trim().eq_ignore_ascii_case("none") { "" } else { text };
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Networks: comma-separated, or a list in the file. A single address is a network of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parts(text).map(network).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    parsed.ok_or_else(|| {
        format!("must be networks such as 10.0.0.0/8, fd00::/8 or 192.168.1.7, comma-separated, or none; {text:?} is not one")
    })
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// Delays between attempts in seconds: comma-separated, or a list in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) RetrySchedule);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |problem: String| format!("must be up to 50 delays of 0 to 604800 seconds, comma-separated, or none; {problem}");
        let seconds = parts(text).map(|part| part.parse::<u32>().map_err(|_| refuse(format!("{part:?} is not a whole number of seconds"))));
        RetrySchedule::from_seconds(seconds.collect::<Result<_, _>>()?).map(Self).map_err(|error| refuse(error.problem))
    }
}

/// Role of a node, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleName(pub(crate) Role);

impl FromStr for RoleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = [Role::All, Role::Api, Role::Worker].into_iter().find(|role| role.as_str() == text);
        role.map(Self).ok_or_else(|| "must be all, api or worker".to_owned())
    }
}

/// Users who may create organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrganizationCreators(pub(crate) AllowOrganizations);

impl FromStr for OrganizationCreators {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "operator" => Ok(Self(AllowOrganizations::Operator)),
            "anyone" => Ok(Self(AllowOrganizations::Anyone)),
            "nobody" => Ok(Self(AllowOrganizations::Nobody)),
            _ => Err("must be operator, anyone or nobody".to_owned()),
        }
    }
}

/// API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyText(pub(crate) ApiKeyText);

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ApiKeyText::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

/// Encryption keys as given. They are parsed once all settings are known, so that no error shows their text.
#[derive(Debug, Clone)]
pub(crate) struct KeysText(pub(crate) Secret);

/// Text that no log and no error may show.
#[derive(Debug, Clone)]
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_address_requires_a_port() {
        let check = |text: &str, expected: &str| assert_eq!(listen_address(text).expect(text).to_string(), expected, "{text}");
        check("127.0.0.1:1", "127.0.0.1:1");
        check("[::1]:8484", "[::1]:8484");
        check("localhost:8484", "127.0.0.1:8484");
        check(":8484", "0.0.0.0:8484");
        check("*:8484", "0.0.0.0:8484");
        check("8484", "127.0.0.1:8484");
        check(" 0.0.0.0:0 ", "0.0.0.0:0");
        for wrong in
            ["", "0.0.0.0", "localhost", "::1", "localhost:", "localhost:70000", "70000", "http://localhost:8484", "a b:1", "1.2.3.4.5:1"]
        {
            assert!(listen_address(wrong).expect_err(wrong).starts_with("must be an address and a port such as 0.0.0.0:8484"), "{wrong}");
        }
    }

    #[test]
    fn none_is_the_empty_list() {
        assert_eq!("none".parse::<Networks>(), Ok(Networks::default()));
        assert_eq!("none".parse::<Schedule>().expect("a schedule").0.as_seconds(), [0_u32; 0]);
        assert!("none,1".parse::<Schedule>().expect_err("no number").contains("\"none\" is not a whole number"));
    }

    #[test]
    fn number_out_of_bounds_is_refused() {
        let parse = whole(1_u64, 1 << 50);
        assert_eq!((parse("1"), parse(" 7 "), parse("1125899906842624")), (Ok(1), Ok(7), Ok(1 << 50)));
        for wrong in ["0", "1125899906842625", "-1", "1.5", "forever", "", "99999999999999999999999"] {
            assert_eq!(parse(wrong), Err("must be a whole number from 1 to 1125899906842624".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn time_of_day_has_hour_and_minute() {
        assert_eq!(
            (time_of_day("02:30"), time_of_day("2:05").map(TimeOfDay::parts)),
            (Ok(TimeOfDay::new(2, 30).expect("a time")), Ok((2, 5)))
        );
        for wrong in ["", "2", "24:00", "02:60", "02:3", "-1:30", "002:30", "2:30am"] {
            assert!(time_of_day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn boolean_has_several_spellings() {
        assert_eq!((truth("TRUE"), truth("off"), truth("1")), (Ok(true), Ok(false), Ok(true)));
        assert!(truth("maybe").is_err());
    }
}
