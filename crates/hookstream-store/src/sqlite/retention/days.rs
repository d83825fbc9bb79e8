//! Dropping days whose time is over: a file each, whatever its size.

use hookstream_model::base::time::Day;

use crate::{
    db::error::Error,
    sqlite::db::{connection::failed, files::Files},
};

const IS_OWED: &str = "select exists (select 1 from pending)";

pub(crate) fn drop_days_before(files: &mut Files, day: Day) -> Result<Vec<Day>, Error> {
    let mut dropped = Vec::new();
    for old in files.days().into_iter().filter(|old| *old < day) {
        let owed: bool =
            files.day(old)?.connection().query_row(IS_OWED, [], |row| row.get(0)).map_err(failed("delete a day of messages"))?;
        if !owed {
            files.remove_day(old)?;
            dropped.push(old);
        }
    }
    Ok(dropped)
}
